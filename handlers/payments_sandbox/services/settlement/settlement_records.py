"""Settlements as the ledger keeps them: one record that says what was settled, and its lines, a hundred or so to a record.

A settlement's record is written with its first lines, grows with each further set of them in one atomic write with the
entries that they are about, and is completed once. So at any moment it says exactly what was settled. It lies in the due
index until it is completed: what was begun is always found again.

It decides nothing. Next: `settlements.py` makes them, `settlement_reports.py` reads the lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypedDict

from payments_sandbox.domain import postings
from payments_sandbox.domain.ids import SettlementIdentity
from payments_sandbox.domain.postings import Posting
from payments_sandbox.domain.settlement import Line
from payments_sandbox.services.ports import Record
from payments_sandbox.services.world import World

SETTLEMENT: Final = "settlement"
LINES: Final = "settlement_lines"
COMPLETED: Final = "settlement_completed"
"""The kinds of a settlement's records: itself, lines of it, and what tells of its completion, which is an event."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What is settled together. settled_at, up_to: milliseconds by the account's clock.

    On demand: what was made up to `up_to`, included. Otherwise: what is due then, its day being over.
    discrepancies: what the reports get wrong (`domain/discrepancies.py`).
    """

    account_id: str
    settled_at: int
    up_to: int
    on_demand: bool = False
    discrepancies: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What tells it apart from the account's other batches."""
        return f"{'on_demand' if self.on_demand else 'scheduled'}/{self.settled_at}/{self.up_to}"


@dataclass(frozen=True, slots=True)
class SettlementGroup:
    """The lines of one type and brand, summed up. Amounts in minor units."""

    type: str
    brand: str
    count: int
    gross: int
    fees: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """A settlement. completed: its payout is made and it will not change any more."""

    settlement_id: str
    payout_id: str
    account_id: str
    batch: Batch
    currency: str
    completed: bool
    groups: Sequence[SettlementGroup]
    line_records: int
    version: int

    @property
    def count(self) -> int:
        """Of all lines."""
        return sum(group.count for group in self.groups)

    @property
    def gross(self) -> int:
        """What was owed for them, in minor units."""
        return sum(group.gross for group in self.groups)

    @property
    def fees(self) -> int:
        """What the acquirer keeps of that."""
        return sum(group.fees for group in self.groups)

    @property
    def net(self) -> int:
        """What is paid out; negative: collected."""
        return self.gross - self.fees

    @property
    def postings(self) -> list[Posting]:
        """What the settlement moves in the ledger."""
        return postings.settlement(self.gross, self.fees)

    @property
    def payout_postings(self) -> list[Posting]:
        """What its payout moves."""
        return postings.payout(self.net)


class _SettlementData(TypedDict):
    """`Record.data` of a settlement. groups: type, brand, count, gross, fees."""

    payout_id: str
    event_id: str
    currency: str
    up_to: int
    on_demand: bool
    discrepancies: list[str]
    completed: bool
    groups: list[list[Any]]
    line_records: int


def feed_key(account_id: str) -> str:
    """Where the FEED index lists an account's settlements."""
    return account_id + "#settlement"


def new_record(batch: Batch, currency: str, identity: SettlementIdentity) -> Record:
    """A settlement without lines, which has yet to be written."""
    data: _SettlementData = {
        "payout_id": identity.payout_id,
        "event_id": identity.event_id,
        "currency": currency,
        "up_to": batch.up_to,
        "on_demand": batch.on_demand,
        "discrepancies": list(batch.discrepancies),
        "completed": False,
        "groups": [],
        "line_records": 0,
    }
    return Record(
        id=identity.id,
        kind=SETTLEMENT,
        account_id=batch.account_id,
        version=0,
        created_at=batch.settled_at,
        data=data,
        feed_key=feed_key(batch.account_id),
        due_at=batch.settled_at,
    )


def with_lines(record: Record, lines: Sequence[Line]) -> tuple[Record, Record]:
    """The settlement with these lines more, and the record that holds them."""
    groups = {(group.type, group.brand): group for group in settlement_of(record).groups}
    for line in lines:
        key = (line.type, line.brand)
        group = groups.get(key, SettlementGroup(*key, 0, 0, 0))
        groups[key] = replace(
            group, count=group.count + 1, gross=group.gross + line.gross, fees=group.fees + line.fee
        )
    number = record.data["line_records"]
    changed = {
        "groups": [_group_data(groups[key]) for key in sorted(groups)],
        "line_records": number + 1,
    }
    grown = replace(record, version=record.version + 1, data={**record.data, **changed})
    held = Record(
        id=line_record_id(record.id, number),
        kind=LINES,
        account_id=record.account_id,
        version=1,
        created_at=record.created_at,
        data={"lines": [_line_data(line) for line in lines]},
    )
    return grown, held


def completed_record(record: Record) -> Record:
    """The settlement once its payout is made."""
    return replace(record, version=record.version + 1, data={**record.data, "completed": True}, due_at=None)


def event_id_of(record: Record) -> str:
    """The id of what tells of the settlement's completion."""
    event_id: str = record.data["event_id"]
    return event_id


def settlement_of(record: Record) -> Settlement:
    """A record as a settlement."""
    data = record.data
    return Settlement(
        settlement_id=record.id,
        payout_id=data["payout_id"],
        account_id=record.account_id,
        batch=batch_of(record),
        currency=data["currency"],
        completed=data["completed"],
        groups=[SettlementGroup(*group) for group in data["groups"]],
        line_records=data["line_records"],
        version=record.version,
    )


def batch_of(record: Record) -> Batch:
    """The batch that a settlement belongs to."""
    data = record.data
    return Batch(
        record.account_id, record.created_at, data["up_to"], data["on_demand"], tuple(data["discrepancies"])
    )


def read_lines(world: World, settlement: Settlement) -> list[Line]:
    """The settlement's lines, in the order in which their entries were made."""
    ids = _line_record_ids(settlement.settlement_id, settlement.line_records)
    lines: list[Line] = []
    for record in world.store.get(ids):
        assert record is not None, "lines are written together with their settlement"
        lines += [Line(*line) for line in record.data["lines"]]
    return sorted(lines, key=lambda line: (line.created_at, line.transaction_id))


def line_record_ids(record: Record) -> list[str]:
    """The ids of a settlement's records of lines."""
    return _line_record_ids(record.id, record.data["line_records"])


def _line_record_ids(settlement_id: str, count: int) -> list[str]:
    return [line_record_id(settlement_id, number) for number in range(count)]


def line_record_id(settlement_id: str, number: int) -> str:
    """The id of the settlement's so-manieth record of lines."""
    return f"{settlement_id}_{number:03d}"


def _group_data(group: SettlementGroup) -> list[Any]:
    return [group.type, group.brand, group.count, group.gross, group.fees]


def _line_data(line: Line) -> list[Any]:
    return [
        line.transaction_id,
        line.authorization_id,
        line.type,
        line.brand,
        line.gross,
        line.fee,
        line.acquirer_reference,
        line.merchant_reference,
        line.created_at,
    ]
