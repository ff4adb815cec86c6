"""Amounts are integers of the minor unit, and are written with the currency's own number of decimals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_sandbox.domain.money import AMOUNT_MAX, EXPONENTS, format_amount
from tests.each_case import each_case


@each_case(
    ("amount", "currency", "text"),
    [
        (1051, "JPY", "1051 JPY"),
        (0, "JPY", "0 JPY"),
        (-7, "JPY", "-7 JPY"),
        (1051, "EUR", "10.51 EUR"),
        (100, "EUR", "1.00 EUR"),
        (5, "EUR", "0.05 EUR"),
        (0, "EUR", "0.00 EUR"),
        (-5, "EUR", "-0.05 EUR"),
        (-1051, "EUR", "-10.51 EUR"),
        (1051, "KWD", "1.051 KWD"),
        (1, "KWD", "0.001 KWD"),
        (1051, "CLF", "0.1051 CLF"),
        (123_456, "UYW", "12.3456 UYW"),
        (999_999_999_999, "USD", "9999999999.99 USD"),
    ],
)
def test_an_amount_is_written_in_the_major_unit(amount: int, currency: str, text: str) -> None:
    assert format_amount(amount, currency) == text


@given(amount=st.integers(-AMOUNT_MAX, AMOUNT_MAX), currency=st.sampled_from(sorted(EXPONENTS)))
def test_the_written_amount_holds_every_minor_unit(amount: int, currency: str) -> None:
    number, _, code = format_amount(amount, currency).partition(" ")
    assert code == currency
    assert int(number.replace(".", "")) == amount
    assert len(number.partition(".")[2]) == EXPONENTS[currency]


@each_case(
    ("exponent", "currencies"),
    [
        (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
        (2, "AUD CAD CHF CZK EUR GBP HUF IDR INR MGA MRU MXN NOK PLN SEK TRY TWD USD XCG ZAR ZWG"),
        (3, "BHD IQD JOD KWD LYD OMR TND"),
        (4, "CLF UYW"),
    ],
)
def test_exponents_are_those_of_iso_4217(exponent: int, currencies: str) -> None:
    assert {code: EXPONENTS.get(code) for code in currencies.split()} == dict.fromkeys(
        currencies.split(), exponent
    )


def test_every_exponent_but_two_is_spelled_out_above() -> None:
    assert sum(exponent != 2 for exponent in EXPONENTS.values()) == 17 + 7 + 2
    assert set(EXPONENTS.values()) == {0, 2, 3, 4}


def test_withdrawn_currencies_metals_and_codes_for_tests_are_no_currencies() -> None:
    assert (
        not {"BGN", "HRK", "ANG", "SLL", "CUC", "DEM", "XAU", "XAG", "XDR", "XTS", "XXX"} & EXPONENTS.keys()
    )


def test_codes_are_three_capitals_in_alphabetical_order() -> None:
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in EXPONENTS)
    assert list(EXPONENTS) == sorted(EXPONENTS)


def test_an_unknown_currency_is_not_given_two_decimals_by_default() -> None:
    with pytest.raises(KeyError):
        format_amount(1, "XXX")


def test_the_largest_amount_has_the_twelve_digits_of_iso_8583() -> None:
    assert str(AMOUNT_MAX) == "9" * 12
