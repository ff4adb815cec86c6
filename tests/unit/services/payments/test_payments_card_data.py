"""What of a card is kept, and what may stand in no text."""

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments_sandbox.domain.errors import (
    FieldError,
    InvalidRequest,
)
from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.domain.ids import TransactionId
from payments_sandbox.services.payments import payments
from payments_sandbox.services.payments.payments import Authorize, PaymentOperation
from payments_sandbox.services.world import World
from tests.calls.outcomes import pointers, snapshot
from tests.calls.payments import (
    FULL_REQUEST,
    authorization_request,
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
from tests.doubles.ports import make_world
from tests.each_case import each_case

# --- card data -------------------------------------------------------------------------------------------------------

NUMBER = "5555555555554444"
GROUPED = "5555 5555 5555 4444"


@each_case("written", [NUMBER, GROUPED, f"card {NUMBER}!", "5555-5555-5555-4444", f"1{NUMBER}2"])
@each_case(
    ("place", "pointer"),
    [
        ("merchant_reference", "/merchant_reference"),
        ("simulate", "header:X-Sandbox-Simulate"),
        ("metadata", "/metadata/a~1b"),
        ("metadata name", "/metadata"),
        ("holder_name", "/card/holder_name"),
        *((f"address {name}", f"/card/billing_address/{name}") for name in "line1 line2 city state".split()),
    ],
)
def test_a_card_number_in_a_text_is_refused_and_named_without_the_number(
    world: World, store: MemoryStore, written: str, place: str, pointer: str
) -> None:
    request = authorization_request(card=card_with(number=NUMBER))
    match place.split():
        case ["metadata"]:
            request = replace(request, metadata={"a/b": written})
        case ["metadata", "name"]:
            request = replace(request, metadata={written: "x"})
        case ["holder_name"]:
            request = replace(request, card=replace(request.card, holder_name=written))
        case ["address", name]:
            request = replace(request, card=replace(request.card, billing_address={name: written}))
        case ["simulate"]:
            request = replace(request, simulate=written)
        case _:
            request = replace(request, merchant_reference=written)
    with pytest.raises(InvalidRequest) as caught:
        payments.authorize_payment(world, request, idempotency_key="k")
    assert caught.value.code == "invalid_request"
    assert caught.value.errors == (FieldError(pointer, FieldCode.CARD_NUMBER, "holds the card number"),)
    shown = "".join(char for char in f"{caught.value.detail}{caught.value.errors}" if char.isdigit())
    assert NUMBER not in shown
    assert store.records == {}


@each_case("zero", ["٠", "۰", "०", "０", "𝟎"])
def test_a_card_number_in_other_digits_is_a_card_number(world: World, zero: str) -> None:
    written = "".join(chr(ord(zero) + int(digit)) for digit in NUMBER)
    with pytest.raises(InvalidRequest):
        authorize(world, card=card_with(number=NUMBER), metadata={"note": written})


def test_every_text_that_holds_the_number_is_named_once(world: World) -> None:
    with pytest.raises(InvalidRequest) as caught:
        authorize(
            world,
            card=card_with(number=NUMBER, holder_name=GROUPED, billing_address={"city": NUMBER}),
            merchant_reference=NUMBER,
            metadata={NUMBER: GROUPED, "fine": "text", "note": NUMBER},
        )
    assert pointers(caught.value) == [
        "/card/holder_name",
        "/card/billing_address/city",
        "/merchant_reference",
        "/metadata",
        "/metadata/note",
    ]


@each_case("kind", ["capture", "refund", "void", "increment"])
@each_case("text", [NUMBER, GROUPED, f"card {NUMBER}!"])
def test_later_operations_refuse_the_number_too_though_they_never_saw_it(kind: str, text: str) -> None:
    store = MemoryStore()
    world = make_world(store)
    authorization_id = id_of(authorize(world, card=card_with(number=NUMBER)))
    if kind == "refund":
        capture(world, authorization_id, "cap-0", amount=10)
    before = snapshot(store)
    with pytest.raises(InvalidRequest) as caught:
        operate(world, kind, authorization_id, amount=1, metadata={"note": text, "fine": "4242424242424242"})
    assert pointers(caught.value) == ["/metadata/note"]
    assert snapshot(store) == before


@each_case("text", [NUMBER[:-1], "4242424242424242", NUMBER[::-1], "order 55554444", ""])
def test_texts_without_the_number_are_kept_as_they_are(text: str) -> None:
    world = make_world()
    entry = authorize(world, card=card_with(number=NUMBER), metadata={"note": text}).entry
    assert entry.data["request"]["metadata"] == {"note": text}


def luhn_complete(digits: str) -> str:
    total = sum(sum(divmod(int(char) * (2 - place % 2), 10)) for place, char in enumerate(reversed(digits)))
    return digits + str(-total % 10)


numbers = st.text("0123456789", min_size=11, max_size=18).map(luhn_complete)


@st.composite
def cards_and_texts(draw: st.DrawFn) -> tuple[str, str]:
    """A card number, and a text that may hold it, with other characters in between."""
    number = draw(numbers)
    pieces = draw(st.lists(st.text(max_size=3) | st.sampled_from(" -./"), min_size=len(number)))
    hidden = "".join(digit + piece for digit, piece in zip(number, pieces, strict=False))
    return number, draw(st.text(max_size=30) | st.just(hidden))


@settings(max_examples=80)
@given(cards_and_texts(), st.sampled_from(["holder", "address", "reference", "metadata", "name"]))
def test_no_stored_record_holds_the_card_number(number_and_text: tuple[str, str], place: str) -> None:
    number, text = number_and_text
    store = MemoryStore()
    world = make_world(store)
    card = card_with(
        number=number,
        cvc=number[:3],
        holder_name=f"Mx {text}" if place == "holder" else None,
        billing_address={"line1": text} if place == "address" else None,
    )
    metadata = {"metadata": {"note": text}, "name": {text: "note"}}.get(place)
    reference = text if place == "reference" else None
    try:
        outcome = authorize(
            world, card=card, merchant_reference=reference, metadata=metadata, simulate="approve"
        )
    except InvalidRequest:
        assert number in digits_of(text)
        assert store.records == {}
        return
    capture(world, id_of(outcome), amount=100)
    refund(world, id_of(outcome))
    increment(world, id_of(outcome))
    void(world, id_of(outcome))
    assert len(store.records) == 5
    for record in store.records.values():
        assert number not in repr(record)
        assert number not in json.dumps(asdict(record))
        assert not any(number in digits_of(value) for value in strings_of(asdict(record)))
        assert set(record.data["card"]) <= {
            "brand",
            "last4",
            "funding",
            "exp_month",
            "exp_year",
            "holder_name",
        }


@given(st.from_regex(r"[0-9]{3}", fullmatch=True), st.from_regex(r"[0-9]{3}", fullmatch=True))
def test_what_is_kept_does_not_depend_on_the_cvc_so_not_even_its_hash_is(one: str, other: str) -> None:
    kept = []
    for cvc in (one, other):
        store = MemoryStore()
        world = make_world(store)
        capture(world, id_of(authorize(world, card=card_with(cvc=cvc))), amount=100)
        kept.append(snapshot(store))
    assert kept[0] == kept[1]


def test_of_a_cvc_only_the_fact_that_there_was_one_is_kept(world: World) -> None:
    assert authorize(world, "with").entry.data["request"]["card"]["cvc"] is True
    assert "cvc" not in authorize(world, "without", card=card_with(cvc=None)).entry.data["request"]["card"]


def digits_of(text: str) -> str:
    return "".join(str(unicodedata.decimal(char)) for char in text if char.isdecimal())


def strings_of(data: Any) -> set[str]:
    """Every text and number in a JSON value, as text; keys too."""
    if isinstance(data, Mapping):
        return {*data.keys(), *(text for value in data.values() for text in strings_of(value))}
    if isinstance(data, list):
        return {text for value in data for text in strings_of(value)}
    return {str(data)}


def test_requests_do_not_print_card_numbers_or_cvcs() -> None:
    shown = repr(authorization_request(card=card_with(number=NUMBER, cvc="987")))
    assert NUMBER not in shown
    assert "987" not in shown


def test_the_ledger_holds_only_values_that_json_has(world: World, store: MemoryStore) -> None:
    authorization_id = id_of(payments.authorize_payment(world, FULL_REQUEST, idempotency_key="k"))
    capture(world, authorization_id, amount=100, metadata={"a": "b"}, final=True)
    for record in store.records.values():
        assert json.loads(json.dumps(record.data)) == record.data
        assert "." not in "".join(text for text in strings_of(record.data) if text[:1].isdigit())


def test_an_increment_without_amount_is_a_mistake_of_the_program(world: World) -> None:
    command = PaymentOperation(TransactionId(id_of(authorize(world))))
    with pytest.raises(AssertionError):
        payments.increment_payment(world, command, idempotency_key="k")


def test_a_request_is_left_as_it_was(world: World) -> None:
    metadata = {"a": "1"}
    outcome = authorize(world, metadata=metadata)
    metadata["a"] = "2"
    assert outcome.entry.data["request"]["metadata"] == {"a": "1"}


def test_requests_are_compared_by_all_their_fields() -> None:
    # A field that is added to a request must be compared too: this list reminds whoever adds it.
    assert set(Authorize.__dataclass_fields__) == {
        "amount",
        "currency",
        "card",
        "merchant_reference",
        "metadata",
        "simulate",
    }
    assert set(PaymentOperation.__dataclass_fields__) == {
        "authorization_id",
        "amount",
        "final",
        "merchant_reference",
        "metadata",
        "simulate",
    }
