"""Authorizations that come together, in the embedded home: one commit, and for each of them its own answer."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from payments_sandbox.adapters.sqlite.exclusive import Exclusive, InsertBatch
from payments_sandbox.adapters.sqlite.store import SqliteStore
from payments_sandbox.bootstrap import LocalSandbox, build_local
from payments_sandbox.domain.errors import StoreUnavailable, TransactionNotFound
from payments_sandbox.http.operations.call import Call, OperationResult
from payments_sandbox.http.pipeline.app import build_app
from payments_sandbox.services.accounts.accounts import DEMO_API_KEY
from payments_sandbox.services.ports import Record
from payments_sandbox.settings import LocalSettings
from tests.doubles.ports import make_infrastructure
from tests.integration.http_contract import API_KEY, CONTRACT, ask, authenticate
from tests.load.samples import ACCEPTED


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[LocalSandbox]:
    sandbox = build_local(LocalSettings(db=str(tmp_path / "ledger.db")))
    yield sandbox
    sandbox.infrastructure.store.close()


def authorize(sandbox: LocalSandbox, keys: Sequence[str]) -> list[httpx.Response]:
    """One authorization under each key, all at once."""

    async def send() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=sandbox.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
            headers = [{"x-api-key": DEMO_API_KEY, "x-idempotency-key": key} for key in keys]
            requests = [client.post("/v1/authorize", json=ACCEPTED, headers=each) for each in headers]
            return await asyncio.gather(*requests)

    return asyncio.run(send())


def commits_of(sandbox: LocalSandbox) -> list[str]:
    """Every commit of the ledger from now on."""
    assert isinstance(sandbox.infrastructure.store, SqliteStore)
    commits: list[str] = []
    trace = sandbox.infrastructure.store._connection.set_trace_callback
    trace(lambda statement: commits.append(statement) if statement == "COMMIT" else None)
    return commits


def test_authorizations_that_come_together_share_a_commit(sandbox: LocalSandbox) -> None:
    authorize(sandbox, ["first"])
    commits = commits_of(sandbox)
    answers = authorize(sandbox, [f"key-{number}" for number in range(20)])
    assert [answer.status_code for answer in answers] == [201] * 20
    ids = [answer.json()["transaction_id"] for answer in answers]
    assert len(set(ids)) == 20
    assert None not in sandbox.infrastructure.store.get(ids)
    assert len(commits) < 10


def test_repeats_that_come_together_make_one_entry(sandbox: LocalSandbox) -> None:
    answers = authorize(sandbox, ["one-key"] * 20)
    assert [answer.status_code for answer in answers] == [201] * 20
    assert len({answer.text for answer in answers}) == 1
    assert [answer.headers.get("idempotent-replayed") for answer in answers].count("true") == 19


def test_a_commit_that_fails_is_everybodys_503_and_repeating_them_works(
    sandbox: LocalSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ["a", "b", "c"]
    authorize(sandbox, ["first"])

    def fail(self: Exclusive, group: InsertBatch) -> None:
        self._group = None
        self._connection.execute("ROLLBACK")
        group.error = StoreUnavailable("The ledger file cannot be used: SQLITE_FULL.")

    with monkeypatch.context() as patch:
        patch.setattr(Exclusive, "_end", fail)
        answers = authorize(sandbox, keys)
    assert [answer.status_code for answer in answers] == [503] * 3
    assert {answer.json()["code"] for answer in answers} == {"store_unavailable"}
    answers = authorize(sandbox, keys)
    assert [answer.status_code for answer in answers] == [201] * 3
    assert [answer.headers.get("idempotent-replayed") for answer in answers] == [None] * 3


class FailingGroup:
    """`GroupCommit` whose commit fails when somebody waits for it."""

    def insert(self, record: Record) -> None:
        return None

    async def settled(self) -> None:
        raise StoreUnavailable("The commit failed.")


@pytest.mark.parametrize("refuses", [False, True])
def test_no_operation_is_answered_before_what_it_inserted_is_committed(refuses: bool) -> None:
    """Whatever its handler does: the pipeline waits, so that no handler can forget to."""

    async def insert(call: Call) -> OperationResult:
        call.world.insert(Record("auth_1", "authorization", call.account_id, 1, 0, {}))
        await asyncio.sleep(0)
        if refuses:
            raise TransactionNotFound("The account has no transaction of this id.")
        return OperationResult(200, {})

    app = build_app(
        CONTRACT,
        replace(make_infrastructure(), group=FailingGroup()),
        authenticate=authenticate,
        find_handler=lambda operation: insert,
    )
    response = ask(app, "GET", "/v1/transactions", headers={"x-api-key": API_KEY})
    assert (response.status, response.code) == (503, "store_unavailable")
