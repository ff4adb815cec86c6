"""Operations of the tag `faults`: what can go wrong on purpose, and an account's rules for it."""

from typing import Any, Final

from payments_sandbox.domain.faults import KINDS, Rule
from payments_sandbox.http.operations.call import Call, OperationResult
from payments_sandbox.services.simulation import faults
from payments_sandbox.services.simulation.faults import ActiveRule

OPERATIONS: Final = (
    "authorize_payment",
    "capture_payment",
    "refund_payment",
    "void_payment",
    "increment_payment",
    "create_dispute",
    "submit_dispute_evidence",
    "accept_dispute",
    "escalate_dispute",
    "create_settlements",
    "list_transactions",
    "get_transaction",
    "get_card",
    "list_disputes",
    "get_dispute",
    "list_events",
    "get_event",
)
"""The operations that can fail: those that take the header `X-Sandbox-Fault` in the contract."""


async def get_faults(call: Call) -> OperationResult:
    """GET /v1/faults"""
    return _answer(faults.get_rules(call.world))


async def set_fault_rules(call: Call) -> OperationResult:
    """PUT /v1/faults"""
    rules = [
        Rule(rule["fault"], rule.get("operations", ()), rule.get("when"), rule.get("count"))
        for rule in call.body["rules"]
    ]
    active, first = faults.set_rules(call.world, rules)
    await call.settle_controls(first=first)
    return _answer(active)


async def delete_fault_rules(call: Call) -> OperationResult:
    """DELETE /v1/faults"""
    faults.clear_rules(call.world)
    return OperationResult(204)


def _answer(rules: list[ActiveRule]) -> OperationResult:
    available = [
        {
            "fault": kind.fault,
            "example": kind.example,
            "effect": kind.effect,
            "description": kind.description,
        }
        for kind in KINDS
    ]
    return OperationResult(
        200, {"available": available, "operations": list(OPERATIONS), "rules": [*map(_render, rules)]}
    )


def _render(active: ActiveRule) -> dict[str, Any]:
    rule = active.rule
    return {
        "fault": rule.fault,
        "operations": list(rule.operations),
        "when": rule.when,
        "count": rule.count,
        "seen": active.seen,
        "fired": active.fired,
    }
