"""A repeated key never moves money twice, says what differs, and is free again after a refusal."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from payments_sandbox.domain.authorization import VALIDITY_MS, Totals
from payments_sandbox.domain.errors import (
    AmountExceedsAuthorized,
    AmountTooLarge,
    AuthorizationNotCapturable,
    AuthorizationNotRefundable,
    AuthorizationNotVoidable,
    EntryLimitReached,
    IdempotencyKeyReused,
    InvalidRequest,
    InvalidSimulation,
    SandboxError,
    TransactionNotFound,
)
from payments_sandbox.domain.money import AMOUNT_MAX
from payments_sandbox.services.ledger.entries import KEY_RETENTION_MS
from payments_sandbox.services.payments import payments
from payments_sandbox.services.world import World
from tests.calls.outcomes import pointers, same_answer, snapshot, totals_now
from tests.calls.payments import (
    CARD,
    DECLINED_NUMBER,
    FULL_CARD,
    FULL_REQUEST,
    OPERATION_KINDS,
    OTHER_ACCOUNT,
    authorize,
    capture,
    card_with,
    id_of,
    increment,
    operate,
    refund,
    void,
)
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import FrozenClock, make_world
from tests.each_case import each_case

# --- repeating a key -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [CARD.number, DECLINED_NUMBER, "4242424242424243"])
def test_repeating_an_authorization_answers_the_first_result_and_writes_nothing(
    world: World, store: MemoryStore, clock: FrozenClock, number: str
) -> None:
    first = authorize(world, card=card_with(number=number), metadata={"a": "b"})
    before = snapshot(store)
    clock.advance(days=29)
    same_answer(first, authorize(world, card=card_with(number=number), metadata={"a": "b"}))
    assert snapshot(store) == before


def test_an_idempotency_key_is_as_good_as_new_after_thirty_days(world: World, clock: FrozenClock) -> None:
    first = authorize(world)
    clock.advance(ms=KEY_RETENTION_MS - 1)
    assert authorize(world).replayed
    with pytest.raises(IdempotencyKeyReused):
        authorize(world, amount=1)
    clock.advance(ms=1)
    second = authorize(world, amount=1)
    assert not second.replayed
    assert id_of(second) != id_of(first)
    # From now on the key stands for the second.
    assert id_of(authorize(world, amount=1)) == id_of(second)
    with pytest.raises(IdempotencyKeyReused):
        authorize(world)
    clock.advance(ms=KEY_RETENTION_MS)
    assert len({id_of(first), id_of(second), id_of(authorize(world))}) == 3


@pytest.mark.parametrize("kind", ["capture", "increment", "void"])
def test_the_key_of_an_operation_is_forgotten_as_well(world: World, clock: FrozenClock, kind: str) -> None:
    amounts: list[dict[str, Any]] = [{}, {}] if kind == "void" else [{"amount": 5}, {"amount": 6}]
    first = operate(world, kind, id_of(authorize(world)), "k", **amounts[0])
    clock.advance(ms=KEY_RETENTION_MS)
    second = operate(world, kind, id_of(authorize(world, "another")), "k", **amounts[1])
    assert not second.replayed
    assert id_of(second) != id_of(first)


def test_a_forgotten_key_does_not_hide_what_the_state_refuses(world: World, clock: FrozenClock) -> None:
    authorization_id = id_of(authorize(world))
    capture(world, authorization_id)
    clock.advance(ms=KEY_RETENTION_MS)
    with pytest.raises(AuthorizationNotCapturable):
        capture(world, authorization_id)


def test_repeating_an_authorization_shows_it_as_it_was_made_whatever_happened_since(
    world: World, clock: FrozenClock
) -> None:
    first = authorize(world)
    increment(world, id_of(first))
    capture(world, id_of(first), amount=200)
    refund(world, id_of(first))
    void(world, id_of(first))
    clock.advance(days=8)
    again = authorize(world)
    same_answer(first, again)
    assert (again.entry.status, again.entry.capturable) == ("authorized", 1000)


def test_a_declined_authorization_stays_declined_when_the_reason_is_gone(world: World) -> None:
    expired = card_with(exp_year=2020)
    first = authorize(world, card=expired)
    same_answer(first, authorize(replace(world, clock=FrozenClock(0)), card=expired))


CAPTURES: list[dict[str, Any]] = [
    {"amount": 400},
    {"amount": 400, "final": True},
    {},
    {"amount": 1000},
    {"amount": 400, "simulate": "lost_card"},
    {"amount": 400, "merchant_reference": "order-1", "metadata": {"a": "b"}},
]


def used_up(world: World, authorization_id: str, clock: FrozenClock) -> None:
    """Takes what may be left."""
    with suppress(AuthorizationNotCapturable):
        capture(world, authorization_id, "cap-last")


def voided(world: World, authorization_id: str, clock: FrozenClock) -> None:
    """Gives back what may be left."""
    with suppress(AuthorizationNotVoidable):
        void(world, authorization_id, "void-last")


def refunded(world: World, authorization_id: str, clock: FrozenClock) -> None:
    used_up(world, authorization_id, clock)
    refund(world, authorization_id)


def expired(world: World, authorization_id: str, clock: FrozenClock) -> None:
    clock.advance(ms=VALIDITY_MS)


def filled_up(world: World, authorization_id: str, clock: FrozenClock) -> None:
    """As many entries as fit."""
    used_up(world, authorization_id, clock)
    for number in range(200):
        try:
            refund(world, authorization_id, f"ref-{number}", amount=1, simulate="lost_card")
        except EntryLimitReached:
            return


Later = Callable[[World, str, FrozenClock], None]


@each_case("later", [used_up, voided, refunded, expired, filled_up])
@each_case("fields", CAPTURES)
def test_repeating_a_capture_answers_the_first_result_whatever_happened_since(
    fields: dict[str, Any], later: Later
) -> None:
    store, clock = MemoryStore(), FrozenClock()
    world = make_world(store, clock)
    authorization_id = id_of(authorize(world))
    first = capture(world, authorization_id, **fields)
    same_answer(first, capture(world, authorization_id, **fields))
    later(world, authorization_id, clock)
    before = snapshot(store)
    same_answer(first, capture(world, authorization_id, **fields))
    assert snapshot(store) == before


@each_case("kind", ["refund", "void", "increment"])
@each_case("later", [voided, refunded, expired, filled_up])
def test_repeating_another_operation_answers_the_first_result_too(kind: str, later: Later) -> None:
    clock = FrozenClock()
    world = make_world(clock=clock)
    authorization_id = id_of(authorize(world))
    capture(world, authorization_id, "cap-0", amount=500)
    amount = {"refund": 100, "void": None, "increment": 70}[kind]
    first = operate(world, kind, authorization_id, "first", amount=amount)
    later(world, authorization_id, clock)
    same_answer(first, operate(world, kind, authorization_id, "first", amount=amount))


def test_one_key_serves_once_for_each_operation_and_account(world: World) -> None:
    authorization_id = id_of(authorize(world, "key-1"))
    made = [
        increment(world, authorization_id, "key-1"),
        capture(world, authorization_id, "key-1", amount=100),
        refund(world, authorization_id, "key-1"),
        void(world, authorization_id, "key-1"),
        authorize(world, "key-1", account=OTHER_ACCOUNT),
    ]
    assert not any(outcome.replayed for outcome in made)
    assert len({authorization_id, *map(id_of, made)}) == 6


def test_capturing_twice_with_one_key_moves_money_once(world: World) -> None:
    authorization_id = id_of(authorize(world))
    for _ in range(3):
        capture(world, authorization_id, amount=400)
    assert totals_now(world, authorization_id) == Totals(authorized=1000, captured=400)


# --- a key that belongs to another request ---------------------------------------------------------------------------


@each_case(
    ("changes", "card_changes", "expected"),
    [
        ({"amount": 1001}, {}, ["/amount"]),
        ({"currency": "USD"}, {}, ["/currency"]),
        ({"merchant_reference": "order-2"}, {}, ["/merchant_reference"]),
        ({"merchant_reference": None}, {}, ["/merchant_reference"]),
        ({"metadata": {"a": "1", "b": "3"}}, {}, ["/metadata/b"]),
        ({"metadata": {"a": "1"}}, {}, ["/metadata/b"]),
        ({"metadata": {"a": "1", "b": "2", "c": ""}}, {}, ["/metadata/c"]),
        ({"metadata": {}}, {}, ["/metadata/a", "/metadata/b"]),
        ({"metadata": None}, {}, ["/metadata"]),
        ({"simulate": "lost_card"}, {}, ["header:X-Sandbox-Simulate"]),
        ({"simulate": "APPROVE"}, {}, ["header:X-Sandbox-Simulate"]),
        ({"simulate": None}, {}, ["header:X-Sandbox-Simulate"]),
        ({}, {"number": "5555555555554444"}, ["/card/number"]),
        ({}, {"exp_month": 11}, ["/card/exp_month"]),
        ({}, {"exp_year": 2031}, ["/card/exp_year"]),
        ({}, {"cvc": None}, ["/card/cvc"]),
        ({}, {"holder_name": "Ada Byron"}, ["/card/holder_name"]),
        ({}, {"holder_name": None}, ["/card/holder_name"]),
        ({}, {"billing_address": None}, ["/card/billing_address"]),
        (
            {},
            {"billing_address": {"line1": "1 Main Street", "postal_code": "10116"}},
            ["/card/billing_address/postal_code"],
        ),
        (
            {},
            {"billing_address": {"line1": "1 Main Street", "city": "Berlin"}},
            ["/card/billing_address/city", "/card/billing_address/postal_code"],
        ),
        (
            {"amount": 7, "metadata": {"b": "2", "a/b~c": ""}, "simulate": None},
            {"number": "5555555555554444", "cvc": None},
            [
                "/amount",
                "/card/cvc",
                "/card/number",
                "/metadata/a",
                "/metadata/a~1b~0c",
                "header:X-Sandbox-Simulate",
            ],
        ),
    ],
)
def test_a_key_that_made_another_authorization_is_refused_with_every_field_that_differs(
    changes: dict[str, Any], card_changes: dict[str, Any], expected: list[str]
) -> None:
    store, clock = MemoryStore(), FrozenClock()
    world = make_world(store, clock)
    first = payments.authorize_payment(world, FULL_REQUEST, idempotency_key="k")
    before = snapshot(store)
    clock.advance(days=1)
    other = replace(FULL_REQUEST, **changes, card=replace(FULL_CARD, **card_changes))
    with pytest.raises(IdempotencyKeyReused) as caught:
        payments.authorize_payment(world, other, idempotency_key="k")
    assert pointers(caught.value) == expected
    assert {error.code for error in caught.value.errors} == {"differs"}
    assert caught.value.facts == {"first_used_at": "2026-11-23T10:00:00.000Z", "transaction_id": id_of(first)}
    assert ", ".join(expected) in caught.value.detail
    assert snapshot(store) == before


def test_fields_that_a_request_adds_are_named_too(world: World) -> None:
    authorize(world)
    with pytest.raises(IdempotencyKeyReused) as caught:
        authorize(world, card=FULL_CARD, merchant_reference="order-1", metadata={}, simulate="approve")
    assert pointers(caught.value) == [
        "/card/billing_address",
        "/card/holder_name",
        "/merchant_reference",
        "/metadata",
        "header:X-Sandbox-Simulate",
    ]


def test_a_cvc_is_not_kept_even_as_a_hash_so_that_another_one_is_not_told_apart(world: World) -> None:
    first = authorize(world, card=card_with(cvc="123"))
    same_answer(first, authorize(world, card=card_with(cvc="321")))


def test_metadata_whose_name_looks_like_a_header_is_named_where_it_stands(world: World) -> None:
    authorize(world, metadata={"header:X": "1"})
    with pytest.raises(IdempotencyKeyReused) as caught:
        authorize(world, metadata={"header:X": "2"})
    assert pointers(caught.value) == ["/metadata/header:X"]


@each_case(
    ("changes", "expected"),
    [
        ({"amount": 401}, ["/amount"]),
        ({"amount": None}, ["/amount"]),
        ({"final": True}, ["/final"]),
        ({"merchant_reference": "b"}, ["/merchant_reference"]),
        ({"metadata": {"a": "2"}}, ["/metadata/a"]),
        ({"simulate": "approve"}, ["header:X-Sandbox-Simulate"]),
        ({"amount": 1, "final": True, "metadata": None}, ["/amount", "/final", "/metadata"]),
    ],
)
@each_case("later", [None, used_up, expired])
def test_a_key_that_made_another_capture_is_refused_with_every_field_that_differs(
    changes: dict[str, Any], expected: list[str], later: Later | None
) -> None:
    clock = FrozenClock()
    world = make_world(clock=clock)
    authorization_id = id_of(authorize(world))
    fields: dict[str, Any] = {"amount": 400, "merchant_reference": "a", "metadata": {"a": "1"}}
    first = capture(world, authorization_id, **fields)
    if later is not None:
        later(world, authorization_id, clock)
    with pytest.raises(IdempotencyKeyReused) as caught:
        capture(world, authorization_id, **{**fields, **changes})
    assert pointers(caught.value) == expected
    assert caught.value.facts["transaction_id"] == id_of(first)


@each_case("kind", OPERATION_KINDS)
@each_case("second", ["another authorization", "a declined one", "an unknown one", "a stranger's"])
def test_a_key_used_on_one_authorization_is_refused_on_every_other(kind: str, second: str) -> None:
    world = make_world()
    ids = {
        "another authorization": id_of(authorize(world, "other")),
        "a declined one": id_of(authorize(world, "no", card=card_with(number=DECLINED_NUMBER))),
        "an unknown one": "auth_unknown",
        "a stranger's": id_of(authorize(world, "theirs", account=OTHER_ACCOUNT)),
    }
    first_id = id_of(authorize(world))
    capture(world, first_id, "cap-0", amount=500)
    operate(world, kind, first_id, "key", amount=1)
    with pytest.raises(IdempotencyKeyReused) as caught:
        operate(world, kind, ids[second], "key", amount=1)
    assert pointers(caught.value) == ["/authorization_id"]


def test_a_reused_key_is_said_before_what_the_state_forbids(world: World) -> None:
    authorization_id = id_of(authorize(world))
    capture(world, authorization_id)
    with pytest.raises(IdempotencyKeyReused):
        capture(world, authorization_id, amount=5)


def test_an_invalid_instruction_is_said_before_that_the_key_was_reused(world: World) -> None:
    authorize(world)
    with pytest.raises(InvalidSimulation):
        authorize(world, simulate="bankruptcy", amount=5)
    with pytest.raises(InvalidRequest) as caught:
        authorize(world, simulate="bankruptcy", merchant_reference=CARD.number)
    assert caught.value.code == "invalid_request"


# --- keys stay free after a refusal ----------------------------------------------------------------------------------


def test_a_refused_operation_leaves_no_trace_and_its_key_free(world: World, store: MemoryStore) -> None:
    authorization_id = id_of(authorize(world))
    before = snapshot(store)
    refusals: list[tuple[str, dict[str, Any], type[SandboxError]]] = [
        ("capture", {"amount": 1001}, AmountExceedsAuthorized),
        ("capture", {"simulate": "nonsense"}, InvalidSimulation),
        ("refund", {}, AuthorizationNotRefundable),
        ("increment", {"amount": AMOUNT_MAX}, AmountTooLarge),
        ("increment", {"amount": 1, "simulate": "risk=normal"}, InvalidSimulation),
    ]
    for kind, fields, error in refusals:
        with pytest.raises(error):
            operate(world, kind, authorization_id, "key", **fields)
    with pytest.raises(TransactionNotFound):
        capture(world, "auth_unknown", "key")
    assert snapshot(store) == before
    assert not increment(world, authorization_id, "key").replayed
    assert not capture(world, authorization_id, "key", amount=600).replayed
    assert not refund(world, authorization_id, "key", amount=600).replayed


def test_a_key_refused_for_one_request_serves_another(world: World) -> None:
    with pytest.raises(InvalidRequest):
        authorize(world, metadata={"note": CARD.number})
    outcome = authorize(world, amount=7, metadata={"note": "none"})
    assert not outcome.replayed
    authorization_id = id_of(outcome)
    with pytest.raises(AmountExceedsAuthorized):
        capture(world, authorization_id, "key", amount=8)
    assert capture(world, authorization_id, "key", amount=7).entry.data["amount"] == 7
