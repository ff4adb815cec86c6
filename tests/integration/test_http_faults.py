"""Faults on the whole app: what is answered, what was written, and how a connection is cut."""

import json
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from starlette.types import ASGIApp

from payments_sandbox.adapters.sqlite.store import SqliteStore
from payments_sandbox.domain.faults import Rule
from payments_sandbox.http.pipeline.app import HttpOptions, build_app
from payments_sandbox.http.pipeline.boundary import CUT_CONNECTION
from payments_sandbox.services.accounts.accounts import (
    DEMO_ACCOUNT,
    DEMO_API_KEY,
    authenticate,
    ensure_demo_account,
)
from payments_sandbox.services.accounts.controls import get_controls
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.simulation import faults
from payments_sandbox.services.world import plain_world
from tests.contract import CONTRACT
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import make_infrastructure
from tests.integration.http_contract import Response, ask

Json = dict[str, Any]

BODY = {
    "amount": 1051,
    "currency": "EUR",
    "card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2099},
}


class Sandbox:
    """The app on a ledger in memory, one account's view of it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.infrastructure: Infrastructure = make_infrastructure(self.store)
        ensure_demo_account(self.infrastructure)
        options = HttpOptions(contract_is_valid=True)
        self.app: ASGIApp = build_app(
            CONTRACT, self.infrastructure, authenticate=authenticate, options=options
        )
        self.cuts = 0

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        fault: str | None = None,
        key: str = "key-1",
        can_cut: bool = False,
    ) -> Response:
        headers = {"x-api-key": DEMO_API_KEY, "content-type": "application/json", "x-idempotency-key": key}
        if fault is not None:
            headers["x-sandbox-fault"] = fault
        extra: Mapping[str, Any] = {"extensions": {CUT_CONNECTION: self._cut}} if can_cut else {}
        raw = b"" if body is None else json.dumps(body).encode()
        return ask(self.app, method, path, headers=headers, body=raw, extra=extra)

    def authorize(self, **parts: Any) -> Response:
        return self.send("POST", "/v1/authorize", BODY, **parts)

    @property
    def entries(self) -> int:
        return sum(record.kind == "authorization" for record in self.store.records.values())

    async def _cut(self) -> None:
        self.cuts += 1


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox()


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("error=500", 500, "internal_error"),
        ("error=502", 502, "bad_gateway"),
        ("error=503", 503, "service_unavailable"),
        ("error=504", 504, "gateway_timeout"),
        ("store_unavailable", 503, "store_unavailable"),
        ("rate_limit", 429, "rate_limit_exceeded"),
        ("drop_connection", 504, "gateway_timeout"),
        ("latency=1; error=503", 503, "service_unavailable"),
    ],
)
def test_a_fault_in_place_of_the_operation_writes_nothing_and_says_so(
    sandbox: Sandbox, fault: str, status: int, code: str
) -> None:
    response = sandbox.authorize(fault=fault)
    assert (response.status, response.code) == (status, code)
    assert response["x-sandbox-fault"] == fault
    assert response.json["retryable"]
    assert sandbox.entries == 0
    assert sandbox.authorize().status == 201


def test_a_simulated_429_says_when_to_come_back(sandbox: Sandbox) -> None:
    response = sandbox.authorize(fault="rate_limit=7")
    assert response["retry-after"] == "7"
    assert response["ratelimit"] == '"demo";r=0;t=7'
    assert response.json["violated-policies"] == ["demo"]


def test_latency_alone_changes_nothing_but_the_header(sandbox: Sandbox) -> None:
    response = sandbox.authorize(fault="latency=1")
    assert response.status == 201
    assert response["x-sandbox-fault"] == "latency=1"


@pytest.mark.parametrize("fault", ["lose_response", "lose_response=504"])
def test_a_lost_response_is_told_by_its_replay_where_no_connection_can_be_cut(
    sandbox: Sandbox, fault: str
) -> None:
    lost = sandbox.authorize(fault=fault)
    assert (lost.status, lost.code) == (504, "gateway_timeout")
    assert sandbox.entries == 1
    again = sandbox.authorize()
    assert again.status == 201
    assert again["idempotent-replayed"] == "true"
    assert sandbox.entries == 1


def test_a_connection_is_cut_after_the_write(sandbox: Sandbox) -> None:
    assert sandbox.authorize(fault="lose_response", can_cut=True).status == 0
    assert (sandbox.cuts, sandbox.entries) == (1, 1)


def test_a_connection_is_cut_before_the_write(sandbox: Sandbox) -> None:
    assert sandbox.authorize(fault="drop_connection", can_cut=True).status == 0
    assert (sandbox.cuts, sandbox.entries) == (1, 0)


def test_a_504_is_answered_although_the_connection_could_be_cut(sandbox: Sandbox) -> None:
    assert sandbox.authorize(fault="lose_response=504", can_cut=True).status == 504
    assert (sandbox.cuts, sandbox.entries) == (0, 1)


def test_a_refusal_can_be_lost_too(sandbox: Sandbox) -> None:
    body = {"authorization_id": "auth_none"}
    response = sandbox.send("POST", "/v1/capture", body, fault="lose_response=504")
    assert response.status == 504
    assert sandbox.send("POST", "/v1/capture", body).code == "transaction_not_found"


def test_a_fault_outside_the_grammar_is_a_refusal_that_names_the_header(sandbox: Sandbox) -> None:
    response = sandbox.authorize(fault="meteorite")
    assert response.code == "invalid_request"
    assert response.faults == [("header:X-Sandbox-Fault", "pattern")]


def test_an_account_s_rules_strike_its_requests_until_they_are_deleted(sandbox: Sandbox) -> None:
    rules = {"rules": [{"fault": "error=503", "operations": ["authorize_payment"], "when": "every=2"}]}
    shown = sandbox.send("PUT", "/v1/faults", rules)
    assert shown.status == 200
    statuses = [sandbox.authorize(key=f"key-{number}").status for number in range(4)]
    assert statuses == [201, 503, 201, 503]
    assert sandbox.entries == 2
    (active,) = sandbox.send("GET", "/v1/faults").json["rules"]
    assert (active["seen"], active["fired"], active["count"]) == (4, 2, None)
    assert sandbox.send("DELETE", "/v1/faults").status == 204
    assert sandbox.authorize(key="key-9").status == 201


def test_the_header_goes_before_the_rules_and_is_not_counted(sandbox: Sandbox) -> None:
    sandbox.send("PUT", "/v1/faults", {"rules": [{"fault": "error=503", "count": 1}]})
    assert sandbox.authorize(fault="error=502").status == 502
    assert sandbox.authorize(fault="none").status == 201
    (active,) = sandbox.send("GET", "/v1/faults").json["rules"]
    assert active["seen"] == 0


def test_the_rules_never_strike_the_operations_that_change_them(sandbox: Sandbox) -> None:
    sandbox.send("PUT", "/v1/faults", {"rules": [{"fault": "drop_connection"}]})
    assert sandbox.send("GET", "/v1/transactions").status == 504
    assert sandbox.send("GET", "/v1/faults").status == 200
    assert sandbox.send("PUT", "/v1/faults", {"rules": []}).status == 200
    assert sandbox.send("GET", "/v1/transactions").status == 200


@pytest.mark.parametrize(
    ("rule", "pointer"),
    [
        ({"fault": "meteorite"}, "/rules/0/fault"),
        ({"fault": "error=503", "when": "every=0"}, "/rules/0/when"),
        ({"fault": "error=503", "when": "percent=101"}, "/rules/0/when"),
        ({"fault": "error=503", "operations": ["get_health"]}, "/rules/0/operations/0"),
        ({"fault": "error=503", "count": 0}, "/rules/0/count"),
    ],
)
def test_a_rule_outside_the_contract_is_refused_by_name(sandbox: Sandbox, rule: Json, pointer: str) -> None:
    response = sandbox.send("PUT", "/v1/faults", {"rules": [rule]})
    assert [where for where, _ in response.faults] == [pointer]


def test_an_ordinary_account_reads_no_controls(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.authorize(key="warm")
    monkeypatch.setattr(sandbox.store, "get", lambda ids: pytest.fail(f"{ids} were read"))
    assert sandbox.authorize(key="hot").status == 201
    assert sandbox.authorize(key="hotter", fault="latency=1").status == 201


def test_requests_at_the_same_time_are_each_counted_once(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "ledger.db")
    infrastructure = make_infrastructure(store)
    ensure_demo_account(infrastructure)
    faults.set_rules(plain_world(infrastructure, DEMO_ACCOUNT), [Rule("error=503", count=5)])
    struck: list[object] = []

    def request() -> None:
        for _ in range(5):
            controls = get_controls(infrastructure, DEMO_ACCOUNT)
            struck.append(faults.next_fault(plain_world(infrastructure, DEMO_ACCOUNT), controls, "get_card"))

    threads = [Thread(target=request) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (active,) = faults.get_rules(plain_world(infrastructure, DEMO_ACCOUNT))
    store.close()
    assert (active.seen, active.fired) == (20, 5)
    assert len([fault for fault in struck if fault is not None]) == 5
