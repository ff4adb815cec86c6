"""A ledger in memory, for unit tests; it passes the suite that every store passes."""

from collections.abc import Sequence

from payments_sandbox.services.ports import (
    DUE_KEY,
    AlreadyExists,
    CommitResult,
    Committed,
    Index,
    Page,
    Position,
    Record,
    Stale,
    Update,
)


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
