"""Inserts that share a commit: who sees them when, who is told what, and that nobody else is concerned."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from contracts.store.samples import FEED_KEY, make_record
from contracts.store.sqlite_driver import Driver, raising, sqlite_error
from payments_sandbox.adapters.sqlite.group_commit import SqliteGroupCommit
from payments_sandbox.adapters.sqlite.store import SqliteStore
from payments_sandbox.domain.errors import StoreUnavailable
from payments_sandbox.services.ports import DUE_KEY, Committed, Index

FULL = "SQLITE_FULL"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "ledger.db", busy_timeout_s=0.05)) as store:
        yield store


@pytest.fixture
def other(store: SqliteStore, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Another process's view of the file: it sees what is committed."""
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None, timeout=0)) as connection:
        yield connection


def committed(other: sqlite3.Connection) -> set[str]:
    return {record_id for (record_id,) in other.execute("SELECT id FROM records")}


@contextmanager
def disk_full(driver: Driver, statement: str) -> Iterator[None]:
    """Every statement of this kind fails until the end of the block."""
    driver.before[statement] = raising(repeat(sqlite_error(FULL)))
    yield
    driver.before.clear()


def test_what_is_inserted_in_one_turn_is_committed_at_its_end(
    store: SqliteStore, other: sqlite3.Connection
) -> None:
    group = SqliteGroupCommit(store)

    async def insert(number: int) -> set[str]:
        assert group.insert(make_record(f"auth_{number}")) is None
        assert committed(other) == set()
        await group.settled()
        return committed(other)

    async def insert_three() -> list[set[str]]:
        return await asyncio.gather(*[insert(number) for number in (1, 2, 3)])

    assert asyncio.run(insert_three()) == [{"auth_1", "auth_2", "auth_3"}] * 3


def test_a_turn_takes_one_commit(driver: Driver, tmp_path: Path) -> None:
    async def insert(number: int) -> None:
        group.insert(make_record(f"auth_{number}"))
        await group.settled()

    async def insert_twice_five() -> None:
        await asyncio.gather(*[insert(number) for number in range(5)])
        await asyncio.gather(*[insert(number) for number in range(5, 10)])

    with closing(SqliteStore(tmp_path / "ledger.db", checkpoint_interval_s=60)) as store:
        group = SqliteGroupCommit(store)
        driver.statements.clear()
        asyncio.run(insert_twice_five())
        statements = list(driver.statements)
    assert [text.split()[0] for text in statements] == (["BEGIN", *["INSERT"] * 5, "COMMIT"]) * 2


def test_an_id_that_is_taken_is_answered_by_what_has_been_committed(
    store: SqliteStore, other: sqlite3.Connection
) -> None:
    group = SqliteGroupCommit(store)
    store.insert(make_record("auth_1", data={"by": "an earlier request"}))

    async def insert() -> None:
        assert group.insert(make_record("auth_1")) == make_record("auth_1", data={"by": "an earlier request"})
        assert group.insert(make_record("auth_2")) is None
        assert group.insert(make_record("auth_2", data={"by": "the same turn"})) == make_record("auth_2")
        assert committed(other) == {"auth_1", "auth_2"}
        await group.settled()

    asyncio.run(insert())


def test_waiting_for_nothing_takes_no_time(store: SqliteStore) -> None:
    async def settle() -> None:
        await SqliteGroupCommit(store).settled()

    asyncio.run(settle())


@pytest.mark.parametrize(
    "operate",
    [
        lambda store: store.get([]),
        lambda store: store.insert(make_record("auth_2")),
        lambda store: store.commit([make_record("auth_2")], []),
        lambda store: store.page(Index.DUE, DUE_KEY),
        lambda store: store.changes(after=0, limit=1),
        lambda store: store.ping(),
        lambda store: store.close(),
    ],
    ids=["get", "insert", "commit", "page", "changes", "ping", "close"],
)
def test_no_other_operation_meets_what_is_not_committed(
    store: SqliteStore, other: sqlite3.Connection, operate: Callable[[SqliteStore], Any]
) -> None:
    group = SqliteGroupCommit(store)

    async def insert() -> None:
        assert group.insert(make_record("auth_1")) is None
        operate(store)
        assert "auth_1" in committed(other)
        await group.settled()

    asyncio.run(insert())


def test_another_operation_in_between_divides_the_group(store: SqliteStore) -> None:
    group = SqliteGroupCommit(store)

    async def insert_around_a_read() -> None:
        assert group.insert(make_record("auth_1")) is None
        first = group.settled()
        assert store.get(["auth_1"]) == [make_record("auth_1")]
        assert group.insert(make_record("auth_2")) is None
        await asyncio.gather(first, group.settled())

    asyncio.run(insert_around_a_read())
    assert store.get(["auth_1", "auth_2"]) == [make_record("auth_1"), make_record("auth_2")]


def test_another_thread_may_use_the_store_meanwhile(store: SqliteStore) -> None:
    group = SqliteGroupCommit(store)

    async def insert() -> None:
        assert group.insert(make_record("auth_1", feed_key=FEED_KEY)) is None
        settled = group.settled()
        page = await asyncio.to_thread(store.page, Index.FEED, FEED_KEY)
        assert [record.id for record in page.records] == ["auth_1"]
        await settled

    asyncio.run(insert())


def test_a_request_that_is_cancelled_takes_nobody_with_it(store: SqliteStore) -> None:
    group = SqliteGroupCommit(store)

    async def insert(number: int) -> int:
        group.insert(make_record(f"auth_{number}"))
        await group.settled()
        return number

    async def insert_two() -> int:
        cancelled, other = asyncio.create_task(insert(1)), asyncio.create_task(insert(2))
        asyncio.get_running_loop().call_soon(cancelled.cancel)
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        return await other

    assert asyncio.run(insert_two()) == 2
    assert store.get(["auth_1", "auth_2"]) == [make_record("auth_1"), make_record("auth_2")]


# What fails


def insert_and_settle(group: SqliteGroupCommit, *numbers: int) -> list[BaseException | None]:
    """Insert these in one turn; what each was told."""

    async def insert(number: int) -> None:
        assert group.insert(make_record(f"auth_{number}")) is None
        await group.settled()

    async def insert_all() -> list[BaseException | None]:
        return await asyncio.gather(*[insert(number) for number in numbers], return_exceptions=True)

    return asyncio.run(insert_all())


def test_a_commit_that_fails_is_told_to_all_who_inserted_and_leaves_nothing(
    driver: Driver, tmp_path: Path
) -> None:
    with closing(SqliteStore(tmp_path / "ledger.db")) as store:
        group = SqliteGroupCommit(store)
        with disk_full(driver, "COMMIT"):
            told = insert_and_settle(group, 1, 2)
        assert [type(each) for each in told] == [StoreUnavailable, StoreUnavailable]
        assert FULL in str(told[0])
        assert store.get(["auth_1", "auth_2"]) == [None, None]
        assert insert_and_settle(group, 1, 2) == [None, None]


def test_an_operation_does_not_fail_because_it_could_not_commit_the_group(
    driver: Driver, tmp_path: Path
) -> None:
    with closing(SqliteStore(tmp_path / "ledger.db")) as store:
        group = SqliteGroupCommit(store)

        async def read_in_between() -> None:
            assert group.insert(make_record("auth_1")) is None
            settled = group.settled()
            with disk_full(driver, "COMMIT"):
                assert store.get(["auth_1"]) == [None]
            assert store.commit([make_record("cap_1")], []) == Committed()
            with pytest.raises(StoreUnavailable):
                await settled

        asyncio.run(read_in_between())
        assert store.get(["auth_1", "cap_1"]) == [None, make_record("cap_1")]


def test_a_repeat_whose_first_could_not_be_committed_takes_its_place(driver: Driver, tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "ledger.db")) as store:
        group = SqliteGroupCommit(store)

        async def insert_twice() -> None:
            assert group.insert(make_record("auth_1", data={"by": "the first"})) is None
            first = group.settled()
            driver.before["COMMIT"] = raising([sqlite_error(FULL)])
            assert group.insert(make_record("auth_1", data={"by": "the repeat"})) is None
            await group.settled()
            with pytest.raises(StoreUnavailable):
                await first

        asyncio.run(insert_twice())
        assert store.get(["auth_1"]) == [make_record("auth_1", data={"by": "the repeat"})]


def test_a_file_that_another_process_keeps_locked_is_an_outage_for_the_insert(
    store: SqliteStore, other: sqlite3.Connection
) -> None:
    group = SqliteGroupCommit(store)
    other.execute("BEGIN IMMEDIATE")
    (told,) = insert_and_settle(group, 1)
    assert isinstance(told, StoreUnavailable)
    other.execute("ROLLBACK")
    assert insert_and_settle(group, 1) == [None]


def test_a_defective_record_keeps_no_lock_and_takes_nobody_with_it(
    store: SqliteStore, other: sqlite3.Connection
) -> None:
    group = SqliteGroupCommit(store)
    defective = make_record("auth_1", created_at="yesterday")  # type: ignore[arg-type]

    async def insert_alone() -> None:
        with pytest.raises(sqlite3.IntegrityError):
            group.insert(defective)
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")

    async def insert_with_another() -> None:
        assert group.insert(make_record("auth_2")) is None
        with pytest.raises(sqlite3.IntegrityError):
            group.insert(defective)
        await group.settled()

    asyncio.run(insert_alone())
    asyncio.run(insert_with_another())
    assert committed(other) == {"auth_2"}


def roll_back_and_fail(connection: sqlite3.Connection) -> None:
    """What SQLite may do by itself when the disk is full."""
    connection.execute("ROLLBACK")
    raise sqlite_error(FULL)


def test_an_insert_with_which_sqlite_gives_up_the_whole_group_is_told_to_all(
    driver: Driver, tmp_path: Path
) -> None:
    with closing(SqliteStore(tmp_path / "ledger.db")) as store:
        group = SqliteGroupCommit(store)

        async def insert_two() -> None:
            assert group.insert(make_record("auth_1")) is None
            settled = group.settled()
            driver.before["INSERT"] = roll_back_and_fail
            with pytest.raises(StoreUnavailable):
                group.insert(make_record("auth_2"))
            driver.before.clear()
            with pytest.raises(StoreUnavailable):
                await settled

        asyncio.run(insert_two())
        assert store.get(["auth_1", "auth_2"]) == [None, None]
        assert insert_and_settle(group, 1) == [None]
