"""Disputes as clients see and answer them: open, list, read, submit evidence, accept, escalate.

Each operation that changes a dispute is one atomic write, under an idempotency key whose record is the change itself: a repeat
finds it and is answered with what it holds. What a test card opens is in `dispute_transitions.py`, what time does in
`dispute_deadlines.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from payments_sandbox.domain.authorization import plan_dispute
from payments_sandbox.domain.disputes import UPDATED_EVENT, Cause, DisputeStatus, Transition, find_transition
from payments_sandbox.domain.errors import (
    AuthorizationBusy,
    DisputeNotAcceptable,
    DisputeNotAnswerable,
    DisputeNotEscalatable,
    DisputeNotFound,
    NotFound,
    StateConflict,
)
from payments_sandbox.domain.ids import identify_object
from payments_sandbox.domain.pan_guard import refuse_own_card_number
from payments_sandbox.services.disputes.dispute_deadlines import meet_deadline
from payments_sandbox.services.disputes.dispute_records import (
    KIND,
    Dispute,
    DisputeData,
    data_of,
    dispute_of,
    dispute_of_change,
    feed_key,
    make_change,
    read_with_authorization,
    status_of,
    with_data,
)
from payments_sandbox.services.disputes.dispute_transitions import (
    NewDispute,
    asked_change_id,
    move_dispute,
    open_dispute,
)
from payments_sandbox.services.ledger import entries
from payments_sandbox.services.ledger.authorization_updates import AuthorizationUpdate
from payments_sandbox.services.ledger.authorizations import get_authorization, recognise_card
from payments_sandbox.services.ledger.listings import ListingPage, walk
from payments_sandbox.services.ledger.retry import RACES_MAX
from payments_sandbox.services.ports import Committed, Index, Record
from payments_sandbox.services.world import World

_ANSWERABLE: Final = (DisputeStatus.WARNING_NEEDS_RESPONSE, DisputeStatus.NEEDS_RESPONSE)


@dataclass(frozen=True, slots=True)
class OpenDispute:
    """A request to dispute a payment. amount: minor units; None is all that was captured and is left."""

    authorization_id: str
    reason: str
    amount: int | None = None
    inquiry: bool = False


@dataclass(frozen=True, slots=True)
class EvidenceSubmission:
    """Evidence: texts by field, which add to those that were saved before. submit: this is all of it."""

    evidence: Mapping[str, str]
    submit: bool = False


@dataclass(frozen=True, slots=True)
class DisputeOutcome:
    """An operation's result. replayed: the idempotency key had brought it about before; nothing was written now."""

    dispute: Dispute
    replayed: bool


_Attempt = Callable[[str, int], tuple[AuthorizationUpdate, Record]]
"""Makes the draft of an operation, and the record of the change in it; given the change's id and the time."""


def create_dispute(world: World, command: OpenDispute, *, idempotency_key: str) -> DisputeOutcome:
    """Dispute a payment, as its cardholder's bank would. Unless it is an inquiry, the money is charged back at once.

    Money: 1 <= amount <= captured less refunded and charged back; None disputes all of it.
    Idempotency: the same key and request return the first result.
    Errors, by precedence:
        idempotency_key_reused: the key belongs to another request.
        transaction_not_found: the account has no authorization of this id.
        authorization_not_disputable: nothing was captured, or all of it was refunded or charged back.
        entry_limit_reached; amount_exceeds_disputable.
    """
    request: dict[str, Any] = {"authorization_id": command.authorization_id, "reason": command.reason}
    if command.amount is not None:
        request["amount"] = command.amount
    if command.inquiry:
        request["inquiry"] = True

    def attempt(change_id: str, now_ms: int) -> tuple[AuthorizationUpdate, Record]:
        authorization = get_authorization(world, command.authorization_id)
        amount = plan_dispute(entries.authorization_of(authorization), command.amount, now_ms=now_ms)
        draft = AuthorizationUpdate(world, authorization)
        new = NewDispute(
            dispute_id=identify_object(world.secret, world.owner, KIND, change_id),
            change_id=change_id,
            amount=amount,
            reason=command.reason,
            inquiry=command.inquiry,
            request=request,
        )
        return draft, open_dispute(world, draft, new, now_ms)

    return _perform(world, "open", idempotency_key, request, attempt)


def submit_evidence(
    world: World, dispute_id: str, answer: EvidenceSubmission, *, idempotency_key: str
) -> DisputeOutcome:
    """Save evidence, or submit it, once and for all.

    Idempotency: the same key and request return the first result.
    Errors, by precedence:
        idempotency_key_reused: the key belongs to another request.
        dispute_not_found.
        dispute_not_answerable: it waits for no response, or there is no evidence to submit.
        invalid_request: the payment's card number stands in a text, where it would be kept.
    """
    request: dict[str, Any] = {"dispute_id": dispute_id, "evidence": dict(answer.evidence)}
    if answer.submit:
        request["submit"] = True

    def attempt(change_id: str, now_ms: int) -> tuple[AuthorizationUpdate, Record]:
        record, authorization = _read_dispute(world, dispute_id)
        data, status = data_of(record), status_of(record)
        evidence = {**data["evidence"], **answer.evidence}
        if status not in _ANSWERABLE:
            raise _not_possible(DisputeNotAnswerable, status, "takes no evidence")
        if answer.submit and not evidence:
            raise DisputeNotAnswerable(
                "There is no evidence to submit.", facts={"dispute_status": status.value}
            )
        texts = [(f"/evidence/{name}", text) for name, text in answer.evidence.items()]
        refuse_own_card_number(texts, recognise_card(world, authorization))
        draft = AuthorizationUpdate(world, authorization)
        if not answer.submit:
            return draft, _save(draft, record, {**data, "evidence": evidence}, change_id, request, now_ms)
        transition = find_transition(status, Cause.EVIDENCE_SUBMITTED)
        assert transition is not None, f"{status} can be answered"
        return draft, move_dispute(
            world, draft, record, transition, now_ms, change_id=change_id, request=request, evidence=evidence
        )

    return _perform(world, "evidence", idempotency_key, request, attempt)


def accept_dispute(world: World, dispute_id: str, *, idempotency_key: str) -> DisputeOutcome:
    """Give a dispute up for lost.

    Idempotency: the same key and request return the first result.
    Errors, by precedence: idempotency_key_reused. dispute_not_found. dispute_not_acceptable: it waits for no response, or
    is an inquiry, which has taken nothing and is closed by a refund.
    """
    return _move(world, dispute_id, idempotency_key, Cause.ACCEPTED, "accept")


def escalate_dispute(world: World, dispute_id: str, *, idempotency_key: str) -> DisputeOutcome:
    """Make a dispute of an inquiry, as the cardholder's bank does when it is not satisfied: the money is charged back.

    Money: what the inquiry is about, or what refunds and other disputes have left of it.
    Idempotency: the same key and request return the first result.
    Errors, by precedence: idempotency_key_reused. dispute_not_found. dispute_not_escalatable: it is no open inquiry.
    """
    return _move(world, dispute_id, idempotency_key, Cause.ESCALATED, "escalate")


def get_dispute(world: World, dispute_id: str) -> Dispute:
    """A dispute of the account. Errors: dispute_not_found."""
    return dispute_of(_find(world, dispute_id))


def list_disputes(
    world: World,
    *,
    status: str | None = None,
    authorization_id: str | None = None,
    limit: int,
    cursor: str | None,
) -> ListingPage[Dispute]:
    """The account's disputes, newest first. Errors: invalid_request: the cursor is not one that a listing gave."""

    def wanted(record: Record) -> bool:
        data = data_of(record)
        return (status is None or data["status"] == status) and (
            authorization_id is None or data["authorization_id"] == authorization_id
        )

    page = walk(
        world.store,
        Index.FEED,
        feed_key(world.account_id),
        wanted,
        limit=limit,
        cursor=cursor,
        selective=status is not None or authorization_id is not None,
    )
    return ListingPage([dispute_of(record) for record in page.items], page.next_cursor)


_REFUSALS: Final[Mapping[Cause, tuple[type[StateConflict], str]]] = {
    Cause.ACCEPTED: (DisputeNotAcceptable, "cannot be accepted"),
    Cause.ESCALATED: (DisputeNotEscalatable, "cannot be escalated"),
}


def _move(
    world: World, dispute_id: str, idempotency_key: str, cause: Cause, operation: str
) -> DisputeOutcome:
    request = {"dispute_id": dispute_id}

    def attempt(change_id: str, now_ms: int) -> tuple[AuthorizationUpdate, Record]:
        record, authorization = _read_dispute(world, dispute_id)
        status = status_of(record)
        transition: Transition | None = find_transition(status, cause)
        if transition is None:
            error, refusal = _REFUSALS[cause]
            raise _not_possible(error, status, refusal)
        draft = AuthorizationUpdate(world, authorization)
        return draft, move_dispute(
            world, draft, record, transition, now_ms, change_id=change_id, request=request
        )

    return _perform(world, operation, idempotency_key, request, attempt)


def _perform(
    world: World, operation: str, idempotency_key: str, request: Mapping[str, Any], attempt: _Attempt
) -> DisputeOutcome:
    """Find what the key has brought about, or attempt it; when something else was faster, look and decide again."""
    generation = races = 0
    while races < RACES_MAX:
        change_id = asked_change_id(world, operation, idempotency_key, generation)
        now_ms = world.clock.now_ms()
        (existing,) = world.store.get([change_id])
        if existing is None:
            try:
                draft, change = attempt(change_id, now_ms)
            except (NotFound, StateConflict):
                # The first use of this key may be what brought about the state that now refuses it.
                (existing,) = world.store.get([change_id])
                if existing is None:
                    raise
            else:
                if isinstance(draft.commit(), Committed):
                    return DisputeOutcome(dispute_of_change(change), replayed=False)
                races += 1
                continue
        if not entries.key_is_forgotten(existing, now_ms):
            made = ("dispute_id", existing.data["dispute_id"])
            entries.require_same_request(existing, request, made)
            return DisputeOutcome(dispute_of_change(existing), replayed=True)
        generation += 1
    raise AuthorizationBusy("Too much happens to this payment at once; repeat the request with the same key.")


def _save(
    draft: AuthorizationUpdate,
    record: Record,
    data: DisputeData,
    change_id: str,
    request: Mapping[str, Any],
    now_ms: int,
) -> Record:
    """Put evidence that is not yet submitted into the draft; answers the record of the change."""
    saved = with_data(record, data)
    change = make_change(saved, UPDATED_EVENT, change_id, request, now_ms)
    draft.updates.append(saved)
    draft.inserts.append(change)
    return change


def _read_dispute(world: World, dispute_id: str) -> tuple[Record, Record]:
    """The dispute, as its deadlines have left it, and its authorization. A deadline that has passed is met first, if nobody
    has come to it yet."""
    record = _find(world, dispute_id)
    while record.due_at is not None and record.due_at <= world.clock.now_ms():
        meet_deadline(world.at(record.due_at), record)
        record = _find(world, dispute_id)
    return read_with_authorization(world, record)


def _find(world: World, dispute_id: str) -> Record:
    (record,) = world.store.get([dispute_id])
    if record is None or record.account_id != world.account_id or record.kind != KIND:
        raise DisputeNotFound("The account has no dispute of this id.")
    return record


def _not_possible(error: type[StateConflict], status: DisputeStatus, refusal: str) -> StateConflict:
    return error(
        f"The dispute's status is {status.value}; it {refusal}.", facts={"dispute_status": status.value}
    )
