"""The table of what can happen to a dispute: complete, without a way back, and the same in the document."""

import pytest

from contracts.documents import DISPUTES, render, render_tables
from payments_sandbox.domain.disputes import (
    CAUSES,
    DEADLINES_MS,
    OPENINGS,
    REASONS,
    TRANSITIONS,
    Cause,
    DisputeStatus,
    Money,
    cause_of_deadline,
    deadline_of,
    find_transition,
    network_reason_code,
)
from payments_sandbox.domain.webhooks import EVENT_TYPES
from tests.each_case import each_case

INQUIRY = {DisputeStatus.WARNING_NEEDS_RESPONSE, DisputeStatus.WARNING_UNDER_REVIEW}
FINAL = {DisputeStatus.WARNING_CLOSED, DisputeStatus.WON, DisputeStatus.LOST}


def test_the_document_holds_the_tables_that_the_code_makes() -> None:
    """After a change to the rules: python -m contracts.documents"""
    document = DISPUTES.read_text("utf-8")
    assert render(document) == document
    for table in render_tables().values():
        assert table in document


def test_a_document_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="transitions"):
        render("# Disputes\n")


def test_each_cause_leads_to_one_place_from_each_status() -> None:
    pairs = [(transition.source, transition.cause) for transition in TRANSITIONS]
    assert len(set(pairs)) == len(pairs)
    for transition in TRANSITIONS:
        assert find_transition(transition.source, transition.cause) is transition
    assert find_transition(DisputeStatus.WON, Cause.ACCEPTED) is None


def test_every_status_and_every_cause_occurs() -> None:
    assert {transition.target for transition in TRANSITIONS} == set(DisputeStatus)
    assert {transition.cause for transition in TRANSITIONS} == set(Cause) == set(CAUSES)


def test_nothing_leads_out_of_a_final_status_and_time_leads_out_of_every_other() -> None:
    assert {transition.source for transition in TRANSITIONS if transition.source} == set(
        DisputeStatus
    ) - FINAL
    assert set(DEADLINES_MS) == set(DisputeStatus) - FINAL
    for status in DEADLINES_MS:
        for text in (None, "winning_evidence", "losing_evidence", "a letter"):
            assert find_transition(status, cause_of_deadline(status, text)) is not None


def test_whatever_happens_a_dispute_ends() -> None:
    """No path of transitions comes back to where it was."""

    def walk(status: DisputeStatus, seen: tuple[DisputeStatus, ...]) -> None:
        assert status not in seen
        for transition in TRANSITIONS:
            if transition.source is status:
                walk(transition.target, (*seen, status))

    walk(DisputeStatus.WARNING_NEEDS_RESPONSE, ())
    walk(DisputeStatus.NEEDS_RESPONSE, ())


def test_money_is_taken_once_on_the_way_into_a_dispute_and_given_back_only_when_it_is_won() -> None:
    for transition in TRANSITIONS:
        into_dispute = transition.target is DisputeStatus.NEEDS_RESPONSE
        assert (transition.money is Money.CHARGEBACK) == into_dispute
        assert (transition.money is Money.REVERSAL) == (transition.target is DisputeStatus.WON)
        if into_dispute:
            assert transition.source is None or transition.source in INQUIRY


def test_every_transition_tells_of_itself_by_an_event_that_is_known() -> None:
    types = set(EVENT_TYPES.values())
    for transition in TRANSITIONS:
        assert transition.event in types
        assert (transition.event == "dispute.opened") == (transition.source is None)
        assert (transition.event == "dispute.closed") == (transition.target in FINAL)


@each_case(
    ("status", "text", "cause"),
    [
        (DisputeStatus.UNDER_REVIEW, "winning_evidence", Cause.EVIDENCE_WON),
        (DisputeStatus.UNDER_REVIEW, "  winning_evidence\n", Cause.EVIDENCE_WON),
        (DisputeStatus.UNDER_REVIEW, "losing_evidence", Cause.EVIDENCE_LOST),
        (DisputeStatus.UNDER_REVIEW, "not winning_evidence", Cause.EVIDENCE_LOST),
        (DisputeStatus.UNDER_REVIEW, None, Cause.EVIDENCE_LOST),
        (DisputeStatus.WARNING_UNDER_REVIEW, "winning_evidence", Cause.EVIDENCE_WON),
        (DisputeStatus.WARNING_UNDER_REVIEW, "losing_evidence", Cause.EVIDENCE_LOST),
        (DisputeStatus.WARNING_UNDER_REVIEW, "a letter", Cause.EVIDENCE_WON),
        # What was saved but not submitted does not count.
        (DisputeStatus.NEEDS_RESPONSE, "winning_evidence", Cause.DEADLINE_PASSED),
        (DisputeStatus.WARNING_NEEDS_RESPONSE, "winning_evidence", Cause.DEADLINE_PASSED),
    ],
)
def test_the_deadline_of_a_status_decides_by_the_evidence(
    status: DisputeStatus, text: str | None, cause: Cause
) -> None:
    assert cause_of_deadline(status, text) is cause


def test_a_final_status_has_no_deadline() -> None:
    assert deadline_of(DisputeStatus.WON, 1) is None
    assert deadline_of(DisputeStatus.NEEDS_RESPONSE, 1) == 1 + 14 * 86_400_000
    with pytest.raises(AssertionError):
        cause_of_deadline(DisputeStatus.LOST, None)


def test_reasons_have_the_codes_of_the_two_networks_that_publish_them() -> None:
    assert network_reason_code("fraudulent", "visa") == "10.4"
    assert network_reason_code("fraudulent", "mastercard") == "4837"
    assert network_reason_code("product_not_received", "visa") == "13.1"
    assert network_reason_code("duplicate", "mastercard") == "4834"
    for reason in REASONS:
        assert network_reason_code(reason, "amex") is None


def test_what_test_cards_bring_about_has_a_reason_that_is_known() -> None:
    for opening in OPENINGS.values():
        assert (opening.reason is None) == (opening.follows == "early_fraud_warning")
        assert opening.reason is None or opening.reason in REASONS
