"""Walking through an index: newest first, a page and a cursor at a time; or through what is due, in its order."""

import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from payments_sandbox.domain.errors import FieldError, InvalidRequest
from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.services.ports import Index, Position, Record, Store

T = TypeVar("T")

SCAN_MAX: Final = 2_000
"""How many records one listing reads at most before it answers with what it has found and a cursor."""

SCAN_PAGE: Final = 200

DUE_PAGE: Final = 1_000
"""As many as a page may hold: whoever asks what is due means to do all of it."""


@dataclass(frozen=True, slots=True)
class ListingPage(Generic[T]):
    """Items, newest first. next_cursor: opaque; None when there are no more."""

    items: Sequence[T]
    next_cursor: str | None

    def render(self, item: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
        """The page as every listing of the contract looks; item: how one of its items does."""
        return {
            "data": [item(each) for each in self.items],
            "has_more": self.next_cursor is not None,
            "next_cursor": self.next_cursor,
        }


def walk(
    store: Store,
    index: Index,
    key: str,
    wanted: Callable[[Record], bool],
    *,
    limit: int,
    cursor: str | None,
    owner: str | None = None,
    created_from: int | None = None,
    created_before: int | None = None,
    selective: bool = True,
) -> ListingPage[Record]:
    """The records under this key for which `wanted` answers True, newest first.

    owner: the account that is asking, where the key alone does not say so; what belongs to another is neither shown nor
    named by a cursor. created_from (inclusive), created_before (exclusive): milliseconds since the epoch. selective: few
    records may be wanted, so read more at once. A page may hold fewer than `limit` although there are more: go on with the cursor.
    Errors: invalid_request: the cursor is not one that a listing gave.
    """
    start = decode_cursor(cursor) if cursor is not None else None
    if created_before is not None:
        latest = Position(created_before, "")
        start = latest if start is None else min(start, latest)
    page_size = SCAN_PAGE if selective else limit + 1
    found: list[Record] = []
    scanned = 0
    while scanned < SCAN_MAX:
        page = store.page(index, key, after=start, limit=page_size, newest_first=True)
        for record in page.records:
            if owner is not None and record.account_id != owner:
                return ListingPage((), None)
            if created_from is not None and record.created_at < created_from:
                return ListingPage(found, None)
            if wanted(record):
                if len(found) == limit:
                    assert start is not None, "the record before this one was found"
                    return ListingPage(found, encode_cursor(start))
                found.append(record)
            start = Position(record.created_at, record.id)
        if page.next is None:
            return ListingPage(found, None)
        start = page.next
        scanned += page_size
    assert start is not None, "at least one page was read"
    return ListingPage(found, encode_cursor(start))


def walk_due(store: Store, key: str, *, until: int | None, after: Position | None = None) -> Iterator[Record]:
    """What is due under this key of the DUE index until a moment (milliseconds, included; None: at any time), in order."""
    while True:
        page = store.page(Index.DUE, key, after=after, limit=DUE_PAGE)
        for record in page.records:
            assert record.due_at is not None, "what has no due_at is not in the due index"
            if until is not None and record.due_at > until:
                return
            yield record
        if page.next is None:
            return
        after = page.next


def encode_cursor(position: Position) -> str:
    """A position as the opaque text that callers hand back."""
    return base64.urlsafe_b64encode(f"{position.at_ms}.{position.id}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> Position:
    """The position of a cursor. Raises InvalidRequest for anything that `encode_cursor` did not make."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    at_ms, _, record_id = text.partition(".")
    if at_ms.isdecimal() and len(at_ms) <= 15:
        position = Position(int(at_ms), record_id)
        if encode_cursor(position) == cursor:
            return position
    raise InvalidRequest(
        "The cursor is not one that a listing gave.",
        errors=[
            FieldError(
                "query:cursor", FieldCode.INVALID_CURSOR, "use next_cursor of the page before, unchanged"
            )
        ],
    )
