"""ISO 8583 messages: what is in them for each kind of entry, and that what is packed can be read again."""

import re
from typing import Any

import iso8583
import pytest
from hypothesis import given
from hypothesis import strategies as st
from iso8583.specs import default as library_dialect

from payments_sandbox.adapters.iso8583.packer import Iso8583Packer
from payments_sandbox.domain.cards import CardDetails
from payments_sandbox.domain.errors import TransactionNotFound
from payments_sandbox.domain.ids import TransactionId
from payments_sandbox.domain.iso8583 import ELEMENTS, DataElement, Message, make_message, response_type
from payments_sandbox.domain.money import AMOUNT_MAX, EXPONENTS, NUMERIC_CODES
from payments_sandbox.domain.network import MESSAGE_TYPES, RESPONSE_CODES
from payments_sandbox.services.payments import payments
from payments_sandbox.services.payments.expiries import expire_authorization
from payments_sandbox.services.payments.network_messages import (
    get_network_messages,
    render_network_messages,
)
from payments_sandbox.services.payments.payments import Authorize, PaymentOperation
from payments_sandbox.services.ports import Record
from payments_sandbox.services.world import World
from tests.doubles.ports import NOW_MS, make_world, of_account
from tests.each_case import each_case

ACCOUNT = "acct_one"
VISA = "4242424242424242"
CHARACTERS = {"n": "0123456789", "an": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", "ans": " *AZaz09_-"}


def authorize(world: World, number: str = VISA, key: str = "one", **changes: Any) -> Record:
    details = {"amount": 1051, "currency": "EUR", "card": CardDetails(number, 12, 2030, "123"), **changes}
    return payments.authorize_payment(world, Authorize(**details), idempotency_key=key).entry.record


def operate(world: World, verb: str, authorization: Record, **details: Any) -> Record:
    operation = PaymentOperation(TransactionId(authorization.id), **details)
    do = getattr(payments, f"{verb}_payment")
    record: Record = do(world, operation, idempotency_key="key").entry.record
    return record


def expire(world: World, authorization: Record) -> Record:
    """Let the authorization expire as it stands; answers the expiry."""
    (current,) = world.store.get([authorization.id])
    assert current is not None
    expire_authorization(world.at(authorization.data["expires_at"]), current)
    (expired,) = world.store.get([authorization.id])
    assert expired is not None
    (entry,) = world.store.get(expired.data["entries"][-1:])
    assert entry is not None
    return entry


def messages(world: World, record: Record) -> tuple[Message, Message]:
    """Request and response, after a look at how they are packed and shown."""
    pair = get_network_messages(world, record.id)
    for message, packed in (pair.request, pair.response):
        assert world.infrastructure.packer.unpack(packed.octets) == message
        for number, value in message.elements.items():
            assert fits(ELEMENTS[number], value), (number, value)
    shown = render_network_messages(pair)
    assert [element["value"] for element in shown["request"]["elements"]] == list(
        pair.request[0].elements.values()
    )
    return pair.request[0], pair.response[0]


def fits(element: DataElement, value: str) -> bool:
    characters = {"n": "[0-9]", "an": "[0-9A-Z]", "ans": "[ -~]"}[element.kind]
    count = f"{{1,{element.length}}}" if element.length_digits else f"{{{element.length}}}"
    return re.fullmatch(characters + count, value) is not None


def element_values(element: DataElement) -> st.SearchStrategy[str]:
    least = 1 if element.length_digits else element.length
    return st.text(CHARACTERS[element.kind], min_size=least, max_size=element.length)


@given(
    st.sampled_from(sorted({*MESSAGE_TYPES.values(), *map(response_type, MESSAGE_TYPES.values())})),
    st.fixed_dictionaries(
        {2: element_values(ELEMENTS[2])},
        optional={number: element_values(element) for number, element in ELEMENTS.items() if number != 2},
    ),
)
def test_whatever_is_packed_is_read_again(message_type: str, elements: dict[int, str]) -> None:
    message = make_message(message_type, elements)
    packed = Iso8583Packer().pack(message)
    assert Iso8583Packer().unpack(packed.octets) == message
    # The library's own dialect has the same widths, so anybody's program reads it.
    document, _ = iso8583.decode(packed.octets, library_dialect)
    assert {
        int(name): value for name, value in document.items() if name.isdecimal() and name != "1"
    } == elements
    assert packed.bitmap == document["p"] + document.get("1", "")


@pytest.mark.parametrize("value", ["00000000000", "0000000000000"])
def test_what_does_not_fit_its_element_is_not_packed(value: str) -> None:
    with pytest.raises(ValueError, match="12"):
        Iso8583Packer().pack(Message("0100", {4: value}))


def test_a_message_that_is_cut_short_is_not_read() -> None:
    packed = Iso8583Packer().pack(Message("0100", {4: "000000001051"}))
    with pytest.raises(ValueError, match="12"):
        Iso8583Packer().unpack(packed.octets[:-1])


def test_an_authorization_is_a_request_with_its_references_and_a_masked_number() -> None:
    world = make_world(account_id=ACCOUNT)
    record = authorize(world)
    request, response = messages(world, record)
    network = record.data["network"]
    assert (request.message_type, response.message_type) == ("0100", "0110")
    assert request.name == "Authorization request"
    assert response.name == "Authorization response"
    assert request.elements == {
        2: "************4242",
        3: "000000",
        4: "000000001051",
        7: "1123100000",
        11: network["stan"],
        12: "100000",
        13: "1123",
        14: "3012",
        22: "012",
        25: "59",
        32: "400000",
        37: network["rrn"],
        41: "SANDBOX1",
        42: "one            ",
        49: "978",
    }
    assert response.elements == {
        **{number: value for number, value in request.elements.items() if number not in (14, 22, 25)},
        38: network["authorization_code"],
        39: "00",
        44: "5U       M",
    }


def test_no_message_holds_more_of_the_number_than_its_last_four_digits() -> None:
    world = make_world(account_id=ACCOUNT)
    for number, masked in (
        ("378282246310005", "***********0005"),
        ("30569309025904", "**********5904"),
        ("5555555555554444", "************4444"),
    ):
        record = authorize(world, number, key=number)
        pair = get_network_messages(world, record.id)
        for message, packed in (pair.request, pair.response):
            assert message.elements[2] == masked
            assert number[:6].encode() not in packed.octets
            assert number[6:12].encode() not in packed.octets


@each_case("response_code", RESPONSE_CODES)
def test_a_declined_authorization_carries_the_response_code_and_no_authorization_code(
    response_code: str,
) -> None:
    world = make_world(account_id=ACCOUNT)
    record = authorize(world, simulate=f"response_code={response_code}; cvc=N; avs=Z")
    _, response = messages(world, record)
    assert response.elements[39] == response_code
    assert 38 not in response.elements
    assert response.elements[44] == "5Z       N"


def test_a_capture_is_an_advice_under_the_authorization_code() -> None:
    world = make_world(account_id=ACCOUNT)
    authorization = authorize(world)
    request, response = messages(world, operate(world, "capture", authorization, amount=1000))
    assert (request.message_type, response.message_type) == ("0220", "0230")
    code = authorization.data["network"]["authorization_code"]
    assert request.elements[4] == "000000001000"
    assert request.elements[38] == response.elements[38] == code
    assert 90 not in request.elements


def test_a_declined_capture_is_answered_with_its_response_code() -> None:
    world = make_world(account_id=ACCOUNT)
    authorization = authorize(world, "4000000000000341")
    _, response = messages(world, operate(world, "capture", authorization))
    assert response.elements[39] == "05"
    assert 38 not in response.elements


def test_a_refund_is_a_financial_request_with_processing_code_20() -> None:
    world = make_world(account_id=ACCOUNT)
    authorization = authorize(world)
    operate(world, "capture", authorization)
    request, response = messages(world, operate(world, "refund", authorization, amount=200))
    assert (request.message_type, response.message_type) == ("0200", "0210")
    assert request.elements[3] == "200000"
    assert request.elements[4] == "000000000200"
    assert response.name == "Financial response"


def test_an_increment_is_another_authorization_request() -> None:
    world = make_world(account_id=ACCOUNT)
    authorization = authorize(world)
    request, response = messages(world, operate(world, "increment", authorization, amount=49))
    assert (request.message_type, response.message_type) == ("0100", "0110")
    assert request.elements[4] == "000000000049"
    assert request.elements[14] == "3012"


def test_a_void_is_a_reversal_that_names_its_original() -> None:
    world = make_world(account_id=ACCOUNT)
    authorization = authorize(world)
    operate(world, "increment", authorization, amount=49)
    request, response = messages(world, operate(world, "void", authorization))
    assert (request.message_type, response.message_type) == ("0400", "0410")
    stan = authorization.data["network"]["stan"]
    assert request.elements[4] == "000000001100"
    assert request.elements[90] == response.elements[90] == f"0100{stan}11231000000000040000000000000000"
    assert 95 not in request.elements


def test_a_void_after_a_partial_capture_says_what_stays() -> None:
    world = make_world(account_id=ACCOUNT)
    authorization = authorize(world)
    operate(world, "capture", authorization, amount=1000)
    record = operate(world, "void", authorization)
    request, _ = messages(world, record)
    assert request.elements[4] == "000000001051"
    assert request.elements[95] == "000000001000" + "0" * 12 + "D00000000" * 2
    shown = render_network_messages(get_network_messages(world, record.id))
    meanings = {element["number"]: element["meaning"] for element in shown["request"]["elements"]}
    assert meanings[95] == "10.00 EUR was captured and stays"


def test_an_expiry_is_a_reversal_advice_of_the_moment_of_expiry() -> None:
    world = make_world(account_id=ACCOUNT)
    request, response = messages(world, expire(world, authorize(world)))
    assert (request.message_type, response.message_type) == ("0420", "0430")
    assert request.name == "Reversal advice"
    assert response.name == "Reversal advice response"
    assert request.elements[7] == "1130100000"


def test_an_expiry_after_a_partial_capture_says_what_stays() -> None:
    world = make_world(account_id=ACCOUNT)
    authorization = authorize(world)
    operate(world, "capture", authorization, amount=1000)
    request, _ = messages(world, expire(world, authorization))
    assert request.elements[4] == "000000001051"
    assert request.elements[95] == "000000001000" + "0" * 12 + "D00000000" * 2


@given(amount=st.integers(1, AMOUNT_MAX), currency=st.sampled_from(list(EXPONENTS)))
def test_any_amount_in_any_currency_can_be_packed(amount: int, currency: str) -> None:
    world = make_world(account_id=ACCOUNT)
    record = authorize(world, amount=amount, currency=currency)
    request, _ = messages(world, record)
    assert int(request.elements[4]) == amount
    assert request.elements[49] == NUMERIC_CODES[currency]


def test_every_currency_has_a_numeric_code_of_its_own() -> None:
    assert list(NUMERIC_CODES) == list(EXPONENTS)
    assert len(set(NUMERIC_CODES.values())) == len(NUMERIC_CODES)
    assert all(re.fullmatch("[0-9]{3}", code) for code in NUMERIC_CODES.values())
    assert [NUMERIC_CODES[code] for code in ("EUR", "USD", "JPY", "KWD")] == ["978", "840", "392", "414"]


def test_another_account_sees_no_messages() -> None:
    world = make_world(account_id=ACCOUNT)
    record = authorize(world)
    for account_id, transaction_id in (("acct_two", record.id), (ACCOUNT, "auth_none"), (ACCOUNT, ACCOUNT)):
        with pytest.raises(TransactionNotFound):
            get_network_messages(of_account(world, account_id), transaction_id)


def test_the_messages_of_an_entry_stay_the_same_as_time_goes_by() -> None:
    world = make_world(account_id=ACCOUNT)
    authorization = authorize(world)
    before = get_network_messages(world, authorization.id)
    operate(world, "capture", authorization)
    after = get_network_messages(world.at(NOW_MS + 10**9), authorization.id)
    assert (before.request, before.response) == (after.request, after.response)
