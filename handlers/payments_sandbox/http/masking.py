"""Text that a caller chose, made fit to be shown: in an error, in a log.

Values are never shown at all. Names (of unknown fields, of parameters) and tracebacks are, after what could be a card
number is masked and what could upset a terminal or a parser is escaped.
"""

import re
from collections.abc import Iterable
from typing import Final

NAME_LENGTH_MAX: Final = 64

# Twelve digits or more, perhaps in groups: the shortest card number has twelve.
_CARD_LIKE: Final = re.compile(r"\d(?:[\s._-]{0,3}\d){11,}")
_MASK: Final = "[masked]"


def mask_digits(text: str) -> str:
    """The text without any run of twelve or more digits."""
    return _CARD_LIKE.sub(_MASK, text)


def may_hold_card_number(text: str) -> bool:
    """Whether the text has a run of twelve or more digits."""
    return _CARD_LIKE.search(text) is not None


def safe_name(name: str) -> str:
    """The name, masked, shortened, and with everything that does not print (lone surrogates too) escaped."""
    # Masked before it is cut, so that no cut leaves half a card number behind.
    shown = mask_digits(name)
    if len(shown) > NAME_LENGTH_MAX:
        shown = shown[:NAME_LENGTH_MAX] + "..."
    if shown.isprintable():
        return shown
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in shown)


def json_pointer(path: Iterable[str | int]) -> str:
    """The path as a JSON pointer (RFC 6901), its names made safe."""
    return "".join(f"/{_escape(step)}" if isinstance(step, str) else f"/{step}" for step in path)


def _escape(step: str) -> str:
    return safe_name(step).replace("~", "~0").replace("/", "~1")
