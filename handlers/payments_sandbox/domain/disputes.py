"""The state machine of a dispute: every status, everything that can happen in it, and where that leads.

    inquiry: warning_needs_response --answered--> warning_under_review --> warning_closed
                       |                                  |
                       +------------ escalates -----------+
                                         |
    dispute:                       needs_response --answered--> under_review --> won, lost

`TRANSITIONS` is the whole of it: what is not in the table cannot happen, and the table of docs/disputes.md is written from
it. An inquiry moves no money; the chargeback of a dispute does, when it opens or when an inquiry escalates, and a dispute
that is won gives the money back. Nothing here reads a clock or a store. Next: `services/disputes/disputes.py` for what clients ask
for, `services/disputes/dispute_deadlines.py` for what time brings about.

Source: the statuses and the magic evidence are those that integrators know from Stripe's test mode. Deadlines are the
sandbox's own choice: networks and acquirers differ, and change them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from payments_sandbox.domain.timestamps import DAY_MS


class DisputeStatus(StrEnum):
    """Where a dispute stands; those that begin with `warning` are of inquiries."""

    WARNING_NEEDS_RESPONSE = "warning_needs_response"
    WARNING_UNDER_REVIEW = "warning_under_review"
    WARNING_CLOSED = "warning_closed"
    NEEDS_RESPONSE = "needs_response"
    UNDER_REVIEW = "under_review"
    WON = "won"
    LOST = "lost"


class Cause(StrEnum):
    """What can happen to a dispute."""

    OPENED_AS_INQUIRY = "opened_as_inquiry"
    OPENED = "opened"
    EVIDENCE_SUBMITTED = "evidence_submitted"
    ACCEPTED = "accepted"
    ESCALATED = "escalated"
    NOTHING_LEFT = "nothing_left"
    DEADLINE_PASSED = "deadline_passed"
    EVIDENCE_WON = "evidence_won"
    EVIDENCE_LOST = "evidence_lost"


CAUSES: Final[Mapping[Cause, str]] = {
    Cause.OPENED_AS_INQUIRY: "the cardholder's bank asks about the payment",
    Cause.OPENED: "the cardholder's bank charges the payment back",
    Cause.EVIDENCE_SUBMITTED: "evidence is submitted",
    Cause.ACCEPTED: "the merchant accepts the loss",
    Cause.ESCALATED: "the inquiry is escalated on request",
    Cause.NOTHING_LEFT: "refunds or other disputes leave nothing to dispute",
    Cause.DEADLINE_PASSED: "no evidence was submitted in time",
    Cause.EVIDENCE_WON: "the review ends in the merchant's favour",
    Cause.EVIDENCE_LOST: "the review ends in the cardholder's favour",
}
"""Each cause in words."""


class Money(StrEnum):
    """What a transition does to the merchant's money."""

    NONE = "none"
    CHARGEBACK = "chargeback"
    REVERSAL = "chargeback_reversal"


@dataclass(frozen=True, slots=True)
class Transition:
    """One line of the table. source: None when the dispute does not exist yet. event: the type that tells of it."""

    source: DisputeStatus | None
    cause: Cause
    target: DisputeStatus
    event: str
    money: Money = Money.NONE


OPENED_EVENT: Final = "dispute.opened"
UPDATED_EVENT: Final = "dispute.updated"
ESCALATED_EVENT: Final = "dispute.escalated"
CLOSED_EVENT: Final = "dispute.closed"

_INQUIRY = DisputeStatus.WARNING_NEEDS_RESPONSE
_ANSWERED = DisputeStatus.WARNING_UNDER_REVIEW
_DISPUTE = DisputeStatus.NEEDS_RESPONSE
_REVIEW = DisputeStatus.UNDER_REVIEW

TRANSITIONS: Final = (
    Transition(None, Cause.OPENED_AS_INQUIRY, _INQUIRY, OPENED_EVENT),
    Transition(None, Cause.OPENED, _DISPUTE, OPENED_EVENT, Money.CHARGEBACK),
    Transition(_INQUIRY, Cause.EVIDENCE_SUBMITTED, _ANSWERED, UPDATED_EVENT),
    Transition(_INQUIRY, Cause.ESCALATED, _DISPUTE, ESCALATED_EVENT, Money.CHARGEBACK),
    Transition(_INQUIRY, Cause.DEADLINE_PASSED, _DISPUTE, ESCALATED_EVENT, Money.CHARGEBACK),
    Transition(_INQUIRY, Cause.NOTHING_LEFT, DisputeStatus.WARNING_CLOSED, CLOSED_EVENT),
    Transition(_ANSWERED, Cause.EVIDENCE_WON, DisputeStatus.WARNING_CLOSED, CLOSED_EVENT),
    Transition(_ANSWERED, Cause.EVIDENCE_LOST, _DISPUTE, ESCALATED_EVENT, Money.CHARGEBACK),
    Transition(_ANSWERED, Cause.ESCALATED, _DISPUTE, ESCALATED_EVENT, Money.CHARGEBACK),
    Transition(_ANSWERED, Cause.NOTHING_LEFT, DisputeStatus.WARNING_CLOSED, CLOSED_EVENT),
    Transition(_DISPUTE, Cause.EVIDENCE_SUBMITTED, _REVIEW, UPDATED_EVENT),
    Transition(_DISPUTE, Cause.ACCEPTED, DisputeStatus.LOST, CLOSED_EVENT),
    Transition(_DISPUTE, Cause.DEADLINE_PASSED, DisputeStatus.LOST, CLOSED_EVENT),
    Transition(_REVIEW, Cause.EVIDENCE_WON, DisputeStatus.WON, CLOSED_EVENT, Money.REVERSAL),
    Transition(_REVIEW, Cause.EVIDENCE_LOST, DisputeStatus.LOST, CLOSED_EVENT),
)
"""Everything that can happen to a dispute."""

_BY_CAUSE: Final = {(transition.source, transition.cause): transition for transition in TRANSITIONS}

DEADLINES_MS: Final[Mapping[DisputeStatus, int]] = {
    DisputeStatus.WARNING_NEEDS_RESPONSE: 7 * DAY_MS,
    DisputeStatus.WARNING_UNDER_REVIEW: 7 * DAY_MS,
    DisputeStatus.NEEDS_RESPONSE: 14 * DAY_MS,
    DisputeStatus.UNDER_REVIEW: 30 * DAY_MS,
}
"""How long a dispute stays in a status before time moves it on. What is not here is final."""

WINNING_EVIDENCE: Final = "winning_evidence"
LOSING_EVIDENCE: Final = "losing_evidence"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a cardholder disputes. visa, mastercard: the networks' reason codes; chosen: those of them that are the sandbox's
    own choice, since the network has no code of just this meaning."""

    description: str
    visa: str
    mastercard: str
    chosen: tuple[str, ...] = ()


REASONS: Final[Mapping[str, Reason]] = {
    "fraudulent": Reason("The cardholder did not make the payment.", "10.4", "4837"),
    "unrecognized": Reason(
        "The cardholder does not recognise the payment.", "10.4", "4837", chosen=("visa", "mastercard")
    ),
    "product_not_received": Reason("The goods or services did not arrive.", "13.1", "4853"),
    "product_unacceptable": Reason("They were defective, or not as described.", "13.3", "4853"),
    "duplicate": Reason("The same purchase was charged more than once.", "12.6.1", "4834"),
    "credit_not_processed": Reason("A refund that was promised did not arrive.", "13.6", "4853"),
    "subscription_canceled": Reason("It was charged after the subscription had ended.", "13.2", "4853"),
    "general": Reason("None of the others.", "13.5", "4853", chosen=("visa", "mastercard")),
}
"""Reason to what it means.

Source: the dispute conditions of Visa Claims Resolution and the chargeback reason codes of Mastercard's chargeback guide.
"""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a test card brings about after its first capture.

    follows: `dispute`, `inquiry` or `early_fraud_warning`, which has no reason.
    """

    follows: str
    reason: str | None = None


OPENINGS: Final[Mapping[str, Opening]] = {
    "disputed_fraudulent": Opening("dispute", "fraudulent"),
    "disputed_product_not_received": Opening("dispute", "product_not_received"),
    "inquired": Opening("inquiry", "fraudulent"),
    "early_fraud_warning": Opening("early_fraud_warning"),
}
"""Rule of a test card to what follows its first capture."""


def find_transition(source: DisputeStatus | None, cause: Cause) -> Transition | None:
    """Where this leads from there; None when it cannot happen."""
    return _BY_CAUSE.get((source, cause))


def deadline_of(status: DisputeStatus, now_ms: int) -> int | None:
    """Until when a dispute that comes into this status now can stay in it; None: for good."""
    duration = DEADLINES_MS.get(status)
    return None if duration is None else now_ms + duration


def cause_of_deadline(status: DisputeStatus, evidence_text: str | None) -> Cause:
    """What happens when the deadline of this status is reached.

    evidence_text: the text that was submitted. Any other than the two magic ones loses a dispute, for the bank believes its
    customer, and satisfies an inquiry.
    """
    if status in (DisputeStatus.WARNING_NEEDS_RESPONSE, DisputeStatus.NEEDS_RESPONSE):
        return Cause.DEADLINE_PASSED
    assert status in DEADLINES_MS, f"{status} is final"
    text = (evidence_text or "").strip()
    if text == WINNING_EVIDENCE:
        return Cause.EVIDENCE_WON
    if text == LOSING_EVIDENCE:
        return Cause.EVIDENCE_LOST
    return Cause.EVIDENCE_WON if status is DisputeStatus.WARNING_UNDER_REVIEW else Cause.EVIDENCE_LOST


def network_reason_code(reason: str, brand: str) -> str | None:
    """The network's code for the reason; None where the sandbox knows none."""
    codes = {"visa": REASONS[reason].visa, "mastercard": REASONS[reason].mastercard}
    return codes.get(brand)
