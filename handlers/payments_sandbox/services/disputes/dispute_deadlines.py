"""What time does to a dispute: a deadline without evidence, the end of a review.

The dispute's own record is due at its deadline. Doing it twice, or late, or in two processes at once, is the same as doing it
once in time: the id of the change follows from the dispute and its version.
"""

from payments_sandbox.domain.disputes import cause_of_deadline, find_transition
from payments_sandbox.services.disputes.dispute_records import (
    data_of,
    read_with_authorization,
    status_of,
)
from payments_sandbox.services.disputes.dispute_transitions import move_dispute, time_change_id
from payments_sandbox.services.ledger.authorization_updates import AuthorizationUpdate
from payments_sandbox.services.ledger.retry import RACES_MAX
from payments_sandbox.services.ports import Record, Stale
from payments_sandbox.services.world import World


def meet_deadline(world: World, record: Record) -> None:
    """Move a dispute on whose deadline is reached; does nothing when it has moved on already.

    world: the account's, at the time of the deadline. record: the dispute, as it was listed.
    """
    for _ in range(RACES_MAX):
        now_ms = world.clock.now_ms()
        record, authorization = read_with_authorization(world, record)
        data = data_of(record)
        if data["due_at"] is None or data["due_at"] > now_ms:
            return
        status = status_of(record)
        cause = cause_of_deadline(status, data["evidence"].get("uncategorized_text"))
        transition = find_transition(status, cause)
        assert transition is not None, f"{status} has a deadline, so {cause} leads on from it"
        draft = AuthorizationUpdate(world, authorization)
        change_id = time_change_id(world, record, cause)
        move_dispute(world, draft, record, transition, now_ms, change_id=change_id)
        if not isinstance(draft.commit(), Stale):
            return
