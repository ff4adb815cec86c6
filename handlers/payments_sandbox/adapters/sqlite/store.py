"""`Store` on one SQLite file: the ledger of the embedded home.

Everything acknowledged survives the death of the process; with `synchronous="FULL"` that of the machine too. Several
processes may share the file on one machine, never over a network file system. It holds no business rule and creates no
backup. `schema.py` opens the file, `exclusive.py` guards the connection, `group_commit.py` lets inserts share a commit,
`checkpoints.py` tends the log.
"""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from payments_sandbox.adapters.sqlite.checkpoints import INTERVAL_S, WAL_LONG_PAGES, Checkpointer
from payments_sandbox.adapters.sqlite.exclusive import Exclusive, InsertBatch
from payments_sandbox.adapters.sqlite.schema import WAL_KEPT_BYTES, StoreOpenError, Synchronous, open_ledger
from payments_sandbox.services.ports import (
    DUE_KEY,
    AlreadyExists,
    CommitResult,
    Committed,
    FeedItem,
    Index,
    Page,
    Position,
    Record,
    Stale,
    Update,
    index_position,
    require_data_size,
    require_ids,
    require_page_limit,
    require_writes,
)

__all__ = ["SqliteStore", "StoreOpenError"]

BUSY_TIMEOUT_S: Final = 5.0

# Constant texts: SQLite prepares each of them once.
_COLUMNS: Final = "id, kind, account_id, version, created_at, data, feed_key, card_id, due_at"
_INSERT: Final = (
    f"INSERT INTO records ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
)
_SELECT: Final = f"SELECT {_COLUMNS} FROM records WHERE id = ?"
_UPDATE: Final = f"UPDATE records SET ({_COLUMNS}) = (?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ? AND version = ?"
_CHANGES: Final = "SELECT seq, id, kind, account_id FROM records WHERE seq > ? ORDER BY seq LIMIT ?"
_PING: Final = "SELECT seq FROM records LIMIT 1"


def _page_text(filter_: str, time_column: str, *, newest_first: bool) -> str:
    comparison, order = ("<", "DESC") if newest_first else (">", "ASC")
    return (
        f"SELECT {_COLUMNS} FROM records WHERE {filter_} AND ({time_column}, id) {comparison} (?, ?)"
        f" ORDER BY {time_column} {order}, id {order} LIMIT ?"
    )


_PAGE: Final = {
    (index, newest_first): _page_text(filter_, time_column, newest_first=newest_first)
    for index, filter_, time_column in (
        (Index.FEED, "feed_key = ?", "created_at"),
        (Index.CARD, "card_id = ?", "created_at"),
        (Index.DUE, f"due_at IS NOT NULL AND '{DUE_KEY}' = ?", "due_at"),
    )
    for newest_first in (False, True)
}
_ACCOUNT_DUE_PAGE: Final = {
    newest_first: _page_text("due_at IS NOT NULL AND account_id = ?", "due_at", newest_first=newest_first)
    for newest_first in (False, True)
}

_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1
_FIRST: Final = Position(_INT64_MIN, "")
_LAST: Final = Position(_INT64_MAX, "")


class SqliteStore:
    """The ledger in the file at `path`, created when it is not there.

    synchronous: NORMAL loses nothing when the process is killed, but may lose the last commits when the machine is;
        FULL waits for the disk at every commit.
    busy_timeout_s: how long to wait for another process's write before StoreUnavailable.
    checkpoint_interval_s: how often a thread looks whether the log has to be copied into the file.
    long_log_pages: a log of so many pages is restarted, while this process's writes wait.
    kept_log_bytes: a longer log is cut back to this size when it restarts.
    Raises StoreOpenError when the file cannot be used.
    Threads may share it; one at a time gets through.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Synchronous = "NORMAL",
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        checkpoint_interval_s: float = INTERVAL_S,
        long_log_pages: int = WAL_LONG_PAGES,
        kept_log_bytes: int = WAL_KEPT_BYTES,
    ) -> None:
        file = Path(path)
        self._connection = open_ledger(
            file, synchronous=synchronous, busy_timeout_s=busy_timeout_s, kept_log_bytes=kept_log_bytes
        )
        self._exclusive = Exclusive(self._connection)
        self._checkpointer = Checkpointer(file, self._exclusive, checkpoint_interval_s, long_log_pages)
        self._closed = False

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """See the port."""
        require_ids(ids)
        with self._exclusive as connection:
            return [_find(connection, record_id) for record_id in ids]

    def insert(self, record: Record) -> Record | None:
        """See the port. One statement, which SQLite commits by itself."""
        row = _row(record)
        with self._exclusive as connection:
            if connection.execute(_INSERT, row).rowcount:
                self._checkpointer.written = True
                return None
            return _find(connection, record.id)

    def insert_into_group(self, record: Record) -> Record | InsertBatch:
        """Insert the record unless its id is taken, but commit it later: answers the group that it is part of now, or the
        record that holds the id, unchanged and committed.

        The group ends with `commit_group`, or before whatever else is asked of the store.
        """
        group = self._exclusive.insert_into_group(_INSERT, _row(record))
        if group is not None:
            return group
        (existing,) = self.get([record.id])
        # Committing the record that held the id may have failed just now, and the id be free again.
        return self.insert_into_group(record) if existing is None else existing

    def commit_group(self, group: InsertBatch) -> None:
        """Commit the group unless that is done; its `error` then tells whether it was."""
        self._exclusive.end_group(group)
        self._checkpointer.written = True

    def commit(self, inserts: Sequence[Record], updates: Sequence[Update]) -> CommitResult:
        """See the port."""
        require_writes(inserts, updates)
        inserted = [_row(record) for record in inserts]
        updated = [(*_row(update.record), update.record.id, update.record.version - 1) for update in updates]
        with self._exclusive as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = _apply(connection, inserted, updated)
                connection.execute("COMMIT" if isinstance(result, Committed) else "ROLLBACK")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            self._checkpointer.written = True
        return result

    def page(
        self,
        index: Index,
        key: str,
        *,
        after: Position | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> Page:
        """See the port. One more row than asked for is read, to know whether there are more."""
        require_page_limit(limit)
        start = after or (_LAST if newest_first else _FIRST)
        at_ms = min(max(start.at_ms, _INT64_MIN), _INT64_MAX)
        arguments = (key, at_ms, start.id, limit + 1)
        of_account = index is Index.DUE and key != DUE_KEY
        text = _ACCOUNT_DUE_PAGE[newest_first] if of_account else _PAGE[index, newest_first]
        with self._exclusive as connection:
            rows = connection.execute(text, arguments).fetchall()
        records = [_record(row) for row in rows[:limit]]
        return Page(records, index_position(index, records[-1]) if len(rows) > limit else None)

    def changes(self, *, after: int, limit: int) -> list[FeedItem]:
        """See the port `ChangeFeed`: the rows in the order of their numbers, which is that of their commits."""
        with self._exclusive as connection:
            rows = connection.execute(_CHANGES, (after, limit)).fetchall()
        return [FeedItem(*row) for row in rows]

    def ping(self) -> None:
        """See the port. Reads the file, as a statement without a table would not."""
        with self._exclusive as connection:
            connection.execute(_PING).fetchall()

    def close(self) -> None:
        """See the port. Moves the whole log into the file, unless another process is using it: that one tends it."""
        if self._closed:
            return
        self._closed = True
        self._checkpointer.stop()
        try:
            with self._exclusive as connection:
                connection.execute("PRAGMA busy_timeout = 0")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            self._connection.close()


def _apply(
    connection: sqlite3.Connection, inserted: Sequence[tuple[Any, ...]], updated: Sequence[tuple[Any, ...]]
) -> CommitResult:
    """Write inside the atomic write that is open. Inserts come first: a replay wins over a lost race."""
    for row in inserted:
        if not connection.execute(_INSERT, row).rowcount:
            existing = _find(connection, row[0])
            assert existing is not None, "nothing is ever deleted"
            return AlreadyExists(existing)
    for row in updated:
        if not connection.execute(_UPDATE, row).rowcount:
            return Stale()
    return Committed()


def _find(connection: sqlite3.Connection, record_id: str) -> Record | None:
    rows = connection.execute(_SELECT, (record_id,)).fetchall()
    return _record(rows[0]) if rows else None


def _row(record: Record) -> tuple[Any, ...]:
    """The record in the order of `_COLUMNS`."""
    data = orjson.dumps(record.data)
    require_data_size(data)
    return (
        record.id,
        record.kind,
        record.account_id,
        record.version,
        record.created_at,
        data,
        record.feed_key,
        record.card_id,
        record.due_at,
    )


def _record(row: tuple[Any, ...]) -> Record:
    record_id, kind, account_id, version, created_at, data, feed_key, card_id, due_at = row
    return Record(
        record_id, kind, account_id, version, created_at, orjson.loads(data), feed_key, card_id, due_at
    )
