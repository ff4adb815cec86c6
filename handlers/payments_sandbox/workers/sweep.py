"""From the ledger's due index: every minute, whatever is due and nobody is at.

Deliveries go to the queue, those that have no message of their own there: each attempt more than 15 minutes after the one
before, and each whose message, process or function was lost. The queue's messages are the fast way; this is the way that
loses nothing. A delivery under way is not due before its lease ends, so it is not found; one that waits in the queue is
found again, and its second message finds nothing to do. All other due work (`due.py`) is done here, but for settlement,
which has a state machine (`settlement.py`).

Accounts whose clock is ahead come after everybody else: what is due in them by their own time is listed under their id.

It attempts no delivery itself (`deliver.py` does), and stops in good time before its invocation ends.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from payments_sandbox.domain.timestamps import SECOND_MS
from payments_sandbox.services.accounts.controls import controlled_world, list_controls, world_of
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ports import DUE_KEY, Index, Position, Record
from payments_sandbox.services.time.scheduled_work import SCHEDULED_WORK
from payments_sandbox.services.webhooks.webhook_delivery_records import KIND
from payments_sandbox.services.world import World
from payments_sandbox.workers.deliver import DeliveryQueue, delivery_message
from payments_sandbox.workers.due import do_stored
from payments_sandbox.workers.settlement import KINDS as SETTLEMENT_KINDS

_logger = logging.getLogger("sandbox.webhooks")

PIECES_MAX: Final = 10_000
"""How many messages a run sends, and how much other work it does, give or take a page: some ten seconds."""

TIME_KEPT_MS: Final = 20 * SECOND_MS
"""What has to be left of the invocation for another page: the read, and the sends, of a service that is slow to fail."""

PAGE: Final = 200


@dataclass(slots=True)
class Swept:
    """What a run did. read: due records of any kind. sent, refused: messages. done, failed: other due work. finished: it
    came to the end of what is due; otherwise the next run goes on from there."""

    read: int = 0
    sent: int = 0
    refused: int = 0
    done: int = 0
    failed: int = 0
    finished: bool = False


class Sweeper:
    """Sends a message for each delivery that is due, and does the other due work.

    It remembers where a run broke off, as long as its process lives: were each to start at the front, more than one run's
    work there would keep the rest from ever being reached.
    """

    def __init__(
        self,
        infrastructure: Infrastructure,
        queue: DeliveryQueue,
        *,
        page: int = PAGE,
        pieces_max: int = PIECES_MAX,
    ) -> None:
        self._page = page
        self._pieces_max = pieces_max
        self._infrastructure = infrastructure
        self._queue = queue
        self._key = DUE_KEY
        self._after: Position | None = None

    def sweep(self, remaining_ms: Callable[[], int]) -> Swept:
        """Sweep until nothing more is due, enough is done, or time runs out (remaining_ms: of the invocation).

        Raises StoreUnavailable; the next run then goes on where this one was.
        """
        swept = Swept()
        try:
            controls = list_controls(self._infrastructure)
            keys = [DUE_KEY, *sorted(controls)]
            for key in keys[keys.index(self._key) if self._key in keys else 0 :]:
                self._key = key
                account = (
                    controlled_world(self._infrastructure, key, controls[key]) if key in controls else None
                )
                if not self._sweep_key(swept, account, remaining_ms):
                    return swept
            self._key = DUE_KEY
            swept.finished = True
        finally:
            troubled = swept.refused or swept.failed or not swept.finished
            _logger.log(
                logging.WARNING if troubled else logging.INFO,
                "due work swept",
                extra={"fields": asdict(swept)},
            )
        return swept

    def _sweep_key(self, swept: Swept, account: World | None, remaining_ms: Callable[[], int]) -> bool:
        """Sweep what the index lists under the current key; answers whether its end was reached. account: whose key it is."""
        now_ms = (account or self._infrastructure).clock.now_ms()
        while swept.sent + swept.done < self._pieces_max and remaining_ms() >= TIME_KEPT_MS:
            page = self._infrastructure.store.page(Index.DUE, self._key, after=self._after, limit=self._page)
            due = [record for record in page.records if record.due_at is not None and record.due_at <= now_ms]
            swept.read += len(due)
            if not self._send([record.id for record in due if record.kind == KIND], swept):
                return False
            for record in due:
                if record.kind in SCHEDULED_WORK and record.kind not in SETTLEMENT_KINDS:
                    self._do(account or world_of(self._infrastructure, record.account_id), record, swept)
            if len(due) < len(page.records) or page.next is None:
                self._after = None
                return True
            self._after = page.next
        return False

    def _do(self, world: World, record: Record, swept: Swept) -> None:
        if do_stored(world, record):
            swept.done += 1
        else:
            swept.failed += 1

    def _send(self, delivery_ids: Sequence[str], swept: Swept) -> bool:
        """Send a message for each; answers False when the queue takes none at all. Single ones that it refused are due
        still: a later run finds them."""
        if not delivery_ids:
            return True
        refused = self._queue.send([(delivery_message(delivery_id), 0) for delivery_id in delivery_ids])
        swept.sent += len(delivery_ids) - len(refused)
        swept.refused += len(refused)
        return len(refused) < len(delivery_ids)
