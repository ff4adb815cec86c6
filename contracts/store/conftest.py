"""The stores that the suite runs against; each test gets an empty one."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from hypothesis import settings
from moto import mock_aws

from contracts.store.sqlite_driver import Driver
from payments_sandbox.adapters.dynamodb.client import create_client
from payments_sandbox.adapters.dynamodb.items import to_item
from payments_sandbox.adapters.dynamodb.store import DynamoDbStore
from payments_sandbox.adapters.dynamodb.table import create_table
from payments_sandbox.adapters.sqlite.store import SqliteStore
from payments_sandbox.services.ledger.scopes import ScopedStore
from payments_sandbox.services.ports import Index, Record, Store
from tests.doubles.memory_store import MemoryStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class OpenStore(Protocol):
    """Opens an empty store, or one that holds these records."""

    def __call__(self, records: Sequence[Record] = ()) -> AbstractContextManager[Store]: ...


Examples = Callable[[int], settings]

_table_numbers = count(1)

PUTS_MAX = 25
"""Puts in one BatchWriteItem."""


@pytest.fixture(scope="module")
def dynamodb_client() -> "Iterator[DynamoDBClient]":
    """The adapter's own client, connected to moto; gone with the module, as what moto keeps is the whole process's."""
    with mock_aws():
        yield create_client(region_name="eu-central-1")


@pytest.fixture
def dynamodb_table(dynamodb_client: "DynamoDBClient") -> Iterator[str]:
    """An empty table's name."""
    with _table(dynamodb_client) as name:
        yield name


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    """Observes the SQLite stores that the test opens."""
    driver = Driver()
    monkeypatch.setattr(sqlite3, "connect", driver.connect)
    return driver


@pytest.fixture(params=["memory", "sqlite", "dynamodb", "scoped"])
def store_name(request: pytest.FixtureRequest) -> str:
    """Which store the test runs against."""
    return str(request.param)


@pytest.fixture
def open_store(store_name: str, request: pytest.FixtureRequest) -> OpenStore:
    """Opens as many stores as a test wants; for property tests, whose every example needs its own."""
    if store_name == "dynamodb":
        return partial(_open_dynamodb, request.getfixturevalue("dynamodb_client"))
    open_empty: dict[str, Callable[[], AbstractContextManager[Store]]] = {
        "memory": lambda: nullcontext(MemoryStore()),
        "sqlite": _open_sqlite,
        "scoped": _open_scoped,
    }
    return partial(_filled, open_empty[store_name])


@pytest.fixture
def examples(store_name: str) -> Examples:
    """Settings for a property test of so many examples: a quarter over moto, which takes 10 ms for a call."""
    return lambda count: settings(
        max_examples=count // 4 if store_name == "dynamodb" else count, deadline=None
    )


@pytest.fixture
def store(open_store: OpenStore) -> Iterator[Store]:
    """An empty store."""
    with open_store() as opened:
        yield opened


@contextmanager
def _filled(
    open_empty: Callable[[], AbstractContextManager[Store]], records: Sequence[Record] = ()
) -> Iterator[Store]:
    with open_empty() as opened:
        for record in records:
            opened.insert(record)
        yield opened


@contextmanager
def _open_sqlite() -> Iterator[Store]:
    with TemporaryDirectory() as folder:
        opened = SqliteStore(Path(folder) / "ledger.db")
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def _open_scoped() -> Iterator[Store]:
    """One world of a ledger that holds others, all of whose records look alike."""
    with _open_sqlite() as opened:
        yield ScopedStore(opened, "one")


@contextmanager
def _open_dynamodb(client: "DynamoDBClient", records: Sequence[Record] = ()) -> Iterator[Store]:
    """Few shards, so that property tests finish; `test_dynamodb.py` tests the default number.

    Records are put in batches: moto takes a fifth of the time that it takes for single inserts.
    """
    shards = {Index.FEED: 3, Index.CARD: 2, Index.DUE: 2}
    puts: list[Any] = [{"PutRequest": {"Item": to_item(record, shards)}} for record in records]
    with _table(client) as name:
        for start in range(0, len(puts), PUTS_MAX):
            client.batch_write_item(RequestItems={name: puts[start : start + PUTS_MAX]})
        opened = DynamoDbStore(
            client,
            name,
            feed_shards=shards[Index.FEED],
            card_shards=shards[Index.CARD],
            due_shards=shards[Index.DUE],
        )
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def _table(client: "DynamoDBClient") -> Iterator[str]:
    name = f"PaymentsLedger-{next(_table_numbers)}"
    create_table(client, name)
    yield name
    client.delete_table(TableName=name)
