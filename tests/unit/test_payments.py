"""The money operations: what they answer, what they refuse, and that a repeated key never moves money twice."""

import json
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.domain.authorization import VALIDITY_MS, Totals
from handlers.domain.errors import (
    AmountExceedsAuthorized,
    AmountExceedsCaptured,
    AmountTooLarge,
    AuthorizationBusy,
    AuthorizationNotCapturable,
    AuthorizationNotIncrementable,
    AuthorizationNotRefundable,
    AuthorizationNotVoidable,
    EntryLimitReached,
    FieldError,
    IdempotencyKeyReused,
    InvalidRequest,
    InvalidSimulation,
    SandboxError,
    StateConflict,
    TransactionNotFound,
)
from handlers.domain.ids import TransactionId, identify_card
from handlers.domain.money import AMOUNT_MAX
from handlers.domain.settlement import next_cutoff
from handlers.services import payments
from handlers.services.entries import KEY_RETENTION_MS
from handlers.services.payments import RACES_MAX, Authorize, Operation, Outcome
from handlers.services.ports import Ports
from handlers.services.representations import render_transaction
from handlers.services.transactions import get_transaction
from handlers.services.trigger_table import TriggerRow, list_triggers
from tests.fakes import LEDGER_SECRET, NOW_MS, FrozenClock, MemoryStore, make_ports
from tests.model.calls import (
    ACCOUNT,
    CAPTURE_DECLINED_NUMBER,
    CARD,
    DECLINED_NUMBER,
    OPERATION_KINDS,
    OTHER_ACCOUNT,
    authorization_request,
    authorize,
    capture,
    card_with,
    id_of,
    increment,
    operate,
    refund,
    void,
)
from tests.model.stores import CountingStore, RacingStore

NOT_FOUND = (FieldError("/authorization_id", "not_found", "names no authorization of this account"),)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def ports(store: MemoryStore, clock: FrozenClock) -> Ports:
    return make_ports(store, clock)


def pointers(error: SandboxError) -> list[str]:
    return [each.pointer for each in error.errors]


def totals_now(ports: Ports, authorization_id: str, account: str = ACCOUNT) -> Totals:
    return get_transaction(ports, account, authorization_id).entry.totals


def snapshot(store: MemoryStore) -> dict[str, str]:
    return {record_id: repr(record) for record_id, record in store.records.items()}


# --- authorize -----------------------------------------------------------------------------------------------------


def test_an_approved_authorization_holds_its_amount_for_seven_days(ports: Ports, store: MemoryStore) -> None:
    outcome = authorize(ports, merchant_reference="order-1", metadata={"cart": "c-7"})
    entry = outcome.entry
    assert not outcome.replayed
    assert entry.status == "authorized"
    assert entry.totals == Totals(authorized=1000)
    assert entry.capturable == 1000
    assert entry.data["decline"] is None
    assert entry.data["expires_at"] == NOW_MS + VALIDITY_MS
    assert entry.data["postings"] == [["cardholder_available", -1000], ["cardholder_held", 1000]]
    assert entry.data["request"]["merchant_reference"] == "order-1"
    assert entry.data["request"]["metadata"] == {"cart": "c-7"}
    (record,) = store.records.values()
    assert (record.id, record.kind, record.version) == (id_of(outcome), "authorization", 1)
    assert (record.account_id, record.feed_key) == (ACCOUNT, f"{ACCOUNT}#transaction")
    assert record.created_at == NOW_MS
    assert record.due_at == NOW_MS + VALIDITY_MS
    assert record.card_id == identify_card(LEDGER_SECRET, ACCOUNT, CARD.number)


def test_a_declined_authorization_is_kept_and_holds_nothing(ports: Ports, store: MemoryStore) -> None:
    outcome = authorize(ports, card=card_with(number=DECLINED_NUMBER))
    entry = outcome.entry
    assert entry.status == "declined"
    assert entry.data["decline"] == ["insufficient_funds", "51"]
    assert entry.totals == Totals()
    assert entry.capturable == 0
    assert entry.data["amount"] == 1000
    assert entry.data["postings"] == []
    assert "authorization_code" not in entry.data["network"]
    (record,) = store.records.values()
    assert record.due_at is None
    assert record.feed_key is not None


def test_an_authorization_is_one_write_and_no_read() -> None:
    store = CountingStore()
    authorize(make_ports(store))
    assert store.calls == ["insert"]
    authorize(make_ports(store))
    assert store.calls == ["insert", "insert"]


def test_an_operation_is_one_read_and_one_atomic_write() -> None:
    store = CountingStore()
    ports = make_ports(store)
    authorization_id = id_of(authorize(ports))
    for kind, amount in (("increment", 5), ("capture", 5), ("refund", 5), ("void", None)):
        store.calls.clear()
        operate(ports, kind, authorization_id, amount=amount)
        assert store.calls == ["get", "commit"], kind


@pytest.mark.parametrize(
    ("now", "declined"),
    [
        ("2026-11-01T00:00:00.000", False),
        ("2026-11-30T23:59:59.999", False),
        ("2026-12-01T00:00:00.000", True),
    ],
)
def test_a_card_is_good_to_the_last_millisecond_of_its_month(now: str, declined: bool) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    now_ms = int(at.timestamp()) * 1000 + at.microsecond // 1000
    ports = make_ports(clock=FrozenClock(now_ms))
    entry = authorize(ports, card=card_with(exp_month=11, exp_year=2026)).entry
    assert (entry.data["decline"] == ["expired_card", "54"]) == declined
    assert entry.data["simulation"]["rule"] == ("expiry" if declined else "approved")


@pytest.mark.parametrize("amount", [1, AMOUNT_MAX])
@pytest.mark.parametrize("currency", ["JPY", "EUR", "KWD", "CLF"])
def test_the_smallest_and_the_largest_amount_can_be_authorized(
    ports: Ports, amount: int, currency: str
) -> None:
    entry = authorize(ports, amount=amount, currency=currency).entry
    assert (entry.totals.authorized, entry.data["currency"]) == (amount, currency)


def test_a_header_that_is_not_in_the_grammar_is_refused_and_nothing_is_kept(
    ports: Ports, store: MemoryStore
) -> None:
    with pytest.raises(InvalidSimulation) as caught:
        authorize(ports, simulate="bankruptcy")
    assert pointers(caught.value) == ["header:X-Sandbox-Simulate"]
    assert store.records == {}
    assert not authorize(ports).replayed


@pytest.mark.parametrize("row", list_triggers(), ids=lambda row: f"{row.trigger} {row.value}")
def test_every_row_of_the_trigger_table_does_what_it_says(row: TriggerRow) -> None:
    ports = make_ports()
    body = dict(row.body)
    card = card_with(**{"cvc": None, **body.pop("card")})
    entry = authorize(ports, card=card, simulate=row.headers.get("X-Sandbox-Simulate"), **body).entry
    decision = row.decision
    rendered = render_transaction(entry)
    assert rendered["simulation"]["trigger"] == (
        "none" if row.rule == "approved" and row.trigger == "card_number" else row.trigger
    )
    assert rendered["simulation"]["rule"] == row.rule
    assert rendered["checks"] == {"cvc_result": decision.cvc_result, "avs_result": decision.avs_result}
    assert rendered["risk"] == {"level": decision.risk_level}
    if decision.decline is not None:
        assert rendered["status"] == "declined"
        assert rendered["decline"]["decline_code"] == decision.decline.decline_code
        assert rendered["decline"]["response_code"] == decision.decline.response_code
        assert rendered["decline"]["retry_forbidden"] == decision.decline.retry_forbidden
        with pytest.raises(AuthorizationNotCapturable):
            capture(ports, id_of(Outcome(entry, False)))
    else:
        assert rendered["status"] == "authorized"
        assert rendered["decline"] is None
        captured = capture(ports, entry.record.id).entry
        assert captured.status == ("succeeded" if decision.capture_decline is None else "declined")
        if decision.capture_decline is not None:
            assert captured.data["decline"] is not None
            assert captured.data["decline"][0] == decision.capture_decline


# --- capture, refund, void, increment --------------------------------------------------------------------------------


def test_a_capture_moves_money_from_the_hold_to_the_merchant(ports: Ports, store: MemoryStore) -> None:
    authorization_id = id_of(authorize(ports))
    entry = capture(
        ports, authorization_id, amount=400, merchant_reference="order-1/1", metadata={"a": "b"}
    ).entry
    assert entry.status == "succeeded"
    assert entry.data["amount"] == 400
    assert entry.data["postings"] == [["cardholder_held", -400], ["merchant_receivable", 400]]
    assert entry.data["authorization_id"] == authorization_id
    assert entry.totals == Totals(authorized=1000, captured=400)
    assert entry.capturable == 600
    assert entry.data["request"]["merchant_reference"] == "order-1/1"
    authorization = store.records[authorization_id]
    assert authorization.version == 2
    assert authorization.data["entries"] == [entry.record.id]
    assert authorization.data["totals"] == {"authorized": 1000, "captured": 400, "refunded": 0, "released": 0}
    assert authorization.due_at == NOW_MS + VALIDITY_MS
    record = entry.record
    assert (record.kind, record.version) == ("capture", 1)
    assert record.due_at == next_cutoff(NOW_MS, 0)
    assert (record.feed_key, record.card_id) == (authorization.feed_key, authorization.card_id)


def test_a_final_capture_gives_back_what_it_leaves_over(ports: Ports, store: MemoryStore) -> None:
    authorization_id = id_of(authorize(ports))
    entry = capture(ports, authorization_id, amount=400, final=True).entry
    assert entry.data["postings"] == [
        ["cardholder_held", -400],
        ["merchant_receivable", 400],
        ["cardholder_held", -600],
        ["cardholder_available", 600],
    ]
    assert entry.totals == Totals(authorized=1000, captured=400, released=600)
    assert entry.capturable == 0
    # Nothing is held, so nothing will ever expire.
    assert store.records[authorization_id].due_at is None
    with pytest.raises(AuthorizationNotCapturable) as caught:
        capture(ports, authorization_id, "cap-2")
    assert caught.value.facts == {"authorization_status": "captured"}


def test_several_captures_take_all_that_was_authorized_and_no_more(ports: Ports) -> None:
    authorization_id = id_of(authorize(ports))
    capture(ports, authorization_id, "cap-1", amount=600)
    with pytest.raises(AmountExceedsAuthorized) as caught:
        capture(ports, authorization_id, "cap-2", amount=401)
    assert caught.value.facts == {"capturable_amount": 400}
    capture(ports, authorization_id, "cap-2", amount=400)
    assert totals_now(ports, authorization_id) == Totals(authorized=1000, captured=1000)


def test_a_refund_gives_the_merchants_money_back(ports: Ports) -> None:
    authorization_id = id_of(authorize(ports))
    capture(ports, authorization_id, amount=500)
    entry = refund(ports, authorization_id, amount=200).entry
    assert entry.data["postings"] == [["merchant_receivable", -200], ["cardholder_available", 200]]
    assert entry.totals == Totals(authorized=1000, captured=500, refunded=200)
    assert entry.capturable == 500
    assert refund(ports, authorization_id, "ref-2").entry.data["amount"] == 300
    with pytest.raises(AuthorizationNotRefundable):
        refund(ports, authorization_id, "ref-3")


def test_refunds_count_against_all_captures_together(ports: Ports) -> None:
    authorization_id = id_of(authorize(ports))
    capture(ports, authorization_id, "cap-1", amount=300)
    capture(ports, authorization_id, "cap-2", amount=400)
    with pytest.raises(AmountExceedsCaptured) as caught:
        refund(ports, authorization_id, amount=701)
    assert caught.value.facts == {"refundable_amount": 700}
    assert refund(ports, authorization_id, amount=650).entry.data["amount"] == 650


def test_a_void_ends_the_hold(ports: Ports, store: MemoryStore) -> None:
    authorization_id = id_of(authorize(ports))
    capture(ports, authorization_id, amount=100)
    entry = void(ports, authorization_id).entry
    assert entry.data["amount"] == 900
    assert entry.data["postings"] == [["cardholder_held", -900], ["cardholder_available", 900]]
    assert entry.totals == Totals(authorized=1000, captured=100, released=900)
    assert store.records[authorization_id].due_at is None


def test_an_increment_holds_more_and_keeps_the_day_of_expiry(
    ports: Ports, store: MemoryStore, clock: FrozenClock
) -> None:
    authorization_id = id_of(authorize(ports))
    clock.advance(days=3)
    entry = increment(ports, authorization_id, amount=500).entry
    assert entry.data["postings"] == [["cardholder_available", -500], ["cardholder_held", 500]]
    assert entry.totals == Totals(authorized=1500)
    assert store.records[authorization_id].data["expires_at"] == NOW_MS + VALIDITY_MS
    with pytest.raises(AmountTooLarge) as caught:
        increment(ports, authorization_id, "inc-2", amount=AMOUNT_MAX)
    assert caught.value.facts == {"incrementable_amount": AMOUNT_MAX - 1500}


def test_entries_of_one_authorization_carry_its_code_where_money_is_asked_for(ports: Ports) -> None:
    authorization = authorize(ports)
    authorization_id = id_of(authorization)
    code = authorization.entry.data["network"]["authorization_code"]
    networks = {
        kind: operate(ports, kind, authorization_id, amount=amount).entry.data["network"]
        for kind, amount in (("increment", 5), ("capture", 5), ("refund", 5), ("void", None))
    }
    assert {kind: network.get("authorization_code") for kind, network in networks.items()} == {
        "increment": code,
        "capture": code,
        "refund": None,
        "void": None,
    }
    with_reference = [kind for kind, network in networks.items() if "acquirer_reference" in network]
    assert with_reference == ["capture", "refund"]
    assert "acquirer_reference" not in authorization.entry.data["network"]


def test_a_hold_can_be_used_to_its_last_millisecond(ports: Ports, clock: FrozenClock) -> None:
    authorization_id = id_of(authorize(ports))
    clock.advance(ms=VALIDITY_MS - 1)
    assert capture(ports, authorization_id, amount=100).entry.capturable == 900
    clock.advance(ms=1)
    for kind, error in (
        ("capture", AuthorizationNotCapturable),
        ("void", AuthorizationNotVoidable),
        ("increment", AuthorizationNotIncrementable),
    ):
        with pytest.raises(error) as caught:
            operate(ports, kind, authorization_id, "late", amount=1)
        assert caught.value.facts == {"authorization_status": "captured"}
    refunded = refund(ports, authorization_id).entry
    assert refunded.status == "succeeded"
    assert refunded.capturable == 0


def test_an_operation_on_an_expired_authorization_says_that_it_expired(
    ports: Ports, clock: FrozenClock
) -> None:
    authorization_id = id_of(authorize(ports))
    clock.advance(ms=VALIDITY_MS)
    for kind in OPERATION_KINDS:
        with pytest.raises(StateConflict) as caught:
            operate(ports, kind, authorization_id, amount=1)
        assert caught.value.facts == {"authorization_status": "expired"}, kind


@pytest.mark.parametrize("kind", OPERATION_KINDS)
def test_a_declined_authorization_can_not_be_operated_on(ports: Ports, kind: str) -> None:
    authorization_id = id_of(authorize(ports, card=card_with(number=DECLINED_NUMBER)))
    with pytest.raises(StateConflict) as caught:
        operate(ports, kind, authorization_id, amount=1)
    assert caught.value.facts == {"authorization_status": "declined"}


@pytest.mark.parametrize("kind", OPERATION_KINDS)
def test_ids_that_name_no_authorization_of_the_account_are_not_found(
    ports: Ports, store: MemoryStore, kind: str
) -> None:
    mine = id_of(authorize(ports))
    capture_id = id_of(capture(ports, mine, amount=500))
    before = snapshot(store)
    for account, authorization_id in (
        (ACCOUNT, "auth_nothing"),
        (ACCOUNT, ""),
        (ACCOUNT, capture_id),
        (OTHER_ACCOUNT, mine),
        (OTHER_ACCOUNT, capture_id),
    ):
        with pytest.raises(TransactionNotFound) as caught:
            operate(ports, kind, authorization_id, "new", account=account, amount=1)
        assert caught.value.errors == NOT_FOUND
        assert "auth_" not in caught.value.detail
    assert snapshot(store) == before


@pytest.mark.parametrize("kind", OPERATION_KINDS)
def test_the_hundredth_entry_of_an_authorization_is_refused(ports: Ports, kind: str) -> None:
    authorization_id = id_of(authorize(ports))
    for number in range(99):
        capture(ports, authorization_id, f"cap-{number}", amount=1)
    with pytest.raises(EntryLimitReached):
        operate(ports, kind, authorization_id, "one-more", amount=1)
    assert len(get_transaction(ports, ACCOUNT, authorization_id).members) == 100


def test_a_declined_operation_is_kept_and_moves_nothing(ports: Ports, store: MemoryStore) -> None:
    authorization_id = id_of(authorize(ports, card=card_with(number=CAPTURE_DECLINED_NUMBER)))
    entry = capture(ports, authorization_id, amount=400, final=True).entry
    assert entry.status == "declined"
    assert entry.data["decline"] == ["generic_decline", "05"]
    assert entry.data["amount"] == 400
    assert entry.data["postings"] == []
    assert entry.totals == Totals(authorized=1000)
    assert entry.capturable == 1000
    assert entry.data["simulation"] == {"trigger": "authorization", "rule": "capture=generic_decline"}
    assert not {"authorization_code", "acquirer_reference"} & entry.data["network"].keys()
    authorization = store.records[authorization_id]
    assert authorization.version == 2
    assert authorization.data["entries"] == [entry.record.id]
    assert authorization.due_at == NOW_MS + VALIDITY_MS
    # Other operations on it succeed, and so does a capture whose header says so.
    assert increment(ports, authorization_id).entry.status == "succeeded"
    approved = capture(ports, authorization_id, "cap-2", simulate="approve").entry
    assert approved.status == "succeeded"
    assert approved.data["simulation"]["overridden"] == ["authorization"]
    assert refund(ports, authorization_id).entry.status == "succeeded"


@pytest.mark.parametrize("kind", ["capture", "refund", "increment"])
def test_a_header_declines_an_operation(ports: Ports, kind: str) -> None:
    authorization_id = id_of(authorize(ports))
    capture(ports, authorization_id, "cap-0", amount=500)
    before = totals_now(ports, authorization_id)
    entry = operate(ports, kind, authorization_id, amount=100, simulate="response_code=91").entry
    assert entry.status == "declined"
    assert entry.data["decline"] == ["issuer_not_available", "91"]
    assert entry.totals == before == totals_now(ports, authorization_id)


@pytest.mark.parametrize("kind", ["capture", "refund", "increment"])
def test_an_operation_refuses_an_instruction_for_authorizations(
    ports: Ports, store: MemoryStore, kind: str
) -> None:
    authorization_id = id_of(authorize(ports))
    capture(ports, authorization_id, "cap-0", amount=500)
    before = snapshot(store)
    with pytest.raises(InvalidSimulation) as caught:
        operate(ports, kind, authorization_id, amount=100, simulate="approve; cvc=N")
    assert caught.value.errors[0].code == "not_applicable"
    assert snapshot(store) == before


def test_a_void_is_an_advice_that_no_trigger_declines(ports: Ports) -> None:
    authorization_id = id_of(authorize(ports, card=card_with(number=CAPTURE_DECLINED_NUMBER)))
    entry = void(ports, authorization_id).entry
    assert entry.status == "succeeded"
    assert entry.data["simulation"] == {"trigger": "none", "rule": "approved"}


# --- repeating a key -------------------------------------------------------------------------------------------------


def same_answer(first: Outcome, again: Outcome) -> None:
    """The second is the first, said once more."""
    assert not first.replayed
    assert again.replayed
    assert render_transaction(again.entry) == render_transaction(first.entry)


@pytest.mark.parametrize("number", [CARD.number, DECLINED_NUMBER, "4242424242424243"])
def test_repeating_an_authorization_answers_the_first_result_and_writes_nothing(
    ports: Ports, store: MemoryStore, clock: FrozenClock, number: str
) -> None:
    first = authorize(ports, card=card_with(number=number), metadata={"a": "b"})
    before = snapshot(store)
    clock.advance(days=29)
    same_answer(first, authorize(ports, card=card_with(number=number), metadata={"a": "b"}))
    assert snapshot(store) == before


def test_an_idempotency_key_is_as_good_as_new_after_thirty_days(ports: Ports, clock: FrozenClock) -> None:
    first = authorize(ports)
    clock.advance(ms=KEY_RETENTION_MS - 1)
    assert authorize(ports).replayed
    with pytest.raises(IdempotencyKeyReused):
        authorize(ports, amount=1)
    clock.advance(ms=1)
    second = authorize(ports, amount=1)
    assert not second.replayed
    assert id_of(second) != id_of(first)
    # From now on the key stands for the second.
    assert id_of(authorize(ports, amount=1)) == id_of(second)
    with pytest.raises(IdempotencyKeyReused):
        authorize(ports)
    clock.advance(ms=KEY_RETENTION_MS)
    assert len({id_of(first), id_of(second), id_of(authorize(ports))}) == 3


@pytest.mark.parametrize("kind", ["capture", "increment", "void"])
def test_the_key_of_an_operation_is_forgotten_as_well(ports: Ports, clock: FrozenClock, kind: str) -> None:
    amounts: list[dict[str, Any]] = [{}, {}] if kind == "void" else [{"amount": 5}, {"amount": 6}]
    first = operate(ports, kind, id_of(authorize(ports)), "k", **amounts[0])
    clock.advance(ms=KEY_RETENTION_MS)
    second = operate(ports, kind, id_of(authorize(ports, "another")), "k", **amounts[1])
    assert not second.replayed
    assert id_of(second) != id_of(first)


def test_a_forgotten_key_does_not_hide_what_the_state_refuses(ports: Ports, clock: FrozenClock) -> None:
    authorization_id = id_of(authorize(ports))
    capture(ports, authorization_id)
    clock.advance(ms=KEY_RETENTION_MS)
    with pytest.raises(AuthorizationNotCapturable):
        capture(ports, authorization_id)


def test_repeating_an_authorization_shows_it_as_it_was_made_whatever_happened_since(
    ports: Ports, clock: FrozenClock
) -> None:
    first = authorize(ports)
    increment(ports, id_of(first))
    capture(ports, id_of(first), amount=200)
    refund(ports, id_of(first))
    void(ports, id_of(first))
    clock.advance(days=8)
    again = authorize(ports)
    same_answer(first, again)
    assert (again.entry.status, again.entry.capturable) == ("authorized", 1000)


def test_a_declined_authorization_stays_declined_when_the_reason_is_gone(ports: Ports) -> None:
    expired = card_with(exp_year=2020)
    first = authorize(ports, card=expired)
    same_answer(first, authorize(replace(ports, clock=FrozenClock(0)), card=expired))


CAPTURES: list[dict[str, Any]] = [
    {"amount": 400},
    {"amount": 400, "final": True},
    {},
    {"amount": 1000},
    {"amount": 400, "simulate": "lost_card"},
    {"amount": 400, "merchant_reference": "order-1", "metadata": {"a": "b"}},
]


def used_up(ports: Ports, authorization_id: str, clock: FrozenClock) -> None:
    """Takes what may be left."""
    with suppress(AuthorizationNotCapturable):
        capture(ports, authorization_id, "cap-last")


def voided(ports: Ports, authorization_id: str, clock: FrozenClock) -> None:
    """Gives back what may be left."""
    with suppress(AuthorizationNotVoidable):
        void(ports, authorization_id, "void-last")


def refunded(ports: Ports, authorization_id: str, clock: FrozenClock) -> None:
    used_up(ports, authorization_id, clock)
    refund(ports, authorization_id)


def expired(ports: Ports, authorization_id: str, clock: FrozenClock) -> None:
    clock.advance(ms=VALIDITY_MS)


def filled_up(ports: Ports, authorization_id: str, clock: FrozenClock) -> None:
    """As many entries as fit."""
    used_up(ports, authorization_id, clock)
    for number in range(200):
        try:
            refund(ports, authorization_id, f"ref-{number}", amount=1, simulate="lost_card")
        except EntryLimitReached:
            return


Later = Callable[[Ports, str, FrozenClock], None]


@pytest.mark.parametrize("later", [used_up, voided, refunded, expired, filled_up], ids=lambda f: f.__name__)
@pytest.mark.parametrize("fields", CAPTURES, ids=str)
def test_repeating_a_capture_answers_the_first_result_whatever_happened_since(
    ports: Ports, store: MemoryStore, clock: FrozenClock, fields: dict[str, Any], later: Later
) -> None:
    authorization_id = id_of(authorize(ports))
    first = capture(ports, authorization_id, **fields)
    same_answer(first, capture(ports, authorization_id, **fields))
    later(ports, authorization_id, clock)
    before = snapshot(store)
    same_answer(first, capture(ports, authorization_id, **fields))
    assert snapshot(store) == before


@pytest.mark.parametrize("kind", ["refund", "void", "increment"])
@pytest.mark.parametrize("later", [voided, refunded, expired, filled_up], ids=lambda f: f.__name__)
def test_repeating_another_operation_answers_the_first_result_too(
    ports: Ports, clock: FrozenClock, kind: str, later: Later
) -> None:
    authorization_id = id_of(authorize(ports))
    capture(ports, authorization_id, "cap-0", amount=500)
    amount = {"refund": 100, "void": None, "increment": 70}[kind]
    first = operate(ports, kind, authorization_id, "first", amount=amount)
    later(ports, authorization_id, clock)
    same_answer(first, operate(ports, kind, authorization_id, "first", amount=amount))


def test_one_key_serves_once_for_each_operation_and_account(ports: Ports) -> None:
    authorization_id = id_of(authorize(ports, "key-1"))
    made = [
        increment(ports, authorization_id, "key-1"),
        capture(ports, authorization_id, "key-1", amount=100),
        refund(ports, authorization_id, "key-1"),
        void(ports, authorization_id, "key-1"),
        authorize(ports, "key-1", account=OTHER_ACCOUNT),
    ]
    assert not any(outcome.replayed for outcome in made)
    assert len({authorization_id, *map(id_of, made)}) == 6


def test_capturing_twice_with_one_key_moves_money_once(ports: Ports) -> None:
    authorization_id = id_of(authorize(ports))
    for _ in range(3):
        capture(ports, authorization_id, amount=400)
    assert totals_now(ports, authorization_id) == Totals(authorized=1000, captured=400)


# --- a key that belongs to another request ---------------------------------------------------------------------------

FULL_CARD = card_with(
    holder_name="Ada Lovelace", billing_address={"line1": "1 Main Street", "postal_code": "10115"}
)
FULL_REQUEST = authorization_request(
    card=FULL_CARD, merchant_reference="order-1", metadata={"a": "1", "b": "2"}, simulate="approve"
)


@pytest.mark.parametrize(
    ("changes", "card_changes", "expected"),
    [
        ({"amount": 1001}, {}, ["/amount"]),
        ({"currency": "USD"}, {}, ["/currency"]),
        ({"merchant_reference": "order-2"}, {}, ["/merchant_reference"]),
        ({"merchant_reference": None}, {}, ["/merchant_reference"]),
        ({"metadata": {"a": "1", "b": "3"}}, {}, ["/metadata/b"]),
        ({"metadata": {"a": "1"}}, {}, ["/metadata/b"]),
        ({"metadata": {"a": "1", "b": "2", "c": ""}}, {}, ["/metadata/c"]),
        ({"metadata": {}}, {}, ["/metadata/a", "/metadata/b"]),
        ({"metadata": None}, {}, ["/metadata"]),
        ({"simulate": "lost_card"}, {}, ["header:X-Sandbox-Simulate"]),
        ({"simulate": "APPROVE"}, {}, ["header:X-Sandbox-Simulate"]),
        ({"simulate": None}, {}, ["header:X-Sandbox-Simulate"]),
        ({}, {"number": "5555555555554444"}, ["/card/number"]),
        ({}, {"exp_month": 11}, ["/card/exp_month"]),
        ({}, {"exp_year": 2031}, ["/card/exp_year"]),
        ({}, {"cvc": None}, ["/card/cvc"]),
        ({}, {"holder_name": "Ada Byron"}, ["/card/holder_name"]),
        ({}, {"holder_name": None}, ["/card/holder_name"]),
        ({}, {"billing_address": None}, ["/card/billing_address"]),
        (
            {},
            {"billing_address": {"line1": "1 Main Street", "postal_code": "10116"}},
            ["/card/billing_address/postal_code"],
        ),
        (
            {},
            {"billing_address": {"line1": "1 Main Street", "city": "Berlin"}},
            ["/card/billing_address/city", "/card/billing_address/postal_code"],
        ),
        (
            {"amount": 7, "metadata": {"b": "2", "a/b~c": ""}, "simulate": None},
            {"number": "5555555555554444", "cvc": None},
            [
                "/amount",
                "/card/cvc",
                "/card/number",
                "/metadata/a",
                "/metadata/a~1b~0c",
                "header:X-Sandbox-Simulate",
            ],
        ),
    ],
)
def test_a_key_that_made_another_authorization_is_refused_with_every_field_that_differs(
    ports: Ports,
    store: MemoryStore,
    clock: FrozenClock,
    changes: dict[str, Any],
    card_changes: dict[str, Any],
    expected: list[str],
) -> None:
    first = payments.authorize_payment(ports, ACCOUNT, FULL_REQUEST, idempotency_key="k")
    before = snapshot(store)
    clock.advance(days=1)
    other = replace(FULL_REQUEST, **changes, card=replace(FULL_CARD, **card_changes))
    with pytest.raises(IdempotencyKeyReused) as caught:
        payments.authorize_payment(ports, ACCOUNT, other, idempotency_key="k")
    assert pointers(caught.value) == expected
    assert {error.code for error in caught.value.errors} == {"differs"}
    assert caught.value.facts == {"first_used_at": "2026-11-23T10:00:00.000Z", "transaction_id": id_of(first)}
    assert ", ".join(expected) in caught.value.detail
    assert snapshot(store) == before


def test_fields_that_a_request_adds_are_named_too(ports: Ports) -> None:
    authorize(ports)
    with pytest.raises(IdempotencyKeyReused) as caught:
        authorize(ports, card=FULL_CARD, merchant_reference="order-1", metadata={}, simulate="approve")
    assert pointers(caught.value) == [
        "/card/billing_address",
        "/card/holder_name",
        "/merchant_reference",
        "/metadata",
        "header:X-Sandbox-Simulate",
    ]


def test_a_cvc_is_not_kept_even_as_a_hash_so_that_another_one_is_not_told_apart(ports: Ports) -> None:
    first = authorize(ports, card=card_with(cvc="123"))
    same_answer(first, authorize(ports, card=card_with(cvc="321")))


def test_metadata_whose_name_looks_like_a_header_is_named_where_it_stands(ports: Ports) -> None:
    authorize(ports, metadata={"header:X": "1"})
    with pytest.raises(IdempotencyKeyReused) as caught:
        authorize(ports, metadata={"header:X": "2"})
    assert pointers(caught.value) == ["/metadata/header:X"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"amount": 401}, ["/amount"]),
        ({"amount": None}, ["/amount"]),
        ({"final": True}, ["/final"]),
        ({"merchant_reference": "b"}, ["/merchant_reference"]),
        ({"metadata": {"a": "2"}}, ["/metadata/a"]),
        ({"simulate": "approve"}, ["header:X-Sandbox-Simulate"]),
        ({"amount": 1, "final": True, "metadata": None}, ["/amount", "/final", "/metadata"]),
    ],
)
@pytest.mark.parametrize("later", [None, used_up, expired], ids=lambda f: f.__name__ if f else "at once")
def test_a_key_that_made_another_capture_is_refused_with_every_field_that_differs(
    ports: Ports, clock: FrozenClock, changes: dict[str, Any], expected: list[str], later: Later | None
) -> None:
    authorization_id = id_of(authorize(ports))
    fields: dict[str, Any] = {"amount": 400, "merchant_reference": "a", "metadata": {"a": "1"}}
    first = capture(ports, authorization_id, **fields)
    if later is not None:
        later(ports, authorization_id, clock)
    with pytest.raises(IdempotencyKeyReused) as caught:
        capture(ports, authorization_id, **{**fields, **changes})
    assert pointers(caught.value) == expected
    assert caught.value.facts["transaction_id"] == id_of(first)


@pytest.mark.parametrize("kind", OPERATION_KINDS)
@pytest.mark.parametrize(
    "second", ["another authorization", "a declined one", "an unknown one", "a stranger's"]
)
def test_a_key_used_on_one_authorization_is_refused_on_every_other(
    ports: Ports, kind: str, second: str
) -> None:
    ids = {
        "another authorization": id_of(authorize(ports, "other")),
        "a declined one": id_of(authorize(ports, "no", card=card_with(number=DECLINED_NUMBER))),
        "an unknown one": "auth_unknown",
        "a stranger's": id_of(authorize(ports, "theirs", account=OTHER_ACCOUNT)),
    }
    first_id = id_of(authorize(ports))
    capture(ports, first_id, "cap-0", amount=500)
    operate(ports, kind, first_id, "key", amount=1)
    with pytest.raises(IdempotencyKeyReused) as caught:
        operate(ports, kind, ids[second], "key", amount=1)
    assert pointers(caught.value) == ["/authorization_id"]


def test_a_reused_key_is_said_before_what_the_state_forbids(ports: Ports) -> None:
    authorization_id = id_of(authorize(ports))
    capture(ports, authorization_id)
    with pytest.raises(IdempotencyKeyReused):
        capture(ports, authorization_id, amount=5)


def test_an_invalid_instruction_is_said_before_that_the_key_was_reused(ports: Ports) -> None:
    authorize(ports)
    with pytest.raises(InvalidSimulation):
        authorize(ports, simulate="bankruptcy", amount=5)
    with pytest.raises(InvalidRequest) as caught:
        authorize(ports, simulate="bankruptcy", merchant_reference=CARD.number)
    assert caught.value.code == "invalid_request"


# --- keys stay free after a refusal ----------------------------------------------------------------------------------


def test_a_refused_operation_leaves_no_trace_and_its_key_free(ports: Ports, store: MemoryStore) -> None:
    authorization_id = id_of(authorize(ports))
    before = snapshot(store)
    refusals: list[tuple[str, dict[str, Any], type[SandboxError]]] = [
        ("capture", {"amount": 1001}, AmountExceedsAuthorized),
        ("capture", {"simulate": "nonsense"}, InvalidSimulation),
        ("refund", {}, AuthorizationNotRefundable),
        ("increment", {"amount": AMOUNT_MAX}, AmountTooLarge),
        ("increment", {"amount": 1, "simulate": "risk=normal"}, InvalidSimulation),
    ]
    for kind, fields, error in refusals:
        with pytest.raises(error):
            operate(ports, kind, authorization_id, "key", **fields)
    with pytest.raises(TransactionNotFound):
        capture(ports, "auth_unknown", "key")
    assert snapshot(store) == before
    assert not increment(ports, authorization_id, "key").replayed
    assert not capture(ports, authorization_id, "key", amount=600).replayed
    assert not refund(ports, authorization_id, "key", amount=600).replayed


def test_a_key_refused_for_one_request_serves_another(ports: Ports) -> None:
    with pytest.raises(InvalidRequest):
        authorize(ports, metadata={"note": CARD.number})
    outcome = authorize(ports, amount=7, metadata={"note": "none"})
    assert not outcome.replayed
    authorization_id = id_of(outcome)
    with pytest.raises(AmountExceedsAuthorized):
        capture(ports, authorization_id, "key", amount=8)
    assert capture(ports, authorization_id, "key", amount=7).entry.data["amount"] == 7


# --- lost races ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("losses", [1, 2, RACES_MAX - 1])
def test_an_operation_that_loses_races_decides_again(losses: int) -> None:
    store = RacingStore()
    ports = make_ports(store)
    authorization_id = id_of(authorize(ports))
    store.lose = losses
    store.calls.clear()
    assert capture(ports, authorization_id, amount=400).entry.totals.captured == 400
    assert store.calls == ["get", "commit"] * (losses + 1)


@pytest.mark.parametrize("kind", OPERATION_KINDS)
def test_an_operation_that_loses_every_race_gives_up_and_may_be_repeated(kind: str) -> None:
    inner = MemoryStore()
    store = RacingStore(inner)
    ports = make_ports(store)
    authorization_id = id_of(authorize(ports))
    capture(ports, authorization_id, "cap-0", amount=500)
    before = snapshot(inner)
    store.lose = RACES_MAX
    with pytest.raises(AuthorizationBusy) as caught:
        operate(ports, kind, authorization_id, amount=1)
    assert caught.value.retryable
    assert caught.value.code == "authorization_busy"
    assert store.lose == 0
    assert snapshot(inner) == before
    assert not operate(ports, kind, authorization_id, amount=1).replayed


def test_the_loser_of_a_race_takes_what_the_winner_left() -> None:
    store = RacingStore()
    ports = make_ports(store)
    authorization_id = id_of(authorize(ports))
    store.first = lambda: capture(ports, authorization_id, "winner", amount=700)
    loser = capture(ports, authorization_id, "loser")
    assert loser.entry.data["amount"] == 300
    assert loser.entry.totals == Totals(authorized=1000, captured=1000)
    members = get_transaction(ports, ACCOUNT, authorization_id).members
    assert [member.data["amount"] for member in members] == [1000, 700, 300]


@pytest.mark.parametrize(
    ("winner", "loser", "error"),
    [
        ("void", "capture", AuthorizationNotCapturable),
        ("capture", "void", AuthorizationNotVoidable),
        ("void", "increment", AuthorizationNotIncrementable),
        ("void", "void", AuthorizationNotVoidable),
        ("capture", "capture", AuthorizationNotCapturable),
    ],
)
def test_the_loser_of_a_race_meets_the_state_that_the_winner_left(
    winner: str, loser: str, error: type[StateConflict]
) -> None:
    store = RacingStore()
    ports = make_ports(store)
    authorization_id = id_of(authorize(ports))
    store.first = lambda: operate(ports, winner, authorization_id, "winner")
    with pytest.raises(error):
        operate(ports, loser, authorization_id, "loser", amount=1 if loser != "void" else None)
    assert len(get_transaction(ports, ACCOUNT, authorization_id).members) == 2


def test_two_refunds_at_once_never_give_back_more_than_was_captured() -> None:
    store = RacingStore()
    ports = make_ports(store)
    authorization_id = id_of(authorize(ports))
    capture(ports, authorization_id, amount=500)
    store.first = lambda: refund(ports, authorization_id, "winner", amount=300)
    with pytest.raises(AmountExceedsCaptured) as caught:
        refund(ports, authorization_id, "loser", amount=300)
    assert caught.value.facts == {"refundable_amount": 200}
    assert totals_now(ports, authorization_id).refunded == 300


@pytest.mark.parametrize("fields", [{"amount": 400}, {}])
def test_a_retry_that_overtakes_its_first_attempt_is_answered_once(fields: dict[str, Any]) -> None:
    store = RacingStore()
    ports = make_ports(store)
    authorization_id = id_of(authorize(ports))
    retried: list[Outcome] = []
    store.first = lambda: retried.append(capture(ports, authorization_id, "key", **fields))
    first = capture(ports, authorization_id, "key", **fields)
    same_answer(retried[0], first)
    assert len(get_transaction(ports, ACCOUNT, authorization_id).members) == 2


def test_a_different_request_that_overtakes_under_the_same_key_wins_the_key() -> None:
    store = RacingStore()
    ports = make_ports(store)
    authorization_id = id_of(authorize(ports))
    store.first = lambda: capture(ports, authorization_id, "key", amount=1)
    with pytest.raises(IdempotencyKeyReused):
        capture(ports, authorization_id, "key", amount=2)
    assert totals_now(ports, authorization_id).captured == 1


def test_each_attempt_reads_the_clock_anew() -> None:
    store = RacingStore()
    clock = FrozenClock()
    ports = make_ports(store, clock)
    authorization_id = id_of(authorize(ports))
    store.lose = 1
    store.first = lambda: clock.advance(ms=VALIDITY_MS)
    with pytest.raises(AuthorizationNotCapturable) as caught:
        capture(ports, authorization_id)
    assert caught.value.facts == {"authorization_status": "expired"}


# --- card data -------------------------------------------------------------------------------------------------------

NUMBER = "5555555555554444"
GROUPED = "5555 5555 5555 4444"


@pytest.mark.parametrize(
    "written", [NUMBER, GROUPED, f"card {NUMBER}!", "5555-5555-5555-4444", f"1{NUMBER}2"]
)
@pytest.mark.parametrize(
    ("place", "pointer"),
    [
        ("merchant_reference", "/merchant_reference"),
        ("simulate", "header:X-Sandbox-Simulate"),
        ("metadata", "/metadata/a~1b"),
        ("metadata name", "/metadata"),
        ("holder_name", "/card/holder_name"),
        *((f"address {name}", f"/card/billing_address/{name}") for name in "line1 line2 city state".split()),
    ],
)
def test_a_card_number_in_a_text_is_refused_and_named_without_the_number(
    ports: Ports, store: MemoryStore, written: str, place: str, pointer: str
) -> None:
    request = authorization_request(card=card_with(number=NUMBER))
    match place.split():
        case ["metadata"]:
            request = replace(request, metadata={"a/b": written})
        case ["metadata", "name"]:
            request = replace(request, metadata={written: "x"})
        case ["holder_name"]:
            request = replace(request, card=replace(request.card, holder_name=written))
        case ["address", name]:
            request = replace(request, card=replace(request.card, billing_address={name: written}))
        case ["simulate"]:
            request = replace(request, simulate=written)
        case _:
            request = replace(request, merchant_reference=written)
    with pytest.raises(InvalidRequest) as caught:
        payments.authorize_payment(ports, ACCOUNT, request, idempotency_key="k")
    assert caught.value.code == "invalid_request"
    assert caught.value.errors == (FieldError(pointer, "card_number", "holds the card number"),)
    shown = "".join(char for char in f"{caught.value.detail}{caught.value.errors}" if char.isdigit())
    assert NUMBER not in shown
    assert store.records == {}


@pytest.mark.parametrize("zero", ["٠", "۰", "०", "０", "𝟎"])
def test_a_card_number_in_other_digits_is_a_card_number(ports: Ports, zero: str) -> None:
    written = "".join(chr(ord(zero) + int(digit)) for digit in NUMBER)
    with pytest.raises(InvalidRequest):
        authorize(ports, card=card_with(number=NUMBER), metadata={"note": written})


def test_every_text_that_holds_the_number_is_named_once(ports: Ports) -> None:
    with pytest.raises(InvalidRequest) as caught:
        authorize(
            ports,
            card=card_with(number=NUMBER, holder_name=GROUPED, billing_address={"city": NUMBER}),
            merchant_reference=NUMBER,
            metadata={NUMBER: GROUPED, "fine": "text", "note": NUMBER},
        )
    assert pointers(caught.value) == [
        "/card/holder_name",
        "/card/billing_address/city",
        "/merchant_reference",
        "/metadata",
        "/metadata/note",
    ]


@pytest.mark.parametrize("kind", ["capture", "refund", "void", "increment"])
@pytest.mark.parametrize("text", [NUMBER, GROUPED, f"card {NUMBER}!"])
def test_later_operations_refuse_the_number_too_though_they_never_saw_it(
    ports: Ports, store: MemoryStore, kind: str, text: str
) -> None:
    authorization_id = id_of(authorize(ports, card=card_with(number=NUMBER)))
    if kind == "refund":
        capture(ports, authorization_id, "cap-0", amount=10)
    before = snapshot(store)
    with pytest.raises(InvalidRequest) as caught:
        operate(ports, kind, authorization_id, amount=1, metadata={"note": text, "fine": "4242424242424242"})
    assert pointers(caught.value) == ["/metadata/note"]
    assert snapshot(store) == before


@pytest.mark.parametrize("text", [NUMBER[:-1], "4242424242424242", NUMBER[::-1], "order 55554444", ""])
def test_texts_without_the_number_are_kept_as_they_are(ports: Ports, text: str) -> None:
    entry = authorize(ports, card=card_with(number=NUMBER), metadata={"note": text}).entry
    assert entry.data["request"]["metadata"] == {"note": text}


def luhn_complete(digits: str) -> str:
    total = sum(sum(divmod(int(char) * (2 - place % 2), 10)) for place, char in enumerate(reversed(digits)))
    return digits + str(-total % 10)


numbers = st.text("0123456789", min_size=11, max_size=18).map(luhn_complete)


@st.composite
def cards_and_texts(draw: st.DrawFn) -> tuple[str, str]:
    """A card number, and a text that may hold it, with other characters in between."""
    number = draw(numbers)
    pieces = draw(st.lists(st.text(max_size=3) | st.sampled_from(" -./"), min_size=len(number)))
    hidden = "".join(digit + piece for digit, piece in zip(number, pieces, strict=False))
    return number, draw(st.text(max_size=30) | st.just(hidden))


@settings(deadline=None, max_examples=80)
@given(cards_and_texts(), st.sampled_from(["holder", "address", "reference", "metadata", "name"]))
def test_no_stored_record_holds_the_card_number(number_and_text: tuple[str, str], place: str) -> None:
    number, text = number_and_text
    store = MemoryStore()
    ports = make_ports(store)
    card = card_with(
        number=number,
        cvc=number[:3],
        holder_name=f"Mx {text}" if place == "holder" else None,
        billing_address={"line1": text} if place == "address" else None,
    )
    metadata = {"metadata": {"note": text}, "name": {text: "note"}}.get(place)
    reference = text if place == "reference" else None
    try:
        outcome = authorize(
            ports, card=card, merchant_reference=reference, metadata=metadata, simulate="approve"
        )
    except InvalidRequest:
        assert number in digits_of(text)
        assert store.records == {}
        return
    capture(ports, id_of(outcome), amount=100)
    refund(ports, id_of(outcome))
    increment(ports, id_of(outcome))
    void(ports, id_of(outcome))
    assert len(store.records) == 5
    for record in store.records.values():
        assert number not in repr(record)
        assert number not in json.dumps(asdict(record))
        assert not any(number in digits_of(value) for value in strings_of(asdict(record)))
        assert set(record.data["card"]) <= {
            "brand",
            "last4",
            "funding",
            "exp_month",
            "exp_year",
            "holder_name",
        }


@settings(deadline=None)
@given(st.from_regex(r"[0-9]{3}", fullmatch=True), st.from_regex(r"[0-9]{3}", fullmatch=True))
def test_what_is_kept_does_not_depend_on_the_cvc_so_not_even_its_hash_is(one: str, other: str) -> None:
    kept = []
    for cvc in (one, other):
        store = MemoryStore()
        ports = make_ports(store)
        capture(ports, id_of(authorize(ports, card=card_with(cvc=cvc))), amount=100)
        kept.append(snapshot(store))
    assert kept[0] == kept[1]


def test_of_a_cvc_only_the_fact_that_there_was_one_is_kept(ports: Ports) -> None:
    assert authorize(ports, "with").entry.data["request"]["card"]["cvc"] is True
    assert "cvc" not in authorize(ports, "without", card=card_with(cvc=None)).entry.data["request"]["card"]


def digits_of(text: str) -> str:
    return "".join(str(unicodedata.decimal(char)) for char in text if char.isdecimal())


def strings_of(data: Any) -> set[str]:
    """Every text and number in a JSON value, as text; keys too."""
    if isinstance(data, Mapping):
        return {*data.keys(), *(text for value in data.values() for text in strings_of(value))}
    if isinstance(data, list):
        return {text for value in data for text in strings_of(value)}
    return {str(data)}


def test_requests_do_not_print_card_numbers_or_cvcs() -> None:
    shown = repr(authorization_request(card=card_with(number=NUMBER, cvc="987")))
    assert NUMBER not in shown
    assert "987" not in shown


def test_the_ledger_holds_only_values_that_json_has(ports: Ports, store: MemoryStore) -> None:
    authorization_id = id_of(payments.authorize_payment(ports, ACCOUNT, FULL_REQUEST, idempotency_key="k"))
    capture(ports, authorization_id, amount=100, metadata={"a": "b"}, final=True)
    for record in store.records.values():
        assert json.loads(json.dumps(record.data)) == record.data
        assert "." not in "".join(text for text in strings_of(record.data) if text[:1].isdigit())


def test_an_increment_without_amount_is_a_mistake_of_the_program(ports: Ports) -> None:
    command = Operation(TransactionId(id_of(authorize(ports))))
    with pytest.raises(AssertionError):
        payments.increment_payment(ports, ACCOUNT, command, idempotency_key="k")


def test_a_request_is_left_as_it_was(ports: Ports) -> None:
    metadata = {"a": "1"}
    outcome = authorize(ports, metadata=metadata)
    metadata["a"] = "2"
    assert outcome.entry.data["request"]["metadata"] == {"a": "1"}


def test_requests_are_compared_by_all_their_fields() -> None:
    # A field that is added to a request must be compared too: this list reminds whoever adds it.
    assert set(Authorize.__dataclass_fields__) == {
        "amount",
        "currency",
        "card",
        "merchant_reference",
        "metadata",
        "simulate",
    }
    assert set(Operation.__dataclass_fields__) == {
        "authorization_id",
        "amount",
        "final",
        "merchant_reference",
        "metadata",
        "simulate",
    }
