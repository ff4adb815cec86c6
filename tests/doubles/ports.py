"""Stand-ins for the ports in unit tests: a clock that stands still, ids from a seed, and `Ports` over a ledger in memory."""

import random
import string

from payments_sandbox.adapters.iso8583.packer import Iso8583Packer
from payments_sandbox.adapters.system.limiter import TokenBucketLimiter
from payments_sandbox.adapters.system.principals import RecentPrincipals
from payments_sandbox.domain.usage_plans import PLANS
from payments_sandbox.services.ports import Limits, Ports, Store
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


def make_ports(
    store: Store | None = None, clock: FrozenClock | None = None, limits: Limits | None = None
) -> Ports:
    """Ports for a test: in memory, at `NOW_MS`, with the usual limits, unless given otherwise."""
    clock = clock or FrozenClock()
    return Ports(
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
