"""What becomes of a refund that a test card has sent on a course of its own (`domain/refund_courses.py`).

A timer, written together with the refund, is due when the outcome is known: a record of its own, since the refund's `due_at` is
that of its settlement. Success is told by a record that holds the refund as it is then; failure is an entry of the
ledger, which moves the money back. The refund itself keeps the outcome, and all else that it ever said.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from payments_sandbox.domain import postings
from payments_sandbox.domain.authorization import plan_refund_failure
from payments_sandbox.domain.ids import identify_entry, identify_object
from payments_sandbox.domain.refund_courses import FAILED, OUTCOME_DELAY_MS, REFUND_COURSES
from payments_sandbox.domain.triggers import Simulation
from payments_sandbox.services.ledger import entries
from payments_sandbox.services.ledger.authorization_updates import AuthorizationUpdate, PlannedEntry
from payments_sandbox.services.ledger.retry import RACES_MAX
from payments_sandbox.services.ports import Record, Stale
from payments_sandbox.services.world import World

TIMER: Final = "refund_timer"
SUCCESS: Final = "refund_success"
FAILURE: Final = "refund_failure"


def await_outcome(world: World, draft: AuthorizationUpdate, refund: Record) -> None:
    """Put the timer of a refund's outcome into the draft of the refund."""
    draft.inserts.append(
        Record(
            id=identify_object(world.secret, world.owner, TIMER, refund.id),
            kind=TIMER,
            account_id=refund.account_id,
            version=1,
            created_at=refund.created_at,
            data={"refund_id": refund.id},
            due_at=refund.created_at + OUTCOME_DELAY_MS,
        )
    )


def decide_outcome(world: World, timer: Record) -> None:
    """Have the refund succeed or fail; does nothing when that has happened already.

    world: the account's, at the time of the outcome. timer: as it was listed.
    """
    now_ms = world.clock.now_ms()
    for _ in range(RACES_MAX):
        current, refund = world.store.get([timer.id, timer.data["refund_id"]])
        assert current is not None, "nothing is ever deleted"
        assert refund is not None, "a timer is written together with its refund"
        if current.due_at is None:
            return
        (authorization,) = world.store.get([entries.data_of(refund)["authorization_id"]])
        assert authorization is not None, "a refund is written together with its authorization"
        outcome = REFUND_COURSES[entries.data_of(refund)["course"]].outcome
        decided = replace(refund, version=refund.version + 1, data={**refund.data, "outcome": outcome})
        draft = AuthorizationUpdate(world, authorization)
        if outcome == FAILED:
            _add_failure(world, draft, refund, now_ms)
        else:
            draft.inserts.append(_success(world, decided, now_ms))
        draft.updates += [decided, replace(current, version=current.version + 1, due_at=None)]
        if not isinstance(draft.commit(), Stale):
            return


def refund_of_success(record: Record) -> Record:
    """The refund as its success left it. record: the one that tells of it."""
    told: Mapping[str, Any] = record.data
    return Record(
        id=told["refund_id"],
        kind="refund",
        account_id=record.account_id,
        version=1,
        created_at=told["refunded_at"],
        data=told["refund"],
        card_id=told["card_id"],
    )


def _success(world: World, refund: Record, now_ms: int) -> Record:
    return Record(
        id=identify_object(world.secret, world.owner, SUCCESS, refund.id),
        kind=SUCCESS,
        account_id=refund.account_id,
        version=1,
        created_at=now_ms,
        data={
            "refund_id": refund.id,
            "refunded_at": refund.created_at,
            "card_id": refund.card_id,
            "refund": dict(refund.data),
        },
        feed_key=entries.feed_key(refund.account_id),
    )


def _add_failure(world: World, draft: AuthorizationUpdate, refund: Record, now_ms: int) -> None:
    data = entries.data_of(refund)
    movement = plan_refund_failure(entries.authorization_of(draft.authorization), data["amount"])
    identity = identify_entry(world.secret, world.owner, FAILURE, refund.id)
    plan = PlannedEntry(
        movement,
        postings.refund_failure(movement.amount),
        None,
        Simulation("authorization", data["course"]),
        {"refund_id": refund.id},
    )
    request = {"authorization_id": draft.authorization.id, "refund_id": refund.id}
    draft.add_entry(FAILURE, identity, request, plan, now_ms)
