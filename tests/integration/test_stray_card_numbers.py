"""No operation of the contract keeps a card number that a caller put into a text; and an inbox keeps any JSON without one.

The fields come from the contract, so that an operation that is added is tried too.
"""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import pytest

from payments_sandbox.domain.triggers import TEST_CARDS
from payments_sandbox.http.pipeline.app import HttpOptions, build_app
from payments_sandbox.http.reading.contract import resolve
from payments_sandbox.services.accounts.accounts import (
    DEMO_API_KEY,
    authenticate,
    ensure_demo_account,
)
from tests.contract import CONTRACT
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import make_infrastructure
from tests.integration.http_contract import Response, ask

Json = dict[str, Any]
Place = tuple[str, ...]

NUMBER = "4111111111111111"
"""No test card."""
GROUPED = "4111 1111 1111 1111"
ANY_NAME = "a name"

CAN_HOLD = {"maxLength": len(NUMBER)}
FORMED = ("enum", "pattern", "format")


def free_texts(schema: Mapping[str, Any], place: Place = ()) -> Iterator[tuple[Place, int]]:
    """Where a body may have a text of the caller's, and how long a one."""
    schema = resolve(CONTRACT, schema)
    for branch in [*schema.get("allOf", []), *schema.get("oneOf", []), *schema.get("anyOf", [])]:
        yield from free_texts(branch, place)
    length_max = schema.get("maxLength", len(GROUPED))
    if schema.get("type") == "string" and not any(word in schema for word in FORMED):
        yield place, length_max
    for name, member in schema.get("properties", {}).items():
        yield from free_texts(member, (*place, name))
    if isinstance(schema.get("additionalProperties"), Mapping):
        yield from free_texts(schema["additionalProperties"], (*place, ANY_NAME))


def cases() -> Iterator[tuple[str, str, Json, Place, int]]:
    """Method, path and an example of its body, and each place in it."""
    for path, item in CONTRACT["paths"].items():
        for method, operation in item.items():
            if "requestBody" in operation:
                media = operation["requestBody"]["content"]["application/json"]
                example = resolve(CONTRACT, next(iter(media["examples"].values())))["value"]
                for place, length_max in free_texts(media["schema"]):
                    yield method.upper(), path, example, place, length_max


CASES = list(cases())


class Api:
    """The API on a ledger in memory, with the demo account."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        infrastructure = make_infrastructure(self.store)
        ensure_demo_account(infrastructure)
        options = HttpOptions(contract_is_valid=True)
        self._app = build_app(CONTRACT, infrastructure, authenticate=authenticate, options=options)

    def send(self, method: str, path: str, body: bytes, **headers: str) -> Response:
        known = {"x-api-key": DEMO_API_KEY, "content-type": "application/json", "x-idempotency-key": "one"}
        given = {**known, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return ask(self._app, method, path, headers=given, body=body)

    def send_json(self, method: str, path: str, body: Any, **headers: str) -> Response:
        return self.send(method, path, json.dumps(body).encode(), **headers)

    def get(self, path: str, query: bytes = b"") -> Any:
        response = ask(self._app, "GET", path, headers={"x-api-key": DEMO_API_KEY}, query=query)
        assert response.status == 200
        return response.json


@pytest.fixture(scope="module")
def api() -> Api:
    return Api()


def put(body: Json, place: Place, text: str) -> Json:
    changed = deepcopy(body)
    node = changed
    for name in place[:-1]:
        node = node.setdefault(name, {})
    node[place[-1]] = text
    return changed


def test_the_contract_has_texts_in_many_places() -> None:
    places = {(path, place) for _, path, _, place, _ in CASES}
    assert {
        ("/v1/authorize", ("metadata", ANY_NAME)),
        ("/v1/authorize", ("card", "billing_address", "postal_code")),
        ("/v1/void", ("merchant_reference",)),
        ("/v1/webhook-endpoints", ("description",)),
        ("/v1/accounts", ("name",)),
        ("/v1/api-keys", ("label",)),
    } <= places


@pytest.mark.parametrize(
    ("method", "path", "body", "place", "length_max"),
    [pytest.param(*case, id=f"{case[0]} {case[1]} {'/'.join(case[3])}") for case in CASES],
)
def test_a_card_number_is_refused_and_its_field_named(
    api: Api, method: str, path: str, body: Json, place: Place, length_max: int
) -> None:
    before = deepcopy(api.store.records)
    text = GROUPED if length_max >= len(GROUPED) else NUMBER
    response = api.send_json(method, path.replace("{", "").replace("}", ""), put(body, place, text))
    assert (response.status, response.code) == (400, "invalid_request")
    assert ("/" + "/".join(place), "card_number") in response.faults
    assert text not in response.body.decode()
    assert api.store.records == before


@pytest.mark.parametrize("written", [NUMBER, "paid%20with%20" + NUMBER, GROUPED.replace(" ", "%20")])
def test_a_url_that_holds_a_card_number_is_refused(api: Api, written: str) -> None:
    body = {"url": f"https://shop.example/hooks?card={written}"}
    response = api.send_json("POST", "/v1/webhook-endpoints", body)
    assert (response.status, response.faults) == (400, [("/url", "card_number")])


AUTHORIZE = {
    "amount": 1051,
    "currency": "EUR",
    "card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2030},
}


@pytest.mark.parametrize(
    ("metadata", "pointers"),
    [
        ({NUMBER: "x"}, ["/metadata"]),
        ({NUMBER: GROUPED}, ["/metadata", "/metadata/[masked]"]),
        ({"4111   1111   1111   1111": GROUPED}, ["/metadata", "/metadata/[masked]"]),
        ({"note": "4111\n1111\t1111 1111"}, ["/metadata/note"]),
        ({"note": "٤١١١١١١١١١١١١١١١"}, ["/metadata/note"]),
        ({"one": NUMBER, "two": "5425-2334-3010-9903"}, ["/metadata/one", "/metadata/two"]),
        ({"note": "4242424242424242"}, ["/metadata/note"]),
    ],
)
def test_a_card_number_is_found_in_names_and_however_it_is_written(
    api: Api, metadata: Json, pointers: list[str]
) -> None:
    for ensure_ascii in (True, False):
        raw = json.dumps({**AUTHORIZE, "metadata": metadata}, ensure_ascii=ensure_ascii).encode()
        response = api.send("POST", "/v1/authorize", raw)
        assert response.status == 400
        assert sorted(pointer for pointer, _ in response.faults) == pointers
        assert {code for _, code in response.faults} == {"card_number"}
        assert NUMBER not in response.body.decode()


def test_the_number_in_an_escape_is_found(api: Api) -> None:
    raw = json.dumps({**AUTHORIZE, "merchant_reference": "REFERENCE"})
    escaped = "".join(f"\\u{ord(digit):04x}" for digit in NUMBER)
    response = api.send("POST", "/v1/authorize", raw.replace("REFERENCE", escaped).encode())
    assert (response.status, response.faults) == (400, [("/merchant_reference", "card_number")])


def test_a_header_that_would_be_kept_may_not_hold_one(api: Api) -> None:
    response = api.send_json("POST", "/v1/authorize", AUTHORIZE, x_sandbox_simulate=f"approve; {NUMBER}")
    assert response.status == 400
    assert ("header:X-Sandbox-Simulate", "card_number") in response.faults


def test_of_an_idempotency_key_only_a_hash_is_kept(api: Api) -> None:
    response = api.send_json("POST", "/v1/authorize", AUTHORIZE, x_idempotency_key=NUMBER)
    assert response.status == 201
    assert NUMBER not in repr(api.store.records)


@pytest.mark.parametrize("number", TEST_CARDS)
def test_a_card_number_in_its_own_place_is_taken_whatever_else_the_body_says(api: Api, number: str) -> None:
    texts = {
        "note": 'naïve "quotes"\n',
        "order": "1795428008638",
        "id": "5950ce73-1b42-4fa1-8061-7da921400000",
    }
    body = {**AUTHORIZE, "card": {**AUTHORIZE["card"], "number": number}, "metadata": texts}  # type: ignore[dict-item]
    assert api.send_json("POST", "/v1/authorize", body, x_idempotency_key=f"key-{number}").status == 201


# --- what is kept as it is sent --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inbox(api: Api) -> str:
    return str(api.send("POST", "/v1/inbox", b"").json["inbox_id"])


ANY_JSON = [
    b'{"type":"payment.captured","data":{"amount":10.50}}',
    b' {"a" :1e5, "a": -0.0}\r\n',
    b"[1.5, 2, null]",
    b'"text"',
    b"0",
    b"null",
    b'""',
    b"1234567890" * 600,
    b'{"a": 123456789012345678901234567890, "b": 1E400}',
    b'["\\ud800", "\\u0000", "\\/"]',
    '{"ö": "\U0001f4b3"}'.encode(),
    b"[" * 500 + b"]" * 500,
]


@pytest.mark.parametrize("body", ANY_JSON, ids=lambda body: body[:20])
def test_an_inbox_keeps_any_json_byte_for_byte(api: Api, inbox: str, body: bytes) -> None:
    assert api.send("POST", f"/v1/inbox/{inbox}/hook", body).status == 204
    (message,) = api.get(f"/v1/inbox/{inbox}/messages", b"limit=1")["data"]
    assert message["body"].encode() == body


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_request"),
        (b"{", "malformed_json"),
        (b"NaN", "malformed_json"),
        (b'{"a": -Infinity}', "malformed_json"),
        (b"01", "malformed_json"),
        (b"'a'", "malformed_json"),
        (b'"a\nb"', "malformed_json"),
        (b'"\xff"', "malformed_json"),
        (b"\xef\xbb\xbf{}", "malformed_json"),
        (b"[" * 501 + b"]" * 501, "malformed_json"),
        (b"[" * 8000 + b"]" * 8000, "malformed_json"),
    ],
    ids=lambda value: value[:12],
)
def test_an_inbox_takes_nothing_that_is_not_json(api: Api, inbox: str, body: bytes, code: str) -> None:
    response = api.send("POST", f"/v1/inbox/{inbox}/hook", body)
    assert (response.status, response.code) == (400, code)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (f'{{"data": {{"pan": "{GROUPED}"}}}}', "/data/pan"),
        (f'[{{"{NUMBER}": 1}}]', "/0"),
        (f'{{"pan": {NUMBER}}}', "/pan"),
        (f'{{"pan": {NUMBER}.0}}', "/pan"),
        (f'{{"card": {{"number": "{NUMBER}"}}}}', "/card/number"),
        (f'"{NUMBER}"', ""),
        (NUMBER, ""),
        (f'{{"a": "{NUMBER}", "a": 1}}', ""),
        (f'{{"a": "\\u0034{NUMBER[1:]}", "a": 1}}', ""),
    ],
)
def test_an_inbox_keeps_no_card_number(api: Api, inbox: str, body: str, pointer: str) -> None:
    before = api.get(f"/v1/inbox/{inbox}")["message_count"]
    response = api.send("POST", f"/v1/inbox/{inbox}/hook", body.encode())
    assert (response.status, response.faults) == (400, [(pointer, "card_number")])
    assert NUMBER not in response.body.decode()
    assert api.get(f"/v1/inbox/{inbox}")["message_count"] == before


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_an_inbox_keeps_no_card_number_in_a_header(api: Api, inbox: str, name: str) -> None:
    response = api.send("POST", f"/v1/inbox/{inbox}/hook", b"{}", **{name: NUMBER})
    assert (response.status, response.faults) == (400, [(f"header:{name}", "card_number")])
