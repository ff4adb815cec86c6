"""Events: what an entry tells of, and reading it back."""

from typing import Any

import pytest

from payments_sandbox.domain.errors import EventNotFound, InvalidRequest
from payments_sandbox.domain.timestamps import DAY_MS, format_timestamp
from payments_sandbox.domain.webhooks import EVENT_KINDS, EVENT_TYPES
from payments_sandbox.services.events.events import (
    VISIBLE_MS,
    Event,
    event_of,
    get_event,
    is_event,
    list_events,
)
from payments_sandbox.services.ledger.representations import render_transaction
from payments_sandbox.services.ports import Record
from payments_sandbox.services.webhooks.inboxes import create_inbox
from payments_sandbox.services.webhooks.webhook_endpoints import create_endpoint
from payments_sandbox.services.world import World
from tests.calls.payments import (
    DECLINED_NUMBER,
    OTHER_ACCOUNT,
    authorize,
    capture,
    card_with,
    id_of,
    increment,
    refund,
    void,
)
from tests.doubles.ports import ACCOUNT, NOW_MS, FrozenClock, of_account
from tests.each_case import each_case


def whole(world: World, *types: str, limit: int = 100, account: str = ACCOUNT) -> list[Event]:
    """The listing, gone through with the cursor to its end."""
    found: list[Event] = []
    cursor = None
    for _ in range(1_000):
        page = list_events(of_account(world, account), types=types, limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found
    raise AssertionError("the listing does not end")


def test_every_operation_is_an_event_and_its_data_is_what_the_operation_answered(
    world: World, clock: FrozenClock
) -> None:
    first = authorize(world, "a")
    authorization_id = id_of(first)
    outcomes = [first]
    for operation in (increment, capture, refund):
        clock.advance(ms=1)
        outcomes.append(operation(world, authorization_id))
    clock.advance(ms=1)
    outcomes.append(authorize(world, "b"))
    clock.advance(ms=1)
    outcomes.append(void(world, id_of(outcomes[-1])))

    events = whole(world)[::-1]
    assert [event.type for event in events] == [
        "payment.authorized",
        "payment.incremented",
        "payment.captured",
        "payment.refunded",
        "payment.authorized",
        "payment.voided",
    ]
    for event, outcome in zip(events, outcomes, strict=True):
        record = outcome.entry.record
        assert event.id == "evt_" + record.id
        assert event.data == render_transaction(outcome.entry)
        assert event.payload == {
            "type": event.type,
            "timestamp": format_timestamp(record.created_at),
            "data": event.data,
        }


def test_a_decline_is_an_event_of_its_own_type(world: World) -> None:
    declined = authorize(world, "declined", card=card_with(number=DECLINED_NUMBER))
    authorization_id = id_of(authorize(world))
    refused: dict[str, Any] = {"simulate": "do_not_honor"}
    increment(world, authorization_id, **refused)
    capture(world, authorization_id, "c-declined", **refused)
    capture(world, authorization_id)
    refund(world, authorization_id, **refused)
    assert {event.type for event in whole(world)} == {
        "payment.authorization_declined",
        "payment.authorized",
        "payment.increment_declined",
        "payment.capture_declined",
        "payment.captured",
        "payment.refund_declined",
    }
    event = get_event(world, "evt_" + id_of(declined))
    assert event.data["status"] == "declined"
    assert event.data["decline"]["decline_code"] == "insufficient_funds"


def test_a_replayed_operation_is_no_second_event(world: World) -> None:
    authorize(world, "a")
    assert authorize(world, "a").replayed
    assert len(whole(world)) == 1


def test_an_event_tells_of_the_moment_it_happened_and_not_of_what_came_later(
    world: World, clock: FrozenClock
) -> None:
    outcome = authorize(world)
    before = get_event(world, "evt_" + id_of(outcome))
    clock.advance(days=1)
    capture(world, id_of(outcome))
    assert get_event(world, "evt_" + id_of(outcome)) == before
    assert before.data["status"] == "authorized"


@each_case(("kind", "declined"), [*EVENT_TYPES, ("account", False), ("webhook_delivery", False)])
def test_only_entries_tell_of_something(kind: str, declined: bool) -> None:
    record = Record("x_1", kind, ACCOUNT, 1, NOW_MS, {"decline": ["05"] if declined else None})
    assert is_event(record) is (kind in EVENT_KINDS)


def test_that_an_endpoint_was_disabled_is_told_with_the_facts_that_were_recorded() -> None:
    data = {"endpoint_id": "we_1", "url": "https://a.example/", "reason": "gone", "failing_since": None}
    event = event_of(Record("wed_1", "endpoint_disabled", ACCOUNT, 1, NOW_MS, data))
    assert (event.id, event.type, event.data) == ("evt_wed_1", "webhook_endpoint.disabled", data)


def test_another_accounts_events_are_not_there(world: World) -> None:
    mine, others = authorize(world), authorize(world, account=OTHER_ACCOUNT)
    assert [event.id for event in whole(world)] == ["evt_" + id_of(mine)]
    assert [event.id for event in whole(world, account=OTHER_ACCOUNT)] == ["evt_" + id_of(others)]
    with pytest.raises(EventNotFound):
        get_event(world, "evt_" + id_of(others))


def test_only_events_are_found_by_an_events_id(world: World) -> None:
    outcome = authorize(world)
    inbox = create_inbox(world)
    endpoint, _ = create_endpoint(world, url="https://shop.example/")
    for event_id in (
        id_of(outcome),
        "evt_",
        "evt_unknown",
        "evt_evt_" + id_of(outcome),
        "evt_" + inbox.inbox_id,
        "evt_" + endpoint.endpoint_id,
        "",
    ):
        with pytest.raises(EventNotFound):
            get_event(world, event_id)


def test_events_can_be_read_for_thirty_days(world: World, clock: FrozenClock) -> None:
    event_id = "evt_" + id_of(authorize(world))
    clock.advance(ms=VISIBLE_MS)
    assert get_event(world, event_id).id == event_id
    assert len(whole(world)) == 1
    clock.advance(ms=1)
    with pytest.raises(EventNotFound):
        get_event(world, event_id)
    assert whole(world) == []
    assert VISIBLE_MS == 30 * DAY_MS


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_the_listing_is_newest_first_in_pages_of_any_size_and_by_type(
    world: World, clock: FrozenClock, limit: int
) -> None:
    made = []
    for number in range(7):
        clock.advance(ms=1)
        made.append(id_of(authorize(world, f"key-{number}")))
        clock.advance(ms=1)
        capture(world, made[-1], f"cap-{number}")
    events = whole(world, limit=limit)
    assert [event.at_ms for event in events] == sorted((event.at_ms for event in events), reverse=True)
    assert len(events) == 14
    authorized = whole(world, "payment.authorized", limit=limit)
    assert [event.id for event in authorized] == ["evt_" + entry for entry in reversed(made)]
    assert whole(world, "payment.voided", limit=limit) == []
    assert whole(world, "payment.authorized", "payment.captured", limit=limit) == events


def test_a_cursor_that_no_listing_gave_is_refused(world: World) -> None:
    with pytest.raises(InvalidRequest):
        list_events(world, types=[], limit=1, cursor="bm9wZQ")
