"""Card numbers in places that are kept: refused at the door, for every operation, before anything is done.

`card.number` is the one place where a card number may stand, as it never leaves the request. Every other text of a body
and of a header may end up in the ledger, so the rules of `domain/pan_guard.py` apply to it. Idempotency keys are not looked at: only
a keyed hash of them is used. Paths and query strings are not kept.

An authorization always has a card number in it, so the common case is decided by its bytes alone, in a microsecond: there
is no more than one run of digits long enough, and it is the card's.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from payments_sandbox.domain.errors import FieldError
from payments_sandbox.domain.pan_guard import (
    PLAUSIBLE_DIGITS_MIN,
    card_number_error,
    card_number_refusal,
    holds_card_number,
    mask_card_numbers,
)
from payments_sandbox.http.masking import safe_pointer
from payments_sandbox.http.problems import ERRORS_MAX

Path = tuple[str | int, ...]

_CARD_NUMBER: Final[Path] = ("card", "number")

_ALIKE: Final = bytes(ord("0") if chr(code).isdecimal() else code for code in range(128)) + bytes(
    range(128, 256)
)
"""Every digit made a zero."""
_LONG_RUN: Final = b"0" * PLAUSIBLE_DIGITS_MIN
_SEPARATORS: Final = b" -"
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[bfnrt])")


def refuse_in_body(raw: bytes, body: Mapping[str, Any]) -> None:
    """Raise InvalidRequest when a field of a valid body other than `card.number` holds a card number.

    raw: the body's bytes.
    """
    # An escape, of JSON or in a URL, and another script may be digits in disguise.
    if raw.isascii() and b"\\" not in raw and b"%" not in raw:
        runs = raw.translate(_ALIKE, _SEPARATORS).count(_LONG_RUN)
        if runs == 0 or (runs == 1 and _has_long_card_number(body)):
            return
    _refuse(_find(body, _CARD_NUMBER))


def refuse_in_kept_body(raw: bytes, body: Any) -> None:
    """The same for a body that is kept as it came: no place is exempt,
    `body` has its numbers as texts."""
    _refuse(_find(body, None))
    # What of it is no text to JSON, and what a parser drops as a name comes twice, is kept too.
    if holds_card_number(_ESCAPE.sub(_unescape, raw.decode())):
        _refuse([card_number_error("")])


def find_in_header(pointer: str, text: str) -> list[FieldError]:
    """What is wrong with a header parameter, if it holds a card number."""
    return [card_number_error(pointer)] if holds_card_number(text) else []


def _refuse(found: Iterable[FieldError]) -> None:
    errors = list(dict.fromkeys(found))
    if errors:
        raise card_number_refusal(errors[:ERRORS_MAX])


def _unescape(escape: re.Match[str]) -> str:
    return " " if escape[1] is None else chr(int(escape[1], 16))


def _has_long_card_number(body: Mapping[str, Any]) -> bool:
    card = body.get("card")
    return isinstance(card, Mapping) and len(card.get("number", "")) >= PLAUSIBLE_DIGITS_MIN


def _find(root: Any, exempt: Path | None) -> Iterator[FieldError]:
    pending: list[tuple[Path, Any]] = [((), root)]
    while pending:
        path, node = pending.pop()
        if isinstance(node, str | int):
            if path != exempt and holds_card_number(str(node)):
                yield card_number_error(safe_pointer(path))
        elif isinstance(node, Mapping):
            for name, member in node.items():
                # A name that holds one cannot be shown, so it is the object around it that is named.
                if holds_card_number(name):
                    yield card_number_error(safe_pointer(path))
                pending.append(((*path, mask_card_numbers(name)), member))
        elif isinstance(node, list):
            pending.extend(((*path, index), member) for index, member in enumerate(node))
