"""From the ledger's due index to the queue: every minute, whatever delivery is due and has no message of its own.

That is each attempt more than 15 minutes after the one before, and each whose message, process or function was lost. The
queue's messages are the fast way; this is the way that loses nothing. A delivery under way is not due before its lease
ends, so it is not found; one that waits in the queue is found again, and its second message finds nothing to do.

It attempts nothing itself (`deliver.py` does), and stops in good time before its invocation ends.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from handlers.domain.moments import SECOND_MS
from handlers.services.ports import DUE_KEY, Clock, Index, Position, Store
from handlers.services.webhook_delivery_records import KIND
from handlers.workers.deliver import DeliveryQueue, delivery_message

_logger = logging.getLogger("sandbox.webhooks")

MESSAGES_MAX: Final = 10_000
"""How many messages a run sends, give or take a page: a thousand calls, some ten seconds."""

TIME_KEPT_MS: Final = 20 * SECOND_MS
"""What has to be left of the invocation for another page: the read, and the sends, of a service that is slow to fail."""

PAGE: Final = 200


@dataclass(slots=True)
class Swept:
    """What a run did. read: due records of any kind. sent, refused: messages. finished: it came to the end of what is
    due; otherwise the next run goes on from there."""

    read: int = 0
    sent: int = 0
    refused: int = 0
    finished: bool = False


class Sweeper:
    """Sends a message for each delivery that is due.

    It remembers where a run broke off, as long as its process lives: were each to start at the front, more than one run's
    work there, or things due that are not deliveries, would keep the rest from ever being reached.
    """

    def __init__(self, store: Store, clock: Clock, queue: DeliveryQueue) -> None:
        self._store = store
        self._clock = clock
        self._queue = queue
        self._after: Position | None = None

    def sweep(self, remaining_ms: Callable[[], int]) -> Swept:
        """Sweep until nothing more is due, enough is sent, or time runs out (remaining_ms: of the invocation).

        Raises StoreUnavailable; the next run then goes on where this one was.
        """
        swept = Swept()
        now_ms = self._clock.now_ms()
        try:
            while self._has_room(swept, remaining_ms) and self._sweep_page(swept, now_ms):
                pass
        finally:
            level = logging.WARNING if swept.refused or not swept.finished else logging.INFO
            _logger.log(level, "due deliveries swept", extra={"fields": asdict(swept)})
        return swept

    def _has_room(self, swept: Swept, remaining_ms: Callable[[], int]) -> bool:
        return swept.sent < MESSAGES_MAX and remaining_ms() >= TIME_KEPT_MS

    def _sweep_page(self, swept: Swept, now_ms: int) -> bool:
        """Send the next page's messages; answers whether to go on."""
        page = self._store.page(Index.DUE, DUE_KEY, after=self._after, limit=PAGE)
        due = [record for record in page.records if record.due_at is not None and record.due_at <= now_ms]
        swept.read += len(due)
        if not self._send([record.id for record in due if record.kind == KIND], swept):
            return False
        if len(due) < len(page.records) or page.next is None:
            self._after = None
            swept.finished = True
            return False
        self._after = page.next
        return True

    def _send(self, delivery_ids: Sequence[str], swept: Swept) -> bool:
        """Send a message for each; answers False when the queue takes none at all. Single ones that it refused are due
        still: a later run finds them."""
        if not delivery_ids:
            return True
        refused = self._queue.send([(delivery_message(delivery_id), 0) for delivery_id in delivery_ids])
        swept.sent += len(delivery_ids) - len(refused)
        swept.refused += len(refused)
        return len(refused) < len(delivery_ids)
