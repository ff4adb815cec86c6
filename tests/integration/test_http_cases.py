"""What is answered, to the byte, to ordinary requests and to odd ones.

`http_answers.jsonl` has a line for each case. It was written when the sandbox could still serve from plain Connexion, and
both answered so; a line changes only where the contract does.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp

from tests.each_case import each_case
from tests.integration.http_contract import (
    API_KEY,
    AUTHORIZE,
    BODY_BYTES_MAX,
    CARD,
    JSON_HEADERS,
    ORIGIN,
    Response,
    ask,
    make_app,
)

Json = dict[str, Any]

KEY = {"x-api-key": API_KEY}
TYPED = {**KEY, "content-type": "application/json"}
ANSWERS: dict[str, Json] = {
    answer.pop("case"): answer
    for answer in map(
        json.loads, Path(__file__).with_name("http_answers.jsonl").read_text("utf-8").splitlines()
    )
}

GOOD = json.dumps(AUTHORIZE).encode()


@dataclass(frozen=True)
class Case:
    """One request, by a name that says what is odd about it."""

    name: str
    method: str
    path: str
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = ()
    body: bytes | Sequence[bytes] = b""
    query: bytes = b""


def authorize(name: str, body: bytes | Sequence[bytes] = GOOD, **headers: str | None) -> Case:
    """An authorization; headers: with `_` for `-`, None to leave one out."""
    given = {key.replace("_", "-"): value for key, value in headers.items()}
    chosen = {key: value for key, value in {**JSON_HEADERS, **given}.items() if value is not None}
    return Case(name, "POST", "/v1/authorize", chosen, body)


def changed(name: str, **fields: Any) -> Case:
    """An authorization with other fields."""
    return authorize(name, json.dumps({**AUTHORIZE, **fields}).encode())


def listing(name: str, query: bytes) -> Case:
    return Case(name, "GET", "/v1/transactions", KEY, query=query)


CASES = [
    # Requests that are in order.
    authorize("an authorization"),
    authorize("an authorization with its length", content_length=str(len(GOOD))),
    authorize("a body in chunks without a length", [GOOD[:10], GOOD[10:40], b"", GOOD[40:]]),
    authorize("a length that is not true", content_length="3"),
    authorize("a length of zero before a body", content_length="0"),
    authorize("white space around the body", b" \r\n\t" + GOOD + b"\n"),
    authorize("every header parameter", x_attempt="7", x_label="abc"),
    authorize("a header that the contract does not know", x_unknown="1"),
    authorize("an Accept that cannot be met", accept="text/html"),
    authorize("a cookie", cookie="a=b"),
    authorize("an allowed origin", origin=ORIGIN),
    authorize("another origin", origin="https://evil.example"),
    changed(
        "optional fields", note=None, mode=None, items=[2], metadata={"a": {"b": [True, None, "ß\u0000"]}}
    ),
    changed("astral characters", metadata={"😀": "😀"}),
    Case("a GET without parameters", "GET", "/v1/transactions", KEY),
    Case("the other method of a path", "POST", "/v1/transactions", TYPED, b"{}"),
    Case("a public operation", "GET", "/v1/health"),
    Case("a public operation with a bad key", "GET", "/v1/health", {"x-api-key": "no"}),
    Case("a path parameter", "GET", "/v1/transactions/auth_1", KEY),
    Case("a fixed path beside a template", "GET", "/v1/transactions/export", KEY),
    Case("two path parameters", "GET", "/v1/transactions/auth_1/notes/n-2.3~4", KEY),
    Case("a path parameter of other letters", "GET", "/v1/transactions/žluť😀", KEY),
    Case("a path parameter with a space and a plus", "GET", "/v1/transactions/a b+c", KEY),
    Case("a path parameter with a percent sign", "GET", "/v1/transactions/100%25", KEY),
    Case("a body on a GET", "GET", "/v1/transactions", TYPED, b"{not json"),
    Case("a DELETE", "DELETE", "/v1/transactions/auth_1", KEY),
    Case("an answer without a body", "GET", "/v1/failures/nothing"),
    Case("an answer with an empty object", "GET", "/v1/failures/empty"),
    Case("no body where it is optional", "POST", "/v1/optional-body", KEY),
    Case("an empty body with a type where it is optional", "POST", "/v1/optional-body", TYPED),
    Case("a body where it is optional", "POST", "/v1/optional-body", TYPED, b'{"note": "x"}'),
    Case("an empty object where a body is optional", "POST", "/v1/optional-body", TYPED, b"{}"),
    # Query strings.
    listing(
        "every query parameter",
        b"limit=5&status=open&since=2026-01-01T00:00:00Z&full=true&ids=a&ids=b&pages=1,2",
    ),
    listing("an encoded query", b"since=2026-01-01T00%3A00%3A00%2B01%3A00"),
    listing("a plus in a date-time", b"since=2026-01-01T00:00:00+01:00"),
    listing("an unknown parameter", b"limit=5&page=2"),
    listing("an unknown parameter with a card number for a name", CARD.encode() + b"=1"),
    listing("a parameter given twice", b"limit=5&limit=6"),
    listing("a parameter without a value", b"limit="),
    listing("a parameter without an equals sign", b"limit"),
    listing("an underscore in a number", b"limit=1_0"),
    listing("Arabic digits", b"limit=%D9%A1%D9%A0"),
    listing("a sign before a number", b"limit=%2B5"),
    listing("a number below the bound", b"limit=0"),
    listing("a number above the bound", b"limit=101"),
    listing("a fraction", b"limit=5.0"),
    listing("a very long number", b"limit=" + b"9" * 5000),
    listing("white space in a number", b"limit=%205"),
    listing("a boolean in capitals", b"full=True"),
    listing("an enum's value in capitals", b"status=OPEN"),
    listing("too many items", b"ids=a&ids=b&ids=c"),
    listing("a wrong item", b"pages=1,x"),
    listing("a date that is none", b"since=2026-02-30T00:00:00Z"),
    listing("a query that is not UTF-8", b"status=%ff"),
    listing("bytes in a query", b"status=\xff"),
    listing("ampersands only", b"&&&"),
    listing("no name", b"=1"),
    listing("brackets", b"ids[0]=a"),
    Case("a required parameter is missing", "GET", "/v1/search", KEY),
    Case("a required parameter is empty", "GET", "/v1/search", KEY, query=b"q="),
    # Header parameters and idempotency keys.
    authorize("no idempotency key", x_idempotency_key=None),
    authorize("an empty idempotency key", x_idempotency_key=""),
    authorize("the other name of the key", x_idempotency_key=None, idempotency_key="abc"),
    authorize("both names, one key", idempotency_key='"key-1"'),
    authorize("both names, two keys", idempotency_key="key-2"),
    authorize("a quoted key with escapes", x_idempotency_key='"a\\"\\\\b"'),
    authorize("a quote that is not closed", x_idempotency_key='"abc'),
    authorize("a space in the key", x_idempotency_key="a b"),
    authorize("a key of 256 characters", x_idempotency_key="k" * 256),
    authorize("a key that is not ASCII", x_idempotency_key="ž".encode().decode("latin-1")),
    Case(
        "a key given twice",
        "POST",
        "/v1/authorize",
        [*JSON_HEADERS.items(), ("x-idempotency-key", "b")],
        GOOD,
    ),
    authorize("a header that is no number", x_attempt="one"),
    authorize("a header out of bounds", x_attempt="0", x_label="ABC"),
    authorize("a header that is not ASCII", x_label="ž".encode().decode("latin-1")),
    # Faults.
    *[
        authorize(f"a fault: {fault}", x_sandbox_fault=fault)
        for fault in (
            "latency=1",
            "latency=1; error=503",
            "error=500",
            "error=502",
            "error=503",
            "error=504",
            "lose_response",
            "lose_response=504",
            "drop_connection",
            "rate_limit",
            "rate_limit=7",
            "store_unavailable",
            "meteorite",
            "error=200",
            "",
        )
    ],
    authorize("a fault of a request that is refused anyway", b"{}", x_sandbox_fault="error=503"),
    authorize("a fault that nobody with a key asks for", x_api_key=None, x_sandbox_fault="error=503"),
    Case(
        "a fault of an operation that cannot fail",
        "GET",
        "/v1/transactions/auth_1",
        {**KEY, "x-sandbox-fault": "error=503"},
    ),
    # Keys.
    authorize("no API key", x_api_key=None),
    authorize("an empty API key", x_api_key=""),
    authorize("an unknown API key", x_api_key="sk_test_two"),
    authorize("an API key with a space", x_api_key="sk test one"),
    authorize("an API key that is not ASCII", x_api_key="žž".encode().decode("latin-1")),
    authorize("a bearer token instead", x_api_key=None, authorization=f"Bearer {API_KEY}"),
    Case("an API key given twice", "GET", "/v1/transactions", [*KEY.items(), ("x-api-key", "b")]),
    authorize("a home that does not count", x_api_key="sk_test_gateway"),
    authorize("a plan that is used up", x_api_key="sk_test_spent"),
    authorize(
        "a plan that is used up, and nothing else in order",
        b"",
        x_api_key="sk_test_spent",
        content_type="a/b",
    ),
    # Media types.
    authorize("a media type in capitals", content_type="Application/JSON"),
    authorize(
        "a media type in capitals, with a bad body", b'{"amount": "x"}', content_type="APPLICATION/JSON"
    ),
    authorize("a charset", content_type='application/json; charset="UTF-8"'),
    authorize("an unknown charset", content_type="application/json; charset=foo"),
    authorize("another charset", content_type="application/json;charset=utf-16"),
    authorize("a parameter of the media type", content_type="application/json; profile=x"),
    authorize("no media type", content_type=None),
    authorize("an empty media type", content_type=""),
    authorize("text", content_type="text/plain"),
    authorize("a form", b"amount=1", content_type="application/x-www-form-urlencoded"),
    authorize("another JSON", content_type="application/problem+json"),
    authorize("a wildcard", content_type="*/*"),
    authorize("a compressed body", content_encoding="gzip"),
    authorize("an identity encoding", content_encoding="identity"),
    # Bodies.
    authorize("an empty body", b""),
    authorize("white space only", b"  "),
    authorize("an empty object", b"{}"),
    authorize("null", b"null"),
    authorize("an array", b"[]"),
    authorize("a text", b'"x"'),
    authorize("half an object", b'{"amount": 1'),
    authorize("two objects", GOOD + GOOD),
    authorize("a comment", b"// x\n" + GOOD),
    authorize("single quotes", b"{'amount': 1}"),
    authorize("a name twice", b'{"amount": 1, "amount": 2}'),
    authorize("a name twice, once with a space before the colon", b'{"amount" : 1, "amount": 2}'),
    authorize("a name twice, once escaped", b'{"amount": 1, "\\u0061mount": 2}'),
    authorize("a name twice in good company", GOOD[:-1] + b', "amount": 2}'),
    changed("a colon in a text", merchant_reference="order: 1842"),
    authorize("spaces around the colons", json.dumps(AUTHORIZE, indent=2, separators=(" ,", " : ")).encode()),
    authorize("NaN", b'{"amount": NaN}'),
    authorize("minus infinity", b'{"amount": -Infinity}'),
    authorize("a float", b'{"amount": 1.0}'),
    authorize("an exponent", b'{"amount": 1e2}'),
    authorize("5000 digits", b'{"amount": ' + b"9" * 5000 + b"}"),
    authorize("twenty digits", b'{"amount": 99999999999999999999}'),
    authorize("not UTF-8", b'{"amount": "\xff"}'),
    authorize("UTF-16", GOOD.decode().encode("utf-16")),
    authorize("a byte order mark", b"\xef\xbb\xbf" + GOOD),
    authorize("half a surrogate pair", b'{"currency": "\\ud800"}'),
    authorize("half a surrogate pair as a name", b'{"\\udfff": 1}'),
    authorize("deep nesting", b'{"metadata":' + b"[" * 1500 + b"]" * 1500 + b"}"),
    authorize("a control character", b'{"currency": "A\nB"}'),
    authorize("a body of the largest size", GOOD + b" " * (BODY_BYTES_MAX - len(GOOD))),
    authorize("a body that is too large", GOOD + b" " * BODY_BYTES_MAX),
    authorize("a length that is too large", content_length="999999999999999999999"),
    changed("a line feed behind a code", currency="EUR\n"),
    changed("a boolean for a number", amount=True),
    changed("an unknown field", amont=1),
    changed("a card number as a field", **{CARD: 1}),
    changed("a card number where it is kept", metadata={"note": f"paid with {CARD}"}),
    changed("a card number in an escape", metadata={"note": "4242 4242\t4242 4242"}),
    changed("a card number in a name", metadata={CARD: "x"}),
    changed("many errors", **{f"x{number}": number for number in range(40)}),
    changed("a read-only field", id="x"),
    changed("formats", reference="x", due="x", on="x"),
    Case("a schema's default", "POST", "/v1/default-body", TYPED),
    Case("one of two", "POST", "/v1/choose", TYPED, b'{"source": {"kind": "bank", "iban": "x"}}'),
    Case("none of two", "POST", "/v1/choose", TYPED, b'{"source": {"kind": "cash"}, "loose": 6}'),
    # Bodies that are kept as they are sent.
    *[
        Case(f"anything: {name}", "POST", "/v1/anything", TYPED, body)
        for name, body in {
            "a fraction": b'{"a": 1.50, "b": -2E+9}',
            "white space": b' {"a" :1}\r\n',
            "a name twice": b'{"a": 1, "a": 2}',
            "null": b"null",
            "false": b"false",
            "zero": b"0",
            "an empty text": b'""',
            "an array": b"[1, [2.0]]",
            "5000 digits": b"9" * 5000,
            "half a surrogate pair": b'["\\ud800"]',
            "400 levels": b"[" * 400 + b"]" * 400,
            "600 levels": b"[" * 600 + b"]" * 600,
            "4000 levels": b"[" * 4000 + b"]" * 4000,
            "NaN": b"[NaN]",
            "not JSON": b"{'a': 1}",
            "not UTF-8": b'"\xff"',
            "a byte order mark": b"\xef\xbb\xbf{}",
            "nothing": b"",
            "a card number": f'{{"data": {{"pan": "{CARD}"}}}}'.encode(),
            "a card number as a number": f"[{CARD}.0]".encode(),
        }.items()
    ],
    Case("anything of another type", "POST", "/v1/anything", {"content-type": "text/plain"}, b"{}"),
    Case("a card number in a header", "POST", "/v1/anything", {**TYPED, "x-note": CARD}, b"{}"),
    # Paths and methods.
    Case("an unknown path", "GET", "/v1/nothing", KEY),
    Case("the root", "GET", "/"),
    Case("a slash at the end", "POST", "/v1/authorize/", TYPED, GOOD),
    Case("a slash behind a parameter", "GET", "/v1/transactions/auth_1/", KEY),
    Case("an empty parameter", "GET", "/v1/transactions/", KEY),
    Case("two slashes", "GET", "/v1//transactions", KEY),
    Case("a line feed behind the path", "GET", "/v1/health\n"),
    Case("other letters", "GET", "/V1/HEALTH"),
    Case("dots in the path", "GET", "/v1/x/../health"),
    Case("a method that the path does not know", "DELETE", "/v1/authorize", KEY),
    Case("a method that nobody knows", "BREW", "/v1/health"),
    Case("a method in small letters", "get", "/v1/health"),
    Case("HEAD", "HEAD", "/v1/transactions", KEY),
    Case("HEAD where there is no GET", "HEAD", "/v1/authorize", KEY),
    Case("HEAD of a refusal", "HEAD", "/v1/transactions"),
    Case("OPTIONS", "OPTIONS", "/v1/transactions"),
    Case("OPTIONS of an unknown path", "OPTIONS", "/v1/nothing"),
    Case(
        "a preflight",
        "OPTIONS",
        "/v1/authorize",
        {"origin": ORIGIN, "access-control-request-method": "POST"},
    ),
    # Refusals and failures of handlers.
    *[
        Case(f"a handler's {kind}", "GET", f"/v1/failures/{kind}")
        for kind in ("conflict", "not-found", "reused", "store", "decimal", "header", "unexpected")
    ],
    Case("an id of the caller's", "GET", "/v1/health", {"x-request-id": "abc-1"}),
    Case("a harmful id of the caller's", "GET", "/v1/health", {"x-request-id": "a b"}),
]


@pytest.fixture(scope="module", params=[False, True], ids=["", "of a validated contract"])
def app(request: pytest.FixtureRequest) -> ASGIApp:
    return make_app(contract_is_valid=request.param)


def told(response: Response) -> Json:
    """Status, headers and body, without what differs from request to request."""
    headers = {name: value for name, value in sorted(response.headers) if name != "x-request-id"}
    body = re.sub(rb'"request_id":"req_\w+"', b'"request_id":""', response.body)
    # The id has a counter, so the length may differ by its digits.
    if body != response.body:
        del headers["content-length"]
    return {"status": response.status, "headers": headers, "body": body.decode()}


@each_case("case", CASES)
def test_a_request_is_answered_as_the_table_says(case: Case, app: ASGIApp) -> None:
    response = ask(app, case.method, case.path, headers=case.headers, body=case.body, query=case.query)
    assert told(response) == ANSWERS[case.name]


def test_the_cases_are_many_and_have_names_of_their_own() -> None:
    names = [case.name for case in CASES]
    assert len(names) >= 80
    assert sorted(names) == sorted(ANSWERS)


def test_the_cases_reach_every_kind_of_answer() -> None:
    assert {answer["status"] for answer in ANSWERS.values()} == {
        200,
        201,
        204,
        400,
        401,
        404,
        405,
        409,
        413,
        415,
        422,
        429,
        500,
        502,
        503,
        504,
    }
