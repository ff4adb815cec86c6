"""Operations of the tag `test-cards`: the published triggers."""

from typing import Any

from payments_sandbox.domain.disputes import OPENINGS
from payments_sandbox.domain.network import APPROVED
from payments_sandbox.domain.refund_courses import REFUND_COURSES, SUCCEEDED, RefundCourse
from payments_sandbox.http.operations.call import Call, OperationResult
from payments_sandbox.services.simulation.trigger_table import PRECEDENCE, TriggerRow, list_triggers


async def list_test_cards(call: Call) -> OperationResult:
    """GET /v1/test-cards"""
    return OperationResult(
        200, {"precedence": list(PRECEDENCE), "data": [_render(row) for row in list_triggers()]}
    )


def _render(row: TriggerRow) -> dict[str, Any]:
    decision = row.decision
    decline = decision.decline
    capture = None
    if decline is None:
        capture = "succeeded" if decision.capture_decline is None else "declined"
    opening = None if decision.after_capture is None else OPENINGS[decision.after_capture]
    course = _refund_course(row) if capture == "succeeded" else None
    return {
        "trigger": row.trigger,
        "value": row.value,
        "rule": row.rule,
        "description": row.description,
        "request": {"headers": row.headers, "body": row.body},
        "expect": {
            "status": "authorized" if decline is None else "declined",
            "response_code": APPROVED if decline is None else decline.response_code,
            "decline_code": None if decline is None else decline.decline_code,
            "retry_forbidden": decline is not None and decline.retry_forbidden,
            "cvc_result": decision.cvc_result,
            "avs_result": decision.avs_result,
            "risk_level": decision.risk_level,
            "capture_status": capture,
            "after_capture": None if opening is None else opening.follows,
            "refund_status": None if course is None else course.first,
            "refund_outcome": None if course is None else course.outcome,
        },
    }


def _refund_course(row: TriggerRow) -> RefundCourse | None:
    """The course of a refund of all that was captured; None when a chargeback has left nothing to refund."""
    decision = row.decision
    if decision.after_capture is not None and OPENINGS[decision.after_capture].follows == "dispute":
        return None
    if decision.refund_course is None:
        return RefundCourse(SUCCEEDED, SUCCEEDED)
    return REFUND_COURSES[decision.refund_course]
