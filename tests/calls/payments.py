"""Calls of the services as tests make them: a plain, approved payment of one account unless they say otherwise."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from payments_sandbox.domain.cards import CardDetails
from payments_sandbox.domain.ids import TransactionId
from payments_sandbox.services.payments import payments
from payments_sandbox.services.payments.payments import Authorize, Outcome, PaymentOperation
from payments_sandbox.services.world import World
from tests.doubles.ports import ACCOUNT, of_account

OTHER_ACCOUNT: Final = "acct_stranger"

APPROVED_NUMBER: Final = "4242424242424242"
DECLINED_NUMBER: Final = "4000000000009995"
CAPTURE_DECLINED_NUMBER: Final = "4000000000000341"

CARD: Final = CardDetails(APPROVED_NUMBER, 12, 2030, cvc="123")

_OPERATIONS: Final[dict[str, Callable[..., Outcome]]] = {
    "capture": payments.capture_payment,
    "refund": payments.refund_payment,
    "void": payments.void_payment,
    "increment": payments.increment_payment,
}
OPERATION_KINDS: Final = tuple(_OPERATIONS)


def card_with(**changes: Any) -> CardDetails:
    """The plain card with other fields."""
    return replace(CARD, **changes)


def authorization_request(**fields: Any) -> Authorize:
    """A request for 10.00 EUR on the plain card, with other fields."""
    return replace(Authorize(amount=1000, currency="EUR", card=CARD), **fields)


FULL_CARD: Final = card_with(
    holder_name="Ada Lovelace", billing_address={"line1": "1 Main Street", "postal_code": "10115"}
)
FULL_REQUEST: Final = authorization_request(
    card=FULL_CARD, merchant_reference="order-1", metadata={"a": "1", "b": "2"}, simulate="approve"
)


def authorize(world: World, key: str = "auth-1", *, account: str = ACCOUNT, **fields: Any) -> Outcome:
    """Authorize with `authorization_request(**fields)`."""
    return payments.authorize_payment(
        of_account(world, account), authorization_request(**fields), idempotency_key=key
    )


def operate(
    world: World,
    kind: str,
    authorization_id: str,
    key: str | None = None,
    *,
    account: str = ACCOUNT,
    **fields: Any,
) -> Outcome:
    """Capture, refund, void or increment; the key is `KIND-1` unless given."""
    command = PaymentOperation(TransactionId(authorization_id), **fields)
    return _OPERATIONS[kind](of_account(world, account), command, idempotency_key=key or f"{kind}-1")


def capture(world: World, authorization_id: str, key: str | None = None, **fields: Any) -> Outcome:
    """Capture all that is left, unless given an amount."""
    return operate(world, "capture", authorization_id, key, **fields)


def refund(world: World, authorization_id: str, key: str | None = None, **fields: Any) -> Outcome:
    """Refund all that is left, unless given an amount."""
    return operate(world, "refund", authorization_id, key, **fields)


def void(world: World, authorization_id: str, key: str | None = None, **fields: Any) -> Outcome:
    """Void what is held."""
    return operate(world, "void", authorization_id, key, **fields)


def increment(world: World, authorization_id: str, key: str | None = None, **fields: Any) -> Outcome:
    """Hold 5.00 EUR more, unless given an amount."""
    return operate(world, "increment", authorization_id, key, **{"amount": 500, **fields})


def id_of(outcome: Outcome) -> str:
    """The id of the entry that an operation made or found."""
    return outcome.entry.record.id
