"""Text that a caller chose, made fit to be shown in an error.

Values are never shown at all. Names (of unknown fields, of parameters) are, after what could be a card number is masked
(by `domain/pan_guard.py`) and what could upset a terminal or a parser is escaped.
"""

from collections.abc import Iterable
from typing import Final

from payments_sandbox.domain.json_pointers import json_pointer
from payments_sandbox.domain.pan_guard import mask_digit_runs

NAME_LENGTH_MAX: Final = 64


def safe_name(name: str) -> str:
    """The name, masked, shortened, and with everything that does not print (lone surrogates too) escaped."""
    # Masked before it is cut, so that no cut leaves half a card number behind.
    shown = mask_digit_runs(name)
    if len(shown) > NAME_LENGTH_MAX:
        shown = shown[:NAME_LENGTH_MAX] + "..."
    if shown.isprintable():
        return shown
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in shown)


def safe_pointer(path: Iterable[str | int]) -> str:
    """The path as a JSON pointer, its names made safe."""
    return json_pointer(safe_name(step) if isinstance(step, str) else step for step in path)
