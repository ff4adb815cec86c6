"""The kinds of records that are events.

The package knows them as the rows of `handlers/payments_sandbox/domain/entry_kinds.py`, which the Pulumi program does not import;
`tests/unit/domain/test_entry_kinds.py` compares the two.
"""

from typing import Final

EVENT_KINDS: Final = (
    "authorization",
    "capture",
    "chargeback",
    "chargeback_reversal",
    "dispute_closed",
    "dispute_escalated",
    "dispute_opened",
    "dispute_updated",
    "early_fraud_warning_closed",
    "early_fraud_warning_created",
    "endpoint_disabled",
    "expiry",
    "increment",
    "refund",
    "refund_failure",
    "refund_initiated",
    "refund_success",
    "settlement_completed",
    "void",
)
