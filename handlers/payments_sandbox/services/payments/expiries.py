"""When an authorization's validity ends, what it still holds goes back to the cardholder: an entry, and so an event.

The status of the authorization does not wait for this (`domain/authorization.py` reads the time), so nothing can be
captured in between.
"""

from dataclasses import replace

from payments_sandbox.domain import postings
from payments_sandbox.domain.authorization import plan_expiry
from payments_sandbox.domain.ids import identify_entry
from payments_sandbox.domain.triggers import NO_TRIGGER
from payments_sandbox.services.ledger import entries
from payments_sandbox.services.ledger.authorization_updates import PlannedEntry, make_entry
from payments_sandbox.services.ledger.entries import EXPIRY
from payments_sandbox.services.ledger.retry import RACES_MAX
from payments_sandbox.services.ports import Record, Stale, Update
from payments_sandbox.services.world import World


def expire_authorization(world: World, record: Record) -> None:
    """Release what an authorization holds, whose time is over; does nothing when nothing is held any more.

    world: the account's, at the time of expiry. record: the authorization, as it was listed.
    """
    for _ in range(RACES_MAX):
        now_ms = world.clock.now_ms()
        movement = plan_expiry(entries.authorization_of(record), now_ms=now_ms)
        if movement is None:
            return
        identity = identify_entry(world.secret, world.owner, EXPIRY, record.id)
        plan = PlannedEntry(movement, postings.release(movement.amount), None, NO_TRIGGER)
        request = {"authorization_id": record.id}
        lapsed = replace(record, data={**record.data, "expired": True})
        entry, updated = make_entry(world, lapsed, EXPIRY, identity, request, plan, now_ms)
        if not isinstance(world.store.commit([entry], [Update(updated)]), Stale):
            return
        (current,) = world.store.get([record.id])
        assert current is not None, "nothing is ever deleted"
        record = current
