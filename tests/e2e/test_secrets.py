"""No card number and no CVC leaves the request that brought it.

A session of all that callers do, right and wrong, with card numbers wherever one can be put; then everything that the
sandbox wrote is searched: the ledger with its log, the key file, both standard streams, and what it answered.

Card numbers are searched for in the bytes, plain and in the encodings that a careless program would use, unkeyed hashes
included, which a list of all card numbers turns back. A CVC has too few digits for that: three digits in a row stand in
every timestamp and many an id. So it is searched for as a word of its own, in every name and value of every JSON document that
the ledger, an answer or a log line holds, by a CVC that no value has by itself.

`GET /v1/test-cards` and the contract show test card numbers on purpose, and so are not part of the session's answers.
"""

import base64
import hashlib
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.e2e.infra.client import Client, Json, accepted, authorize_body, card, new_key, refused
from tests.e2e.infra.receiver import Answer, Receiver
from tests.e2e.infra.server import Server, until_deadline

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.local_only("it searches the files and the output of the server process"),
]

CVC: Final = "7391"
SHORT_CVC: Final = "739"
OTHER_NUMBER: Final = "4111111111111111"
"""A card number that is no test card."""
NEVER_PAID_WITH: Final = "5425233430109903"
"""A card number that no payment has: it stands in texts only."""

JSON_TYPE: Final = {"Content-Type": "application/json"}


# The session


class Session:
    """Sends requests, and keeps every answer."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.responses: list[httpx.Response] = []

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        response = self.client.send(method, path, **request)
        self.responses.append(response)
        return response

    def post(self, path: str, body: Json, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("POST", path, json=body, headers={"X-Idempotency-Key": new_key(), **named})


def pay_with(session: Session, numbers: Iterable[str]) -> None:
    """A whole payment with each card, and its answers read back."""
    for number in numbers:
        cvc = CVC if number.startswith(("34", "37")) else SHORT_CVC
        details = card(
            number, cvc=cvc, holder_name="Ada Lovelace", billing_address={"line1": "1 Main Street"}
        )
        made = accepted(session.post("/v1/authorize", authorize_body(card=details)), 201)
        named = {"authorization_id": made["transaction_id"]}
        session.post("/v1/increment", {**named, "amount": 1})
        session.post("/v1/capture", {**named, "amount": 5})
        session.post("/v1/refund", {**named, "amount": 5})
        session.post("/v1/void", named)
        session.send("GET", f"/v1/transactions/{made['transaction_id']}")
        session.send("GET", f"/v1/cards/{made['card']['card_id']}")
        session.send("GET", "/v1/transactions", params={"card_id": made["card"]["card_id"]})
    session.send("GET", "/v1/events")


def put_number_where_it_does_not_belong(session: Session, number: str) -> None:
    """Requests that are refused, or answered without a trace of the number."""
    grouped = " ".join(number[at : at + 4] for at in range(0, len(number), 4))
    good = authorize_body(card=card(number, cvc=CVC))

    # Names and values of fields that there are not.
    session.post("/v1/authorize", {**good, number: 1})
    session.post("/v1/authorize", {**good, "card_number": number, "cvc": CVC})
    session.post("/v1/authorize", {**good, "card": {**good["card"], number: CVC, "pan": number}})
    session.post("/v1/capture", {"authorization_id": number, "cvc": CVC, f"{number}/{CVC}": number})

    # Fields that there are, of the right type and of a wrong one.
    for field in ("amount", "currency", "merchant_reference", "metadata"):
        session.post("/v1/authorize", {**good, field: number})
        session.post("/v1/authorize", {**good, field: [number]})
    for field in ("exp_month", "exp_year", "cvc", "holder_name", "billing_address"):
        session.post("/v1/authorize", {**good, "card": {**good["card"], field: number}})
        session.post("/v1/authorize", {**good, "card": {**good["card"], field: int(number)}})
    session.post("/v1/authorize", {**good, "card": {**good["card"], "number": int(number)}})
    session.post("/v1/authorize", {**good, "card": {**good["card"], "number": f"{grouped}"}})
    session.post("/v1/authorize", {**good, "card": {**good["card"], "cvc": int(CVC)}})
    session.post("/v1/authorize", {**good, "card": {**good["card"], "cvc": CVC + "0"}})
    session.post("/v1/authorize", {**good, "metadata": {number: "key"}})
    session.post("/v1/authorize", {**good, "metadata": {"note": f"paid with {grouped}"}})
    session.post("/v1/authorize", {**good, "card": {**good["card"], "billing_address": {"line1": number}}})
    for name in (f"SIMULATE {number}", f"SIMULATE approve; cvc={number}", f"Ada {grouped}"):
        session.post("/v1/authorize", {**good, "card": {**good["card"], "holder_name": name}})
    for path in ("/v1/capture", "/v1/refund", "/v1/void", "/v1/increment"):
        session.post(path, {"authorization_id": number, "amount": 1})

    # Headers.
    session.post("/v1/authorize", good, **{"X-Sandbox-Simulate": number})
    session.post("/v1/authorize", good, **{"X-Sandbox-Simulate": f"approve; cvc={number}"})
    session.post("/v1/authorize", good, **{"X-Request-Id": number})
    session.post("/v1/authorize", good, **{"X-Idempotency-Key": number})
    session.post("/v1/authorize", {**good, "amount": 2}, **{"X-Idempotency-Key": number})
    session.post("/v1/authorize", good, **{"X-Idempotency-Key": f'"{number}'})
    session.post("/v1/authorize", good, **{"X-Idempotency-Key": "one", "Idempotency-Key": number})
    session.post("/v1/authorize", good, **{"Content-Type": f"application/{number}"})
    session.post("/v1/authorize", good, **{"Origin": f"https://{number}.example", "User-Agent": number})
    session.send("GET", "/v1/account", headers={"Cookie": f"card={number}", "Referer": f"http://x/{number}"})
    session.send("GET", "/v1/account", headers=[("x-api-key", number)])

    # Paths, query strings, methods.
    for path in (
        "/v1/transactions/{}",
        "/v1/cards/{}",
        "/v1/api-keys/{}",
        "/v1/{}",
        "/{}",
        "/v1/authorize/{}",
    ):
        session.send("GET", path.format(number))
        session.send("DELETE", path.format(number))
    for query in ("cursor", "card_id", "limit", "type", "created_from", "number", number):
        session.send("GET", "/v1/transactions", params={query: number})
    session.send("GET", f"/v1/account?{number}")
    session.send("GET", f"/v1/account?{number}=%ff")
    session.send("POST", "/v1/authorize", params={"number": number, "cvc": CVC}, json=good)
    session.send(number, "/v1/authorize")

    # Bodies that are not JSON, or not the JSON that is wanted.
    text = json.dumps(good)
    for malformed in (
        text[:-1],
        text + number,
        text.replace('"amount"', f'{number}"amount"'),
        text.replace('"EUR"', f'"{number}'),
        text.replace('"number": ', '"number": "1", "number": '),
        f'{{"{number}": 1, "{number}": 2}}',
        f'"{number}"',
        number,
        f"[{number}]",
        f"{number}{number}e5",
        f'{{"amount": {number}.5, "cvc": {CVC}}}',
        f'{{"{number}": NaN}}',
        f"number={number}&cvc={CVC}",
        "[" * 40 + f'"{number}"' + "]" * 40,
        f'{{"card": "{number}", "padding": "{"x" * 20_000}"}}',
    ):
        headers = {"X-Idempotency-Key": new_key(), **JSON_TYPE}
        session.send("POST", "/v1/authorize", content=malformed.encode(), headers=headers)
    session.send("POST", "/v1/authorize", content=text.encode("utf-16"), headers={**JSON_TYPE})
    session.send("POST", "/v1/authorize", content=b"\xff" + text.encode(), headers={**JSON_TYPE})


def put_a_number_into_texts(session: Session, number: str) -> None:
    """Requests to every operation that keeps a text of the caller's, and answers of receivers. None of them is refused
    for another reason."""
    good = authorize_body(card=card(cvc=CVC))
    authorization_id = accepted(session.post("/v1/authorize", good), 201)["transaction_id"]
    inbox = accepted(session.send("POST", "/v1/inbox"), 201)["inbox_id"]
    hook = f"/v1/inbox/{inbox}/hook"
    for written in (number, "-".join(re.findall("....", number)), f"paid with {number}."):
        texts: list[Json] = [
            {"merchant_reference": written},
            {"metadata": {"note": written}},
            {"metadata": {written: "note"}},
        ]
        for text in texts:
            session.post("/v1/authorize", {**good, **text})
            for path in ("/v1/capture", "/v1/refund", "/v1/void", "/v1/increment"):
                amount = {"amount": 1} if path == "/v1/increment" else {}
                session.post(path, {"authorization_id": authorization_id, **amount, **text})
        named: list[Json] = [{"holder_name": written}]
        named += [{"billing_address": {name: written}} for name in ("line1", "line2", "city", "state")]
        for details in named:
            session.post("/v1/authorize", {**good, "card": {**good["card"], **details}})
        for endpoint in (
            {"url": "http://127.0.0.1:9/hooks", "description": written},
            {"url": f"http://127.0.0.1:9/hooks/{written.replace(' ', '%20')}"},
        ):
            session.send("POST", "/v1/webhook-endpoints", json=endpoint)
        session.send("POST", "/v1/accounts", json={"name": written})
        session.send("POST", "/v1/api-keys", json={"label": written})
        for body in ({"data": {"note": written}}, {written: 1}, [written], written):
            session.send("POST", hook, json=body)
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
            session.send("POST", hook, json={}, headers={name: written})
    for raw in (number, f"[{number}.0]", f'{{"a": "{number}", "a": 1}}'):
        session.send("POST", hook, content=raw.encode(), headers=JSON_TYPE)


def be_answered_with(session: Session, number: str) -> None:
    """A receiver that answers with a card number, in a header and in the body."""
    with Receiver(Answer(500, {"X-Card": number}, f"no such card: {number}".encode())) as receiver:
        endpoint = accepted(session.send("POST", "/v1/webhook-endpoints", json={"url": receiver.url}), 201)
        path = f"/v1/webhook-endpoints/{endpoint['endpoint_id']}"
        delivery_id = accepted(session.send("POST", f"{path}/test"), 202)["delivery_id"]
        for _ in until_deadline("the attempt is on record"):
            delivery = accepted(session.send("GET", f"/v1/webhook-deliveries/{delivery_id}"), 200)
            if delivery["attempts"]:
                break
        assert delivery["attempts"][0]["response_body_start"] == "no such card: [masked]"
        session.send("DELETE", path)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Session, list[str]]]:
    """A sandbox after the session, still running, with the session's answers and the card numbers that it met."""
    ledger = tmp_path_factory.mktemp("secrets") / "ledger.db"
    # The answers are not compared with the contract: much of what is sent here belongs to none of its operations.
    with (
        Server(ledger, arguments=["--log-level", "debug"]) as server,
        Client(server.url, checked=False) as client,
    ):
        rows = accepted(client.get("/v1/test-cards"), 200)["data"]
        numbers = sorted({row["value"] for row in rows if row["trigger"] == "card_number"})
        session = Session(client)
        pay_with(session, [*numbers, OTHER_NUMBER])
        for number in ("4242424242424242", "378282246310005", OTHER_NUMBER):
            put_number_where_it_does_not_belong(session, number)
        put_a_number_into_texts(session, NEVER_PAID_WITH)
        be_answered_with(session, NEVER_PAID_WITH)
        yield server, session, [*numbers, OTHER_NUMBER, NEVER_PAID_WITH]


# The search


def disguises(number: str) -> Iterator[tuple[str, bytes]]:
    """The number as bytes: plain, encoded, and hashed without a key."""
    plain = number.encode()
    yield "plain", plain
    yield "in groups of four", b" ".join(plain[at : at + 4] for at in range(0, len(plain), 4))
    yield "with dashes", b"-".join(plain[at : at + 4] for at in range(0, len(plain), 4))
    yield "backwards", plain[::-1]
    yield "UTF-16", number.encode("utf-16-le")
    yield "hexadecimal", plain.hex().encode()
    yield "binary coded decimal", bytes.fromhex(number + "f" * (len(number) % 2))
    # SQLite keeps an integer in as few bytes as hold it, in this order.
    yield "an integer", int(number).to_bytes(7, "big").lstrip(b"\0")
    for offset in range(3):
        # What base64 makes of it wherever it stands in the text, without the characters that the neighbours share.
        encoded = base64.b64encode(b"\0" * offset + plain)
        yield f"base64 at {offset}", encoded[offset and offset + 1 : len(encoded) // 4 * 4 - 4]
    for name in ("md5", "sha1", "sha256", "sha512"):
        digest = hashlib.new(name, plain, usedforsecurity=False)
        yield name, digest.digest()[:16]
        yield f"{name}, hexadecimal", digest.hexdigest()[:32].encode()
        yield f"{name}, base64", base64.b64encode(digest.digest())[:20]


def find_numbers(places: Mapping[str, bytes], numbers: Iterable[str]) -> list[str]:
    return [
        f"{number} {disguise} in {name}"
        for number in numbers
        for disguise, pattern in disguises(number)
        for name, content in places.items()
        if pattern in content
    ]


def leaves(node: Any) -> Iterator[Any]:
    """Every name and value in a JSON document."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield name
            yield from leaves(value)
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value)
    else:
        yield node


def holds_cvc(value: Any) -> bool:
    """Whether a value is a CVC of the session, or has one that no other digits or letters stand beside, as in ids."""
    return any(re.search(rf"(?<![\w.:]){cvc}(?![\w.:])", str(value)) for cvc in (CVC, SHORT_CVC))


def files_of(server: Server) -> dict[str, bytes]:
    """Everything that the sandbox has written to the disk."""
    return {path.name: path.read_bytes() for path in server.db.parent.iterdir()}


def answers_of(session: Session) -> dict[str, bytes]:
    """Every answer, headers included, by what was asked."""
    return {
        f"answer {number}: {response.request.method} {response.status_code}": b"\n".join(
            [*(name + b": " + value for name, value in response.headers.raw), response.content]
        )
        for number, response in enumerate(session.responses)
    }


Searched = tuple[Server, Session, list[str]]


def test_the_session_is_as_varied_as_it_means_to_be(searched: Searched) -> None:
    _, session, numbers = searched
    statuses = {response.status_code for response in session.responses}
    assert {200, 201, 400, 401, 404, 405, 409, 413, 415, 422} <= statuses
    assert not [response.text for response in session.responses if response.status_code >= 500]
    assert len(numbers) > 25


def test_no_card_number_is_in_any_file_while_the_sandbox_runs(searched: Searched) -> None:
    server, _, numbers = searched
    files = files_of(server)
    assert {
        server.db.name,
        server.wal.name,
        server.key_file.name,
        server.stdout.name,
        server.stderr.name,
    } <= set(files)
    assert all(
        files[name] for name in (server.db.name, server.wal.name, server.stdout.name, server.stderr.name)
    )
    assert find_numbers(files, numbers) == []


def test_no_card_number_is_in_any_answer(searched: Searched) -> None:
    _, session, numbers = searched
    assert find_numbers(answers_of(session), numbers) == []


def test_no_cvc_is_in_any_answer(searched: Searched) -> None:
    _, session, _ = searched
    documents = [
        response.json()
        for response in session.responses
        # What is no HTTP, like a method of digits, is answered by the server below the sandbox, in plain text.
        if "json" in response.headers.get("content-type", "")
    ]
    assert len(documents) > 400
    assert [value for document in documents for value in leaves(document) if holds_cvc(value)] == []


def test_no_cvc_is_in_the_ledger(searched: Searched) -> None:
    server, _, _ = searched
    with closing(sqlite3.connect(server.db)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(records)")]
        rows = [dict(zip(columns, row, strict=True)) for row in connection.execute("SELECT * FROM records")]
    assert len(rows) > 100
    found = []
    for row in rows:
        data = json.loads(row.pop("data"))
        row.pop("seq")  # counts the rows, past a CVC's value too
        found += [(row["id"], value) for value in [*row.values(), *leaves(data)] if holds_cvc(value)]
        if row["kind"] == "authorization":
            # Whether there was one is kept, as a retry is compared with it; what it was is not.
            assert data["request"]["card"].get("cvc", True) is True
    assert found == []


def test_no_cvc_is_in_the_logs(searched: Searched) -> None:
    server, session, _ = searched
    lines = [json.loads(line) for line in server.stderr.read_text().splitlines()]
    assert len(lines) >= len(session.responses)
    for line in lines:
        line.pop("time")
        line.pop("duration_ms", None)
    assert [value for line in lines for value in leaves(line) if holds_cvc(value)] == []
    assert not holds_cvc(server.stdout.read_text())


def test_logs_name_routes_by_their_template(searched: Searched) -> None:
    server, _, _ = searched
    lines = [json.loads(line) for line in server.stderr.read_text().splitlines()]
    routes = {line["route"] for line in lines if line["logger"] == "sandbox.access"}
    assert {"/v1/authorize", "/v1/transactions/{transaction_id}", "/v1/cards/{card_id}", None} <= routes
    assert not [route for route in routes if route and re.search(r"\d{4}", route)]


KEPT_TEXTS: Final = (
    {"merchant_reference": "{}"},
    {"metadata": {"paid with": "card {}"}},
    {"metadata": {"{}": "paid"}},
)
"""Members of every request that moves money, with a place for a number."""


def with_number(texts: Json, number: str) -> Json:
    """The texts with the number in its place."""
    filled: Json = json.loads(json.dumps(texts).replace("{}", number))
    return filled


@pytest.mark.parametrize("path", ["authorize", "capture", "refund", "void", "increment"])
@pytest.mark.parametrize("texts", KEPT_TEXTS)
def test_a_payments_own_card_number_is_refused_in_every_text_that_is_kept(
    demo: Client, path: str, texts: Json
) -> None:
    body = authorize_body(card=card(OTHER_NUMBER))
    if path != "authorize":
        authorization_id = accepted(demo.post("/v1/authorize", body), 201)["transaction_id"]
        accepted(demo.capture(authorization_id, amount=10), 201)
        body = {"authorization_id": authorization_id} | ({"amount": 1} if path == "increment" else {})
    problem = refused(
        demo.post(f"/v1/{path}", {**body, **with_number(texts, OTHER_NUMBER)}), 400, "invalid_request"
    )
    assert OTHER_NUMBER not in json.dumps(problem)
    accepted(demo.post(f"/v1/{path}", body), 201)


def test_the_search_finds_what_it_searches_for(tmp_path: Path) -> None:
    number = "4242424242424242"
    hidden = {
        "ledger": b"\x00\x01" + json.dumps({"note": f"card {number}"}).encode(),
        "log": base64.b64encode(f"pan={number};".encode()),
        "index": hashlib.sha256(number.encode()).hexdigest().encode(),
    }
    assert {found.rpartition(" ")[2] for found in find_numbers(hidden, [number])} == set(hidden)
    with closing(sqlite3.connect(tmp_path / "integers.db")) as connection:
        connection.execute("CREATE TABLE cards (number INTEGER)")
        connection.execute("INSERT INTO cards VALUES (?)", (int(number),))
        connection.commit()
    integers = {"integers": (tmp_path / "integers.db").read_bytes()}
    assert find_numbers(integers, [number]) == [f"{number} an integer in integers"]
    assert all(holds_cvc(value) for value in (7391, "7391", "cvc 7391!", "739"))
    assert not any(holds_cvc(value) for value in ("17391", "7391.5", "07:07.391Z", "card_f739c"))
