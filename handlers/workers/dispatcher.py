"""The embedded home's relay and deliverer: one loop beside the server, in its process.

It follows the ledger's change feed, plans a delivery of each new event for each endpoint, and attempts whatever is due. On
AWS `relay.py`, `deliver.py` and `sweep.py` do the same from streams, queues and schedules; the rules of both are in
`services/webhook_deliveries.py`.

Bounded everywhere: so many attempts at once per endpoint, so many in all, so many deliveries waiting in memory. The rest
waits in the ledger, where it is safe. A hanging endpoint fills its own places only.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Final

from handlers.domain.errors import StoreUnavailable
from handlers.domain.webhooks import EVENT_KINDS
from handlers.services import webhook_endpoints
from handlers.services.events import event_of
from handlers.services.ports import (
    DUE_KEY,
    Change,
    ChangeFeed,
    Index,
    Ports,
    Position,
    Record,
    Sender,
    Update,
)
from handlers.services.webhook_deliveries import KIND, attempt_delivery, plan_deliveries

_logger = logging.getLogger("sandbox.webhooks")

ENDPOINT_ATTEMPTS_MAX: Final = 8
"""How many deliveries to one endpoint are under way at once."""

ATTEMPTS_MAX: Final = 256
"""How many are under way in all: each holds a socket."""

WAITING_MAX: Final = 20_000
"""How many ids of due deliveries are held in memory; what is over stays in the ledger until there is room."""

TICK_S: Final = 0.02
"""How often the ledger is looked at: the better part of a webhook's latency."""

RESCAN_S: Final = 15
"""How often the due index is read from its beginning, for what was passed over or left by a process that died."""

OVERLAP_MS: Final = 2_000
"""How far each look at the due index reaches back: what is written while it looks may sort before its last place."""

CHANGES_MAX: Final = 500
DUE_PAGE: Final = 200
DUE_PAGES_MAX: Final = 10
"""Pages that one tick reads, so that requests are answered in between."""

_CURSOR_ID: Final = "meta_relay"


class Dispatcher:
    """Delivers webhooks until it is stopped.

    feed: the ledger's changes, in the order of their commits.
    """

    def __init__(self, ports: Ports, feed: ChangeFeed, sender: Sender) -> None:
        self._ports = ports
        self._feed = feed
        self._sender = sender
        self._cursor: Record | None = None
        self._seen = 0
        self._due_from: Position | None = None
        self._rescan_at = 0.0
        self._waiting: dict[str, deque[str]] = defaultdict(deque)
        self._known: set[str] = set()
        self._running: dict[str, int] = defaultdict(int)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Relay and deliver until cancelled; attempts under way are then given up, and due again when their lease ends."""
        try:
            while True:
                try:
                    self._tick()
                except StoreUnavailable as error:
                    _logger.warning("the ledger is not available", extra={"fields": {"detail": error.detail}})
                    await asyncio.sleep(1)
                await asyncio.sleep(TICK_S)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._keep_cursor()

    @property
    def idle(self) -> bool:
        """Whether nothing is waiting or under way that the last tick saw."""
        return not self._known

    def _tick(self) -> None:
        self._relay()
        self._collect_due()
        self._start_attempts()

    def _relay(self) -> None:
        """Plan the deliveries of new events. Planned twice they are the same, so the cursor may lag behind."""
        if self._cursor is None:
            self._cursor = self._read_cursor()
            self._seen = self._cursor.data["seq"]
        changes = self._feed.changes(after=self._seen, limit=CHANGES_MAX)
        if not changes:
            return
        self._plan([change for change in changes if change.kind in EVENT_KINDS])
        self._seen = changes[-1].seq

    def _plan(self, changes: Sequence[Change]) -> None:
        # Most accounts have no endpoint, and a load test writes thousands of entries a second: ask once per account.
        listening = {
            account_id
            for account_id in {change.account_id for change in changes}
            if webhook_endpoints.list_records(self._ports, account_id)
        }
        wanted = [change.id for change in changes if change.account_id in listening]
        for start in range(0, len(wanted), 100):
            for record in self._ports.store.get(wanted[start : start + 100]):
                assert record is not None, "the change feed told of it"
                plan_deliveries(self._ports, event_of(record))
        if wanted:
            self._keep_cursor()

    def _collect_due(self) -> None:
        """Queue what has fallen due, up to what memory allows."""
        now = asyncio.get_running_loop().time()
        if now >= self._rescan_at:
            self._rescan_at = now + RESCAN_S
            self._due_from = None
            self._keep_cursor()
        now_ms = self._ports.clock.now_ms()
        for _ in range(DUE_PAGES_MAX):
            if len(self._known) >= WAITING_MAX:
                self._rescan_at = now + RESCAN_S
                return
            page = self._ports.store.page(Index.DUE, DUE_KEY, after=self._due_from, limit=DUE_PAGE)
            due = [record for record in page.records if record.due_at is not None and record.due_at <= now_ms]
            for record in due:
                if record.kind == KIND and record.id not in self._known:
                    self._known.add(record.id)
                    self._waiting[record.data["endpoint_id"]].append(record.id)
            if len(due) < len(page.records) or page.next is None:
                self._due_from = Position(now_ms - OVERLAP_MS, "")
                return
            self._due_from = page.next

    def _start_attempts(self) -> None:
        """Take one delivery of each endpoint in turn, while there is room."""
        progress = True
        while progress and len(self._tasks) < ATTEMPTS_MAX:
            progress = False
            for endpoint_id in list(self._waiting):
                queue = self._waiting[endpoint_id]
                if self._running[endpoint_id] >= ENDPOINT_ATTEMPTS_MAX or len(self._tasks) >= ATTEMPTS_MAX:
                    continue
                self._start(endpoint_id, queue.popleft())
                progress = True
                if not queue:
                    del self._waiting[endpoint_id]

    def _start(self, endpoint_id: str, delivery_id: str) -> None:
        self._running[endpoint_id] += 1
        task = asyncio.get_running_loop().create_task(self._attempt(delivery_id))
        self._tasks.add(task)

        def finished(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            self._known.discard(delivery_id)
            self._running[endpoint_id] -= 1
            if not self._running[endpoint_id]:
                del self._running[endpoint_id]
            if not done.cancelled() and (error := done.exception()) is not None:
                _logger.error("an attempt failed in the sandbox itself", exc_info=error)
            elif not done.cancelled():
                self._start_attempts()

        task.add_done_callback(finished)

    async def _attempt(self, delivery_id: str) -> None:
        try:
            delivery = await attempt_delivery(self._ports, self._sender, delivery_id)
        except StoreUnavailable as error:
            # Its lease ends by itself; the next rescan finds it.
            _logger.warning("the ledger is not available", extra={"fields": {"detail": error.detail}})
            return
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

    def _read_cursor(self) -> Record:
        fresh = Record(
            id=_CURSOR_ID,
            kind="meta",
            account_id="",
            version=1,
            created_at=self._ports.clock.now_ms(),
            data={"seq": 0},
        )
        return self._ports.store.insert(fresh) or fresh

    def _keep_cursor(self) -> None:
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
        self._ports.store.commit([], [Update(noted)])
        (self._cursor,) = self._ports.store.get([_CURSOR_ID])
