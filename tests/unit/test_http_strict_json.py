"""JSON is read strictly, and numbers exactly."""

import json
from typing import Any

import pytest

from handlers.http.problems import MalformedJson
from handlers.http.strict_json import DEPTH_MAX, INTEGER_MAX, find_inexact_numbers, parse_json

CARD = "4242424242424242"


@pytest.mark.parametrize(
    "value",
    [{}, [], {"a": [1, -1, 0, True, None, "ž😀\u0000", {"": ""}]}, "x", 1, None, INTEGER_MAX, -INTEGER_MAX],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_what_is_json_is_read_as_it_is(value: Any, ascii_only: bool) -> None:
    document = parse_json(json.dumps(value, ensure_ascii=ascii_only).encode())
    assert document.value == value
    assert list(find_inexact_numbers(document.value)) == []


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"\xff", "is not UTF-8 at byte 0"),
        (b"\xef\xbb\xbf{}", "starts with a byte order mark"),
        (b'{"a": 1,\n}', "is not valid JSON from line 2, column 1 on"),
        (b'{"a": 1} x', "is not valid JSON from line 1, column 10 on"),
        (b'{"a": 01}', "is not valid JSON from line 1, column 8 on"),
        (b'{"a": NaN}', "has NaN or Infinity, which are not JSON"),
        (b'["\\ud800"]', "has half of a surrogate pair"),
        (b'["\\uDC00\\uD800"]', "has half of a surrogate pair"),
        (b'{"\\udfff": 1}', "has half of a surrogate pair"),
        (b"9" * 5_000, "has too long an integer"),
        (b"[" * 33 + b"]" * 33, "nests objects and arrays deeper than 32 levels"),
        (b"[" * 100_000, "nests objects and arrays deeper than 32 levels"),
    ],
)
def test_what_is_not_json_is_refused_with_the_reason(raw: bytes, fault: str) -> None:
    with pytest.raises(MalformedJson) as refusal:
        parse_json(raw)
    (error,) = refusal.value.errors
    assert (error.pointer, error.code, error.detail) == ("", "malformed_json", fault)


def test_a_name_that_is_given_twice_is_shown_without_digits_of_a_card() -> None:
    with pytest.raises(MalformedJson) as refusal:
        parse_json(f'[{{"a": {{"x{CARD}": 1, "b": 2, "x{CARD}": 1}}}}]'.encode())
    (error,) = refusal.value.errors
    assert (error.code, error.detail) == ("duplicate_field", 'has the name "x[masked]" twice in one object')


def test_brackets_in_texts_and_side_by_side_are_no_depth() -> None:
    assert parse_json(json.dumps(["[{" * 100, *([] for _ in range(100))]).encode()).value[0] == "[{" * 100
    deep = b"[" * DEPTH_MAX + b"]" * DEPTH_MAX
    assert parse_json(deep).value


def test_a_whole_surrogate_pair_and_an_escaped_backslash_are_text() -> None:
    assert parse_json(b'["\\ud83d\\ude00", "\\\\ud800"]').value == ["😀", "\\ud800"]


def test_numbers_that_are_not_64_bit_integers_are_all_found() -> None:
    document = parse_json(
        b'{"a": 1.0, "b": [1, 2e3, {"c/d": -9223372036854775809}], "e": "9999999999999999999"}'
    )
    assert document.inexact
    assert sorted((error.pointer, error.code) for error in find_inexact_numbers(document.value)) == [
        ("/a", "wrong_type"),
        ("/b/1", "wrong_type"),
        ("/b/2/c~1d", "too_large"),
    ]


def test_an_ordinary_body_is_not_searched_for_inexact_numbers() -> None:
    assert not parse_json(b'{"amount": 1051, "card": {"number": "4242424242424242"}}').inexact
