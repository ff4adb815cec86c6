"""Early fraud warnings: a card network tells that an issuer has reported a payment as fraud, before anybody disputes it.

No money moves. A warning can be acted on while there is money that a dispute could take: refunding the payment in full
closes it, and so does a dispute of all that is left.

Source: Visa's TC40 and Mastercard's SAFE reports, as processors pass them on.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from payments_sandbox.domain.ids import identify_object
from payments_sandbox.services.ledger import entries
from payments_sandbox.services.ledger.authorization_updates import AuthorizationUpdate
from payments_sandbox.services.ledger.listings import ListingPage, walk
from payments_sandbox.services.ports import Index, Record
from payments_sandbox.services.world import World

KIND: Final = "early_fraud_warning"
CREATED: Final = "early_fraud_warning_created"
CLOSED: Final = "early_fraud_warning_closed"
_CHANGE: Final = "early_fraud_warning_change"

FRAUD_TYPE: Final = "card_not_present_fraud"
"""What test cards are warned of. Networks know lost, stolen and counterfeit cards too, which nobody here holds in hand."""


@dataclass(frozen=True, slots=True)
class EarlyFraudWarning:
    """A warning as it is shown. amount: what had been captured. created_at, closed_at: milliseconds since the epoch."""

    warning_id: str
    authorization_id: str
    fraud_type: str
    amount: int
    currency: str
    created_at: int
    closed_at: int | None


def add_warning(world: World, draft: AuthorizationUpdate, capture: Record) -> None:
    """Put a warning about the payment into the draft of its first capture."""
    now_ms = capture.created_at
    data = entries.data_of(capture)
    record = Record(
        id=identify_object(world.secret, world.owner, KIND, capture.id),
        kind=KIND,
        account_id=capture.account_id,
        version=1,
        created_at=now_ms,
        data={
            "authorization_id": data["authorization_id"],
            "fraud_type": FRAUD_TYPE,
            "amount": data["amount"],
            "currency": data["currency"],
            "closed_at": None,
        },
        feed_key=feed_key(capture.account_id),
    )
    draft.inserts += [record, _change(world, record, CREATED, now_ms)]
    draft.note(warnings=[record.id])


def close_warning(world: World, draft: AuthorizationUpdate, record: Record, now_ms: int) -> None:
    """Put the end of a warning into the draft of what ends it."""
    closed = replace(record, version=record.version + 1, data={**record.data, "closed_at": now_ms})
    draft.updates.append(closed)
    draft.inserts.append(_change(world, closed, CLOSED, now_ms))


def list_early_fraud_warnings(
    world: World, *, authorization_id: str | None, limit: int, cursor: str | None
) -> ListingPage[EarlyFraudWarning]:
    """The account's warnings, newest first. Errors: invalid_request: the cursor is not one that a listing gave."""

    def wanted(record: Record) -> bool:
        return authorization_id is None or record.data["authorization_id"] == authorization_id

    page = walk(
        world.store,
        Index.FEED,
        feed_key(world.account_id),
        wanted,
        limit=limit,
        cursor=cursor,
        selective=authorization_id is not None,
    )
    found = [_warning(record.id, record.created_at, record.data) for record in page.items]
    return ListingPage(found, page.next_cursor)


def warning_of_change(change: Record) -> EarlyFraudWarning:
    """The warning as a change left it."""
    return _warning(change.data["warning_id"], change.data["created_at"], change.data["warning"])


def _warning(warning_id: str, created_at: int, data: Any) -> EarlyFraudWarning:
    return EarlyFraudWarning(
        warning_id=warning_id,
        authorization_id=data["authorization_id"],
        fraud_type=data["fraud_type"],
        amount=data["amount"],
        currency=data["currency"],
        created_at=created_at,
        closed_at=data["closed_at"],
    )


def _change(world: World, record: Record, kind: str, now_ms: int) -> Record:
    """The record of a change, which is the event that tells of it."""
    return Record(
        id=identify_object(world.secret, world.owner, _CHANGE, f"{kind}/{record.id}"),
        kind=kind,
        account_id=record.account_id,
        version=1,
        created_at=now_ms,
        data={
            "warning_id": record.id,
            "created_at": record.created_at,
            "warning": dict(record.data),
        },
        feed_key=entries.feed_key(record.account_id),
    )


def feed_key(account_id: str) -> str:
    """Where the FEED index lists an account\'s early fraud warnings."""
    return f"{account_id}#{KIND}"
