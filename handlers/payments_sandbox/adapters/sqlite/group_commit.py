"""Inserts that come together are committed together: most of what an insert costs is its commit.

What is inserted in one turn of the event loop, for as many requests as were waiting, becomes one atomic write at the end of
that turn. Each of these requests is answered after it, and told if it failed. Nothing waits for others to come: a request
alone is committed just as soon. `exclusive.py` keeps everybody else from reading what is not committed yet.
"""

import asyncio
from collections.abc import Awaitable

from payments_sandbox.adapters.sqlite.exclusive import InsertBatch
from payments_sandbox.adapters.sqlite.store import SqliteStore
from payments_sandbox.services.ports import Record


class SqliteGroupCommit:
    """`GroupCommit` on the SQLite store. Only within an event loop, and from its thread."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._group: InsertBatch | None = None
        self._waiting: list[asyncio.Future[None]] = []

    def insert(self, record: Record) -> Record | None:
        """See the port."""
        inserted = self._store.insert_into_group(record)
        if isinstance(inserted, Record):
            return inserted
        if inserted is not self._group:
            # The group before may have been ended by another operation; those who wait for it have a list of their own.
            self._group, self._waiting = inserted, []
            asyncio.get_running_loop().call_soon(self._settle, inserted, self._waiting)
        return None

    def settled(self) -> Awaitable[None]:
        """See the port."""
        # One for each who waits: were it shared, one request that is cancelled would cancel the others.
        future = asyncio.get_running_loop().create_future()
        if self._group is None:
            future.set_result(None)
        else:
            self._waiting.append(future)
        return future

    def _settle(self, group: InsertBatch, waiting: "list[asyncio.Future[None]]") -> None:
        """End the turn's group and tell those who wait."""
        if group is self._group:
            self._group = None
        try:
            self._store.commit_group(group)
        finally:
            for future in waiting:
                if future.done():
                    continue
                if group.error is None:
                    future.set_result(None)
                else:
                    future.set_exception(group.error)
