"""The operations of settlement over HTTP: JSON, CSV, and what is refused."""

import csv
import io
import json
from typing import Any

import pytest
from starlette.types import ASGIApp

from payments_sandbox.domain.timestamps import parse_timestamp
from payments_sandbox.http.operations.settlement_views import COLUMNS
from payments_sandbox.http.pipeline.app import HttpOptions, build_app
from payments_sandbox.services.accounts.accounts import (
    DEMO_ACCOUNT,
    DEMO_API_KEY,
    authenticate,
    ensure_demo_account,
)
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.world import plain_world
from tests.calls.payments import authorize, capture, card_with, id_of, refund
from tests.contract import CONTRACT
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import FrozenClock, make_infrastructure
from tests.doubles.stores import DyingStore, Killed
from tests.integration.http_contract import Response, ask
from tests.virtual_time.scheduled_work import do_everything_due

Json = dict[str, Any]


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def infrastructure(clock: FrozenClock) -> Infrastructure:
    infrastructure = make_infrastructure(MemoryStore(), clock)
    ensure_demo_account(infrastructure)
    return infrastructure


@pytest.fixture
def app(infrastructure: Infrastructure) -> ASGIApp:
    options = HttpOptions(contract_is_valid=True)
    return build_app(CONTRACT, infrastructure, authenticate=authenticate, options=options)


def call(app: ASGIApp, method: str, path: str, body: Json | None = None, query: str = "") -> Response:
    headers = {"x-api-key": DEMO_API_KEY}
    if body is not None:
        headers["content-type"] = "application/json"
    raw = b"" if body is None else json.dumps(body).encode()
    return ask(app, method, path, headers=headers, body=raw, query=query.encode())


def trade(infrastructure: Infrastructure, clock: FrozenClock) -> None:
    """Two payments, one with a reference that a CSV has to quote, and a refund."""
    for key, number, reference in (
        ("a", "4242424242424242", 'order "7", part 1\nof 2'),
        ("b", "378282246310005", "Bestellung ü"),
    ):
        card = card_with(number=number)
        paid = id_of(
            authorize(
                plain_world(infrastructure, DEMO_ACCOUNT),
                key,
                account=DEMO_ACCOUNT,
                card=card,
                merchant_reference=reference,
                amount=5000,
            )
        )
        capture(plain_world(infrastructure, DEMO_ACCOUNT), paid, key, account=DEMO_ACCOUNT)
        clock.advance(ms=1000)
        refund(plain_world(infrastructure, DEMO_ACCOUNT), paid, key, account=DEMO_ACCOUNT, amount=1500)
        clock.advance(ms=1000)


def settle(app: ASGIApp, **body: Any) -> list[Json]:
    answer = call(app, "POST", "/v1/settlements", body)
    assert answer.status == 200, answer.body
    made: list[Json] = answer.json["data"]
    return made


def test_the_csv_adds_up_to_the_payout_and_says_what_the_json_says(
    app: ASGIApp, infrastructure: Infrastructure, clock: FrozenClock
) -> None:
    trade(infrastructure, clock)
    (settlement,) = settle(app)
    path = f"/v1/settlements/{settlement['settlement_id']}"
    assert call(app, "GET", path).json == settlement
    report = call(app, "GET", f"{path}/report").json
    answer = call(app, "GET", f"{path}/report", query="format=csv")
    assert answer["content-type"] == "text/csv; charset=utf-8"
    assert answer["content-disposition"] == f'attachment; filename="{settlement["settlement_id"]}.csv"'
    assert answer["content-length"] == str(len(answer.body))
    rows = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == settlement["entry_count"] == 4
    for name in ("gross_amount", "fee_amount", "net_amount"):
        assert sum(int(row[name]) for row in rows) == settlement[name] == report[name]
    assert settlement["net_amount"] == settlement["payout"]["amount"]
    for row, line in zip(rows, report["lines"], strict=True):
        assert row == {
            **{name: "" if value is None else str(value) for name, value in line.items()},
            "settlement_id": settlement["settlement_id"],
            "payout_id": settlement["payout"]["payout_id"],
            "currency": "EUR",
            "settled_at": settlement["settled_at"],
        }
    assert rows[0]["merchant_reference"] == 'order "7", part 1\nof 2'
    for row in rows:
        transaction = call(app, "GET", f"/v1/transactions/{row['transaction_id']}").json
        assert transaction["settlement_id"] == settlement["settlement_id"]
        assert transaction["settled_at"] == settlement["settled_at"]
        assert transaction["network"]["acquirer_reference"] == row["acquirer_reference"]
        sign = 1 if transaction["type"] == "capture" else -1
        assert int(row["gross_amount"]) == sign * transaction["amount"]


def test_the_answer_sheet_explains_the_difference_between_report_and_payout(
    app: ASGIApp, infrastructure: Infrastructure, clock: FrozenClock
) -> None:
    trade(infrastructure, clock)
    kinds = ["wrong_amount", "missing_line", "late_fee", "doubled_line"]
    (settlement,) = settle(app, discrepancies=kinds)
    path = f"/v1/settlements/{settlement['settlement_id']}/report"
    lines = call(app, "GET", path).json["lines"]
    answers = call(app, "GET", f"{path}/answers").json
    assert [each["type"] for each in answers["discrepancies"]] == kinds
    assert answers["payout_amount"] == settlement["payout"]["amount"]
    assert answers["reported_amount"] == sum(line["net_amount"] for line in lines)
    assert answers["reported_amount"] - answers["payout_amount"] == sum(
        each["difference"] for each in answers["discrepancies"]
    )
    reported = {line["transaction_id"] for line in lines}
    missing = answers["discrepancies"][1]
    assert missing["transaction_id"] not in reported
    assert missing["reported"] == []
    assert [line["type"] for line in answers["discrepancies"][2]["reported"]][1:] == ["fee_adjustment"]
    rows = call(app, "GET", path, query="format=csv").body.decode().count("\r\n") - 1
    # The line break inside a reference is none of the file's.
    assert rows == len(lines)


def test_a_report_without_discrepancies_has_an_empty_answer_sheet(
    app: ASGIApp, infrastructure: Infrastructure, clock: FrozenClock
) -> None:
    trade(infrastructure, clock)
    (settlement,) = settle(app)
    answers = call(app, "GET", f"/v1/settlements/{settlement['settlement_id']}/report/answers").json
    assert answers["discrepancies"] == []
    assert answers["reported_amount"] == answers["payout_amount"]


@pytest.mark.parametrize("path", ["", "/report", "/report/answers"])
def test_a_settlement_that_is_not_the_accounts_is_not_found(app: ASGIApp, path: str) -> None:
    answer = call(app, "GET", f"/v1/settlements/stl_unknown{path}")
    assert (answer.status, answer.code) == (404, "settlement_not_found")


def test_a_report_of_what_is_under_way_is_refused(
    app: ASGIApp, infrastructure: Infrastructure, clock: FrozenClock
) -> None:
    trade(infrastructure, clock)
    clock.at_ms = parse_timestamp("2026-11-24T00:00:00Z")
    dying = make_infrastructure(DyingStore(infrastructure.store, 1, before=False), clock)
    with pytest.raises(Killed):
        do_everything_due(dying, DEMO_ACCOUNT)
    (begun,) = call(app, "GET", "/v1/settlements").json["data"]
    assert (begun["status"], begun["payout"]) == ("in_progress", None)
    for path in ("/report", "/report/answers"):
        answer = call(app, "GET", f"/v1/settlements/{begun['settlement_id']}{path}")
        assert (answer.status, answer.code) == (409, "settlement_in_progress")
        assert answer.json["retryable"] is True


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"up_to": "tomorrow"}, "/up_to"),
        ({"discrepancies": ["stolen_line"]}, "/discrepancies/0"),
        ({"discrepancies": ["late_fee"] * 21}, "/discrepancies"),
        ({"currency": "EUR"}, "/currency"),
    ],
)
def test_what_cannot_be_asked_for_is_named(app: ASGIApp, body: Json, pointer: str) -> None:
    answer = call(app, "POST", "/v1/settlements", body)
    assert answer.status == 400
    assert [found for found, _ in answer.faults] == [pointer]


def test_the_format_of_a_report_is_json_or_csv(app: ASGIApp) -> None:
    answer = call(app, "GET", "/v1/settlements/stl_x/report", query="format=xlsx")
    assert (answer.status, [pointer for pointer, _ in answer.faults]) == (400, ["query:format"])


def test_the_end_of_the_day_is_changed_and_followed(
    app: ASGIApp, infrastructure: Infrastructure, clock: FrozenClock
) -> None:
    assert call(app, "GET", "/v1/settlement-schedule").json == {
        "cutoff": "00:00",
        "next_settlement_at": "2026-11-24T00:00:00.000Z",
    }
    changed = {"cutoff": "17:30", "next_settlement_at": "2026-11-23T17:30:00.000Z"}
    assert call(app, "PUT", "/v1/settlement-schedule", {"cutoff": "17:30"}).json == changed
    assert call(app, "GET", "/v1/settlement-schedule").json == changed
    for cutoff in ("24:00", "7:30", "17:60", "17:30\n", ""):
        answer = call(app, "PUT", "/v1/settlement-schedule", {"cutoff": cutoff})
        assert (answer.status, [pointer for pointer, _ in answer.faults]) == (400, ["/cutoff"])
    body = {
        "amount": 1000,
        "currency": "EUR",
        "card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2050},
    }
    headers = {"x-api-key": DEMO_API_KEY, "content-type": "application/json", "x-idempotency-key": "k"}
    paid = ask(app, "POST", "/v1/authorize", headers=headers, body=json.dumps(body).encode()).json
    taken = {"authorization_id": paid["transaction_id"]}
    captured = ask(app, "POST", "/v1/capture", headers=headers, body=json.dumps(taken).encode()).json
    (record,) = infrastructure.store.get([captured["transaction_id"]])
    assert record is not None
    assert record.due_at == parse_timestamp("2026-11-23T17:30:00Z")
