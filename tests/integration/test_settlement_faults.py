"""Settlement, killed at every write there is, right before it and right after it, and started again: nothing is settled
twice, nothing is left out, and the ledger ends as if nothing had happened, record for record.

The points are enumerated, not sampled: an undisturbed run says how many writes there are. Each way to settle has its own
drive: the work that falls due, a request, and the tasks of the state machine.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from payments_sandbox.adapters.dynamodb.client import create_client
from payments_sandbox.adapters.dynamodb.store import DynamoDbStore
from payments_sandbox.adapters.dynamodb.table import create_table
from payments_sandbox.adapters.sqlite.store import SqliteStore
from payments_sandbox.services.infrastructure import Infrastructure, Limits
from payments_sandbox.services.ports import Index, Record, Store
from payments_sandbox.services.settlement.settlement_records import (
    LINES,
    SETTLEMENT,
    line_record_id,
    settlement_of,
)
from payments_sandbox.services.settlement.settlements import settle_on_demand
from payments_sandbox.services.world import plain_world
from payments_sandbox.workers.settlement import SettlementTasks
from tests.calls.payments import authorize, capture, card_with, id_of, refund, void
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import ACCOUNT, NOW_MS, FrozenClock, make_infrastructure
from tests.doubles.stores import DyingStore, Killed
from tests.virtual_time.scheduled_work import do_everything_due

DAY_MS = 86_400_000
BRANDS = ["4242424242424242", "5555555555554444", "378282246310005"]

Ledger = Mapping[str, Record]

_tables = count(1)


SMALL_SETS = Limits(settlement_lines_per_record=3, settlement_line_records_max=2)
"""So that a few entries take several writes, and several settlements."""


def trade(infrastructure: Infrastructure, *, days: int = 2) -> None:
    """Days of three currencies, with refunds, a declined one, and what is not settled at all."""
    clock = infrastructure.clock
    assert isinstance(clock, FrozenClock)
    for day in range(days):
        for currency, payments in (("EUR", 7), ("JPY", 2), ("KWD", 1)):
            for number in range(payments):
                key = f"{day}/{currency}/{number}"
                card = card_with(number=BRANDS[number % 3])
                paid = id_of(
                    authorize(
                        plain_world(infrastructure, ACCOUNT),
                        key,
                        amount=1000 + number,
                        currency=currency,
                        card=card,
                    )
                )
                capture(plain_world(infrastructure, ACCOUNT), paid, key, amount=900)
                clock.advance(ms=1)
                if number % 3 == 1:
                    refund(plain_world(infrastructure, ACCOUNT), paid, key, amount=100)
                    refund(
                        plain_world(infrastructure, ACCOUNT),
                        paid,
                        key + "/no",
                        amount=100,
                        simulate="lost_card",
                    )
        void(
            plain_world(infrastructure, ACCOUNT),
            id_of(authorize(plain_world(infrastructure, ACCOUNT), f"{day}/void")),
            f"{day}/void",
        )
        clock.advance(days=1)


def by_due_work(infrastructure: Infrastructure) -> None:
    do_everything_due(infrastructure, ACCOUNT)


def by_request(infrastructure: Infrastructure) -> None:
    settle_on_demand(plain_world(infrastructure, ACCOUNT), up_to=None, discrepancies=["missing_line"])


def by_tasks(infrastructure: Infrastructure) -> None:
    """What the state machine does, without it."""
    tasks = SettlementTasks(infrastructure)

    def run(**event: Any) -> dict[str, Any]:
        return tasks.run(event, lambda: 900_000)

    state: dict[str, Any] = {}
    while True:
        state = run(task="collect", progress=state)
        if not state["accounts"]:
            assert state["finished"]
            return
        results = []
        for account in state["accounts"]:
            finished = False
            while not finished:
                gathered = run(task="settle", account_id=account["account_id"])
                finished = run(task="publish", **gathered)["finished"]
            results.append({"account_id": account["account_id"], "finished": True})
        state["results"] = results


DRIVES = [by_due_work, by_request, by_tasks]


def everything_in(store: Store) -> Ledger:
    """All of the account that settlement may have touched, by id."""
    found: dict[str, Record] = {}
    for key in (ACCOUNT + "#transaction", ACCOUNT + "#settlement"):
        after = None
        while True:
            page = store.page(Index.FEED, key, after=after, limit=1000)
            found |= {record.id: record for record in page.records}
            after = page.next
            if after is None:
                break
    for record in list(found.values()):
        if record.kind == SETTLEMENT:
            ids = [line_record_id(record.id, number) for number in range(record.data["line_records"])]
            found |= {held.id: held for held in store.get(ids) if held is not None}
    return found


def check(ledger: Ledger) -> None:
    """Each entry is on exactly one line, of the settlement that it names, and the sums are those of the lines."""
    lines: dict[str, str] = {}
    for record in ledger.values():
        if record.kind == LINES:
            for transaction_id, *_ in record.data["lines"]:
                assert transaction_id not in lines, "settled twice"
                lines[transaction_id] = record.id.rpartition("_")[0]
    for record in ledger.values():
        if record.kind in ("capture", "refund"):
            settled = record.data.get("settlement_id")
            assert settled == lines.get(record.id)
            assert (settled is None) == (record.data["decline"] is not None)
            assert record.due_at is None
        if record.kind == SETTLEMENT:
            settlement = settlement_of(record)
            assert settlement.completed
            assert settlement.count == sum(1 for each in lines.values() if each == record.id)
            assert sum(amount for _, amount in settlement.postings) == 0
            assert sum(amount for _, amount in settlement.payout_postings) == 0


@dataclass
class Ground:
    """Ledgers that all begin with the same trade. fresh: opens another one of them."""

    clock: FrozenClock
    fresh: Callable[[], Store]

    def infrastructure(self, store: Store) -> Infrastructure:
        return make_infrastructure(store, self.clock, SMALL_SETS)


def undisturbed(ground: Ground, drive: Callable[[Infrastructure], None]) -> tuple[Ledger, int]:
    """What the ledger holds after a run that nothing disturbs, and how many writes that takes."""
    store = DyingStore(ground.fresh(), 0, before=True)
    drive(ground.infrastructure(store))
    ledger = everything_in(store)
    store.close()
    check(ledger)
    assert any(record.kind == SETTLEMENT for record in ledger.values())
    return ledger, store.writes


def killed_and_started_again(
    ground: Ground, drive: Callable[[Infrastructure], None], nth: int, *, before: bool
) -> Ledger:
    inner = ground.fresh()
    with pytest.raises(Killed):
        drive(ground.infrastructure(DyingStore(inner, nth, before=before)))
    drive(ground.infrastructure(inner))
    ledger = everything_in(inner)
    inner.close()
    return ledger


def differences(one: Ledger, other: Ledger) -> list[str]:
    return sorted(
        record_id for record_id in one.keys() | other.keys() if one.get(record_id) != other.get(record_id)
    )


@contextmanager
def memory_ground() -> Iterator[Ground]:
    clock = FrozenClock(NOW_MS)
    traded = MemoryStore()
    trade(make_infrastructure(traded, clock, SMALL_SETS))

    def fresh() -> Store:
        store = MemoryStore()
        store.records = dict(traded.records)
        return store

    yield Ground(clock, fresh)


@contextmanager
def sqlite_ground(folder: Path) -> Iterator[Ground]:
    clock = FrozenClock(NOW_MS)
    template = folder / "template.db"
    traded = SqliteStore(template)
    trade(make_infrastructure(traded, clock, SMALL_SETS))
    traded.close()
    files = iter(range(1_000_000))

    def fresh() -> Store:
        file = folder / f"{next(files)}.db"
        shutil.copyfile(template, file)
        return SqliteStore(file)

    yield Ground(clock, fresh)


@contextmanager
def dynamodb_ground() -> Iterator[Ground]:
    with mock_aws():
        client = create_client(region_name="eu-central-1")
        clock = FrozenClock(NOW_MS)
        template = MemoryStore()
        # One day is enough for several writes, and moto takes its time for each.
        trade(make_infrastructure(template, clock, SMALL_SETS), days=1)

        names: list[str] = []

        def fresh() -> Store:
            # moto copies all tables for each atomic write, so there is never more than one.
            if names:
                client.delete_table(TableName=names.pop())
            name = f"faults-{next(_tables)}"
            names.append(name)
            create_table(client, name)
            store = DynamoDbStore(client, name, feed_shards=1, card_shards=1, due_shards=1)
            for record in template.records.values():
                store.insert(record)
            return store

        yield Ground(clock, fresh)


@pytest.mark.parametrize("drive", DRIVES)
def test_killed_at_any_write_and_started_again_in_memory(drive: Callable[[Infrastructure], None]) -> None:
    with memory_ground() as ground:
        expected, writes = undisturbed(ground, drive)
        assert writes >= 14
        for nth in range(1, writes + 1):
            for before in (True, False):
                found = killed_and_started_again(ground, drive, nth, before=before)
                assert differences(found, expected) == [], (nth, before)


@pytest.mark.parametrize("drive", DRIVES)
def test_killed_twice_and_started_again(drive: Callable[[Infrastructure], None]) -> None:
    """Every pair of points: the second run dies too, somewhere in what the first left over."""
    with memory_ground() as ground:
        expected, writes = undisturbed(ground, drive)
        for first in range(1, writes + 1):
            for second in range(1, writes - first + 2):
                inner = ground.fresh()
                with pytest.raises(Killed):
                    drive(ground.infrastructure(DyingStore(inner, first, before=False)))
                dying = DyingStore(inner, second, before=True)
                try:
                    drive(ground.infrastructure(dying))
                except Killed:
                    drive(ground.infrastructure(inner))
                assert differences(everything_in(inner), expected) == [], (first, second)


@pytest.mark.parametrize("drive", DRIVES)
def test_every_way_to_go_on_with_what_another_way_began(drive: Callable[[Infrastructure], None]) -> None:
    """Whatever began it, whoever finds it settles each entry exactly once."""
    with memory_ground() as ground:
        _, writes = undisturbed(ground, drive)
        for other in DRIVES:
            for nth in range(1, writes + 1):
                inner = ground.fresh()
                with pytest.raises(Killed):
                    drive(ground.infrastructure(DyingStore(inner, nth, before=False)))
                other(ground.infrastructure(inner))
                check(everything_in(inner))


@pytest.mark.parametrize("drive", DRIVES)
def test_killed_at_any_write_and_started_again_on_sqlite(
    tmp_path: Path, drive: Callable[[Infrastructure], None]
) -> None:
    with sqlite_ground(tmp_path) as ground:
        expected, writes = undisturbed(ground, drive)
        for nth in range(1, writes + 1):
            for before in (True, False):
                found = killed_and_started_again(ground, drive, nth, before=before)
                assert differences(found, expected) == [], (nth, before)


@pytest.mark.slow
@pytest.mark.parametrize("drive", [by_due_work, by_tasks])
def test_killed_and_started_again_on_dynamodb(drive: Callable[[Infrastructure], None]) -> None:
    """At the first writes and the last: every other point is the same code on the same port."""
    with dynamodb_ground() as ground:
        expected, writes = undisturbed(ground, drive)
        for nth in (1, 2, writes - 1, writes):
            found = killed_and_started_again(ground, drive, nth, before=nth % 2 == 0)
            assert differences(found, expected) == [], nth


def test_the_homes_settle_alike(tmp_path: Path) -> None:
    """Due work and the state machine's tasks write the same records, and so do the ledgers."""
    with ExitStack() as stack:
        grounds = [stack.enter_context(memory_ground()), stack.enter_context(sqlite_ground(tmp_path))]
        ledgers = [undisturbed(ground, drive)[0] for ground in grounds for drive in (by_due_work, by_tasks)]
    assert all(differences(ledger, ledgers[0]) == [] for ledger in ledgers[1:])
