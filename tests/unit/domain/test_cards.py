"""What can be told of a card without asking anybody: brand, check digit, expiry, and what AVS and CVC checks find."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_sandbox.domain.cards import (
    CardDetails,
    avs_result,
    brand_of,
    cvc_result,
    describe_card,
    has_expired,
    luhn_digit,
    passes_luhn,
)
from tests.calls.payments import card_with
from tests.each_case import each_case

digits = st.text("0123456789", min_size=11, max_size=18)


def luhn_sum(number: str) -> int:
    """The sum of ISO/IEC 7812-1, written the way it is explained: from the right, every second digit doubled."""
    total = 0
    for place, digit in enumerate(reversed([int(char) for char in number])):
        doubled = digit * 2 if place % 2 == 1 else digit
        total += doubled // 10 + doubled % 10
    return total


@each_case(
    ("others", "digit"),
    [
        ("7992739871", "3"),  # the example of the algorithm's encyclopedia articles
        ("1789372997", "4"),
        ("49927398716"[:-1], "6"),
        ("0", "0"),
        ("1", "8"),
        ("18", "2"),
        ("37828224631000", "5"),
        ("3056930902590", "4"),
        ("424242424242424", "2"),
    ],
)
def test_the_check_digit_is_the_one_computed_elsewhere(others: str, digit: str) -> None:
    assert luhn_digit(others) == digit


@given(digits)
def test_the_check_digit_makes_the_sum_a_multiple_of_ten(others: str) -> None:
    assert luhn_sum(others + luhn_digit(others)) % 10 == 0


@given(digits, st.sampled_from("0123456789"))
def test_a_number_passes_only_with_its_check_digit(others: str, last: str) -> None:
    assert passes_luhn(others + last) == (luhn_sum(others + last) % 10 == 0)


@given(digits, st.data())
def test_one_wrong_digit_is_always_found(others: str, data: st.DataObject) -> None:
    number = others + luhn_digit(others)
    place = data.draw(st.integers(0, len(number) - 1))
    wrong = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != number[place]]))
    assert not passes_luhn(number[:place] + wrong + number[place + 1 :])


@each_case(
    ("leading", "brand"),
    [
        ("4", "visa"),
        ("40", "visa"),
        ("49", "visa"),
        ("50", "unknown"),
        ("51", "mastercard"),
        ("55", "mastercard"),
        ("56", "unknown"),
        ("2220", "unknown"),
        ("222099", "unknown"),
        ("222100", "mastercard"),
        ("2221", "mastercard"),
        ("2229", "mastercard"),
        ("2230", "mastercard"),
        ("2299", "mastercard"),
        ("2300", "mastercard"),
        ("2699", "mastercard"),
        ("2700", "mastercard"),
        ("2719", "mastercard"),
        ("2720", "mastercard"),
        ("272099", "mastercard"),
        ("272100", "unknown"),
        ("2721", "unknown"),
        ("2199", "unknown"),
        ("28", "unknown"),
        ("33", "unknown"),
        ("34", "amex"),
        ("37", "amex"),
        ("35", "unknown"),
        ("3527", "unknown"),
        ("3528", "jcb"),
        ("3529", "jcb"),
        ("3530", "jcb"),
        ("3588", "jcb"),
        ("3589", "jcb"),
        ("3590", "unknown"),
        ("300", "diners"),
        ("305", "diners"),
        ("306", "unknown"),
        ("3094", "unknown"),
        ("3095", "diners"),
        ("3096", "unknown"),
        ("36", "diners"),
        ("38", "diners"),
        ("39", "diners"),
        ("31", "unknown"),
        ("6010", "unknown"),
        ("6011", "discover"),
        ("6012", "unknown"),
        ("643", "unknown"),
        ("644", "discover"),
        ("649", "discover"),
        ("65", "discover"),
        ("66", "unknown"),
        ("61", "unknown"),
        ("62", "unionpay"),
        ("63", "unknown"),
        ("80", "unknown"),
        ("81", "unionpay"),
        ("82", "unknown"),
        ("0", "unknown"),
        ("1", "unknown"),
        ("7", "unknown"),
        ("9", "unknown"),
    ],
)
def test_the_leading_digits_tell_the_brand(leading: str, brand: str) -> None:
    assert brand_of(leading.ljust(16, "0")) == brand


def test_mastercards_second_range_is_2221_to_2720_and_nothing_else_that_begins_with_2() -> None:
    found = [n for n in range(2000, 3000) if brand_of(f"{n}000000000000") == "mastercard"]
    assert found == list(range(2221, 2721))


def test_the_brand_is_told_from_the_beginning_only() -> None:
    assert brand_of("9999424242424242") == "unknown"


@each_case(
    ("number", "brand", "last4", "funding"),
    [
        ("4242424242424242", "visa", "4242", "credit"),
        ("4000056655665556", "visa", "5556", "debit"),
        ("5200828282828210", "mastercard", "8210", "debit"),
        ("5105105105105100", "mastercard", "5100", "prepaid"),
        ("378282246310005", "amex", "0005", "credit"),
        ("30569309025904", "diners", "5904", "credit"),
    ],
)
def test_brand_last_digits_and_funding_are_kept(number: str, brand: str, last4: str, funding: str) -> None:
    facts = describe_card(number)
    assert (facts.brand, facts.last4, facts.funding) == (brand, last4, funding)


def test_a_card_never_prints_its_number_or_its_cvc() -> None:
    shown = f"{card_with(number='5555555555554444', cvc='987')!r} {card_with(number='5555555555554444', cvc='987')}"
    assert "5555555555554444" not in shown
    assert "987" not in shown
    assert "exp_year=2030" in shown


@each_case(
    ("exp_month", "exp_year", "year", "month", "expired"),
    [
        (11, 2026, 2026, 11, False),
        (11, 2026, 2026, 12, True),
        (12, 2026, 2026, 12, False),
        (12, 2026, 2027, 1, True),
        (1, 2027, 2026, 12, False),
        (12, 2025, 2026, 1, True),
        (1, 2099, 2026, 11, False),
        (12, 2000, 2026, 1, True),
    ],
)
def test_a_card_is_good_to_the_end_of_its_month(
    exp_month: int, exp_year: int, year: int, month: int, expired: bool
) -> None:
    assert has_expired(exp_month, exp_year, year=year, month=month) is expired


@each_case(
    ("cvc", "brand", "result"),
    [
        (None, "visa", "P"),
        (None, "amex", "P"),
        ("123", "visa", "M"),
        ("1234", "visa", "N"),
        ("123", "amex", "N"),
        ("1234", "amex", "M"),
        ("123", "unknown", "M"),
        ("000", "mastercard", "M"),
    ],
)
def test_a_cvc_matches_when_it_is_as_long_as_the_brands(cvc: str | None, brand: str, result: str) -> None:
    assert cvc_result(card_with(cvc=cvc), brand) == result


LINE1 = {"line1": "1 Main Street"}
POSTAL_CODE = {"postal_code": "10115"}
CITY = {"city": "Berlin", "country": "DE", "line2": "c/o Ada", "state": "BE"}


@each_case(
    ("address", "line1_matches", "postal_code_matches", "result"),
    [
        (LINE1 | POSTAL_CODE, True, True, "Y"),
        (LINE1 | POSTAL_CODE, True, False, "A"),
        (LINE1 | POSTAL_CODE, False, True, "Z"),
        (LINE1 | POSTAL_CODE, False, False, "N"),
        (LINE1, True, True, "A"),
        (LINE1, True, False, "A"),
        (LINE1, False, True, "N"),
        (LINE1, False, False, "N"),
        (POSTAL_CODE, True, True, "Z"),
        (POSTAL_CODE, False, True, "Z"),
        (POSTAL_CODE, True, False, "N"),
        (POSTAL_CODE, False, False, "N"),
        (LINE1 | POSTAL_CODE | CITY, True, True, "Y"),
    ],
)
def test_avs_finds_what_was_sent_and_matches(
    address: dict[str, str], line1_matches: bool, postal_code_matches: bool, result: str
) -> None:
    found = avs_result(address, line1_matches=line1_matches, postal_code_matches=postal_code_matches)
    assert found == result


@pytest.mark.parametrize("address", [None, {}, CITY])
def test_avs_is_unavailable_when_nothing_that_it_compares_was_sent(address: dict[str, str] | None) -> None:
    for line1_matches, postal_code_matches in product((True, False), repeat=2):
        found = avs_result(address, line1_matches=line1_matches, postal_code_matches=postal_code_matches)
        assert found == "U"


def test_a_card_is_the_same_card_when_all_its_fields_are() -> None:
    assert CardDetails("4242424242424242", 12, 2030, "123") == card_with()
    assert card_with(cvc="124") != card_with()
