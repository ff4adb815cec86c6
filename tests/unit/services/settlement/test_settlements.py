"""Settling an account: what is gathered and when, what is paid, and what entries, events and reports say of it."""

from collections.abc import Sequence
from typing import Any

import pytest

from payments_sandbox.domain.errors import (
    AccountBusy,
    InvalidRequest,
    SettlementInProgress,
    SettlementNotFound,
    StoreUnavailable,
)
from payments_sandbox.domain.postings import MERCHANT_RECEIVABLE, balance_of
from payments_sandbox.domain.timestamps import DAY_MS, HOUR_MS, MINUTE_MS, format_timestamp, parse_timestamp
from payments_sandbox.services.accounts.accounts import create_account
from payments_sandbox.services.accounts.controls import controlled_world, get_controls
from payments_sandbox.services.events.events import Event, list_events
from payments_sandbox.services.infrastructure import Limits
from payments_sandbox.services.ledger.representations import render_transaction
from payments_sandbox.services.ledger.transactions import get_transaction
from payments_sandbox.services.ports import (
    IDS_MAX,
    WRITES_MAX,
    CommitResult,
    Index,
    Record,
    Stale,
    Update,
)
from payments_sandbox.services.settlement import settlement_records, settlements
from payments_sandbox.services.settlement.representations import render_settlement
from payments_sandbox.services.settlement.settlement_records import Settlement
from payments_sandbox.services.settlement.settlement_reports import get_report
from payments_sandbox.services.settlement.settlement_schedule import change_schedule, get_schedule
from payments_sandbox.services.settlement.settlements import (
    get_settlement,
    list_settlements,
    settle_on_demand,
)
from payments_sandbox.services.time.scheduled_work import SCHEDULED_WORK, do_scheduled_work
from payments_sandbox.services.world import World
from tests.calls.payments import (
    CAPTURE_DECLINED_NUMBER,
    OTHER_ACCOUNT,
    authorize,
    capture,
    card_with,
    id_of,
    increment,
    refund,
    void,
)
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import (
    ACCOUNT,
    NOW_MS,
    FrozenClock,
    make_world,
    of_account,
    with_infrastructure,
    with_store,
)
from tests.doubles.stores import CountingStore, DyingStore, Killed, RacingStore
from tests.virtual_time.scheduled_work import do_everything_due

MIDNIGHT_MS = parse_timestamp("2026-11-24T00:00:00Z")


def pay(world: World, key: str, amount: int = 1000, **fields: Any) -> str:
    """A captured payment; answers the capture's id."""
    account = {"account": fields.pop("account")} if "account" in fields else {}
    authorization_id = id_of(authorize(world, key, amount=amount, **account, **fields))
    return id_of(capture(world, authorization_id, key, **account))


def made(world: World, account: str = ACCOUNT) -> list[Settlement]:
    return list(list_settlements(of_account(world, account), limit=100, cursor=None).items)


def settle_now(
    world: World, *, up_to: int | None = None, discrepancies: Sequence[str] = ()
) -> list[Settlement]:
    return settle_on_demand(world, up_to=up_to, discrepancies=discrepancies)


def ids_in(world: World, settlement: Settlement) -> list[str]:
    report = get_report(of_account(world, settlement.account_id), settlement.settlement_id)
    return [line.transaction_id for line in report.misreport.lines]


def shown(world: World, transaction_id: str) -> dict[str, Any]:
    return render_transaction(get_transaction(world, transaction_id).entry)


# --- when ---


def test_what_was_captured_and_refunded_on_a_day_is_settled_at_its_end(
    world: World, clock: FrozenClock
) -> None:
    captured = pay(world, "a")
    clock.advance(ms=1)
    refunded = id_of(refund(world, shown(world, captured)["authorization_id"], amount=300))
    clock.at_ms = MIDNIGHT_MS - 1
    assert do_everything_due(world.infrastructure, ACCOUNT) == []
    clock.at_ms = MIDNIGHT_MS
    tomorrows = pay(world, "b")
    do_everything_due(world.infrastructure, ACCOUNT)
    (settlement,) = made(world)
    assert ids_in(world, settlement) == [captured, refunded]
    for transaction_id in (captured, refunded):
        entry = shown(world, transaction_id)
        assert (entry["settlement_id"], entry["settled_at"]) == (
            settlement.settlement_id,
            "2026-11-24T00:00:00.000Z",
        )
    assert (shown(world, tomorrows)["settlement_id"], shown(world, tomorrows)["settled_at"]) == (None, None)


def test_days_that_were_slept_through_are_settled_one_by_one(world: World, clock: FrozenClock) -> None:
    for day in range(3):
        pay(world, f"day-{day}")
        clock.advance(days=1)
    done = do_everything_due(world.infrastructure, ACCOUNT)
    assert len(done) == 3
    assert [settlement.batch.settled_at for settlement in made(world)] == [
        MIDNIGHT_MS + 2 * DAY_MS,
        MIDNIGHT_MS + DAY_MS,
        MIDNIGHT_MS,
    ]
    assert [settlement.count for settlement in made(world)] == [1, 1, 1]


def test_only_what_moved_money_of_the_merchants_is_settled(world: World, clock: FrozenClock) -> None:
    authorization_id = id_of(authorize(world))
    increment(world, authorization_id)
    captured = id_of(capture(world, authorization_id, amount=700))
    refund(world, authorization_id, "declined", simulate="lost_card")
    void(world, authorization_id)
    capture(world, id_of(authorize(world, "b", card=card_with(number=CAPTURE_DECLINED_NUMBER))), "b")
    clock.advance(days=1)
    do_everything_due(world.infrastructure, ACCOUNT)
    (settlement,) = made(world)
    assert ids_in(world, settlement) == [captured]


def test_each_currency_is_settled_by_itself(world: World, clock: FrozenClock) -> None:
    euros = [pay(world, "a", 1000), pay(world, "b", 2000)]
    yen = pay(world, "c", 5000, currency="JPY")
    clock.advance(days=1)
    do_everything_due(world.infrastructure, ACCOUNT)
    settled = {settlement.currency: settlement for settlement in made(world)}
    assert sorted(ids_in(world, settled["EUR"])) == sorted(euros)
    assert ids_in(world, settled["JPY"]) == [yen]
    assert (settled["JPY"].gross, settled["JPY"].fees) == (5000, 70 + 25)


def test_other_accounts_are_left_alone(world: World, clock: FrozenClock) -> None:
    mine, theirs = pay(world, "a"), pay(world, "a", account=OTHER_ACCOUNT)
    clock.advance(days=1)
    do_everything_due(world.infrastructure, ACCOUNT)
    assert [ids_in(world, settlement) for settlement in made(world)] == [[mine]]
    assert made(world, OTHER_ACCOUNT) == []
    do_everything_due(world.infrastructure, OTHER_ACCOUNT)
    (settlement,) = made(world, OTHER_ACCOUNT)
    assert ids_in(world, settlement) == [theirs]
    with pytest.raises(SettlementNotFound):
        get_settlement(world, settlement.settlement_id)
    with pytest.raises(SettlementNotFound):
        get_report(world, settlement.settlement_id)


def test_every_kind_that_is_settled_and_every_settlement_begun_has_somebody_who_does_it() -> None:
    assert {"capture", "refund", "settlement"} <= set(SCHEDULED_WORK)
    assert {SCHEDULED_WORK[kind].name for kind in ("capture", "refund", "settlement")} == {"settlement"}


# --- how much ---


def test_what_is_paid_out_is_what_was_owed_less_the_fees_of_each_line(
    world: World, clock: FrozenClock, store: MemoryStore
) -> None:
    first = pay(world, "a", 1035)
    pay(world, "b", 99, card=card_with(number="5555555555554444"))
    refund(world, shown(world, first)["authorization_id"], amount=35)
    clock.advance(days=1)
    do_everything_due(world.infrastructure, ACCOUNT)
    (settlement,) = made(world)
    fees = (14 + 25) + (1 + 25) + 25
    assert render_settlement(settlement) == {
        "settlement_id": settlement.settlement_id,
        "status": "completed",
        "initiated_by": "schedule",
        "currency": "EUR",
        "up_to": "2026-11-24T00:00:00.000Z",
        "settled_at": "2026-11-24T00:00:00.000Z",
        "entry_count": 3,
        "gross_amount": 1099,
        "fee_amount": fees,
        "net_amount": 1099 - fees,
        "groups": [
            group("capture", "mastercard", 99, 26),
            group("capture", "visa", 1035, 39),
            group("refund", "visa", -35, 25),
        ],
        "postings": [
            {"ledger_account": "merchant_receivable", "amount": -1099},
            {"ledger_account": "acquirer_fees", "amount": fees},
            {"ledger_account": "merchant_payable", "amount": 1099 - fees},
        ],
        "payout": {
            "payout_id": "po_" + settlement.settlement_id.removeprefix("stl_"),
            "amount": 1099 - fees,
            "currency": "EUR",
            "paid_at": "2026-11-24T00:00:00.000Z",
            "postings": [
                {"ledger_account": "merchant_payable", "amount": fees - 1099},
                {"ledger_account": "merchant_bank", "amount": 1099 - fees},
            ],
        },
        "discrepancy_count": 0,
    }
    owed = sum(
        balance_of([(name, amount) for name, amount in record.data["postings"]], MERCHANT_RECEIVABLE)
        for record in store.records.values()
        if record.data.get("settlement_id") == settlement.settlement_id
    )
    assert owed + balance_of(settlement.postings, MERCHANT_RECEIVABLE) == 0


def group(kind: str, brand: str, gross: int, fee: int) -> dict[str, Any]:
    return {
        "type": kind,
        "brand": brand,
        "count": 1,
        "gross_amount": gross,
        "fee_amount": fee,
        "net_amount": gross - fee,
    }


def test_a_day_of_refunds_is_collected_from_the_merchant(world: World, clock: FrozenClock) -> None:
    captured = pay(world, "a")
    clock.advance(days=1)
    do_everything_due(world.infrastructure, ACCOUNT)
    refund(world, shown(world, captured)["authorization_id"])
    clock.advance(days=1)
    do_everything_due(world.infrastructure, ACCOUNT)
    newest = made(world)[0]
    assert (newest.gross, newest.fees, newest.net) == (-1000, 25, -1025)
    assert sum(amount for _, amount in newest.postings) == 0


# --- what the lines say ---


def test_a_line_names_the_entry_and_the_merchants_reference_for_it(world: World, clock: FrozenClock) -> None:
    named = id_of(authorize(world, "a", merchant_reference="order-1"))
    own = capture(world, named, "a", amount=400, merchant_reference="order-1/1")
    clock.advance(ms=5)
    inherited = capture(world, named, "b", amount=100)
    clock.advance(ms=5)
    nameless = pay(world, "c")
    (settlement,) = settle_now(world)
    lines = get_report(world, settlement.settlement_id).misreport.lines
    assert [(line.transaction_id, line.merchant_reference) for line in lines] == [
        (id_of(own), "order-1/1"),
        (id_of(inherited), "order-1"),
        (nameless, None),
    ]
    first = lines[0]
    assert (first.authorization_id, first.type, first.brand, first.created_at) == (
        named,
        "capture",
        "visa",
        NOW_MS,
    )
    assert first.acquirer_reference == own.entry.data["network"]["acquirer_reference"]
    assert (first.gross, first.fee, first.net) == (400, 31, 369)


def test_a_busy_day_makes_several_settlements(
    clock: FrozenClock,
) -> None:
    few = Limits(settlement_lines_per_record=3, settlement_line_records_max=2)
    world = make_world(clock=clock, limits=few)
    captured = [pay(world, f"p-{number}", 100 + number) for number in range(14)]
    clock.advance(days=1)
    assert len(do_everything_due(world.infrastructure, ACCOUNT)) == 1
    assert sorted(settlement.count for settlement in made(world)) == [2, 6, 6]
    found = [each for settlement in made(world) for each in ids_in(world, settlement)]
    assert sorted(found) == sorted(captured)
    assert sum(settlement.gross for settlement in made(world)) == sum(range(100, 114))


def test_a_settlement_holds_as_many_lines_as_one_atomic_write_and_one_read_allow() -> None:
    limits = Limits()
    assert limits.settlement_lines_per_record + 2 == WRITES_MAX
    assert limits.settlement_line_records_max == IDS_MAX
    assert limits.settlement_lines_per_record * limits.settlement_line_records_max == 9_800


def test_a_thousand_entries_take_a_write_for_every_98_of_them_and_few_reads(clock: FrozenClock) -> None:
    store = CountingStore()
    world = make_world(store, clock)
    for number in range(500):
        authorization_id = id_of(authorize(world, f"p-{number}", merchant_reference="order"))
        capture(world, authorization_id, f"p-{number}", amount=500)
        capture(world, authorization_id, f"q-{number}", final=True)
    clock.advance(days=1)
    store.calls.clear()
    do_everything_due(world.infrastructure, ACCOUNT)
    assert store.calls.count("commit") == 11 + 1
    assert store.calls.count("insert") == 0
    assert store.calls.count("page") <= 4
    # The authorizations of each set; besides, the controls, the entry, the settlement when it is opened and when completed.
    assert store.calls.count("get") == 11 + 4


# --- on demand ---


def test_settling_on_demand_takes_everything_that_was_made_until_then(
    world: World, clock: FrozenClock
) -> None:
    early = pay(world, "a")
    clock.advance(ms=HOUR_MS)
    (settlement,) = settle_now(world)
    assert ids_in(world, settlement) == [early]
    assert render_settlement(settlement)["initiated_by"] == "request"
    assert settle_now(world) == []
    later = pay(world, "b")
    (another,) = settle_now(world)
    assert ids_in(world, another) == [later]
    clock.advance(days=2)
    assert do_everything_due(world.infrastructure, ACCOUNT) == []
    assert len(made(world)) == 2


@pytest.mark.parametrize(("up_to", "count"), [(-1, 0), (0, 1), (MINUTE_MS - 1, 1), (MINUTE_MS, 2), (None, 3)])
def test_settling_up_to_a_moment_includes_it_and_leaves_the_rest(
    world: World, clock: FrozenClock, up_to: int | None, count: int
) -> None:
    captured = []
    for number in range(3):
        captured.append(pay(world, f"p-{number}"))
        clock.advance(ms=MINUTE_MS)
    settled = settle_now(world, up_to=None if up_to is None else NOW_MS + up_to)
    assert [each for settlement in settled for each in ids_in(world, settlement)] == captured[:count]
    clock.at_ms = MIDNIGHT_MS
    do_everything_due(world.infrastructure, ACCOUNT)
    assert sum(settlement.count for settlement in made(world)) == 3


def test_a_moment_to_come_is_now(world: World) -> None:
    pay(world, "a")
    (settlement,) = settle_now(world, up_to=NOW_MS + DAY_MS)
    assert render_settlement(settlement)["up_to"] == format_timestamp(NOW_MS)


def test_two_settlements_of_one_moment_are_two(world: World) -> None:
    pay(world, "a")
    (first,) = settle_now(world)
    pay(world, "b")
    (second,) = settle_now(world)
    assert first.settlement_id != second.settlement_id
    assert first.batch == second.batch


def test_settling_on_demand_completes_what_was_begun(clock: FrozenClock) -> None:
    inner = MemoryStore()
    world = make_world(inner, clock)
    captured = pay(world, "a")
    clock.at_ms = MIDNIGHT_MS
    dying = with_store(world, DyingStore(inner, 1, before=False))
    with pytest.raises(Killed):
        do_everything_due(dying.infrastructure, ACCOUNT)
    (begun,) = made(world)
    assert not begun.completed
    with pytest.raises(SettlementInProgress):
        get_report(world, begun.settlement_id)
    rendered = render_settlement(begun)
    assert (rendered["status"], rendered["payout"], rendered["postings"]) == ("in_progress", None, [])
    clock.advance(ms=HOUR_MS)
    later = pay(world, "b")
    resumed, new = settle_now(world)
    assert resumed.settlement_id == begun.settlement_id
    assert resumed.completed
    assert ids_in(world, resumed) == [captured]
    assert ids_in(world, new) == [later]
    assert render_settlement(resumed)["initiated_by"] == "schedule"


def test_a_request_whose_time_is_over_answers_what_it_began_and_a_repeat_goes_on(
    world: World,
) -> None:
    world = with_infrastructure(world, limits=Limits(settlement_lines_per_record=2))
    captured = [pay(world, f"p-{number}") for number in range(7)]
    hasty = with_infrastructure(world, request_budget_s=0)
    counts = []
    for _ in range(4):
        (settlement,) = settle_now(hasty)
        counts.append((settlement.count, settlement.completed))
    assert counts == [(2, False), (4, False), (6, False), (7, True)]
    assert sorted(ids_in(world, settlement)) == sorted(captured)
    assert settle_now(hasty) == []


# --- races ---


def test_whoever_loses_a_race_settles_what_is_left(clock: FrozenClock) -> None:
    store = RacingStore()
    world = make_world(store, clock)
    captured = [pay(world, f"p-{number}") for number in range(3)]
    others: list[Settlement] = []
    store.first = lambda: others.extend(settle_now(world))
    assert settle_now(world) == []
    (settlement,) = made(world)
    assert [each.settlement_id for each in others] == [settlement.settlement_id]
    assert sorted(ids_in(world, settlement)) == sorted(captured)
    assert len([event for event in events(world) if event.type == "settlement.completed"]) == 1


def test_whoever_finds_the_settlement_completed_opens_another(
    clock: FrozenClock,
) -> None:
    two = Limits(settlement_lines_per_record=2)
    world = make_world(MemoryStore(), clock, two)
    captured = [pay(world, f"p-{number}") for number in range(4)]

    others = world

    def complete_it() -> None:
        (begun,) = made(others)
        settlements.complete_settlement(others, begun.settlement_id)

    class OpensThenLoses(RacingStore):
        def commit(self, inserts: Sequence[Record], updates: Sequence[Update]) -> CommitResult:
            # The first write opens the settlement; the second, which adds to it, comes too late.
            if self.calls.count("commit") == 1:
                self.first = complete_it
            return super().commit(inserts, updates)

    world = with_store(world, OpensThenLoses(world.store))
    settle_now(world)
    assert sorted(settlement.count for settlement in made(world)) == [2, 2]
    found = [each for settlement in made(world) for each in ids_in(world, settlement)]
    assert sorted(found) == sorted(captured)


def test_losing_every_race_is_said_so(clock: FrozenClock) -> None:
    store = RacingStore()
    world = make_world(store, clock)
    pay(world, "a")
    store.lose = 1_000
    with pytest.raises(AccountBusy):
        settle_now(world)
    store.lose = 0
    settle_now(world)
    begun = made(world)[0]
    assert begun.completed


def test_a_settlement_that_cannot_be_completed_is_found_again(clock: FrozenClock) -> None:
    class Refusing(CountingStore):
        refusing = True

        def commit(self, inserts: Sequence[Record], updates: Sequence[Update]) -> CommitResult:
            if self.refusing and any(record.kind == "settlement_completed" for record in inserts):
                return Stale()
            return super().commit(inserts, updates)

    store = Refusing()
    world = make_world(store, clock)
    pay(world, "a")
    with pytest.raises(AccountBusy):
        settle_now(world)
    store.refusing = False
    do_everything_due(world.infrastructure, ACCOUNT)
    (settlement,) = made(world)
    assert settlement.completed


def test_an_unavailable_ledger_is_not_hidden(clock: FrozenClock) -> None:
    class Unavailable(CountingStore):
        def page(self, index: Index, key: str, **_: Any) -> Any:
            raise StoreUnavailable("gone")

    with pytest.raises(StoreUnavailable):
        settle_now(make_world(Unavailable(), clock))


# --- what is told ---


def events(world: World) -> list[Event]:
    return list(list_events(world, types=[], limit=100, cursor=None).items)


def test_a_settlement_that_is_completed_is_an_event_with_all_that_it_shows(
    world: World, clock: FrozenClock
) -> None:
    pay(world, "a")
    clock.advance(days=1)
    do_everything_due(world.infrastructure, ACCOUNT)
    (settlement,) = made(world)
    (event,) = [event for event in events(world) if event.type == "settlement.completed"]
    assert event.data == render_settlement(settlement)
    assert event.at_ms == MIDNIGHT_MS


def test_the_first_result_of_a_capture_is_repeated_without_its_settlement(
    world: World, clock: FrozenClock
) -> None:
    authorization_id = id_of(authorize(world))
    first = render_transaction(capture(world, authorization_id).entry)
    settle_now(world)
    repeated = capture(world, authorization_id)
    assert repeated.replayed
    assert render_transaction(repeated.entry) == first
    assert first["settlement_id"] is None
    (captured,) = [event for event in events(world) if event.type == "payment.captured"]
    assert captured.data == first


def test_settlements_are_listed_newest_first_a_page_at_a_time(world: World, clock: FrozenClock) -> None:
    for day in range(5):
        pay(world, f"day-{day}")
        clock.advance(days=1)
        do_everything_due(world.infrastructure, ACCOUNT)
    found: list[Settlement] = []
    cursor = None
    while True:
        page = list_settlements(world, limit=2, cursor=cursor)
        assert len(page.items) <= 2
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == made(world)
    moments = [settlement.batch.settled_at for settlement in found]
    assert moments == sorted(moments, reverse=True)
    assert len(set(moments)) == 5
    with pytest.raises(InvalidRequest):
        list_settlements(world, limit=2, cursor="made-up")


@pytest.mark.parametrize("settlement_id", ["stl_unknown", ACCOUNT])
def test_what_is_no_settlement_is_not_found(world: World, settlement_id: str) -> None:
    with pytest.raises(SettlementNotFound):
        get_settlement(world, settlement_id)


def test_a_line_record_is_no_settlement(world: World) -> None:
    pay(world, "a")
    (settlement,) = settle_now(world)
    with pytest.raises(SettlementNotFound):
        get_settlement(world, settlement_records.line_record_id(settlement.settlement_id, 0))


# --- discrepancies ---


def test_planted_discrepancies_are_in_the_report_and_nowhere_else(world: World, store: MemoryStore) -> None:
    captured = [pay(world, f"p-{number}", 1000 + number) for number in range(6)]
    kinds = ["missing_line", "doubled_line", "wrong_amount", "late_fee"]
    (settlement,) = settle_now(world, discrepancies=kinds)
    assert settlement.gross == sum(range(1000, 1006))
    assert render_settlement(settlement)["discrepancy_count"] == 4
    report = get_report(world, settlement.settlement_id)
    assert [planted.kind for planted in report.misreport.planted] == kinds
    assert len(report.misreport.lines) == 6 - 1 + 1 + 1
    assert sum(line.net for line in report.misreport.lines) != settlement.net
    assert sorted(line.transaction_id for line in settlement_records.read_lines(world, settlement)) == sorted(
        captured
    )
    assert get_report(world, settlement.settlement_id) == report


# --- the schedule ---


def test_days_end_at_midnight_until_the_account_says_otherwise(world: World, clock: FrozenClock) -> None:
    assert get_schedule(world).cutoff_minutes == 0
    assert get_schedule(world).next_at == MIDNIGHT_MS


def test_an_account_changes_when_its_days_end_for_what_it_makes_from_then_on(clock: FrozenClock) -> None:
    world = make_world(MemoryStore(), clock)
    account, _ = create_account(world.infrastructure, name=None)

    def its_world() -> World:
        return controlled_world(
            world.infrastructure,
            account.account_id,
            get_controls(world.infrastructure, account.account_id),
        )

    before = pay(its_world(), "a", account=account.account_id)
    changed, first = change_schedule(its_world(), 17 * 60 + 30)
    assert first
    assert changed.next_at == parse_timestamp("2026-11-23T17:30:00Z")
    assert get_schedule(its_world()) == changed
    after = pay(its_world(), "b", account=account.account_id)
    clock.at_ms = parse_timestamp("2026-11-24T00:00:00Z")
    do_everything_due(world.infrastructure, account.account_id)
    newest, oldest = made(world, account.account_id)
    assert ids_in(world, oldest) == [after]
    assert oldest.batch.settled_at == parse_timestamp("2026-11-23T17:30:00Z")
    assert ids_in(world, newest) == [before]


def test_a_due_entry_that_was_settled_meanwhile_is_nobodys_work_any_more(
    world: World, store: MemoryStore, clock: FrozenClock
) -> None:
    captured = pay(world, "a")
    listed = store.records[captured]
    settle_now(world)
    before = dict(store.records)
    do_scheduled_work(world, listed)
    assert store.records == before
