"""An account's world: what the services of one account work with.

A world belongs to one account and knows which. It has the account's view of the ledger, its time and what its ids are derived
from; `infrastructure` is what all worlds share. `accounts/controls.py` makes the world of an account that has changed its
controls; `plain_world` makes that of any other account, without a read.
"""

import hmac
from collections.abc import Awaitable
from dataclasses import field, replace

from payments_sandbox.domain.value import value_type
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ports import Clock, GroupCommit, Record, Store


class StoppedClock:
    """A clock that stands at one time: that at which work was scheduled, while it is done."""

    def __init__(self, at_ms: int) -> None:
        self._at_ms = at_ms

    def now_ms(self) -> int:
        """Always the same time."""
        return self._at_ms


class SharedInserts:
    """The inserts of one request that share a commit with other requests. The pipeline waits for it before it replies."""

    __slots__ = ("_commits", "_group")

    def __init__(self, group: GroupCommit) -> None:
        self._group = group
        self._commits: list[Awaitable[None]] = []

    def insert(self, record: Record) -> Record | None:
        """See `GroupCommit.insert`."""
        existing = self._group.insert(record)
        if existing is None:
            # Asked for at once: after the next `await`, the group may be another one.
            self._commits.append(self._group.settled())
        return existing

    async def settled(self) -> None:
        """Wait until what was inserted is committed. Raises StoreUnavailable when it was not."""
        for commit in self._commits:
            await commit


@value_type
class World:
    """What one account works with."""

    account_id: str
    infrastructure: Infrastructure
    store: Store
    """The account's records: those of its scope, where it has one."""
    clock: Clock
    """The account's time."""
    wall_clock: Clock
    """Real time: for signatures, API keys, and what lives outside the ledger."""
    secret: bytes = field(repr=False)
    """Key of the HMACs that ids follow from."""
    owner: str
    """What ids are derived from, besides the secret: the account's id, or that of the account that a copy comes from."""
    cutoff_minutes: int = 0
    """When the account's day ends, in minutes after midnight UTC (`domain/settlement.py`)."""
    scope: str = ""
    """Which of the worlds in the ledger this is (`ledger/scopes.py`); empty for an ordinary one."""
    seeded: bool = False
    """Random ids follow from what they identify, and only published test cards are accepted."""
    inserts: SharedInserts | None = None
    """Where a request shares commits with others; None commits each insert by itself."""

    def insert(self, record: Record) -> Record | None:
        """As `Store.insert`; in a request the record is committed before the reply is sent."""
        return self.store.insert(record) if self.inserts is None else self.inserts.insert(record)

    def at(self, at_ms: int) -> "World":
        """This world at a time of its account, in milliseconds since the epoch."""
        return replace(self, clock=StoppedClock(at_ms))

    def token(self, length: int, *what: str) -> str:
        """A random token for an id; in a seeded world it follows from what it identifies."""
        if not self.seeded:
            return self.infrastructure.randomness.token(length)
        digest = hmac.digest(self.secret, "\0".join(("token", *what)).encode(), "sha256")
        return digest.hex()[:length]


def plain_world(infrastructure: Infrastructure, account_id: str, *, shares_commits: bool = False) -> World:
    """The world of an account that has no controls. shares_commits: for a request, whose pipeline waits for the commit."""
    group = infrastructure.group if shares_commits else None
    return World(
        account_id=account_id,
        infrastructure=infrastructure,
        store=infrastructure.store,
        clock=infrastructure.clock,
        wall_clock=infrastructure.clock,
        secret=infrastructure.ledger_secret,
        owner=account_id,
        inserts=None if group is None else SharedInserts(group),
    )
