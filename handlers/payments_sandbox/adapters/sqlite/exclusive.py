"""The store's one connection: for one operation at a time, and with the group of inserts that is not committed yet.

Every operation begins by committing the group that is open, so nothing is ever read, and nobody ever answered, from what
may still be lost. Only further inserts join it. `group_commit.py` ends the groups that nothing else ends.
"""

import sqlite3
import threading
from types import TracebackType
from typing import Any, Final

from payments_sandbox.adapters.sqlite.schema import primary_code
from payments_sandbox.domain.errors import StoreUnavailable

_OUTAGES: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)
"""Result codes that say something about the machine. The others, a wrong statement for one, are this program's fault."""


class InsertBatch:
    """Inserts that share one commit. error: what kept them from being committed, once they should have been."""

    __slots__ = ("error",)

    def __init__(self) -> None:
        self.error: BaseException | None = None


class Exclusive:
    """Holds the connection for one operation and tells outages of the machine from mistakes of the program.

    Every request enters it. As a class it costs 0.2 µs each time, as a generator function it would cost 1 µs.
    """

    __slots__ = ("_connection", "_group", "_lock")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._group: InsertBatch | None = None

    def __enter__(self) -> sqlite3.Connection:
        self._lock.acquire()
        if self._group is not None:
            self._end(self._group)
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
        if error is not None and (outage := _outage(error)) is not None:
            raise outage from error

    def insert_into_group(self, statement: str, row: tuple[Any, ...]) -> InsertBatch | None:
        """Execute the insert in the group that is open, or in a new one; answers the group, None when nothing was
        inserted, and the caller ends the group by reading what is in the way."""
        with self._lock:
            group = self._group
            try:
                if group is None:
                    self._connection.execute("BEGIN IMMEDIATE")
                    self._group = InsertBatch()
                return self._group if self._connection.execute(statement, row).rowcount else None
            except BaseException as error:
                self._drop_unless_shared(group, error)
                if (outage := _outage(error)) is not None:
                    raise outage from error
                raise

    def end_group(self, group: InsertBatch) -> None:
        """Commit the group, unless it has ended before; its `error` then tells how that went."""
        with self._lock:
            if group is self._group:
                self._end(group)

    def _drop_unless_shared(self, shared: InsertBatch | None, error: BaseException) -> None:
        """After a failed insert, keep the group if others have inserted before, and SQLite undid only this statement."""
        if shared is not None and self._connection.in_transaction:
            return
        self._group = None
        if shared is not None:
            shared.error = _outage(error) or error
        elif self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _end(self, group: InsertBatch) -> None:
        """Commit. Those are told of a failure who inserted, not whoever comes by next: they have lost nothing."""
        self._group = None
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            group.error = _outage(error) or error
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _outage(error: BaseException) -> StoreUnavailable | None:
    """What the error says about the machine, if it does."""
    if isinstance(error, sqlite3.OperationalError) and primary_code(error) in _OUTAGES:
        return StoreUnavailable(f"The ledger file cannot be used: {error.sqlite_errorname}.")
    return None
