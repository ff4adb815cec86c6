"""Recognises a payment's own card by its id, because the ledger never holds the number.

The rules that use it are in `domain/pan_guard.py`.
"""

from collections.abc import Callable

from payments_sandbox.domain.ids import identify_card
from payments_sandbox.services.ledger import entries
from payments_sandbox.services.ports import Record
from payments_sandbox.services.world import World


def recognise_card(world: World, authorization: Record) -> Callable[[str], bool]:
    """Return a test that tells whether digits are the number of the authorization's card."""
    last4 = entries.data_of(authorization)["card"]["last4"]
    owner, card_id = world.owner, authorization.card_id

    def is_the_card(digits: str) -> bool:
        return digits.endswith(last4) and identify_card(world.secret, owner, digits) == card_id

    return is_the_card
