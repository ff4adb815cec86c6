"""The stores that the suite runs against; each test gets an empty one."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from moto import mock_aws

from contracts.store.sqlite_driver import Driver
from payments_sandbox.adapters.dynamodb.client import create_client
from payments_sandbox.adapters.dynamodb.store import DynamoDbStore
from payments_sandbox.adapters.dynamodb.table import create_table
from payments_sandbox.adapters.sqlite.store import SqliteStore
from payments_sandbox.services.ports import Store
from payments_sandbox.services.scopes import ScopedStore
from tests.doubles.memory_store import MemoryStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

OpenStore = Callable[[], AbstractContextManager[Store]]

_table_numbers = count(1)


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
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    """Opens empty stores, as many as a test wants; for property tests, whose every example needs its own."""
    if request.param == "memory":
        return lambda: nullcontext(MemoryStore())
    if request.param == "sqlite":
        return _open_sqlite
    if request.param == "scoped":
        return _open_scoped
    client = request.getfixturevalue("dynamodb_client")
    return lambda: _open_dynamodb(client)


@pytest.fixture
def store(open_store: OpenStore) -> Iterator[Store]:
    """An empty store."""
    with open_store() as opened:
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
def _open_dynamodb(client: "DynamoDBClient") -> Iterator[Store]:
    """Few shards, so that property tests finish; `test_dynamodb.py` tests the default number."""
    with _table(client) as name:
        opened = DynamoDbStore(client, name, feed_shards=3, card_shards=2, due_shards=2)
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
