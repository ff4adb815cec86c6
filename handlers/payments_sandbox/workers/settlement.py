"""Settlement in the AWS home: three tasks of one function, which `settlement.asl.json` puts in order.

    collect   which accounts have something due to be settled, so many at a time; and what became of those before
    settle    one account: everything due in it is put into settlements, a set of entries to a write
    publish   those settlements are completed: the payout, and the event that tells of it

A state machine on a schedule runs them: one transition or two for an account, none for a payment. Each may be cut off at any
moment and run again, in another execution too (`services/settlement/settlements.py`). In the embedded home the same work is done when
it is due, without a state machine: `services/time/scheduled_work.py`.

An account's time may be ahead of ours; what is due in it is asked by its own.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from payments_sandbox.domain.settlement import SETTLED_KINDS
from payments_sandbox.domain.timestamps import SECOND_MS
from payments_sandbox.services.accounts.controls import (
    Controls,
    controlled_world,
    list_controls,
    retire,
    world_of,
)
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ledger.listings import walk_due
from payments_sandbox.services.ledger.scopes import scope_of
from payments_sandbox.services.ports import DUE_KEY, Position, Record
from payments_sandbox.services.settlement.settlement_records import SETTLEMENT, Batch, batch_of
from payments_sandbox.services.settlement.settlements import complete_settlement, gather
from payments_sandbox.services.world import World

_logger = logging.getLogger("sandbox.settlement")

Json = dict[str, Any]

ACCOUNTS_PER_ROUND: Final = 100
ACCOUNTS_MAX: Final = 1_000
"""How many accounts an execution settles, as its history holds 25,000 events and an account is some sixteen. The next
execution settles the others."""

SETTLEMENTS_MAX: Final = 100
"""How many settlements of an account are made before they are published: a state holds 256 KB."""

FAILED_SHOWN: Final = 20

TIME_KEPT_MS: Final = 30 * SECOND_MS
"""What has to be left of the invocation to go on: a write and a read of a store that is slow to fail."""

KINDS: Final = SETTLED_KINDS | {SETTLEMENT}
"""The kinds of due records that are about settlement; here no sweeper does them."""


@dataclass(slots=True)
class Progress:
    """What `collect` passes on to itself. cursor: where it goes on in the due index, or after which account of those with a
    time of their own. collected: accounts so far. failed: the ids of the first that could not be settled."""

    cursor: Json | None = None
    finished: bool = False
    collected: int = 0
    failed: list[str] = field(default_factory=list)
    failed_count: int = 0

    def note(self, results: Sequence[Json]) -> None:
        """Count what became of the accounts of the round before."""
        for result in results:
            if "error" in result:
                self.failed_count += 1
                if len(self.failed) < FAILED_SHOWN and result["account_id"] not in self.failed:
                    self.failed.append(result["account_id"])

    def answer(self, accounts: Sequence[str]) -> Json:
        """The state after the task."""
        return {
            "accounts": [{"account_id": account_id} for account_id in accounts],
            "account_count": len(accounts),
            "cursor": self.cursor,
            "finished": self.finished,
            "collected": self.collected,
            "failed": self.failed,
            "failed_count": self.failed_count,
        }


class SettlementTasks:
    """The tasks of the state machine."""

    def __init__(
        self,
        infrastructure: Infrastructure,
        *,
        accounts_per_round: int = ACCOUNTS_PER_ROUND,
        accounts_max: int = ACCOUNTS_MAX,
        settlements_max: int = SETTLEMENTS_MAX,
    ) -> None:
        self._accounts_per_round = accounts_per_round
        self._accounts_max = accounts_max
        self._settlements_max = settlements_max
        self._infrastructure = infrastructure

    def run(self, event: Mapping[str, Any], remaining_ms: Callable[[], int]) -> Json:
        """Run the task that the event names. remaining_ms: of the invocation.

        Errors: store_unavailable, account_busy: to be run again.
        """
        match event["task"]:
            case "collect":
                return self._collect(event.get("progress") or {}, remaining_ms)
            case "settle":
                return self._settle(event["account_id"], remaining_ms)
            case "publish":
                return self._publish(event["account_id"], event["settlement_ids"], event["finished"])
            case task:
                raise ValueError(f"there is no task {task!r}")

    def _collect(self, state: Mapping[str, Any], remaining_ms: Callable[[], int]) -> Json:
        known = {name: state[name] for name in Progress.__dataclass_fields__ if name in state}
        progress = Progress(**known)
        progress.note(state.get("results", []))
        accounts: dict[str, None] = {}
        if not progress.finished:
            progress.finished = True
            for cursor, account_id in self._due_accounts(progress.cursor):
                progress.cursor = cursor
                if account_id is not None:
                    accounts[account_id] = None
                if len(accounts) == self._accounts_per_round or remaining_ms() < TIME_KEPT_MS:
                    progress.finished = False
                    break
            progress.collected += len(accounts)
            if progress.collected >= self._accounts_max and not progress.finished:
                _logger.warning("more accounts are due than one execution settles")
                progress.finished = True
        return progress.answer(list(accounts))

    def _due_accounts(self, cursor: Json | None) -> Iterator[tuple[Json, str | None]]:
        """Each account that may have something due, or None for a record that is about something else; and the cursor of
        what comes after. An account may come more than once."""
        controlled = list_controls(self._infrastructure)
        ahead = {
            account_id: controlled_world(self._infrastructure, account_id, controls)
            for account_id, controls in controlled.items()
            if controls.clock_offset_ms
        }
        if cursor is None or "account_id" in cursor:
            after = "" if cursor is None else cursor["account_id"]
            for account_id in sorted(ahead):
                if account_id > after:
                    world = ahead[account_id]
                    due = any(_due_in(world, world.clock.now_ms()))
                    yield {"account_id": account_id}, account_id if due else None
            position = None
        else:
            position = Position(cursor["at_ms"], cursor["id"])
        until = self._infrastructure.clock.now_ms()
        for record in walk_due(self._infrastructure.store, DUE_KEY, until=until, after=position):
            wanted = record.kind in KINDS and record.account_id not in ahead
            if wanted and scope_of(record.id) != controlled.get(record.account_id, Controls()).scope:
                retire(self._infrastructure, record)
                wanted = False
            yield {"at_ms": record.due_at, "id": record.id}, record.account_id if wanted else None

    def _settle(self, account_id: str, remaining_ms: Callable[[], int]) -> Json:
        """Gather batch after batch. One that time cuts off is not among those to be published: it is still in the due index,
        and the next run of the task goes on with it."""

        def has_time() -> bool:
            return remaining_ms() >= TIME_KEPT_MS

        world = world_of(self._infrastructure, account_id)
        until = world.clock.now_ms()
        settlement_ids: dict[str, None] = {}
        while True:
            # Anew each time, as what was due after this may just have been settled with it.
            due = (each for each in _due_in(world, until) if each.id not in settlement_ids)
            record = next(due, None)
            if record is None:
                break
            gathered = gather(world, _batch(record), has_time)
            if gathered.finished:
                settlement_ids |= gathered.settlement_ids
                if record.kind == SETTLEMENT:
                    settlement_ids[record.id] = None
            if not has_time() or len(settlement_ids) >= self._settlements_max:
                break
        finished = record is None
        return {"account_id": account_id, "settlement_ids": list(settlement_ids), "finished": finished}

    def _publish(self, account_id: str, settlement_ids: Sequence[str], finished: bool) -> Json:
        world = world_of(self._infrastructure, account_id)
        for settlement_id in settlement_ids:
            complete_settlement(world, settlement_id)
        fields = {"account_id": account_id, "settlements": len(settlement_ids)}
        _logger.info("account settled", extra={"fields": fields})
        return {"account_id": account_id, "finished": finished}


def _due_in(world: World, until: int) -> Iterator[Record]:
    """What is due to be settled in an account."""
    return (each for each in walk_due(world.store, world.account_id, until=until) if each.kind in KINDS)


def _batch(record: Record) -> Batch:
    if record.kind == SETTLEMENT:
        return batch_of(record)
    assert record.due_at is not None, "what has no due_at is not in the due index"
    return Batch(record.account_id, settled_at=record.due_at, up_to=record.due_at)
