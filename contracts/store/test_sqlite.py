"""What only the SQLite store promises: durability, sharing the file between processes, refusing what is no ledger."""

import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from itertools import chain, count, repeat
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from contracts.store import sqlite_processes
from contracts.store.samples import CARD_ID, FEED_KEY, NOW_MS, listed_ids, make_record, updated
from contracts.store.sqlite_driver import Driver, raising, sqlite_error
from contracts.store.sqlite_processes import COUNTER_ID, FILLING
from payments_sandbox.adapters.sqlite import checkpoints, schema
from payments_sandbox.adapters.sqlite import store as sqlite_adapter
from payments_sandbox.adapters.sqlite.schema import SCHEMA_VERSION
from payments_sandbox.adapters.sqlite.store import SqliteStore, StoreOpenError
from payments_sandbox.domain.errors import StoreUnavailable
from payments_sandbox.services.ports import DUE_KEY, Committed, FeedItem, Index, Position, Record, Update

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def opened(
    path: Path,
    *,
    busy_timeout_s: float = sqlite_adapter.BUSY_TIMEOUT_S,
    checkpoint_interval_s: float = checkpoints.INTERVAL_S,
    long_log_pages: int = checkpoints.WAL_LONG_PAGES,
    kept_log_bytes: int = schema.WAL_KEPT_BYTES,
) -> closing[SqliteStore]:
    """A store on the file, closed at the end of the block."""
    return closing(
        SqliteStore(
            path,
            busy_timeout_s=busy_timeout_s,
            checkpoint_interval_s=checkpoint_interval_s,
            long_log_pages=long_log_pages,
            kept_log_bytes=kept_log_bytes,
        )
    )


@contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """The file without the adapter."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def start(task: Callable[..., None], path: Path, *arguments: str) -> subprocess.Popen[str]:
    """Run a task of `sqlite_processes` in a process of its own."""
    command = [sys.executable, "-m", sqlite_processes.__name__, task.__name__, str(path), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> list[str]:
    """What the process acknowledges until its end, after what was read already."""
    assert process.stdout is not None
    with process.stdout as output:
        acknowledged = output.read().splitlines()
    process.wait(timeout=60)
    return acknowledged


def kill_after(process: subprocess.Popen[str], lines: int) -> list[str]:
    """Kill -9 once it has acknowledged so many lines; answers all that it acknowledged."""
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(lines)]
    process.kill()
    acknowledged += finish(process)
    assert process.returncode == -signal.SIGKILL
    return acknowledged


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "did not happen within 30 seconds"
        time.sleep(0.01)


def wal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def wal_bytes(path: Path) -> int:
    wal = wal_of(path)
    return wal.stat().st_size if wal.exists() else 0


def log_sequence(path: Path) -> int:
    """How often the log has started anew, as its header counts it."""
    with wal_of(path).open("rb") as log:
        return int.from_bytes(log.read(16)[12:], "big")


def records_in_file(path: Path) -> int:
    """How many filled records the ledger file itself holds, its log left aside."""
    return path.read_bytes().count(FILLING.encode())


def records_of(path: Path) -> int:
    with raw(path) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM records").fetchone()
    return int(rows)


def filled(number: int) -> Record:
    return make_record(f"auth_{number}", feed_key=FEED_KEY, data={"filling": FILLING})


# Durability


def test_records_outlive_the_store(path: Path) -> None:
    record = make_record("auth_1", feed_key=FEED_KEY, card_id=CARD_ID, due_at=NOW_MS)
    with opened(path) as store:
        store.insert(record)
        store.commit([make_record("cap_1")], [updated(record, data={"captured": 1})])
    with opened(path) as store:
        assert store.get(["auth_1", "cap_1"]) == [
            updated(record, data={"captured": 1}).record,
            make_record("cap_1"),
        ]
        assert listed_ids(store, Index.DUE, DUE_KEY) == ["auth_1"]
        assert store.insert(make_record("cap_1", data={})) == make_record("cap_1")


@pytest.mark.parametrize(
    ("task", "interrupted_max"),
    [(sqlite_processes.insert_forever, 1), (sqlite_processes.insert_groups_forever, 8)],
)
def test_everything_acknowledged_before_a_kill_is_there(
    path: Path, task: Callable[..., None], interrupted_max: int
) -> None:
    acknowledged: list[str] = []
    for name, lines in (("first", 1), ("second", 300), ("third", 5000)):
        acknowledged += kill_after(start(task, path, name), lines)
    with opened(path) as store:
        listed = listed_ids(store, Index.FEED, FEED_KEY)
        assert set(acknowledged) <= set(listed)
        assert len(listed) <= len(acknowledged) + 3 * interrupted_max, (
            "at most the inserts that each kill interrupted"
        )
        for start_at in range(0, len(listed), 100):
            assert None not in store.get(listed[start_at : start_at + 100])
    with raw(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_kill_leaves_no_atomic_write_half_done(path: Path) -> None:
    with opened(path) as store:
        store.insert(make_record(COUNTER_ID, data={"total": 0}))
    for name in ("first", "second"):
        kill_after(start(sqlite_processes.increment, path, name), 100)
    with opened(path) as store:
        (counter,) = store.get([COUNTER_ID])
        assert counter is not None
        assert counter.data["total"] == len(listed_ids(store, Index.FEED, FEED_KEY)) >= 200
        assert counter.version == counter.data["total"] + 1


@pytest.mark.parametrize(("synchronous", "level"), [("NORMAL", 1), ("FULL", 2)])
def test_synchronous_is_what_was_asked_for(path: Path, synchronous: schema.Synchronous, level: int) -> None:
    connection = schema.open_ledger(path, synchronous=synchronous, busy_timeout_s=1)
    with closing(connection):
        assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


# The log


def test_commits_leave_the_log_to_the_thread(path: Path) -> None:
    with closing(schema.open_ledger(path, synchronous="NORMAL", busy_timeout_s=1)) as connection:
        assert connection.execute("PRAGMA wal_autocheckpoint").fetchone() > (100_000,)


def test_close_leaves_nothing_in_the_log(path: Path) -> None:
    with opened(path, checkpoint_interval_s=60) as store:
        for number in range(50):
            store.insert(filled(number))
        assert wal_bytes(path) > 0
    assert wal_bytes(path) == 0
    assert records_in_file(path) == 50


def test_close_empties_the_log_although_somebody_else_is_connected(path: Path) -> None:
    with opened(path, checkpoint_interval_s=60) as store, raw(path) as other:
        store.insert(filled(0))
        assert other.execute("SELECT count(*) FROM records").fetchall() == [(1,)]
        store.close()
        assert wal_bytes(path) == 0


def test_close_waits_for_no_reader_and_takes_nothing_from_it(path: Path) -> None:
    with opened(path, checkpoint_interval_s=60, busy_timeout_s=60) as store, raw(path) as reader:
        store.insert(filled(0))
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM records").fetchall() == [(1,)]
        store.insert(filled(1))
        started = time.monotonic()
        store.close()
        assert time.monotonic() - started < 30
        assert reader.execute("SELECT count(*) FROM records").fetchall() == [(1,)]
        reader.execute("COMMIT")
        assert reader.execute("SELECT count(*) FROM records").fetchall() == [(2,)]


def test_closing_twice_is_harmless(path: Path) -> None:
    store = SqliteStore(path)
    store.close()
    store.close()


def test_the_log_is_copied_into_the_file_while_the_store_is_open(path: Path) -> None:
    with opened(path, checkpoint_interval_s=0.01) as store:
        for number in range(20):
            store.insert(filled(number))
        eventually(lambda: records_in_file(path) == 20)
        store.insert(filled(20))
        eventually(lambda: records_in_file(path) == 21)
        store.commit([filled(21)], [])
        eventually(lambda: records_in_file(path) == 22)


@pytest.mark.parametrize(
    ("long_log_pages", "expected"), [(100, {"PASSIVE", "RESTART"}), (10_000, {"PASSIVE"})]
)
def test_a_long_log_starts_anew_while_this_process_does_not_write(
    path: Path, driver: Driver, long_log_pages: int, expected: set[str]
) -> None:
    others_went_on: dict[str, bool] = {}
    with (
        ThreadPoolExecutor(1) as threads,
        opened(path, checkpoint_interval_s=0.01, long_log_pages=long_log_pages) as store,
    ):

        def use_the_store_meanwhile(mode: str, timeout_s: float) -> None:
            used, _ = wait([threads.submit(store.ping)], timeout_s)
            others_went_on[mode] = bool(used)

        driver.before = {
            "PRAGMA wal_checkpoint(PASSIVE)": lambda _: use_the_store_meanwhile("PASSIVE", 30),
            "PRAGMA wal_checkpoint(RESTART)": lambda _: use_the_store_meanwhile("RESTART", 0.1),
        }
        store.insert(filled(0))
        sequence = log_sequence(path)
        for number in range(1, 200):
            store.insert(filled(number))
        eventually(lambda: set(others_went_on) == expected)
        numbers = count(200)

        def has_started_anew() -> bool:
            store.insert(filled(next(numbers)))
            return log_sequence(path) > sequence

        eventually(has_started_anew)
    assert others_went_on == {mode: mode == "PASSIVE" for mode in expected}


def test_a_store_that_nobody_writes_to_leaves_the_file_alone(path: Path, driver: Driver) -> None:
    with opened(path, checkpoint_interval_s=0.01) as store:
        store.insert(filled(0))
        eventually(lambda: records_in_file(path) == 1)
        time.sleep(0.2)
        assert driver.count("PRAGMA wal_checkpoint") <= 5


def test_a_log_that_a_reader_held_is_cut_back_after_it_leaves(path: Path) -> None:
    kept_bytes = 256 * 1024
    with (
        opened(path, checkpoint_interval_s=0.01, long_log_pages=100, kept_log_bytes=kept_bytes) as store,
        raw(path) as reader,
    ):
        store.insert(filled(0))
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM records").fetchall() == [(1,)]
        for number in range(1, 500):
            store.insert(filled(number))
        assert wal_bytes(path) > 2 * kept_bytes, "the reader still needs the log"
        reader.execute("COMMIT")
        eventually(lambda: records_in_file(path) == 500)
        numbers = count(500)

        def is_cut_back() -> bool:
            store.insert(filled(next(numbers)))
            return wal_bytes(path) <= kept_bytes

        eventually(is_cut_back)


FAILED_CHECKPOINT = "The write-ahead log could not be moved into the ledger: "


def test_a_failing_checkpoint_is_logged_and_tried_again(
    path: Path, driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    error = sqlite_error("SQLITE_IOERR")
    driver.before["PRAGMA wal_checkpoint"] = raising([error])
    with caplog.at_level(logging.WARNING), opened(path, checkpoint_interval_s=0.01) as store:
        store.insert(filled(0))
        eventually(lambda: records_in_file(path) == 1)
    assert [record.getMessage() for record in caplog.records] == [f"{FAILED_CHECKPOINT}{error}"]


def test_a_long_log_is_flushed_into_the_ledger_and_again_after_a_failure(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fsync, failures = os.fsync, iter([OSError("disk I/O error")])
    flushed: list[os.stat_result] = []

    def fail_once(descriptor: int) -> None:
        flushed.append(os.fstat(descriptor))
        for failure in failures:
            raise failure
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_once)
    with (
        caplog.at_level(logging.WARNING),
        opened(path, checkpoint_interval_s=0.01, long_log_pages=1) as store,
    ):
        store.insert(filled(0))
        eventually(lambda: len(flushed) > 1)
        assert all(os.path.samestat(each, path.stat()) for each in flushed)
    assert [record.getMessage() for record in caplog.records] == [f"{FAILED_CHECKPOINT}disk I/O error"]


# Sharing the file


def test_fifty_threads_insert_each_record_once(path: Path) -> None:
    """Ten stores on one file, each shared by five threads."""
    records = [make_record(f"auth_{number}") for number in range(40)]
    with ExitStack() as stack:
        stores = [stack.enter_context(opened(path)) for _ in range(10)]

        def insert_all(thread: int) -> int:
            return [stores[thread % 10].insert(record) for record in records].count(None)

        with ThreadPoolExecutor(50) as threads:
            inserted = list(threads.map(insert_all, range(50)))
        assert sum(inserted) == len(records)
        assert stores[0].get([record.id for record in records]) == records


@pytest.mark.parametrize("task", [sqlite_processes.insert_once, sqlite_processes.insert_groups_once])
def test_processes_that_open_a_new_file_together_insert_each_record_once(
    path: Path, task: Callable[..., None]
) -> None:
    processes = [start(task, path, f"process_{number}") for number in range(4)]
    acknowledged = [finish(process) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert sorted(chain(*acknowledged)) == sorted(f"auth_{number}" for number in range(100))
    with opened(path) as store:
        for number, lines in enumerate(acknowledged):
            for record in store.get(lines):
                assert record is not None
                assert record.data == {"by": f"process_{number}"}


def test_two_processes_that_compete_for_versions_lose_no_increment(path: Path) -> None:
    with opened(path) as store:
        store.insert(make_record(COUNTER_ID, data={"total": 0}))
        processes = [start(sqlite_processes.increment, path, name, "300") for name in ("left", "right")]
        acknowledged = [finish(process) for process in processes]
        assert [len(lines) for lines in acknowledged] == [300, 300]
        assert store.get([COUNTER_ID]) == [make_record(COUNTER_ID, version=601, data={"total": 600})]
        assert set(listed_ids(store, Index.FEED, FEED_KEY)) == set(chain(*acknowledged))


def test_the_change_feed_lists_inserts_in_the_order_of_their_writing(path: Path) -> None:
    """An update keeps its record's place; a refused insert, or a commit that fails, has none."""
    with opened(path) as store:
        store.insert(make_record("b"))
        store.insert(make_record("a", kind="capture", account_id="acct_2"))
        store.insert(make_record("b"))
        store.commit([make_record("e")], [Update(make_record("missing", version=2))])
        store.commit([make_record("d"), make_record("c")], [updated(make_record("b"))])
        changes = store.changes(after=0, limit=10)
        assert [change.id for change in changes] == ["b", "a", "d", "c"]
        assert changes == sorted(changes, key=lambda change: change.seq)
        assert changes[1] == FeedItem(changes[1].seq, "a", "capture", "acct_2")
        assert store.changes(after=changes[1].seq, limit=1) == changes[2:3]
        assert store.changes(after=changes[3].seq, limit=10) == []


def test_a_page_is_read_from_its_index_without_sorting(path: Path, driver: Driver) -> None:
    listings = [(index, "key", f"records_by_{index.value}") for index in (Index.FEED, Index.CARD)]
    listings += [(Index.DUE, DUE_KEY, "records_by_due"), (Index.DUE, "acct_1", "records_by_account_due")]
    for newest_first in (False, True):
        for index, key, sqlite_index in listings:
            with opened(path) as store:
                store.page(index, key, after=Position(1, "auth_1"), limit=10, newest_first=newest_first)
            query = next(text for text in reversed(driver.statements) if text.startswith("SELECT id"))
            with raw(path) as connection:
                plan = connection.execute(f"EXPLAIN QUERY PLAN {query}", (key, 1, "auth_1", 11)).fetchall()
            case = f"{sqlite_index}, newest first: {newest_first}: {plan}"
            ((*_, step),) = plan
            assert f"USING INDEX {sqlite_index} (" in step, case
            assert "<" in step or ">" in step, f"the position is looked up, not searched for: {case}"


def test_opening_waits_while_others_switch_the_file_to_the_log(path: Path, driver: Driver) -> None:
    """SQLite itself answers at once here, without waiting for the lock."""
    driver.before["PRAGMA journal_mode"] = raising([sqlite_error("SQLITE_BUSY")] * 2)
    with opened(path, busy_timeout_s=30) as store:
        assert store.insert(make_record()) is None
    assert driver.count("PRAGMA journal_mode") == 3


def test_opening_waits_for_the_switch_to_the_log_for_a_limited_time(path: Path, driver: Driver) -> None:
    driver.before["PRAGMA journal_mode"] = raising(repeat(sqlite_error("SQLITE_BUSY")))
    with pytest.raises(StoreOpenError):
        SqliteStore(path, busy_timeout_s=0.05)


def test_opening_does_not_wait_if_the_switch_to_the_log_fails(path: Path, driver: Driver) -> None:
    driver.before["PRAGMA journal_mode"] = raising(repeat(sqlite_error("SQLITE_IOERR")))
    with pytest.raises(StoreOpenError):
        SqliteStore(path, busy_timeout_s=30)
    assert driver.count("PRAGMA journal_mode") == 1


# Outages and mistakes


def test_a_file_that_another_process_keeps_locked_is_an_outage(path: Path) -> None:
    with opened(path, busy_timeout_s=0.05) as store, raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="SQLITE_BUSY"):
            store.insert(make_record("auth_1"))
        with pytest.raises(StoreUnavailable, match="SQLITE_BUSY"):
            store.commit([make_record("auth_1")], [])
        assert store.get(["auth_1"]) == [None], "readers do not wait for writers"
        other.execute("ROLLBACK")
        assert store.insert(make_record("auth_1")) is None
        assert store.commit([make_record("auth_2")], []) == Committed()


def test_a_full_disk_is_an_outage_and_the_store_goes_on_when_there_is_room(path: Path) -> None:
    process = start(sqlite_processes.fill_the_disk, path)
    acknowledged = finish(process)
    assert process.returncode == 0
    assert acknowledged[-1] == "auth_after"
    assert len(acknowledged) > 10
    with opened(path) as store:
        for start_at in range(0, len(acknowledged), 100):
            assert None not in store.get(acknowledged[start_at : start_at + 100])


def test_a_failing_commit_is_rolled_back_before_the_next(path: Path, driver: Driver) -> None:
    with opened(path) as store:
        driver.before["INSERT"] = raising([KeyboardInterrupt()])
        with pytest.raises(KeyboardInterrupt):
            store.commit([make_record("auth_1")], [])
        assert store.commit([make_record("auth_2")], []) == Committed()
        assert store.get(["auth_1", "auth_2"]) == [None, make_record("auth_2")]


def test_a_wrong_statement_is_not_disguised_as_an_outage(path: Path) -> None:
    with opened(path) as store:
        with raw(path) as other:
            other.execute("DROP TABLE records")
        for operate in (
            lambda: store.insert(make_record()),
            lambda: store.commit([make_record()], []),
            lambda: store.get(["auth_1"]),
            lambda: store.page(Index.FEED, FEED_KEY),
            store.ping,
        ):
            with pytest.raises(sqlite3.OperationalError, match="no such table"):
                operate()


def test_a_value_of_the_wrong_type_is_not_disguised_as_an_outage(path: Path) -> None:
    with opened(path) as store, pytest.raises(sqlite3.IntegrityError):
        store.insert(make_record("auth_1", created_at="yesterday"))  # type: ignore[arg-type]


# Opening


def refusal(path: Path) -> str:
    """The message with which the file is refused; that it is one line and names the path is true of all."""
    with pytest.raises(StoreOpenError) as refused:
        SqliteStore(path)
    message = str(refused.value)
    assert "\n" not in message
    assert message.startswith(f"The ledger {path} cannot be opened: ")
    return message.removeprefix(f"The ledger {path} cannot be opened: ")


def test_a_new_file_is_readable_by_its_owner_only(path: Path) -> None:
    with opened(path) as store:
        store.insert(make_record())
        for file in (path, wal_of(path)):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_existing_files_mode_is_left_alone(path: Path) -> None:
    SqliteStore(path).close()
    path.chmod(0o640)
    SqliteStore(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    path.touch()
    with opened(path) as store:
        assert store.insert(make_record()) is None


def test_a_path_that_sqlite_would_read_as_something_else_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (":memory:", "file:ledger.db?mode=memory"):
        with opened(Path(name)) as store:
            store.insert(make_record())
        assert records_of(tmp_path / name) == 1


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"not a ledger, but a diary " * 100)
    before = path.read_bytes()
    assert refusal(path) == "file is not a database; name another file, or restore this one from a copy."
    assert path.read_bytes() == before


def test_another_applications_database_is_refused_and_left_as_it_is(path: Path) -> None:
    with raw(path) as connection:
        connection.execute("CREATE TABLE records (id TEXT)")
    before = path.read_bytes()
    assert refusal(path) == "it is another application's database; name another file."
    assert path.read_bytes() == before
    assert not wal_of(path).exists()


def test_a_newer_schema_is_refused_and_left_as_it_is(path: Path) -> None:
    SqliteStore(path).close()
    with raw(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    remedy = "upgrade the sandbox, or name another file."
    assert refusal(path) == f"its schema is 99, this sandbox knows {SCHEMA_VERSION}; {remedy}"
    assert path.read_bytes() == before


def test_a_ledger_of_the_first_schema_is_brought_to_this_one(path: Path) -> None:
    record = make_record(due_at=NOW_MS)
    with opened(path) as store:
        store.insert(record)
    with raw(path) as connection:
        connection.execute("DROP INDEX records_by_account_due")
        connection.execute("PRAGMA user_version = 1")
    with opened(path) as store:
        assert store.page(Index.DUE, record.account_id).records == [record]
    with raw(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT id FROM records WHERE due_at IS NOT NULL AND account_id = 'a' ORDER BY due_at, id"
        ).fetchall()
    assert "records_by_account_due" in str(plan)


def test_a_damaged_ledger_is_refused(path: Path) -> None:
    with opened(path) as store:
        for number in range(100):
            store.insert(filled(number))
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * 4096 + content[4196:])
    assert refusal(path).endswith("; name another file, or restore this one from a copy.")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith("unable to open database file; ")


def test_a_file_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "missing" / "ledger.db") == (
        "no such file or directory; name a file in a folder that you can write to."
    )


def test_a_ledger_that_another_process_is_writing_all_the_time_is_refused(path: Path) -> None:
    SqliteStore(path).close()
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreOpenError, match=r"database is locked; see that .* nothing holds it"):
            SqliteStore(path, busy_timeout_s=0.05)


@pytest.mark.parametrize(
    ("folder_mode", "file_mode", "reason"),
    [
        (0o555, None, "permission denied; "),
        (0o755, 0o000, "unable to open database file; "),
        (0o755, 0o444, "attempt to write a readonly database; "),
    ],
)
def test_what_this_user_must_not_touch_is_refused(
    folder_mode: int, file_mode: int | None, reason: str
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        if file_mode is not None:
            SqliteStore(path).close()
            path.chmod(file_mode)
        path.parent.chmod(folder_mode)
        with as_an_ordinary_user():
            assert refusal(path).startswith(reason)
        path.parent.chmod(0o700)


@contextmanager
def as_an_ordinary_user() -> Iterator[None]:
    """Permissions do not bind root, whom containers run tests as."""
    user, nobody = os.geteuid(), 65534
    if user == 0:
        os.seteuid(nobody)
    try:
        yield
    finally:
        os.seteuid(user)
