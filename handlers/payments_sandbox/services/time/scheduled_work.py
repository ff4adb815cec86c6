"""What falls due in an account besides webhook deliveries, and what is done then.

A record with a `due_at` is work that waits for that moment of its account's time. Whoever finds it due (the embedded
scheduler, the AWS sweeper, a clock that is advanced) calls `do_scheduled_work`, at least once and in any number of processes;
so each doer has to be idempotent, has to leave the record without a `due_at` or with a later one, and is given a world whose
clock stands at the moment at which the work was due, however late it is done.

To add a kind of work: a doer, and a line in `SCHEDULED_WORK`. Next: `clocks.py`, `workers/dispatcher.py`, `workers/sweep.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from payments_sandbox.domain.settlement import SETTLED_KINDS
from payments_sandbox.services.disputes import dispute_records
from payments_sandbox.services.disputes.dispute_deadlines import meet_deadline
from payments_sandbox.services.ledger.entries import AUTHORIZATION
from payments_sandbox.services.payments import refund_outcomes
from payments_sandbox.services.payments.expiries import expire_authorization
from payments_sandbox.services.ports import Record
from payments_sandbox.services.settlement.settlement_records import SETTLEMENT
from payments_sandbox.services.settlement.settlements import resume_settlement, settle_due
from payments_sandbox.services.world import World


@dataclass(frozen=True, slots=True)
class ScheduledWork:
    """A kind of due work. name: what it is called where it is listed. do: does it."""

    name: str
    do: Callable[[World, Record], None]


SCHEDULED_WORK: Final[Mapping[str, ScheduledWork]] = {
    AUTHORIZATION: ScheduledWork("authorization_expiry", expire_authorization),
    **dict.fromkeys(SETTLED_KINDS, ScheduledWork("settlement", settle_due)),
    SETTLEMENT: ScheduledWork("settlement", resume_settlement),
    dispute_records.KIND: ScheduledWork("dispute_deadline", meet_deadline),
    refund_outcomes.TIMER: ScheduledWork("refund_outcome", refund_outcomes.decide_outcome),
}
"""Kind of a record to what is done when it falls due."""


def do_scheduled_work(world: World, record: Record) -> None:
    """Do what is due with this record."""
    assert record.due_at is not None, "what has no due_at is not in the due index"
    SCHEDULED_WORK[record.kind].do(world.at(record.due_at), record)
