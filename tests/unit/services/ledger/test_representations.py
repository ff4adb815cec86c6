"""How the ledger looks in the API: written out whole here, and held against the contract's schemas by a validator
that is not the sandbox's own."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator, FormatChecker
from jsonschema.validators import extend

from payments_sandbox.domain.entry_kinds import ENTRY_KINDS
from payments_sandbox.domain.errors import StateConflict
from payments_sandbox.services.accounts import accounts
from payments_sandbox.services.accounts.representations import (
    render_account,
    render_api_key,
    render_new_api_key,
)
from payments_sandbox.services.ledger.representations import (
    render_card_summary,
    render_family,
    render_transaction,
)
from payments_sandbox.services.ledger.transactions import get_card, get_transaction
from payments_sandbox.services.world import World
from tests.calls.payments import (
    CAPTURE_DECLINED_NUMBER,
    DECLINED_NUMBER,
    OPERATION_KINDS,
    authorize,
    capture,
    card_with,
    id_of,
    operate,
)
from tests.contract import CONTRACT
from tests.doubles.ports import FrozenClock, make_world

Json = dict[str, Any]


def _nullable_type(validator: Any, types: Any, instance: Any, schema: Json) -> Iterator[Any]:
    if instance is not None or not schema.get("nullable"):
        yield from Draft4Validator.VALIDATORS["type"](validator, types, instance, schema)


_Validator = extend(Draft4Validator, {"type": _nullable_type})  # type: ignore[no-untyped-call]


def faults(instance: Any, schema: str) -> list[str]:
    """What a plain JSON Schema validator finds wrong with an instance of this schema of the contract."""
    whole = {"$ref": f"#/components/schemas/{schema}", "components": CONTRACT["components"]}
    return [
        error.message for error in _Validator(whole, format_checker=FormatChecker()).iter_errors(instance)
    ]


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def world(clock: FrozenClock) -> World:
    return make_world(clock=clock)


def test_an_approved_authorization_looks_like_this(world: World) -> None:
    outcome = authorize(
        world,
        card=card_with(
            holder_name="Ada Lovelace", billing_address={"line1": "1 Main Street", "postal_code": "1"}
        ),
        merchant_reference="order-1",
        metadata={"cart": "c-7"},
        amount=1051,
    )
    record = outcome.entry.record
    network = outcome.entry.data["network"]
    assert render_transaction(outcome.entry) == {
        "transaction_id": record.id,
        "type": "authorization",
        "status": "authorized",
        "amount": 1051,
        "currency": "EUR",
        "card": {
            "card_id": record.card_id,
            "brand": "visa",
            "last4": "4242",
            "funding": "credit",
            "exp_month": 12,
            "exp_year": 2030,
            "holder_name": "Ada Lovelace",
        },
        "balance": {
            "authorized_amount": 1051,
            "captured_amount": 0,
            "refunded_amount": 0,
            "released_amount": 0,
            "disputed_amount": 0,
            "capturable_amount": 1051,
            "refundable_amount": 0,
        },
        "decline": None,
        "network": {
            "message_type": "0100",
            "response_code": "00",
            "stan": network["stan"],
            "rrn": "632710" + network["stan"],
            "authorization_code": network["authorization_code"],
            "acquirer_reference": None,
        },
        "simulation": {
            "trigger": "none",
            "rule": "approved",
            "explanation": "No trigger; the issuer approves.",
            "overridden": [],
        },
        "postings": [
            {"ledger_account": "cardholder_available", "amount": -1051},
            {"ledger_account": "cardholder_held", "amount": 1051},
        ],
        "merchant_reference": "order-1",
        "metadata": {"cart": "c-7"},
        "created_at": "2026-11-23T10:00:00.000Z",
        "checks": {"cvc_result": "M", "avs_result": "Y"},
        "risk": {"level": "normal"},
        "expires_at": "2026-11-30T10:00:00.000Z",
    }


def test_a_declined_authorization_says_why_and_whether_the_card_may_be_tried_again(world: World) -> None:
    rendered = render_transaction(authorize(world, card=card_with(number=DECLINED_NUMBER)).entry)
    assert rendered["status"] == "declined"
    assert rendered["decline"] == {
        "decline_code": "insufficient_funds",
        "response_code": "51",
        "retry_forbidden": False,
        "message": "The card has not enough funds.",
    }
    assert rendered["network"]["response_code"] == "51"
    assert rendered["network"]["authorization_code"] is None
    assert rendered["simulation"] == {
        "trigger": "card_number",
        "rule": "insufficient_funds",
        "explanation": "The card number is a test card: insufficient_funds.",
        "overridden": [],
    }
    assert set(rendered["balance"].values()) == {0}
    assert rendered["postings"] == []
    stolen = render_transaction(authorize(world, "stolen", simulate="stolen_card").entry)
    assert stolen["decline"]["retry_forbidden"] is True


def test_a_refund_looks_like_this(world: World, clock: FrozenClock) -> None:
    authorization = authorize(world)
    authorization_id = id_of(authorization)
    capture(world, authorization_id, amount=500)
    clock.advance(ms=61_001)
    outcome = operate(world, "refund", authorization_id, amount=200)
    rendered = render_transaction(outcome.entry)
    network = outcome.entry.data["network"]
    assert rendered == {
        "transaction_id": outcome.entry.record.id,
        "type": "refund",
        "status": "succeeded",
        "amount": 200,
        "currency": "EUR",
        "card": render_transaction(authorization.entry)["card"],
        "balance": {
            "authorized_amount": 1000,
            "captured_amount": 500,
            "refunded_amount": 200,
            "released_amount": 0,
            "disputed_amount": 0,
            "capturable_amount": 500,
            "refundable_amount": 300,
        },
        "decline": None,
        "network": {
            "message_type": "0200",
            "response_code": "00",
            "stan": network["stan"],
            "rrn": "632710" + network["stan"],
            "authorization_code": None,
            "acquirer_reference": network["acquirer_reference"],
        },
        "simulation": {
            "trigger": "none",
            "rule": "approved",
            "explanation": "No trigger; the issuer approves.",
            "overridden": [],
        },
        "postings": [
            {"ledger_account": "merchant_receivable", "amount": -200},
            {"ledger_account": "cardholder_available", "amount": 200},
        ],
        "merchant_reference": None,
        "metadata": {},
        "created_at": "2026-11-23T10:01:01.001Z",
        "authorization_id": authorization_id,
        "settlement_id": None,
        "settled_at": None,
    }


def test_message_types_are_those_of_iso_8583(world: World) -> None:
    authorization = authorize(world).entry
    found = {"authorization": render_transaction(authorization)["network"]["message_type"]}
    for kind, amount in (("increment", 5), ("capture", 5), ("refund", 5), ("void", None)):
        entry = operate(world, kind, authorization.record.id, amount=amount).entry
        found[kind] = render_transaction(entry)["network"]["message_type"]
    assert found == {
        "authorization": "0100",
        "increment": "0100",
        "capture": "0220",
        "refund": "0200",
        "void": "0400",
    }


def test_only_a_capture_says_whether_it_was_final(world: World) -> None:
    authorization_id = id_of(authorize(world))
    assert render_transaction(capture(world, authorization_id, amount=100).entry)["final"] is False
    assert (
        render_transaction(capture(world, authorization_id, "cap-2", amount=1, final=True).entry)["final"]
        is True
    )
    assert "final" not in render_transaction(operate(world, "refund", authorization_id).entry)


@pytest.mark.parametrize(
    ("fields", "explanation"),
    [
        ({"simulate": "lost_card"}, "The header X-Sandbox-Simulate asked for: lost_card."),
        ({"card": card_with(holder_name="SIMULATE avs=N")}, "The cardholder name asked for: approve; avs=N."),
        (
            {"card": card_with(number=CAPTURE_DECLINED_NUMBER)},
            "The card number is a test card: capture_declined.",
        ),
        ({"amount": 900_051}, "The amount is 900000 plus a response code: response_code=51."),
        ({"card": card_with(exp_year=2020)}, "No trigger; the card itself failed a check: expiry."),
        ({}, "No trigger; the issuer approves."),
    ],
)
def test_the_outcome_is_explained(world: World, fields: Json, explanation: str) -> None:
    assert render_transaction(authorize(world, **fields).entry)["simulation"]["explanation"] == explanation


def test_an_operation_that_its_authorization_declines_is_explained(world: World) -> None:
    authorization_id = id_of(authorize(world, card=card_with(number=CAPTURE_DECLINED_NUMBER)))
    simulation = render_transaction(capture(world, authorization_id).entry)["simulation"]
    assert (
        simulation["explanation"] == "A trigger of the authorization asked for this: capture=generic_decline."
    )


def test_overridden_triggers_are_shown(world: World) -> None:
    entry = authorize(world, simulate="approve", amount=900_051, card=card_with(number=DECLINED_NUMBER)).entry
    assert render_transaction(entry)["simulation"]["overridden"] == ["card_number", "amount"]


def test_a_family_shows_its_members_in_brief(world: World, clock: FrozenClock) -> None:
    authorization_id = id_of(authorize(world))
    clock.advance(ms=1)
    capture_id = id_of(capture(world, authorization_id, amount=400))
    clock.advance(ms=1)
    declined_id = id_of(operate(world, "refund", authorization_id, amount=100, simulate="lost_card"))
    rendered = render_family(get_transaction(world, capture_id))
    assert rendered["transaction_id"] == capture_id
    assert rendered["balance"]["captured_amount"] == 400
    assert rendered["family"] == [
        {
            "transaction_id": authorization_id,
            "type": "authorization",
            "status": "partially_captured",
            "amount": 1000,
            "response_code": "00",
            "postings": [
                {"ledger_account": "cardholder_available", "amount": -1000},
                {"ledger_account": "cardholder_held", "amount": 1000},
            ],
            "created_at": "2026-11-23T10:00:00.000Z",
        },
        {
            "transaction_id": capture_id,
            "type": "capture",
            "status": "succeeded",
            "amount": 400,
            "response_code": "00",
            "postings": [
                {"ledger_account": "cardholder_held", "amount": -400},
                {"ledger_account": "merchant_receivable", "amount": 400},
            ],
            "created_at": "2026-11-23T10:00:00.001Z",
        },
        {
            "transaction_id": declined_id,
            "type": "refund",
            "status": "declined",
            "amount": 100,
            "response_code": "41",
            "postings": [],
            "created_at": "2026-11-23T10:00:00.002Z",
        },
    ]


def test_a_card_looks_like_this(world: World, clock: FrozenClock) -> None:
    card_id = str(authorize(world).entry.record.card_id)
    clock.advance(days=1)
    authorize(world, "auth-2")
    assert render_card_summary(get_card(world, card_id)) == {
        "card_id": card_id,
        "brand": "visa",
        "last4": "4242",
        "funding": "credit",
        "exp_month": 12,
        "exp_year": 2030,
        "holder_name": None,
        "first_used_at": "2026-11-23T10:00:00.000Z",
        "last_used_at": "2026-11-24T10:00:00.000Z",
    }


def test_accounts_and_keys_look_like_this(world: World, clock: FrozenClock) -> None:
    account, new = accounts.create_account(world.infrastructure, name=None)
    assert render_account(account) == {
        "account_id": account.account_id,
        "name": None,
        "plan": {"name": "default", "requests": 100, "window_seconds": 60},
        "seed": None,
        "created_at": "2026-11-23T10:00:00.000Z",
    }
    key = {
        "key_id": new.api_key.key_id,
        "label": None,
        "last4": new.secret[-4:],
        "created_at": "2026-11-23T10:00:00.000Z",
        "revoked_at": None,
    }
    assert render_api_key(new.api_key) == key
    assert render_new_api_key(new) == {**key, "secret": new.secret}
    second = accounts.create_api_key(world.infrastructure, account.account_id, label="ci")
    principal = accounts.authenticate(world.infrastructure, new.secret)
    clock.advance(ms=1)
    accounts.revoke_api_key(world.infrastructure, principal, second.api_key.key_id)
    revoked = accounts.list_api_keys(world.infrastructure, account.account_id)[1]
    assert render_api_key(revoked)["revoked_at"] == "2026-11-23T10:00:00.001Z"
    for rendered, schema in (
        (render_account(account), "Account"),
        (render_api_key(revoked), "ApiKey"),
        (render_new_api_key(new), "NewApiKey"),
    ):
        assert faults(rendered, schema) == []


@settings(max_examples=30)
@given(
    number=st.sampled_from(
        ["4242424242424242", DECLINED_NUMBER, CAPTURE_DECLINED_NUMBER, "9999999999999999"]
    ),
    name=st.none() | st.text(min_size=1, max_size=20).map(lambda text: f"Mx {text}"),
    metadata=st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3),
    simulate=st.sampled_from([None, "approve; avs=G", "response_code=R1"]),
    steps=st.lists(
        st.tuples(
            st.sampled_from(OPERATION_KINDS), st.integers(1, 400), st.sampled_from([None, "lost_card"])
        ),
        max_size=5,
    ),
)
def test_everything_that_is_shown_keeps_to_the_contract(
    number: str, name: str | None, metadata: dict[str, str] | None, simulate: str | None, steps: list[Any]
) -> None:
    world = make_world()
    card = card_with(number=number, holder_name=name)
    made = [authorize(world, card=card, metadata=metadata, simulate=simulate)]
    for position, (kind, amount, header) in enumerate(steps):
        fields = {"amount": amount, "metadata": metadata, "simulate": None if kind == "void" else header}
        with suppress(StateConflict):
            made.append(operate(world, kind, id_of(made[0]), f"key-{position}", **fields))
    for outcome in made:
        rendered = render_transaction(outcome.entry)
        assert faults(rendered, ENTRY_KINDS[outcome.entry.record.kind].schema) == []
        family = render_family(get_transaction(world, id_of(outcome)))
        assert faults(family, "TransactionWithFamily") == []
        # Of all that may differ between a result and what is shown later, only these do.
        for moving in ("status", "balance"):
            rendered.pop(moving)
        assert {name: family[name] for name in rendered} == rendered


def test_the_validator_above_finds_faults() -> None:
    assert faults({"status": "authorized"}, "Authorization")
    assert faults({"key_id": 1}, "ApiKey")
