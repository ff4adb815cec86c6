"""Snapshots: what they keep, going back, forking, and what is left when a process dies on the way."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from payments_sandbox.domain.cards import CardDetails
from payments_sandbox.domain.errors import (
    AccountBusy,
    SnapshotLimitReached,
    SnapshotNotFound,
    SnapshotTooLarge,
    TransactionNotFound,
)
from payments_sandbox.domain.faults import Rule
from payments_sandbox.domain.ids import TransactionId
from payments_sandbox.domain.timestamps import DAY_MS
from payments_sandbox.services.accounts.accounts import (
    DEMO_ACCOUNT,
    DEMO_API_KEY,
    authenticate,
    ensure_demo_account,
)
from payments_sandbox.services.accounts.controls import (
    change_controls,
    get_controls,
    retire,
    world_of,
)
from payments_sandbox.services.events import events
from payments_sandbox.services.infrastructure import Infrastructure, Limits
from payments_sandbox.services.ledger import transactions
from payments_sandbox.services.ledger.representations import render_family
from payments_sandbox.services.ledger.scopes import own_record
from payments_sandbox.services.ledger.transactions import Filter
from payments_sandbox.services.payments import payments
from payments_sandbox.services.payments.payments import Authorize, PaymentOperation
from payments_sandbox.services.ports import CommitResult, Index, Record, Update
from payments_sandbox.services.settlement.settlement_records import Settlement
from payments_sandbox.services.settlement.settlement_reports import get_report
from payments_sandbox.services.settlement.settlements import settle_on_demand
from payments_sandbox.services.simulation import faults, snapshots, world_copies
from payments_sandbox.services.simulation.snapshots import Snapshot
from payments_sandbox.services.time.scheduled_work import do_scheduled_work
from payments_sandbox.services.webhooks import webhook_endpoints
from payments_sandbox.services.webhooks.webhook_deliveries import list_deliveries, plan_deliveries
from payments_sandbox.services.world import World, plain_world
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import NOW_MS, FrozenClock, make_infrastructure

VISA = "4242424242424242"
URL = "http://127.0.0.1:3000/hooks"


MANY_CHUNKS = Limits(snapshot_chunk_bytes_max=2_000, snapshot_writes=3)


@pytest.fixture
def infrastructure() -> Infrastructure:
    made = make_infrastructure()
    ensure_demo_account(made)
    return made


def demo(infrastructure: Infrastructure) -> World:
    """The demo account's world, as a request gets it."""
    return world_of(infrastructure, DEMO_ACCOUNT)


def authorize(world: World, key: str, amount: int = 1000) -> str:
    command = Authorize(amount, "EUR", CardDetails(VISA, 12, 2030))
    outcome = payments.authorize_payment(world, command, idempotency_key=key)
    return outcome.entry.record.id


def capture(world: World, authorization_id: str, key: str) -> str:
    operation = PaymentOperation(TransactionId(authorization_id), amount=100)
    outcome = payments.capture_payment(world, operation, idempotency_key=key)
    return outcome.entry.record.id


def take(infrastructure: Infrastructure, name: str | None = None) -> Snapshot:
    return asyncio.run(snapshots.take_snapshot(demo(infrastructure), name=name))


def restore(infrastructure: Infrastructure, snapshot: Snapshot) -> bool:
    _, first = asyncio.run(snapshots.restore_snapshot(demo(infrastructure), snapshot.snapshot_id))
    return first


def fork(infrastructure: Infrastructure, snapshot: Snapshot) -> tuple[World, str]:
    account, _ = asyncio.run(snapshots.fork_snapshot(demo(infrastructure), snapshot.snapshot_id, name="Fork"))
    return world_of(infrastructure, account.account_id), account.account_id


def view(world: World) -> dict[str, Any]:
    """Everything that an account can see of its world."""
    listed = transactions.list_transactions(world, Filter(), limit=100, cursor=None).items
    return {
        "transactions": [
            render_family(transactions.get_transaction(world, entry.record.id)) for entry in listed
        ],
        "endpoints": webhook_endpoints.list_endpoints(world),
        "events": [event.id for event in events.list_events(world, types=[], limit=100, cursor=None).items],
        "due": [
            (record.id, record.due_at)
            for record in world.store.page(Index.DUE, world.account_id).records
            if record.kind != "webhook_delivery"
        ],
        "faults": faults.get_rules(world),
    }


def build_world(infrastructure: Infrastructure) -> dict[str, Any]:
    """Some of everything; answers what the account sees of it."""
    own = demo(infrastructure)
    webhook_endpoints.create_endpoint(own, url=URL)
    first = authorize(own, "first")
    capture(own, first, "first")
    authorize(own, "second")
    faults.set_rules(own, [Rule("latency=1")])
    return view(demo(infrastructure))


def test_a_restored_account_is_where_it_was(infrastructure: Infrastructure) -> None:
    before = build_world(infrastructure)
    snapshot = take(infrastructure, "Baseline")
    assert (snapshot.name, snapshot.records) == ("Baseline", 4)
    own = demo(infrastructure)
    later = authorize(own, "third")
    webhook_endpoints.create_endpoint(own, url=URL + "/2")
    faults.clear_rules(own)
    assert view(demo(infrastructure)) != before
    restore(infrastructure, snapshot)
    assert view(demo(infrastructure)) == before
    with pytest.raises(TransactionNotFound):
        transactions.get_transaction(demo(infrastructure), later)


def test_a_restored_account_goes_on_from_there_and_can_be_restored_again(
    infrastructure: Infrastructure,
) -> None:
    before = build_world(infrastructure)
    snapshot = take(infrastructure)
    for _ in range(3):
        restore(infrastructure, snapshot)
        assert view(demo(infrastructure)) == before
        capture(demo(infrastructure), authorize(demo(infrastructure), "third"), "third")
        assert len(view(demo(infrastructure))["transactions"]) == 5


def test_an_ordinary_account_is_controlled_once_it_was_restored(infrastructure: Infrastructure) -> None:
    authorize(plain_world(infrastructure, DEMO_ACCOUNT), "first")
    snapshot = take(infrastructure)
    assert not authenticate(infrastructure, DEMO_API_KEY).controlled
    assert restore(infrastructure, snapshot)
    assert authenticate(infrastructure, DEMO_API_KEY).controlled
    assert not restore(infrastructure, snapshot)


def test_a_fork_shows_the_same_ids_and_lives_its_own_life(infrastructure: Infrastructure) -> None:
    before = build_world(infrastructure)
    snapshot = take(infrastructure)
    (one, _), (two, _) = fork(infrastructure, snapshot), fork(infrastructure, snapshot)
    assert view(one) == view(two) == before
    new = authorize(one, "third")
    assert len(view(one)["transactions"]) == 4
    assert view(two) == before
    assert view(demo(infrastructure)) == before
    # The same call gives the same id in each of them.
    assert authorize(two, "third") == authorize(demo(infrastructure), "third") == new


def test_a_key_that_was_used_before_the_snapshot_is_replayed_in_a_fork(
    infrastructure: Infrastructure,
) -> None:
    authorization = authorize(plain_world(infrastructure, DEMO_ACCOUNT), "first")
    own, _ = fork(infrastructure, take(infrastructure))
    command = Authorize(1000, "EUR", CardDetails(VISA, 12, 2030))
    outcome = payments.authorize_payment(own, command, idempotency_key="first")
    assert outcome.replayed
    assert outcome.entry.record.id == authorization
    assert capture(own, authorization, "one") == capture(
        plain_world(infrastructure, DEMO_ACCOUNT), authorization, "one"
    )


def test_a_fork_of_a_fork_begins_from_it(infrastructure: Infrastructure) -> None:
    authorize(plain_world(infrastructure, DEMO_ACCOUNT), "first")
    own, _ = fork(infrastructure, take(infrastructure))
    authorize(own, "second")
    snapshot = asyncio.run(snapshots.take_snapshot(own, name=None))
    account, _ = asyncio.run(snapshots.fork_snapshot(own, snapshot.snapshot_id, name=None))
    child = world_of(infrastructure, account.account_id)
    assert view(child) == view(own)
    assert get_controls(infrastructure, account.account_id).namespace == DEMO_ACCOUNT


def test_forks_of_a_seeded_account_keep_its_seed(infrastructure: Infrastructure) -> None:
    made, _ = world_copies.create_seeded_account(infrastructure, name=None, seed="seed")
    own = world_of(infrastructure, made.account_id)
    snapshot = asyncio.run(snapshots.take_snapshot(own, name=None))
    account, _ = asyncio.run(snapshots.fork_snapshot(own, snapshot.snapshot_id, name=None))
    assert account.seed == "seed"
    child = world_of(infrastructure, account.account_id)
    assert authorize(child, "first") == authorize(own, "first")


def test_the_clock_stands_where_it_stood_unless_that_is_past() -> None:
    clock = FrozenClock()
    infrastructure = make_infrastructure(clock=clock)
    ensure_demo_account(infrastructure)
    change_controls(
        infrastructure, DEMO_ACCOUNT, lambda controls: replace(controls, clock_offset_ms=5 * DAY_MS)
    )
    snapshot = take(infrastructure)
    assert snapshot.clock_at == NOW_MS + 5 * DAY_MS
    change_controls(
        infrastructure, DEMO_ACCOUNT, lambda controls: replace(controls, clock_offset_ms=90 * DAY_MS)
    )
    clock.advance(days=2)
    restore(infrastructure, snapshot)
    assert demo(infrastructure).clock.now_ms() == NOW_MS + 5 * DAY_MS
    clock.advance(days=10)
    restore(infrastructure, snapshot)
    assert demo(infrastructure).clock.now_ms() == clock.now_ms()


def test_fault_rules_count_from_nothing_in_a_restored_world(infrastructure: Infrastructure) -> None:
    own = demo(infrastructure)
    faults.set_rules(own, [Rule("error=503", count=1)])
    assert faults.next_fault(own, get_controls(infrastructure, DEMO_ACCOUNT), "get_card")
    snapshot = take(infrastructure)
    restore(infrastructure, snapshot)
    assert faults.next_fault(demo(infrastructure), get_controls(infrastructure, DEMO_ACCOUNT), "get_card")


def test_what_is_copied_is_listed_as_an_event_and_is_no_news(infrastructure: Infrastructure) -> None:
    build_world(infrastructure)
    own, account_id = fork(infrastructure, take(infrastructure))
    copied = own.store.page(Index.FEED, f"{account_id}#transaction").records
    assert copied
    assert all(events.is_event(record) and not events.is_news(record) for record in copied)
    (fresh,) = own.store.get([authorize(own, "new")])
    assert fresh is not None
    assert events.is_news(fresh)


def test_deliveries_are_not_copied(infrastructure: Infrastructure) -> None:
    build_world(infrastructure)
    (record, *_) = infrastructure.store.page(Index.FEED, f"{DEMO_ACCOUNT}#transaction").records
    assert plan_deliveries(demo(infrastructure), events.event_of(record))
    own, _ = fork(infrastructure, take(infrastructure))
    assert list_deliveries(own, limit=10, cursor=None).items == []
    # Made again in the fork, they have the same ids, and are another world's.
    (twin,) = own.store.get([record.id])
    assert twin is not None
    planned = plan_deliveries(own, events.event_of(twin))
    assert planned == plan_deliveries(demo(infrastructure), events.event_of(record))
    assert [each.delivery_id for each in list_deliveries(own, limit=10, cursor=None).items] == planned


def test_an_authorization_expires_in_each_world_by_itself() -> None:
    clock = FrozenClock()
    infrastructure = make_infrastructure(clock=clock)
    ensure_demo_account(infrastructure)
    authorization = authorize(plain_world(infrastructure, DEMO_ACCOUNT), "first")
    own, account_id = fork(infrastructure, take(infrastructure))
    clock.advance(days=8)
    (stored,) = infrastructure.store.page(Index.DUE, account_id).records
    record = own_record(own, stored)
    assert record is not None
    do_scheduled_work(own, record)
    statuses = [
        transactions.get_transaction(each, authorization).entry.totals.released
        for each in (own, plain_world(infrastructure, DEMO_ACCOUNT))
    ]
    assert statuses == [1000, 0]


def settle(world: World) -> list[Settlement]:
    return settle_on_demand(world, up_to=None, discrepancies=())


def test_settlements_are_copied_with_their_lines_and_the_rest_is_settled_once_in_each_world() -> None:
    clock = FrozenClock()
    infrastructure = make_infrastructure(clock=clock)
    ensure_demo_account(infrastructure)
    capture(
        plain_world(infrastructure, DEMO_ACCOUNT),
        authorize(plain_world(infrastructure, DEMO_ACCOUNT), "first"),
        "first",
    )
    (settled,) = settle(plain_world(infrastructure, DEMO_ACCOUNT))
    capture(
        plain_world(infrastructure, DEMO_ACCOUNT),
        authorize(plain_world(infrastructure, DEMO_ACCOUNT), "second"),
        "second",
    )
    own, _ = fork(infrastructure, take(infrastructure))
    copied, original = (
        get_report(each, settled.settlement_id) for each in (own, plain_world(infrastructure, DEMO_ACCOUNT))
    )
    assert copied.misreport.lines == original.misreport.lines
    assert [line.gross for line in copied.misreport.lines] == [100]
    clock.advance(days=2)
    made = [settle(own), settle(plain_world(infrastructure, DEMO_ACCOUNT))]
    assert [[each.gross for each in several] for several in made] == [[100], [100]]
    assert made[0][0].settlement_id == made[1][0].settlement_id
    assert settle(own) == []


def test_what_was_left_behind_is_taken_out_of_the_due_index_and_what_is_coming_is_not(
    infrastructure: Infrastructure,
) -> None:
    authorize(plain_world(infrastructure, DEMO_ACCOUNT), "first")
    snapshot = take(infrastructure)
    restore(infrastructure, snapshot)
    present, *left = sorted(
        infrastructure.store.page(Index.DUE, DEMO_ACCOUNT).records, key=lambda each: "!" not in each.id
    )
    assert len(left) == 1
    scope = "abcdefghijkl"
    coming = replace(left[0], id=f"{left[0].id}!{scope}", version=1)
    infrastructure.store.insert(coming)
    change_controls(infrastructure, DEMO_ACCOUNT, lambda controls: replace(controls, entering=scope))
    for stored in (present, *left, coming):
        retire(infrastructure, stored)
    assert {each.id for each in infrastructure.store.page(Index.DUE, DEMO_ACCOUNT).records} == {
        present.id,
        coming.id,
    }


def test_snapshots_are_listed_newest_first_read_and_deleted() -> None:
    clock = FrozenClock()
    infrastructure = make_infrastructure(clock=clock)
    ensure_demo_account(infrastructure)
    first = take(infrastructure, "first")
    clock.advance(ms=1)
    second = take(infrastructure, "second")
    assert snapshots.list_snapshots(plain_world(infrastructure, DEMO_ACCOUNT)) == [second, first]
    assert snapshots.get_snapshot(plain_world(infrastructure, DEMO_ACCOUNT), first.snapshot_id) == first
    snapshots.delete_snapshot(plain_world(infrastructure, DEMO_ACCOUNT), first.snapshot_id)
    assert snapshots.list_snapshots(plain_world(infrastructure, DEMO_ACCOUNT)) == [second]
    for attempt in (
        lambda: snapshots.get_snapshot(plain_world(infrastructure, DEMO_ACCOUNT), first.snapshot_id),
        lambda: snapshots.delete_snapshot(plain_world(infrastructure, DEMO_ACCOUNT), first.snapshot_id),
        lambda: restore(infrastructure, first),
        lambda: fork(infrastructure, first),
        lambda: snapshots.get_snapshot(plain_world(infrastructure, "acct_other"), second.snapshot_id),
    ):
        with pytest.raises(SnapshotNotFound):
            attempt()


def test_a_deleted_snapshot_holds_nothing_any_more(infrastructure: Infrastructure) -> None:
    authorize(plain_world(infrastructure, DEMO_ACCOUNT), "first")
    snapshot = take(infrastructure)
    snapshots.delete_snapshot(plain_world(infrastructure, DEMO_ACCOUNT), snapshot.snapshot_id)
    store = infrastructure.store
    assert isinstance(store, MemoryStore)
    chunks = [record for record in store.records.values() if record.kind == snapshots.CHUNK]
    assert [chunk.data for chunk in chunks] == [{"records": None}]


def test_an_account_has_at_most_twenty_snapshots(infrastructure: Infrastructure) -> None:
    for _ in range(snapshots.SNAPSHOTS_MAX):
        last = take(infrastructure)
    with pytest.raises(SnapshotLimitReached):
        take(infrastructure)
    snapshots.delete_snapshot(plain_world(infrastructure, DEMO_ACCOUNT), last.snapshot_id)
    take(infrastructure)


def test_an_account_that_is_too_large_is_refused_and_leaves_nothing(
    infrastructure: Infrastructure,
) -> None:
    infrastructure = replace(infrastructure, limits=Limits(snapshot_records_max=2))
    for number in range(3):
        authorize(plain_world(infrastructure, DEMO_ACCOUNT), f"key-{number}")
    with pytest.raises(SnapshotTooLarge):
        take(infrastructure)
    assert snapshots.list_snapshots(plain_world(infrastructure, DEMO_ACCOUNT)) == []
    assert infrastructure.store.page(Index.FEED, f"{DEMO_ACCOUNT}#snapshot_work").records == []


def test_a_world_of_many_chunks_is_copied_whole(infrastructure: Infrastructure) -> None:
    infrastructure = replace(infrastructure, limits=replace(MANY_CHUNKS, world_page=4))
    for number in range(12):
        capture(
            plain_world(infrastructure, DEMO_ACCOUNT),
            authorize(plain_world(infrastructure, DEMO_ACCOUNT), f"key-{number}"),
            f"key-{number}",
        )
    before = view(plain_world(infrastructure, DEMO_ACCOUNT))
    own, _ = fork(infrastructure, take(infrastructure))
    assert view(own) == before


class Killed(BaseException):
    """The process died before a write."""


class MortalStore(MemoryStore):
    """Dies before the write after `lives` of them; None lives for ever."""

    lives: int | None = None

    def _breathe(self) -> None:
        if self.lives is not None:
            if self.lives == 0:
                raise Killed
            self.lives -= 1

    def insert(self, record: Record) -> Record | None:
        self._breathe()
        return super().insert(record)

    def commit(self, inserts: Sequence[Record], updates: Sequence[Update]) -> CommitResult:
        self._breathe()
        return super().commit(inserts, updates)


def _killed_at_every_write(
    act: Callable[[Infrastructure, Snapshot], object],
) -> list[tuple[Infrastructure, dict[str, Any], bool]]:
    """What is left of an account that does something to a snapshot, for each write before which it can die: its infrastructure, what it
    saw before, and whether it died."""
    left = []
    for lives in range(100):
        store = MortalStore()
        infrastructure = make_infrastructure(store, limits=MANY_CHUNKS)
        ensure_demo_account(infrastructure)
        build_world(infrastructure)
        snapshot = take(infrastructure)
        capture(demo(infrastructure), authorize(demo(infrastructure), "after"), "after")
        before = view(demo(infrastructure))
        store.lives = lives
        try:
            act(infrastructure, snapshot)
        except Killed:
            died = True
        else:
            died = False
        store.lives = None
        left.append((infrastructure, before, died))
        if not died:
            return left
    raise AssertionError("it never came to its end")


def test_a_restore_that_is_killed_leaves_the_old_world_or_the_new_one() -> None:
    left = _killed_at_every_write(restore)
    assert len(left) > 4
    for infrastructure, before, died in left[:-1]:
        assert died
        assert view(demo(infrastructure)) == before
        # Nothing of the half copy comes up later, and another restore succeeds.
        (snapshot,) = snapshots.list_snapshots(plain_world(infrastructure, DEMO_ACCOUNT))
        restore(infrastructure, snapshot)
        assert len(view(demo(infrastructure))["transactions"]) == 3
    infrastructure, before, _ = left[-1]
    assert view(demo(infrastructure)) != before


def test_a_fork_that_is_killed_leaves_no_account() -> None:
    left = _killed_at_every_write(fork)
    assert len(left) > 4
    for infrastructure, before, died in left[:-1]:
        assert died
        store = infrastructure.store
        assert isinstance(store, MemoryStore)
        assert [record.id for record in store.records.values() if record.kind == "account"] == [DEMO_ACCOUNT]
        assert view(demo(infrastructure)) == before


def test_a_snapshot_that_is_killed_is_never_seen_and_cleaned_up() -> None:
    left = _killed_at_every_write(lambda infrastructure, _: take(infrastructure, "second"))
    assert len(left) > 4
    for infrastructure, _, _ in left[:-1]:
        assert [
            each.name for each in snapshots.list_snapshots(plain_world(infrastructure, DEMO_ACCOUNT))
        ] == [None]
        clock = infrastructure.clock
        assert isinstance(clock, FrozenClock)
        clock.advance(ms=snapshots.ABANDONED_MS)
        snapshots.finish_work(plain_world(infrastructure, DEMO_ACCOUNT))
        store = infrastructure.store
        assert isinstance(store, MemoryStore)
        assert store.page(Index.FEED, f"{DEMO_ACCOUNT}#snapshot_work").records == []
        (kept,) = snapshots.list_snapshots(plain_world(infrastructure, DEMO_ACCOUNT))
        full = [
            record
            for record in store.records.values()
            if record.kind == snapshots.CHUNK and record.data["records"] is not None
        ]
        assert all(record.id.startswith(kept.snapshot_id) for record in full)


def test_a_deletion_that_is_killed_is_finished_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def delete(infrastructure: Infrastructure, snapshot: Snapshot) -> None:
        snapshots.delete_snapshot(plain_world(infrastructure, DEMO_ACCOUNT), snapshot.snapshot_id)

    left = _killed_at_every_write(delete)
    assert len(left) > 3
    for infrastructure, _, died in left[1:]:
        assert snapshots.list_snapshots(plain_world(infrastructure, DEMO_ACCOUNT)) == [], died
        snapshots.finish_work(plain_world(infrastructure, DEMO_ACCOUNT))
        store = infrastructure.store
        assert isinstance(store, MemoryStore)
        assert all(
            record.data["records"] is None
            for record in store.records.values()
            if record.kind == snapshots.CHUNK
        )
        assert store.page(Index.FEED, f"{DEMO_ACCOUNT}#snapshot_work").records == []


def test_of_two_restores_at_once_one_wins_and_the_other_says_so(infrastructure: Infrastructure) -> None:
    before = build_world(infrastructure)
    snapshot = take(infrastructure)
    own = demo(infrastructure)

    async def both() -> list[object]:
        restores = [snapshots.restore_snapshot(own, snapshot.snapshot_id) for _ in range(2)]
        return list(await asyncio.gather(*restores, return_exceptions=True))

    outcomes = asyncio.run(both())
    assert sum(isinstance(outcome, AccountBusy) for outcome in outcomes) == 1
    assert view(demo(infrastructure)) == before


def test_forks_at_the_same_time_are_apart(infrastructure: Infrastructure) -> None:
    before = build_world(infrastructure)
    snapshot = take(infrastructure)
    own = demo(infrastructure)

    async def many() -> list[Any]:
        forks = [snapshots.fork_snapshot(own, snapshot.snapshot_id, name=None) for _ in range(5)]
        return list(await asyncio.gather(*forks))

    accounts = [account.account_id for account, _ in asyncio.run(many())]
    assert len(set(accounts)) == 5
    for account_id in accounts:
        assert view(world_of(infrastructure, account_id)) == before


def test_a_snapshot_deleted_while_it_is_copied_is_not_found_and_changes_nothing(
    infrastructure: Infrastructure,
) -> None:
    infrastructure = replace(infrastructure, limits=MANY_CHUNKS)
    before = build_world(infrastructure)
    snapshot = take(infrastructure)
    own = demo(infrastructure)

    async def race() -> None:
        going_back = asyncio.ensure_future(snapshots.restore_snapshot(own, snapshot.snapshot_id))
        await asyncio.sleep(0)
        snapshots.delete_snapshot(own, snapshot.snapshot_id)
        with pytest.raises(SnapshotNotFound):
            await going_back

    asyncio.run(race())
    assert view(demo(infrastructure)) == before


def test_an_authorization_and_its_entries_are_of_one_moment_whatever_is_written_meanwhile() -> None:
    class BusyStore(MemoryStore):
        """Somebody captures between any two reads."""

        captures = 0

        def page(self, *arguments: Any, **options: Any) -> Any:
            page = super().page(*arguments, **options)
            self._interfere()
            return page

        def get(self, ids: Sequence[str]) -> list[Record | None]:
            found = super().get(ids)
            self._interfere()
            return found

        def _interfere(self) -> None:
            if 0 < self.captures < 60:
                number, self.captures = self.captures, 0
                target = self.targets[number % len(self.targets)]
                capture_one(target, number)
                self.captures = number + 1

        targets: Sequence[str] = ()

    def capture_one(target: str, number: int) -> None:
        operation = PaymentOperation(TransactionId(target), amount=1)
        payments.capture_payment(
            plain_world(infrastructure, DEMO_ACCOUNT), operation, idempotency_key=f"c{number}"
        )

    store = BusyStore()
    infrastructure = make_infrastructure(store, limits=Limits(world_page=2))
    ensure_demo_account(infrastructure)
    store.targets = [
        authorize(plain_world(infrastructure, DEMO_ACCOUNT), f"key-{number}") for number in range(7)
    ]
    store.captures = 1
    snapshot = take(infrastructure)
    store.captures = 0
    own, _ = fork(infrastructure, snapshot)
    captured = 0
    for target in store.targets:
        family = transactions.get_transaction(own, target)
        root, *members = family.members
        assert root.totals.captured == sum(member.data["amount"] for member in members)
        assert len(root.data["entries"]) == len(members)
        captured += root.totals.captured
    assert captured > 0
