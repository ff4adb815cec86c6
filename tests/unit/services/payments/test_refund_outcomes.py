"""Refunds of two test cards take their time: what they say at first, what becomes of them, and where the money is."""

from typing import Any

import pytest

from payments_sandbox.domain import iso8583
from payments_sandbox.domain.timestamps import MINUTE_MS
from payments_sandbox.services.events.events import event_of, list_events
from payments_sandbox.services.ledger.entries import with_settlement
from payments_sandbox.services.ledger.representations import render_transaction
from payments_sandbox.services.ledger.transactions import Filter, get_transaction, list_transactions
from payments_sandbox.services.payments.network_messages import get_network_messages
from payments_sandbox.services.payments.refund_outcomes import decide_outcome
from payments_sandbox.services.ports import Index, Record, Stale, Update
from payments_sandbox.services.world import World
from tests.calls.disputes import FAILING_REFUND_NUMBER, PENDING_REFUND_NUMBER, captured, dispute, pass_time
from tests.calls.payments import authorize, capture, card_with, id_of, refund
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import ACCOUNT, FrozenClock, make_world

Json = dict[str, Any]
DELAY_MS = 5 * MINUTE_MS


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def world(store: MemoryStore, clock: FrozenClock) -> World:
    return make_world(store, clock)


def shown(world: World, transaction_id: str) -> Json:
    return render_transaction(get_transaction(world, transaction_id).entry)


def events(world: World) -> list[str]:
    page = list_events(world, types=[], limit=100, cursor=None)
    return [event.type for event in page.items if event.type.startswith("payment.refund")]


def timers(world: World) -> list[Record]:
    return [
        record for record in world.store.page(Index.DUE, ACCOUNT).records if record.kind == "refund_timer"
    ]


def test_a_pending_refund_succeeds_five_minutes_later(world: World, clock: FrozenClock) -> None:
    authorization_id = captured(world, number=PENDING_REFUND_NUMBER)
    first = render_transaction(refund(world, authorization_id, amount=300).entry)
    assert (first["status"], first["decline"]) == ("pending", None)
    assert first["simulation"]["rule"] == "refund_pending_then_succeeded"
    assert first["balance"]["refunded_amount"] == 300
    pass_time(world, clock, ms=DELAY_MS - 1)
    assert shown(world, first["transaction_id"]) == first
    pass_time(world, clock, ms=1)
    assert shown(world, first["transaction_id"]) == {**first, "status": "succeeded"}
    assert shown(world, authorization_id)["balance"]["refunded_amount"] == 300
    assert events(world) == ["payment.refund_succeeded", "payment.refund_initiated"]


def test_a_refund_that_fails_gives_the_money_back(world: World, clock: FrozenClock) -> None:
    authorization_id = captured(world, number=FAILING_REFUND_NUMBER)
    first = render_transaction(refund(world, authorization_id, amount=300).entry)
    assert first["status"] == "succeeded"
    pass_time(world, clock, ms=DELAY_MS)
    assert shown(world, first["transaction_id"]) == {**first, "status": "failed"}
    family = [render_transaction(entry) for entry in get_transaction(world, authorization_id).members]
    failure = family[-1]
    assert (failure["type"], failure["refund_id"], failure["amount"]) == (
        "refund_failure",
        first["transaction_id"],
        300,
    )
    message, _ = get_network_messages(world, failure["transaction_id"]).request
    assert message.message_type == "0420"
    assert message.elements[iso8583.PROCESSING_CODE] == iso8583.REFUND
    assert family[0]["balance"]["refunded_amount"] == 0
    assert family[0]["balance"]["refundable_amount"] == 1000
    receivable = sum(
        posting["amount"]
        for entry in family
        for posting in entry["postings"]
        if posting["ledger_account"] == "merchant_receivable"
    )
    assert receivable == 1000
    assert events(world) == ["payment.refund_failed", "payment.refunded"]


def test_what_a_failed_refund_gave_back_can_be_refunded_or_disputed(world: World, clock: FrozenClock) -> None:
    authorization_id = captured(world, number=FAILING_REFUND_NUMBER)
    refund(world, authorization_id, "r-1")
    pass_time(world, clock, ms=DELAY_MS)
    refund(world, authorization_id, "r-2", amount=400)
    dispute(world, authorization_id, amount=600)
    pass_time(world, clock, ms=DELAY_MS)
    balance = shown(world, authorization_id)["balance"]
    assert (balance["refunded_amount"], balance["disputed_amount"], balance["refundable_amount"]) == (
        0,
        600,
        400,
    )


@pytest.mark.parametrize("number", [PENDING_REFUND_NUMBER, FAILING_REFUND_NUMBER])
def test_a_repeated_refund_is_answered_as_it_was_at_first(
    world: World, clock: FrozenClock, number: str
) -> None:
    authorization_id = captured(world, number=number)
    first = refund(world, authorization_id)
    pass_time(world, clock, ms=DELAY_MS)
    again = refund(world, authorization_id)
    assert again.replayed
    assert render_transaction(again.entry) == render_transaction(first.entry)


@pytest.mark.parametrize("number", [PENDING_REFUND_NUMBER, FAILING_REFUND_NUMBER])
def test_an_outcome_is_decided_once(
    world: World, store: MemoryStore, clock: FrozenClock, number: str
) -> None:
    refund(world, captured(world, number=number))
    (timer,) = timers(world)
    pass_time(world, clock, ms=DELAY_MS)
    before = dict(store.records)
    decide_outcome(world, timer)
    assert store.records == before
    assert timers(world) == []


class Settling(MemoryStore):
    """A store in which the refund is written by somebody else at the same moment, so many times."""

    def __init__(self) -> None:
        super().__init__()
        self.interruptions = 0

    def commit(self, inserts: Any, updates: Any) -> Any:
        refunds = [update.record.id for update in updates if update.record.kind == "refund"]
        if refunds and self.interruptions:
            self.interruptions -= 1
            current = self.records[refunds[0]]
            super().commit([], [Update(with_settlement(current, "stl_1", current.created_at))])
            return Stale()
        return super().commit(inserts, updates)


@pytest.mark.parametrize(
    ("number", "status"), [(PENDING_REFUND_NUMBER, "succeeded"), (FAILING_REFUND_NUMBER, "failed")]
)
def test_a_refund_that_is_settled_at_the_same_moment_keeps_both(number: str, status: str) -> None:
    clock, store = FrozenClock(), Settling()
    world = make_world(store, clock)
    refund_id = id_of(refund(world, captured(world, number=number)))
    store.interruptions = 1
    pass_time(world, clock, ms=DELAY_MS)
    assert shown(world, refund_id)["status"] == status
    assert shown(world, refund_id)["settlement_id"] == "stl_1"


def test_a_declined_refund_takes_no_course(world: World) -> None:
    authorization_id = captured(world, number=PENDING_REFUND_NUMBER)
    declined = render_transaction(refund(world, authorization_id, simulate="do_not_honor").entry)
    assert declined["status"] == "declined"
    assert declined["simulation"]["overridden"] == ["authorization"]
    assert timers(world) == []


def test_a_header_overrides_the_course(world: World) -> None:
    authorization_id = captured(world, number=PENDING_REFUND_NUMBER)
    approved = render_transaction(refund(world, authorization_id, simulate="approve").entry)
    assert (approved["status"], timers(world)) == ("succeeded", [])
    assert approved["simulation"]["overridden"] == ["authorization"]


def test_an_ordinary_refund_succeeds_at_once_and_waits_for_nothing(world: World) -> None:
    authorization_id = captured(world)
    assert render_transaction(refund(world, authorization_id).entry)["status"] == "succeeded"
    assert timers(world) == []
    assert events(world) == ["payment.refunded"]


def test_refunds_are_listed_by_the_status_that_they_have_now(world: World, clock: FrozenClock) -> None:
    pending = id_of(refund(world, captured(world, "a", number=PENDING_REFUND_NUMBER), "r-a"))
    failing = id_of(refund(world, captured(world, "b", number=FAILING_REFUND_NUMBER), "r-b"))

    def listed(status: str) -> list[str]:
        page = list_transactions(world, Filter(type="refund", status=status), limit=10, cursor=None)
        return [entry.record.id for entry in page.items]

    assert (listed("pending"), listed("succeeded"), listed("failed")) == ([pending], [failing], [])
    pass_time(world, clock, ms=DELAY_MS)
    assert (listed("pending"), listed("succeeded"), listed("failed")) == ([], [pending], [failing])


def test_the_event_of_a_success_shows_the_refund_as_it_is_then(world: World, clock: FrozenClock) -> None:
    refund_id = id_of(refund(world, captured(world, number=PENDING_REFUND_NUMBER)))
    pass_time(world, clock, ms=DELAY_MS)
    page = list_events(world, types=["payment.refund_succeeded"], limit=10, cursor=None)
    (success,) = page.items
    assert success.at_ms == clock.now_ms()
    assert success.data == shown(world, refund_id)
    # The refund's own event is told as it was made, for ever.
    (record,) = world.store.get([refund_id])
    assert record is not None
    assert (event_of(record).type, event_of(record).data["status"]) == ("payment.refund_initiated", "pending")


def test_more_entries_than_one_read_fetches_are_all_in_the_family(world: World, clock: FrozenClock) -> None:
    authorization_id = id_of(authorize(world, card=card_with(number=FAILING_REFUND_NUMBER)))
    capture(world, authorization_id)
    for number in range(90):
        refund(world, authorization_id, f"r-{number}", amount=1)
    pass_time(world, clock, ms=DELAY_MS)
    members = get_transaction(world, authorization_id).members
    assert len(members) == 1 + 1 + 90 + 90
    assert len({member.record.id for member in members}) == len(members)
