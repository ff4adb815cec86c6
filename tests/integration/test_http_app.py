"""What holds for every request and response: ids, keys, quotas, limits, CORS, errors and logs."""

import logging
import threading
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest
from starlette.types import ASGIApp, Message

from tests.integration.http_contract import (
    API_KEY,
    AUTHORIZE,
    BODY_BYTES_MAX,
    CARD,
    CONTRACT,
    JSON_HEADERS,
    ORIGIN,
    ask,
    make_app,
    post_json,
    run,
)

KEY = {"x-api-key": API_KEY}


@pytest.fixture(scope="module")
def app() -> ASGIApp:
    return make_app()


# What a handler is given.


def test_a_handler_is_given_everything_converted_with_defaults(app: ASGIApp) -> None:
    query = b"status=open&full=false&ids=a&ids=b&pages=1,2"
    assert ask(app, "GET", "/v1/transactions", headers=KEY, query=query).json == {
        "operation_id": "list_transactions",
        "principal": "acct_one",
        "body": None,
        "path": {},
        "query": {"limit": 20, "status": "open", "full": False, "ids": ["a", "b"], "pages": [1, 2]},
        "headers": {},
    }
    assert ask(app, "GET", "/v1/transactions/t 1/notes/ž", headers=KEY).json["path"] == {
        "transaction_id": "t 1",
        "note_id": "ž",
    }
    assert ask(app, "GET", "/v1/health").json["principal"] is None


def test_an_optional_body_may_be_left_out_and_is_then_none(app: ASGIApp) -> None:
    assert ask(app, "POST", "/v1/optional-body", headers=KEY).json["body"] is None
    assert post_json(app, "/v1/optional-body", {}).json["body"] == {}


# The idempotency key.


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"x-idempotency-key": "a-1"}, "a-1"),
        ({"idempotency-key": "a-1"}, "a-1"),
        ({"idempotency-key": '"a-1"'}, "a-1"),
        ({"x-idempotency-key": '"a\\"\\\\b"'}, 'a"\\b'),
        ({"x-idempotency-key": "a-1", "idempotency-key": '"a-1"'}, "a-1"),
        ({"x-idempotency-key": "!~" * 127 + "!"}, "!~" * 127 + "!"),
        ({"x-idempotency-key": 'a"b'}, 'a"b'),
    ],
)
def test_a_key_is_the_same_under_both_names_bare_or_quoted(
    app: ASGIApp, headers: Mapping[str, str], key: str
) -> None:
    response = post_json(app, "/v1/authorize", AUTHORIZE, **{"x-idempotency-key": "", **headers})
    assert response.json["headers"]["x-idempotency-key"] == key


@pytest.mark.parametrize("headers", [{}, {"x-idempotency-key": ""}])
def test_a_missing_key_is_an_error_of_its_own(app: ASGIApp, headers: Mapping[str, str]) -> None:
    given = {name: value for name, value in JSON_HEADERS.items() if name != "x-idempotency-key"}
    response = ask(app, "POST", "/v1/authorize", headers={**given, **headers, "x-attempt": "0"}, body=b"{}")
    assert (response.status, response.code) == (400, "idempotency_key_missing")
    assert response.faults == [("header:X-Attempt", "too_small"), ("header:X-Idempotency-Key", "required")]


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        ({"idempotency-key": "other"}, ("header:Idempotency-Key", "conflict")),
        ({"x-idempotency-key": "a b"}, ("header:X-Idempotency-Key", "pattern")),
        ({"x-idempotency-key": '"a b"'}, ("header:X-Idempotency-Key", "pattern")),
        ({"x-idempotency-key": '""'}, ("header:X-Idempotency-Key", "pattern")),
        ({"x-idempotency-key": '"a'}, ("header:X-Idempotency-Key", "pattern")),
        ({"x-idempotency-key": '"a";b=1'}, ("header:X-Idempotency-Key", "pattern")),
        ({"x-idempotency-key": "k" * 256}, ("header:X-Idempotency-Key", "too_long")),
    ],
)
def test_a_key_that_is_none_is_refused(
    app: ASGIApp, headers: Mapping[str, str], fault: tuple[str, str]
) -> None:
    response = post_json(app, "/v1/authorize", AUTHORIZE, **headers)
    assert (response.code, response.faults) == ("invalid_request", [fault])


# The API key and the quota.


def test_a_missing_key_and_an_unknown_one_are_told_apart(app: ASGIApp) -> None:
    missing = ask(app, "GET", "/v1/transactions")
    assert (missing.status, missing.code) == (401, "api_key_missing")
    assert missing["www-authenticate"] == 'ApiKey realm="payments-sandbox"'
    unknown = ask(app, "GET", "/v1/transactions", headers={"x-api-key": "sk_test_two"})
    assert (unknown.status, unknown.code) == (401, "api_key_invalid")
    assert "sk_test_two" not in unknown.body.decode()


def test_a_bearer_token_is_answered_with_where_the_key_belongs(app: ASGIApp) -> None:
    response = ask(app, "GET", "/v1/transactions", headers={"authorization": f"Bearer {API_KEY}"})
    assert response.code == "api_key_missing"
    assert "Authorization is not read" in response.json["detail"]


def test_success_and_error_tell_what_is_left_of_the_quota(app: ASGIApp) -> None:
    for response in (ask(app, "GET", "/v1/transactions", headers=KEY), post_json(app, "/v1/authorize", {})):
        assert response["ratelimit-policy"] == '"default";q=100;w=60'
        assert response["ratelimit"] == '"default";r=50;t=30'
    assert "ratelimit" not in ask(app, "GET", "/v1/health")


def test_a_quota_that_is_used_up_says_when_to_come_back(app: ASGIApp) -> None:
    response = ask(app, "GET", "/v1/transactions", headers={"x-api-key": "sk_test_spent"})
    assert (response.status, response.code) == (429, "rate_limit_exceeded")
    assert response["retry-after"] == "7"
    assert response["ratelimit"] == '"default";r=0;t=7'
    assert response.json["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert response.json["violated-policies"] == ["default"]


@pytest.mark.parametrize(
    ("mended", "code"),
    [
        ({}, "route_not_found"),
        ({"path": "/v1/authorize"}, "method_not_allowed"),
        ({"method": "POST"}, "api_key_missing"),
        ({"x-api-key": "no"}, "api_key_invalid"),
        ({"x-api-key": "sk_test_spent"}, "rate_limit_exceeded"),
        ({"x-api-key": API_KEY}, "unsupported_media_type"),
        ({"content-type": "application/json"}, "idempotency_key_missing"),
        ({"x-idempotency-key": "a"}, "malformed_json"),
        ({"body": "{}"}, "invalid_request"),
    ],
)
def test_checks_come_in_one_order(app: ASGIApp, mended: dict[str, str], code: str) -> None:
    request = {"path": "/v1/nothing", "method": "DELETE", "body": "{"}
    order: list[dict[str, str]] = [
        {},
        {"path": "/v1/authorize"},
        {"method": "POST"},
        {"x-api-key": "no"},
        {"x-api-key": "sk_test_spent"},
        {"x-api-key": API_KEY},
        {"content-type": "application/json"},
        {"x-idempotency-key": "a"},
        {"body": "{}"},
    ]
    for step in order[: order.index(mended) + 1]:
        request |= step
    method, path, body = request.pop("method"), request.pop("path"), request.pop("body")
    assert ask(app, method, path, headers=request, body=body.encode()).code == code


# Bodies.


def test_every_field_at_fault_is_named_at_once(app: ASGIApp) -> None:
    response = post_json(
        app, "/v1/authorize", {"amount": 0, "currensy": "EUR", "card": {"number": "12", "exp_month": "1"}}
    )
    assert response.json["errors"] == [
        {"pointer": "/amount", "code": "too_small", "detail": "must be at least 1"},
        {"pointer": "/card/exp_month", "code": "wrong_type", "detail": "must be an integer"},
        {"pointer": "/card/number", "code": "pattern", "detail": "must match ^[0-9]{12,19}$"},
        {"pointer": "/currency", "code": "required", "detail": "is required"},
        {
            "pointer": "/currensy",
            "code": "unknown_field",
            "detail": "is not a field of this object; did you mean currency?",
        },
    ]


def test_at_most_twenty_errors_are_listed(app: ASGIApp) -> None:
    response = post_json(app, "/v1/authorize", {f"field{number}": 1 for number in range(500)})
    assert len(response.json["errors"]) == 20
    assert "more than 20 places" in response.json["detail"]


@pytest.mark.parametrize("chunks", [1, 3])
def test_a_body_over_the_limit_is_refused_whatever_its_length_says(app: ASGIApp, chunks: int) -> None:
    whole = b" " * (BODY_BYTES_MAX + 3)
    body = [whole[index::chunks] for index in range(chunks)]
    for headers in ({}, {"content-length": "5"}, {"content-length": str(len(whole))}):
        response = ask(app, "POST", "/v1/authorize", headers={**JSON_HEADERS, **headers}, body=body)
        assert (response.status, response.code) == (413, "request_too_large")


def test_a_caller_who_hangs_up_is_answered_with_nothing(app: ASGIApp) -> None:
    response = ask(app, "POST", "/v1/authorize", headers=JSON_HEADERS, body=[b"{", b""], disconnects=True)
    assert response.status == 0


def test_the_body_of_an_operation_without_one_is_not_read(app: ASGIApp) -> None:
    assert ask(app, "GET", "/v1/transactions", headers=KEY, body=b"x" * (BODY_BYTES_MAX + 1)).status == 201


# Methods.


def test_head_is_get_without_the_body(app: ASGIApp) -> None:
    head, get = (ask(app, method, "/v1/transactions", headers=KEY) for method in ("HEAD", "GET"))
    assert (head.status, head["content-length"], head.body) == (201, get["content-length"], b"")
    assert ask(app, "HEAD", "/v1/transactions").body == b""


def test_options_tells_the_methods(app: ASGIApp) -> None:
    response = ask(app, "OPTIONS", "/v1/transactions")
    assert (response.status, response["allow"], response.body) == (204, "GET, HEAD, OPTIONS, POST", b"")
    assert "access-control-allow-methods" not in response


# CORS.


def test_a_page_of_an_allowed_origin_may_read_every_response(app: ASGIApp) -> None:
    for path in ("/v1/health", "/v1/nothing", "/v1/transactions", "/v1/failures/unexpected"):
        response = ask(app, "GET", path, headers={"origin": ORIGIN})
        assert response["access-control-allow-origin"] == ORIGIN
        assert response["vary"] == "origin"
        exposed = response["access-control-expose-headers"].split(", ")
        assert {"RateLimit", "Retry-After", "X-Request-Id", "Idempotent-Replayed"} <= set(exposed)


@pytest.mark.parametrize("origin", ["https://evil.example", f"{ORIGIN}.evil.example", "null", ""])
def test_a_page_of_another_origin_may_not(app: ASGIApp, origin: str) -> None:
    response = ask(app, "GET", "/v1/health", headers={"origin": origin})
    assert "access-control-allow-origin" not in response
    assert response["vary"] == "origin"


def test_a_preflight_is_answered_for_an_allowed_origin(app: ASGIApp) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    response = ask(app, "OPTIONS", "/v1/authorize", headers={"origin": ORIGIN, **asked})
    assert response.status == 204
    assert response["access-control-allow-methods"] == "OPTIONS, POST"
    assert {"content-type", "x-api-key", "x-idempotency-key"} <= set(
        response["access-control-allow-headers"].split(", ")
    )
    other = ask(app, "OPTIONS", "/v1/authorize", headers={"origin": "https://evil.example", **asked})
    assert "access-control-allow-methods" not in other


def test_without_allowed_origins_nothing_is_said_about_origins() -> None:
    response = ask(make_app(allowed_origins=()), "GET", "/v1/health", headers={"origin": ORIGIN})
    assert not [name for name, _ in response.headers if name.startswith("access-control") or name == "vary"]


# Request ids.


def test_every_response_has_an_id_of_its_own(app: ASGIApp) -> None:
    ids = [
        ask(app, "GET", path)["x-request-id"] for path in ("/v1/health", "/v1/nothing", "/v1/transactions")
    ]
    assert len(set(ids)) == 3
    assert all(request_id.startswith("req_") for request_id in ids)


@pytest.mark.parametrize("given", ["a", "A.b_c-1", "x" * 64, "8e03978e-40d5-43e8-bc93-6894a57f9324"])
def test_a_sane_id_of_the_callers_is_kept(app: ASGIApp, given: str) -> None:
    assert ask(app, "GET", "/v1/nothing", headers={"x-request-id": given}).json["request_id"] == given


@pytest.mark.parametrize(
    "given", ["", "a b", "x" * 65, "ž".encode().decode("latin-1"), "a\n", CARD, "4242-4242-4242-4242"]
)
def test_any_other_id_is_replaced(app: ASGIApp, given: str) -> None:
    response = ask(app, "GET", "/v1/health", headers={"x-request-id": given})
    assert response["x-request-id"].startswith("req_")


# Errors and logs.


def test_an_unexpected_failure_is_logged_once_and_not_told(
    app: ASGIApp, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        response = ask(app, "GET", "/v1/failures/unexpected")
    assert (response.status, response.code) == (500, "internal_error")
    assert "ValueError" not in response.body.decode()
    (record,) = [each for each in caplog.records if each.levelno >= logging.ERROR]
    fields = record.fields  # type: ignore[attr-defined]
    assert fields["request_id"] == response["x-request-id"]
    assert fields["route"] == "/v1/failures/{kind}"
    assert "ValueError: a card number [masked] in a message" in fields["traceback"]
    assert CARD not in caplog.text
    assert CARD not in fields["traceback"]


def test_facts_of_an_error_are_members_that_never_replace_those_of_the_format(app: ASGIApp) -> None:
    problem = ask(app, "GET", "/v1/failures/conflict").json
    assert problem["capturable_amount"] == 1051
    assert problem["status"] == 409
    assert problem["type"] == "urn:payments-sandbox:problem:amount_exceeds_authorized"
    assert problem["retryable"] is False
    assert problem["errors"] == []


def test_a_ledger_that_does_not_answer_is_worth_another_try(app: ASGIApp) -> None:
    response = ask(app, "GET", "/v1/failures/store")
    assert (response.status, response["retry-after"], response.json["retryable"]) == (503, "1", True)


def test_the_access_log_has_one_line_for_each_request_by_its_template(
    app: ASGIApp, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="sandbox.access"):
        ask(
            app,
            "GET",
            f"/v1/transactions/{CARD}",
            headers={**KEY, "x-request-id": "mine"},
            query=CARD.encode(),
        )
        ask(app, CARD, f"/v1/{CARD}")
    first, second = (record.fields for record in caplog.records)  # type: ignore[attr-defined]
    assert first.pop("duration_ms") >= 0
    assert first == {
        "method": "GET",
        "route": "/v1/transactions/{transaction_id}",
        "status": 400,
        "request_id": "mine",
        "account_id": "acct_one",
    }
    assert (second["method"], second["route"], second["status"]) == ("other", None, 404)
    assert CARD not in caplog.text + repr([first, second])


def test_the_access_log_costs_nothing_when_it_is_off(app: ASGIApp, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="sandbox.access"):
        ask(app, "GET", "/v1/health")
    assert not caplog.records


def test_responses_are_not_to_be_stored(app: ASGIApp) -> None:
    assert ask(app, "GET", "/v1/health")["cache-control"] == "no-store"


# What is not HTTP.


def _converse(app: ASGIApp, kind: str, *received: Message) -> list[Message]:
    inbox, sent = list(received), []

    async def receive() -> Message:
        return inbox.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    run(app({"type": kind}, receive, send))
    return sent


def test_a_server_that_speaks_lifespan_is_answered(app: ASGIApp) -> None:
    sent = _converse(app, "lifespan", {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


def test_a_websocket_is_turned_away(app: ASGIApp) -> None:
    assert _converse(app, "websocket", {"type": "websocket.connect"})[0]["type"] == "websocket.close"


def test_requests_at_the_same_time_do_not_mix() -> None:
    app = make_app()
    found: list[Any] = []

    def ask_often(name: str) -> None:
        for _ in range(50):
            response = ask(app, "GET", f"/v1/transactions/{name}", headers={**KEY, "x-request-id": name})
            found.append((name, response.json["path"]["transaction_id"], response["x-request-id"]))

    threads = [threading.Thread(target=ask_often, args=(f"name-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 200
    assert all(name == path == request_id for name, path, request_id in found)


@pytest.mark.parametrize(
    "path", ["/v1/authorize", "/v1/health", "/v1/transactions/{transaction_id}/notes/{note_id}"]
)
def test_a_path_that_is_removed_from_the_contract_is_not_found(path: str) -> None:
    contract = deepcopy(CONTRACT)
    methods = contract["paths"].pop(path)
    address = path.format(transaction_id="auth_1", note_id="note_1")
    for method in methods:
        assert ask(make_app(), method.upper(), address).status != 404
        response = ask(make_app(contract), method.upper(), address)
        assert (response.status, response.code) == (404, "route_not_found")


# The documents.


def test_the_documents_are_served_only_when_they_are_asked_for() -> None:
    for path in ("/docs", "/openapi.json", "/openapi.yaml"):
        assert ask(make_app(), "GET", path).status == 404


def test_swagger_ui_and_the_contract_are_served_without_a_key() -> None:
    app = make_app(docs=True)
    page = ask(app, "GET", "/docs")
    assert page["content-type"] == "text/html; charset=utf-8"
    for path in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js", "favicon-32x32.png"):
        assert f"/docs/{path}".encode() in page.body
        assert ask(app, "GET", f"/docs/{path}").status == 200
    assert ask(app, "GET", "/openapi.json").json["paths"]["/v1/health"]["get"]["operationId"] == "get_health"
    assert b"operationId: get_health" in ask(app, "GET", "/openapi.yaml").body
    assert ask(app, "HEAD", "/openapi.json").body == b""
    assert ask(app, "POST", "/docs").code == "method_not_allowed"
    assert ask(app, "GET", "/docs/../app.py").status == 404
