"""Events: every entry of the ledger is one, so nothing can be committed without its event, or the other way round.

An event's id is `evt_` and the entry's id. Its payload is the entry as it was made, in the shape that the API shows;
what happened later to an authorization is told by later events. What happens to a dispute, an early fraud warning or a
pending refund is told by records of their own, which hold what they tell of as it was left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from payments_sandbox.domain.entry_kinds import ENTRY_KINDS
from payments_sandbox.domain.errors import EventNotFound
from payments_sandbox.domain.refund_courses import PENDING, REFUND_COURSES
from payments_sandbox.domain.timestamps import DAY_MS, format_timestamp
from payments_sandbox.domain.webhooks import EVENT_KINDS, EVENT_TYPES
from payments_sandbox.services.disputes import dispute_records, early_fraud_warnings
from payments_sandbox.services.disputes.representations import (
    render_dispute,
    render_early_fraud_warning,
)
from payments_sandbox.services.ledger import entries
from payments_sandbox.services.ledger.listings import ListingPage, walk
from payments_sandbox.services.ledger.representations import render_transaction
from payments_sandbox.services.payments import refund_outcomes
from payments_sandbox.services.ports import Index, Record
from payments_sandbox.services.world import World

EVENT_PREFIX: Final = "evt_"

COPIED: Final = "copied"
"""In the data of an entry that came with a copied world (`world_copies.py`): it is listed, but no webhook is sent for it."""

VISIBLE_MS: Final = 30 * DAY_MS
"""How long an event can be listed and read."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. at_ms: when, in milliseconds since the epoch. data: what the payload says about it."""

    id: str
    type: str
    account_id: str
    at_ms: int
    data: dict[str, Any]

    @property
    def payload(self) -> dict[str, Any]:
        """The body of its webhook: Standard Webhooks' `type`, `timestamp`, `data`."""
        return {"type": self.type, "timestamp": format_timestamp(self.at_ms), "data": self.data}


def is_event(record: Record) -> bool:
    """Whether the record is an entry that tells of something."""
    return record.kind in EVENT_KINDS


def is_news(record: Record) -> bool:
    """Whether the record tells of something that has happened here, and not in the world that it was copied from."""
    return is_event(record) and not record.data.get(COPIED, False)


def event_type_of(record: Record) -> str:
    """The type of the event that an entry is."""
    course = REFUND_COURSES.get(record.data.get("course", ""))
    kind = "refund_initiated" if course is not None and course.first == PENDING else record.kind
    return EVENT_TYPES[kind, record.data.get("decline") is not None]


def event_of(record: Record) -> Event:
    """The event that an entry is."""
    data = _payload_data(record)
    return Event(EVENT_PREFIX + record.id, event_type_of(record), record.account_id, record.created_at, data)


def _payload_data(record: Record) -> dict[str, Any]:
    if record.kind == refund_outcomes.SUCCESS:
        refund = refund_outcomes.refund_of_success(record)
        return render_transaction(entries.as_of(refund, record.created_at))
    match ENTRY_KINDS[record.kind].schema:
        case "EndpointDisabled" | "Settlement":
            return {name: value for name, value in record.data.items() if name != COPIED}
        case "EarlyFraudWarning":
            return render_early_fraud_warning(early_fraud_warnings.warning_of_change(record))
        case "Dispute":
            return render_dispute(dispute_records.dispute_of_change(record))
    return render_transaction(entries.as_created(record))


def get_event(world: World, event_id: str) -> Event:
    """An event of the last 30 days.

    Errors: event_not_found: the account has no such event, or it is older.
    """
    (record,) = world.store.get([event_id.removeprefix(EVENT_PREFIX)])
    oldest = world.clock.now_ms() - VISIBLE_MS
    if (
        not event_id.startswith(EVENT_PREFIX)
        or record is None
        or record.account_id != world.account_id
        or not is_event(record)
        or record.created_at < oldest
    ):
        raise EventNotFound("The account has no event of this id in the last 30 days.")
    return event_of(record)


def list_events(world: World, *, types: Sequence[str], limit: int, cursor: str | None) -> ListingPage[Event]:
    """The account's events of the last 30 days, newest first. types: only these; empty for all.

    Errors: invalid_request: the cursor is not one that a listing gave.
    """
    oldest = world.clock.now_ms() - VISIBLE_MS

    def wanted(record: Record) -> bool:
        return is_event(record) and (not types or event_type_of(record) in types)

    page = walk(
        world.store,
        Index.FEED,
        entries.feed_key(world.account_id),
        wanted,
        limit=limit,
        cursor=cursor,
        created_from=oldest,
        selective=bool(types),
    )
    return ListingPage([event_of(record) for record in page.items], page.next_cursor)
