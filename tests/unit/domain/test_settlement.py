"""The rules of settlement: when days end, what the acquirer keeps, and how a report is got wrong on purpose."""

import re
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_sandbox.domain import postings
from payments_sandbox.domain.discrepancies import EXPLANATIONS, Misreport, plant
from payments_sandbox.domain.fees import SCHEDULE, Rate, dispute_fee, fee_of, fixed_fee
from payments_sandbox.domain.money import AMOUNT_MAX, EXPONENTS
from payments_sandbox.domain.settlement import (
    DAY_MINUTES,
    FEE_ADJUSTMENT,
    Line,
    format_cutoff,
    next_cutoff,
    parse_cutoff,
)
from payments_sandbox.domain.timestamps import DAY_MS, HOUR_MS, MINUTE_MS, parse_timestamp
from tests.each_case import each_case

cutoffs = st.integers(0, DAY_MINUTES - 1)
moments = st.integers(0, 4_000_000_000_000)


@each_case(
    ("made", "cutoff", "settled"),
    [
        ("2026-11-23T10:00:00Z", "00:00", "2026-11-24T00:00:00Z"),
        ("2026-11-23T23:59:59.999Z", "00:00", "2026-11-24T00:00:00Z"),
        ("2026-11-24T00:00:00Z", "00:00", "2026-11-25T00:00:00Z"),
        ("2026-11-23T17:29:59.999Z", "17:30", "2026-11-23T17:30:00Z"),
        ("2026-11-23T17:30:00Z", "17:30", "2026-11-24T17:30:00Z"),
        ("2026-12-31T12:00:00Z", "00:00", "2027-01-01T00:00:00Z"),
    ],
)
def test_a_day_ends_at_the_first_cutoff_after_it(made: str, cutoff: str, settled: str) -> None:
    assert next_cutoff(parse_timestamp(made), parse_cutoff(cutoff)) == parse_timestamp(settled)


@given(moments, cutoffs)
def test_every_moment_is_within_a_day_before_its_cutoff(at_ms: int, cutoff: int) -> None:
    end = next_cutoff(at_ms, cutoff)
    assert at_ms < end <= at_ms + DAY_MS
    assert end % DAY_MS == cutoff * MINUTE_MS


@given(cutoffs)
def test_a_cutoff_is_read_as_it_is_written(cutoff: int) -> None:
    assert parse_cutoff(format_cutoff(cutoff)) == cutoff


def test_a_cutoff_is_written_as_a_time_of_day() -> None:
    assert format_cutoff(17 * 60 + 30) == "17:30"
    assert parse_cutoff("17:30") * MINUTE_MS == 17 * HOUR_MS + 30 * MINUTE_MS


# --- fees ---


@each_case(
    ("kind", "brand", "gross", "currency", "fee"),
    [
        ("capture", "visa", 10_00, "EUR", 14 + 25),
        ("capture", "visa", 10_35, "EUR", 14 + 25),  # 14.49
        ("capture", "visa", 10_36, "EUR", 15 + 25),  # 14.504
        ("capture", "mastercard", 1_00, "EUR", 2 + 25),  # 1.5, half up
        ("capture", "mastercard", 99, "EUR", 1 + 25),  # 1.485
        ("capture", "amex", 50, "EUR", 1 + 30),  # 1.45
        ("capture", "visa", 1, "EUR", 0 + 25),
        ("capture", "visa", 1000, "JPY", 14 + 25),
        ("capture", "visa", 10_000, "KWD", 140 + 250),
        ("capture", "unknown", 10_0000, "CLF", 2900 + 3000),
        ("refund", "visa", -10_00, "EUR", 25),
        ("refund", "jcb", -1, "KWD", 300),
        ("void", "visa", 0, "EUR", 0),
    ],
)
def test_a_fee_is_a_percentage_of_a_capture_and_a_fixed_part(
    kind: str, brand: str, gross: int, currency: str, fee: int
) -> None:
    assert fee_of(kind, brand, gross, currency) == fee


@each_case(("currency", "fee"), [("EUR", 1500), ("JPY", 1500), ("KWD", 15_000), ("UYW", 150_000)])
def test_a_chargeback_costs_the_dispute_fee_and_its_reversal_gives_that_back(currency: str, fee: int) -> None:
    assert dispute_fee(currency) == fee
    for brand in SCHEDULE:
        assert fee_of("chargeback", brand, -1000, currency) == fee
        assert fee_of("chargeback_reversal", brand, 1000, currency) == -fee
        assert fee_of("refund_failure", brand, 1000, currency) == 0


@given(st.sampled_from(sorted(SCHEDULE)), st.integers(1, AMOUNT_MAX), st.sampled_from(sorted(EXPONENTS)))
def test_the_percentage_is_rounded_half_up_as_decimals_are(brand: str, gross: int, currency: str) -> None:
    exact = Decimal(gross) * SCHEDULE[brand].basis_points / 10_000
    rounded = int(exact.quantize(Decimal(1), ROUND_HALF_UP))
    assert fee_of("capture", brand, gross, currency) == rounded + fixed_fee(brand, currency)


@given(st.integers(-AMOUNT_MAX, AMOUNT_MAX), st.integers(0, AMOUNT_MAX))
def test_the_postings_of_a_settlement_and_its_payout_sum_to_zero_and_leave_nothing_to_pay(
    gross: int, fees: int
) -> None:
    settled, paid = postings.settlement(gross, fees), postings.payout(gross - fees)
    assert sum(amount for _, amount in settled) == sum(amount for _, amount in paid) == 0
    both = [*settled, *paid]
    assert postings.balance_of(both, postings.MERCHANT_PAYABLE) == 0
    assert postings.balance_of(both, postings.MERCHANT_RECEIVABLE) == -gross
    assert postings.balance_of(both, postings.MERCHANT_BANK) == gross - fees


def test_the_fee_table_of_the_docs_is_the_schedule() -> None:
    text = (Path(__file__).parents[3] / "docs" / "settlement.md").read_text()
    rows = re.findall(r"^\| (\w+) \| (\d+)\.(\d\d) % \| (\d)\.(\d\d) \|$", text, re.MULTILINE)
    told = {brand: Rate(int(whole + part), int(major + minor)) for brand, whole, part, major, minor in rows}
    assert told == SCHEDULE


# --- discrepancies ---


def line(number: int, gross: int) -> Line:
    fee = fee_of("capture" if gross > 0 else "refund", "visa", gross, "EUR")
    kind = "capture" if gross > 0 else "refund"
    return Line(f"cap_{number}", f"auth_{number}", kind, "visa", gross, fee, None, None, number)


grosses = st.integers(-5000, 5000).filter(bool)
lines_of_some = st.lists(grosses, max_size=12).map(
    lambda amounts: [line(number, gross) for number, gross in enumerate(amounts)]
)
kinds_of_some = st.lists(st.sampled_from(sorted(EXPLANATIONS)), max_size=8)
ids = st.text("0123456789abcdef", min_size=4, max_size=8)


@given(ids, kinds_of_some, lines_of_some)
def test_the_answers_explain_every_difference_between_report_and_payout(
    settlement_id: str, kinds: list[str], lines: list[Line]
) -> None:
    misreport = plant(settlement_id, kinds, lines, "EUR")
    reported, planted = misreport.lines, misreport.planted
    assert Counter(each.kind for each in planted) + Counter(misreport.not_planted) == Counter(kinds)
    hit = [each.line for each in planted]
    assert len(set(hit)) == len(hit)
    assert all(each.difference != 0 for each in planted)
    payout = sum(each.net for each in lines)
    assert sum(each.net for each in reported) == payout + sum(each.difference for each in planted)
    assert [each for each in reported if each not in [x for p in planted for x in p.reported]] == [
        each for each in lines if each not in hit
    ]


@given(ids, kinds_of_some, lines_of_some)
def test_a_report_gets_the_same_wrong_whenever_it_is_read(
    settlement_id: str, kinds: list[str], lines: list[Line]
) -> None:
    assert plant(settlement_id, kinds, lines, "EUR") == plant(settlement_id, kinds, lines, "EUR")


@pytest.mark.parametrize("gross", [900, -900])
def test_each_kind_of_discrepancy_does_what_its_name_says(gross: int) -> None:
    lines = [line(0, gross)]

    def reported(kind: str) -> list[Line]:
        return list(plant("stl_1", [kind], lines, "EUR").lines)

    assert reported("missing_line") == []
    assert reported("doubled_line") == lines * 2
    (wrong,) = reported("wrong_amount")
    assert (wrong.transaction_id, wrong.fee) == (lines[0].transaction_id, lines[0].fee)
    assert abs(wrong.gross) > abs(gross)
    assert (wrong.gross > 0) == (gross > 0)
    original, late = reported("late_fee")
    assert original == lines[0]
    assert (late.type, late.transaction_id, late.gross, late.fee) == (FEE_ADJUSTMENT, "cap_0", 0, 25)


def test_a_mistake_is_planted_where_it_changes_the_sum() -> None:
    nothing_paid, paid = line(0, 25), line(1, 900)
    assert (nothing_paid.net, paid.net) == (0, 862)
    for kind in ("missing_line", "doubled_line"):
        for number in range(10):
            (planted,) = plant(f"stl_{number}", [kind], [nothing_paid, paid], "EUR").planted
            assert planted.line == paid
    both = plant("stl_1", ["wrong_amount", "doubled_line"], [nothing_paid, paid], "EUR")
    assert [(each.kind, each.line) for each in both.planted] == [
        ("wrong_amount", nothing_paid),
        ("doubled_line", paid),
    ]
    assert both.not_planted == ()


def test_a_mistake_that_no_line_can_show_is_named() -> None:
    nothing_paid = line(0, 25)
    doubled = plant("stl_1", ["doubled_line"], [nothing_paid], "EUR")
    assert doubled == Misreport((nothing_paid,), (), ("doubled_line",))
    crowded = plant("stl_1", ["late_fee", "doubled_line", "wrong_amount"], [line(0, 900)], "EUR")
    assert [each.kind for each in crowded.planted] == ["doubled_line"]
    assert crowded.not_planted == ("late_fee", "wrong_amount")


def test_without_discrepancies_the_report_is_what_was_settled() -> None:
    lines = [line(0, 100), line(1, -50)]
    assert plant("stl_1", [], lines, "EUR") == Misreport(tuple(lines), (), ())


def test_other_settlements_get_other_lines_wrong() -> None:
    lines = [line(number, 100) for number in range(50)]
    hit = {plant(f"stl_{n}", ["missing_line"], lines, "EUR").planted[0].line for n in range(40)}
    assert len(hit) > 10
