"""The money operations: authorize, capture, refund, void, increment.

Each is one atomic write. An authorization is a single conditional insert; the others read the authorization, decide,
and write their entry together with the authorization's new totals, on condition that it has not moved on. The entry's id
comes from the idempotency key, so a repeat finds the first entry instead of writing a second.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from payments_sandbox.domain import postings
from payments_sandbox.domain.authorization import (
    VALIDITY_MS,
    Authorization,
    Totals,
    plan_capture,
    plan_increment,
    plan_refund,
    plan_void,
)
from payments_sandbox.domain.cards import CardDetails, describe_card
from payments_sandbox.domain.errors import (
    AuthorizationBusy,
    FieldError,
    InvalidRequest,
    NotFound,
    StateConflict,
)
from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.domain.ids import CardId, EntryIdentity, TransactionId, identify_card, identify_entry
from payments_sandbox.domain.json_pointers import json_pointer
from payments_sandbox.domain.pan_guard import has_card_digits, refuse_own_card_number
from payments_sandbox.domain.timestamps import day_of
from payments_sandbox.domain.triggers import (
    HEADER,
    NO_TRIGGER,
    TEST_CARDS,
    Decision,
    decide_authorization,
    decide_operation,
    decide_refund,
)
from payments_sandbox.domain.value import value_type
from payments_sandbox.services.disputes.dispute_transitions import close_warnings, open_after_capture
from payments_sandbox.services.ledger import entries
from payments_sandbox.services.ledger.authorization_updates import AuthorizationUpdate, PlannedEntry
from payments_sandbox.services.ledger.authorizations import get_authorization, recognise_card
from payments_sandbox.services.ledger.entries import AUTHORIZATION, Entry, EntryData
from payments_sandbox.services.ledger.retry import RACES_MAX
from payments_sandbox.services.payments.refund_outcomes import await_outcome
from payments_sandbox.services.ports import AlreadyExists, Committed, Record, Stale
from payments_sandbox.services.world import World


@value_type
class Outcome:
    """An operation's result. replayed: the idempotency key had made this entry before; nothing was written now."""

    entry: Entry
    replayed: bool


@value_type
class Authorize:
    """A request to hold an amount on a card. amount: minor units. simulate: the trigger in the request's header."""

    amount: int
    currency: str
    card: CardDetails
    merchant_reference: str | None = None
    metadata: Mapping[str, str] | None = None
    simulate: str | None = None


@dataclass(frozen=True, slots=True)
class PaymentOperation:
    """A request to do something with an authorization. amount: minor units; None is all that is left.

    final: for captures, give back what is left over.
    """

    authorization_id: TransactionId
    amount: int | None = None
    final: bool = False
    merchant_reference: str | None = None
    metadata: Mapping[str, str] | None = None
    simulate: str | None = None


def authorize_payment(world: World, command: Authorize, *, idempotency_key: str) -> Outcome:
    """Ask the card's issuer to hold an amount. A decline is a result, not an error.

    Money: command.amount counts the currency's smallest unit, 1 to 999999999999.
    Idempotency: the same key and request return the first result, a decline included.
    Errors, by precedence:
        invalid_request: the card number stands in a text field, where it would be kept; or the account has a seed, and the
            card is no published test card.
        invalid_simulation: the header or a `SIMULATE` holder name is not in the grammar.
        idempotency_key_reused: the key belongs to another request.
    Source: ISO 8583 message 0100; draft-ietf-httpapi-idempotency-key-header.
    """
    card = command.card
    refuse_own_card_number(
        _kept_card_texts(card) + _kept_texts(command), lambda digits: digits == card.number
    )
    if world.seeded:
        _require_test_card(card.number)
    now_ms = world.clock.now_ms()
    owner = world.owner
    card_id = identify_card(world.secret, owner, card.number)
    request = _authorize_request(command, card_id)
    today = day_of(now_ms)
    decision = decide_authorization(
        card, command.amount, command.simulate, year=today.year, month=today.month
    )
    for generation in count():
        identity = identify_entry(world.secret, owner, AUTHORIZATION, idempotency_key, generation=generation)
        record = _authorization_record(
            world.account_id, command, identity, card_id, request, decision, now_ms
        )
        existing = world.insert(record)
        if existing is None:
            return Outcome(entries.as_created(record), replayed=False)
        if not entries.key_is_forgotten(existing, now_ms):
            return _replay(existing, request)
    raise AssertionError("generations do not end")


def _require_test_card(number: str) -> None:
    """Whoever knows an account's seed can find the number of any card id, so it must not be anybody's."""
    if number not in TEST_CARDS:
        raise InvalidRequest(
            "An account with a seed takes published test cards only: GET /v1/test-cards.",
            errors=[
                FieldError("/card/number", FieldCode.NOT_A_TEST_CARD, "is not the number of a test card")
            ],
        )


def _authorization_record(
    account_id: str,
    command: Authorize,
    identity: EntryIdentity,
    card_id: CardId,
    request: dict[str, Any],
    decision: Decision,
    now_ms: int,
) -> Record:
    approved = decision.decline is None
    totals = Totals(authorized=command.amount) if approved else Totals()
    expires_at = now_ms + VALIDITY_MS
    data: EntryData = {
        "request": request,
        "amount": command.amount,
        "currency": command.currency,
        "card": _card_data(command.card),
        "decline": entries.decline_data(decision.decline),
        "network": entries.network_data(
            identity, now_ms, code=identity.authorization_code if approved else None
        ),
        "simulation": entries.simulation_data(decision.simulation),
        "postings": entries.postings_data(postings.hold(command.amount) if approved else []),
        "totals": entries.totals_data(totals),
        "cvc": decision.cvc_result,
        "avs": decision.avs_result,
        "risk": decision.risk_level,
        "expires_at": expires_at,
        "entries": [],
    }
    if decision.capture_decline is not None:
        data["capture_decline"] = decision.capture_decline
    if decision.after_capture is not None:
        data["after_capture"] = decision.after_capture
    if decision.refund_course is not None:
        data["refund_course"] = decision.refund_course
    return Record(
        id=identity.id,
        kind=AUTHORIZATION,
        account_id=account_id,
        version=1,
        created_at=now_ms,
        data=data,
        feed_key=entries.feed_key(account_id),
        card_id=card_id,
        due_at=expires_at if approved else None,
    )


def capture_payment(world: World, command: PaymentOperation, *, idempotency_key: str) -> Outcome:
    """Capture part or all of what an authorization holds.

    Money: 1 <= amount <= what is left to capture, in the authorization's currency; None captures all of it. Several
        captures are possible until one is final.
    Idempotency: the same key and request return the first result.
    Errors, by precedence:
        transaction_not_found: the account has no authorization of this id.
        authorization_not_capturable: it is declined, voided, expired or wholly captured.
        entry_limit_reached; amount_exceeds_authorized: more than what is left to capture.
        idempotency_key_reused: the key belongs to another request; checked before the others when the key is known.
    Source: ISO 8583 advice 0220; draft-ietf-httpapi-idempotency-key-header.
    """

    def plan(record: Record, authorization: Authorization, now_ms: int) -> PlannedEntry:
        movement = plan_capture(authorization, command.amount, final=command.final, now_ms=now_ms)
        standing = entries.data_of(record).get("capture_decline")
        decline, simulation = decide_operation(command.simulate, standing)
        moved = postings.capture(movement.amount, movement.released)

        def consequences(draft: AuthorizationUpdate, capture: Record) -> None:
            if decline is None:
                open_after_capture(world, draft, capture)

        return PlannedEntry(movement, moved, decline, simulation, consequences=consequences)

    return _operate(world, "capture", command, plan, idempotency_key)


def refund_payment(world: World, command: PaymentOperation, *, idempotency_key: str) -> Outcome:
    """Give captured money back to the cardholder.

    Money: 1 <= amount <= captured less refunded, over all captures of the authorization; None refunds all of it.
    Idempotency: the same key and request return the first result.
    Errors, by precedence:
        transaction_not_found: the account has no authorization of this id.
        payment_disputed: what is asked for, or all that is left, was charged back.
        authorization_not_refundable: nothing was captured, or all of it was refunded.
        entry_limit_reached; amount_exceeds_captured: more than what is left to refund.
        idempotency_key_reused: the key belongs to another request; checked before the others when the key is known.
    Source: ISO 8583 message 0200 with processing code 20.
    """

    def plan(record: Record, authorization: Authorization, now_ms: int) -> PlannedEntry:
        movement = plan_refund(authorization, command.amount, now_ms=now_ms)
        standing = entries.data_of(record).get("refund_course")
        decline, simulation, course = decide_refund(command.simulate, standing)
        if decline is not None:
            return PlannedEntry(movement, [], decline, simulation)

        def consequences(draft: AuthorizationUpdate, refund: Record) -> None:
            if course is not None:
                await_outcome(world, draft, refund)
            close_warnings(world, draft, now_ms)

        return PlannedEntry(
            movement,
            postings.refund(movement.amount),
            None,
            simulation,
            {} if course is None else {"course": course},
            consequences,
        )

    return _operate(world, "refund", command, plan, idempotency_key)


def void_payment(world: World, command: PaymentOperation, *, idempotency_key: str) -> Outcome:
    """Give back all that an authorization still holds; captured money stays captured.

    Idempotency: the same key and request return the first result.
    Errors, by precedence:
        transaction_not_found: the account has no authorization of this id.
        authorization_not_voidable: it is declined, voided, expired or wholly captured.
        entry_limit_reached.
        idempotency_key_reused: the key belongs to another request; checked before the others when the key is known.
    Source: ISO 8583 reversal 0400. A reversal is an advice: issuers cannot decline it.
    """

    def plan(record: Record, authorization: Authorization, now_ms: int) -> PlannedEntry:
        movement = plan_void(authorization, now_ms=now_ms)
        return PlannedEntry(movement, postings.release(movement.amount), None, NO_TRIGGER)

    return _operate(world, "void", command, plan, idempotency_key)


def increment_payment(world: World, command: PaymentOperation, *, idempotency_key: str) -> Outcome:
    """Ask the issuer to hold more on an authorization that is still open; its validity does not start anew.

    Money: command.amount (required) is what is added; the new total is at most 999999999999.
    Idempotency: the same key and request return the first result, a decline included.
    Errors, by precedence:
        transaction_not_found: the account has no authorization of this id.
        authorization_not_incrementable: nothing is held any more.
        entry_limit_reached; amount_too_large.
        idempotency_key_reused: the key belongs to another request; checked before the others when the key is known.
    Source: incremental authorizations of Visa and Mastercard, ISO 8583 message 0100.
    """
    amount = command.amount
    assert amount is not None, "the contract requires an increment's amount"

    def plan(record: Record, authorization: Authorization, now_ms: int) -> PlannedEntry:
        movement = plan_increment(authorization, amount, now_ms=now_ms)
        decline, simulation = decide_operation(command.simulate, None)
        return PlannedEntry(movement, postings.hold(amount), decline, simulation)

    return _operate(world, "increment", command, plan, idempotency_key)


_Planner = Callable[[Record, Authorization, int], PlannedEntry]


def _operate(
    world: World,
    kind: str,
    command: PaymentOperation,
    planner: _Planner,
    idempotency_key: str,
) -> Outcome:
    """Read the authorization, decide, write; when another operation was faster, read and decide again."""
    request = _operation_request(command)
    generation = races = 0
    while races < RACES_MAX:
        identity = identify_entry(world.secret, world.owner, kind, idempotency_key, generation=generation)
        now_ms = world.clock.now_ms()
        try:
            authorization = get_authorization(world, command.authorization_id)
            plan = planner(authorization, entries.authorization_of(authorization), now_ms)
        except (NotFound, StateConflict):
            # The first use of this key may be what brought about the state that now refuses it.
            (existing,) = world.store.get([identity.id])
            if existing is None:
                raise
        else:
            refuse_own_card_number(_kept_texts(command), recognise_card(world, authorization))
            draft = AuthorizationUpdate(world, authorization)
            entry = draft.add_entry(kind, identity, request, plan, now_ms)
            match draft.commit():
                case Committed():
                    return Outcome(entries.as_created(entry), replayed=False)
                case AlreadyExists(existing) if existing.id == entry.id:
                    pass
                case Stale() | AlreadyExists():
                    # A store may name any of the inserts that are there; the entry is, where its consequences are.
                    races += 1
                    continue
        if not entries.key_is_forgotten(existing, now_ms):
            return _replay(existing, request)
        generation += 1
    raise AuthorizationBusy(
        "Too many operations on this authorization at once; repeat the request with the same key."
    )


def _replay(existing: Record, request: Mapping[str, Any]) -> Outcome:
    entries.require_same_request(existing, request)
    return Outcome(entries.as_created(existing), replayed=True)


def _card_data(card: CardDetails) -> dict[str, Any]:
    facts = describe_card(card.number)
    data: dict[str, Any] = {
        "brand": facts.brand,
        "last4": facts.last4,
        "funding": facts.funding,
        "exp_month": card.exp_month,
        "exp_year": card.exp_year,
    }
    if card.holder_name is not None:
        data["holder_name"] = card.holder_name
    return data


def _authorize_request(command: Authorize, card_id: str) -> dict[str, Any]:
    """The request as it is kept: the number replaced by its id, the CVC by the fact that there was one.

    Of a CVC not even a hash may be kept (PCI DSS 3.3.1), so a retry with another one is not told apart.
    """
    card = command.card
    kept: dict[str, Any] = {"number": card_id, "exp_month": card.exp_month, "exp_year": card.exp_year}
    if card.cvc is not None:
        kept["cvc"] = True
    if card.holder_name is not None:
        kept["holder_name"] = card.holder_name
    if card.billing_address is not None:
        kept["billing_address"] = dict(card.billing_address)
    request: dict[str, Any] = {"amount": command.amount, "currency": command.currency, "card": kept}
    _add_common(request, command)
    return request


def _operation_request(command: PaymentOperation) -> dict[str, Any]:
    request: dict[str, Any] = {"authorization_id": command.authorization_id}
    if command.amount is not None:
        request["amount"] = command.amount
    if command.final:
        request["final"] = True
    _add_common(request, command)
    return request


def _add_common(request: dict[str, Any], command: Authorize | PaymentOperation) -> None:
    if command.merchant_reference is not None:
        request["merchant_reference"] = command.merchant_reference
    if command.metadata is not None:
        request["metadata"] = dict(command.metadata)
    if command.simulate is not None:
        request[f"header:{HEADER}"] = command.simulate


def _kept_texts(command: Authorize | PaymentOperation) -> list[tuple[str, str]]:
    """The texts of the caller's that every entry keeps, with their pointers."""
    texts: list[tuple[str, str]] = []
    if command.merchant_reference is not None:
        texts.append(("/merchant_reference", command.merchant_reference))
    if command.simulate is not None:
        texts.append((f"header:{HEADER}", command.simulate))
    for name, value in (command.metadata or {}).items():
        # A name that may be a card number cannot be shown in a pointer.
        pointer = "/metadata" if has_card_digits(name) else json_pointer(("metadata", name))
        texts += [(pointer, name), (pointer, value)]
    return texts


def _kept_card_texts(card: CardDetails) -> list[tuple[str, str]]:
    texts: list[tuple[str, str]] = []
    if card.holder_name is not None:
        texts.append(("/card/holder_name", card.holder_name))
    for name, value in (card.billing_address or {}).items():
        texts.append((f"/card/billing_address/{name}", value))
    return texts
