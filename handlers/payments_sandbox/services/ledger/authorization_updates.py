"""Entries that follow an authorization: one is made together with the authorization as it leaves it, for one atomic write.

It decides nothing: what may be done, and what the issuer says to it, is planned by whoever calls. Who may: `payments.py`
for what clients ask for, `expiries.py` and its like for what time brings about. Where one thing leads to another at once (a
capture to a dispute), a `AuthorizationUpdate` gathers all of it into the one write.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from payments_sandbox.domain.authorization import Movement, Totals
from payments_sandbox.domain.entry_kinds import ENTRY_KINDS
from payments_sandbox.domain.ids import EntryIdentity
from payments_sandbox.domain.network import Decline
from payments_sandbox.domain.postings import Posting
from payments_sandbox.domain.settlement import next_cutoff
from payments_sandbox.domain.triggers import Simulation
from payments_sandbox.services.ledger import entries
from payments_sandbox.services.ledger.entries import EntryData
from payments_sandbox.services.ports import CommitResult, Record, Update
from payments_sandbox.services.world import World


@dataclass(frozen=True, slots=True)
class PlannedEntry:
    """What is to happen to an authorization if the issuer agrees, and whether it does (decline None).

    data: what the entry keeps besides. consequences: puts what follows from the entry at once into the draft.
    """

    movement: Movement
    postings: list[Posting]
    decline: Decline | None
    simulation: Simulation
    data: Mapping[str, Any] = field(default_factory=dict)
    consequences: "Callable[[AuthorizationUpdate, Record], None] | None" = None


def make_entry(
    world: World,
    authorization: Record,
    kind: str,
    identity: EntryIdentity,
    request: Mapping[str, Any],
    plan: PlannedEntry,
    now_ms: int,
) -> tuple[Record, Record]:
    """The new entry, and the authorization as it leaves it. A declined operation moves nothing but is kept.

    What moves money to or from the merchant is due to be settled when the account's day ends.
    """
    row = ENTRY_KINDS[kind]
    before = entries.data_of(authorization)
    movement = plan.movement
    if plan.decline is not None:
        movement = Movement(movement.amount, Totals(**before["totals"]))
    updated = entries.with_movement(authorization, movement, identity.id)
    code = before["network"].get("authorization_code")
    data: EntryData = {
        "request": dict(request),
        "amount": movement.amount,
        "currency": before["currency"],
        "card": before["card"],
        "decline": entries.decline_data(plan.decline),
        "network": entries.network_data(
            identity,
            now_ms,
            code=code if plan.decline is None and row.has_authorization_code else None,
            cleared=plan.decline is None and row.has_acquirer_reference,
        ),
        "simulation": entries.simulation_data(plan.simulation),
        "postings": entries.postings_data([] if plan.decline is not None else plan.postings),
        "totals": entries.totals_data(movement.totals),
        "authorization_id": authorization.id,
        "authorization_status": entries.authorization_of(updated).status(now_ms).value,
        **plan.data,  # type: ignore[typeddict-item]  # whoever plans an entry knows what `EntryData` has for its kind
    }
    entry = Record(
        id=identity.id,
        kind=kind,
        account_id=authorization.account_id,
        version=1,
        created_at=now_ms,
        data=data,
        feed_key=authorization.feed_key,
        card_id=authorization.card_id,
        due_at=next_cutoff(now_ms, world.cutoff_minutes) if row.is_settled and plan.decline is None else None,
    )
    return entry, updated


class AuthorizationUpdate:
    """One atomic write about an authorization, while it is put together.

    authorization: as the write will leave it. inserts: new records, the operation's own entry first. updates: other records
    than the authorization, as the write will leave them.
    """

    def __init__(self, world: World, authorization: Record) -> None:
        """authorization: as it was read."""
        self._world = world
        self._version_read = authorization.version
        self.authorization = authorization
        self.inserts: list[Record] = []
        self.updates: list[Record] = []

    def add_entry(
        self, kind: str, identity: EntryIdentity, request: Mapping[str, Any], plan: PlannedEntry, now_ms: int
    ) -> Record:
        """Add an entry, and what follows from it."""
        entry, updated = make_entry(self._world, self.authorization, kind, identity, request, plan, now_ms)
        self.authorization = replace(updated, version=self._version_read + 1)
        self.inserts.append(entry)
        if plan.consequences is not None:
            plan.consequences(self, entry)
        return entry

    def note(self, **data: Any) -> None:
        """Have the authorization keep this."""
        self.authorization = replace(
            self.authorization, version=self._version_read + 1, data={**self.authorization.data, **data}
        )

    def commit(self) -> CommitResult:
        """Write it. The authorization is left alone when nothing about it has changed."""
        updates = [Update(record) for record in self.updates]
        if self.authorization.version > self._version_read:
            updates.append(Update(self.authorization))
        return self._world.store.commit(self.inserts, updates)
