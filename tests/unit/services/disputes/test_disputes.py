"""Disputes over a ledger in memory: the money, the deadlines, the answers, and what a repeat says."""

from typing import Any

import pytest

from payments_sandbox.domain.authorization import DISPUTES_MAX, ENTRIES_MAX
from payments_sandbox.domain.disputes import DisputeStatus
from payments_sandbox.domain.errors import (
    AmountExceedsCaptured,
    AmountExceedsDisputable,
    AuthorizationBusy,
    AuthorizationNotDisputable,
    AuthorizationNotRefundable,
    DisputeNotAcceptable,
    DisputeNotAnswerable,
    DisputeNotEscalatable,
    DisputeNotFound,
    EntryLimitReached,
    IdempotencyKeyReused,
    InvalidRequest,
    PaymentDisputed,
    SandboxError,
    TransactionNotFound,
)
from payments_sandbox.domain.timestamps import DAY_MS
from payments_sandbox.services.disputes.dispute_deadlines import meet_deadline
from payments_sandbox.services.disputes.dispute_records import Dispute
from payments_sandbox.services.disputes.disputes import get_dispute, list_disputes
from payments_sandbox.services.disputes.representations import render_dispute
from payments_sandbox.services.events.events import list_events
from payments_sandbox.services.ledger.entries import KEY_RETENTION_MS
from payments_sandbox.services.ledger.representations import render_transaction
from payments_sandbox.services.ledger.transactions import get_transaction
from payments_sandbox.services.ports import CommitResult, Index, Record, Stale, Update
from payments_sandbox.services.settlement.settlement_reports import get_report
from payments_sandbox.services.settlement.settlements import list_settlements
from payments_sandbox.services.world import World
from tests.calls.disputes import (
    FRAUDULENT_NUMBER,
    INQUIRY_NUMBER,
    NOT_RECEIVED_NUMBER,
    accept,
    all_disputes,
    answer,
    captured,
    dispute,
    escalate,
    only_dispute,
    pass_time,
)
from tests.calls.payments import OTHER_ACCOUNT, authorize, capture, card_with, id_of, refund
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import ACCOUNT, FrozenClock, make_world, of_account

Json = dict[str, Any]


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def world(store: MemoryStore, clock: FrozenClock) -> World:
    return make_world(store, clock)


def family(world: World, authorization_id: str) -> list[Json]:
    return [render_transaction(entry) for entry in get_transaction(world, authorization_id).members]


def balance(world: World, authorization_id: str) -> tuple[int, int, int]:
    """Refunded, disputed, and what is left of what was captured."""
    shown = family(world, authorization_id)[0]["balance"]
    return shown["refunded_amount"], shown["disputed_amount"], shown["refundable_amount"]


def ledger_accounts(world: World, authorization_id: str) -> dict[str, int]:
    """What the family's postings add up to."""
    sums: dict[str, int] = {}
    for entry in family(world, authorization_id):
        assert sum(posting["amount"] for posting in entry["postings"]) == 0
        for posting in entry["postings"]:
            sums[posting["ledger_account"]] = sums.get(posting["ledger_account"], 0) + posting["amount"]
    return sums


def told(world: World) -> list[str]:
    """The types of the account's events, in the order in which they happened; of one moment in that of their names."""
    page = list_events(world, types=[], limit=100, cursor=None)
    return [event.type for event in sorted(page.items, key=lambda event: (event.at_ms, event.type))]


def refusal(error: type[SandboxError], call: Any, *args: Any, **fields: Any) -> SandboxError:
    with pytest.raises(error) as caught:
        call(*args, **fields)
    return caught.value


# --- opening ---------------------------------------------------------------------------------------------------------


def test_a_dispute_takes_the_money_and_a_fee(world: World) -> None:
    authorization_id = captured(world)
    made = dispute(world, authorization_id, amount=600)
    assert not made.replayed
    shown = render_dispute(made.dispute)
    assert (shown["status"], shown["amount"], shown["currency"], shown["fee_amount"]) == (
        "needs_response",
        600,
        "EUR",
        1500,
    )
    assert shown["evidence_due_at"] == "2026-12-07T10:00:00.000Z"
    assert shown["decision_due_at"] is None
    assert balance(world, authorization_id) == (0, 600, 400)
    chargeback = family(world, authorization_id)[-1]
    assert chargeback["type"] == "chargeback"
    assert chargeback["transaction_id"] == shown["chargeback_id"]
    assert (chargeback["dispute_id"], chargeback["fee_amount"], chargeback["amount"]) == (
        made.dispute.dispute_id,
        1500,
        600,
    )
    assert chargeback["network"]["message_type"] == "0422"
    assert ledger_accounts(world, authorization_id) == {
        "cardholder_available": -400,
        "cardholder_held": 0,
        "merchant_receivable": 400,
    }


def test_without_an_amount_it_is_about_all_that_is_left(world: World) -> None:
    authorization_id = captured(world)
    refund(world, authorization_id, amount=300)
    assert dispute(world, authorization_id).dispute.data["amount"] == 700
    assert balance(world, authorization_id) == (300, 700, 0)


def test_an_inquiry_moves_no_money(world: World) -> None:
    authorization_id = captured(world)
    shown = render_dispute(dispute(world, authorization_id, inquiry=True).dispute)
    assert (shown["status"], shown["inquiry"], shown["fee_amount"], shown["chargeback_id"]) == (
        "warning_needs_response",
        True,
        0,
        None,
    )
    assert balance(world, authorization_id) == (0, 0, 1000)
    assert [entry["type"] for entry in family(world, authorization_id)] == ["authorization", "capture"]


def test_only_what_was_captured_can_be_disputed(world: World) -> None:
    authorization_id = id_of(authorize(world))
    error = refusal(AuthorizationNotDisputable, dispute, world, authorization_id)
    assert error.facts == {"authorization_status": "authorized"}
    capture(world, authorization_id, amount=400)
    error = refusal(AmountExceedsDisputable, dispute, world, authorization_id, amount=401)
    assert error.facts == {"disputable_amount": 400}
    assert dispute(world, authorization_id, amount=400).dispute.status is DisputeStatus.NEEDS_RESPONSE


def test_a_wholly_refunded_payment_cannot_be_disputed(world: World) -> None:
    authorization_id = captured(world)
    refund(world, authorization_id)
    refusal(AuthorizationNotDisputable, dispute, world, authorization_id)
    refusal(AuthorizationNotDisputable, dispute, world, authorization_id, inquiry=True)


def test_only_an_authorization_of_the_account_can_be_disputed(world: World) -> None:
    authorization_id = captured(world)
    refusal(TransactionNotFound, dispute, world, "auth_none")
    refusal(TransactionNotFound, dispute, world, authorization_id, account=OTHER_ACCOUNT)
    capture_id = family(world, authorization_id)[1]["transaction_id"]
    refusal(TransactionNotFound, dispute, world, capture_id)


def test_a_payment_can_be_disputed_so_often_and_no_more(world: World) -> None:
    authorization_id = captured(world)
    for number in range(DISPUTES_MAX):
        dispute(world, authorization_id, f"d-{number}", amount=1, inquiry=number % 2 == 0)
    refusal(EntryLimitReached, dispute, world, authorization_id, "one-more", amount=1)


def test_a_dispute_is_an_entry_and_entries_are_limited(world: World) -> None:
    authorization_id = captured(world)
    for number in range(ENTRIES_MAX - 1):
        refund(world, authorization_id, f"r-{number}", amount=1)
    refusal(EntryLimitReached, dispute, world, authorization_id)


# --- test cards ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "reason", "status", "disputed"),
    [
        (FRAUDULENT_NUMBER, "fraudulent", DisputeStatus.NEEDS_RESPONSE, 1000),
        (NOT_RECEIVED_NUMBER, "product_not_received", DisputeStatus.NEEDS_RESPONSE, 1000),
        (INQUIRY_NUMBER, "fraudulent", DisputeStatus.WARNING_NEEDS_RESPONSE, 0),
    ],
)
def test_a_test_card_is_disputed_with_its_first_capture(
    world: World, number: str, reason: str, status: DisputeStatus, disputed: int
) -> None:
    authorization_id = captured(world, number=number)
    opened = only_dispute(world)
    assert (opened.data["reason"], opened.status) == (reason, status)
    assert opened.data["authorization_id"] == authorization_id
    assert balance(world, authorization_id) == (0, disputed, 1000 - disputed)
    assert "dispute.opened" in told(world)


def test_a_test_card_disputes_the_first_capture_only_and_its_amount_only(world: World) -> None:
    authorization_id = id_of(authorize(world, card=card_with(number=FRAUDULENT_NUMBER)))
    capture(world, authorization_id, "c-1", amount=300)
    capture(world, authorization_id, "c-2", amount=500)
    assert only_dispute(world).data["amount"] == 300
    assert balance(world, authorization_id) == (0, 300, 500)


def test_a_capture_that_is_declined_brings_no_dispute_about(world: World) -> None:
    authorization_id = id_of(authorize(world, card=card_with(number=FRAUDULENT_NUMBER)))
    capture(world, authorization_id, "c-1", simulate="do_not_honor")
    assert all_disputes(world) == []
    capture(world, authorization_id, "c-2")
    assert only_dispute(world).data["amount"] == 1000


def test_a_header_overrides_the_test_card(world: World) -> None:
    authorization_id = id_of(authorize(world, card=card_with(number=FRAUDULENT_NUMBER), simulate="approve"))
    capture(world, authorization_id)
    assert all_disputes(world) == []


def test_a_repeated_capture_of_a_test_card_is_not_disputed_again(world: World, store: MemoryStore) -> None:
    authorization_id = captured(world, number=FRAUDULENT_NUMBER)
    before = dict(store.records)
    assert capture(world, authorization_id, "capture-auth-1").replayed
    assert store.records == before


def test_the_chargeback_of_a_test_card_says_what_brought_it_about(world: World) -> None:
    authorization_id = captured(world, number=FRAUDULENT_NUMBER)
    simulation = family(world, authorization_id)[-1]["simulation"]
    assert (simulation["trigger"], simulation["rule"]) == ("authorization", "disputed_fraudulent")


# --- disputes and refunds --------------------------------------------------------------------------------------------


def test_what_was_charged_back_cannot_be_refunded(world: World) -> None:
    authorization_id = captured(world)
    dispute(world, authorization_id, amount=600)
    error = refusal(PaymentDisputed, refund, world, authorization_id, amount=401)
    assert error.facts == {"refundable_amount": 400, "disputed_amount": 600}
    refusal(PaymentDisputed, refund, world, authorization_id, amount=1000)
    refusal(AmountExceedsCaptured, refund, world, authorization_id, amount=1001)
    refund(world, authorization_id)
    assert balance(world, authorization_id) == (400, 600, 0)
    refusal(PaymentDisputed, refund, world, authorization_id, "again")


def test_a_payment_that_was_refunded_and_never_disputed_says_so(world: World) -> None:
    authorization_id = captured(world)
    refund(world, authorization_id)
    refusal(AuthorizationNotRefundable, refund, world, authorization_id, "again")


def test_a_won_dispute_can_be_refunded_or_disputed_again(world: World, clock: FrozenClock) -> None:
    authorization_id = captured(world)
    answer(world, dispute(world, authorization_id).dispute.dispute_id)
    pass_time(world, clock, days=30)
    refund(world, authorization_id, amount=400)
    assert dispute(world, authorization_id, "dispute-2").dispute.data["amount"] == 600
    assert balance(world, authorization_id) == (400, 600, 0)


def test_a_lost_dispute_stays_disputed(world: World, clock: FrozenClock) -> None:
    authorization_id = captured(world)
    accept(world, dispute(world, authorization_id).dispute.dispute_id)
    pass_time(world, clock, days=365)
    assert balance(world, authorization_id) == (0, 1000, 0)
    refusal(PaymentDisputed, refund, world, authorization_id)
    refusal(AuthorizationNotDisputable, dispute, world, authorization_id, "dispute-2")


def test_an_inquiry_that_escalates_takes_what_refunds_have_left(world: World) -> None:
    authorization_id = captured(world)
    inquiry = dispute(world, authorization_id, inquiry=True).dispute.dispute_id
    refund(world, authorization_id, amount=700)
    shown = render_dispute(escalate(world, inquiry).dispute)
    assert (shown["status"], shown["amount"], shown["inquiry"]) == ("needs_response", 300, True)
    assert balance(world, authorization_id) == (700, 300, 0)


def test_a_full_refund_closes_every_inquiry(world: World) -> None:
    authorization_id = captured(world)
    waiting = dispute(world, authorization_id, "d-1", inquiry=True).dispute.dispute_id
    answered = dispute(world, authorization_id, "d-2", inquiry=True, amount=10).dispute.dispute_id
    answer(world, answered)
    refund(world, authorization_id, "r-1", amount=999)
    assert {each.status for each in all_disputes(world)} == {
        DisputeStatus.WARNING_NEEDS_RESPONSE,
        DisputeStatus.WARNING_UNDER_REVIEW,
    }
    refund(world, authorization_id, "r-2", amount=1)
    for dispute_id in (waiting, answered):
        closed = get_dispute(world, dispute_id)
        assert closed.status is DisputeStatus.WARNING_CLOSED
        assert (closed.data["due_at"], closed.data["closed_at"]) == (None, closed.created_at)
    assert told(world).count("dispute.closed") == 2
    refusal(DisputeNotEscalatable, escalate, world, waiting)


def test_a_dispute_of_all_that_is_left_closes_inquiries_too(world: World) -> None:
    authorization_id = captured(world)
    inquiry = dispute(world, authorization_id, "d-1", inquiry=True).dispute.dispute_id
    dispute(world, authorization_id, "d-2")
    assert get_dispute(world, inquiry).status is DisputeStatus.WARNING_CLOSED


def test_of_two_inquiries_the_one_that_escalates_closes_the_other(world: World) -> None:
    authorization_id = captured(world)
    first = dispute(world, authorization_id, "d-1", inquiry=True).dispute.dispute_id
    second = dispute(world, authorization_id, "d-2", inquiry=True).dispute.dispute_id
    escalate(world, second)
    assert get_dispute(world, first).status is DisputeStatus.WARNING_CLOSED
    assert get_dispute(world, second).status is DisputeStatus.NEEDS_RESPONSE
    assert balance(world, authorization_id) == (0, 1000, 0)


# --- time ------------------------------------------------------------------------------------------------------------


def test_a_dispute_that_nobody_answers_is_lost(world: World, clock: FrozenClock) -> None:
    dispute(world, captured(world))
    pass_time(world, clock, ms=14 * DAY_MS - 1)
    assert only_dispute(world).status is DisputeStatus.NEEDS_RESPONSE
    pass_time(world, clock, ms=1)
    lost = only_dispute(world)
    assert (lost.status, lost.data["due_at"]) == (DisputeStatus.LOST, None)
    assert lost.data["closed_at"] == clock.now_ms()


def test_evidence_that_was_never_submitted_does_not_count(world: World, clock: FrozenClock) -> None:
    answer(world, dispute(world, captured(world)).dispute.dispute_id, submit=False)
    pass_time(world, clock, days=14)
    assert only_dispute(world).status is DisputeStatus.LOST


@pytest.mark.parametrize(
    ("text", "status", "disputed"),
    [
        ("winning_evidence", DisputeStatus.WON, 0),
        ("losing_evidence", DisputeStatus.LOST, 1000),
        ("a letter to the bank", DisputeStatus.LOST, 1000),
    ],
)
def test_evidence_decides_when_the_review_is_over(
    world: World, clock: FrozenClock, text: str, status: DisputeStatus, disputed: int
) -> None:
    authorization_id = captured(world)
    shown = render_dispute(answer(world, dispute(world, authorization_id).dispute.dispute_id, text).dispute)
    assert (shown["status"], shown["evidence_due_at"], shown["decision_due_at"]) == (
        "under_review",
        None,
        "2026-12-23T10:00:00.000Z",
    )
    pass_time(world, clock, ms=30 * DAY_MS - 1)
    assert only_dispute(world).status is DisputeStatus.UNDER_REVIEW
    pass_time(world, clock, ms=1)
    assert only_dispute(world).status is status
    assert balance(world, authorization_id) == (0, disputed, 1000 - disputed)


def test_a_won_dispute_gives_money_and_fee_back(world: World, clock: FrozenClock) -> None:
    authorization_id = captured(world)
    answer(world, dispute(world, authorization_id, amount=600).dispute.dispute_id)
    pass_time(world, clock, days=30)
    won = render_dispute(only_dispute(world))
    reversal = family(world, authorization_id)[-1]
    assert (reversal["type"], reversal["transaction_id"]) == (
        "chargeback_reversal",
        won["chargeback_reversal_id"],
    )
    assert (reversal["amount"], reversal["fee_amount"]) == (600, 1500)
    assert reversal["network"]["message_type"] == "0220"
    assert ledger_accounts(world, authorization_id) == {
        "cardholder_available": -1000,
        "cardholder_held": 0,
        "merchant_receivable": 1000,
    }


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("winning_evidence", DisputeStatus.WARNING_CLOSED),
        ("a letter", DisputeStatus.WARNING_CLOSED),
        ("losing_evidence", DisputeStatus.NEEDS_RESPONSE),
    ],
)
def test_evidence_decides_an_inquiry_too(
    world: World, clock: FrozenClock, text: str, status: DisputeStatus
) -> None:
    authorization_id = captured(world)
    answer(world, dispute(world, authorization_id, inquiry=True).dispute.dispute_id, text)
    pass_time(world, clock, days=7)
    decided = only_dispute(world)
    assert decided.status is status
    escalated = status is DisputeStatus.NEEDS_RESPONSE
    assert balance(world, authorization_id) == (0, 1000 * escalated, 1000 * (not escalated))
    if escalated:
        # What was said is kept, and can be said better.
        assert decided.data["submitted_at"] is None
        assert decided.data["evidence"] == {"uncategorized_text": "losing_evidence"}
        assert (
            answer(world, decided.dispute_id, key="evidence-2").dispute.status is DisputeStatus.UNDER_REVIEW
        )


def test_an_inquiry_that_nobody_answers_escalates_and_then_is_lost(world: World, clock: FrozenClock) -> None:
    authorization_id = captured(world)
    dispute(world, authorization_id, inquiry=True)
    pass_time(world, clock, days=21)
    assert only_dispute(world).status is DisputeStatus.LOST
    assert balance(world, authorization_id) == (0, 1000, 0)
    assert [name for name in told(world) if name.startswith("dispute")] == [
        "dispute.opened",
        "dispute.escalated",
        "dispute.closed",
    ]


def test_an_answer_after_the_deadline_is_too_late_though_nobody_has_come_to_it_yet(
    world: World, clock: FrozenClock
) -> None:
    dispute_id = dispute(world, captured(world)).dispute.dispute_id
    clock.advance(days=20)
    error = refusal(DisputeNotAnswerable, answer, world, dispute_id)
    assert error.facts == {"dispute_status": "lost"}
    lost = get_dispute(world, dispute_id)
    assert lost.data["closed_at"] == lost.created_at + 14 * DAY_MS


def test_a_deadline_that_is_met_twice_is_met_once(world: World, clock: FrozenClock) -> None:
    authorization_id = captured(world)
    dispute_id = dispute(world, authorization_id, inquiry=True).dispute.dispute_id
    (stale,) = world.store.get([dispute_id])
    assert stale is not None
    clock.advance(days=7)
    meet_deadline(world, stale)
    before = family(world, authorization_id)
    meet_deadline(world, stale)
    (current,) = world.store.get([dispute_id])
    assert current is not None
    meet_deadline(world, current)
    assert family(world, authorization_id) == before
    assert only_dispute(world).status is DisputeStatus.NEEDS_RESPONSE


# --- settlement ------------------------------------------------------------------------------------------------------


def test_a_chargeback_and_its_reversal_are_settled_on_their_days_with_the_fee(
    world: World, clock: FrozenClock
) -> None:
    authorization_id = captured(world)
    answer(world, dispute(world, authorization_id, amount=600).dispute.dispute_id)
    pass_time(world, clock, days=31)
    made = list_settlements(world, limit=10, cursor=None).items
    lines = {
        line.type: (line.gross, line.fee)
        for settlement in made
        for line in get_report(world, settlement.settlement_id).misreport.lines
    }
    assert {kind: amounts for kind, amounts in lines.items() if kind != "capture"} == {
        "chargeback": (-600, 1500),
        "chargeback_reversal": (600, -1500),
    }
    assert len(made) == 2
    for entry in family(world, authorization_id)[2:]:
        assert entry["type"] == "expiry" or entry["settlement_id"] in {each.settlement_id for each in made}


# --- answering -------------------------------------------------------------------------------------------------------


def test_evidence_is_gathered_until_it_is_submitted(world: World) -> None:
    dispute_id = dispute(world, captured(world)).dispute.dispute_id
    answer(world, dispute_id, None, "e-1", submit=False, shipping_carrier="Postbote")
    answer(world, dispute_id, "draft", "e-2", submit=False)
    saved = answer(world, dispute_id, "winning_evidence", "e-3", submit=False).dispute
    assert (saved.status, saved.data["submitted_at"]) == (DisputeStatus.NEEDS_RESPONSE, None)
    submitted = answer(world, dispute_id, None, "e-4").dispute
    assert submitted.status is DisputeStatus.UNDER_REVIEW
    assert submitted.data["evidence"] == {
        "shipping_carrier": "Postbote",
        "uncategorized_text": "winning_evidence",
    }
    refusal(DisputeNotAnswerable, answer, world, dispute_id, "more", "e-5")
    assert told(world).count("dispute.updated") == 4


def test_nothing_cannot_be_submitted(world: World) -> None:
    dispute_id = dispute(world, captured(world)).dispute.dispute_id
    error = refusal(DisputeNotAnswerable, answer, world, dispute_id, None)
    assert error.detail == "There is no evidence to submit."


def test_the_card_number_cannot_hide_in_evidence(world: World, store: MemoryStore) -> None:
    dispute_id = dispute(world, captured(world)).dispute.dispute_id
    error = refusal(
        InvalidRequest, answer, world, dispute_id, "paid with 4242 4242 4242 4242", product_description="tea"
    )
    assert [each.pointer for each in error.errors] == ["/evidence/uncategorized_text"]
    assert "4242 4242" not in repr(store.records)


def test_an_accepted_dispute_is_lost_at_once(world: World, clock: FrozenClock) -> None:
    accepted = accept(world, dispute(world, captured(world)).dispute.dispute_id).dispute
    assert (accepted.status, accepted.data["closed_at"]) == (DisputeStatus.LOST, clock.now_ms())


def test_what_the_table_does_not_have_is_refused_with_the_status(world: World) -> None:
    authorization_id = captured(world)
    inquiry = dispute(world, authorization_id, "d-1", amount=1, inquiry=True).dispute.dispute_id
    disputed = dispute(world, authorization_id, "d-2", amount=1).dispute.dispute_id
    error = refusal(DisputeNotAcceptable, accept, world, inquiry)
    assert error.facts == {"dispute_status": "warning_needs_response"}
    error = refusal(DisputeNotEscalatable, escalate, world, disputed)
    assert error.facts == {"dispute_status": "needs_response"}
    accept(world, disputed)
    for call in (accept, answer):
        with pytest.raises((DisputeNotAcceptable, DisputeNotAnswerable)):
            call(world, disputed, key="another")


@pytest.mark.parametrize("call", [accept, escalate, answer])
def test_another_accounts_dispute_is_not_there(world: World, call: Any) -> None:
    dispute_id = dispute(world, captured(world)).dispute.dispute_id
    refusal(DisputeNotFound, call, world, dispute_id, account=OTHER_ACCOUNT)
    refusal(DisputeNotFound, call, world, "dsp_none")
    refusal(DisputeNotFound, get_dispute, of_account(world, OTHER_ACCOUNT), dispute_id)
    chargeback_id = only_dispute(world).data["chargeback_id"]
    refusal(DisputeNotFound, call, world, chargeback_id)


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_repeat_answers_what_was_answered_first_whatever_happened_since(
    world: World, store: MemoryStore, clock: FrozenClock
) -> None:
    authorization_id = captured(world)
    opened = dispute(world, authorization_id, inquiry=True)
    dispute_id = opened.dispute.dispute_id
    saved = answer(world, dispute_id, "draft", submit=False)
    escalated = escalate(world, dispute_id)
    accepted = accept(world, dispute_id)
    before = dict(store.records)
    clock.advance(ms=KEY_RETENTION_MS - 1)
    for first, again in (
        (opened, dispute(world, authorization_id, inquiry=True)),
        (saved, answer(world, dispute_id, "draft", submit=False)),
        (escalated, escalate(world, dispute_id)),
        (accepted, accept(world, dispute_id)),
    ):
        assert again.replayed
        assert render_dispute(again.dispute) == render_dispute(first.dispute)
    assert store.records == before


def test_a_key_stands_for_one_request(world: World) -> None:
    authorization_id = captured(world)
    dispute_id = dispute(world, authorization_id, amount=600).dispute.dispute_id
    error = refusal(IdempotencyKeyReused, dispute, world, authorization_id, amount=500, reason="general")
    assert [each.pointer for each in error.errors] == ["/amount", "/reason"]
    assert error.facts == {"first_used_at": "2026-11-23T10:00:00.000Z", "dispute_id": dispute_id}
    other = dispute(world, authorization_id, "another", amount=1).dispute.dispute_id
    accept(world, dispute_id)
    error = refusal(IdempotencyKeyReused, accept, world, other)
    assert [each.pointer for each in error.errors] == ["/dispute_id"]


def test_one_key_may_be_used_for_each_operation_once(world: World) -> None:
    dispute_id = dispute(world, captured(world), "one", inquiry=True).dispute.dispute_id
    escalate(world, dispute_id, "one")
    answer(world, dispute_id, "a", "one", submit=False)
    assert accept(world, dispute_id, "one").dispute.status is DisputeStatus.LOST


def test_a_key_is_as_good_as_new_when_it_is_forgotten(world: World, clock: FrozenClock) -> None:
    authorization_id = captured(world)
    first = dispute(world, authorization_id, amount=100).dispute.dispute_id
    clock.advance(ms=KEY_RETENTION_MS)
    again = dispute(world, authorization_id, amount=100)
    assert not again.replayed
    assert again.dispute.dispute_id != first
    assert balance(world, authorization_id) == (0, 200, 800)


def test_a_refused_request_leaves_no_trace(world: World, store: MemoryStore) -> None:
    authorization_id = captured(world)
    before = dict(store.records)
    refusal(AmountExceedsDisputable, dispute, world, authorization_id, amount=1001)
    assert store.records == before
    assert not dispute(world, authorization_id, amount=1000).replayed


class Racing(MemoryStore):
    """A store in which something else is faster, so many times."""

    def __init__(self) -> None:
        super().__init__()
        self.lost_races = 0

    def commit(self, inserts: Any, updates: Any) -> CommitResult:
        if self.lost_races and updates:
            self.lost_races -= 1
            return Stale()
        return super().commit(inserts, updates)


def test_a_lost_race_is_run_again_and_not_for_ever() -> None:
    store = Racing()
    world = make_world(store)
    authorization_id = captured(world)
    store.lost_races = 3
    dispute(world, authorization_id, amount=1)
    assert balance(world, authorization_id) == (0, 1, 999)
    store.lost_races = 1_000
    refusal(AuthorizationBusy, dispute, world, authorization_id, "another")


class Twin(MemoryStore):
    """A store in which something is done by another process right after a record whose id begins so was read."""

    def __init__(self) -> None:
        super().__init__()
        self.twin: Any = None
        self.prefix = "dch_"

    def get(self, ids: Any) -> list[Record | None]:
        found = super().get(ids)
        if self.twin is not None and ids[0].startswith(self.prefix):
            twin, self.twin = self.twin, None
            twin()
        return found


@pytest.mark.parametrize("operation", [accept, escalate, answer])
def test_a_request_whose_twin_was_faster_answers_what_the_twin_did(operation: Any) -> None:
    store = Twin()
    world = make_world(store)
    inquiry = operation is escalate
    dispute_id = dispute(world, captured(world), inquiry=inquiry).dispute.dispute_id
    first: list[Dispute] = []
    store.twin = lambda: first.append(operation(world, dispute_id).dispute)
    again = operation(world, dispute_id)
    assert again.replayed
    assert [render_dispute(again.dispute)] == [render_dispute(each) for each in first]


@pytest.mark.parametrize("prefix", ["dsp_", "auth_"])
def test_a_refund_while_an_inquiry_escalates_leaves_nothing_to_charge_back(prefix: str) -> None:
    store = Twin()
    world = make_world(store)
    authorization_id = captured(world)
    inquiry = dispute(world, authorization_id, inquiry=True).dispute.dispute_id
    store.prefix, store.twin = prefix, lambda: refund(world, authorization_id)
    error = refusal(DisputeNotEscalatable, escalate, world, inquiry)
    assert error.facts == {"dispute_status": "warning_closed"}
    assert balance(world, authorization_id) == (1000, 0, 0)


def test_an_inquiry_that_escalates_while_a_refund_is_made_is_left_to_the_one_that_came_first() -> None:
    store = Twin()
    world = make_world(store)
    authorization_id = captured(world)
    inquiry = dispute(world, authorization_id, inquiry=True).dispute.dispute_id
    store.prefix, store.twin = "auth_", lambda: escalate(world, inquiry)
    refusal(PaymentDisputed, refund, world, authorization_id)
    assert balance(world, authorization_id) == (0, 1000, 0)


# --- reading ---------------------------------------------------------------------------------------------------------


def test_disputes_are_listed_newest_first_by_status_and_payment(world: World, clock: FrozenClock) -> None:
    one, two = captured(world, "a-1"), captured(world, "a-2")
    ids = []
    for number, (authorization_id, inquiry) in enumerate([(one, False), (two, True), (one, True)]):
        clock.advance(ms=1)
        made = dispute(world, authorization_id, f"d-{number}", amount=1, inquiry=inquiry)
        ids.append(made.dispute.dispute_id)

    def listed(**wanted: Any) -> list[int]:
        return [ids.index(each.dispute_id) for each in all_disputes(world, **wanted)]

    assert listed() == [2, 1, 0]
    assert listed(status="warning_needs_response") == [2, 1]
    assert listed(authorization_id=one) == [2, 0]
    assert listed(authorization_id=one, status="needs_response") == [0]
    assert listed(status="won") == []
    page = list_disputes(world, limit=2, cursor=None)
    rest = list_disputes(world, limit=2, cursor=page.next_cursor)
    assert [ids.index(each.dispute_id) for each in [*page.items, *rest.items]] == [2, 1, 0]
    assert list_disputes(of_account(world, OTHER_ACCOUNT), limit=2, cursor=None).items == []


def test_nothing_that_is_final_is_due(world: World, clock: FrozenClock) -> None:
    authorization_id = captured(world)
    for number, text in enumerate(["winning_evidence", "losing_evidence"]):
        made = dispute(world, authorization_id, f"d-{number}", amount=1)
        answer(world, made.dispute.dispute_id, text, f"e-{number}")
    accept(world, dispute(world, authorization_id, "d-2", amount=1).dispute.dispute_id)
    pass_time(world, clock, days=365)
    assert world.store.page(Index.DUE, ACCOUNT).records == []
    assert {each.status for each in all_disputes(world)} == {DisputeStatus.WON, DisputeStatus.LOST}


def test_a_dispute_is_no_transaction(world: World) -> None:
    dispute_id = dispute(world, captured(world)).dispute.dispute_id
    refusal(TransactionNotFound, get_transaction, world, dispute_id)


def test_an_update_that_is_stale_leaves_dispute_and_money_alone(world: World, store: MemoryStore) -> None:
    """The dispute, its change and the chargeback are one write."""
    authorization_id = captured(world)
    before = dict(store.records)
    dispute(world, authorization_id)
    kinds = {record.kind for record_id, record in store.records.items() if record_id not in before}
    assert kinds == {"dispute", "dispute_opened", "chargeback"}
    changed = [
        record for record_id, record in store.records.items() if before.get(record_id) not in (None, record)
    ]
    assert [record.id for record in changed] == [authorization_id]
    assert changed[0].version == before[authorization_id].version + 1
    assert isinstance(store.commit([], [Update(before[authorization_id])]), Stale)
