"""Ties a ledger to the secret that its ids are derived from.

With another secret every idempotency key would look unused and every card new: payments could be made twice without
anybody noticing. So the ledger keeps a check value of its secret, and refuses any other.
"""

import hmac

from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ports import Record, Store

CHECK_ID = "meta_ledger_secret"


class WrongLedgerSecret(Exception):
    """The ledger was made with another secret."""


def is_bound(store: Store) -> bool:
    """Whether the ledger has a secret, so that no other may be made for it."""
    (record,) = store.get([CHECK_ID])
    return record is not None


def bind_ledger_secret(infrastructure: Infrastructure) -> None:
    """Note the secret's check value in a new ledger; compare it in an old one. Raises WrongLedgerSecret."""
    check = hmac.digest(infrastructure.ledger_secret, b"ledger secret check", "sha256").hex()[:16]
    record = Record(
        id=CHECK_ID,
        kind="meta",
        account_id="",
        version=1,
        created_at=infrastructure.clock.now_ms(),
        data={"check": check},
    )
    existing = infrastructure.store.insert(record)
    if existing is not None and existing.data["check"] != check:
        raise WrongLedgerSecret("The ledger was made with another secret.")
