"""Worlds that live in one ledger under the same ids: a scope is added to every id on its way in, and taken off on its way out.

Ids are primary keys, and a fork, a restored snapshot or a second account with the same seed has to show exactly the ids of
the first. So what belongs to an account's world (entries, cards, disputes, settlements, endpoints, deliveries, timers) is
stored as `<id>!<scope>`, and listed under keys with the same ending; what belongs to the account itself or to everybody
(keys, controls, snapshots, inboxes) is stored as it is. An ordinary account has no scope: none of this is in its way.

`!` sorts before every character of an id, so that ids under one key keep their order. `controls.py` puts the store into an
account's world; whoever reads the ledger across accounts (relay, dispatcher, sweeper) sees scoped ids, and hands each record to
`own_record` before it does anything with it. Next: `world_copies.py` copies a world, `snapshots.py` keeps some.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from payments_sandbox.services.ports import (
    AlreadyExists,
    CommitResult,
    Index,
    Page,
    Position,
    Record,
    Store,
    Update,
)
from payments_sandbox.services.world import World

SEPARATOR: Final = "!"
SCOPE_LENGTH: Final = 12

_ACCOUNTS_OWN: Final = ("acct_", "key_", "ctl_", "flt_", "snap_", "inbox_", "msg_", "meta_")
"""Prefixes of ids that belong to no world."""

_ACCOUNTS_OWN_FEEDS: Final = ("#inbox", "#inbox_message", "#snapshot", "#snapshot_work")
"""Endings of the keys under which the FEED index lists such records."""


class ScopedStore:
    """`Store` of one world. scope: empty for an account's first one, where others beside it are to be left out.

    A record that the client names by a scoped id is not found: the scope is added all the same.
    """

    def __init__(self, store: Store, scope: str) -> None:
        self._store = store
        self._scope = scope
        self._suffix = SEPARATOR + scope if scope else ""

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """See the port."""
        found = self._store.get([self._inward(record_id) for record_id in ids])
        return [None if record is None else self._outward_record(record) for record in found]

    def insert(self, record: Record) -> Record | None:
        """See the port."""
        existing = self._store.insert(self._inward_record(record))
        return None if existing is None else self._outward_record(existing)

    def commit(self, inserts: Sequence[Record], updates: Sequence[Update]) -> CommitResult:
        """See the port."""
        result = self._store.commit(
            [self._inward_record(record) for record in inserts],
            [Update(self._inward_record(update.record)) for update in updates],
        )
        return (
            AlreadyExists(self._outward_record(result.record))
            if isinstance(result, AlreadyExists)
            else result
        )

    def page(
        self,
        index: Index,
        key: str,
        *,
        after: Position | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> Page:
        """See the port."""
        if after is not None and after.id:
            after = Position(after.at_ms, self._inward(after.id))
        if index is Index.DUE:
            return self._page_due(key, after, limit, newest_first)
        if not key.endswith(_ACCOUNTS_OWN_FEEDS):
            key += self._suffix
        page = self._store.page(index, key, after=after, limit=limit, newest_first=newest_first)
        following = page.next and Position(page.next.at_ms, self._outward(page.next.id))
        return Page([self._outward_record(record) for record in page.records], following)

    def ping(self) -> None:
        """See the port."""
        self._store.ping()

    def close(self) -> None:
        """See the port."""
        self._store.close()

    def _page_due(self, key: str, after: Position | None, limit: int, newest_first: bool) -> Page:
        """The due index has one key for an account, whatever the world: the others' records are left out."""
        found: list[Record] = []
        while True:
            page = self._store.page(Index.DUE, key, after=after, limit=limit, newest_first=newest_first)
            found += [
                self._outward_record(record) for record in page.records if scope_of(record.id) == self._scope
            ]
            if len(found) > limit:
                last = found[limit - 1]
                assert last.due_at is not None, "what has no due_at is not in the due index"
                return Page(found[:limit], Position(last.due_at, last.id))
            if page.next is None:
                return Page(found, None)
            after = page.next

    def _inward(self, record_id: str) -> str:
        return record_id if record_id.startswith(_ACCOUNTS_OWN) else record_id + self._suffix

    def _outward(self, record_id: str) -> str:
        return record_id.removesuffix(self._suffix)

    def _inward_record(self, record: Record) -> Record:
        if record.id.startswith(_ACCOUNTS_OWN):
            return record
        return replace(
            record,
            id=record.id + self._suffix,
            feed_key=None if record.feed_key is None else record.feed_key + self._suffix,
            card_id=None if record.card_id is None else record.card_id + self._suffix,
        )

    def _outward_record(self, record: Record) -> Record:
        return _without(self._suffix, record)


def scope_of(stored_id: str) -> str:
    """The scope of an id as it is stored; empty when it has none."""
    return stored_id.rpartition(SEPARATOR)[2] if SEPARATOR in stored_id else ""


def stored_id(world: World, record_id: str) -> str:
    """The id under which the ledger keeps a record of the account."""
    return f"{record_id}{SEPARATOR}{world.scope}" if world.scope else record_id


def own_record(world: World, stored: Record) -> Record | None:
    """A record of the ledger as its account sees it; None when it belongs to a world that the account has left, or has not
    entered."""
    if stored.id.startswith(_ACCOUNTS_OWN):
        return stored
    if scope_of(stored.id) != world.scope:
        return None
    return _without(SEPARATOR + world.scope, stored) if world.scope else stored


def _without(suffix: str, record: Record) -> Record:
    if not record.id.endswith(suffix):
        return record
    return replace(
        record,
        id=record.id.removesuffix(suffix),
        feed_key=None if record.feed_key is None else record.feed_key.removesuffix(suffix),
        card_id=None if record.card_id is None else record.card_id.removesuffix(suffix),
    )
