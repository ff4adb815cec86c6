"""The events' JSON Schemas: made from the contract, and what every event that the services make is valid against."""

import asyncio
import copy
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema_rs
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from contracts.events.generate import DIRECTORY, DRAFT, event_schemas, text_of
from payments_sandbox.domain.triggers import HEADER
from payments_sandbox.domain.webhooks import EVENT_TYPES, TEST_EVENT_TYPE
from payments_sandbox.http.pipeline.app import BODY_BYTES_MAX, HttpOptions, build_app
from payments_sandbox.services.accounts.accounts import (
    DEMO_API_KEY,
    authenticate,
    ensure_demo_account,
)
from payments_sandbox.services.events.events import EVENT_PREFIX, Event, event_of, list_events
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ports import Index, Record
from payments_sandbox.services.settlement.settlements import settle_on_demand
from payments_sandbox.services.time.scheduled_work import do_scheduled_work
from payments_sandbox.services.webhooks.receiver_grader import make_test_event
from payments_sandbox.services.webhooks.webhook_attempts import attempt_delivery
from payments_sandbox.services.webhooks.webhook_deliveries import get_delivery, plan_deliveries, plan_test
from payments_sandbox.services.webhooks.webhook_endpoints import create_endpoint
from payments_sandbox.services.world import plain_world
from tests.calls.disputes import (
    FAILING_REFUND_NUMBER,
    INQUIRY_NUMBER,
    PENDING_REFUND_NUMBER,
    WARNING_NUMBER,
    accept,
    all_disputes,
    answer,
    captured,
    dispute,
)
from tests.calls.payments import (
    CAPTURE_DECLINED_NUMBER,
    DECLINED_NUMBER,
    authorize,
    capture,
    card_with,
    id_of,
    increment,
    refund,
    void,
)
from tests.contract import CONTRACT
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import ACCOUNT, make_infrastructure
from tests.doubles.receivers import Script
from tests.e2e.infra.contract import Contract
from tests.each_case import each_case
from tests.integration.http_contract import ask

Json = dict[str, Any]

TYPES = [*EVENT_TYPES.values(), TEST_EVENT_TYPE]
SCHEMAS: dict[str, Json] = {
    event_type: json.loads((DIRECTORY / f"{event_type}.json").read_text("utf-8")) for event_type in TYPES
}

PAYLOAD_BYTES_MAX = 20_000
"""Source: Standard Webhooks 1.0.0, "Payload size"."""


@cache
def _validator(event_type: str) -> Draft202012Validator:
    return Draft202012Validator(SCHEMAS[event_type], format_checker=FormatChecker())


def faults(payload: Any, event_type: str) -> list[str]:
    validator = _validator(event_type)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(payload)]


@cache
def _second_validator(event_type: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(SCHEMAS[event_type], validate_formats=True)


def accepts(event_type: str, payload: Any) -> bool:
    """Ask another library, which is fast enough for thousands of payloads that are mostly refused."""
    return _second_validator(event_type).is_valid(payload)


def unnamed(payload: Any, schema: Json) -> list[str]:
    """Where the payload has a member that the schema does not name."""

    def members(node: Json) -> dict[str, list[Json]] | None:
        """The schemas of the members that a schema names; None where it lets any name pass."""
        found: dict[str, list[Json]] = {}
        open_ended = True
        for part in parts(node):
            if isinstance(part.get("additionalProperties"), dict):
                return None
            for name, value in part.get("properties", {}).items():
                open_ended = False
                found.setdefault(name, []).append(value)
        return None if open_ended else found

    def parts(node: Json) -> Iterator[Json]:
        yield node
        if "$ref" in node:
            yield from parts(schema["$defs"][node["$ref"].removeprefix("#/$defs/")])
        for each in node.get("allOf", []):
            yield from parts(each)

    def walk(value: Any, nodes: list[Json], path: str) -> Iterator[str]:
        if isinstance(value, list):
            for node in nodes:
                for part in parts(node):
                    for each in value if "items" in part else ():
                        yield from walk(each, [part["items"]], f"{path}[]")
        if isinstance(value, dict):
            known = members({"allOf": nodes})
            for name, member in value.items() if known is not None else ():
                if known is not None and name not in known:
                    yield f"{path}.{name}"
                elif known is not None:
                    yield from walk(member, known[name], f"{path}.{name}")

    return list(walk(payload, [schema], "$"))


# --- the files -------------------------------------------------------------------------------------------------------


def test_the_committed_schemas_are_those_that_the_contract_makes() -> None:
    """After a change to the contract: python -m contracts.events.generate"""
    made = {f"{event_type}.json": text_of(schema) for event_type, schema in event_schemas(CONTRACT).items()}
    committed = {file.name: file.read_text("utf-8") for file in DIRECTORY.glob("*.json")}
    assert committed == made


@each_case("event_type", TYPES)
def test_a_schema_is_of_the_draft_and_stands_alone(event_type: str) -> None:
    schema = SCHEMAS[event_type]
    assert schema["$schema"] == DRAFT
    assert schema["title"] == event_type
    assert schema["description"].endswith(".")
    Draft202012Validator.check_schema(schema)
    text = json.dumps(schema)
    assert "#/components" not in text
    assert '"nullable"' not in text
    for reference in _references(schema):
        assert reference.startswith("#/$defs/")
        assert reference.removeprefix("#/$defs/") in schema["$defs"]
    assert {reference.removeprefix("#/$defs/") for reference in _references(schema)} == set(schema["$defs"])


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


# --- the events ------------------------------------------------------------------------------------------------------


def everything_that_happens(infrastructure: Infrastructure) -> list[Event]:
    """An account's life with an event of every type, as the services make them."""
    approved = id_of(
        authorize(
            plain_world(infrastructure, ACCOUNT), "a", merchant_reference="order-1", metadata={"cart": "c-77"}
        )
    )
    bare = id_of(
        authorize(plain_world(infrastructure, ACCOUNT), "b", card=card_with(cvc=None, holder_name=None))
    )
    authorize(plain_world(infrastructure, ACCOUNT), "c", card=card_with(number=DECLINED_NUMBER))
    increment(plain_world(infrastructure, ACCOUNT), approved)
    increment(plain_world(infrastructure, ACCOUNT), approved, "i-declined", simulate="do_not_honor")
    capture(plain_world(infrastructure, ACCOUNT), approved, "c-part", amount=100, metadata={"part": "1"})
    capture(plain_world(infrastructure, ACCOUNT), approved, "c-final", final=True)
    failing = id_of(
        authorize(plain_world(infrastructure, ACCOUNT), "d", card=card_with(number=CAPTURE_DECLINED_NUMBER))
    )
    capture(plain_world(infrastructure, ACCOUNT), failing)
    refund(plain_world(infrastructure, ACCOUNT), approved, amount=50)
    refund(plain_world(infrastructure, ACCOUNT), approved, "r-declined", simulate="response_code=91")
    void(plain_world(infrastructure, ACCOUNT), bare)
    settle_on_demand(plain_world(infrastructure, ACCOUNT), up_to=None, discrepancies=[])
    lapsing = _record(infrastructure, id_of(authorize(plain_world(infrastructure, ACCOUNT), "e")))
    do_scheduled_work(plain_world(infrastructure, ACCOUNT), lapsing)
    disputes_happen(infrastructure)
    refunds_take_their_time(infrastructure)
    endpoint, _ = create_endpoint(plain_world(infrastructure, ACCOUNT), url="https://shop.example/hook")
    first = event_of(_record(infrastructure, approved))
    for delivery_id, status in zip(
        plan_deliveries(plain_world(infrastructure, ACCOUNT), first), [410], strict=True
    ):
        asyncio.run(attempt_delivery(infrastructure, Script(status), delivery_id))
    page = list_events(plain_world(infrastructure, ACCOUNT), types=[], limit=100, cursor=None)
    return [*page.items, make_test_event(plain_world(infrastructure, ACCOUNT), endpoint.endpoint_id)]


def disputes_happen(infrastructure: Infrastructure) -> None:
    """Won, lost, escalated, closed by a refund; answered and not; on a card of each kind of network."""
    won = dispute(
        plain_world(infrastructure, ACCOUNT),
        captured(plain_world(infrastructure, ACCOUNT), "f"),
        "d-won",
        amount=600,
    ).dispute.dispute_id
    answer(
        plain_world(infrastructure, ACCOUNT),
        won,
        "draft",
        "e-draft",
        submit=False,
        shipping_carrier="Postbote",
    )
    answer(plain_world(infrastructure, ACCOUNT), won)
    do_scheduled_work(plain_world(infrastructure, ACCOUNT), _record(infrastructure, won))
    accept(
        plain_world(infrastructure, ACCOUNT),
        dispute(
            plain_world(infrastructure, ACCOUNT),
            captured(plain_world(infrastructure, ACCOUNT), "g", number="378282246310005"),
            "d-lost",
        ).dispute.dispute_id,
    )
    inquired = captured(plain_world(infrastructure, ACCOUNT), "h", number=INQUIRY_NUMBER)
    (inquiry,) = all_disputes(plain_world(infrastructure, ACCOUNT), authorization_id=inquired)
    answer(plain_world(infrastructure, ACCOUNT), inquiry.dispute_id, "losing_evidence", "e-inquiry")
    do_scheduled_work(plain_world(infrastructure, ACCOUNT), _record(infrastructure, inquiry.dispute_id))
    refunded = captured(plain_world(infrastructure, ACCOUNT), "i", number=WARNING_NUMBER)
    dispute(plain_world(infrastructure, ACCOUNT), refunded, "d-closed", inquiry=True, reason="general")
    refund(plain_world(infrastructure, ACCOUNT), refunded, "r-closing")


def refunds_take_their_time(infrastructure: Infrastructure) -> None:
    for number in (PENDING_REFUND_NUMBER, FAILING_REFUND_NUMBER):
        refund(
            plain_world(infrastructure, ACCOUNT),
            captured(plain_world(infrastructure, ACCOUNT), number, number=number),
            f"r-{number}",
        )
    for timer in infrastructure.store.page(Index.DUE, ACCOUNT).records:
        if timer.kind == "refund_timer":
            do_scheduled_work(plain_world(infrastructure, timer.account_id), timer)


def _record(infrastructure: Infrastructure, record_id: str) -> Record:
    (record,) = infrastructure.store.get([record_id])
    assert record is not None
    return record


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return everything_that_happens(make_infrastructure())


def test_every_type_of_event_happens(events: list[Event]) -> None:
    assert {event.type for event in events} == set(TYPES)


def test_every_event_is_valid_against_the_schema_of_its_type_and_has_nothing_that_it_does_not_name(
    events: list[Event],
) -> None:
    for event in events:
        assert faults(event.payload, event.type) == [], event.type
        assert unnamed(event.payload, SCHEMAS[event.type]) == [], event.type


def test_what_is_delivered_is_valid_as_it_is_read_from_the_wire(events: list[Event]) -> None:
    infrastructure = make_infrastructure()
    endpoint, _ = create_endpoint(plain_world(infrastructure, ACCOUNT), url="https://shop.example/hook")
    for event in events:
        planned = plan_test(plain_world(infrastructure, ACCOUNT), endpoint.endpoint_id, event)
        payload = json.loads(get_delivery(plain_world(infrastructure, ACCOUNT), planned.delivery_id).body)
        assert faults(payload, event.type) == []


def test_every_event_is_valid_against_the_contract_too(events: list[Event]) -> None:
    contract = Contract(CONTRACT)
    for event in events:
        assert contract.faults(event.payload, {"$ref": "#/components/schemas/EventPayload"}) == []
        if event.type != TEST_EVENT_TYPE:
            shown = {"event_id": event.id, **event.payload}
            assert contract.faults(shown, {"$ref": "#/components/schemas/Event"}) == []


ALIKE = {
    # A test's data is part of what is said of a disabled endpoint.
    ("webhook_endpoint.disabled", TEST_EVENT_TYPE),
    # Whether a refund succeeded at once, or has only now, its own data does not tell.
    ("payment.refunded", "payment.refund_succeeded"),
    ("payment.refund_succeeded", "payment.refunded"),
    # Evidence may be kept from before, or still to be gathered.
    ("dispute.opened", "dispute.escalated"),
    ("dispute.escalated", "dispute.updated"),
    ("dispute.updated", "dispute.escalated"),
}
"""Pairs of types of which an event of the first can be valid against the schema of the second."""


def test_an_event_is_valid_against_no_other_types_schema(events: list[Event]) -> None:
    for event in events:
        for event_type in TYPES:
            renamed = {**event.payload, "type": event_type}
            accepted = accepts(event_type, renamed)
            if event_type == event.type:
                assert accepted, event_type
            elif (event.type, event_type) not in ALIKE:
                assert not accepted, (event.type, event_type)


def test_a_schema_refuses_an_event_that_lacks_a_required_member_or_has_one_of_another_type(
    events: list[Event],
) -> None:
    seen = set()
    for event in events:
        for path, value in _members(event.payload):
            # Events of a type mostly repeat each other: each of its members once with each type of value.
            kind = (event.type, *("[]" if isinstance(step, int) else step for step in path), type(value))
            if "metadata" in path or kind in seen:
                continue
            seen.add(kind)
            changed = copy.deepcopy(event.payload)
            parent: Any = changed
            for step in path[:-1]:
                parent = parent[step]
            parent[path[-1]] = 1.5
            assert not accepts(event.type, changed), path
            if isinstance(path[-1], str) and path[-1] != "final" and "evidence" not in path[:-1]:
                del parent[path[-1]]
                assert not accepts(event.type, changed), path
    assert {event_type for event_type, *_ in seen} == set(TYPES)


def _members(node: Any) -> Iterator[tuple[list[str | int], Any]]:
    """Every value in an event, with the path to it."""
    members: Any = ()
    if isinstance(node, dict):
        members = node.items()
    elif isinstance(node, list):
        members = enumerate(node)
    for name, value in members:
        yield [name], value
        for path, below in _members(value):
            yield [name, *path], below


def test_the_contracts_examples_of_events_are_valid() -> None:
    found = [
        example["value"]
        for example in CONTRACT["components"]["examples"].values()
        if isinstance(example["value"], dict) and example["value"].get("type") in SCHEMAS
    ]
    assert len(found) >= 2
    for value in found:
        # An inbox takes more than what the sandbox sends.
        if "event_id" in value:
            payload = {name: member for name, member in value.items() if name != "event_id"}
            assert faults(payload, value["type"]) == []


def test_the_check_for_members_that_are_not_named_finds_them(events: list[Event]) -> None:
    for event in events:
        schema = SCHEMAS[event.type]
        assert unnamed({**event.payload, "extra": 1}, schema) == ["$.extra"]
        data = {**event.data, "extra": 1}
        assert unnamed({**event.payload, "data": data}, schema) == ["$.data.extra"]
    captured = next(event for event in events if event.type == "payment.captured")
    card = {**captured.data["card"], "number": "4242"}
    payload = {**captured.payload, "data": {**captured.data, "card": card}}
    assert unnamed(payload, SCHEMAS["payment.captured"]) == ["$.data.card.number"]


# --- the size --------------------------------------------------------------------------------------------------------


class Largest:
    """The API with its own limits, on a ledger in memory."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.infrastructure = make_infrastructure(self.store)
        ensure_demo_account(self.infrastructure)
        options = HttpOptions(contract_is_valid=True)
        self.app = build_app(CONTRACT, self.infrastructure, authenticate=authenticate, options=options)

    def post(self, path: str, body: Json, **headers: str) -> str:
        """Post a body that is filled up to the last byte that is taken; answers the id of what it made."""
        # Twenty of the longest values, of characters that take the most bytes; the rest is one long name.
        metadata = {f"{number:02}": "\U0001f4b3" * 200 for number in range(19)}
        filled = {**body, "merchant_reference": "\U0001f4b3" * 100, "metadata": metadata}
        spare = BODY_BYTES_MAX - len(self._bytes({**filled, "metadata": {**metadata, "": ""}}))
        filled["metadata"] = {**metadata, "\u00e9" * (spare // 2) + "e" * (spare % 2): ""}
        raw = self._bytes(filled)
        assert len(raw) == BODY_BYTES_MAX
        known = {"x-api-key": DEMO_API_KEY, "content-type": "application/json", "x-idempotency-key": path}
        given = {**known, **{name.replace("_", "-"): value for name, value in headers.items()}}
        one_more = ask(self.app, "POST", path, headers=given, body=raw + b" ")
        assert one_more.status == 413
        answer = ask(self.app, "POST", path, headers=given, body=raw)
        assert answer.status == 201, answer.body
        transaction_id: str = answer.json["transaction_id"]
        return transaction_id

    def payload_bytes(self, transaction_id: str) -> int:
        event = event_of(_record(self.infrastructure, transaction_id))
        assert event.id == EVENT_PREFIX + transaction_id
        endpoint, _ = create_endpoint(
            plain_world(self.infrastructure, "acct_demo"), url="https://shop.example/hook"
        )
        planned = plan_test(plain_world(self.infrastructure, "acct_demo"), endpoint.endpoint_id, event)
        assert faults(event.payload, event.type) == []
        return len(planned.body.encode())

    @staticmethod
    def _bytes(value: Json) -> bytes:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def test_the_payload_of_the_largest_request_that_is_taken_stays_under_20_kb() -> None:
    largest = Largest()
    simulate = "approve; cvc=N; avs=N; risk=elevated; capture=withdrawal_count_limit_exceeded"
    name = "SIMULATE approve".ljust(100)
    card = {"number": "4000000000009995", "exp_month": 12, "exp_year": 2030, "holder_name": name}
    body = {"amount": 900_051, "currency": "KWD", "card": card}
    header = HEADER.replace("-", "_")
    made = [largest.post("/v1/authorize", body, **{header: simulate})]
    operation = {"authorization_id": made[0]}
    made.append(largest.post("/v1/increment", {**operation, "amount": 900_000_000_000}))
    made.append(
        largest.post("/v1/capture", {**operation, "final": False, "amount": 1}, **{header: "approve"})
    )
    made.append(largest.post("/v1/refund", operation, **{header: "withdrawal_count_limit_exceeded"}))
    made.append(largest.post("/v1/void", operation))
    sizes = [largest.payload_bytes(transaction_id) for transaction_id in made]
    assert max(sizes) < PAYLOAD_BYTES_MAX
    # They are as large as they can be: the limit on requests is what keeps them under.
    assert min(sizes) > BODY_BYTES_MAX


def test_the_payload_about_the_longest_url_stays_under_20_kb() -> None:
    infrastructure = make_infrastructure()
    url = "https://shop.example/?" + "a" * (2048 - len("https://shop.example/?"))
    endpoint, _ = create_endpoint(plain_world(infrastructure, ACCOUNT), url=url)
    event = event_of(authorize(plain_world(infrastructure, ACCOUNT)).entry.record)
    asyncio.run(
        attempt_delivery(
            infrastructure, Script(410), plan_deliveries(plain_world(infrastructure, ACCOUNT), event)[0]
        )
    )
    (disabled,) = list_events(
        plain_world(infrastructure, ACCOUNT), types=["webhook_endpoint.disabled"], limit=1, cursor=None
    ).items
    assert disabled.data["url"] == url
    assert len(json.dumps(disabled.payload)) < PAYLOAD_BYTES_MAX
    assert endpoint.url == url


def test_the_payload_about_a_dispute_with_the_most_evidence_stays_under_20_kb() -> None:
    infrastructure = make_infrastructure()
    evidence = CONTRACT["components"]["schemas"]["DisputeEvidence"]["properties"]
    # Of all characters, those that JSON escapes take the most bytes.
    texts = {name: "\x01" * field["maxLength"] for name, field in evidence.items()}
    dispute_id = dispute(
        plain_world(infrastructure, ACCOUNT), captured(plain_world(infrastructure, ACCOUNT))
    ).dispute.dispute_id
    for name, text in texts.items():
        answer(
            plain_world(infrastructure, ACCOUNT), dispute_id, None, f"e-{name}", submit=False, **{name: text}
        )
    page = list_events(
        plain_world(infrastructure, ACCOUNT), types=["dispute.updated"], limit=100, cursor=None
    )
    largest = max(page.items, key=lambda event: len(event.data["evidence"]))
    assert set(largest.data["evidence"]) == set(evidence)
    endpoint, _ = create_endpoint(plain_world(infrastructure, ACCOUNT), url="https://shop.example/hook")
    planned = plan_test(plain_world(infrastructure, ACCOUNT), endpoint.endpoint_id, largest)
    assert 14_000 < len(planned.body.encode()) < PAYLOAD_BYTES_MAX
