"""Stand-ins for the ports in unit tests: a clock that stands still, ids from a seed, and worlds over a ledger in memory."""

import random
import string
from dataclasses import replace
from typing import Any, Final

from payments_sandbox.adapters.iso8583.packer import Iso8583Packer
from payments_sandbox.adapters.system.limiter import TokenBucketLimiter
from payments_sandbox.adapters.system.principals import RecentPrincipals
from payments_sandbox.domain.usage_plans import PLANS
from payments_sandbox.services.infrastructure import Infrastructure, Limits
from payments_sandbox.services.ports import Store
from payments_sandbox.services.world import World, plain_world
from tests.doubles.memory_store import MemoryStore

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


class OpenBox:
    """`SecretBox` that hides nothing."""

    def seal(self, secret: bytes) -> str:
        return secret.hex()

    def open(self, sealed: str) -> bytes:
        return bytes.fromhex(sealed)


def make_infrastructure(
    store: Store | None = None, clock: FrozenClock | None = None, limits: Limits | None = None
) -> Infrastructure:
    """Infrastructure for a test: in memory, at `NOW_MS`, with the usual limits, unless given otherwise."""
    clock = clock or FrozenClock()
    return Infrastructure(
        store=store or MemoryStore(),
        clock=clock,
        randomness=SeededRandomness(),
        limiter=TokenBucketLimiter(PLANS, now_ns=lambda: clock.now_ms() * 1_000_000),
        principals=RecentPrincipals(clock),
        secret_box=OpenBox(),
        ledger_secret=LEDGER_SECRET,
        limits=limits or Limits(),
        loopback_webhooks=True,
        packer=Iso8583Packer(),
    )


ACCOUNT: Final = "acct_shop"
"""The account of a test that needs one."""


def make_world(
    store: Store | None = None,
    clock: FrozenClock | None = None,
    limits: Limits | None = None,
    *,
    account_id: str = ACCOUNT,
    **changes: Any,
) -> World:
    """The world of an account on an infrastructure of its own. changes: to the infrastructure's fields."""
    return plain_world(replace(make_infrastructure(store, clock, limits), **changes), account_id)


def with_infrastructure(world: World, **changes: Any) -> World:
    """The world with other fields of its infrastructure."""
    return replace(world, infrastructure=replace(world.infrastructure, **changes))


def with_store(world: World, store: Store) -> World:
    """The world over another store."""
    return replace(with_infrastructure(world, store=store), store=store)


def of_account(world: World, account_id: str) -> World:
    """The world of another account on the same infrastructure, or this one if it is the account's."""
    return world if account_id == world.account_id else plain_world(world.infrastructure, account_id)
