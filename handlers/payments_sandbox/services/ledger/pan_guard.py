"""Card numbers where none belongs: in a text that would be kept.

A number is looked for only as that of the payment's own card, so that order numbers and telephone numbers pass.
"""

import re
from collections.abc import Callable
from typing import Final

from payments_sandbox.domain.errors import FieldError, InvalidRequest
from payments_sandbox.domain.ids import identify_card
from payments_sandbox.services.ledger import entries
from payments_sandbox.services.ports import Record
from payments_sandbox.services.world import World

_CARD_DIGITS: Final = (12, 19)
"""The least and the most digits of a card number. Source: ISO/IEC 7812-1."""

_DIGIT: Final = re.compile(r"\d")


def refuse_stray_card_number(texts: list[tuple[str, str]], is_the_card: Callable[[str], bool]) -> None:
    """The ledger never holds a card number, so the payment's own may not hide in a text that would be kept.

    texts: pointer and text. is_the_card: whether these digits are the card's number.
    """
    stray = dict.fromkeys(pointer for pointer, text in texts if _holds_card(text, is_the_card))
    if stray:
        raise InvalidRequest(
            "The card number may stand in card.number only: everything else is kept.",
            errors=[FieldError(pointer, "card_number", "holds the card number") for pointer in stray],
        )


def recognise_card(world: World, authorization: Record) -> Callable[[str], bool]:
    """Tells the authorization's card number, which the ledger does not have, by its id."""
    last4 = entries.data_of(authorization)["card"]["last4"]
    owner, card_id = world.owner, authorization.card_id

    def is_the_card(digits: str) -> bool:
        return digits.endswith(last4) and identify_card(world.secret, owner, digits) == card_id

    return is_the_card


def _holds_card(text: str, is_the_card: Callable[[str], bool]) -> bool:
    least, most = _CARD_DIGITS
    # Digits of any script, whatever separates them.
    found = _DIGIT.findall(text) if len(text) >= least else ()
    if len(found) < least:
        return False
    digits = "".join([str(int(char)) for char in found])
    return any(
        is_the_card(digits[start : start + length])
        for length in range(least, most + 1)
        for start in range(len(digits) - length + 1)
    )


def may_hold_card_number(name: str) -> bool:
    """Whether a text has as many digits as a card number."""
    return len(_DIGIT.findall(name)) >= _CARD_DIGITS[0]
