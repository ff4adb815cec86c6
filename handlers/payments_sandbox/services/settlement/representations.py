"""How settlements look to clients: the contract's schema, in responses and in events alike."""

from typing import Any

from payments_sandbox.domain.timestamps import format_timestamp
from payments_sandbox.services.ledger.representations import render_postings
from payments_sandbox.services.settlement.settlement_records import Settlement, SettlementGroup

Json = dict[str, Any]


def render_settlement(settlement: Settlement) -> Json:
    """The contract's `Settlement`."""
    batch, currency = settlement.batch, settlement.currency
    settled_at = format_timestamp(batch.settled_at)
    return {
        "settlement_id": settlement.settlement_id,
        "status": "completed" if settlement.completed else "in_progress",
        "initiated_by": "request" if batch.on_demand else "schedule",
        "currency": currency,
        "up_to": format_timestamp(batch.up_to),
        "settled_at": settled_at,
        "entry_count": settlement.count,
        "gross_amount": settlement.gross,
        "fee_amount": settlement.fees,
        "net_amount": settlement.net,
        "groups": [_group(group) for group in settlement.groups],
        "postings": render_postings(settlement.postings) if settlement.completed else [],
        "payout": {
            "payout_id": settlement.payout_id,
            "amount": settlement.net,
            "currency": currency,
            "paid_at": settled_at,
            "postings": render_postings(settlement.payout_postings),
        }
        if settlement.completed
        else None,
        "discrepancy_count": len(batch.discrepancies),
    }


def _group(group: SettlementGroup) -> Json:
    return {
        "type": group.type,
        "brand": group.brand,
        "count": group.count,
        "gross_amount": group.gross,
        "fee_amount": group.fees,
        "net_amount": group.gross - group.fees,
    }
