"""Kinds of ledger entries: one row for each, with every fact that depends on the kind alone.

A row is data: it names no renderer and no service. These follow from the rows: id prefixes (`ids.py`), message types
(`network.py`), event types (`webhooks.py`), what is settled (`settlement.py`), fees (`fees.py`) and the event schemas
(`contracts/events/generate.py`). The Pulumi program cannot import this module; a test compares `stacks/event_kinds.py` with it.

To add a kind: a row here, its schema and its event types in the contract, and the code that makes the entry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple


class EventType(NamedTuple):
    """An event type of the contract. description: for receivers, in the event's JSON Schema."""

    name: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryKind:
    """What is known about every entry of a kind."""

    name: str
    schema: str
    """The component of the contract that an event of this kind holds."""
    event: EventType
    """What an entry that was not declined tells of."""
    declined_event: EventType | None = None
    """What a declined entry tells of; None if an entry of this kind is never declined."""
    status: str | None = "succeeded"
    """The transaction's status in `event`; None if the event holds no transaction."""

    id_prefix: str | None = None
    """Of transactions; None for records that only tell of something, which get their ids elsewhere."""
    message_type: str | None = None
    """The ISO 8583 message type that asks for the transaction; None if there is no transaction."""
    has_authorization_code: bool = False
    """An approved entry carries the authorization's code (data element 38)."""
    has_acquirer_reference: bool = False
    """An approved entry gets an acquirer reference number, because it is cleared."""
    ends_hold: bool = False
    """It takes back an authorization: its message carries the whole amount, and what was captured of it and stays."""
    is_about_refund: bool = False
    """Its message carries the processing code of a refund, not of a purchase."""

    is_settled: bool = False
    """It changes what the acquirer owes the merchant, so it is settled unless it was declined."""
    costs_percentage: bool = False
    """Its fee includes the brand's percentage of the amount."""
    costs_fixed_part: bool = False
    """Its fee includes the brand's fixed part."""
    dispute_fee_count: int = 0
    """How many times its fee includes the dispute fee; -1 gives it back."""


_ROWS: Final = (
    EntryKind(
        name="authorization",
        schema="Authorization",
        event=EventType("payment.authorized", "An issuer has approved an authorization: the amount is held."),
        declined_event=EventType(
            "payment.authorization_declined", "An issuer has declined an authorization: nothing is held."
        ),
        status="authorized",
        id_prefix="auth_",
        message_type="0100",
        has_authorization_code=True,
    ),
    EntryKind(
        name="capture",
        schema="Capture",
        event=EventType("payment.captured", "All or part of what was held has been taken."),
        declined_event=EventType(
            "payment.capture_declined", "A capture was declined: what is held is still held."
        ),
        id_prefix="cap_",
        message_type="0220",
        has_authorization_code=True,
        has_acquirer_reference=True,
        is_settled=True,
        costs_percentage=True,
        costs_fixed_part=True,
    ),
    EntryKind(
        name="refund",
        schema="Refund",
        event=EventType("payment.refunded", "All or part of what was taken has been given back."),
        declined_event=EventType("payment.refund_declined", "A refund was declined: nothing was given back."),
        id_prefix="ref_",
        message_type="0200",
        has_acquirer_reference=True,
        is_about_refund=True,
        is_settled=True,
        costs_fixed_part=True,
    ),
    EntryKind(
        name="void",
        schema="Void",
        event=EventType("payment.voided", "What was still held has been given back."),
        id_prefix="void_",
        message_type="0400",
        ends_hold=True,
    ),
    EntryKind(
        name="increment",
        schema="Increment",
        event=EventType("payment.incremented", "More is held than before."),
        declined_event=EventType(
            "payment.increment_declined", "An increment was declined: no more is held than before."
        ),
        id_prefix="inc_",
        message_type="0100",
        has_authorization_code=True,
    ),
    EntryKind(
        name="expiry",
        schema="Expiry",
        event=EventType(
            "payment.expired", "An authorization's time is over: what was still held has been given back."
        ),
        id_prefix="exp_",
        message_type="0420",
        ends_hold=True,
    ),
    EntryKind(
        name="settlement_completed",
        schema="Settlement",
        event=EventType(
            "settlement.completed",
            "What was owed for a set of captures and refunds, less fees, has been paid out.",
        ),
        status=None,
    ),
    # No record is of this kind: a refund that is pending at first is announced as if it were.
    EntryKind(
        name="refund_initiated",
        schema="Refund",
        event=EventType(
            "payment.refund_initiated", "A refund is on its way; whether it arrives is told later."
        ),
        status="pending",
    ),
    EntryKind(
        name="refund_success",
        schema="Refund",
        event=EventType("payment.refund_succeeded", "A refund that was on its way has arrived."),
    ),
    EntryKind(
        name="refund_failure",
        schema="RefundFailure",
        event=EventType(
            "payment.refund_failed", "The cardholder's bank has returned a refund: the money is back."
        ),
        id_prefix="rff_",
        message_type="0420",
        is_about_refund=True,
        is_settled=True,
    ),
    # A chargeback is the issuer's advice in the class of reversals; its reversal is a second presentment by the acquirer.
    # Networks carry both in clearing files, not in messages, so these message types are the sandbox's own choice.
    EntryKind(
        name="chargeback",
        schema="Chargeback",
        event=EventType(
            "payment.chargeback_created", "A dispute has taken captured money back to the cardholder."
        ),
        id_prefix="chb_",
        message_type="0422",
        is_settled=True,
        dispute_fee_count=1,
    ),
    EntryKind(
        name="chargeback_reversal",
        schema="ChargebackReversal",
        event=EventType("payment.chargeback_reversed", "A dispute was won: the money is back."),
        id_prefix="chr_",
        message_type="0220",
        is_settled=True,
        dispute_fee_count=-1,
    ),
    EntryKind(
        name="dispute_opened",
        schema="Dispute",
        event=EventType(
            "dispute.opened", "A cardholder disputes a payment, or the cardholder's bank asks about it."
        ),
        status=None,
    ),
    EntryKind(
        name="dispute_updated",
        schema="Dispute",
        event=EventType("dispute.updated", "Evidence was saved or submitted."),
        status=None,
    ),
    EntryKind(
        name="dispute_escalated",
        schema="Dispute",
        event=EventType("dispute.escalated", "An inquiry has become a dispute."),
        status=None,
    ),
    EntryKind(
        name="dispute_closed",
        schema="Dispute",
        event=EventType("dispute.closed", "A dispute was won or lost, or an inquiry is over."),
        status=None,
    ),
    EntryKind(
        name="early_fraud_warning_created",
        schema="EarlyFraudWarning",
        event=EventType(
            "early_fraud_warning.created",
            "An issuer has reported a payment as fraud; it is not disputed yet.",
        ),
        status=None,
    ),
    EntryKind(
        name="early_fraud_warning_closed",
        schema="EarlyFraudWarning",
        event=EventType(
            "early_fraud_warning.closed",
            "Nothing is left of a payment that a fraud report could still lead to a dispute of.",
        ),
        status=None,
    ),
    EntryKind(
        name="endpoint_disabled",
        schema="EndpointDisabled",
        event=EventType(
            "webhook_endpoint.disabled",
            "Nothing is sent to an endpoint any more, as it is gone or has failed for five days.",
        ),
        status=None,
    ),
)
"""In the order in which the contract lists the event types."""

ENTRY_KINDS: Final[Mapping[str, EntryKind]] = {kind.name: kind for kind in _ROWS}
"""Name of a kind (`Record.kind`) to its row."""
