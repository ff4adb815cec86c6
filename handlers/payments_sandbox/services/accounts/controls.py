"""What an account has changed about its world: its time, when its day ends, what goes wrong, and which world it is.

An account that never asked for anything has no record here, and its requests read none: an authorization stays one write.
The first change marks the account and its API keys as controlled, in the same atomic write; from then on each request
reads the controls, and is served with the world that `controlled_world` makes of them.

Next: `clocks.py` moves the clock, `scheduled_work.py` runs scheduled work.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from payments_sandbox.domain.errors import AccountBusy
from payments_sandbox.services.accounts.accounts import mark_controlled
from payments_sandbox.services.accounts.seeds import seed_secret
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ledger.retry import LOST, SETTINGS_RACES_MAX, LostRace, retry_on_conflict
from payments_sandbox.services.ledger.scopes import ScopedStore, scope_of
from payments_sandbox.services.ports import Clock, Committed, Index, Record, Update
from payments_sandbox.services.world import SharedInserts, World, plain_world

KIND: Final = "controls"
FEED_KEY: Final = "controls"
"""Where the FEED index lists the controls of all accounts that have any."""

_PREFIX: Final = "ctl_"
_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Controls:
    """clock_offset_ms: how far the account's clock is ahead of real time; never negative. cutoff_minutes: when its day ends
    for settlement, in minutes after midnight UTC.

    faults: rules for what goes wrong, see `faults.py`. fault_generation: how often they were set.
    scope: which of the worlds in the ledger is the account's (`scopes.py`); empty for an ordinary one. entering: the scope
    of a world that is being copied and will be the account's next. namespace: what its ids are derived from, when that is
    not the account's id. seed: what they are derived from in place of the ledger's secret (`seeds.py`).
    """

    clock_offset_ms: int = 0
    cutoff_minutes: int = 0
    faults: list[dict[str, Any]] = field(default_factory=list)
    fault_generation: int = 0
    scope: str = ""
    entering: str = ""
    namespace: str = ""
    seed: str | None = None


class ShiftedClock:
    """A clock that is ahead of another by a fixed time."""

    def __init__(self, clock: Clock, offset_ms: int) -> None:
        self._clock = clock
        self._offset_ms = offset_ms

    def now_ms(self) -> int:
        """The other clock's time, shifted."""
        return self._clock.now_ms() + self._offset_ms


def world_of(infrastructure: Infrastructure, account_id: str) -> World:
    """The account's world."""
    (record,) = infrastructure.store.get([_PREFIX + account_id])
    if record is None:
        return plain_world(infrastructure, account_id)
    return controlled_world(infrastructure, account_id, controls_of(record))


def controlled_world(
    infrastructure: Infrastructure, account_id: str, controls: Controls, *, shares_commits: bool = False
) -> World:
    """The world of an account with these controls. shares_commits: see `plain_world`; scoped records share none."""
    is_scoped = bool(controls.scope or controls.entering)
    group = infrastructure.group if shares_commits and not is_scoped else None
    return World(
        account_id=account_id,
        infrastructure=infrastructure,
        store=ScopedStore(infrastructure.store, controls.scope) if is_scoped else infrastructure.store,
        clock=ShiftedClock(infrastructure.clock, controls.clock_offset_ms),
        wall_clock=infrastructure.clock,
        secret=infrastructure.ledger_secret if controls.seed is None else seed_secret(controls.seed),
        owner=controls.namespace or account_id,
        cutoff_minutes=controls.cutoff_minutes,
        scope=controls.scope,
        seeded=controls.seed is not None,
        inserts=None if group is None else SharedInserts(group),
    )


def get_controls(infrastructure: Infrastructure, account_id: str) -> Controls:
    """The account's controls; those of an account that changed nothing are the defaults."""
    (record,) = infrastructure.store.get([_PREFIX + account_id])
    return Controls() if record is None else controls_of(record)


def change_controls(
    infrastructure: Infrastructure, account_id: str, change: Callable[[Controls], Controls]
) -> tuple[Controls, bool]:
    """Write what `change` makes of the account's controls; answers them, and whether they are the account's first.

    After the first, other processes may take the account for an ordinary one for another `infrastructure.cache_lag_ms`.
    Errors: account_busy.
    """

    def attempt() -> tuple[Controls, bool] | LostRace:
        (record,) = infrastructure.store.get([_PREFIX + account_id])
        if record is None:
            controls = change(Controls())
            record = first_record(infrastructure, account_id, controls)
            return (controls, True) if mark_controlled(infrastructure, account_id, record) else LOST
        controls = change(controls_of(record))
        changed = replace(record, version=record.version + 1, data=asdict(controls))
        won = isinstance(infrastructure.store.commit([], [Update(changed)]), Committed)
        return (controls, False) if won else LOST

    busy = AccountBusy("Other changes to the account got there first; repeat the request.")
    return retry_on_conflict(attempt, busy, races_max=SETTINGS_RACES_MAX)


def first_record(infrastructure: Infrastructure, account_id: str, controls: Controls) -> Record:
    """The record of an account's first controls."""
    return Record(
        id=_PREFIX + account_id,
        kind=KIND,
        account_id=account_id,
        version=1,
        created_at=infrastructure.clock.now_ms(),
        data=asdict(controls),
        feed_key=FEED_KEY,
    )


def list_controls(infrastructure: Infrastructure) -> dict[str, Controls]:
    """The controls of every account that has any, by account id."""
    found: dict[str, Controls] = {}
    after = None
    while True:
        page = infrastructure.store.page(Index.FEED, FEED_KEY, after=after, limit=_PAGE)
        found |= {record.account_id: controls_of(record) for record in page.records}
        after = page.next
        if after is None:
            return found


def retire(infrastructure: Infrastructure, stored: Record) -> None:
    """Take what its account has left behind out of the due index; what is copied for its next world stays.

    stored: as the ledger has it, with its scope.
    """
    controls = get_controls(infrastructure, stored.account_id)
    scope = scope_of(stored.id)
    if scope != controls.scope and not (scope and scope == controls.entering):
        infrastructure.store.commit([], [Update(replace(stored, version=stored.version + 1, due_at=None))])


def controls_of(record: Record) -> Controls:
    """A record's controls; what an earlier version did not write is at its default."""
    return Controls(**record.data)
