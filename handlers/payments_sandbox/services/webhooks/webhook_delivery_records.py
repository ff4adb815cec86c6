"""A webhook delivery as it is kept: its record, its states, and the one way to change it.

What becomes a delivery and what may be asked of one is in `webhook_deliveries.py`; attempting it in `webhook_attempts.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from payments_sandbox.domain.attempt_errors import AttemptError
from payments_sandbox.domain.pan_guard import mask_card_numbers
from payments_sandbox.services.ports import Committed, ReceiverResponse, Record, Update
from payments_sandbox.services.world import World

KIND: Final = "webhook_delivery"

PENDING: Final = "pending"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"

ATTEMPTS_KEPT: Final = 20
"""How many attempts a delivery shows; redeliveries can make more, of which the oldest are dropped."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One POST that was made, or held back by chaos. at_ms: milliseconds since the epoch; reply as it came."""

    at_ms: int
    request_headers: Sequence[tuple[str, str]]
    reply: ReceiverResponse


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as it is shown. state: `pending`, `succeeded`, `failed` or `cancelled` (the endpoint was disabled or
    deleted). next_attempt_at: milliseconds since the epoch; None when it is settled. attempts: the oldest first, at most
    `ATTEMPTS_KEPT`; attempt_count: how many there were since it was last made pending."""

    delivery_id: str
    account_id: str
    event_id: str
    event_type: str
    endpoint_id: str
    state: str
    created_at: int
    next_attempt_at: int | None
    attempt_count: int
    body: str
    attempts: Sequence[Attempt]


def delivery_of(record: Record) -> Delivery:
    """A delivery's record as the services see it."""
    data = record.data
    return Delivery(
        delivery_id=record.id,
        account_id=record.account_id,
        event_id=data["event_id"],
        event_type=data["event_type"],
        endpoint_id=data["endpoint_id"],
        state=data["state"],
        created_at=record.created_at,
        next_attempt_at=record.due_at,
        attempt_count=data["attempt_count"],
        body=data["body"],
        attempts=[_attempt_of(attempt) for attempt in data["attempts"]],
    )


def attempt_data(attempt: Attempt) -> dict[str, Any]:
    """An attempt as a delivery keeps it; a card number that a receiver answered is not kept."""
    reply = attempt.reply
    return {
        "at": attempt.at_ms,
        "request_headers": [list(header) for header in attempt.request_headers],
        "status": reply.status,
        "headers": [[name, mask_card_numbers(value)] for name, value in reply.headers],
        "body_start": mask_card_numbers(reply.body_start),
        "duration_ms": reply.duration_ms,
        "error": reply.error,
    }


DeliveryChange = Callable[[Mapping[str, Any]], tuple[dict[str, Any], int | None] | None]
"""From a delivery's data to what it becomes, and when it is due; None leaves it as it is."""


def apply_change(world: World, record: Record, change: DeliveryChange) -> Record:
    """Apply a change to the delivery as it stands; when another process was faster, to what it made of it."""
    while True:
        decided = change(record.data)
        if decided is None:
            return record
        data, due_at = decided
        changed = replace(record, version=record.version + 1, data=data, due_at=due_at)
        if isinstance(world.store.commit([], [Update(changed)]), Committed):
            return changed
        (fresh,) = world.store.get([record.id])
        assert fresh is not None, "deliveries are never deleted"
        record = fresh


def cancel(world: World, record: Record) -> Delivery:
    """Cancel a delivery that is pending; one that was settled meanwhile is left as it is."""

    def cancelled(data: Mapping[str, Any]) -> tuple[dict[str, Any], int | None] | None:
        return ({**data, "state": CANCELLED}, None) if data["state"] == PENDING else None

    return delivery_of(apply_change(world, record, cancelled))


def feed_key(account_id: str) -> str:
    """Where the account's deliveries are listed."""
    return f"{account_id}#{KIND}"


def _attempt_of(data: Mapping[str, Any]) -> Attempt:
    return Attempt(
        data["at"],
        [(name, value) for name, value in data["request_headers"]],
        ReceiverResponse(
            data["status"],
            [(name, value) for name, value in data["headers"]],
            data["body_start"],
            data["duration_ms"],
            None if data["error"] is None else AttemptError(data["error"]),
        ),
    )
