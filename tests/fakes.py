"""Stand-ins for the ports in unit tests: a ledger in memory, a clock that stands still, ids from a seed."""

import random
import string
from collections.abc import Sequence

from payments_sandbox.adapters.iso8583.packer import Iso8583Packer
from payments_sandbox.adapters.system.limiter import TokenBucketLimiter
from payments_sandbox.adapters.system.principals import RecentPrincipals
from payments_sandbox.domain.plans import PLANS
from payments_sandbox.services.ports import (
    DUE_KEY,
    AlreadyExists,
    CommitResult,
    Committed,
    Index,
    Page,
    Ports,
    Position,
    Record,
    Stale,
    Store,
    Update,
)

LEDGER_SECRET = bytes(range(32))
NOW_MS = 1_795_428_000_000  # 2026-11-23T10:00:00Z


class FrozenClock:
    """`Clock` that moves only when it is told to."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.at_ms = now_ms

    def now_ms(self) -> int:
        return self.at_ms

    def advance(self, *, ms: int = 0, days: int = 0) -> None:
        self.at_ms += ms + days * 86_400_000


class SeededRandomness:
    """`Randomness` that repeats itself from run to run."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def token(self, length: int) -> str:
        return "".join(self._random.choices(string.digits + string.ascii_letters, k=length))


class MemoryStore:
    """`Store` in a dictionary; passes the same suite as the real ones."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        return [self.records.get(record_id) for record_id in ids]

    def insert(self, record: Record) -> Record | None:
        existing = self.records.setdefault(record.id, record)
        return None if existing is record else existing

    def commit(self, inserts: Sequence[Record], updates: Sequence[Update]) -> CommitResult:
        for record in inserts:
            if record.id in self.records:
                return AlreadyExists(self.records[record.id])
        for update in updates:
            stored = self.records.get(update.record.id)
            if stored is None or stored.version != update.record.version - 1:
                return Stale()
        for record in [*inserts, *(update.record for update in updates)]:
            self.records[record.id] = record
        return Committed()

    def page(
        self,
        index: Index,
        key: str,
        *,
        after: Position | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> Page:
        found = [
            (position, record)
            for record in self.records.values()
            for listed_under, position in [_listing(index, record)]
            if (
                listed_under == key
                or (index is Index.DUE and listed_under is not None and record.account_id == key)
            )
            and (after is None or (position < after if newest_first else position > after))
        ]
        found.sort(key=lambda pair: pair[0], reverse=newest_first)
        more = len(found) > limit
        return Page([record for _, record in found[:limit]], found[limit - 1][0] if more else None)

    def ping(self) -> None:
        pass

    def close(self) -> None:
        pass


def _listing(index: Index, record: Record) -> tuple[str | None, Position]:
    match index:
        case Index.FEED:
            return record.feed_key, Position(record.created_at, record.id)
        case Index.CARD:
            return record.card_id, Position(record.created_at, record.id)
        case Index.DUE:
            return DUE_KEY if record.due_at is not None else None, Position(record.due_at or 0, record.id)


class OpenBox:
    """`SecretBox` that hides nothing."""

    def seal(self, secret: bytes) -> str:
        return secret.hex()

    def open(self, sealed: str) -> bytes:
        return bytes.fromhex(sealed)


def make_ports(store: Store | None = None, clock: FrozenClock | None = None) -> Ports:
    """Ports for a test: in memory, at `NOW_MS`, unless given otherwise."""
    clock = clock or FrozenClock()
    return Ports(
        store=store or MemoryStore(),
        clock=clock,
        randomness=SeededRandomness(),
        limiter=TokenBucketLimiter(PLANS, now_ns=lambda: clock.now_ms() * 1_000_000),
        principals=RecentPrincipals(clock),
        secret_box=OpenBox(),
        ledger_secret=LEDGER_SECRET,
        loopback_webhooks=True,
        packer=Iso8583Packer(),
    )
