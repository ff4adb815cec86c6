"""What a process offers to every account: its ports, and how it is set up.

It belongs to no account. What an account sees of it is a `World` (`world.py`), so a function cannot be given the ports of one
account and the id of another.
"""

from dataclasses import dataclass, field
from typing import Final

from payments_sandbox.services.ports import (
    IDS_MAX,
    WRITES_MAX,
    ApiKeyRegistry,
    Clock,
    GroupCommit,
    MessagePacker,
    PrincipalCache,
    Randomness,
    RateLimiter,
    SecretBox,
    Sender,
    Store,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one record, atomic write or read of a larger task holds."""

    settlement_lines_per_record: int = WRITES_MAX - 2
    """With the settlement and the lines' own record, as many entries as one atomic write takes."""
    settlement_line_records_max: int = IDS_MAX
    """As many as one read of the ledger fetches."""
    snapshot_records_max: int = 10_000
    """How many records a snapshot can hold: what can be copied while a request waits."""
    snapshot_chunk_bytes_max: int = 250_000
    """How much JSON a chunk holds, unless a single record is larger."""
    snapshot_writes: int = WRITES_MAX
    """How many records of a snapshot one atomic write copies."""
    world_page: int = 500
    """How many records one read of an account's world fetches."""


REQUEST_BUDGET_S: Final = 50


@dataclass(frozen=True, slots=True)
class Infrastructure:
    """The ports of one process."""

    store: Store
    """The whole ledger, records of all accounts and worlds."""
    clock: Clock
    """Real time."""
    randomness: Randomness
    limiter: RateLimiter
    principals: PrincipalCache
    ledger_secret: bytes = field(repr=False)
    """Key of every HMAC that turns a card number, or an idempotency key, into an id."""
    secret_box: SecretBox = field(default=None)  # type: ignore[assignment]
    """Set wherever webhook endpoints are created, read or sent to."""
    packer: MessagePacker = field(default=None)  # type: ignore[assignment]
    """Set wherever network messages are shown."""
    group: GroupCommit | None = None
    """Shares commits between requests; None commits each insert by itself."""
    sender: Sender | None = None
    """Posts to receivers, where a request may wait for one."""
    key_registry: ApiKeyRegistry | None = None
    """None where no gateway has to know API keys."""
    loopback_webhooks: bool = False
    """Allow receivers on this machine, and plain http to them."""
    public_url: str = ""
    """Where clients reach the API, without a slash at the end."""
    cache_lag_ms: int = 0
    """How long other processes may trust what their `PrincipalCache` remembers."""
    request_budget_s: int = REQUEST_BUDGET_S
    """How long a request may work before it has to answer."""
    limits: Limits = Limits()
    demo_api_key: str = field(default="", repr=False)
    """Creates the demo account at the key's first use; empty where there is none, or where the start creates it."""
