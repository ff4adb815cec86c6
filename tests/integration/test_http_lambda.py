"""The app behind Mangum, fed with the proxy events of an API Gateway REST API."""

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from mangum import Mangum
from mangum.adapter import DEFAULT_TEXT_MIME_TYPES

from tests.integration.http_contract import API_KEY, AUTHORIZE, ORIGIN, make_app

CONTEXT = SimpleNamespace(aws_request_id="lambda-request-1")


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """Mangum takes the thread's event loop, as Lambda's runtime has one."""
    own = asyncio.new_event_loop()
    asyncio.set_event_loop(own)
    yield
    asyncio.set_event_loop(None)
    own.close()


@pytest.fixture
def handler() -> Mangum:
    return Mangum(
        make_app(contract_is_valid=True),
        lifespan="off",
        text_mime_types=[*DEFAULT_TEXT_MIME_TYPES, "application/problem+json"],
    )


def event(
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    query: Mapping[str, list[str]] | None = None,
    gateway_id: str | None = "gateway-request-1",
) -> dict[str, Any]:
    given = {"Host": "api.example", **(headers or {})}
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": given,
        "multiValueHeaders": {name: [value] for name, value in given.items()},
        "queryStringParameters": {name: values[-1] for name, values in (query or {}).items()} or None,
        "multiValueQueryStringParameters": query,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "requestId": gateway_id,
            "stage": "prod",
            "httpMethod": method,
            "path": f"/prod{path}",
            "identity": {"sourceIp": "192.0.2.1"},
        },
        "body": body,
        "isBase64Encoded": False,
    }


AUTHORIZED = {"X-Api-Key": API_KEY, "X-Idempotency-Key": "key-1", "Content-Type": "application/json"}


def test_a_proxy_event_without_a_length_has_its_body_read(handler: Mangum) -> None:
    answer = handler(event("POST", "/v1/authorize", headers=AUTHORIZED, body=json.dumps(AUTHORIZE)), CONTEXT)
    assert answer["statusCode"] == 201
    assert not answer["isBase64Encoded"]
    told = json.loads(answer["body"])
    assert told["body"] == AUTHORIZE
    assert told["headers"]["x-idempotency-key"] == "key-1"
    assert answer["headers"]["idempotent-replayed"] == "true"


def test_a_body_in_base64_is_the_same_body(handler: Mangum) -> None:
    proxied = event("POST", "/v1/authorize", headers=AUTHORIZED)
    proxied["body"] = base64.b64encode(json.dumps(AUTHORIZE).encode()).decode()
    proxied["isBase64Encoded"] = True
    assert json.loads(handler(proxied, CONTEXT)["body"])["body"] == AUTHORIZE


def test_a_problem_comes_back_as_text_and_not_in_base64(handler: Mangum) -> None:
    answer = handler(event("POST", "/v1/authorize", headers=AUTHORIZED, body="{"), CONTEXT)
    assert answer["statusCode"] == 400
    assert not answer["isBase64Encoded"]
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert json.loads(answer["body"])["code"] == "malformed_json"


def test_one_app_answers_invocation_after_invocation_without_a_lifespan(handler: Mangum) -> None:
    for _ in range(3):
        assert handler(event("GET", "/v1/health"), CONTEXT)["statusCode"] == 201


def test_the_request_id_is_the_gateways_so_that_its_log_can_be_found(handler: Mangum) -> None:
    answer = handler(event("GET", "/v1/nothing"), CONTEXT)
    assert answer["headers"]["x-request-id"] == "gateway-request-1"
    assert json.loads(answer["body"])["request_id"] == "gateway-request-1"
    without = handler(event("GET", "/v1/health", gateway_id=None), CONTEXT)
    assert without["headers"]["x-request-id"] == "lambda-request-1"
    own = handler(event("GET", "/v1/health", headers={"X-Request-Id": "mine"}), CONTEXT)
    assert own["headers"]["x-request-id"] == "mine"


def test_query_parameters_arrive_whole(handler: Mangum) -> None:
    query = {"ids": ["a", "b"], "limit": ["5"], "since": ["2026-01-01T00:00:00+01:00"]}
    answer = handler(event("GET", "/v1/transactions", headers=AUTHORIZED, query=query), CONTEXT)
    assert json.loads(answer["body"])["query"] == {
        "limit": 5,
        "ids": ["a", "b"],
        "since": "2026-01-01T00:00:00+01:00",
    }


def test_an_answer_without_a_body_stays_one(handler: Mangum) -> None:
    answer = handler(event("GET", "/v1/failures/nothing"), CONTEXT)
    assert (answer["statusCode"], answer["body"], answer["isBase64Encoded"]) == (204, "", False)


def test_a_home_that_cannot_count_claims_no_quota(handler: Mangum) -> None:
    headers = {**AUTHORIZED, "X-Api-Key": "sk_test_gateway"}
    answer = handler(event("GET", "/v1/transactions", headers=headers), CONTEXT)
    assert answer["statusCode"] == 201
    assert not [name for name in answer["headers"] if name.startswith("ratelimit")]


def test_a_preflight_is_answered_by_the_function_without_a_key(handler: Mangum) -> None:
    """The gateway hands over every method of a path, so that it is asked here and nowhere else."""
    headers = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, x-api-key, x-idempotency-key",
    }
    answer = handler(event("OPTIONS", "/v1/authorize", headers=headers), CONTEXT)
    assert (answer["statusCode"], answer["body"]) == (204, "")
    assert answer["headers"]["access-control-allow-origin"] == ORIGIN
    assert answer["headers"]["access-control-allow-methods"] == "OPTIONS, POST"
    allowed = answer["headers"]["access-control-allow-headers"].split(", ")
    assert {"content-type", "x-api-key", "x-idempotency-key"} <= set(allowed)


def test_bytes_that_are_no_text_are_refused_and_not_repaired(handler: Mangum) -> None:
    """The gateway hands bodies over in base64, as they came."""
    proxied = event("POST", "/v1/authorize", headers=AUTHORIZED)
    proxied["body"] = base64.b64encode(b'{"amount": 1, "currency": "E\xffR"}').decode()
    proxied["isBase64Encoded"] = True
    answer = handler(proxied, CONTEXT)
    assert answer["statusCode"] == 400
    assert json.loads(answer["body"])["code"] == "malformed_json"
