"""`trigger` does the operations that lead to an event, tells what it did, and shows the API's own errors."""

import io
import json

import httpx
import pytest

from payments_sandbox.domain.webhooks import EVENT_TYPES
from payments_sandbox.entrypoints.terminal import Terminal
from payments_sandbox.entrypoints.trigger import (
    BOOLEAN_FIELDS,
    EVENTS,
    INTEGER_FIELDS,
    RECIPES,
    list_recipes,
    parse_assignment,
)
from payments_sandbox.entrypoints.trigger_disputes import DISPUTE_RECIPES
from payments_sandbox.entrypoints.trigger_run import CARD_DEFAULT, PATHS, Assignment, UsageError, set_fields
from tests.contract import CONTRACT
from tests.each_case import each_case
from tests.unit.entrypoints.cli_fakes import PREFIXES, Json, Session


@pytest.fixture
def session() -> Session:
    return Session()


def test_every_event_that_an_operation_makes_can_be_triggered() -> None:
    assert set(RECIPES) == {event for (kind, _), event in EVENT_TYPES.items() if kind in PREFIXES}
    assert set(PATHS) == set(PREFIXES)
    # What only time brings about, a settlement, and an endpoint that was disabled: no operation on a payment makes them.
    assert set(EVENT_TYPES.values()) - set(EVENTS) == {
        "payment.expired",
        "settlement.completed",
        "payment.refund_succeeded",
        "payment.refund_failed",
        "payment.chargeback_reversed",
        "webhook_endpoint.disabled",
    }
    assert set(DISPUTE_RECIPES) < set(EVENT_TYPES.values())


@pytest.mark.parametrize(
    ("event", "operations", "last_simulate"),
    [
        ("payment.authorized", ["authorize"], None),
        ("payment.authorization_declined", ["authorize"], "generic_decline"),
        ("payment.captured", ["authorize", "capture"], None),
        ("payment.capture_declined", ["authorize", "capture"], "generic_decline"),
        ("payment.refunded", ["authorize", "capture", "refund"], None),
        ("payment.refund_declined", ["authorize", "capture", "refund"], "generic_decline"),
        ("payment.voided", ["authorize", "void"], None),
        ("payment.incremented", ["authorize", "increment"], None),
        ("payment.increment_declined", ["authorize", "increment"], "generic_decline"),
    ],
)
def test_the_operations_that_lead_to_an_event_are_done(
    session: Session, event: str, operations: list[str], last_simulate: str | None
) -> None:
    assert session.trigger(event) == 0
    assert session.paths == operations
    *first, last = session.payments.requests
    assert last[2] == last_simulate
    assert all(simulate is None for _, _, simulate in first)
    assert all(body["authorization_id"] == "auth_1" for path, body, _ in session.payments.requests[1:])
    assert len(set(session.payments.keys)) == len(operations)
    *steps, result = session.out.getvalue().splitlines()
    assert [step.split()[0] for step in steps] == operations
    assert result == f"{event}  evt_{steps[-1].split()[1]}"
    assert session.err.getvalue() == ""


def test_an_existing_authorization_is_used(session: Session) -> None:
    assert session.trigger("payment.captured", "amount=200", on="auth_mine") == 0
    assert session.payments.requests == [
        ("/v1/capture", {"authorization_id": "auth_mine", "amount": 200}, None)
    ]


def test_an_authorization_that_was_not_captured_is_captured_before_a_refund(session: Session) -> None:
    assert session.trigger("payment.refunded", on="auth_mine") == 0
    assert session.paths == ["transactions/auth_mine", "capture", "refund"]


@pytest.mark.parametrize(
    "balance",
    [{"refundable_amount": 5, "capturable_amount": 5}, {"refundable_amount": 0, "capturable_amount": 0}],
)
def test_else_the_refund_is_asked_for_at_once(session: Session, balance: dict[str, int]) -> None:
    session.payments.balance = balance
    assert session.trigger("payment.refunded", on="auth_mine") == 0
    assert session.paths == ["transactions/auth_mine", "refund"]


def test_an_id_cannot_reach_another_path(session: Session) -> None:
    session.trigger("payment.refunded", on="../api-keys?x")
    assert session.payments.requests[0][0] == "/v1/transactions/../api-keys?x"


def test_fields_are_those_of_the_last_operation_save_for_card_and_currency(session: Session) -> None:
    fields = ("amount=1200", "currency=JPY", "card.number=5555555555554444", "metadata.order=7", "final=true")
    assert session.trigger("payment.captured", *fields) == 0
    (_, authorize, _), (_, capture, _) = session.payments.requests
    assert authorize["amount"] == 1200
    assert authorize["currency"] == "JPY"
    assert authorize["card"] == {**CARD_DEFAULT, "number": "5555555555554444"}
    assert "metadata" not in authorize
    assert capture == {
        "authorization_id": "auth_1",
        "amount": 1200,
        "metadata": {"order": "7"},
        "final": True,
    }
    assert CARD_DEFAULT["number"] == "4242424242424242"


def test_an_existing_authorization_takes_no_card_so_the_api_may_say_so(session: Session) -> None:
    session.trigger("payment.captured", "currency=JPY", on="auth_mine")
    assert session.payments.requests[-1][1]["currency"] == "JPY"


@pytest.mark.parametrize(
    ("event", "field", "authorized"),
    [
        ("payment.captured", "amount=900", 1051),
        ("payment.captured", "amount=5000", 5000),
        ("payment.refunded", "amount=5000", 5000),
        ("payment.captured", "amount=900051", 900151),
        ("payment.captured", "amount=1000000000000", 1051),
        ("payment.captured", "amount=lots", 1051),
        ("payment.incremented", "amount=5000", 1051),
    ],
)
def test_enough_is_authorized_for_what_follows(
    session: Session, event: str, field: str, authorized: int
) -> None:
    assert session.trigger(event, field) == 0
    assert session.payments.requests[0][1]["amount"] == authorized


def test_simulate_replaces_the_default_decline(session: Session) -> None:
    assert session.trigger("payment.capture_declined", simulate="response_code=51") == 0
    assert [simulate for _, _, simulate in session.payments.requests] == [None, "response_code=51"]


@pytest.mark.parametrize(
    ("field", "header"),
    [
        ("card.number=4000000000009995", None),
        ("card.holder_name=SIMULATE lost_card", None),
        ("amount=900051", None),
        ("amount=1200", "generic_decline"),
        ("card.cvc=999", "generic_decline"),
    ],
)
def test_a_trigger_of_your_own_is_not_overridden(session: Session, field: str, header: str | None) -> None:
    session.trigger("payment.authorization_declined", field)
    assert session.payments.requests[0][2] == header


def test_an_event_other_than_the_one_asked_for_is_a_failure(session: Session) -> None:
    assert session.trigger("payment.authorized", "card.number=4000000000009995") == 1
    assert "that was payment.authorization_declined, not payment.authorized" in session.err.getvalue()


def test_a_decline_on_the_way_ends_it(session: Session) -> None:
    assert session.trigger("payment.refunded", "card.number=4000000000009995") == 1
    assert session.paths == ["authorize"]
    assert "declined (insufficient_funds: Because.)" in session.out.getvalue()
    assert "the authorization was declined" in session.err.getvalue()


PROBLEM = {
    "code": "invalid_request",
    "detail": "The request breaks the contract in 1 place: /amout.",
    "errors": [{"pointer": "/amout", "code": "unknown_field", "detail": "is not a field"}],
    "request_id": "req_1",
}


def test_an_error_of_the_api_is_shown_with_code_detail_and_pointers(session: Session) -> None:
    session.payments.refusal = httpx.Response(400, json=PROBLEM)
    assert session.trigger("payment.captured", "amout=7") == 1
    assert session.err.getvalue() == (
        "payments-sandbox: error: invalid_request: The request breaks the contract in 1 place: /amout. "
        "(/amout: is not a field) [req_1]\n"
    )
    assert session.out.getvalue().count("\n") == 1


def test_programs_get_one_object_with_every_step(session: Session) -> None:
    assert session.trigger("payment.captured", as_json=True) == 0
    result = json.loads(session.out.getvalue())
    assert (result["event_id"], result["type"], result["error"]) == ("evt_cap_2", "payment.captured", None)
    assert [step["operation"] for step in result["steps"]] == ["authorize", "capture"]
    assert result["steps"][0]["transaction"]["transaction_id"] == "auth_1"


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (httpx.Response(400, json=PROBLEM), "invalid_request"),
        (httpx.ConnectError("refused"), "no_answer"),
        (httpx.Response(200, json={"hello": "world"}), "no_answer"),
        (httpx.Response(502, text="bad"), "unexpected_answer"),
    ],
)
def test_programs_are_told_of_the_failure_and_of_what_was_done(
    session: Session, refusal: httpx.Response | Exception, code: str
) -> None:
    session.payments.refusal = refusal
    assert session.trigger("payment.captured", as_json=True) == 1
    result = json.loads(session.out.getvalue())
    assert (result["event_id"], result["error"]["code"], len(result["steps"])) == (None, code, 1)
    assert session.err.getvalue().count("\n") == 1


def test_nothing_is_done_for_words_that_do_not_go_together(session: Session) -> None:
    for event, fields, on in (
        ("payment.authorized", [], "auth_1"),
        ("payment.refunded", ["metadata=1", "metadata.a=1"], None),
        ("payment.refunded", ["metadata=1", "metadata.a=1"], "auth_1"),
        ("payment.refunded", ["card.number=1", "card.number.x=1"], None),
    ):
        with pytest.raises(UsageError):
            session.trigger(event, *fields, on=on)
    assert [path for path in session.paths if not path.startswith("transactions/")] == []


@each_case(
    ("text", "value"),
    [
        ("amount=1200", 1200),
        ("amount=-1", -1),
        ("amount=12.00", "12.00"),
        ("amount=", ""),
        ("card.exp_month=07", 7),
        ("card.number=4242424242424242", "4242424242424242"),
        ("metadata.order=7", "7"),
        ("final=true", True),
        ("final=yes", "yes"),
        ("merchant_reference=a=b", "a=b"),
    ],
)
def test_a_value_has_the_type_that_the_contract_gives_it(text: str, value: object) -> None:
    assignment = parse_assignment(text)
    assert assignment.value == value
    assert type(assignment.value) is type(value)


def test_paths_are_made_and_what_was_given_is_left_alone() -> None:
    given = {"card": {"number": "1"}}
    made = set_fields(
        given, [Assignment("card.billing_address.line1", "1 Main Street"), Assignment("a", "b")]
    )
    assert made == {"card": {"number": "1", "billing_address": {"line1": "1 Main Street"}}, "a": "b"}
    assert given == {"card": {"number": "1"}}


def test_integers_and_booleans_are_those_of_the_contract() -> None:
    found: dict[str, set[str]] = {"integer": set(), "boolean": set(), "string": set(), "object": set()}

    def collect(schema: Json, path: str) -> None:
        while "$ref" in schema:
            schema = CONTRACT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        found[schema["type"]].add(path)
        for name, below in schema.get("properties", {}).items():
            collect(below, f"{path}.{name}".lstrip("."))

    for operation in (*PATHS.values(), "/v1/disputes"):
        body = CONTRACT["paths"][operation]["post"]["requestBody"]["content"]["application/json"]
        collect(body["schema"], "")
    assert found["integer"] == INTEGER_FIELDS
    assert found["boolean"] == BOOLEAN_FIELDS


def test_the_list_names_every_event_and_its_operations() -> None:
    out = io.StringIO()
    assert list_recipes(Terminal(out, out)) == 0
    assert [line.split()[0] for line in out.getvalue().splitlines()] == list(EVENTS)
    out = io.StringIO()
    list_recipes(Terminal(out, out, as_json=True))
    listed = [json.loads(line) for line in out.getvalue().splitlines()]
    assert {"type": "payment.refunded", "operations": ["authorize", "capture", "refund"]} in listed
