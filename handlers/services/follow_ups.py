"""Entries that follow an authorization: one is made together with the authorization as it leaves it, for one atomic write.

It decides nothing: what may be done, and what the issuer says to it, is planned by whoever calls. Who may: `payments.py`
for what clients ask for, `expiries.py` and its like for what time brings about.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handlers.domain.authorization import Movement, Totals
from handlers.domain.ids import EntryIdentity
from handlers.domain.network import Decline
from handlers.domain.postings import Posting
from handlers.domain.settlement import SETTLED_KINDS, next_cutoff
from handlers.domain.triggers import Simulation
from handlers.services import entries
from handlers.services.entries import EntryData
from handlers.services.ports import Ports, Record


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What is to happen to an authorization if the issuer agrees, and whether it does (decline None)."""

    movement: Movement
    postings: list[Posting]
    decline: Decline | None
    simulation: Simulation


def make_follow_up(
    ports: Ports,
    authorization: Record,
    kind: str,
    identity: EntryIdentity,
    request: Mapping[str, Any],
    plan: FollowUp,
    now_ms: int,
) -> tuple[Record, Record]:
    """The new entry, and the authorization as it leaves it. A declined operation moves nothing but is kept.

    What moves money to or from the merchant is due to be settled when the account's day ends.
    """
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
            code=code if plan.decline is None and kind in ("capture", "increment") else None,
            cleared=plan.decline is None and kind in ("capture", "refund"),
        ),
        "simulation": entries.simulation_data(plan.simulation),
        "postings": entries.postings_data([] if plan.decline is not None else plan.postings),
        "totals": entries.totals_data(movement.totals),
        "authorization_id": authorization.id,
        "authorization_status": entries.authorization_of(updated).status(now_ms).value,
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
        due_at=next_cutoff(now_ms, ports.cutoff_minutes)
        if kind in SETTLED_KINDS and plan.decline is None
        else None,
    )
    return entry, updated
