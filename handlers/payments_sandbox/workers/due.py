"""Due work where nobody waits for it, and whose time it is: what the embedded dispatcher and the AWS sweeper share.

What is done, and that it may be done twice, is in `services/time/scheduled_work.py`. Here a piece of work that fails keeps no other
from being done: it stays due, is logged, and is tried again when it is next found.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from payments_sandbox.domain.errors import StoreUnavailable
from payments_sandbox.services.accounts.controls import KIND as CONTROLS
from payments_sandbox.services.accounts.controls import list_controls, retire, world_of
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ledger.scopes import own_record
from payments_sandbox.services.ports import FeedItem, Record
from payments_sandbox.services.time.scheduled_work import SCHEDULED_WORK, do_scheduled_work
from payments_sandbox.services.world import World, plain_world

_logger = logging.getLogger("sandbox.due")

WAITING_MAX: Final = 10_000
"""How much due work is held in memory; what is over stays in the ledger until it is found again."""


def do_unattended(world: World, record: Record) -> bool:
    """Do a piece of due work; answers False, and logs why, when it failed.

    Raises StoreUnavailable: then nothing else can be done either.
    """
    work = SCHEDULED_WORK[record.kind].name
    try:
        do_scheduled_work(world, record)
    except StoreUnavailable:
        raise
    except Exception as error:
        fields = {"work": work, "record_id": record.id, "account_id": record.account_id}
        _logger.error("due work failed", extra={"fields": fields}, exc_info=error)
        return False
    _logger.debug("due work done", extra={"fields": {"work": work, "record_id": record.id}})
    return True


def do_stored(world: World, stored: Record) -> bool:
    """As `do_unattended`, for a record as the ledger lists it. What its account has left behind is not due any more."""
    own = own_record(world, stored)
    if own is None:
        retire(world.infrastructure, stored)
        return True
    return do_unattended(world, own)


class DueWorker:
    """Due work that was found, done a slice at a time."""

    def __init__(self, world_of: Callable[[str], World]) -> None:
        """world_of: the world of the account of this id."""
        self._world_of = world_of
        self._waiting: deque[Record] = deque()
        self._known: set[str] = set()

    def offer(self, record: Record) -> None:
        """Take a due record, unless it is waiting already or there is no room."""
        if record.id not in self._known and len(self._waiting) < WAITING_MAX:
            self._known.add(record.id)
            self._waiting.append(record)

    def run(self, has_time: Callable[[], bool]) -> bool:
        """Do what waits as long as there is time; answers whether there is more."""
        while self._waiting and has_time():
            record = self._waiting.popleft()
            self._known.discard(record.id)
            do_stored(self._world_of(record.account_id), record)
        return bool(self._waiting)


class AccountTimes:
    """The accounts whose time is not everybody's, each with a turn.

    Only their first controls are in the change feed; what those say now is read whenever it is needed.
    """

    def __init__(self, infrastructure: Infrastructure) -> None:
        self._infrastructure = infrastructure
        self._known: set[str] | None = None
        self._turns: deque[str] = deque()

    def note(self, change: FeedItem) -> None:
        """Learn from the change feed."""
        if change.kind == CONTROLS and change.account_id not in self._accounts():
            self._accounts().add(change.account_id)
            self._turns.append(change.account_id)

    def world_of(self, account_id: str) -> World:
        """The account's world; no read for an account in real time."""
        if account_id not in self._accounts():
            return plain_world(self._infrastructure, account_id)
        return world_of(self._infrastructure, account_id)

    def next_turns(self, count: int) -> Sequence[str]:
        """The accounts to look at now, at most so many; the others come later."""
        self._accounts()
        chosen = [self._turns[position] for position in range(min(count, len(self._turns)))]
        self._turns.rotate(-count)
        return chosen

    def _accounts(self) -> set[str]:
        if self._known is None:
            self._known = set(list_controls(self._infrastructure))
            self._turns.extend(sorted(self._known))
        return self._known
