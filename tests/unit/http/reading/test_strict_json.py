"""JSON is read strictly, and numbers exactly."""

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_sandbox.http.problems import MalformedJson
from payments_sandbox.http.reading.strict_json import (
    DEPTH_MAX,
    INTEGER_MAX,
    ParsedJson,
    _parse_closely,
    find_inexact_numbers,
    parse_json,
)
from tests.each_case import each_case

CARD = "4242424242424242"
AFTER_A_COMMA = "line 1, column 8" if sys.version_info >= (3, 13) else "line 2, column 1"
"""Where Python says that a list or an object is wrong that ends in a comma: from 3.13 on, at the comma."""


@each_case(
    "value",
    [{}, [], {"a": [1, -1, 0, True, None, "ž😀\u0000", {"": ""}]}, "x", 1, None, INTEGER_MAX, -INTEGER_MAX],
)
@each_case("ascii_only", [True, False])
def test_what_is_json_is_read_as_it_is(value: Any, ascii_only: bool) -> None:
    document = parse_json(json.dumps(value, ensure_ascii=ascii_only).encode())
    assert document.value == value
    assert list(find_inexact_numbers(document.value)) == []


@each_case(
    ("raw", "fault"),
    [
        (b"\xff", "is not UTF-8 at byte 0"),
        (b"\xef\xbb\xbf{}", "starts with a byte order mark"),
        (b'{"a": 1,\n}', f"is not valid JSON from {AFTER_A_COMMA} on"),
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


# The quick parser beside the close one.

spaces = st.sampled_from(["", "", "", " ", "\n\t"])
names = st.sampled_from(["a", "b", "a:", ":", "\\u0061", "é", "\\ud800", '\\"', ""])
scalars = st.one_of(
    st.sampled_from(
        ["0", "-0", "1", "01", "1.0", "1e2", "NaN", "Infinity", "true", "false", "null", "[]", "[1.5]"]
    ),
    st.sampled_from([str(INTEGER_MAX), str(INTEGER_MAX + 1), str(-INTEGER_MAX), str(-INTEGER_MAX - 1)]),
    st.sampled_from(["18446744073709551615", "18446744073709551616", "9" * 400, "1" * 5000]),
    names.map(lambda name: f'"{name}"'),
)


@st.composite
def objects(draw: st.DrawFn, members: st.SearchStrategy[str]) -> str:
    """An object as text, with names that may be given twice and spaces where they may stand."""
    texts = [
        f'{draw(spaces)}"{draw(names)}"{draw(spaces)}:{draw(spaces)}{draw(members)}'
        for _ in range(draw(st.integers(0, 4)))
    ]
    return f"{draw(spaces)}{{{','.join(texts)}}}{draw(spaces)}"


def outcome(parse: Any, raw: bytes) -> Any:
    """What the parser makes of it, told so exactly that 1, 1.0 and true differ."""
    try:
        document: ParsedJson = parse(raw)
    except MalformedJson as refusal:
        return [(error.pointer, error.code, error.detail) for error in refusal.errors]
    inexact = list(find_inexact_numbers(document.value)) if document.inexact else []
    return repr(document.value), inexact


@given(st.recursive(objects(scalars), lambda inner: objects(scalars | inner), max_leaves=6))
def test_the_quick_parser_and_the_close_one_agree_on_objects(text: str) -> None:
    raw = text.encode()
    assert outcome(parse_json, raw) == outcome(_parse_closely, raw)


@given(objects(objects(scalars)), st.data())
def test_the_quick_parser_and_the_close_one_agree_on_damaged_objects(text: str, data: st.DataObject) -> None:
    raw = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(
            st.sampled_from(b':",{}[]\\0-.\x00\x80\xef u')
        )
    assert outcome(parse_json, bytes(raw)) == outcome(_parse_closely, bytes(raw))


@each_case("depth", [DEPTH_MAX - 1, DEPTH_MAX, DEPTH_MAX + 1, 2000, 100_000])
def test_the_quick_parser_and_the_close_one_agree_on_depth(depth: int) -> None:
    raw = b'{"a":' * depth + b"1" + b"}" * depth
    assert outcome(parse_json, raw) == outcome(_parse_closely, raw)


@each_case("raw", [b"\xef\xbb\xbf{}", b"", b" ", b"{}{}", b"[]", b"1", b'"a"', b"null", b'{"a":1}\x00'])
def test_the_quick_parser_and_the_close_one_agree_on_what_is_no_object(raw: bytes) -> None:
    assert outcome(parse_json, raw) == outcome(_parse_closely, raw)


def test_an_ordinary_body_needs_the_quick_parser_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("payments_sandbox.http.reading.strict_json._parse_closely")
    body = {
        "amount": 1000,
        "final": True,
        "card": {"number": "4242424242424242"},
        "metadata": {},
        "note": None,
    }
    assert parse_json(json.dumps(body).encode()) == ParsedJson(body, inexact=False)
