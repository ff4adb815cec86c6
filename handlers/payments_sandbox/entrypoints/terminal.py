"""What the commands print: lines for people, or one JSON object a line for programs; trouble on standard error.

Text that came over the network is made harmless first: a terminal obeys control characters.
"""

import json
from collections.abc import Mapping
from typing import Any, TextIO

from payments_sandbox.domain.money import EXPONENTS, format_amount

_GREEN, _RED, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[0m"


class Terminal:
    """Where a command prints. Colours are for terminals, JSON for `as_json`."""

    def __init__(self, out: TextIO, err: TextIO, *, as_json: bool = False) -> None:
        self._out = out
        self._err = err
        self._as_json = as_json
        self._colours = out.isatty()

    def say(self, text: str, *, good: bool | None = None) -> None:
        """A line for people. good: whether it is good news or bad, which has a colour."""
        if self._as_json:
            return
        line = one_line(text)
        if self._colours and good is not None:
            line = f"{_GREEN if good else _RED}{line}{_PLAIN}"
        print(line, file=self._out, flush=True)

    def record(self, value: Mapping[str, Any]) -> None:
        """An object for programs."""
        if self._as_json:
            print(json.dumps(value, separators=(",", ":")), file=self._out, flush=True)

    def warn(self, text: str) -> None:
        """A line on standard error."""
        print(f"payments-sandbox: {one_line(text)}", file=self._err, flush=True)


def one_line(text: str) -> str:
    """The text with nothing in it that moves a cursor or changes a colour."""
    return "".join(character if character.isprintable() else " " for character in text)


def amount_of(transaction: Mapping[str, Any]) -> str:
    """The amount of a transaction, or of an event's data, for people; empty where there is none."""
    amount, currency = transaction.get("amount"), transaction.get("currency")
    if not isinstance(amount, int) or not isinstance(currency, str):
        return ""
    # A newer sandbox may know a currency that this program does not.
    return format_amount(amount, currency) if currency in EXPONENTS else f"{amount} {currency}"
