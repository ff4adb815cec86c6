"""An account's clock, and moving it: everything that falls due on the way is done before the clock arrives.

The work comes first and the clock last: while it is done, everybody else still sees the old time, and whatever is done is
done at the moment at which it was due. Killed half way, the clock has not moved, and what was done is not done again.

The clock never goes back but by a reset, and real time goes on from wherever it stands. What is due is in `scheduled_work.py`;
webhook deliveries are attempted here too, those of events that come about on the way included.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from payments_sandbox.domain.errors import ClockNotAhead
from payments_sandbox.domain.timestamps import SECOND_MS, format_timestamp
from payments_sandbox.domain.webhooks import RETRY_DELAYS_MS
from payments_sandbox.services.accounts.controls import Controls, change_controls, get_controls
from payments_sandbox.services.events.events import event_of, is_news
from payments_sandbox.services.ledger import entries
from payments_sandbox.services.ports import (
    CommitResult,
    Committed,
    Index,
    Page,
    Position,
    Record,
    Sender,
    Store,
    Update,
)
from payments_sandbox.services.time.scheduled_work import SCHEDULED_WORK, do_scheduled_work
from payments_sandbox.services.webhooks.webhook_attempts import attempt_record
from payments_sandbox.services.webhooks.webhook_deliveries import plan_deliveries
from payments_sandbox.services.webhooks.webhook_delivery_records import KIND as DELIVERY
from payments_sandbox.services.webhooks.webhook_endpoints import list_records
from payments_sandbox.services.world import World

WEBHOOK_ATTEMPT: Final = "webhook_attempt"

RAN_LISTED_MAX: Final = 1_000
"""How much of what was done an answer lists; all of it is counted."""

RECENT_MS: Final = 60 * SECOND_MS
RECENT_MAX: Final = 200
"""How far back, and how many entries, an advance looks for events whose deliveries the relay may not have planned yet."""

_PAGE: Final = 100
_TURN: Final = 32
"""After so many pieces of work other requests have a turn."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """now_ms: the account's time; real_ms: everybody's. Milliseconds since the epoch."""

    now_ms: int
    real_ms: int


@dataclass(frozen=True, slots=True)
class Ran:
    """Something that fell due and was done. work: `webhook_attempt`, or a name of `SCHEDULED_WORK`. due_at: milliseconds."""

    work: str
    record_id: str
    due_at: int


@dataclass(frozen=True, slots=True)
class Advance:
    """ran: what was done, in its order, the first RAN_LISTED_MAX. complete: False when the request's time ran out before
    everything was done; the clock then stands where the work does, and another advance goes on. first: these are the
    account's first controls."""

    clock: ClockReading
    ran: Sequence[Ran]
    ran_count: int
    complete: bool
    first: bool


def read_clock(world: World) -> ClockReading:
    """What the account's clock shows."""
    return _reading(world, get_controls(world.infrastructure, world.account_id))


def reset_clock(world: World) -> tuple[ClockReading, bool]:
    """Set the account's clock to real time; what is due later simply waits. Also answers whether these are the account's
    first controls."""
    controls, first = change_controls(
        world.infrastructure, world.account_id, lambda controls: replace(controls, clock_offset_ms=0)
    )
    return _reading(world, controls), first


async def advance_clock(world: World, sender: Sender, target_ms: int, *, budget_s: int) -> Advance:
    """Do everything that falls due until then, in the order of due times, and set the clock to it.

    target_ms: milliseconds since the epoch. budget_s: how long the work may take.
    Errors, by precedence: clock_not_ahead: the account's time is past that already. account_busy.
    """
    before = read_clock(world)
    if target_ms < before.now_ms:
        now = format_timestamp(before.now_ms)
        raise ClockNotAhead(f"The account's time is {now}; only a reset takes it back.", facts={"now": now})
    journey = _Journey(world, sender, target_ms, budget_s)
    journey.plan_recent()
    reached_ms = await journey.run()
    controls, first = change_controls(
        world.infrastructure,
        world.account_id,
        lambda controls: _moved(controls, max(reached_ms, before.now_ms), world),
    )
    return Advance(
        clock=_reading(world, controls),
        ran=journey.ran,
        ran_count=journey.ran_count,
        complete=reached_ms == target_ms,
        first=first,
    )


class _Journey:
    """One advance under way."""

    def __init__(self, world: World, sender: Sender, target_ms: int, budget_s: int) -> None:
        self._store = _WatchedStore(world.store)
        # Without `inserts`, so that every insert is noted by the store.
        self._world = replace(world, store=self._store, inserts=None)
        self._sender = sender
        self._target_ms = target_ms
        self._deadline = asyncio.get_running_loop().time() + budget_s
        self._tried: set[tuple[str, int]] = set()
        # Endpoints are read once: one that is made during the advance hears of what comes after it.
        self._endpoints = list_records(self._world)
        self.ran: list[Ran] = []
        self.ran_count = 0

    def plan_recent(self) -> None:
        """Plan the deliveries of what has only just happened: the relay may be a moment behind."""
        if self._endpoints:
            now_ms = self._world.clock.now_ms()
            page = self._store.page(
                Index.FEED, entries.feed_key(self._world.account_id), limit=RECENT_MAX, newest_first=True
            )
            recent = [record for record in page.records if record.created_at >= now_ms - RECENT_MS]
            self._plan(self._world, recent[::-1])

    async def run(self) -> int:
        """Do what is due; answers the moment that was reached, which is the target unless time ran out."""
        after: Position | None = None
        while True:
            page = self._store.page(Index.DUE, self._world.account_id, after=after, limit=_PAGE)
            self._store.earliest_due = None
            for group in self._groups(page.records):
                due_at = _due(group[0])
                if self._store.written_before(due_at):
                    break
                if due_at > self._target_ms:
                    return self._target_ms
                if asyncio.get_running_loop().time() >= self._deadline:
                    return due_at
                await self._do(group)
            if page.next is not None and not self._store.written_before(page.next.at_ms):
                after = page.next
            elif self._store.written_before(self._target_ms):
                after = None
            else:
                return self._target_ms

    def _groups(self, records: Sequence[Record]) -> Iterator[list[Record]]:
        """What can be done at once: one piece of work, or deliveries none of which has a retry before another."""
        group: list[Record] = []
        for record in records:
            if (record.id, record.version) in self._tried:
                # Done before, and still listed: another process is at it.
                continue
            if group and (
                record.kind != DELIVERY
                or group[0].kind != DELIVERY
                or _due(record) >= _due(group[0]) + RETRY_DELAYS_MS[0]
            ):
                yield group
                group = []
            group.append(record)
        if group:
            yield group

    async def _do(self, group: Sequence[Record]) -> None:
        self._tried |= {(record.id, record.version) for record in group}
        if group[0].kind == DELIVERY:
            await asyncio.gather(*map(self._attempt, group))
        else:
            (record,) = group
            do_scheduled_work(self._world, record)
            self._note(SCHEDULED_WORK[record.kind].name, record)
            self._plan(self._world.at(_due(record)), self._store.take_inserted())
        if self.ran_count % _TURN == 0:
            await asyncio.sleep(0)

    async def _attempt(self, record: Record) -> None:
        world = self._world.at(_due(record))
        if await attempt_record(world, self._sender, record) is not None:
            self._note(WEBHOOK_ATTEMPT, record)
        # An endpoint that is disabled is an event as well.
        self._plan(world, self._store.take_inserted())

    def _plan(self, world: World, records: Sequence[Record]) -> None:
        if self._endpoints:
            for record in records:
                if is_news(record):
                    plan_deliveries(world, event_of(record), self._endpoints)

    def _note(self, work: str, record: Record) -> None:
        self.ran_count += 1
        if len(self.ran) < RAN_LISTED_MAX:
            self.ran.append(Ran(work, record.id, _due(record)))


class _WatchedStore:
    """`Store` that notes what is inserted, and the earliest time at which something written falls due."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._inserted: list[Record] = []
        self.earliest_due: int | None = None

    def take_inserted(self) -> list[Record]:
        """What was inserted since the last call."""
        inserted, self._inserted = self._inserted, []
        return inserted

    def written_before(self, at_ms: int) -> bool:
        """Whether something was written, since the last look, that is due by then."""
        return self.earliest_due is not None and self.earliest_due <= at_ms

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        return self._store.get(ids)

    def insert(self, record: Record) -> Record | None:
        existing = self._store.insert(record)
        if existing is None:
            self._note([record], [record])
        return existing

    def commit(self, inserts: Sequence[Record], updates: Sequence[Update]) -> CommitResult:
        result = self._store.commit(inserts, updates)
        if isinstance(result, Committed):
            self._note(inserts, [*inserts, *(update.record for update in updates)])
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
        return self._store.page(index, key, after=after, limit=limit, newest_first=newest_first)

    def ping(self) -> None:
        self._store.ping()

    def close(self) -> None:
        self._store.close()

    def _note(self, inserts: Sequence[Record], written: Sequence[Record]) -> None:
        self._inserted += inserts
        due = [record.due_at for record in written if record.due_at is not None]
        if due:
            self.earliest_due = min(due if self.earliest_due is None else [self.earliest_due, *due])


def _due(record: Record) -> int:
    assert record.due_at is not None, "what has no due_at is not in the due index"
    return record.due_at


def _moved(controls: Controls, at_ms: int, world: World) -> Controls:
    """The controls under which it is that time now, unless it is later already."""
    offset_ms = at_ms - world.wall_clock.now_ms()
    return replace(controls, clock_offset_ms=max(controls.clock_offset_ms, offset_ms))


def _reading(world: World, controls: Controls) -> ClockReading:
    real_ms = world.wall_clock.now_ms()
    return ClockReading(real_ms + controls.clock_offset_ms, real_ms)
