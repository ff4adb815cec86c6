"""How disputes and early fraud warnings look to clients: the contract's schemas, in responses and in events alike."""

from typing import Any

from payments_sandbox.domain.disputes import DisputeStatus
from payments_sandbox.domain.timestamps import format_timestamp
from payments_sandbox.services.disputes.dispute_records import Dispute
from payments_sandbox.services.disputes.early_fraud_warnings import EarlyFraudWarning

Json = dict[str, Any]

_NEEDS_RESPONSE = (DisputeStatus.WARNING_NEEDS_RESPONSE, DisputeStatus.NEEDS_RESPONSE)


def render_dispute(dispute: Dispute) -> Json:
    """The contract's `Dispute`."""
    data = dispute.data
    deadline = _moment(data["due_at"])
    waits_for_merchant = dispute.status in _NEEDS_RESPONSE
    return {
        "dispute_id": dispute.dispute_id,
        "authorization_id": data["authorization_id"],
        "status": data["status"],
        "reason": data["reason"],
        "network_reason_code": data["network_reason_code"],
        "inquiry": data["inquiry"],
        "amount": data["amount"],
        "currency": data["currency"],
        "fee_amount": data["fee"],
        "card": dict(data["card"]),
        "evidence": dict(data["evidence"]),
        "evidence_submitted_at": _moment(data["submitted_at"]),
        "evidence_due_at": deadline if waits_for_merchant else None,
        "decision_due_at": None if waits_for_merchant else deadline,
        "chargeback_id": data["chargeback_id"],
        "chargeback_reversal_id": data["reversal_id"],
        "created_at": format_timestamp(dispute.created_at),
        "closed_at": _moment(data["closed_at"]),
    }


def render_early_fraud_warning(warning: EarlyFraudWarning) -> Json:
    """The contract's `EarlyFraudWarning`."""
    return {
        "early_fraud_warning_id": warning.warning_id,
        "authorization_id": warning.authorization_id,
        "fraud_type": warning.fraud_type,
        "amount": warning.amount,
        "currency": warning.currency,
        "actionable": warning.closed_at is None,
        "created_at": format_timestamp(warning.created_at),
        "closed_at": _moment(warning.closed_at),
    }


def _moment(at_ms: int | None) -> str | None:
    return None if at_ms is None else format_timestamp(at_ms)
