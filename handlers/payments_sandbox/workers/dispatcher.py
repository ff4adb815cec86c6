"""The embedded home's relay, deliverer and scheduler: one loop beside the server, in its process.

It follows the ledger's change feed, plans a delivery of each new event for each endpoint, attempts whatever is due, and
does the other work that falls due, each by its account's clock (`due.py`). On AWS `relay.py`, `deliver.py` and `sweep.py` do the same from streams, queues and schedules; the rules of both are in
`services/webhooks/webhook_attempts.py`.

Bounded everywhere: so many attempts at once per endpoint, so many in all, so many deliveries waiting in memory, so much of
the event loop's time. The rest waits in the ledger, where it is safe. A hanging endpoint fills its own places only: neither
its attempts nor its backlog, in memory or in the ledger, stand in the way of another endpoint's.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from payments_sandbox.domain.attempt_errors import AttemptError
from payments_sandbox.domain.errors import StoreUnavailable
from payments_sandbox.domain.timestamps import SECOND_MS
from payments_sandbox.domain.webhooks import EVENT_KINDS
from payments_sandbox.services.events.events import event_of, is_news
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ledger.scopes import own_record, scope_of
from payments_sandbox.services.ports import (
    DUE_KEY,
    ChangeFeed,
    FeedItem,
    Index,
    Position,
    Record,
    Sender,
    Update,
)
from payments_sandbox.services.time.scheduled_work import SCHEDULED_WORK
from payments_sandbox.services.webhooks import webhook_endpoints
from payments_sandbox.services.webhooks.webhook_attempts import attempt_delivery
from payments_sandbox.services.webhooks.webhook_deliveries import plan_deliveries
from payments_sandbox.services.webhooks.webhook_delivery_records import KIND, Delivery
from payments_sandbox.workers.due import AccountTimes, DueWorker

_logger = logging.getLogger("sandbox.webhooks")

ENDPOINT_ATTEMPTS_MAX: Final = 8
"""How many deliveries to one endpoint are under way at once, while it answers."""

ENDPOINT_ATTEMPTS_FIRST: Final = 2
"""How many while nothing is known of it: twice as many after each answer, one after a timeout."""

ATTEMPTS_MAX: Final = 256
"""How many are under way in all: each holds a socket."""

WAITING_MAX: Final = 20_000
"""How many ids of due deliveries are held in memory; what is over stays in the ledger until there is room."""

LEASE_MS: Final = 6 * SECOND_MS
"""After how long what a killed process was attempting is due again. Attempts that last renew their lease."""

TICK_S: Final = 0.02
"""How often the ledger is looked at: the better part of a webhook's latency."""

SLICE_S: Final = 0.005
"""How long planning and looking may keep the event loop to themselves; it is then everybody else's for as long."""

BUSY_S: Final = 0.03
"""How much of the processor the event loop may use between two ticks before fewer attempts are begun in each."""

STARTS_FIRST: Final = 16
STARTS_MIN: Final = 4
"""How many attempts are begun between two ticks, at first and at least: between them requests are answered."""

SWEEP_S: Final = 15
"""How often the due index is read from its beginning, for what was passed over or left by a process that died."""

SWEEP_REST: Final = 9
"""A sweep rests this many times as long as it took before the next: a long backlog costs a tenth of the time at most."""

NOTE_S: Final = 1
"""How often it is noted how far the feed was read. What is read again after a kill is planned already."""

OVERLAP_MS: Final = 100
"""How far each look at what has just fallen due reaches back: another process may write while this one looks."""

CHANGES_MAX: Final = 500
DUE_PAGE: Final = 100

TURNS: Final = 8
"""At how many accounts with a clock of their own each tick looks; with more, each waits its turn."""

_CURSOR_ID: Final = "meta_relay"


@dataclass(slots=True, eq=False)
class _Lane:
    """One endpoint's deliveries: those waiting, how many are under way, and how many may be.

    ready: it stands in the row of those that may begin one. passed_over: how many were waiting when one was first left in
    the ledger for want of room; 0 while none is.
    """

    endpoint_id: str
    waiting: deque[str] = field(default_factory=deque)
    running: int = 0
    places: int = ENDPOINT_ATTEMPTS_FIRST
    ready: bool = False
    passed_over: int = 0

    def learn(self, delivery: Delivery) -> None:
        """Have fewer places while the endpoint does not answer, so that a few slow ones cannot fill all there are."""
        timed_out = bool(delivery.attempts) and delivery.attempts[-1].reply.error == AttemptError.TIMEOUT
        self.places = 1 if timed_out else min(ENDPOINT_ATTEMPTS_MAX, self.places * 2)


class Dispatcher:
    """Delivers webhooks until it is stopped.

    feed: the ledger's changes, in the order of their commits.
    """

    def __init__(
        self,
        infrastructure: Infrastructure,
        feed: ChangeFeed,
        sender: Sender,
        *,
        attempts_max: int = ATTEMPTS_MAX,
        waiting_max: int = WAITING_MAX,
    ) -> None:
        self._attempts_max = attempts_max
        self._waiting_max = waiting_max
        self._infrastructure = infrastructure
        self._feed = feed
        self._sender = sender
        # The feed: how far it was read, what of that is still to be planned, and for whom.
        self._cursor: Record | None = None
        self._seen = 0
        self._changes: deque[FeedItem] = deque()
        self._listeners: dict[str, Sequence[Record]] = {}
        self._note_at = 0.0
        # The due index: what has just fallen due, and the sweep through all of it.
        self._due_from: Position | None = None
        self._sweep_from: Position | None = None
        self._sweeping = True
        self._sweep_soon = False
        self._sweep_at = 0.0
        self._sweep_took_s = 0.0
        # Accounts with a clock of their own, and due work that is no delivery.
        self._times = AccountTimes(infrastructure)
        self._work = DueWorker(self._times.world_of)
        # Deliveries in memory.
        self._lanes: dict[str, _Lane] = {}
        self._ready: deque[_Lane] = deque()
        self._known: set[str] = set()
        self._waiting_count = 0
        self._tasks: set[asyncio.Task[None]] = set()
        # How many attempts may begin between two ticks.
        self._starts_max = STARTS_FIRST
        self._starts_left = STARTS_FIRST
        self._cpu_s = 0.0

    async def run(self) -> None:
        """Relay and deliver until cancelled; attempts under way are then given up, and due again at once."""
        clock = asyncio.get_running_loop().time
        try:
            while True:
                started = clock()
                try:
                    more = self._tick(started + SLICE_S)
                except StoreUnavailable as error:
                    _logger.warning("the ledger is not available", extra={"fields": {"detail": error.detail}})
                    await asyncio.sleep(1)
                    continue
                await asyncio.sleep(clock() - started if more else TICK_S)
        finally:
            await self._stop()

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            self._note_cursor()
        except StoreUnavailable as error:
            _logger.warning("the ledger is not available", extra={"fields": {"detail": error.detail}})

    def _tick(self, deadline: float) -> bool:
        """Do what there is to do until then; answers whether there is more."""
        more = self._relay(deadline)
        self._set_pace()
        more |= self._collect_fallen_due(deadline)
        self._collect_in_accounts()
        more |= self._sweep(deadline)
        more |= self._work.run(lambda: asyncio.get_running_loop().time() < deadline)
        self._start_attempts()
        return more

    # --- from the feed to deliveries ---------------------------------------------------------------------------------

    def _relay(self, deadline: float) -> bool:
        """Plan the deliveries of new events. Planned twice they are the same, so the cursor may lag behind."""
        now = asyncio.get_running_loop().time()
        if self._cursor is None:
            self._cursor = self._read_cursor()
            self._seen = self._cursor.data["seq"]
        behind = False
        if not self._changes:
            self._changes.extend(self._feed.changes(after=self._seen, limit=CHANGES_MAX))
            behind = len(self._changes) == CHANGES_MAX
            # Read after the changes were, so that an endpoint is known to all events that came after it.
            self._listeners.clear()
        while self._changes:
            self._plan(self._changes[0])
            self._seen = self._changes.popleft().seq
            if asyncio.get_running_loop().time() >= deadline:
                break
        if now >= self._note_at:
            self._note_at = now + NOTE_S
            self._note_cursor()
        return behind or bool(self._changes)

    def _plan(self, change: FeedItem) -> None:
        self._times.note(change)
        if change.kind not in EVENT_KINDS:
            return
        endpoints = self._endpoints(change)
        if endpoints:
            (record,) = self._infrastructure.store.get([change.id])
            assert record is not None, "the change feed told of it"
            world = self._times.world_of(change.account_id)
            own = own_record(world, record)
            if own is not None and is_news(own):
                plan_deliveries(world, event_of(own), endpoints)

    def _endpoints(self, change: FeedItem) -> Sequence[Record]:
        # Most accounts have no endpoint, and a load test writes thousands of entries a second: ask once per account.
        if change.account_id not in self._listeners:
            world = self._times.world_of(change.account_id)
            listening = webhook_endpoints.list_records(world)
            self._listeners[change.account_id] = listening
        return self._listeners[change.account_id]

    def _read_cursor(self) -> Record:
        fresh = Record(
            id=_CURSOR_ID,
            kind="meta",
            account_id="",
            version=1,
            created_at=self._infrastructure.clock.now_ms(),
            data={"seq": 0},
        )
        return self._infrastructure.store.insert(fresh) or fresh

    def _note_cursor(self) -> None:
        """Note how far the feed was read. Another process's note may win: reading some changes again does no harm."""
        cursor = self._cursor
        if cursor is None or cursor.data["seq"] >= self._seen:
            return
        noted = Record(
            id=cursor.id,
            kind=cursor.kind,
            account_id=cursor.account_id,
            version=cursor.version + 1,
            created_at=cursor.created_at,
            data={"seq": self._seen},
        )
        self._infrastructure.store.commit([], [Update(noted)])
        (self._cursor,) = self._infrastructure.store.get([_CURSOR_ID])

    # --- from the due index to the lanes -----------------------------------------------------------------------------

    def _collect_fallen_due(self, deadline: float) -> bool:
        """Queue what has fallen due since the last look: new deliveries, retries, what was redelivered.

        Whatever has been due for longer is the sweep's, so that no backlog stands before what is new.
        """
        now_ms = self._infrastructure.clock.now_ms()
        recent = Position(now_ms - OVERLAP_MS, "")
        self._due_from = self._due_from or recent
        while True:
            following = self._collect_page(self._due_from, now_ms)
            if following is None:
                self._due_from = recent
                return False
            self._due_from = following
            if asyncio.get_running_loop().time() >= deadline:
                return True

    def _sweep(self, deadline: float) -> bool:
        """Read the due index from its beginning, a slice at a time: what there was no room for, and what was left behind
        by a process that died, is there."""
        clock = asyncio.get_running_loop().time
        started = clock()
        if not self._sweeping:
            if started < self._sweep_at and not self._sweep_soon:
                return False
            self._sweeping, self._sweep_from, self._sweep_took_s = True, None, 0.0
            self._sweep_soon = False
        now_ms = self._infrastructure.clock.now_ms()
        while True:
            self._sweep_from = self._collect_page(self._sweep_from, now_ms)
            if self._sweep_from is None or clock() >= deadline:
                break
        self._sweep_took_s += clock() - started
        if self._sweep_from is None:
            self._sweeping = False
            self._sweep_at = clock() + max(SWEEP_S, SWEEP_REST * self._sweep_took_s)
        return self._sweeping

    def _collect_in_accounts(self) -> None:
        """Queue what is due in accounts with a clock of their own: the first page of each, as what waits is still due when
        it is its turn again."""
        for account_id in self._times.next_turns(TURNS):
            now_ms = self._times.world_of(account_id).clock.now_ms()
            self._collect_page(None, now_ms, account_id)

    def _collect_page(self, after: Position | None, now_ms: int, key: str = DUE_KEY) -> Position | None:
        """Queue what is due of one page of the index; answers where to go on, or None at the end of what is due."""
        # One first: nearly every look finds that nothing is due, and would read a page of what is due in a week for that.
        page = self._infrastructure.store.page(Index.DUE, key, after=after, limit=1)
        if page.next is not None and _is_due(page.records[0], now_ms):
            page = self._infrastructure.store.page(Index.DUE, key, after=after, limit=DUE_PAGE)
        for record in page.records:
            if not _is_due(record, now_ms):
                return None
            if record.kind == KIND and record.id not in self._known:
                self._queue(record)
            elif record.kind in SCHEDULED_WORK:
                self._work.offer(record)
        return page.next

    def _queue(self, record: Record) -> None:
        """Put a delivery into its endpoint's lane, unless that holds as many as there is room left for everybody else."""
        # Forks share their endpoints' ids, and are not to wait for each other.
        endpoint_id = record.data["endpoint_id"] + scope_of(record.id)
        lane = self._lanes.get(endpoint_id)
        if lane is None:
            lane = self._lanes[endpoint_id] = _Lane(endpoint_id)
        if len(lane.waiting) >= self._waiting_max - self._waiting_count:
            lane.passed_over = lane.passed_over or max(1, len(lane.waiting))
            return
        self._known.add(record.id)
        self._waiting_count += 1
        lane.waiting.append(record.id)
        self._make_ready(lane)

    # --- from the lanes to the receivers -----------------------------------------------------------------------------

    def _set_pace(self) -> None:
        """Begin as many attempts before the next tick as leave the event loop time for requests.

        What is measured is the processor's time, not the clock's: other programs' load is no reason to slow down.
        """
        cpu_s = time.thread_time()
        used_s, self._cpu_s = cpu_s - self._cpu_s, cpu_s
        if used_s > BUSY_S:
            self._starts_max = max(STARTS_MIN, self._starts_max * 3 // 4)
        elif not self._starts_left:
            self._starts_max = min(self._attempts_max, self._starts_max + 2)
        self._starts_left = self._starts_max

    def _make_ready(self, lane: _Lane) -> None:
        if lane.waiting and lane.running < lane.places and not lane.ready:
            lane.ready = True
            self._ready.append(lane)

    def _start_attempts(self) -> None:
        """Take one delivery of each endpoint in turn, while there is room."""
        while self._ready and self._starts_left and len(self._tasks) < self._attempts_max:
            self._starts_left -= 1
            lane = self._ready.popleft()
            lane.ready = False
            self._start(lane, lane.waiting.popleft())
            self._make_ready(lane)

    def _start(self, lane: _Lane, delivery_id: str) -> None:
        lane.running += 1
        self._waiting_count -= 1
        if lane.passed_over and 2 * len(lane.waiting) <= lane.passed_over:
            # It has room again for what was left in the ledger.
            lane.passed_over = 0
            self._sweep_soon = True
        task = asyncio.get_running_loop().create_task(self._attempt(lane, delivery_id))
        self._tasks.add(task)

        def finished(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            self._known.discard(delivery_id)
            lane.running -= 1
            if not lane.running and not lane.waiting:
                self._lanes.pop(lane.endpoint_id, None)
            if done.cancelled():
                return
            if (error := done.exception()) is not None:
                # A defect: made visible, and not repeated before the lease ends.
                _logger.error("an attempt failed in the sandbox itself", exc_info=error)
            self._make_ready(lane)
            self._start_attempts()

        task.add_done_callback(finished)

    async def _attempt(self, lane: _Lane, delivery_id: str) -> None:
        try:
            delivery = await attempt_delivery(
                self._infrastructure,
                self._sender,
                delivery_id,
                known_world=self._times.world_of,
                lease_ms=LEASE_MS,
            )
        except StoreUnavailable as error:
            # Its lease ends by itself; the next sweep finds it.
            _logger.warning("the ledger is not available", extra={"fields": {"detail": error.detail}})
            return
        if delivery is not None:
            lane.learn(delivery)
        if delivery is not None and delivery.attempts:
            reply = delivery.attempts[-1].reply
            fields = {
                "delivery_id": delivery.delivery_id,
                "event_type": delivery.event_type,
                "state": delivery.state,
                "status": reply.status,
                "error": reply.error,
                "duration_ms": reply.duration_ms,
            }
            _logger.debug("webhook attempted", extra={"fields": fields})


def _is_due(record: Record, now_ms: int) -> bool:
    return record.due_at is not None and record.due_at <= now_ms
