"""Operations of the tag `disputes`: what cardholders dispute, and how the merchant answers."""

from payments_sandbox.http.operations.call import Call, OperationResult
from payments_sandbox.services.disputes import disputes, early_fraud_warnings
from payments_sandbox.services.disputes.disputes import DisputeOutcome, OpenDispute
from payments_sandbox.services.disputes.representations import render_dispute, render_early_fraud_warning

_REPLAYED = {"Idempotent-Replayed": "true"}


async def create_dispute(call: Call) -> OperationResult:
    """POST /v1/disputes"""
    body = call.body
    command = OpenDispute(
        authorization_id=body["authorization_id"],
        reason=body["reason"],
        amount=body.get("amount"),
        inquiry=body.get("inquiry", False),
    )
    return _answer(201, disputes.create_dispute(call.world, command, idempotency_key=call.idempotency_key))


async def list_disputes(call: Call) -> OperationResult:
    """GET /v1/disputes"""
    query = call.query
    page = disputes.list_disputes(
        call.world,
        status=query.get("status"),
        authorization_id=query.get("authorization_id"),
        limit=query["limit"],
        cursor=query.get("cursor"),
    )
    return OperationResult(200, page.render(render_dispute))


async def get_dispute(call: Call) -> OperationResult:
    """GET /v1/disputes/{dispute_id}"""
    return OperationResult(200, render_dispute(disputes.get_dispute(call.world, _dispute_id(call))))


async def submit_dispute_evidence(call: Call) -> OperationResult:
    """POST /v1/disputes/{dispute_id}/evidence"""
    answer = disputes.EvidenceSubmission(call.body.get("evidence", {}), call.body.get("submit", False))
    return _answer(
        200,
        disputes.submit_evidence(call.world, _dispute_id(call), answer, idempotency_key=call.idempotency_key),
    )


async def accept_dispute(call: Call) -> OperationResult:
    """POST /v1/disputes/{dispute_id}/accept"""
    return _answer(
        200, disputes.accept_dispute(call.world, _dispute_id(call), idempotency_key=call.idempotency_key)
    )


async def escalate_dispute(call: Call) -> OperationResult:
    """POST /v1/disputes/{dispute_id}/escalate"""
    return _answer(
        200, disputes.escalate_dispute(call.world, _dispute_id(call), idempotency_key=call.idempotency_key)
    )


async def list_early_fraud_warnings(call: Call) -> OperationResult:
    """GET /v1/early-fraud-warnings"""
    query = call.query
    page = early_fraud_warnings.list_early_fraud_warnings(
        call.world,
        authorization_id=query.get("authorization_id"),
        limit=query["limit"],
        cursor=query.get("cursor"),
    )
    return OperationResult(200, page.render(render_early_fraud_warning))


def _dispute_id(call: Call) -> str:
    dispute_id: str = call.path["dispute_id"]
    return dispute_id


def _answer(status: int, outcome: DisputeOutcome) -> OperationResult:
    return OperationResult(status, render_dispute(outcome.dispute), _REPLAYED if outcome.replayed else {})
