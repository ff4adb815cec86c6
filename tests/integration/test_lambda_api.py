"""The Lambda handler as it is deployed, on DynamoDB: proxy events of an API Gateway REST API in, ledger entries out.

`test_http_lambda.py` tests what the HTTP layer makes of events; here it is the whole function with its table, in moto.
"""

import asyncio
import base64
import importlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import boto3
import pytest
from moto import mock_aws

from payments_sandbox.adapters.dynamodb.client import create_client
from payments_sandbox.adapters.dynamodb.table import TABLE_NAME, create_table
from payments_sandbox.settings import LambdaSettings

Json = dict[str, Any]

REGION = "eu-central-1"
SECRET = bytes(range(32)).hex()
ENVIRONMENT = {
    "SANDBOX_TABLE": TABLE_NAME,
    "SANDBOX_LEDGER_SECRET": SECRET,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
}
GATEWAY_ID = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
CONTEXT = SimpleNamespace(aws_request_id="lambda-request-1")
VISA = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2099}
AUTHORIZE = {"amount": 1000, "currency": "EUR", "card": VISA}


@dataclass(slots=True)
class Answer:
    """What the function hands back to API Gateway."""

    raw: Json

    @property
    def status(self) -> int:
        status: int = self.raw["statusCode"]
        return status

    @property
    def headers(self) -> Mapping[str, str]:
        """By lower-case name, of either form that API Gateway takes."""
        many = {name.lower(): values[-1] for name, values in self.raw.get("multiValueHeaders", {}).items()}
        return {**many, **{name.lower(): value for name, value in self.raw.get("headers", {}).items()}}

    @property
    def body(self) -> Json:
        assert not self.raw["isBase64Encoded"], "API Gateway would pass base64 on to the client"
        body: Json = json.loads(self.raw["body"])
        return body

    def accepted(self, status: int) -> Json:
        assert self.status == status, self.raw
        return self.body

    def refused(self, status: int, code: str) -> Json:
        problem = self.accepted(status)
        assert problem["code"] == code
        assert self.headers["content-type"] == "application/problem+json"
        return problem


@dataclass(slots=True)
class Function:
    """The deployed function with one account's key. calls: the names of what it asked of DynamoDB."""

    handler: Callable[[Json, Any], Json]
    calls: list[str]
    api_key: str = ""
    keys: Iterator[int] = field(default_factory=lambda: iter(range(1_000_000)))

    def send(self, method: str, path: str, *, shape: str = "both", **parts: Any) -> Answer:
        """Invoke it with an event; `calls` is of this invocation afterwards."""
        event = make_event(method, path, api_key=self.api_key, **parts)
        if shape == "single":
            del event["multiValueHeaders"]
        elif shape == "multiple":
            del event["headers"]
        self.calls.clear()
        return Answer(self.handler(event, CONTEXT))

    def post(self, path: str, body: Json, *, key: str | None = None, **parts: Any) -> Answer:
        headers = {
            "Content-Type": "application/json",
            "X-Idempotency-Key": key or f"key-{next(self.keys)}",
            **parts.pop("headers", {}),
        }
        return self.send("POST", path, body=json.dumps(body), headers=headers, **parts)


def make_event(
    method: str,
    path: str,
    *,
    api_key: str,
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    query: Mapping[str, str] | None = None,
    is_base64: bool = False,
) -> Json:
    """A proxy event: without Content-Length, headers and query in both of their forms."""
    given = {"Host": "api.example", "X-Forwarded-For": "192.0.2.1", **(headers or {})}
    if api_key:
        given["x-api-key"] = api_key
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": given,
        "multiValueHeaders": {name: [value] for name, value in given.items()},
        "queryStringParameters": dict(query) if query else None,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()}
        if query
        else None,
        "pathParameters": {"proxy": path.lstrip("/")},
        "stageVariables": None,
        "requestContext": {
            "requestId": GATEWAY_ID,
            "stage": "prod",
            "httpMethod": method,
            "path": f"/prod{path}",
            "resourcePath": "/{proxy+}",
            "identity": {"sourceIp": "192.0.2.1", "apiKey": api_key or None},
        },
        "body": body,
        "isBase64Encoded": is_base64,
    }


@pytest.fixture(scope="module", autouse=True)
def loop() -> Iterator[None]:
    """Mangum takes the thread's event loop, as Lambda's runtime has one."""
    own = asyncio.new_event_loop()
    asyncio.set_event_loop(own)
    yield
    asyncio.set_event_loop(None)
    own.close()


@pytest.fixture(scope="module")
def logs_as_before() -> Iterator[None]:
    """The function sends all logs of its process to standard error; here they are pytest's again afterwards."""
    loggers = [logging.getLogger(), logging.getLogger("sandbox")]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


@pytest.fixture(scope="module")
def deployed(loop: None, logs_as_before: None) -> Iterator[tuple[Callable[[Json, Any], Json], list[str]]]:
    """The handler on an empty table, and the names of what it asks of DynamoDB."""
    calls: list[str] = []

    def note(model: Any, **_: Any) -> None:
        calls.append(model.name)

    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        session = boto3.Session()
        patch.setattr(boto3, "DEFAULT_SESSION", session)
        create_table(create_client(), TABLE_NAME)
        session.events.register("before-call.dynamodb", note)
        # Importing the module builds a handler from the environment already, as it does in Lambda.
        lambda_api = importlib.import_module("payments_sandbox.entrypoints.lambda_api")
        yield lambda_api.build_handler(LambdaSettings.from_environment()), calls


@pytest.fixture
def function(deployed: tuple[Callable[[Json, Any], Json], list[str]]) -> Function:
    """The function for an account that only this test uses."""
    made = Function(*deployed)
    account = made.send(
        "POST", "/v1/accounts", body="{}", headers={"Content-Type": "application/json"}
    ).accepted(201)
    made.api_key = account["api_key"]["secret"]
    return made


def test_a_payment_lives_its_whole_life_on_dynamodb(function: Function) -> None:
    authorization = function.post("/v1/authorize", AUTHORIZE).accepted(201)
    named = {"authorization_id": authorization["transaction_id"]}
    function.post("/v1/increment", {**named, "amount": 500}).accepted(201)
    function.post("/v1/capture", {**named, "amount": 700}).accepted(201)
    function.post("/v1/refund", {**named, "amount": 200}).accepted(201)
    void = function.post("/v1/void", named).accepted(201)
    assert void["amount"] == 800

    shown = function.send("GET", f"/v1/transactions/{authorization['transaction_id']}").accepted(200)
    assert shown["status"] == "captured"
    assert shown["balance"] == {
        "authorized_amount": 1500,
        "captured_amount": 700,
        "refunded_amount": 200,
        "released_amount": 800,
        "disputed_amount": 0,
        "capturable_amount": 0,
        "refundable_amount": 500,
    }
    assert [member["type"] for member in shown["family"]] == [
        "authorization",
        "increment",
        "capture",
        "refund",
        "void",
    ]
    function.post("/v1/capture", named).refused(409, "authorization_not_capturable")
    page = function.send("GET", "/v1/transactions", query={"limit": "2"}).accepted(200)
    assert len(page["data"]) == 2
    rest = function.send("GET", "/v1/transactions", query={"cursor": page["next_cursor"]}).accepted(200)
    assert {entry["transaction_id"] for entry in page["data"] + rest["data"]} == {
        member["transaction_id"] for member in shown["family"]
    }
    card = function.send("GET", f"/v1/cards/{authorization['card']['card_id']}").accepted(200)
    assert card["last4"] == "4242"
    assert function.send("GET", "/v1/health").accepted(200)["status"] == "ok"


def test_an_authorization_is_one_write_and_no_read(function: Function) -> None:
    function.send("GET", "/v1/account").accepted(200)  # from now on the key is known
    function.post("/v1/authorize", AUTHORIZE).accepted(201)
    assert function.calls == ["PutItem"]


@pytest.mark.parametrize("fault", ["lose_response", "lose_response=504"])
def test_a_lost_response_is_a_504_and_its_replay_the_payment(function: Function, fault: str) -> None:
    headers = {"X-Sandbox-Fault": fault}
    lost = function.post("/v1/authorize", AUTHORIZE, key="order-1", headers=headers)
    lost.refused(504, "gateway_timeout")
    assert lost.headers["x-sandbox-fault"] == fault
    again = function.post("/v1/authorize", AUTHORIZE, key="order-1")
    assert again.accepted(201)["status"] == "authorized"
    assert again.headers["idempotent-replayed"] == "true"


def test_a_world_is_kept_forked_and_restored_on_dynamodb(
    function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = {"Content-Type": "application/json"}
    # What an account's first controls wait for: nobody else is there to be told of them.
    monkeypatch.setattr("payments_sandbox.http.operations.call.Call.settle_controls", AsyncMock())
    authorization = function.post("/v1/authorize", AUTHORIZE, key="baseline").accepted(201)
    named = {"authorization_id": authorization["transaction_id"]}
    snapshot = function.send("POST", "/v1/snapshots", body="{}", headers=typed).accepted(201)
    path = f"/v1/snapshots/{snapshot['snapshot_id']}"
    made = function.send("POST", f"{path}/fork", body="{}", headers=typed).accepted(201)
    function.post("/v1/void", named).accepted(201)

    fork = Function(function.handler, function.calls, made["api_key"]["secret"])
    replay = fork.post("/v1/authorize", AUTHORIZE, key="baseline")
    assert replay.headers["idempotent-replayed"] == "true"
    fork.post("/v1/capture", named).accepted(201)
    (listed, _) = fork.send("GET", "/v1/transactions").accepted(200)["data"]
    assert listed["type"] == "capture"

    function.send("POST", f"{path}/restore").accepted(200)
    shown = function.send("GET", f"/v1/transactions/{authorization['transaction_id']}").accepted(200)
    assert (shown["status"], len(shown["family"])) == ("authorized", 1)


def test_a_replay_is_one_refused_write_and_no_read(function: Function) -> None:
    first = function.post("/v1/authorize", AUTHORIZE, key="order-1")
    again = function.post("/v1/authorize", AUTHORIZE, key="order-1")
    assert function.calls == ["PutItem"]
    assert again.accepted(201) == first.accepted(201)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    changed = function.post("/v1/authorize", {**AUTHORIZE, "amount": 1001}, key="order-1")
    assert function.calls == ["PutItem"]
    problem = changed.refused(422, "idempotency_key_reused")
    assert [error["pointer"] for error in problem["errors"]] == ["/amount"]


def test_a_capture_is_one_read_and_one_atomic_write(function: Function) -> None:
    authorization = function.post("/v1/authorize", AUTHORIZE).accepted(201)
    body = {"authorization_id": authorization["transaction_id"], "amount": 10}
    first = function.post("/v1/capture", body, key="capture-1").accepted(201)
    assert function.calls == ["GetItem", "TransactWriteItems"]
    assert function.post("/v1/capture", body, key="capture-1").accepted(201) == first


def test_the_first_use_of_a_key_costs_one_read_and_the_next_none(function: Function) -> None:
    function.send("GET", "/v1/nowhere").refused(404, "route_not_found")
    assert function.calls == []
    function.post("/v1/authorize", AUTHORIZE).accepted(201)
    assert function.calls == ["GetItem", "PutItem"]
    function.post("/v1/authorize", AUTHORIZE).accepted(201)
    assert function.calls == ["PutItem"]


@pytest.mark.parametrize("shape", ["single", "multiple", "both"])
def test_headers_arrive_in_either_form_of_the_event(function: Function, shape: str) -> None:
    answer = function.post(
        "/v1/authorize", AUTHORIZE, headers={"X-Sandbox-Simulate": "lost_card"}, shape=shape
    )
    assert answer.accepted(201)["decline"]["decline_code"] == "lost_card"


def test_header_names_may_be_in_any_case(function: Function) -> None:
    headers = {"CONTENT-TYPE": "Application/JSON", "x-idempotency-KEY": "key-1"}
    answer = function.send("POST", "/v1/authorize", body=json.dumps(AUTHORIZE), headers=headers)
    assert answer.accepted(201)["status"] == "authorized"


def test_a_body_in_base64_is_the_same_request(function: Function) -> None:
    plain = function.post("/v1/authorize", AUTHORIZE, key="order-1")
    encoded = base64.b64encode(json.dumps(AUTHORIZE).encode()).decode()
    headers = {"Content-Type": "application/json", "X-Idempotency-Key": "order-1"}
    again = function.send("POST", "/v1/authorize", body=encoded, is_base64=True, headers=headers)
    assert again.accepted(201) == plain.accepted(201)
    assert again.headers["idempotent-replayed"] == "true"


def test_texts_of_any_script_come_back_as_they_were(function: Function) -> None:
    metadata = {"Kaffee": "für zwei", "出荷": "東京 🚚"}
    answer = function.post("/v1/authorize", {**AUTHORIZE, "metadata": metadata})
    assert answer.accepted(201)["metadata"] == metadata


def test_headers_beyond_ascii_are_refused_and_never_answered(function: Function) -> None:
    for name in ("X-Idempotency-Key", "X-Sandbox-Simulate"):
        problem = function.post("/v1/authorize", AUTHORIZE, headers={name: "clé-東京"}).refused(
            400, "invalid_request"
        )
        assert [error["pointer"] for error in problem["errors"]] == [f"header:{name}"]
    answer = function.send("GET", "/v1/account", headers={"X-Request-Id": "clé-東京"})
    assert answer.accepted(200)
    assert answer.headers["x-request-id"] == GATEWAY_ID
    answer = function.send("GET", "/v1/account", headers={"User-Agent": "Zoë", "Cookie": "a=é"})
    assert answer.status == 200


def test_every_refusal_is_problem_json_as_text_with_the_gateways_request_id(function: Function) -> None:
    json_type = {"Content-Type": "application/json", "X-Idempotency-Key": "key-1"}
    refusals = {
        (400, "invalid_request"): function.post("/v1/authorize", {**AUTHORIZE, "amount": 0}),
        (400, "malformed_json"): function.send("POST", "/v1/authorize", body="{", headers=json_type),
        (400, "idempotency_key_missing"): function.send(
            "POST",
            "/v1/authorize",
            body=json.dumps(AUTHORIZE),
            headers={"Content-Type": "application/json"},
        ),
        (404, "route_not_found"): function.send("GET", "/v1/nowhere"),
        (404, "transaction_not_found"): function.send("GET", "/v1/transactions/auth_unknown"),
        (405, "method_not_allowed"): function.send("DELETE", "/v1/authorize"),
        (413, "request_too_large"): function.send(
            "POST", "/v1/authorize", body=json.dumps("x" * 20_000), headers=json_type
        ),
        (415, "unsupported_media_type"): function.send(
            "POST",
            "/v1/authorize",
            body="amount=1",
            headers={**json_type, "Content-Type": "application/x-www-form-urlencoded"},
        ),
    }
    for (status, code), answer in refusals.items():
        problem = answer.refused(status, code)
        assert problem["request_id"] == answer.headers["x-request-id"] == GATEWAY_ID
    assert refusals[405, "method_not_allowed"].headers["allow"] == "OPTIONS, POST"


def test_nothing_is_said_of_a_quota_that_the_gateway_counts(function: Function) -> None:
    for answer in (
        function.post("/v1/authorize", AUTHORIZE),
        function.send("GET", "/v1/transactions/auth_unknown"),
        function.send("GET", "/v1/health"),
    ):
        assert not [name for name in answer.headers if name.startswith("ratelimit")]
        assert "retry-after" not in answer.headers


def test_without_a_key_or_with_an_unknown_one_nothing_is_told(function: Function) -> None:
    function.api_key = ""
    function.send("GET", "/v1/account").refused(401, "api_key_missing")
    # The demo account's key is public, and so belongs to the developer's own machine alone.
    function.api_key = "sk_test_demo"
    answer = function.send("GET", "/v1/account")
    answer.refused(401, "api_key_invalid")
    assert answer.headers["www-authenticate"]


def test_what_a_developers_machine_serves_besides_the_contract_is_not_there(function: Function) -> None:
    for path in ("/docs", "/openapi.json", "/openapi.yaml", "/"):
        function.send("GET", path).refused(404, "route_not_found")


def test_the_function_answers_invocation_after_invocation(function: Function) -> None:
    for number in range(5):
        function.post("/v1/authorize", {**AUTHORIZE, "amount": number + 1}).accepted(201)
    page = function.send("GET", "/v1/transactions").accepted(200)
    assert {entry["amount"] for entry in page["data"]} == {1, 2, 3, 4, 5}


def test_the_table_holds_no_card_number(function: Function) -> None:
    function.post("/v1/authorize", {**AUTHORIZE, "card": {**VISA, "cvc": "737"}}).accepted(201)
    items = create_client().scan(TableName=TABLE_NAME)["Items"]
    assert len(items) >= 3
    kept = repr(items)
    assert str(VISA["number"]) not in kept
    # As a value of its own; three digits stand in many a number.
    assert "'737'" not in kept
    assert '"737"' not in kept
