"""Moves the write-ahead log into the ledger file, in a thread, so that no request pays for it.

A checkpoint inside a commit stalls that request by 5 to 8 ms. Here, a connection of its own copies what has been
written every half second (PASSIVE: it waits for nobody and makes nobody wait). Under steady load that alone never ends,
as new writes always follow, and the log grows for ever; so once it is long, a few passes bring the remainder down and
the last one is made while this process does not write, after which the log starts anew from its head.
"""

import logging
import os
import sqlite3
import threading
from pathlib import Path
from typing import Final

from payments_sandbox.adapters.sqlite.exclusive import Exclusive
from payments_sandbox.adapters.sqlite.schema import connect
from payments_sandbox.domain.errors import StoreUnavailable

INTERVAL_S: Final = 0.5

WAL_LONG_PAGES: Final = 4096
"""16 MB, three thousand inserts. Inserts into a log of 1 GB take twice as long as into a short one."""

CATCH_UP_PASSES: Final = 4

REMAINDER_PAGES: Final = 256
"""1 MB: little enough to copy while writers wait."""

_OPEN_DESCRIPTORS: Final = Path("/dev/fd")

_LOG = logging.getLogger(__name__)


class Checkpointer:
    """The thread. The store sets `written` after each write; it is read and cleared here."""

    def __init__(
        self,
        path: Path,
        writing: Exclusive,
        interval_s: float = INTERVAL_S,
        long_log_pages: int = WAL_LONG_PAGES,
    ) -> None:
        """path: a ledger that is open. writing: held by this process's writer while it writes. interval_s: between two
        looks. long_log_pages: a log of so many pages is restarted."""
        self.written = True
        self._writing = writing
        self._interval_s = interval_s
        self._long_log_pages = long_log_pages
        self._connection = connect(path, busy_timeout_s=0)
        self._descriptor = _descriptor_of(path)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sqlite-checkpoints", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a checkpoint under way is finished first."""
        self._stopping.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            if self.written:
                self.written = False
                try:
                    done = self._checkpoint()
                except (sqlite3.OperationalError, StoreUnavailable, OSError) as error:
                    # The log keeps everything meanwhile, and a request that cannot be written fails by itself.
                    done = False
                    _LOG.warning("The write-ahead log could not be moved into the ledger: %s", error)
                if not done:
                    self.written = True

    def _checkpoint(self) -> bool:
        """Copy what there is; False when some of it stayed behind, so that it has to be looked at again."""
        pages, copied = self._copy("PASSIVE")
        if pages < self._long_log_pages:
            return copied == pages
        for _ in range(CATCH_UP_PASSES):
            before = copied
            self._flush()
            pages, copied = self._copy("PASSIVE")
            if copied - before < REMAINDER_PAGES:
                break
        self._flush()
        with self._writing:
            pages, copied = self._copy("RESTART")
        return copied == pages

    def _copy(self, mode: str) -> tuple[int, int]:
        """Run one checkpoint; answers the pages in the log, and those of them that are in the ledger now.

        RESTART answers without waiting when a reader, or another process's writer, is in its way.
        """
        _, pages, copied = self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        return pages, copied

    def _flush(self) -> None:
        """Send the ledger's pages to the disk while everybody goes on writing to the log.

        A pass that does not reach the log's end leaves this to the one that does, the one that writers wait for: with
        this it takes 2 to 4 ms, without 10 to 20. Only a matter of speed: SQLite does its own flushing besides.
        """
        if self._descriptor is not None:
            os.fsync(self._descriptor)


def _descriptor_of(path: Path) -> int | None:
    """The descriptor under which SQLite has the file open in this process; None where it cannot be known.

    Opening the file once more would be simpler and wrong: closing that descriptor would drop SQLite's locks.
    """
    ledger = path.stat()
    for entry in _OPEN_DESCRIPTORS.iterdir() if _OPEN_DESCRIPTORS.is_dir() else ():
        try:
            if os.path.samestat(os.fstat(int(entry.name)), ledger):
                return int(entry.name)
        except OSError:
            continue  # the descriptor of the listing itself, closed by now
    return None
