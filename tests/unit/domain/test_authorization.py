"""What may be done with an authorization, what that leaves, and what it says when it may not be done."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_sandbox.domain import postings
from payments_sandbox.domain.authorization import (
    ENTRIES_MAX,
    VALIDITY_MS,
    Authorization,
    AuthorizationStatus,
    Movement,
    Totals,
    plan_capture,
    plan_increment,
    plan_refund,
    plan_void,
)
from payments_sandbox.domain.errors import (
    AmountExceedsAuthorized,
    AmountExceedsCaptured,
    AmountTooLarge,
    AuthorizationNotCapturable,
    AuthorizationNotIncrementable,
    AuthorizationNotRefundable,
    AuthorizationNotVoidable,
    EntryLimitReached,
    StateConflict,
)
from payments_sandbox.domain.money import AMOUNT_MAX
from payments_sandbox.domain.postings import (
    CARDHOLDER_AVAILABLE,
    CARDHOLDER_HELD,
    MERCHANT_RECEIVABLE,
    Posting,
    balance_of,
)
from tests.each_case import each_case

NOW = 1_000_000
EXPIRES_AT = NOW + VALIDITY_MS
LAST_MS = EXPIRES_AT - 1


def approved(authorized: int = 1000, **fields: Any) -> Authorization:
    """An approved authorization; the fields are those of `Totals`, and `currency` and `entry_count`."""
    chosen = {name: fields.pop(name) for name in ("currency", "entry_count") if name in fields}
    totals = Totals(authorized=authorized, **fields)
    return Authorization(**{"currency": "EUR", **chosen}, approved=True, expires_at=EXPIRES_AT, totals=totals)


DECLINED = Authorization("EUR", approved=False, expires_at=EXPIRES_AT, totals=Totals())
VOIDED = approved(released=1000)
CAPTURED = approved(captured=1000)
PARTLY_CAPTURED = approved(captured=400)
CAPTURED_AND_RELEASED = approved(captured=400, released=600)
REFUNDED = approved(captured=1000, refunded=1000)

Plan = Callable[[Authorization, int], Movement]


def capture(authorization: Authorization, now_ms: int = NOW, *, amount: int | None = None) -> Movement:
    return plan_capture(authorization, amount, final=False, now_ms=now_ms)


def refund(authorization: Authorization, now_ms: int = NOW, *, amount: int | None = None) -> Movement:
    return plan_refund(authorization, amount, now_ms=now_ms)


def void(authorization: Authorization, now_ms: int = NOW) -> Movement:
    return plan_void(authorization, now_ms=now_ms)


def increment(authorization: Authorization, now_ms: int = NOW, *, amount: int = 1) -> Movement:
    return plan_increment(authorization, amount, now_ms=now_ms)


PLANS: dict[str, tuple[Plan, type[StateConflict], str]] = {
    "capture": (capture, AuthorizationNotCapturable, "captured"),
    "void": (void, AuthorizationNotVoidable, "voided"),
    "increment": (increment, AuthorizationNotIncrementable, "incremented"),
    "refund": (refund, AuthorizationNotRefundable, "refunded"),
}


def test_an_authorization_is_valid_for_seven_days() -> None:
    assert VALIDITY_MS == 604_800_000


@each_case(
    ("authorization", "status", "status_when_lapsed"),
    [
        (DECLINED, "declined", "declined"),
        (approved(), "authorized", "expired"),
        (PARTLY_CAPTURED, "partially_captured", "captured"),
        (CAPTURED, "captured", "captured"),
        (CAPTURED_AND_RELEASED, "captured", "captured"),
        (VOIDED, "voided", "voided"),
        (REFUNDED, "captured", "captured"),
        (approved(captured=400, refunded=400), "partially_captured", "captured"),
    ],
)
def test_the_status_follows_from_totals_and_time(
    authorization: Authorization, status: str, status_when_lapsed: str
) -> None:
    assert authorization.status(NOW).value == status
    assert authorization.status(LAST_MS).value == status
    assert authorization.status(EXPIRES_AT).value == status_when_lapsed


def test_what_is_held_can_be_captured_to_the_last_millisecond_of_its_validity() -> None:
    authorization = approved(captured=300, released=100)
    assert authorization.totals.held == 600
    assert authorization.capturable(LAST_MS) == 600
    assert authorization.capturable(EXPIRES_AT) == 0
    assert not authorization.lapsed(LAST_MS)
    assert authorization.lapsed(EXPIRES_AT)


def test_a_capture_takes_a_part_and_leaves_the_rest() -> None:
    movement = capture(approved(), amount=400)
    assert movement == Movement(400, Totals(authorized=1000, captured=400), released=0)


def test_a_capture_without_amount_takes_all_that_is_left() -> None:
    movement = capture(approved(captured=300))
    assert movement == Movement(700, Totals(authorized=1000, captured=1000), released=0)


def test_a_final_capture_gives_back_the_rest() -> None:
    movement = plan_capture(approved(captured=300), 500, final=True, now_ms=NOW)
    assert movement == Movement(500, Totals(authorized=1000, captured=800, released=200), released=200)


@pytest.mark.parametrize("amount", [None, 1000])
def test_a_final_capture_of_everything_gives_nothing_back(amount: int | None) -> None:
    movement = plan_capture(approved(), amount, final=True, now_ms=NOW)
    assert movement == Movement(1000, Totals(authorized=1000, captured=1000), released=0)


def test_a_capture_of_more_than_is_left_is_refused_with_what_is_left() -> None:
    with pytest.raises(AmountExceedsAuthorized) as caught:
        capture(approved(captured=300, released=100), amount=601)
    assert caught.value.facts == {"capturable_amount": 600}
    assert caught.value.detail == "At most 6.00 EUR can still be captured."
    assert capture(approved(captured=300, released=100), amount=600).amount == 600


@pytest.mark.parametrize(
    ("currency", "words"), [("JPY", "600 JPY"), ("KWD", "0.600 KWD"), ("CLF", "0.0600 CLF")]
)
def test_amounts_in_refusals_are_written_in_their_currency(currency: str, words: str) -> None:
    with pytest.raises(AmountExceedsAuthorized, match=words):
        capture(approved(600, currency=currency), amount=601)
    with pytest.raises(AmountExceedsCaptured, match=words):
        refund(approved(600, captured=600, currency=currency), amount=601)


def test_a_refund_gives_back_a_part_of_what_was_captured() -> None:
    movement = refund(approved(captured=800, refunded=100), amount=200)
    assert movement == Movement(200, Totals(authorized=1000, captured=800, refunded=300))


def test_a_refund_without_amount_gives_back_all_that_was_captured() -> None:
    movement = refund(approved(captured=800, refunded=100))
    assert movement == Movement(700, Totals(authorized=1000, captured=800, refunded=800))


def test_a_refund_of_more_than_was_captured_is_refused_with_what_is_left() -> None:
    with pytest.raises(AmountExceedsCaptured) as caught:
        refund(approved(captured=800, refunded=100), amount=701)
    assert caught.value.facts == {"refundable_amount": 700}
    assert caught.value.detail == "At most 7.00 EUR can still be refunded."


def test_a_refund_is_possible_long_after_the_authorization_has_lapsed() -> None:
    assert refund(PARTLY_CAPTURED, EXPIRES_AT * 100).amount == 400


def test_a_void_gives_back_all_that_is_held_and_keeps_what_was_captured() -> None:
    assert void(approved()) == Movement(1000, Totals(authorized=1000, released=1000), 1000)
    assert void(PARTLY_CAPTURED) == Movement(600, Totals(authorized=1000, captured=400, released=600), 600)


def test_what_was_released_before_stays_released() -> None:
    state = approved(captured=300, released=100)
    assert void(state).totals == Totals(authorized=1000, captured=300, released=700)
    movement = plan_capture(state, 200, final=True, now_ms=NOW)
    assert movement == Movement(200, Totals(authorized=1000, captured=500, released=500), released=400)


def test_an_increment_holds_more() -> None:
    assert increment(approved(), amount=500) == Movement(500, Totals(authorized=1500))
    assert increment(PARTLY_CAPTURED, amount=500) == Movement(500, Totals(authorized=1500, captured=400))


def test_an_authorization_cannot_be_incremented_beyond_the_largest_amount() -> None:
    almost = approved(AMOUNT_MAX - 10)
    assert increment(almost, amount=10).totals.authorized == AMOUNT_MAX
    with pytest.raises(AmountTooLarge) as caught:
        increment(almost, amount=11)
    assert caught.value.facts == {"incrementable_amount": 10}
    assert caught.value.detail == "At most 0.10 EUR can be added."


def test_captured_and_released_money_counts_against_the_largest_amount() -> None:
    with pytest.raises(AmountTooLarge) as caught:
        increment(approved(AMOUNT_MAX, captured=500), amount=1)
    assert caught.value.facts == {"incrementable_amount": 0}


@each_case("name", ["capture", "void", "increment"])
@each_case(
    ("authorization", "now_ms", "status"),
    [
        (DECLINED, NOW, "declined"),
        (VOIDED, NOW, "voided"),
        (CAPTURED, NOW, "captured"),
        (CAPTURED_AND_RELEASED, NOW, "captured"),
        (REFUNDED, NOW, "captured"),
        (approved(), EXPIRES_AT, "expired"),
        (PARTLY_CAPTURED, EXPIRES_AT, "captured"),
    ],
)
def test_when_nothing_is_held_nothing_can_be_captured_voided_or_incremented(
    name: str, authorization: Authorization, now_ms: int, status: str
) -> None:
    plan, error, verb = PLANS[name]
    with pytest.raises(error) as caught:
        plan(authorization, now_ms)
    assert type(caught.value) is error
    assert caught.value.facts == {"authorization_status": status}
    assert caught.value.detail == f"The authorization is {status}; nothing is left to be {verb}."
    assert not caught.value.retryable


@each_case(
    ("authorization", "now_ms", "status"),
    [
        (DECLINED, NOW, "declined"),
        (approved(), NOW, "authorized"),
        (approved(), EXPIRES_AT, "expired"),
        (VOIDED, NOW, "voided"),
        (REFUNDED, NOW, "captured"),
        (approved(captured=400, refunded=400), NOW, "partially_captured"),
    ],
)
def test_when_nothing_captured_is_left_nothing_can_be_refunded(
    authorization: Authorization, now_ms: int, status: str
) -> None:
    with pytest.raises(AuthorizationNotRefundable) as caught:
        refund(authorization, now_ms)
    assert caught.value.facts == {"authorization_status": status}
    words = status.replace("_", " ")
    assert caught.value.detail == f"The authorization is {words}; nothing is left to be refunded."


@each_case("name", PLANS)
def test_the_last_of_99_entries_fits_and_the_next_does_not(name: str) -> None:
    plan, _, _ = PLANS[name]
    state = approved(captured=400)
    plan(replace(state, entry_count=ENTRIES_MAX - 1), NOW)
    with pytest.raises(EntryLimitReached, match="99"):
        plan(replace(state, entry_count=ENTRIES_MAX), NOW)
    assert ENTRIES_MAX == 99


@each_case("name", PLANS)
def test_what_the_state_forbids_is_said_before_that_the_entries_are_used_up(name: str) -> None:
    plan, error, _ = PLANS[name]
    with pytest.raises(error):
        plan(replace(DECLINED, entry_count=ENTRIES_MAX), NOW)


def test_that_the_entries_are_used_up_is_said_before_that_the_amount_is_too_large() -> None:
    full = approved(captured=400, entry_count=ENTRIES_MAX)
    with pytest.raises(EntryLimitReached):
        capture(full, amount=AMOUNT_MAX)
    with pytest.raises(EntryLimitReached):
        refund(full, amount=AMOUNT_MAX)
    with pytest.raises(EntryLimitReached):
        increment(full, amount=AMOUNT_MAX)


def test_what_the_state_forbids_is_said_before_that_the_amount_is_too_large() -> None:
    with pytest.raises(AuthorizationNotCapturable):
        capture(VOIDED, amount=AMOUNT_MAX)
    with pytest.raises(AuthorizationNotRefundable):
        refund(approved(), amount=AMOUNT_MAX)
    with pytest.raises(AuthorizationNotIncrementable):
        increment(VOIDED, amount=AMOUNT_MAX)


steps = st.lists(
    st.tuples(
        st.sampled_from(["capture", "final capture", "refund", "void", "increment", "wait"]),
        st.none() | st.integers(1, 1200),
    ),
    max_size=20,
)


@given(st.integers(1, 1000), steps)
def test_no_order_of_operations_breaks_the_invariant(
    authorized: int, order: list[tuple[str, int | None]]
) -> None:
    authorization = approved(authorized)
    ledger = postings.hold(authorized)
    now_ms = NOW
    for step, amount in order:
        moved: list[Posting] = []
        try:
            match step:
                case "wait":
                    now_ms += VALIDITY_MS // 3
                    continue
                case "capture" | "final capture":
                    movement = plan_capture(authorization, amount, final=step != "capture", now_ms=now_ms)
                    moved = postings.capture(movement.amount, movement.released)
                case "refund":
                    movement = plan_refund(authorization, amount, now_ms=now_ms)
                    moved = postings.refund(movement.amount)
                case "void":
                    movement = plan_void(authorization, now_ms=now_ms)
                    moved = postings.release(movement.amount)
                case _:
                    movement = plan_increment(authorization, amount or 1, now_ms=now_ms)
                    moved = postings.hold(movement.amount)
        except StateConflict:
            continue
        assert movement.amount > 0
        assert sum(change for _, change in moved) == 0
        ledger += moved
        authorization = replace(
            authorization, totals=movement.totals, entry_count=authorization.entry_count + 1
        )
        totals = authorization.totals
        assert 0 <= totals.refunded <= totals.captured
        assert 0 <= totals.captured + totals.released <= totals.authorized
        assert balance_of(ledger, CARDHOLDER_HELD) == totals.held
        assert balance_of(ledger, MERCHANT_RECEIVABLE) == totals.refundable
        assert balance_of(ledger, CARDHOLDER_AVAILABLE) == -totals.held - totals.refundable


def test_postings_take_from_one_ledger_account_what_they_give_to_another() -> None:
    assert postings.hold(7) == [("cardholder_available", -7), ("cardholder_held", 7)]
    assert postings.release(7) == [("cardholder_held", -7), ("cardholder_available", 7)]
    assert postings.capture(7, 0) == [("cardholder_held", -7), ("merchant_receivable", 7)]
    assert postings.refund(7) == [("merchant_receivable", -7), ("cardholder_available", 7)]
    assert postings.capture(7, 3) == [
        ("cardholder_held", -7),
        ("merchant_receivable", 7),
        ("cardholder_held", -3),
        ("cardholder_available", 3),
    ]


def test_a_balance_is_the_sum_of_one_accounts_postings() -> None:
    ledger = [*postings.hold(10), *postings.capture(7, 3), *postings.refund(2)]
    assert balance_of(ledger, CARDHOLDER_HELD) == 0
    assert balance_of(ledger, MERCHANT_RECEIVABLE) == 5
    assert balance_of(ledger, CARDHOLDER_AVAILABLE) == -5
    assert balance_of([], CARDHOLDER_HELD) == 0


def test_statuses_are_those_of_the_contract() -> None:
    assert [status.value for status in AuthorizationStatus] == [
        "declined",
        "authorized",
        "partially_captured",
        "captured",
        "voided",
        "expired",
    ]
