"""What the SQLite tests run as processes of their own, to be killed or to compete: `python -m ... TASK PATH ...`.

Each line on standard output is something that the store has acknowledged.
"""

import asyncio
import resource
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

from contracts.store.samples import FEED_KEY, make_record, updated
from payments_sandbox.adapters.sqlite.group_commit import SqliteGroupCommit
from payments_sandbox.adapters.sqlite.store import SqliteStore
from payments_sandbox.domain.errors import StoreUnavailable
from payments_sandbox.services.ports import Committed

COUNTER_ID = "auth_counter"
FILLING = "x" * 700


def acknowledge(line: str) -> None:
    """Tell the parent process, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def insert_forever(path: Path, name: str) -> None:
    """Insert records until the process is killed."""
    store = SqliteStore(path, checkpoint_interval_s=0.01)
    for number in count():
        record_id = f"{name}_{number}"
        assert store.insert(make_record(record_id, feed_key=FEED_KEY, data={"filling": FILLING})) is None
        acknowledge(record_id)


def insert_groups_forever(path: Path, name: str) -> None:
    """Insert records, as many at a time as requests may come together, until the process is killed."""
    asyncio.run(_insert_groups(path, name))


async def _insert_groups(path: Path, name: str) -> None:
    group = SqliteGroupCommit(SqliteStore(path, checkpoint_interval_s=0.01))

    async def insert(record_id: str) -> None:
        assert group.insert(make_record(record_id, feed_key=FEED_KEY, data={"filling": FILLING})) is None
        await group.settled()
        acknowledge(record_id)

    for number in count():
        await asyncio.gather(*[insert(f"{name}_{number}_{member}") for member in range(number % 9)])


def insert_groups_once(path: Path, name: str) -> None:
    """Insert a hundred records that others insert too, ten at a time; acknowledge those that were not there."""
    asyncio.run(_insert_groups_once(path, name))


async def _insert_groups_once(path: Path, name: str) -> None:
    store = SqliteStore(path)
    group = SqliteGroupCommit(store)

    async def insert(record_id: str) -> None:
        existing = group.insert(make_record(record_id, data={"by": name}))
        await group.settled()
        if existing is None:
            acknowledge(record_id)

    for start in range(0, 100, 10):
        await asyncio.gather(*[insert(f"auth_{number}") for number in range(start, start + 10)])
    store.close()


def insert_once(path: Path, name: str) -> None:
    """Insert a hundred records that others insert too; acknowledge those that were not there."""
    store = SqliteStore(path)
    for number in range(100):
        if store.insert(make_record(f"auth_{number}", data={"by": name})) is None:
            acknowledge(f"auth_{number}")
    store.close()


def increment(path: Path, name: str, times: str = "1000000") -> None:
    """Add one to a counter, and an entry for it, so many times; whoever loses a race reads and tries again."""
    store = SqliteStore(path, checkpoint_interval_s=0.01)
    for number in range(int(times)):
        entry_id = f"{name}_{number}"
        while True:
            (counter,) = store.get([COUNTER_ID])
            assert counter is not None
            update = updated(counter, data={"total": counter.data["total"] + 1})
            if store.commit([make_record(entry_id, feed_key=FEED_KEY)], [update]) == Committed():
                break
        acknowledge(entry_id)
    store.close()


def fill_the_disk(path: Path) -> None:
    """Insert until the system refuses to make the file longer, then go on with room for more."""
    store = SqliteStore(path, checkpoint_interval_s=60)
    limit = 1024 * 1024
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    for number in count():
        try:
            store.insert(make_record(f"auth_{number}", data={"filling": FILLING}))
        except StoreUnavailable:
            break
        acknowledge(f"auth_{number}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    store.insert(make_record("auth_after"))
    acknowledge("auth_after")
    store.close()


TASKS: dict[str, Callable[..., None]] = {
    task.__name__: task
    for task in (
        insert_forever,
        insert_groups_forever,
        insert_once,
        insert_groups_once,
        increment,
        fill_the_disk,
    )
}

if __name__ == "__main__":
    TASKS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
