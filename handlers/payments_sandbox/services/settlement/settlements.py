"""Settling an account: its captures and refunds are gathered into settlements, one for each currency, and paid out.

    gather     entries -> lines, up to 98 at a time: the entries, their lines and the settlement in one atomic write
    complete   the settlement's payout is made, and told of (`settlement.completed`)

An entry that is settled is no longer due, and is marked in the very write that counts it: so whoever is stopped anywhere
between two writes, and whoever starts again, settles each entry exactly once, and ends with the records that an undisturbed
run would have written. Two who settle one account at once find that the settlement's version has moved on; the slower one
reads again.

Decides nothing about fees (`domain/fees.py`). Next: `settlement_records.py`, `settlement_reports.py`,
`workers/settlement.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from payments_sandbox.domain.errors import AccountBusy, SettlementNotFound
from payments_sandbox.domain.fees import fee_of
from payments_sandbox.domain.ids import identify_settlement
from payments_sandbox.domain.postings import MERCHANT_RECEIVABLE, balance_of
from payments_sandbox.domain.settlement import SETTLED_KINDS, Line
from payments_sandbox.domain.timestamps import SECOND_MS
from payments_sandbox.services.ledger import entries
from payments_sandbox.services.ledger.entries import data_of, with_settlement
from payments_sandbox.services.ledger.listings import ListingPage, walk, walk_due
from payments_sandbox.services.ledger.retry import LOST, LostRace, retry_on_conflict
from payments_sandbox.services.ports import Committed, Index, Record, Update
from payments_sandbox.services.settlement import settlement_records
from payments_sandbox.services.settlement.representations import render_settlement
from payments_sandbox.services.settlement.settlement_records import (
    COMPLETED,
    SETTLEMENT,
    Batch,
    Settlement,
    batch_of,
    completed_record,
    event_id_of,
    new_record,
    settlement_of,
    with_lines,
)
from payments_sandbox.services.world import World


@dataclass(slots=True)
class Gathered:
    """What came of gathering a batch. settlement_ids: those that entries were added to. finished: nothing of the batch is
    left; otherwise whoever asked said to stop."""

    settlement_ids: dict[str, None] = field(default_factory=dict)
    finished: bool = True


def settle_due(world: World, record: Record) -> None:
    """Settle everything of an account that is due with this entry. world: the account's, at that time.

    Many entries are due at one moment, and whoever lists them hands them all here: but the first finds nothing to do.
    """
    (current,) = world.store.get([record.id])
    if current is None or current.due_at is None:
        return
    now_ms = world.clock.now_ms()
    settle(world, Batch(record.account_id, settled_at=now_ms, up_to=now_ms))


def resume_settlement(world: World, record: Record) -> None:
    """Go on with the settlement of this record, which somebody began and did not complete."""
    settle(world, batch_of(record), begun=[record.id])


def settle_on_demand(world: World, *, up_to: int | None, discrepancies: Sequence[str]) -> list[Settlement]:
    """Settle now what the account made up to a moment (milliseconds; that moment included; at most now, which None is).

    discrepancies: what the reports of these settlements get wrong. What was begun before is completed first, and is among
    what is answered. When the request's time is over before all is settled, what was begun last is answered as it stands,
    not completed; a repeat goes on with it, and so does whoever finds it due.
    Errors: account_busy.
    """
    now_ms = world.clock.now_ms()
    deadline_ms = world.wall_clock.now_ms() + world.infrastructure.request_budget_s * SECOND_MS

    def has_time() -> bool:
        return world.wall_clock.now_ms() < deadline_ms

    up_to = now_ms if up_to is None else min(up_to, now_ms)
    asked = Batch(world.account_id, now_ms, up_to, on_demand=True, discrepancies=tuple(discrepancies))
    begun = [
        record
        for record in walk_due(world.store, world.account_id, until=now_ms)
        if record.kind == SETTLEMENT
    ]
    done: dict[str, Settlement] = {}
    for batch, ids in [*((batch_of(record), [record.id]) for record in begun), (asked, [])]:
        made = settle(world, batch, has_time, begun=ids)
        done |= {settlement.settlement_id: settlement for settlement in made}
        if not all(settlement.completed for settlement in made):
            break
    return list(done.values())


def settle(
    world: World, batch: Batch, go_on: Callable[[], bool] = lambda: True, *, begun: Sequence[str] = ()
) -> list[Settlement]:
    """Gather the batch and complete its settlements, those of these ids among them; unless `go_on` said to stop: then they
    are answered as they stand. Errors: account_busy."""
    gathered = gather(world, batch, go_on)
    settlement_ids = dict.fromkeys([*begun, *gathered.settlement_ids])
    if gathered.finished:
        return [complete_settlement(world, settlement_id) for settlement_id in settlement_ids]
    return [get_settlement(world, settlement_id) for settlement_id in settlement_ids]


def gather(world: World, batch: Batch, go_on: Callable[[], bool] = lambda: True) -> Gathered:
    """Put every entry of the batch that is not settled into a settlement. go_on: asked after each full set, so that
    there is progress whatever it answers.

    Errors: account_busy.
    """
    gathered = Gathered()

    def attempt() -> Gathered | LostRace:
        return gathered if _Gathering(world, batch, go_on, gathered).run() else LOST

    return retry_on_conflict(attempt, _busy())


def complete_settlement(world: World, settlement_id: str) -> Settlement:
    """Make a settlement's payout and tell of it, unless that was done before. Errors: account_busy."""

    def attempt() -> Settlement | LostRace:
        (record,) = world.store.get([settlement_id])
        assert record is not None, "nothing is ever deleted"
        if record.data["completed"]:
            return settlement_of(record)
        completed = completed_record(record)
        settlement = settlement_of(completed)
        told = Record(
            id=event_id_of(record),
            kind=COMPLETED,
            account_id=record.account_id,
            version=1,
            created_at=record.created_at,
            data=render_settlement(settlement),
            feed_key=entries.feed_key(record.account_id),
        )
        won = isinstance(world.store.commit([told], [Update(completed)]), Committed)
        return settlement if won else LOST

    return retry_on_conflict(attempt, _busy())


def _busy() -> AccountBusy:
    return AccountBusy("Others are settling the account; repeat the request.")


def get_settlement(world: World, settlement_id: str) -> Settlement:
    """A settlement of the account. Errors: settlement_not_found."""
    (record,) = world.store.get([settlement_id])
    if record is None or record.account_id != world.account_id or record.kind != SETTLEMENT:
        raise SettlementNotFound("The account has no settlement of this id.")
    return settlement_of(record)


def list_settlements(world: World, *, limit: int, cursor: str | None) -> ListingPage[Settlement]:
    """The account's settlements, newest first. Errors: invalid_request: the cursor is not one that a listing gave."""
    page = walk(
        world.store,
        Index.FEED,
        settlement_records.feed_key(world.account_id),
        lambda record: True,
        limit=limit,
        cursor=cursor,
        selective=False,
    )
    return ListingPage([settlement_of(record) for record in page.items], page.next_cursor)


class _Gathering:
    """One go through what the account has due. Entries leave the index behind it, as they are settled."""

    def __init__(self, world: World, batch: Batch, go_on: Callable[[], bool], gathered: Gathered) -> None:
        self._world = world
        self._batch = batch
        self._go_on = go_on
        self._gathered = gathered
        self._growing: dict[str, Record] = {}

    def run(self) -> bool:
        """Answers False when somebody else was faster, so that all has to be read again."""
        self._gathered.finished = True
        waiting: dict[str, list[Record]] = {}
        for entry in self._entries():
            together = waiting.setdefault(data_of(entry)["currency"], [])
            together.append(entry)
            # The same entries share a record of lines whenever this is begun anew: those that were written left full.
            if len(together) == self._world.infrastructure.limits.settlement_lines_per_record:
                if not self._write(together):
                    return False
                together.clear()
                if not self._go_on():
                    self._gathered.finished = False
                    return True
        return all(self._write(waiting[currency]) for currency in sorted(waiting) if waiting[currency])

    def _entries(self) -> Iterator[Record]:
        batch = self._batch
        until = None if batch.on_demand else batch.up_to
        for record in walk_due(self._world.store, batch.account_id, until=until):
            if record.kind in SETTLED_KINDS and not (batch.on_demand and record.created_at > batch.up_to):
                yield record

    def _write(self, together: Sequence[Record]) -> bool:
        """Settle these entries, of one currency; answers False when one of the records has moved on."""
        currency = data_of(together[0])["currency"]
        settlement = self._growing.get(currency)
        if settlement is None or self._is_full(settlement):
            settlement = self._open(currency)
        grown, lines = with_lines(settlement, self._lines(together))
        settled = [
            Update(with_settlement(entry, settlement.id, self._batch.settled_at)) for entry in together
        ]
        if settlement.version:
            result = self._world.store.commit([lines], [Update(grown), *settled])
        else:
            result = self._world.store.commit([grown, lines], settled)
        if not isinstance(result, Committed):
            return False
        self._growing[currency] = grown
        self._gathered.settlement_ids[grown.id] = None
        return True

    def _open(self, currency: str) -> Record:
        """The batch's settlement in this currency that has room for more; a new one when there is none."""
        batch, secret = self._batch, self._world.secret
        owner = self._world.owner
        for number in count():
            identity = identify_settlement(secret, owner, currency, batch.name, number)
            (record,) = self._world.store.get([identity.id])
            if record is None:
                return new_record(batch, currency, identity)
            if not record.data["completed"] and not self._is_full(record):
                return record
        raise AssertionError("counting has no end")

    def _is_full(self, settlement: Record) -> bool:
        """Whether it holds as many entries as a settlement can; a busier day makes several."""
        line_records: int = settlement.data["line_records"]
        return line_records >= self._world.infrastructure.limits.settlement_line_records_max

    def _lines(self, together: Sequence[Record]) -> list[Line]:
        """The entries' lines. One without a reference of its own has its authorization's."""
        unnamed = {
            data_of(entry)["authorization_id"]: None
            for entry in together
            if "merchant_reference" not in data_of(entry)["request"]
        }
        found = self._world.store.get(list(unnamed)) if unnamed else []
        references = {record.id: _reference(record) for record in found if record is not None}
        return [
            _line(entry, _reference(entry) or references[data_of(entry)["authorization_id"]])
            for entry in together
        ]


def _line(entry: Record, reference: str | None) -> Line:
    data = data_of(entry)
    brand = data["card"]["brand"]
    gross = balance_of([(name, amount) for name, amount in data["postings"]], MERCHANT_RECEIVABLE)
    return Line(
        transaction_id=entry.id,
        authorization_id=data["authorization_id"],
        type=entry.kind,
        brand=brand,
        gross=gross,
        fee=fee_of(entry.kind, brand, gross, data["currency"]),
        acquirer_reference=data["network"].get("acquirer_reference"),
        merchant_reference=reference,
        created_at=entry.created_at,
    )


def _reference(entry: Record) -> Any:
    return data_of(entry)["request"].get("merchant_reference")
