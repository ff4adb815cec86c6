"""The ledger file: its tables, how it is recognised, created and opened.

Refuses every file that is not a ledger of this sandbox, before anything in it is changed. The statements that read and
write the table are in `store.py`.
"""

import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import Final, Literal

APPLICATION_ID: Final = int.from_bytes(b"PaSb", "big")
"""In the file's header, so that neither this sandbox nor `file(1)` takes another database for a ledger."""

SCHEMA_VERSION: Final = 2
"""Grows with every change to the tables; stands in the header as `user_version`."""

# seq is the order of the change feed: SQLite numbers rows upwards and has one writer at a time, so a row is never
# visible before one with a smaller seq. AUTOINCREMENT would add only that the number of a *deleted* last row is not
# used again, nothing is ever deleted here, and it costs one more page per insert (10 % of its time).
# A rowid table with a unique id beats WITHOUT ROWID: the 1 KB rows are appended instead of inserted at random.
TABLES: Final = (
    """CREATE TABLE records (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        account_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        feed_key TEXT,
        card_id TEXT,
        due_at INTEGER,
        data BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX records_by_feed ON records (feed_key, created_at, id) WHERE feed_key IS NOT NULL",
    "CREATE INDEX records_by_card ON records (card_id, created_at, id) WHERE card_id IS NOT NULL",
    "CREATE INDEX records_by_due ON records (due_at, id) WHERE due_at IS NOT NULL",
    "CREATE INDEX records_by_account_due ON records (account_id, due_at, id) WHERE due_at IS NOT NULL",
)

UPGRADES: Final = {
    1: ("CREATE INDEX records_by_account_due ON records (account_id, due_at, id) WHERE due_at IS NOT NULL",),
}
"""Schema version to the statements that lead to the next one."""

STATEMENTS_MAX: Final = 64
"""Prepared statements kept; more than this adapter has texts."""

CACHE_KIB: Final = 64 * 1024
"""Memory for pages. With SQLite's 2 MB, the random places in the id index are read back from the file all the time."""

WAL_KEPT_BYTES: Final = 64 * 1024 * 1024
"""A log that grew beyond this, because a reader held it, is cut back to it once it starts anew."""

WAL_AUTOCHECKPOINT_PAGES: Final = 256 * 1024
"""1 GB: `checkpoints.py` does this work; should its thread fail, the log is still not endless."""

RETRY_PAUSE_S: Final = 0.01

Synchronous = Literal["NORMAL", "FULL"]

_OPENING = threading.Lock()
"""Held while a file is created and connected to: closing any descriptor of a file drops the locks that SQLite holds on
it for the whole process, so nobody may be connected yet when the new file's descriptor is closed."""


class StoreOpenError(Exception):
    """The ledger file cannot be used. The message is one line: the path, what is wrong, what to do."""


def open_ledger(
    path: Path,
    *,
    synchronous: Synchronous,
    busy_timeout_s: float,
    kept_log_bytes: int = WAL_KEPT_BYTES,
) -> sqlite3.Connection:
    """Connect to the ledger, creating it (mode 0600) when there is no such file or it is empty.

    busy_timeout_s: how long to wait for a lock that another process holds.
    kept_log_bytes: a longer log is cut back to this size when it restarts.
    Raises StoreOpenError.
    """
    try:
        with _OPENING:
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            connection = connect(path, busy_timeout_s)
        try:
            _prepare(connection, path, busy_timeout_s)
            _tune(connection, synchronous, kept_log_bytes)
        except BaseException:
            connection.close()
            raise
    except OSError as error:
        raise _refusal(path, _os_reason(error), "name a file in a folder that you can write to") from error
    except sqlite3.OperationalError as error:
        raise _refusal(
            path, f"{error}", "see that you can read and write it and that nothing holds it"
        ) from error
    except sqlite3.DatabaseError as error:
        raise _refusal(path, f"{error}", "name another file, or restore this one from a copy") from error
    return connection


def connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """A connection that begins no atomic write by itself, usable from any thread (one at a time)."""
    return sqlite3.connect(
        path.absolute(),
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS_MAX,
    )


def _prepare(connection: sqlite3.Connection, path: Path, busy_timeout_s: float) -> None:
    """Recognise the file as a ledger, or make the empty file one; in one atomic write, as others may be opening it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (object_count,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if (application_id, version, object_count) == (0, 0, 0):
            _create(connection)
        elif application_id != APPLICATION_ID:
            raise _refusal(path, "it is another application's database", "name another file")
        elif version in UPGRADES:
            _upgrade(connection, version)
        elif version != SCHEMA_VERSION:
            raise _refusal(
                path,
                f"its schema is {version}, this sandbox knows {SCHEMA_VERSION}",
                "upgrade the sandbox, or name another file",
            )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    _switch_to_wal(connection, busy_timeout_s)


def _create(connection: sqlite3.Connection) -> None:
    for statement in TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _upgrade(connection: sqlite3.Connection, version: int) -> None:
    """Bring a ledger of an earlier version to this one. The statements only ever add, so no record is touched."""
    for step in range(version, SCHEMA_VERSION):
        for statement in UPGRADES[step]:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _switch_to_wal(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    """Keep the write-ahead log from now on. SQLite does not wait for locks here, so this does."""
    deadline = time.monotonic() + busy_timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(RETRY_PAUSE_S)
        else:
            return


def _tune(connection: sqlite3.Connection, synchronous: Synchronous, kept_log_bytes: int) -> None:
    """Settings of the connection, none of which the file keeps."""
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_AUTOCHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {kept_log_bytes}")


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code (`SQLITE_BUSY`), without the detail in its upper bits."""
    return error.sqlite_errorcode & 0xFF


def _os_reason(error: OSError) -> str:
    return (error.strerror or "it cannot be opened").lower()


def _refusal(path: Path, reason: str, remedy: str) -> StoreOpenError:
    return StoreOpenError(f"The ledger {path} cannot be opened: {reason}; {remedy}.")
