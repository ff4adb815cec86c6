"""What the services need from the outside world, as Protocols; `bootstrap.py` supplies them, `infrastructure.py` gathers them.

The store is a ledger of records with four operations and no queries beyond three indexes, so that an adapter is a page
or two and both homes behave alike: `contracts/store/` is the suite that every adapter passes.
"""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from payments_sandbox.domain.attempt_errors import AttemptError
from payments_sandbox.domain.errors import Quota
from payments_sandbox.domain.iso8583 import Message
from payments_sandbox.domain.value import value_type


@value_type
class Record:
    """One stored thing: a ledger entry, an account, an API key.

    id: primary key, ASCII, unique over all accounts and kinds.
    kind: `authorization`, `capture`, ..., `account`, `api_key`.
    account_id: the owner; services compare it before they show a record to anybody.
    version: 1 when inserted, one more at each update.
    created_at: milliseconds since the Unix epoch; orders the feed and card indexes.
    data: JSON value (str, int, bool, None, list, dict; never a float), opaque to the store.
    feed_key, card_id: the record is listed in the FEED or CARD index under this key; None keeps it out.
    due_at: milliseconds since the epoch, by the account's clock; the record is listed in the DUE index, ordered by it,
        among those of all accounts and among its own account's; None keeps it out.
    """

    id: str
    kind: str
    account_id: str
    version: int
    created_at: int
    data: Mapping[str, Any]
    feed_key: str | None = None
    card_id: str | None = None
    due_at: int | None = None


class Index(StrEnum):
    """The orders in which records can be read. FEED and CARD are ordered by (created_at, id), DUE by (due_at, id)."""

    FEED = "feed"
    CARD = "card"
    DUE = "due"


DUE_KEY = "due"
"""The key under which the DUE index lists everything that has a `due_at`, whatever its account. An account's id is a key
of its own, for what is due in that account."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in an index: after (exclusive) the record with this time (milliseconds) and id.

    `Position(t, "")` sorts before every record of time t, so a time range needs nothing else.
    """

    at_ms: int
    id: str


def index_key(index: Index, record: Record) -> str | None:
    """The key under which the index lists the record; None when it does not."""
    match index:
        case Index.FEED:
            return record.feed_key
        case Index.CARD:
            return record.card_id
        case Index.DUE:
            return None if record.due_at is None else DUE_KEY


def is_listed(index: Index, key: str, record: Record) -> bool:
    """Whether the index lists the record under this key. The due index also lists it under its account's id."""
    listed_under = index_key(index, record)
    return listed_under == key or (
        index is Index.DUE and listed_under is not None and record.account_id == key
    )


def index_position(index: Index, record: Record) -> Position | None:
    """Where the index lists the record, if it has a key there."""
    at_ms = record.due_at if index is Index.DUE else record.created_at
    return None if at_ms is None else Position(at_ms, record.id)


@dataclass(frozen=True, slots=True)
class Page:
    """Records in index order, and the position to go on from; None when the index is exhausted."""

    records: Sequence[Record]
    next: Position | None


@dataclass(frozen=True, slots=True)
class Update:
    """Replace the record of this id, if its stored version is still `record.version - 1`."""

    record: Record


@dataclass(frozen=True, slots=True)
class Committed:
    """The atomic write took place."""


@dataclass(frozen=True, slots=True)
class AlreadyExists:
    """Nothing was written: one of the inserts has an id that is taken, by this record."""

    record: Record


@dataclass(frozen=True, slots=True)
class Stale:
    """Nothing was written: an update's record had moved on (or another writer held it). Read again and decide again."""


CommitResult = Committed | AlreadyExists | Stale


IDS_MAX: Final = 100
"""Ids in one call of `Store.get`."""

WRITES_MAX: Final = 100
"""Inserts and updates in one call of `Store.commit`."""

PAGE_MAX: Final = 1000
"""Records in one page."""

DATA_BYTES_MAX: Final = 400_000
"""Bytes of a record's data as JSON. An item of DynamoDB holds 400 KB (409,600 bytes), and the rest is for the keys."""


def require_ids(ids: Sequence[str]) -> None:
    """Every store refuses a call of `get` that breaks the port's rules: raises ValueError."""
    _require(len(ids) <= IDS_MAX, f"at most {IDS_MAX} ids")


def require_writes(inserts: Sequence[Record], updates: Sequence[Update]) -> None:
    """Every store refuses a call of `commit` that breaks the port's rules: raises ValueError."""
    ids = {record.id for record in inserts} | {update.record.id for update in updates}
    count = len(inserts) + len(updates)
    _require(count <= WRITES_MAX, f"at most {WRITES_MAX} writes")
    _require(len(ids) == count, "each record is written once")


def require_page_limit(limit: int) -> None:
    """Every store refuses a call of `page` that breaks the port's rules: raises ValueError."""
    _require(1 <= limit <= PAGE_MAX, f"limit is 1 to {PAGE_MAX}")


def require_data_size(data: bytes) -> None:
    """Every store refuses a record that is too large: raises ValueError. data: the record's data as JSON."""
    _require(len(data) <= DATA_BYTES_MAX, f"data takes at most {DATA_BYTES_MAX} bytes")


def _require(condition: bool, rule: str) -> None:
    if not condition:
        raise ValueError(rule)


class Store(Protocol):
    """The ledger.

    Every method raises `StoreUnavailable` when the store cannot be reached or refuses for load. Reads by id are
    strongly consistent. Implementations convert numbers back to `int`.

    Every method raises ValueError for a call that breaks a limit, and TypeError for data that JSON cannot hold; the store
    writes nothing then. Records are copies: the store and its caller never share `data`.
    """

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """The records with these ids (at most `IDS_MAX`), in the order asked for; None where there is none."""
        ...

    def insert(self, record: Record) -> Record | None:
        """Insert the record unless its id is taken; answers None, or the record that holds the id, unchanged."""
        ...

    def commit(self, inserts: Sequence[Record], updates: Sequence[Update]) -> CommitResult:
        """Write all of these, or none (at most `WRITES_MAX` in all). When an insert's id is taken *and* an update is stale,
        the answer is `AlreadyExists`: a replay is never mistaken for a lost race."""
        ...

    def page(
        self,
        index: Index,
        key: str,
        *,
        after: Position | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> Page:
        """Up to `limit` (1 to `PAGE_MAX`) records of the index under `key`, from `after` on in the direction asked for."""
        ...

    def ping(self) -> None:
        """Answer, or raise `StoreUnavailable`; what the health operation asks."""
        ...

    def close(self) -> None:
        """Release what the adapter holds; nothing is called afterwards."""
        ...


class GroupCommit(Protocol):
    """Inserts of requests that come together, committed together: for a request that writes one record and is answered then."""

    def insert(self, record: Record) -> Record | None:
        """As `Store.insert`, but a record that was inserted is committed a moment later, and nobody may be told of it before
        `settled`; one that holds the id has been committed."""
        ...

    def settled(self) -> Awaitable[None]:
        """Wait for the commit of what was just inserted: to be called before anything else is awaited. Raises
        `StoreUnavailable` when it fails, and nothing was written then."""
        ...


@dataclass(frozen=True, slots=True)
class FeedItem:
    """That a record was inserted. seq: its place in the order of commits, growing, not without gaps."""

    seq: int
    id: str
    kind: str
    account_id: str


class ChangeFeed(Protocol):
    """The ledger's inserts in the order of their commits, where one process can follow them."""

    def changes(self, *, after: int, limit: int) -> list[FeedItem]:
        """The first `limit` inserts after this seq (0: from the beginning)."""
        ...


class Clock(Protocol):
    """The only source of time."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        ...


class Randomness(Protocol):
    """The only source of randomness: ids and secrets that no idempotency key determines."""

    def token(self, length: int) -> str:
        """`length` characters of [0-9A-Za-z], unguessable."""
        ...


class RateLimiter(Protocol):
    """Counts requests against plans."""

    def take(self, key_id: str, plan: str) -> Quota | None:
        """Count one request of this key; None when this home cannot know what is left (the gateway counts)."""
        ...


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever an API key belongs to.

    key_id: the key's public id. plan: the usage plan that limits it. controlled: the account has changed something about
    its world (`services/accounts/controls.py`), so that each request has to ask what.
    """

    account_id: str
    key_id: str
    plan: str
    controlled: bool = False


class PrincipalCache(Protocol):
    """Remembers for a few seconds whose a key is: without it an authorization would cost a read besides its write."""

    def get(self, key_id: str) -> Principal | None:
        """The principal of this key, if it was put here not long ago."""
        ...

    def put(self, principal: Principal) -> None:
        """Remember the principal under its key id."""
        ...

    def forget(self, key_id: str) -> None:
        """Ask the ledger again at this key's next use."""
        ...


class ApiKeyRegistry(Protocol):
    """The gateway in front of a home, which has to know a key before it lets requests with it through.

    Both methods raise StoreUnavailable when the gateway cannot be used.
    """

    def register(self, key_id: str, secret: str, plan: str) -> str:
        """Make the key known under its plan; answers what the gateway calls it. It may take some seconds to be known
        everywhere."""
        ...

    def withdraw(self, gateway_key_id: str) -> None:
        """Make the key that the gateway calls so unknown; well if it is unknown already."""
        ...


class SecretBox(Protocol):
    """Keeps secrets that have to be read again (signing secrets), encrypted and authenticated."""

    def seal(self, secret: bytes) -> str:
        """The secret as text that can be stored."""
        ...

    def open(self, sealed: str) -> bytes:
        """The secret again. Implementations may remember it: one webhook must not cost one call of a key service."""
        ...


@dataclass(frozen=True, slots=True)
class Post:
    """A POST to a receiver. url: used byte for byte. headers: besides host and content-length, which the sender adds.

    chunks: the body, sent piece by piece with `pause_ms` in between; ordinarily one piece.
    """

    url: str
    headers: Sequence[tuple[str, str]]
    chunks: Sequence[bytes]
    timeout_ms: int
    pause_ms: int = 0


@dataclass(frozen=True, slots=True)
class ReceiverResponse:
    """What came of a POST. status: None when there was no HTTP answer; then `error` says why.

    headers: of the answer, at most 32 of at most 256 characters. body_start: its first 1024 bytes, as text.
    """

    status: int | None
    headers: Sequence[tuple[str, str]]
    body_start: str
    duration_ms: int
    error: AttemptError | None = None


class Sender(Protocol):
    """Posts to receivers. Never raises for anything that a receiver, a network or a name server does."""

    async def send(self, post: Post) -> ReceiverResponse:
        """Post once, to an address that the home allows, following no redirect."""
        ...


@dataclass(frozen=True, slots=True)
class PackedMessage:
    """A network message as it would travel. bitmap: which elements are there, 16 or 32 hexadecimal digits."""

    octets: bytes
    bitmap: str


class MessagePacker(Protocol):
    """Network messages as bytes, and back: `unpack(pack(message).octets) == message`."""

    def pack(self, message: Message) -> PackedMessage:
        """The message, packed. Raises ValueError for what does not fit its element."""
        ...

    def unpack(self, octets: bytes) -> Message:
        """The message that was packed. Raises ValueError for what is none."""
        ...
