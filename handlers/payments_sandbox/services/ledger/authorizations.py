"""Reading the authorization that an operation is about, and recognizing its card."""

from collections.abc import Callable

from payments_sandbox.domain.errors import FieldError, TransactionNotFound
from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.domain.ids import identify_card
from payments_sandbox.services.ledger.entries import AUTHORIZATION, data_of
from payments_sandbox.services.ports import Record
from payments_sandbox.services.world import World


def get_authorization(world: World, authorization_id: str) -> Record:
    """The account's authorization that a request names in `authorization_id`. Errors: transaction_not_found."""
    (record,) = world.store.get([authorization_id])
    if record is None or record.account_id != world.account_id or record.kind != AUTHORIZATION:
        missing = FieldError(
            "/authorization_id", FieldCode.NOT_FOUND, "names no authorization of this account"
        )
        raise TransactionNotFound("The account has no authorization of this id.", errors=[missing])
    return record


def recognise_card(world: World, authorization: Record) -> Callable[[str], bool]:
    """Return a test that tells whether digits are the number of the authorization's card, which the ledger does not hold."""
    last4, card_id = data_of(authorization)["card"]["last4"], authorization.card_id

    def is_the_card(digits: str) -> bool:
        return digits.endswith(last4) and identify_card(world.secret, world.owner, digits) == card_id

    return is_the_card
