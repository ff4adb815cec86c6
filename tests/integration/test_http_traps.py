"""What Connexion, Mangum and JSON would do unasked, and the sandbox does not."""

import ast
import importlib.metadata
import json
import threading
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from starlette.types import ASGIApp

from payments_sandbox.http.operations.call import Call, Handler, OperationResult
from payments_sandbox.http.pipeline.app import build_app
from payments_sandbox.http.pipeline.lazy_handlers import LazyHandler
from payments_sandbox.http.reading.contract import ContractError, OperationSpec
from tests.doubles.ports import make_infrastructure
from tests.integration.http_contract import (
    AUTHORIZE,
    CARD,
    CONTRACT,
    HANDLERS,
    JSON_HEADERS,
    ask,
    authenticate,
    make_app,
    post_json,
)

ROOT = Path(__file__).parents[2]


def load_handler(operation: OperationSpec) -> Handler:
    """The sandbox's own handler of this name."""
    return LazyHandler(operation).load()


@pytest.fixture(scope="module")
def app() -> ASGIApp:
    return make_app()


# 1 to 3: the version, the length, the media type.


def test_a_contract_of_openapi_3_1_is_refused_when_the_app_is_built() -> None:
    with pytest.raises(ContractError, match=r"3\.0\.x, not 3\.1\.0"):
        make_app({**CONTRACT, "openapi": "3.1.0"})


@pytest.mark.parametrize("length", [{}, {"content-length": "0"}, {"content-length": "1"}])
def test_a_body_without_its_true_length_is_read_in_full(app: ASGIApp, length: dict[str, str]) -> None:
    body = json.dumps(AUTHORIZE).encode()
    response = ask(
        app, "POST", "/v1/authorize", headers={**JSON_HEADERS, **length}, body=[body[:5], body[5:]]
    )
    assert response.status == 201
    assert response.json["body"] == AUTHORIZE


def test_the_default_of_a_schema_never_replaces_the_body(app: ASGIApp) -> None:
    sent = ask(app, "POST", "/v1/default-body", headers=JSON_HEADERS, body=b'{"amount": 7}')
    assert sent.json["body"] == {"amount": 7}
    empty = ask(app, "POST", "/v1/default-body", headers=JSON_HEADERS)
    assert (empty.status, empty.faults) == (400, [("", "required")])


@pytest.mark.parametrize("media_type", ["Application/JSON", "APPLICATION/JSON; Charset=UTF-8"])
def test_a_media_type_in_capitals_does_not_get_a_body_past_validation(app: ASGIApp, media_type: str) -> None:
    response = post_json(app, "/v1/authorize", {**AUTHORIZE, "amount": "x"}, content_type=media_type)
    assert (response.status, response.faults) == (400, [("/amount", "wrong_type")])


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/jsonx", "json"])
def test_a_body_of_no_or_another_media_type_is_refused(app: ASGIApp, media_type: str) -> None:
    response = post_json(app, "/v1/authorize", AUTHORIZE, content_type=media_type)
    assert (response.status, response.code) == (415, "unsupported_media_type")
    assert response["accept"] == "application/json"


# 4: what is not JSON.


@pytest.mark.parametrize(
    "body",
    [
        b'{"amount": "\xff"}',
        b'{"amount": ' + b"9" * 4301 + b"}",
        b"[" * 4000,
        b'{"a":' * 700 + b"1" + b"}" * 700,
        b'{"amount": NaN}',
        b'{"amount": Infinity}',
        b'{"amount": 1, "amount": 2}',
        b'{"card": {"number": "1", "number": "2"}}',
        b'\xef\xbb\xbf{"amount": 1}',
        b'{"currency": "\\ud800"}',
        b"{",
        b" ",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_not_json_is_the_callers_fault(app: ASGIApp, body: bytes) -> None:
    response = post_json(app, "/v1/authorize", body)
    assert response.status == 400
    assert response.code in ("malformed_json", "invalid_request")
    assert response.json["errors"]


def test_an_unknown_charset_is_the_callers_fault(app: ASGIApp) -> None:
    response = post_json(app, "/v1/authorize", AUTHORIZE, content_type="application/json; charset=foo")
    assert (response.status, response.code) == (400, "malformed_json")
    assert response.faults == [("header:Content-Type", "unsupported_charset")]


# 5 and 6: what is valid, and who looks.


def test_a_line_feed_does_not_pass_for_the_end_of_a_code(app: ASGIApp) -> None:
    assert post_json(app, "/v1/authorize", {**AUTHORIZE, "currency": "EUR\n"}).faults == [
        ("/currency", "pattern")
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reference", "8e03978e40d543e8bc936894a57f9324"),
        ("reference", "8e03978e-40d5-43e8-bc93-6894a57f9324\n"),
        ("due", "2026-02-30T00:00:00Z"),
        ("due", "2026-01-01T00:00:00"),
        ("due", "2026-01-01T00:00:60Z"),
        ("on", "2026-02-30"),
        ("on", "20260201"),
    ],
)
def test_formats_are_checked(app: ASGIApp, field: str, value: str) -> None:
    assert post_json(app, "/v1/authorize", {**AUTHORIZE, field: value}).faults == [(f"/{field}", "format")]


def test_nullable_fields_may_be_null_and_others_not(app: ASGIApp) -> None:
    response = post_json(app, "/v1/authorize", {**AUTHORIZE, "note": None, "mode": None, "due": None})
    assert response.faults == [("/due", "wrong_type")]


def test_no_validator_is_built_for_a_request(app: ASGIApp, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("compiled while serving")

    monkeypatch.setattr(jsonschema_rs, "Draft4Validator", refuse)
    assert post_json(app, "/v1/authorize", AUTHORIZE).status == 201
    assert post_json(app, "/v1/authorize", {}).status == 400


def test_a_form_is_refused_and_an_empty_object_explained(app: ASGIApp) -> None:
    form = {**JSON_HEADERS, "content-type": "application/x-www-form-urlencoded"}
    assert ask(app, "POST", "/v1/authorize", headers=form, body=b"amount=1").code == "unsupported_media_type"
    assert post_json(app, "/v1/authorize", {}).faults == [
        ("/amount", "required"),
        ("/card", "required"),
        ("/currency", "required"),
    ]


# 7 and 8: answers.


def test_an_answer_has_its_type_although_the_contract_has_problems_beside_it(app: ASGIApp) -> None:
    assert ask(app, "GET", "/v1/health")["content-type"] == "application/json"
    assert ask(app, "GET", "/v1/failures/conflict")["content-type"] == "application/problem+json"


def test_a_decimal_never_leaves_as_a_float(app: ASGIApp) -> None:
    response = ask(app, "GET", "/v1/failures/decimal")
    assert (response.status, response.code) == (500, "internal_error")


@pytest.mark.parametrize("number", [b"1.0", b"1e0", b"1E+2", b"1.5"])
def test_no_float_reaches_a_handler(app: ASGIApp, number: bytes) -> None:
    body = json.dumps({**AUTHORIZE, "metadata": {"a": 7}}).encode()
    as_amount = post_json(app, "/v1/authorize", body.replace(b"1051", number))
    assert as_amount.faults == [("/amount", "wrong_type")]
    somewhere = post_json(app, "/v1/authorize", body.replace(b"7", number))
    assert somewhere.faults == [("/metadata/a", "wrong_type")]


# 9 and 10: what a request may hold.


def test_a_read_only_field_is_not_asked_of_a_request_and_not_taken_from_it(app: ASGIApp) -> None:
    card = {**AUTHORIZE["card"], "fingerprint": "x"}  # type: ignore[dict-item]
    assert post_json(app, "/v1/authorize", AUTHORIZE).status == 201
    assert post_json(app, "/v1/authorize", {**AUTHORIZE, "card": card, "id": "x"}).faults == [
        ("/card/fingerprint", "read_only"),
        ("/id", "read_only"),
    ]


def test_errors_of_a_choice_are_those_of_the_branch_that_was_meant(app: ASGIApp) -> None:
    meant = post_json(app, "/v1/choose", {"source": {"kind": "card", "number": "x"}})
    assert meant.faults == [("/source/number", "wrong_type")]
    unknown = post_json(app, "/v1/choose", {"source": {"kind": "cash"}})
    assert unknown.json["errors"] == [
        {"pointer": "/source/kind", "code": "not_in_enum", "detail": "must be card or bank"}
    ]


def test_an_integer_header_parameter_is_an_integer(app: ASGIApp) -> None:
    assert post_json(app, "/v1/authorize", AUTHORIZE, x_attempt="3").json["headers"]["x-attempt"] == 3
    assert post_json(app, "/v1/authorize", AUTHORIZE, x_attempt="0").faults == [
        ("header:X-Attempt", "too_small")
    ]


@pytest.mark.parametrize("text", ["1_0", "%D9%A1", "%2B5", "5.0", "%205", "0x5", ""])
def test_only_digits_are_an_integer(app: ASGIApp, text: str) -> None:
    response = ask(app, "GET", "/v1/transactions", headers=JSON_HEADERS, query=f"limit={text}".encode())
    assert response.faults == [("query:limit", "wrong_type")]


def test_errors_do_not_hold_the_schema_or_the_value(app: ASGIApp) -> None:
    query = f"limit={CARD}&status={CARD}&{CARD}=1".encode()
    for response in (
        ask(app, "GET", "/v1/transactions", headers=JSON_HEADERS, query=query),
        post_json(
            app, "/v1/authorize", {"amount": int(CARD), "currency": CARD, "card": CARD, CARD: {CARD: 1}}
        ),
        post_json(app, "/v1/authorize", {**AUTHORIZE, "metadata": {CARD: 1.5}}),
        post_json(app, "/v1/authorize", f'{{"{CARD}": 1, "{CARD}": 2}}'.encode()),
    ):
        assert response.status == 400
        assert CARD.encode() not in response.body
        assert b"additionalProperties" not in response.body
        assert len(response.body) < 2_000


# 11 to 13: how the app is built.


def test_a_path_in_servers_is_no_mount() -> None:
    app = make_app({**CONTRACT, "servers": [{"url": "https://api.example/prod"}]})
    assert ask(app, "GET", "/v1/health").status == 201
    assert ask(app, "GET", "/v1/transactions/a", headers=JSON_HEADERS).status == 201


def test_braces_in_the_contract_are_not_a_template() -> None:
    assert ask(make_app(docs=True), "GET", "/openapi.json").json["info"]["title"] == "Small {{ 7 * 7 }}"


def test_allow_names_every_method_of_the_path(app: ASGIApp) -> None:
    response = ask(app, "PATCH", "/v1/transactions", headers=JSON_HEADERS)
    assert (response.status, response.code) == (405, "method_not_allowed")
    assert response["allow"] == "GET, HEAD, OPTIONS, POST"
    assert (
        ask(app, "PUT", "/v1/transactions/a", headers=JSON_HEADERS)["allow"] == "DELETE, GET, HEAD, OPTIONS"
    )


@pytest.mark.parametrize("path", ["/v1/health/", "/v1/transactions/a/", "/v1/health\n", "//v1/health"])
def test_a_path_that_is_nearly_right_is_not_found_and_not_redirected(app: ASGIApp, path: str) -> None:
    response = ask(app, "GET", path, headers=JSON_HEADERS)
    assert (response.status, response.code) == (404, "route_not_found")
    assert "location" not in response


def test_an_operation_without_a_handler_fails_the_build_and_not_a_request() -> None:
    paths = {"/v1/wealth": {"get": {"operationId": "get_wealth", "tags": ["system"], "responses": {}}}}
    with pytest.raises(ContractError, match="the operation get_wealth has no handler"):
        build_app(
            {**CONTRACT, "paths": paths},
            make_infrastructure(),
            authenticate=authenticate,
            find_handler=load_handler,
        )


def test_a_path_that_the_contract_no_longer_has_is_not_found() -> None:
    paths = {path: item for path, item in CONTRACT["paths"].items() if path != "/v1/health"}
    app = make_app({**CONTRACT, "paths": paths})
    assert ask(app, "GET", "/v1/health").code == "route_not_found"
    assert ask(app, "GET", "/v1/transactions/a", headers=JSON_HEADERS).status == 201


def test_connexion_itself_is_built_before_the_first_request() -> None:
    contract = deepcopy(CONTRACT)
    # Nothing that this layer looks at, but no OpenAPI either.
    del contract["info"]["version"]
    with pytest.raises(Exception, match="'version' is a required property"):
        make_app(contract)


# 14 to 16: how it runs.


def test_a_handler_runs_in_the_event_loops_thread() -> None:
    threads = []

    async def note(_: Call) -> OperationResult:
        threads.append(threading.get_ident())
        return OperationResult(200, {})

    app = make_app(handlers={**HANDLERS, "get_health": note, "authorize": note})
    ask(app, "GET", "/v1/health")
    # `ask` fails when the body is read a second time.
    post_json(app, "/v1/authorize", AUTHORIZE)
    assert threads == [threading.get_ident()] * 2


def test_the_release_of_connexion_whose_inside_is_used_is_pinned() -> None:
    assert importlib.metadata.version("connexion").startswith("3.3.")
    for name in ("run", "lambda"):
        pins = (ROOT / "requirements" / f"{name}.txt").read_text()
        for library in ("connexion", "starlette", "jsonschema-rs", "orjson"):
            assert f"\n{library}==" in f"\n{pins}", f"{library} is not pinned in {name}.txt"


# 19 and 20 of Lambda; 17 and 18 are in test_http_lambda.py.


def _calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"


def test_nothing_in_the_http_layer_runs_a_loop_of_its_own() -> None:
    for path in (ROOT / "handlers" / "payments_sandbox" / "http").rglob("*.py"):
        assert "asyncio.run" not in set(_calls(ast.parse(path.read_text()))), path.name


def test_header_parameters_are_ascii(app: ASGIApp) -> None:
    garbled = "žena".encode().decode("latin-1")
    assert post_json(app, "/v1/authorize", AUTHORIZE, x_label=garbled).faults == [
        ("header:X-Label", "pattern")
    ]
    assert post_json(app, "/v1/authorize", AUTHORIZE, x_idempotency_key=garbled).faults == [
        ("header:X-Idempotency-Key", "pattern")
    ]


def test_a_response_header_that_cannot_be_sent_is_a_clean_failure(app: ASGIApp) -> None:
    response = ask(app, "GET", "/v1/failures/header")
    assert (response.status, response.code) == (500, "internal_error")
