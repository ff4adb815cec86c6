"""Records to test with."""

from dataclasses import replace
from typing import Any, TypedDict, Unpack

from payments_sandbox.services.ports import Index, Page, Position, Record, Store, Update

NOW_MS = 1_750_000_000_000
ACCOUNT = "acct_h5mq2tzk7wd4v3ya"
FEED_KEY = f"{ACCOUNT}#transaction"
CARD_ID = "card_n3vq7xk2mzt5yd4wh6plas2cu"


class Fields(TypedDict, total=False):
    """What a test may want to choose about a record."""

    kind: str
    account_id: str
    version: int
    created_at: int
    data: dict[str, Any]
    feed_key: str | None
    card_id: str | None
    due_at: int | None


def make_record(record_id: str = "auth_1", **fields: Unpack[Fields]) -> Record:
    """A record in no index, but for what is asked for."""
    chosen: Fields = {
        "kind": "authorization",
        "account_id": ACCOUNT,
        "version": 1,
        "created_at": NOW_MS,
        "data": {"amount": 1000},
        **fields,
    }
    return Record(record_id, **chosen)


def updated(record: Record, **fields: Unpack[Fields]) -> Update:
    """The update that follows the record, with these fields changed."""
    return Update(replace(replace(record, version=record.version + 1), **fields))


def all_pages(
    store: Store,
    index: Index,
    key: str,
    *,
    limit: int,
    newest_first: bool = False,
    after: Position | None = None,
) -> list[Page]:
    """Every page from `after` on, following `next`, which has to lead on."""
    pages = []
    while True:
        page = store.page(index, key, after=after, limit=limit, newest_first=newest_first)
        pages.append(page)
        if page.next is None:
            return pages
        assert after is None or (page.next < after if newest_first else page.next > after)
        after = page.next


def listed_ids(store: Store, index: Index, key: str, *, newest_first: bool = False) -> list[str]:
    """The ids that an index lists under a key, in its order."""
    pages = all_pages(store, index, key, limit=1000, newest_first=newest_first)
    return [record.id for page in pages for record in page.records]
