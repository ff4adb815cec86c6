"""Disputes as the ledger keeps them: the dispute itself, which changes, and a record of each change, which does not.

A change is the event that tells of it, and, where a client asked for it, what its idempotency key made: the first answer is
in it, word for word. Nothing is decided here: the rules are in `domain/disputes.py`, what is written together in
`dispute_transitions.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypedDict

from payments_sandbox.domain.disputes import DisputeStatus
from payments_sandbox.services.ledger import entries
from payments_sandbox.services.ports import Record
from payments_sandbox.services.world import World

KIND: Final = "dispute"


class DisputeData(TypedDict):
    """`Record.data` of a dispute.

    amount, fee: minor units of `currency`; fee: what the chargeback costs, 0 as long as there is none. card: card_id, brand,
    last4. inquiry: it was opened as one. evidence: texts by field. submitted_at, due_at (when time moves the dispute on),
    closed_at: milliseconds since the epoch. chargeback_id, reversal_id: of the ledger's entries.
    """

    authorization_id: str
    card: dict[str, Any]
    amount: int
    currency: str
    fee: int
    reason: str
    network_reason_code: str | None
    inquiry: bool
    status: str
    evidence: dict[str, str]
    submitted_at: int | None
    due_at: int | None
    closed_at: int | None
    chargeback_id: str | None
    reversal_id: str | None


@dataclass(frozen=True, slots=True)
class Dispute:
    """A dispute as it is shown: as it stands, or as a change left it. created_at: milliseconds since the epoch."""

    dispute_id: str
    created_at: int
    data: DisputeData

    @property
    def status(self) -> DisputeStatus:
        """Where it stands."""
        return DisputeStatus(self.data["status"])


def feed_key(account_id: str) -> str:
    """Where the FEED index lists an account's disputes."""
    return f"{account_id}#{KIND}"


def data_of(record: Record) -> DisputeData:
    """The record's data, seen as a dispute's."""
    return record.data  # type: ignore[return-value]  # the ledger holds nothing else under this kind


def status_of(record: Record) -> DisputeStatus:
    """Where a dispute's record stands."""
    return DisputeStatus(data_of(record)["status"])


def dispute_of(record: Record) -> Dispute:
    """The dispute as it stands."""
    return Dispute(record.id, record.created_at, data_of(record))


def with_data(record: Record, data: DisputeData) -> Record:
    """The dispute's record after a change."""
    return replace(record, version=record.version + 1, data=data, due_at=data["due_at"])


def read_with_authorization(world: World, record: Record) -> tuple[Record, Record]:
    """The dispute as it stands, and its authorization as it stood a moment before.

    In this order, so that they fit together: whatever leaves nothing to dispute closes the inquiries in the same write, hence
    an inquiry that is open now had something left to take then. What has happened in between the write finds out.
    """
    (authorization,) = world.store.get([data_of(record)["authorization_id"]])
    assert authorization is not None, "a dispute is written together with its authorization"
    (dispute,) = world.store.get([record.id])
    assert dispute is not None, "nothing is ever deleted"
    return dispute, authorization


def make_change(
    record: Record, event_type: str, change_id: str, request: Mapping[str, Any], now_ms: int
) -> Record:
    """The record of a change that has left the dispute like this. request: what asked for it, if a client did."""
    return Record(
        id=change_id,
        kind=event_type.replace(".", "_"),
        account_id=record.account_id,
        version=1,
        created_at=now_ms,
        data={
            "request": dict(request),
            "dispute_id": record.id,
            "opened_at": record.created_at,
            "dispute": dict(record.data),
        },
        feed_key=entries.feed_key(record.account_id),
    )


def dispute_of_change(change: Record) -> Dispute:
    """The dispute as a change left it."""
    return Dispute(change.data["dispute_id"], change.data["opened_at"], change.data["dispute"])
