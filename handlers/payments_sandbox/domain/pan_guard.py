"""Every rule about card numbers in texts that are not meant to hold one, and the errors that refuse them.

There are three rules, each for another purpose:

- `holds_card_number`: the text holds a plausible card number, so it is refused before it is kept.
- `refuse_own_card_number`: the text holds the payment's own number. The number is known, so that any digit in any script
  counts, whatever stands between the digits.
- `has_digit_run`, `has_card_digits`: the text is only shown (in a log, in an error), so that any long row of digits counts.

Next: `http/reading/stray_cards.py` walks over requests; `services/ledger/authorizations.py` recognises a payment's own card.

Plausible is what is written as card numbers are (in one piece, or in groups of four digits and more with spaces or
hyphens between them), is of a brand's range and length, and passes Luhn; and every published test card, however it is
split. That leaves alone what only looks like one: order numbers of other lengths, times, UUIDs, ids in which letters and
digits take turns, fractions. A number that is hidden on purpose (backwards, in base64) is not found.

Visa's thirteen digits are left out but for the published one: such cards have not been issued for decades, and the product
numbers (EAN) that begin with 4 would be taken for them.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from payments_sandbox.domain.cards import brand_of, passes_luhn
from payments_sandbox.domain.errors import FieldError, InvalidRequest
from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.domain.triggers import TEST_CARDS

CARD_DIGITS_MIN: Final = 12
CARD_DIGITS_MAX: Final = 19
"""How many digits a card number has. Source: ISO/IEC 7812-1."""

PLAUSIBLE_DIGITS_MIN: Final = 13
"""The digits of the shortest plausible card number. A shorter text holds none."""

_MASK: Final = "[masked]"

_ONLY_PLACE: Final = "may stand in card.number only: everything else is kept"

# Source: the ranges as the networks publish them.
_LENGTHS: Final = {
    "visa": (16, 19),
    "mastercard": (16,),
    "amex": (15,),
    "discover": (16, 17, 18, 19),
    "diners": (14, 15, 16, 17, 18, 19),
    "jcb": (16, 17, 18, 19),
    "unionpay": (16, 17, 18, 19),
}

_GROUP_MIN: Final = 4
"""The least digits of a group, save the last: 4-4-4-4, 4-6-5, 4-4-4-4-3. Lists of small numbers have fewer."""

_RUN: Final = re.compile(rf"[0-9](?:[\s-]{{0,3}}[0-9]){{{PLAUSIBLE_DIGITS_MIN - 1},}}")
_DIGIT: Final = re.compile(r"\d")
_DIGIT_RUN: Final = re.compile(rf"\d(?:[\s._-]{{0,3}}\d){{{CARD_DIGITS_MIN - 1},}}")
_GROUP: Final = re.compile(r"[0-9]+")
_NO_DIGIT: Final = re.compile(r"[^0-9]+")
_UUID: Final = re.compile(
    r"(?<![0-9a-zA-Z])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![0-9a-zA-Z])"
)
_UUID_LENGTH: Final = 36
_FRACTION: Final = re.compile(r"[0-9]\.\Z")
_PERCENT: Final = re.compile("%([0-9a-fA-F]{2})")
_PUBLISHED: Final = re.compile("|".join([*TEST_CARDS, "4222222222222"]))


def holds_card_number(text: str) -> bool:
    """Whether a plausible card number stands in the text."""
    if len(text) < PLAUSIBLE_DIGITS_MIN:
        return False
    # In a URL a space is `%20`, whose digits would hide those behind it.
    return _is_found(text) or ("%" in text and _is_found(_PERCENT.sub(_unquote, text)))


def mask_card_numbers(text: str) -> str:
    """The text with `[masked]` in the place of every plausible card number."""
    if len(text) < PLAUSIBLE_DIGITS_MIN:
        return text
    masked, at = [], 0
    for start, end in _spans(_in_ascii_digits(text)):
        masked += [text[at:start], _MASK]
        at = end
    return "".join([*masked, text[at:]])


def _is_found(text: str) -> bool:
    return next(_spans(_in_ascii_digits(text)), None) is not None


def _unquote(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16))


def _in_ascii_digits(text: str) -> str:
    """The same number of characters: digits of every script as ASCII's, every dash a hyphen, what is not seen a space."""
    if text.isascii():
        return text
    return "".join([char if char.isascii() else _in_ascii(char) for char in text])


def _in_ascii(char: str) -> str:
    match unicodedata.category(char):
        case "Nd":
            return str(unicodedata.decimal(char))
        case "Pd":
            return "-"
        case "Cf" | "Zs":
            return " "
    return char


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Where plausible card numbers stand, in order, none overlapping another."""
    for run in _RUN.finditer(text):
        start, end = run.span()
        if _PUBLISHED.search(_NO_DIGIT.sub("", run[0])):
            yield start, end
        else:
            yield from _spans_in_run(text, start, end)


def _spans_in_run(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    groups = [match.span() for match in _GROUP.finditer(text, start, end)]
    taken_to = start
    for first in range(len(groups)):
        if groups[first][0] < taken_to:
            continue
        digits = ""
        for begin, stop in groups[first:]:
            digits += text[begin:stop]
            if len(digits) > CARD_DIGITS_MAX:
                break
            if _is_card(digits) and _stands_alone(text, groups[first][0], stop):
                taken_to = stop
                yield groups[first][0], stop
                break
            if stop - begin < _GROUP_MIN:
                break


def _is_card(digits: str) -> bool:
    # The length first: it is the cheapest to look at, and rules out most.
    return (
        len(digits) >= PLAUSIBLE_DIGITS_MIN
        and len(digits) in _LENGTHS.get(brand_of(digits), ())
        and passes_luhn(digits)
    )


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether the digits are no part of something else: a fraction, a word with more digits in it, a UUID."""
    if _FRACTION.search(text, max(0, start - 2), start):
        return False
    if _goes_on(text, range(start - 1, -1, -1)) or _goes_on(text, range(end, len(text))):
        return False
    around = range(max(0, start - _UUID_LENGTH), end + _UUID_LENGTH)
    return not any(
        uuid.start() < end and start < uuid.end() for uuid in _UUID.finditer(text, around.start, around.stop)
    )


def _goes_on(text: str, places: range) -> bool:
    """Whether the word that the digits stand in has more digits this way, as ids have."""
    for place in places:
        if text[place].isdecimal():
            return True
        if not text[place].isalpha():
            return False
    return False


def card_number_error(pointer: str) -> FieldError:
    """The error of a field that holds a plausible card number."""
    return FieldError(pointer, FieldCode.CARD_NUMBER, f"holds a card number, which {_ONLY_PLACE}")


def card_number_refusal(errors: Sequence[FieldError]) -> InvalidRequest:
    """The refusal of a request whose fields hold plausible card numbers."""
    return InvalidRequest(f"A card number {_ONLY_PLACE}.", errors=errors)


def refuse_own_card_number(texts: Iterable[tuple[str, str]], is_the_card: Callable[[str], bool]) -> None:
    """Refuse texts that would be kept and that hold the number of the payment's own card.

    Only this number is searched for, so order numbers and telephone numbers pass.

    texts: pointer and text. is_the_card: whether these ASCII digits are the card's number.
    Raises InvalidRequest, which names each text's pointer once.
    """
    stray = dict.fromkeys(pointer for pointer, text in texts if _holds_own_card_number(text, is_the_card))
    if stray:
        raise InvalidRequest(
            f"The card number {_ONLY_PLACE}.",
            errors=[FieldError(pointer, FieldCode.CARD_NUMBER, "holds the card number") for pointer in stray],
        )


def _holds_own_card_number(text: str, is_the_card: Callable[[str], bool]) -> bool:
    # Digits of any script, whatever separates them.
    found = _DIGIT.findall(text) if len(text) >= CARD_DIGITS_MIN else ()
    if len(found) < CARD_DIGITS_MIN:
        return False
    digits = "".join([str(int(char)) for char in found])
    return any(
        is_the_card(digits[start : start + length])
        for length in range(CARD_DIGITS_MIN, CARD_DIGITS_MAX + 1)
        for start in range(len(digits) - length + 1)
    )


def has_card_digits(text: str) -> bool:
    """Whether a text has as many digits as a card number, whatever separates them."""
    return len(_DIGIT.findall(text)) >= CARD_DIGITS_MIN


def has_digit_run(text: str) -> bool:
    """Whether the text has a row of at least as many digits as a card number, perhaps in groups."""
    return _DIGIT_RUN.search(text) is not None


def mask_digit_runs(text: str) -> str:
    """The text with `[masked]` in the place of every row of digits that `has_digit_run` finds."""
    return _DIGIT_RUN.sub(_MASK, text)
