"""Card numbers are found in texts, and nearly nothing else is taken for one."""

import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_sandbox.domain.cards import brand_of, luhn_digit
from payments_sandbox.domain.errors import InvalidRequest
from payments_sandbox.domain.pan_guard import (
    PLAUSIBLE_DIGITS_MIN,
    card_number_error,
    card_number_refusal,
    has_card_digits,
    has_digit_run,
    holds_card_number,
    mask_card_numbers,
    mask_digit_runs,
    refuse_own_card_number,
)
from payments_sandbox.domain.triggers import TEST_CARDS
from tests.each_case import each_case

OTHER_VISA = "4111111111111111"

BY_BRAND = {
    "visa": ["4532015112830366", "4000000000000000006"],
    "mastercard": ["5425233430109903", "2223000048410010", "2720992593319364"],
    "amex": ["374245455400126", "341111111111111"],
    "discover": ["6011000991300009", "6510000000001248", "6440000000000070"],
    "diners": ["36700102000000", "30000000000004", "3800000000000006"],
    "jcb": ["3566002020360505", "3528000700000000"],
    "unionpay": ["6250941006528599", "8100000000000002"],
}


@each_case(
    ("brand", "number"), [(brand, number) for brand, numbers in BY_BRAND.items() for number in numbers]
)
def test_a_number_of_every_brand_is_found(brand: str, number: str) -> None:
    assert brand_of(number) == brand
    assert holds_card_number(number)
    assert not holds_card_number(number[:-1] + str((int(number[-1]) + 1) % 10))


@each_case("number", [*TEST_CARDS, "4222222222222"])
@each_case("separator", ["", " ", "-", " - ", "\n", "\u00a0", "\u2011", "\u200b"])
def test_a_published_test_card_is_found_however_it_is_split(number: str, separator: str) -> None:
    assert holds_card_number(separator.join(number))
    assert holds_card_number(f"order 17: {separator.join(number)}!")


@each_case(
    "text",
    [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111  1111 - 1111\t1111",
        "41111111 11111111",
        "3742 454554 00126",
        "4000 0000 0000 0000 006",
        "4111111111111111.",
        "card=4111111111111111;cvc=123",
        "order_4111111111111111",
        "PAN4111111111111111",
        "4111111111111111.0",
        "12,4111111111111111",
        "7 boxes, 12 4111 1111 1111 1111 12/30",
        "https://shop.example/cards/4111111111111111?x=1",
        "https://shop.example/cards/paid%204111111111111111",
        "https://shop.example/cards?4111%2D1111%2d1111%20%31111",
        "100%4111111111111111",
        "٤١١١١١١١١١١١١١١١",
        "４１１１ １１１１ １１１１ １１１１",
        "4111\u20131111\u20131111\u20131111",
    ],
)
def test_a_number_is_found_as_people_and_programs_write_it(text: str) -> None:
    assert holds_card_number(text)
    assert holds_card_number(f"x {text} y")


@each_case(
    "text",
    [
        "",
        "order-1001",
        "4111111111111",
        "411111111111111",
        "41111111111111111",
        "41111111111111112222",
        "4111111111111112",
        "4111.1111.1111.1111",
        "41 11 11 11 11 11 11 11",
        "0.4111111111111111",
        "a9f4111111111111111b2",
        "1795428008638",
        "2026-11-25 22:20:43.123456",
        "20261125222043",
        "+49 151 12345678901",
        "4006381333931",
        "490154203237518",
        "GB29 NWBK 6016 1331 9268 19",
        "DE89 3704 0044 0532 0130 00",
        "1Z999AA10123456784",
        "9400110200881234567890",
        "175928847299117063",
        "5950ce73-1b42-4fa1-8061-7da921400000",
        "41111111-1111-4111-8111-111111111111",
    ],
)
def test_what_only_looks_like_one_is_left_alone(text: str) -> None:
    assert not holds_card_number(text)
    assert mask_card_numbers(text) == text


def test_ids_of_every_kind_are_left_alone() -> None:
    source = random.Random(7391)
    ids = [
        made
        for _ in range(8_000)
        for made in (
            str(uuid.UUID(int=source.getrandbits(128), version=4)),
            f"auth_{source.getrandbits(104):026x}",
            f"req_{source.getrandbits(128):032x}",
            str(source.randrange(10**12, 10**13)),
            str(source.randrange(10**16, 2 * 10**16)),
        )
    ]
    assert [each for each in ids if holds_card_number(each)] == []


@given(st.text("0123456789", min_size=15, max_size=15), st.text(max_size=20), st.text(max_size=20))
def test_a_number_of_sixteen_digits_is_found_wherever_it_stands_by_itself(
    digits: str, before: str, after: str
) -> None:
    number = "4" + digits[1:] + luhn_digit("4" + digits[1:])
    assert holds_card_number(f"{before}, {number}, {after}")


@given(st.text() | st.text(" -0123456789"))
def test_what_is_masked_holds_no_card_number_and_keeps_the_rest(text: str) -> None:
    masked = mask_card_numbers(text)
    assert not holds_card_number(masked)
    assert (masked == text) == (not holds_card_number(text))


def test_every_number_is_masked_and_what_stands_between_stays() -> None:
    text = f"a {OTHER_VISA}, 4111 1111 1111 1111 and 2026-01-31; 4242-4242-4242-4242."
    assert mask_card_numbers(text) == "a [masked], [masked] and 2026-01-31; [masked]."


def test_short_texts_are_not_looked_at() -> None:
    assert min(map(len, TEST_CARDS)) >= PLAUSIBLE_DIGITS_MIN
    assert not holds_card_number("4" * (PLAUSIBLE_DIGITS_MIN - 1))


@each_case(
    "text",
    [
        "4242424242424242",
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "4242.4242.4242.4242",
        "4242   4242 - 4242\t4242",
        "424242424242",
        "٤" * 16,
    ],
)
def test_in_what_is_only_shown_every_long_row_of_digits_is_masked(text: str) -> None:
    assert has_digit_run(text)
    assert mask_digit_runs(f"a{text}b") == "a[masked]b"


@each_case("text", ["42424242424", "2026-01-31", "a1b2c3d4e5f6a7b8c9d0", ""])
def test_shorter_rows_of_digits_stay(text: str) -> None:
    assert not has_digit_run(text)
    assert mask_digit_runs(text) == text


def test_a_text_has_the_digits_of_a_card_however_far_they_stand_apart() -> None:
    assert has_card_digits("4 of 2 and 4 or 2; 4, 2, 4x2y4z2_4+2")
    assert not has_card_digits("4 of 2 and 4 or 2; 4, 2, 4x2y4z2_4")


def test_the_own_number_is_found_in_any_script_and_other_numbers_pass() -> None:
    texts = [
        ("/a", "4x111111111111111"),
        ("/b", OTHER_VISA),
        ("/c", "٤١١١ of ١١١١/١١١١-١١١١"),
        ("/a", OTHER_VISA),
    ]
    refuse_own_card_number(texts, lambda digits: digits == "4242424242424242")
    with pytest.raises(InvalidRequest) as caught:
        refuse_own_card_number(texts, lambda digits: digits == OTHER_VISA)
    assert [error.pointer for error in caught.value.errors] == ["/a", "/b", "/c"]


def test_every_refusal_has_one_code_and_names_the_one_place_where_a_number_may_stand() -> None:
    with pytest.raises(InvalidRequest) as caught:
        refuse_own_card_number([("/a", OTHER_VISA)], lambda digits: digits == OTHER_VISA)
    plausible = card_number_refusal([card_number_error("/a")])
    for refusal in (caught.value, plausible):
        assert "card number may stand in card.number only" in refusal.detail
        assert [error.code for error in refusal.errors] == ["card_number"]
