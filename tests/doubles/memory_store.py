"""A ledger in memory, for unit tests; it passes the suite that every store passes."""

from collections.abc import Sequence

import orjson

from payments_sandbox.services.ports import (
    AlreadyExists,
    CommitResult,
    Committed,
    Index,
    Page,
    Position,
    Record,
    Stale,
    Update,
    index_position,
    is_listed,
    require_data_size,
    require_ids,
    require_page_limit,
    require_writes,
)


class MemoryStore:
    """`Store` in a dictionary.

    records: what the ledger holds, for tests to look at. Callers of the port get copies.
    """

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        require_ids(ids)
        return [None if (found := self.records.get(each)) is None else copy_of(found) for each in ids]

    def insert(self, record: Record) -> Record | None:
        copy = copy_of(record)
        holder = self.records.setdefault(record.id, copy)
        return None if holder is copy else copy_of(holder)

    def commit(self, inserts: Sequence[Record], updates: Sequence[Update]) -> CommitResult:
        require_writes(inserts, updates)
        copies = [copy_of(record) for record in (*inserts, *(update.record for update in updates))]
        for record in inserts:
            if record.id in self.records:
                return AlreadyExists(copy_of(self.records[record.id]))
        for update in updates:
            stored = self.records.get(update.record.id)
            if stored is None or stored.version != update.record.version - 1:
                return Stale()
        self.records.update({copy.id: copy for copy in copies})
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
        require_page_limit(limit)
        found = [
            (position, record)
            for record in self.records.values()
            if is_listed(index, key, record)
            and (position := index_position(index, record)) is not None
            and (after is None or (position < after if newest_first else position > after))
        ]
        found.sort(key=lambda pair: pair[0], reverse=newest_first)
        more = len(found) > limit
        return Page([copy_of(record) for _, record in found[:limit]], found[limit - 1][0] if more else None)

    def ping(self) -> None:
        pass

    def close(self) -> None:
        pass


def copy_of(record: Record) -> Record:
    """The record as it comes back from JSON, which is how every adapter keeps its data.

    Raises TypeError for data that JSON cannot hold, ValueError for too much of it.
    """
    data = orjson.dumps(record.data)
    require_data_size(data)
    return Record(
        record.id,
        record.kind,
        record.account_id,
        record.version,
        record.created_at,
        orjson.loads(data),
        record.feed_key,
        record.card_id,
        record.due_at,
    )
