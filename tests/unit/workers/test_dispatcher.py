"""The embedded dispatcher in virtual time: nothing is lost, nothing is attempted twice, and nobody waits for somebody else.

The ledger is in memory, receivers are functions, and a loop whose time passes only when everything waits takes the place
of hours, so each test says what happens when, to the millisecond, and takes none of it.
"""

import asyncio
import logging
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, cast

import pytest

from payments_sandbox.domain.errors import StoreUnavailable
from payments_sandbox.domain.timestamps import DAY_MS, MINUTE_MS, SECOND_MS
from payments_sandbox.domain.webhooks import RETRY_DELAYS_MS, TIMEOUT_MS
from payments_sandbox.services.accounts.accounts import DEMO_ACCOUNT, ensure_demo_account
from payments_sandbox.services.accounts.controls import change_controls, world_of
from payments_sandbox.services.ports import (
    DUE_KEY,
    CommitResult,
    Committed,
    FeedItem,
    Index,
    Page,
    Position,
    Post,
    Record,
    Update,
    require_page_limit,
)
from payments_sandbox.services.simulation.snapshots import fork_snapshot, restore_snapshot, take_snapshot
from payments_sandbox.services.time.scheduled_work import SCHEDULED_WORK, ScheduledWork
from payments_sandbox.services.webhooks.receiver_grader import make_test_event
from payments_sandbox.services.webhooks.webhook_deliveries import plan_test, redeliver, redeliver_failures
from payments_sandbox.services.webhooks.webhook_delivery_records import KIND, Delivery, delivery_of
from payments_sandbox.services.webhooks.webhook_endpoints import (
    Chaos,
    EndpointChanges,
    create_endpoint,
    update_endpoint,
)
from payments_sandbox.services.world import World, plain_world
from payments_sandbox.workers.dispatcher import ENDPOINT_ATTEMPTS_MAX, LEASE_MS, SWEEP_S, TICK_S, Dispatcher
from tests.calls.payments import OTHER_ACCOUNT, authorize, id_of
from tests.doubles.memory_store import MemoryStore, copy_of
from tests.doubles.ports import ACCOUNT, FrozenClock, make_infrastructure
from tests.doubles.receivers import Answer, Town, headers_of, reply
from tests.virtual_time.event_loop import run_virtually, virtual_loop

URL = "https://shop.example/hook"
SOON_S = 3 * TICK_S
"""Two ticks and a bit: how long a webhook may take to leave when nothing is in the way."""

TIMEOUT_S = TIMEOUT_MS / 1000


class FeedStore(MemoryStore):
    """`MemoryStore` with a change feed, that can be out of order, and whose operations may take their time.

    down: the methods that fail. costs: seconds of the loop's time by method.
    """

    def __init__(self) -> None:
        super().__init__()
        self.feed: list[FeedItem] = []
        self.down: set[str] = set()
        self.costs: dict[str, float] = {}
        self.calls: Counter[str] = Counter()
        self._due: list[tuple[int, str]] = []

    def changes(self, *, after: int, limit: int) -> list[FeedItem]:
        self._called("changes")
        start = bisect_right(self.feed, after, key=lambda change: change.seq)
        return self.feed[start : start + limit]

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        self._called("get")
        return super().get(ids)

    def insert(self, record: Record) -> Record | None:
        self._called("insert")
        existing = super().insert(record)
        if existing is None:
            self._inserted(record)
        return existing

    def commit(self, inserts: Sequence[Record], updates: Sequence[Update]) -> CommitResult:
        self._called("commit")
        before = [self.records.get(update.record.id) for update in updates]
        result = super().commit(inserts, updates)
        if isinstance(result, Committed):
            for record in inserts:
                self._inserted(record)
            for old, update in zip(before, updates, strict=True):
                self._reindex(old, update.record)
        return result

    def page(
        self,
        index: Index,
        key: str,
        *,
        after: Position | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> Page:
        self._called("page")
        if index is not Index.DUE or key != DUE_KEY:
            return super().page(index, key, after=after, limit=limit, newest_first=newest_first)
        assert not newest_first
        require_page_limit(limit)
        start = 0 if after is None else bisect_right(self._due, (after.at_ms, after.id))
        found = self._due[start : start + limit]
        more = start + limit < len(self._due)
        records = [copy_of(self.records[each]) for _, each in found]
        return Page(records, Position(*found[-1]) if more else None)

    @property
    def pending(self) -> list[Record]:
        """The deliveries that are not settled."""
        return [record for _, each in self._due if (record := self.records[each]).kind == KIND]

    def _called(self, method: str) -> None:
        self.calls[method] += 1
        if method in self.costs:
            virtual_loop().spend(self.costs[method])
        if method in self.down:
            raise StoreUnavailable("down")

    def _inserted(self, record: Record) -> None:
        # As in SQLite: numbers grow, and not without gaps.
        self.feed.append(FeedItem(2 * len(self.feed) + 2, record.id, record.kind, record.account_id))
        self._reindex(None, record)

    def _reindex(self, old: Record | None, new: Record) -> None:
        if old is not None and old.due_at is not None:
            self._due.remove((old.due_at, old.id))
        if new.due_at is not None:
            insort(self._due, (new.due_at, new.id))


class Home:
    """A ledger, receivers by URL, and dispatchers that come and go."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.store = FeedStore()
        self.infrastructure = make_infrastructure(self.store, self.clock)
        self.town = Town()
        self._payments = 0

    def endpoint(self, url: str = URL, *, account: str = ACCOUNT, **fields: Any) -> str:
        return create_endpoint(plain_world(self.infrastructure, account), url=url, **fields)[0].endpoint_id

    def pay(self, count: int = 1, *, account: str = ACCOUNT) -> list[str]:
        """Payments, and so events; answers their ids."""
        made = []
        for _ in range(count):
            self._payments += 1
            outcome = authorize(
                plain_world(self.infrastructure, ACCOUNT), f"key-{self._payments}", account=account
            )
            made.append("evt_" + outcome.entry.record.id)
        return made

    def deliveries(self, url: str | None = None) -> list[Delivery]:
        found = [delivery_of(record) for record in self.store.records.values() if record.kind == KIND]
        if url is None:
            return found
        ids = {
            record.id
            for record in self.store.records.values()
            if record.kind == "webhook_endpoint" and record.data["url"] == url
        }
        return [delivery for delivery in found if delivery.endpoint_id in ids]

    @asynccontextmanager
    async def dispatching(self, **limits: int) -> AsyncIterator[Dispatcher]:
        """A dispatcher in the background, which is to run until the end of the block, and no longer."""
        dispatcher = Dispatcher(self.infrastructure, self.store, self.town, **limits)
        task = asyncio.create_task(dispatcher.run())
        try:
            yield dispatcher
        finally:
            if not task.done():
                task.cancel()
            done, _ = await asyncio.wait([task])
        assert [each.cancelled() for each in done] == [True], task.exception()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def until(self, happened: Callable[[], bool], *, within_s: float) -> float:
        """Wait until it has happened; answers how long that took."""
        clock = asyncio.get_running_loop().time
        started = clock()
        while not happened():
            assert clock() - started <= within_s, f"it has not happened within {within_s} s"
            # To the millisecond, where that matters.
            await asyncio.sleep(0.001 if within_s <= 1 else 0.02)
        return clock() - started

    async def arrival(self, *event_ids: str, url: str = URL, within_s: float = SOON_S) -> float:
        """How long it takes until the receiver has all of these."""
        return await self.until(lambda: set(event_ids) <= set(self.town.ids(url)), within_s=within_s)

    async def settled(self, count: int, *, within_s: float) -> float:
        """How long it takes until as many deliveries have been made, and all of them have succeeded."""
        took = await self.until(lambda: self.planned >= count and not self.store.pending, within_s=within_s)
        assert Counter(each.state for each in self.deliveries()) == {"succeeded": count}
        return took

    @property
    def planned(self) -> int:
        """How many deliveries there are."""
        return sum(change.kind == KIND for change in self.store.feed)


@pytest.fixture
def home() -> Home:
    return Home()


Scenario = Callable[[Home], Any]


def in_virtual_time(scenario: Scenario) -> Callable[[Home], None]:
    """A test that is a coroutine."""

    def test(home: Home) -> None:
        run_virtually(scenario(home), home.clock)

    test.__name__ = scenario.__name__
    test.__doc__ = scenario.__doc__
    return test


async def time_out(post: Post) -> Answer:
    """A receiver that hangs, as the sender sees it."""
    await asyncio.sleep(post.timeout_ms / 1000)
    return "timeout"


async def after(seconds: float, post: Post, *, status: int = 200) -> Answer:
    await asyncio.sleep(seconds)
    return status


# --- from the ledger to the receiver ---------------------------------------------------------------------------------


@in_virtual_time
async def test_an_event_arrives_at_the_next_tick(home: Home) -> None:
    home.endpoint()
    async with home.dispatching():
        for _ in range(20):
            await asyncio.sleep(0.0137)
            (event_id,) = home.pay()
            assert await home.arrival(event_id) <= 1.5 * TICK_S
    assert len(home.town.posts) == 20
    assert {each.state for each in home.deliveries()} == {"succeeded"}


@in_virtual_time
async def test_what_happened_before_the_start_arrives_after_it_once(home: Home) -> None:
    home.endpoint()
    event_ids = home.pay(50)
    for _ in range(3):
        async with home.dispatching():
            await asyncio.sleep(SWEEP_S + 1)
    assert sorted(home.town.ids(URL)) == sorted(event_ids)


@in_virtual_time
async def test_a_failure_is_tried_again_at_its_time(home: Home) -> None:
    home.endpoint()
    times: list[int] = []

    def receiver(post: Post) -> Answer:
        times.append(home.clock.at_ms)
        return 500 if len(times) <= 3 else 200

    home.town.receivers[URL] = receiver
    async with home.dispatching():
        home.pay()
        await home.until(lambda: len(times) == 1, within_s=SOON_S)
        for made, planned_ms in enumerate(RETRY_DELAYS_MS[:3], start=1):
            # The attempt is recorded. Then the clock jumps to a second before the retry, instead of ticking for hours.
            await asyncio.sleep(SOON_S)
            virtual_loop().jump(planned_ms - SECOND_MS)
            within_s = 1 + planned_ms * 0.1 / 1000 + SOON_S
            await home.until(lambda before=made: len(times) > before, within_s=within_s)  # type: ignore[misc]
        await home.settled(1, within_s=SOON_S)
    for (earlier, later), planned_ms in zip(pairwise(times), RETRY_DELAYS_MS, strict=False):
        assert planned_ms <= later - earlier <= planned_ms * 1.1 + SOON_S * 1000
    assert len(times) == 4


@in_virtual_time
async def test_tests_and_redeliveries_leave_at_once(home: Home) -> None:
    endpoint_id = home.endpoint()
    home.town.receivers[URL] = lambda post: 410
    async with home.dispatching():
        home.pay(3)
        await home.until(lambda: len(home.deliveries()) == 3, within_s=SOON_S)
        await home.until(lambda: not home.store.pending, within_s=SOON_S)
        del home.town.receivers[URL]
        # Or it would hear of its own end.
        await asyncio.sleep(SOON_S)
        update_endpoint(plain_world(home.infrastructure, ACCOUNT), endpoint_id, EndpointChanges(enabled=True))
        await asyncio.sleep(1)
        first = home.deliveries()[0]
        redeliver(plain_world(home.infrastructure, ACCOUNT), first.delivery_id)
        before = len(home.town.posts)
        await home.until(lambda: len(home.town.posts) > before, within_s=SOON_S)
        event = make_test_event(plain_world(home.infrastructure, ACCOUNT), endpoint_id)
        plan_test(plain_world(home.infrastructure, ACCOUNT), endpoint_id, event)
        await home.arrival(event.id)
        redeliver_failures(plain_world(home.infrastructure, ACCOUNT), endpoint_id, since_ms=0)
        await home.settled(4, within_s=SOON_S)


@in_virtual_time
async def test_what_chaos_holds_back_leaves_when_it_is_due(home: Home) -> None:
    home.endpoint(chaos=Chaos(delay_ms=60_000))
    async with home.dispatching():
        (event_id,) = home.pay()
        assert 60 <= await home.arrival(event_id, within_s=61) <= 60 + SOON_S


@in_virtual_time
async def test_accounts_without_endpoints_cost_one_question(home: Home) -> None:
    home.endpoint()
    home.pay(100, account=OTHER_ACCOUNT)
    async with home.dispatching():
        await asyncio.sleep(TICK_S)
    assert home.deliveries() == []
    assert home.store.calls["page"] < 10
    assert home.store.calls["get"] < 10


@in_virtual_time
async def test_what_else_is_due_in_the_ledger_is_done_and_told_of(home: Home) -> None:
    home.endpoint()
    home.pay(250)
    virtual_loop().jump(8 * DAY_MS)
    # All of the authorizations have expired, and stand before everything else in the due index.
    async with home.dispatching():
        await home.settled(500, within_s=2)
        (event_id,) = home.pay()
        await home.arrival(event_id)
    assert len(home.town.posts) == 501
    assert Counter(each.event_type for each in home.deliveries()) == {
        "payment.authorized": 251,
        "payment.expired": 250,
    }


def test_work_that_fails_is_logged_and_keeps_nobody_waiting(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home.endpoint()
    home.pay(3)
    home.clock.advance(days=8)
    broken = next(record for record in home.store.records.values() if record.kind == "authorization")
    do = SCHEDULED_WORK["authorization"].do

    def trip(world: World, record: Record) -> None:
        assert record.id != broken.id
        do(world, record)

    monkeypatch.setitem(
        cast(dict[str, ScheduledWork], SCHEDULED_WORK),
        "authorization",
        ScheduledWork("authorization_expiry", trip),
    )

    async def scenario() -> None:
        async with home.dispatching():
            await home.settled(5, within_s=2)

    run_virtually(scenario(), home.clock)
    (logged,) = [each for each in caplog.records if each.name == "sandbox.due"]
    assert vars(logged)["fields"]["record_id"] == broken.id
    assert logged.exc_info is not None
    assert home.store.records[broken.id].due_at == broken.due_at


@in_virtual_time
async def test_an_account_whose_clock_is_ahead_lives_by_it(home: Home) -> None:
    """Its events are delivered at once all the same, and what is due by its own time is done."""
    ensure_demo_account(home.infrastructure)
    home.endpoint(account=DEMO_ACCOUNT)
    change_controls(
        home.infrastructure, DEMO_ACCOUNT, lambda controls: replace(controls, clock_offset_ms=DAY_MS)
    )
    ahead = world_of(home.infrastructure, DEMO_ACCOUNT)
    async with home.dispatching():
        await asyncio.sleep(1)
        made = authorize(ahead, "early", account=DEMO_ACCOUNT)
        assert made.entry.record.created_at == home.clock.at_ms + DAY_MS
        await home.arrival("evt_" + id_of(made))
        change_controls(
            home.infrastructure, DEMO_ACCOUNT, lambda controls: replace(controls, clock_offset_ms=8 * DAY_MS)
        )
        await home.until(lambda: len(home.town.posts) == 2, within_s=2)
    assert [each.event_type for each in home.deliveries()] == ["payment.authorized", "payment.expired"]
    # Receivers compare it with their own clocks.
    for post in home.town.posts:
        assert abs(int(headers_of(post)["webhook-timestamp"]) - home.clock.at_ms // 1000) <= 3


# --- bounds ----------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_fork_tells_of_what_happens_in_it_and_of_nothing_that_was_copied(home: Home) -> None:
    home.endpoint()
    home.pay()
    snapshot = await take_snapshot(plain_world(home.infrastructure, ACCOUNT), name=None)
    async with home.dispatching():
        account, _ = await fork_snapshot(
            plain_world(home.infrastructure, ACCOUNT), snapshot.snapshot_id, name=None
        )
        await asyncio.sleep(1)
        assert len(home.town.posts) == 1
        fork = world_of(home.infrastructure, account.account_id)
        made = authorize(fork, "in-the-fork", account=account.account_id).entry.record
        await asyncio.sleep(1)
    assert home.town.ids(URL)[1:] == [f"evt_{made.id}"]


@in_virtual_time
async def test_what_falls_due_in_a_fork_is_done_there_and_what_was_left_behind_is_not(home: Home) -> None:
    ensure_demo_account(home.infrastructure)
    home.pay(account=DEMO_ACCOUNT)
    snapshot = await take_snapshot(plain_world(home.infrastructure, DEMO_ACCOUNT), name=None)
    account, _ = await fork_snapshot(
        plain_world(home.infrastructure, DEMO_ACCOUNT), snapshot.snapshot_id, name=None
    )
    home.pay(account=DEMO_ACCOUNT)
    await restore_snapshot(plain_world(home.infrastructure, DEMO_ACCOUNT), snapshot.snapshot_id)
    async with home.dispatching():
        home.clock.advance(days=8)
        await asyncio.sleep(SWEEP_S + 1)
    for account_id in (account.account_id, DEMO_ACCOUNT):
        infrastructure = world_of(home.infrastructure, account_id)
        entries = infrastructure.store.page(Index.FEED, f"{account_id}#transaction").records
        assert [entry.kind for entry in entries] == ["authorization", "expiry"]
    left = [record for record in home.store.records.values() if record.kind == "expiry"]
    assert len(left) == 2
    assert [record for record in home.store.records.values() if record.due_at is not None] == []


@in_virtual_time
async def test_what_was_still_to_be_delivered_in_a_world_that_was_left_is_not(home: Home) -> None:
    ensure_demo_account(home.infrastructure)
    home.endpoint(account=DEMO_ACCOUNT)
    snapshot = await take_snapshot(plain_world(home.infrastructure, DEMO_ACCOUNT), name=None)
    home.town.receivers[URL] = lambda _: 500
    async with home.dispatching():
        home.pay(account=DEMO_ACCOUNT)
        await asyncio.sleep(1)
        assert len(home.town.posts) == 1
        await restore_snapshot(plain_world(home.infrastructure, DEMO_ACCOUNT), snapshot.snapshot_id)
        home.clock.advance(days=3)
        await asyncio.sleep(SWEEP_S + 1)
    assert len(home.town.posts) == 1
    assert home.store.pending == []


@in_virtual_time
async def test_one_endpoint_has_so_many_places_and_no_more(home: Home) -> None:
    home.endpoint()
    home.town.receivers[URL] = partial(after, 0.1)
    event_ids = home.pay(100)
    async with home.dispatching():
        # Eight at a time, after two and four.
        assert await home.arrival(*event_ids, within_s=2) >= 100 / ENDPOINT_ATTEMPTS_MAX * 0.1
    assert home.town.most_running[URL] == ENDPOINT_ATTEMPTS_MAX


def test_all_endpoints_together_have_so_many_places(home: Home) -> None:
    async def scenario() -> None:
        for number in range(15):
            home.endpoint(f"{URL}/{number}")
            home.town.receivers[f"{URL}/{number}"] = partial(after, 0.05)
        home.pay(20)
        async with home.dispatching(attempts_max=10):
            await home.settled(300, within_s=20)

    run_virtually(scenario(), home.clock)
    assert home.town.most_in_all == 10
    assert len(home.town.posts) == 300


@in_virtual_time
async def test_hanging_endpoints_delay_nobody(home: Home) -> None:
    for number in range(5):
        home.endpoint(f"{URL}/{number}")
        home.town.receivers[f"{URL}/{number}"] = time_out
    home.endpoint()
    async with home.dispatching():
        for _ in range(200):
            (event_id,) = home.pay()
            await home.arrival(event_id)
            await asyncio.sleep(0.2)
    assert len(home.town.ids(URL)) == 200
    assert all(len(home.town.ids(f"{URL}/{number}")) < 20 for number in range(5))


@in_virtual_time
async def test_a_hanging_endpoint_keeps_one_place_until_it_answers_again(home: Home) -> None:
    home.endpoint()
    home.town.receivers[URL] = time_out
    home.pay(200)
    async with home.dispatching():
        await asyncio.sleep(TIMEOUT_S + 1)
        home.town.most_running.clear()
        await asyncio.sleep(10 * TIMEOUT_S)
        assert home.town.most_running[URL] == 1
        home.town.receivers[URL] = partial(after, 0.1)
        await home.until(lambda: len(set(home.town.ids(URL))) == 200, within_s=TIMEOUT_S + 5)
    assert home.town.most_running[URL] == ENDPOINT_ATTEMPTS_MAX


def test_even_more_hanging_endpoints_than_places_delay_nobody_for_long(home: Home) -> None:
    async def scenario() -> None:
        for number in range(20):
            home.endpoint(f"{URL}/{number}")
            home.town.receivers[f"{URL}/{number}"] = time_out
        home.endpoint(account=OTHER_ACCOUNT)
        async with home.dispatching(attempts_max=24):
            home.pay(50)
            await asyncio.sleep(TIMEOUT_S + 1)
            for _ in range(30):
                (event_id,) = home.pay(account=OTHER_ACCOUNT)
                await home.arrival(event_id)
                await asyncio.sleep(1)

    run_virtually(scenario(), home.clock)


@pytest.mark.parametrize("waiting_max", [5, 40])
def test_what_there_is_no_room_for_waits_in_the_ledger_and_none_is_lost(home: Home, waiting_max: int) -> None:
    async def scenario() -> None:
        urls = [f"{URL}/{number}" for number in range(4)]
        for url in urls:
            home.endpoint(url)
            home.town.receivers[url] = partial(after, 0.01)
        event_ids = home.pay(100)
        async with home.dispatching(waiting_max=waiting_max):
            await home.settled(400, within_s=400 / waiting_max * SWEEP_S)
        for url in urls:
            assert sorted(home.town.ids(url)) == sorted(event_ids)

    run_virtually(scenario(), home.clock)


def test_hanging_endpoints_do_not_use_up_the_room_of_others(home: Home) -> None:
    async def scenario() -> None:
        for number in range(5):
            home.endpoint(f"{URL}/{number}", account=OTHER_ACCOUNT)
            home.town.receivers[f"{URL}/{number}"] = time_out
        home.endpoint()
        async with home.dispatching(waiting_max=60):
            # A backlog of many times the room, by the time that anybody else has anything.
            home.pay(100, account=OTHER_ACCOUNT)
            await asyncio.sleep(2 * SWEEP_S)
            assert len(home.store.pending) == 500
            for _ in range(20):
                (event_id,) = home.pay()
                await home.arrival(event_id)
            # And more than there is room for, at once.
            event_ids = home.pay(150)
            await home.arrival(*event_ids, within_s=5)

    run_virtually(scenario(), home.clock)


def test_what_was_passed_over_is_fetched_as_soon_as_there_is_room(home: Home) -> None:
    async def scenario() -> None:
        home.endpoint()
        home.town.receivers[URL] = partial(after, 0.01)
        async with home.dispatching(waiting_max=20):
            # Past the sweep at the start, so that the next one would be long in coming.
            await asyncio.sleep(1)
            event_ids = home.pay(300)
            assert await home.arrival(*event_ids, within_s=SWEEP_S) < 4

    run_virtually(scenario(), home.clock)


# --- fairness to requests --------------------------------------------------------------------------------------------


async def longest_wait(until: Callable[[], bool]) -> float:
    """How much longer than it should another coroutine has to wait for its turn, at the worst."""
    clock = asyncio.get_running_loop().time
    worst = 0.0
    while not until():
        started = clock()
        await asyncio.sleep(0.001)
        worst = max(worst, clock() - started - 0.001)
    return worst


@in_virtual_time
async def test_planning_many_events_leaves_others_their_turn(home: Home) -> None:
    for number in range(20):
        home.endpoint(f"{URL}/{number}")
    home.pay(200)
    home.store.costs = {"insert": 0.000_1, "get": 0.000_1, "page": 0.002, "changes": 0.001}
    async with home.dispatching():
        worst = await longest_wait(lambda: home.planned == 4_000)
    assert worst < 0.03


@in_virtual_time
async def test_a_long_backlog_is_read_in_slices(home: Home) -> None:
    home.endpoint()
    home.endpoint(f"{URL}/hangs")
    home.town.receivers[f"{URL}/hangs"] = time_out
    home.pay(1_500)
    async with home.dispatching():
        await home.until(lambda: len(set(home.town.ids(URL))) == 1_500, within_s=30)
        home.store.costs = {"page": 0.003}
        await asyncio.sleep(SWEEP_S)
        home.store.calls.clear()
        started = asyncio.get_running_loop().time()
        worst = await longest_wait(lambda: asyncio.get_running_loop().time() - started > 2 * SWEEP_S)
        assert worst < 0.03
        # The backlog has been read again meanwhile, and more than once.
        (event_id,) = home.pay()
        await home.arrival(event_id, within_s=2 * SOON_S)


@in_virtual_time
async def test_attempts_are_begun_at_a_pace_that_leaves_others_their_turn(home: Home) -> None:
    async def costly(post: Post) -> Answer:
        # Four stretches of work, with a wait for the receiver after each.
        for _ in range(4):
            virtual_loop().spend(0.000_5)
            await asyncio.sleep(0.001)
        return reply()

    for number in range(20):
        home.endpoint(f"{URL}/{number}")
        home.town.receivers[f"{URL}/{number}"] = costly
    home.pay(40)
    async with home.dispatching():
        await home.until(lambda: home.planned == 800, within_s=SOON_S)
        assert await longest_wait(lambda: len(home.town.posts) == 800) < 0.04


# --- two processes, and the death of one -----------------------------------------------------------------------------


@in_virtual_time
async def test_two_dispatchers_on_one_ledger_attempt_each_delivery_once(home: Home) -> None:
    urls = [f"{URL}/{number}" for number in range(3)]
    for number, url in enumerate(urls):
        home.endpoint(url)
        home.town.receivers[url] = partial(after, 0.03 * number)
    async with home.dispatching(), asyncio.TaskGroup() as group:
        # Both end before the assertion about tasks that the first one makes.
        second = group.create_task(Dispatcher(home.infrastructure, home.store, home.town).run())
        event_ids = []
        for _ in range(60):
            event_ids += home.pay()
            await asyncio.sleep(0.01)
        await home.settled(180, within_s=10)
        await asyncio.sleep(SWEEP_S + 1)
        second.cancel()
    for url in urls:
        assert sorted(home.town.ids(url)) == sorted(event_ids)


@in_virtual_time
async def test_what_was_under_way_at_a_kill_arrives_within_seconds_of_the_restart(home: Home) -> None:
    home.endpoint()
    home.town.receivers[URL] = partial(after, 10)
    event_ids = home.pay(5)
    killed = Dispatcher(home.infrastructure, home.store, home.town)
    running = asyncio.create_task(killed.run())
    await asyncio.sleep(8)
    assert len(home.town.posts) == 2
    # Killed: nothing of it runs any more, and it has tidied nothing up.
    home.store.down = {"commit", "insert", "get"}
    running.cancel()
    await asyncio.wait([running])
    home.store.down = set()
    del home.town.receivers[URL]
    async with home.dispatching():
        assert await home.settled(5, within_s=LEASE_MS / 1000 + SOON_S) > 1
    assert set(home.town.ids(URL)) == set(event_ids)
    assert len(home.town.posts) == 7


@in_virtual_time
async def test_what_was_under_way_at_a_stop_arrives_at_the_next_start(home: Home) -> None:
    home.endpoint()
    home.town.receivers[URL] = partial(after, 10)
    home.pay(5)
    async with home.dispatching():
        await asyncio.sleep(8)
    del home.town.receivers[URL]
    async with home.dispatching():
        await home.settled(5, within_s=SOON_S)
    assert len(home.town.posts) == 7


@in_virtual_time
async def test_an_attempt_that_lasts_is_not_begun_again_by_anybody(home: Home) -> None:
    home.endpoint(chaos=Chaos(duplicate=True))
    home.town.receivers[URL] = partial(after, 14)
    (event_id,) = home.pay()
    async with home.dispatching():
        other = asyncio.create_task(Dispatcher(home.infrastructure, home.store, home.town).run())
        await home.settled(1, within_s=30)
        other.cancel()
        await asyncio.wait([other])
    assert home.town.ids(URL) == [event_id] * 2
    assert home.town.most_running[URL] == 1


@in_virtual_time
async def test_a_cursor_that_lags_behind_does_no_harm(home: Home) -> None:
    home.endpoint()
    event_ids = home.pay(30)
    for lag in (0, 5, 40):
        async with home.dispatching():
            await asyncio.sleep(SWEEP_S + 1)
        cursor = home.store.records["meta_relay"]
        assert cursor.data["seq"] > lag
        home.store.commit([], [Update(replace(cursor, version=cursor.version + 1, data={"seq": lag}))])
    async with home.dispatching():
        event_ids += home.pay(3)
        await home.settled(33, within_s=10)
    assert sorted(home.town.ids(URL)) == sorted(event_ids)


@in_virtual_time
async def test_how_far_the_feed_was_read_is_noted_about_once_a_second_and_at_the_end(home: Home) -> None:
    home.endpoint()
    async with home.dispatching():
        for _ in range(100):
            home.pay()
            await asyncio.sleep(0.05)
        versions = home.store.records["meta_relay"].version
        assert 4 <= versions <= 8
        home.pay()
        await asyncio.sleep(2 * TICK_S)
    cursor = home.store.records["meta_relay"]
    entries = [change.seq for change in home.store.feed if change.kind == "authorization"]
    assert cursor.data["seq"] >= entries[-1]
    # So the next start plans nothing again.
    home.store.calls.clear()
    async with home.dispatching():
        await asyncio.sleep(2 * TICK_S)
    assert home.store.calls["insert"] == 1  # the cursor's, which is there


@in_virtual_time
async def test_what_another_process_writes_a_moment_late_leaves_at_once_and_later_with_the_next_sweep(
    home: Home,
) -> None:
    endpoint_id = home.endpoint()
    async with home.dispatching():
        await asyncio.sleep(1)
        for late_ms, within_s in ((50, SOON_S), (5_000, SWEEP_S + SOON_S)):
            event = make_test_event(plain_world(home.infrastructure, ACCOUNT), endpoint_id)
            planned = plan_test(plain_world(home.infrastructure, ACCOUNT), endpoint_id, event)
            # As if it had been due before the last look, and written after it.
            record = home.store.records[planned.delivery_id]
            due_at = home.clock.at_ms - late_ms
            home.store.commit([], [Update(replace(record, version=record.version + 1, due_at=due_at))])
            await home.arrival(event.id, within_s=within_s)


@in_virtual_time
async def test_a_clock_that_is_moved_on_makes_retries_due_and_one_that_is_put_back_stops_nothing(
    home: Home,
) -> None:
    home.endpoint()
    home.town.receivers[URL] = lambda post: 500
    async with home.dispatching():
        (event_id,) = home.pay()
        await home.arrival(event_id)
        virtual_loop().jump(MINUTE_MS)
        await home.until(lambda: len(home.town.posts) == 2, within_s=SOON_S)
        del home.town.receivers[URL]
        virtual_loop().jump(DAY_MS)
        await home.settled(1, within_s=SOON_S)
        virtual_loop().jump(-2 * DAY_MS)
        (event_id,) = home.pay()
        await home.arrival(event_id)


# --- outages and defects ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["changes", "page", "get", "insert", "commit"])
def test_an_outage_of_the_ledger_is_survived(
    home: Home, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> list[str]:
        home.endpoint()
        home.endpoint(f"{URL}/slow")
        home.town.receivers[f"{URL}/slow"] = partial(after, 0.5)
        async with home.dispatching():
            event_ids = home.pay(10)
            await home.arrival(event_ids[0])
            event_ids += home.pay(10)
            home.store.down = {method}
            await asyncio.sleep(5)
            home.store.down = set()
            event_ids += home.pay(10)
            await home.settled(60, within_s=LEASE_MS / 1000 + SWEEP_S + 5)
        return event_ids

    event_ids = run_virtually(scenario(), home.clock)
    assert set(home.town.ids(URL)) == set(home.town.ids(f"{URL}/slow")) == set(event_ids)
    assert "the ledger is not available" in caplog.messages


@in_virtual_time
async def test_an_outage_at_the_end_does_not_turn_a_stop_into_a_failure(home: Home) -> None:
    home.endpoint()
    async with home.dispatching():
        home.pay()
        await asyncio.sleep(1.5 * TICK_S)
        home.store.down = {"commit", "get"}


@in_virtual_time
async def test_a_defect_of_the_dispatcher_ends_it_and_is_told(home: Home) -> None:
    home.endpoint()
    home.store.feed.append(FeedItem(2, "auth_that_is_not_there", "authorization", ACCOUNT))
    with pytest.raises(AssertionError, match="the change feed told of it"):
        await Dispatcher(home.infrastructure, home.store, home.town).run()


def test_a_defect_in_one_attempt_is_told_and_keeps_no_other(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(post: Post) -> Answer:
        raise ZeroDivisionError("a defect")

    async def scenario() -> None:
        home.endpoint()
        home.endpoint(f"{URL}/broken")
        home.town.receivers[f"{URL}/broken"] = broken
        async with home.dispatching():
            event_ids = home.pay(20)
            await home.arrival(*event_ids)
            await asyncio.sleep(2)
            # Not again and again: each waits for its lease to end.
            assert len(home.town.ids(f"{URL}/broken")) == 20
            del home.town.receivers[f"{URL}/broken"]
            await home.settled(40, within_s=LEASE_MS / 1000 + SWEEP_S)

    run_virtually(scenario(), home.clock)
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 20
    assert {record.message for record in errors} == {"an attempt failed in the sandbox itself"}
    assert all(record.exc_info for record in errors)


def test_attempts_are_logged_without_bodies_or_urls(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "sandbox.webhooks")

    async def scenario() -> None:
        home.endpoint(f"{URL}?token=secret")
        async with home.dispatching():
            home.pay()
            await home.until(lambda: bool(home.town.posts), within_s=SOON_S)
            await home.settled(1, within_s=SOON_S)

    run_virtually(scenario(), home.clock)
    (record,) = [record for record in caplog.records if record.message == "webhook attempted"]
    assert record.__dict__["fields"] == {
        "delivery_id": home.deliveries()[0].delivery_id,
        "event_type": "payment.authorized",
        "state": "succeeded",
        "status": 200,
        "error": None,
        "duration_ms": 7,
    }
    assert "token" not in caplog.text
