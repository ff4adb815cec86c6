"""The money operations: what they answer, and what they refuse."""

from datetime import UTC, datetime

import pytest

from payments_sandbox.domain.authorization import VALIDITY_MS, Totals
from payments_sandbox.domain.errors import (
    AmountExceedsAuthorized,
    AmountExceedsCaptured,
    AmountTooLarge,
    AuthorizationNotCapturable,
    AuthorizationNotIncrementable,
    AuthorizationNotRefundable,
    AuthorizationNotVoidable,
    EntryLimitReached,
    FieldError,
    InvalidSimulation,
    StateConflict,
    TransactionNotFound,
)
from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.domain.ids import identify_card
from payments_sandbox.domain.money import AMOUNT_MAX
from payments_sandbox.domain.settlement import next_cutoff
from payments_sandbox.services.ledger.representations import render_transaction
from payments_sandbox.services.ledger.transactions import get_transaction
from payments_sandbox.services.payments.payments import Outcome
from payments_sandbox.services.simulation.trigger_table import TriggerRow, list_triggers
from payments_sandbox.services.world import World
from tests.calls.outcomes import pointers, snapshot, totals_now
from tests.calls.payments import (
    CAPTURE_DECLINED_NUMBER,
    CARD,
    DECLINED_NUMBER,
    OPERATION_KINDS,
    OTHER_ACCOUNT,
    authorize,
    capture,
    card_with,
    id_of,
    increment,
    operate,
    refund,
    void,
)
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import ACCOUNT, LEDGER_SECRET, NOW_MS, FrozenClock, make_world
from tests.doubles.stores import CountingStore
from tests.each_case import each_case

NOT_FOUND = (FieldError("/authorization_id", FieldCode.NOT_FOUND, "names no authorization of this account"),)


# --- authorize -----------------------------------------------------------------------------------------------------


def test_an_approved_authorization_holds_its_amount_for_seven_days(world: World, store: MemoryStore) -> None:
    outcome = authorize(world, merchant_reference="order-1", metadata={"cart": "c-7"})
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


def test_a_declined_authorization_is_kept_and_holds_nothing(world: World, store: MemoryStore) -> None:
    outcome = authorize(world, card=card_with(number=DECLINED_NUMBER))
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
    authorize(make_world(store))
    assert store.calls == ["insert"]
    authorize(make_world(store))
    assert store.calls == ["insert", "insert"]


def test_an_operation_is_one_read_and_one_atomic_write() -> None:
    store = CountingStore()
    world = make_world(store)
    authorization_id = id_of(authorize(world))
    for kind, amount in (("increment", 5), ("capture", 5), ("refund", 5), ("void", None)):
        store.calls.clear()
        operate(world, kind, authorization_id, amount=amount)
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
    world = make_world(clock=FrozenClock(now_ms))
    entry = authorize(world, card=card_with(exp_month=11, exp_year=2026)).entry
    assert (entry.data["decline"] == ["expired_card", "54"]) == declined
    assert entry.data["simulation"]["rule"] == ("expiry" if declined else "approved")


@each_case("amount", [1, AMOUNT_MAX])
@each_case("currency", ["JPY", "EUR", "KWD", "CLF"])
def test_the_smallest_and_the_largest_amount_can_be_authorized(amount: int, currency: str) -> None:
    world = make_world()
    entry = authorize(world, amount=amount, currency=currency).entry
    assert (entry.totals.authorized, entry.data["currency"]) == (amount, currency)


def test_a_header_that_is_not_in_the_grammar_is_refused_and_nothing_is_kept(
    world: World, store: MemoryStore
) -> None:
    with pytest.raises(InvalidSimulation) as caught:
        authorize(world, simulate="bankruptcy")
    assert pointers(caught.value) == ["header:X-Sandbox-Simulate"]
    assert store.records == {}
    assert not authorize(world).replayed


@each_case("row", list_triggers())
def test_every_row_of_the_trigger_table_does_what_it_says(row: TriggerRow) -> None:
    world = make_world()
    body = dict(row.body)
    card = card_with(**{"cvc": None, **body.pop("card")})
    entry = authorize(world, card=card, simulate=row.headers.get("X-Sandbox-Simulate"), **body).entry
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
            capture(world, id_of(Outcome(entry, False)))
    else:
        assert rendered["status"] == "authorized"
        assert rendered["decline"] is None
        captured = capture(world, entry.record.id).entry
        assert captured.status == ("succeeded" if decision.capture_decline is None else "declined")
        if decision.capture_decline is not None:
            assert captured.data["decline"] is not None
            assert captured.data["decline"][0] == decision.capture_decline


# --- capture, refund, void, increment --------------------------------------------------------------------------------


def test_a_capture_moves_money_from_the_hold_to_the_merchant(world: World, store: MemoryStore) -> None:
    authorization_id = id_of(authorize(world))
    entry = capture(
        world, authorization_id, amount=400, merchant_reference="order-1/1", metadata={"a": "b"}
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


def test_a_final_capture_gives_back_what_it_leaves_over(world: World, store: MemoryStore) -> None:
    authorization_id = id_of(authorize(world))
    entry = capture(world, authorization_id, amount=400, final=True).entry
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
        capture(world, authorization_id, "cap-2")
    assert caught.value.facts == {"authorization_status": "captured"}


def test_several_captures_take_all_that_was_authorized_and_no_more(world: World) -> None:
    authorization_id = id_of(authorize(world))
    capture(world, authorization_id, "cap-1", amount=600)
    with pytest.raises(AmountExceedsAuthorized) as caught:
        capture(world, authorization_id, "cap-2", amount=401)
    assert caught.value.facts == {"capturable_amount": 400}
    capture(world, authorization_id, "cap-2", amount=400)
    assert totals_now(world, authorization_id) == Totals(authorized=1000, captured=1000)


def test_a_refund_gives_the_merchants_money_back(world: World) -> None:
    authorization_id = id_of(authorize(world))
    capture(world, authorization_id, amount=500)
    entry = refund(world, authorization_id, amount=200).entry
    assert entry.data["postings"] == [["merchant_receivable", -200], ["cardholder_available", 200]]
    assert entry.totals == Totals(authorized=1000, captured=500, refunded=200)
    assert entry.capturable == 500
    assert refund(world, authorization_id, "ref-2").entry.data["amount"] == 300
    with pytest.raises(AuthorizationNotRefundable):
        refund(world, authorization_id, "ref-3")


def test_refunds_count_against_all_captures_together(world: World) -> None:
    authorization_id = id_of(authorize(world))
    capture(world, authorization_id, "cap-1", amount=300)
    capture(world, authorization_id, "cap-2", amount=400)
    with pytest.raises(AmountExceedsCaptured) as caught:
        refund(world, authorization_id, amount=701)
    assert caught.value.facts == {"refundable_amount": 700}
    assert refund(world, authorization_id, amount=650).entry.data["amount"] == 650


def test_a_void_ends_the_hold(world: World, store: MemoryStore) -> None:
    authorization_id = id_of(authorize(world))
    capture(world, authorization_id, amount=100)
    entry = void(world, authorization_id).entry
    assert entry.data["amount"] == 900
    assert entry.data["postings"] == [["cardholder_held", -900], ["cardholder_available", 900]]
    assert entry.totals == Totals(authorized=1000, captured=100, released=900)
    assert store.records[authorization_id].due_at is None


def test_an_increment_holds_more_and_keeps_the_day_of_expiry(
    world: World, store: MemoryStore, clock: FrozenClock
) -> None:
    authorization_id = id_of(authorize(world))
    clock.advance(days=3)
    entry = increment(world, authorization_id, amount=500).entry
    assert entry.data["postings"] == [["cardholder_available", -500], ["cardholder_held", 500]]
    assert entry.totals == Totals(authorized=1500)
    assert store.records[authorization_id].data["expires_at"] == NOW_MS + VALIDITY_MS
    with pytest.raises(AmountTooLarge) as caught:
        increment(world, authorization_id, "inc-2", amount=AMOUNT_MAX)
    assert caught.value.facts == {"incrementable_amount": AMOUNT_MAX - 1500}


def test_entries_of_one_authorization_carry_its_code_where_money_is_asked_for(world: World) -> None:
    authorization = authorize(world)
    authorization_id = id_of(authorization)
    code = authorization.entry.data["network"]["authorization_code"]
    networks = {
        kind: operate(world, kind, authorization_id, amount=amount).entry.data["network"]
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


def test_a_hold_can_be_used_to_its_last_millisecond(world: World, clock: FrozenClock) -> None:
    authorization_id = id_of(authorize(world))
    clock.advance(ms=VALIDITY_MS - 1)
    assert capture(world, authorization_id, amount=100).entry.capturable == 900
    clock.advance(ms=1)
    for kind, error in (
        ("capture", AuthorizationNotCapturable),
        ("void", AuthorizationNotVoidable),
        ("increment", AuthorizationNotIncrementable),
    ):
        with pytest.raises(error) as caught:
            operate(world, kind, authorization_id, "late", amount=1)
        assert caught.value.facts == {"authorization_status": "captured"}
    refunded = refund(world, authorization_id).entry
    assert refunded.status == "succeeded"
    assert refunded.capturable == 0


def test_an_operation_on_an_expired_authorization_says_that_it_expired(
    world: World, clock: FrozenClock
) -> None:
    authorization_id = id_of(authorize(world))
    clock.advance(ms=VALIDITY_MS)
    for kind in OPERATION_KINDS:
        with pytest.raises(StateConflict) as caught:
            operate(world, kind, authorization_id, amount=1)
        assert caught.value.facts == {"authorization_status": "expired"}, kind


@pytest.mark.parametrize("kind", OPERATION_KINDS)
def test_a_declined_authorization_can_not_be_operated_on(world: World, kind: str) -> None:
    authorization_id = id_of(authorize(world, card=card_with(number=DECLINED_NUMBER)))
    with pytest.raises(StateConflict) as caught:
        operate(world, kind, authorization_id, amount=1)
    assert caught.value.facts == {"authorization_status": "declined"}


@pytest.mark.parametrize("kind", OPERATION_KINDS)
def test_ids_that_name_no_authorization_of_the_account_are_not_found(
    world: World, store: MemoryStore, kind: str
) -> None:
    mine = id_of(authorize(world))
    capture_id = id_of(capture(world, mine, amount=500))
    before = snapshot(store)
    for account, authorization_id in (
        (ACCOUNT, "auth_nothing"),
        (ACCOUNT, ""),
        (ACCOUNT, capture_id),
        (OTHER_ACCOUNT, mine),
        (OTHER_ACCOUNT, capture_id),
    ):
        with pytest.raises(TransactionNotFound) as caught:
            operate(world, kind, authorization_id, "new", account=account, amount=1)
        assert caught.value.errors == NOT_FOUND
        assert "auth_" not in caught.value.detail
    assert snapshot(store) == before


@pytest.mark.parametrize("kind", OPERATION_KINDS)
def test_the_hundredth_entry_of_an_authorization_is_refused(world: World, kind: str) -> None:
    authorization_id = id_of(authorize(world))
    for number in range(99):
        capture(world, authorization_id, f"cap-{number}", amount=1)
    with pytest.raises(EntryLimitReached):
        operate(world, kind, authorization_id, "one-more", amount=1)
    assert len(get_transaction(world, authorization_id).members) == 100


def test_a_declined_operation_is_kept_and_moves_nothing(world: World, store: MemoryStore) -> None:
    authorization_id = id_of(authorize(world, card=card_with(number=CAPTURE_DECLINED_NUMBER)))
    entry = capture(world, authorization_id, amount=400, final=True).entry
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
    assert increment(world, authorization_id).entry.status == "succeeded"
    approved = capture(world, authorization_id, "cap-2", simulate="approve").entry
    assert approved.status == "succeeded"
    assert approved.data["simulation"]["overridden"] == ["authorization"]
    assert refund(world, authorization_id).entry.status == "succeeded"


@pytest.mark.parametrize("kind", ["capture", "refund", "increment"])
def test_a_header_declines_an_operation(world: World, kind: str) -> None:
    authorization_id = id_of(authorize(world))
    capture(world, authorization_id, "cap-0", amount=500)
    before = totals_now(world, authorization_id)
    entry = operate(world, kind, authorization_id, amount=100, simulate="response_code=91").entry
    assert entry.status == "declined"
    assert entry.data["decline"] == ["issuer_not_available", "91"]
    assert entry.totals == before == totals_now(world, authorization_id)


@pytest.mark.parametrize("kind", ["capture", "refund", "increment"])
def test_an_operation_refuses_an_instruction_for_authorizations(
    world: World, store: MemoryStore, kind: str
) -> None:
    authorization_id = id_of(authorize(world))
    capture(world, authorization_id, "cap-0", amount=500)
    before = snapshot(store)
    with pytest.raises(InvalidSimulation) as caught:
        operate(world, kind, authorization_id, amount=100, simulate="approve; cvc=N")
    assert caught.value.errors[0].code == "not_applicable"
    assert snapshot(store) == before


def test_a_void_is_an_advice_that_no_trigger_declines(world: World) -> None:
    authorization_id = id_of(authorize(world, card=card_with(number=CAPTURE_DECLINED_NUMBER)))
    entry = void(world, authorization_id).entry
    assert entry.status == "succeeded"
    assert entry.data["simulation"] == {"trigger": "none", "rule": "approved"}
