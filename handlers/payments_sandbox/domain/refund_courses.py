"""Refunds that take their time: what a test card has a refund say at first, and what becomes of it.

An ordinary refund succeeds at once. Pending or not, a refund counts against what can be refunded from its beginning, and
gives that back when it fails. Next: `services/payments/refund_outcomes.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from payments_sandbox.domain.timestamps import MINUTE_MS

PENDING: Final = "pending"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"

OUTCOME_DELAY_MS: Final = 5 * MINUTE_MS
"""How long it takes until the outcome is known. The sandbox's own choice: with real banks it is days."""


@dataclass(frozen=True, slots=True)
class RefundCourse:
    """first: the refund's status when it is made; outcome: its status `OUTCOME_DELAY_MS` later, for good."""

    first: str
    outcome: str


REFUND_COURSES: Final[Mapping[str, RefundCourse]] = {
    "refund_pending_then_succeeded": RefundCourse(PENDING, SUCCEEDED),
    "refund_succeeded_then_failed": RefundCourse(SUCCEEDED, FAILED),
}
"""Rule of a test card to the course that its refunds take."""
