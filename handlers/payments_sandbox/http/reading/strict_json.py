"""JSON as the sandbox accepts it: RFC 8259 in UTF-8, and nothing that two readers could understand differently.

Refused, each with its own sentence: text that is not UTF-8, a byte order mark, a name given twice, NaN and Infinity, half
a surrogate pair, integers that no computer agrees on, deep nesting. Numbers with a fraction or an exponent are read, but
`find_inexact_numbers` names them all, so that none gets any further.

`parse_any_json` is for the one kind of body that is kept as it came and not acted upon: there all of RFC 8259 is JSON.

Nearly every body is parsed by orjson, in a third of the time, and counted: it has as many colons as the value has names, so
none was given twice, and nothing else in it is rare. All others go to the standard library's parser, which alone shows every
name it meets, and finds the words for what is refused. `tests/unit/http/reading/test_strict_json.py` holds the two together.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import orjson

from payments_sandbox.domain.errors import FieldError
from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.http.masking import safe_name, safe_pointer
from payments_sandbox.http.problems import MalformedJson

DEPTH_MAX: Final = 32
ANY_DEPTH_MAX: Final = 500
"""Of what is kept as it came. RFC 8259, section 9, lets a parser set such limits."""

INTEGER_MAX: Final = 2**63 - 1

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
# Cheap signs that something rare is in the text; what it is gets looked at then.
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_LONG_INTEGER: Final = re.compile(rb"[0-9]{19}")


class ParsedJson(NamedTuple):
    """A parsed body. inexact: whether `find_inexact_numbers` may find something."""

    value: Any
    inexact: bool


class _GivenTwice(Exception):
    """Two members of one object have the same name."""

    def __init__(self, name: str) -> None:
        self.name = name


class _NotPlain(Exception):
    """The value has something in it that the standard library's parser has to look at."""


class _NotExact(Exception):
    """A number has a fraction or an exponent."""


class _NotANumber(Exception):
    """NaN, Infinity or -Infinity."""


def parse_json(raw: bytes) -> ParsedJson:
    """Parse a body that is not empty. Raises MalformedJson."""
    try:
        value = orjson.loads(raw)
        # Each name is followed by a colon. So were one given twice, or did a text hold one, there would be more of them.
        if type(value) is dict and _count_names(value, 1) == raw.count(b":"):
            return ParsedJson(value, False)
    except (orjson.JSONDecodeError, _NotPlain):
        pass
    return _parse_closely(raw)


def _count_names(value: dict[str, Any], depth: int) -> int:
    """How many names the object and those in it have, of which no member is an array or an inexact number.

    Raises _NotPlain.
    """
    if depth > DEPTH_MAX:
        raise _NotPlain
    count = len(value)
    for member in value.values():
        kind = type(member)
        if kind is str or kind is bool or member is None:
            continue
        if kind is dict:
            count += _count_names(member, depth + 1)
        elif kind is not int or not -INTEGER_MAX <= member <= INTEGER_MAX:
            raise _NotPlain
    return count


def _parse_closely(raw: bytes) -> ParsedJson:
    text = _decode_utf8(raw)
    value, inexact = _decode(text)
    _check_depth(raw, value, DEPTH_MAX)
    if b"\\u" in raw and _SURROGATE.search(raw) and not _is_unicode(value):
        raise MalformedJson(
            "The body has an escape that is only half of a surrogate pair.", "has half of a surrogate pair"
        )
    return ParsedJson(value, inexact or _LONG_INTEGER.search(raw) is not None)


def parse_any_json(raw: bytes) -> Any:
    """Parse any JSON text, its numbers as they are written. Raises MalformedJson."""
    value = _parse(_VERBATIM, _decode_utf8(raw), ANY_DEPTH_MAX)
    _check_depth(raw, value, ANY_DEPTH_MAX)
    return value


def find_inexact_numbers(value: Any) -> Iterator[FieldError]:
    """Every number that is not a 64-bit integer: floats never get into the sandbox, nor what would become one."""
    pending: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while pending:
        path, node = pending.pop()
        if isinstance(node, float):
            detail = "must be an integer, written without a fraction or an exponent"
            yield FieldError(safe_pointer(path), FieldCode.WRONG_TYPE, detail)
        elif isinstance(node, int) and abs(node) > INTEGER_MAX:
            yield FieldError(safe_pointer(path), FieldCode.TOO_LARGE, "must be an integer of at most 64 bits")
        elif isinstance(node, dict):
            pending.extend(((*path, name), member) for name, member in node.items())
        elif isinstance(node, list):
            pending.extend(((*path, index), member) for index, member in enumerate(node))


def _decode_utf8(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        fault = f"is not UTF-8 at byte {error.start}"
        raise MalformedJson("The body is not valid UTF-8.", fault) from None
    if raw.startswith(_BYTE_ORDER_MARK):
        raise MalformedJson("The body starts with a byte order mark.", "starts with a byte order mark")
    return text


def _decode(text: str) -> tuple[Any, bool]:
    try:
        return _parse(_EXACT, text, DEPTH_MAX), False
    except _NotExact:
        return _parse(_INEXACT, text, DEPTH_MAX), True


def _parse(decoder: json.JSONDecoder, text: str, depth_max: int) -> Any:
    try:
        return decoder.decode(text)
    except _GivenTwice as error:
        fault = f'has the name "{safe_name(error.name)}" twice in one object'
        raise MalformedJson(
            "The body has a name twice.", fault, field_code=FieldCode.DUPLICATE_FIELD
        ) from None
    except _NotANumber:
        raise MalformedJson(
            "The body is not valid JSON.", "has NaN or Infinity, which are not JSON"
        ) from None
    except RecursionError:
        raise _too_deep(depth_max) from None
    except json.JSONDecodeError as error:
        # `error.msg` is not used: what it says is the parser's, and may quote the text.
        fault = f"is not valid JSON from line {error.lineno}, column {error.colno} on"
        raise MalformedJson("The body is not valid JSON.", fault) from None
    except ValueError:
        # int() refuses more than sys.get_int_max_str_digits() digits.
        raise MalformedJson(
            "The body has an integer of too many digits.", "has too long an integer"
        ) from None


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        seen: set[str] = set()
        for name, _ in members:
            if name in seen:
                raise _GivenTwice(name)
            seen.add(name)
    return value


def _refuse_fraction(_literal: str) -> float:
    raise _NotExact


def _refuse_constant(_literal: str) -> float:
    raise _NotANumber


_EXACT: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_refuse_fraction, parse_constant=_refuse_constant
)
_INEXACT: Final = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)
_VERBATIM: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)


def _check_depth(raw: bytes, value: Any, depth_max: int) -> None:
    if raw.count(b"{") + raw.count(b"[") > depth_max and _depth(value) > depth_max:
        raise _too_deep(depth_max)


def _depth(value: Any) -> int:
    deepest = 0
    pending = [(1, value)]
    while pending:
        depth, node = pending.pop()
        members = node.values() if isinstance(node, dict) else node if isinstance(node, list) else None
        if members is not None:
            deepest = max(deepest, depth)
            pending.extend((depth + 1, member) for member in members)
    return deepest


def _is_unicode(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _too_deep(depth_max: int) -> MalformedJson:
    fault = f"nests objects and arrays deeper than {depth_max} levels"
    return MalformedJson("The body is nested too deeply.", fault)
