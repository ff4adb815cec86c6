"""What is written together when something happens to a dispute: the dispute, the record of the change, and the money.

Everything goes into one draft, so that a dispute and its chargeback exist together or not at all, whatever else happens to the
payment at the same moment. Who may: `payments.py` for what a test card brings about and a refund ends, `disputes.py` for
what clients ask for, `dispute_deadlines.py` for what time does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from payments_sandbox.domain import postings
from payments_sandbox.domain.authorization import plan_chargeback, plan_chargeback_reversal
from payments_sandbox.domain.disputes import (
    OPENINGS,
    Cause,
    DisputeStatus,
    Money,
    Transition,
    deadline_of,
    find_transition,
    network_reason_code,
)
from payments_sandbox.domain.fees import dispute_fee
from payments_sandbox.domain.ids import identify_entry, identify_object
from payments_sandbox.domain.triggers import NO_TRIGGER, Simulation
from payments_sandbox.services.disputes import early_fraud_warnings
from payments_sandbox.services.disputes.dispute_records import (
    KIND,
    DisputeData,
    data_of,
    feed_key,
    make_change,
    status_of,
    with_data,
)
from payments_sandbox.services.ledger import entries
from payments_sandbox.services.ledger.authorization_updates import AuthorizationUpdate, PlannedEntry
from payments_sandbox.services.ports import Record
from payments_sandbox.services.world import World

_CHANGE: Final = "dispute_change"


@dataclass(frozen=True, slots=True)
class NewDispute:
    """A dispute to be opened. amount: minor units, no more than is left to dispute. request: what asked for it, if a client
    did. simulation: what brought it about."""

    dispute_id: str
    change_id: str
    amount: int
    reason: str
    inquiry: bool
    request: Mapping[str, Any] = field(default_factory=dict)
    simulation: Simulation = NO_TRIGGER


def open_after_capture(world: World, draft: AuthorizationUpdate, capture: Record) -> None:
    """Put what the payment's test card brings about after its first capture into the draft of that capture."""
    payment, amount = entries.data_of(draft.authorization), entries.data_of(capture)["amount"]
    rule = payment.get("after_capture")
    if rule is None or payment["totals"]["captured"] != amount:
        return
    opening = OPENINGS[rule]
    if opening.reason is None:
        early_fraud_warnings.add_warning(world, draft, capture)
        return
    new = NewDispute(
        dispute_id=identify_object(world.secret, world.owner, KIND, capture.id),
        change_id=time_change_id(world, capture, "opened"),
        amount=amount,
        reason=opening.reason,
        inquiry=opening.follows == "inquiry",
        simulation=Simulation("authorization", rule),
    )
    open_dispute(world, draft, new, capture.created_at)


def open_dispute(world: World, draft: AuthorizationUpdate, new: NewDispute, now_ms: int) -> Record:
    """Put a new dispute into the draft; answers the record of the change."""
    transition = find_transition(None, Cause.OPENED_AS_INQUIRY if new.inquiry else Cause.OPENED)
    assert transition is not None, "disputes can be opened"
    authorization = draft.authorization
    payment = entries.data_of(authorization)
    card = payment["card"]
    data: DisputeData = {
        "authorization_id": authorization.id,
        "card": {"card_id": authorization.card_id, "brand": card["brand"], "last4": card["last4"]},
        "amount": new.amount,
        "currency": payment["currency"],
        "fee": 0,
        "reason": new.reason,
        "network_reason_code": network_reason_code(new.reason, card["brand"]),
        "inquiry": new.inquiry,
        "status": transition.target.value,
        "evidence": {},
        "submitted_at": None,
        "due_at": None,
        "closed_at": None,
        "chargeback_id": None,
        "reversal_id": None,
    }
    record = Record(
        id=new.dispute_id,
        kind=KIND,
        account_id=authorization.account_id,
        version=0,
        created_at=now_ms,
        data=data,
        feed_key=feed_key(authorization.account_id),
    )
    draft.note(disputes=[*payment.get("disputes", []), record.id])
    opened = _moved(world, draft, record, transition, now_ms, new.simulation)
    change = make_change(opened, transition.event, new.change_id, new.request, now_ms)
    draft.inserts += [opened, change]
    return change


def move_dispute(
    world: World,
    draft: AuthorizationUpdate,
    record: Record,
    transition: Transition,
    now_ms: int,
    *,
    change_id: str,
    request: Mapping[str, Any] | None = None,
    evidence: Mapping[str, str] | None = None,
) -> Record:
    """Put a transition of the dispute into the draft; answers the record of the change.

    record: the dispute as it was read. evidence: what it has now, where that changes.
    """
    if evidence is not None:
        record = replace(record, data={**record.data, "evidence": dict(evidence)})
    moved = _moved(world, draft, record, transition, now_ms, NO_TRIGGER)
    change = make_change(moved, transition.event, change_id, request or {}, now_ms)
    draft.updates.append(moved)
    draft.inserts.append(change)
    return change


def close_warnings(world: World, draft: AuthorizationUpdate, now_ms: int) -> None:
    """Close the inquiries and early fraud warnings of a payment that has nothing left which a dispute could take."""
    ids = entries.data_of(draft.authorization).get("warnings", [])
    if not ids or entries.authorization_of(draft.authorization).totals.refundable:
        return
    draft.note(warnings=[])
    for record in world.store.get(ids):
        assert record is not None, "it was written together with the authorization"
        if record.kind != KIND:
            early_fraud_warnings.close_warning(world, draft, record, now_ms)
            continue
        transition = find_transition(status_of(record), Cause.NOTHING_LEFT)
        if transition is None:
            # It has moved on since the authorization was read, and so has the authorization: the write will find out.
            continue
        change_id = time_change_id(world, record, transition.cause)
        move_dispute(world, draft, record, transition, now_ms, change_id=change_id)


def time_change_id(world: World, record: Record, cause: str) -> str:
    """The id of a change that no client asks for: there is one of this cause for a version of a record."""
    # An operation's changes are named by its name first, which never begins with this sign.
    name = f"#{cause}/{record.id}/{record.version}"
    return identify_object(world.secret, world.owner, _CHANGE, name)


def asked_change_id(world: World, operation: str, idempotency_key: str, generation: int) -> str:
    """The id of the change that an operation makes under this key."""
    name = f"{operation}/{idempotency_key}"
    return identify_object(world.secret, world.owner, _CHANGE, name, generation=generation)


def _moved(
    world: World,
    draft: AuthorizationUpdate,
    record: Record,
    transition: Transition,
    now_ms: int,
    simulation: Simulation,
) -> Record:
    """The dispute after the transition; its entry, and what that leads to, goes into the draft."""
    target = transition.target
    deadline = deadline_of(target, now_ms)
    data: DisputeData = {
        **data_of(record),
        "status": target.value,
        "due_at": deadline,
        "closed_at": now_ms if deadline is None else None,
    }
    if transition.cause is Cause.EVIDENCE_SUBMITTED:
        data["submitted_at"] = now_ms
    elif target is DisputeStatus.NEEDS_RESPONSE:
        # What was said to an inquiry is kept, and may be said again, or better.
        data["submitted_at"] = None
    _note_warning(draft, record.id, is_open=target.value.startswith("warning") and deadline is not None)
    match transition.money:
        case Money.CHARGEBACK:
            _charge_back(world, draft, record, data, now_ms, simulation)
        case Money.REVERSAL:
            _reverse(world, draft, record, data, now_ms)
    return with_data(record, data)


def _charge_back(
    world: World,
    draft: AuthorizationUpdate,
    record: Record,
    data: DisputeData,
    now_ms: int,
    simulation: Simulation,
) -> None:
    movement = plan_chargeback(entries.authorization_of(draft.authorization), data["amount"])
    assert movement is not None, "with nothing left to dispute there is no inquiry that could escalate"
    data["amount"], data["fee"] = movement.amount, dispute_fee(data["currency"])
    plan = PlannedEntry(
        movement,
        postings.chargeback(movement.amount),
        None,
        simulation,
        {"dispute_id": record.id, "fee": data["fee"]},
    )
    data["chargeback_id"] = _add_entry(world, draft, record, "chargeback", plan, now_ms)
    close_warnings(world, draft, now_ms)


def _reverse(
    world: World, draft: AuthorizationUpdate, record: Record, data: DisputeData, now_ms: int
) -> None:
    movement = plan_chargeback_reversal(entries.authorization_of(draft.authorization), data["amount"])
    plan = PlannedEntry(
        movement,
        postings.chargeback_reversal(movement.amount),
        None,
        NO_TRIGGER,
        {"dispute_id": record.id, "fee": data["fee"]},
    )
    data["reversal_id"] = _add_entry(world, draft, record, "chargeback_reversal", plan, now_ms)


def _add_entry(
    world: World, draft: AuthorizationUpdate, record: Record, kind: str, plan: PlannedEntry, now_ms: int
) -> str:
    identity = identify_entry(world.secret, world.owner, kind, record.id)
    request = {"authorization_id": draft.authorization.id, "dispute_id": record.id}
    return draft.add_entry(kind, identity, request, plan, now_ms).id


def _note_warning(draft: AuthorizationUpdate, dispute_id: str, *, is_open: bool) -> None:
    """Have the authorization list the dispute among its open warnings, or no longer."""
    listed = entries.data_of(draft.authorization).get("warnings", [])
    if is_open and dispute_id not in listed:
        draft.note(warnings=[*listed, dispute_id])
    elif not is_open and dispute_id in listed:
        draft.note(warnings=[each for each in listed if each != dispute_id])
