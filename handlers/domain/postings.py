"""Double entry: every movement of money takes from one ledger account what it gives to another.

`cardholder_available`  what the cardholder can still spend, as far as this payment is concerned;
`cardholder_held`       what the issuer holds for the merchant: the uncaptured part of an authorization;
`merchant_receivable`   what the acquirer owes the merchant: captured less refunded.

An entry's postings are in its own currency and sum to zero. Summed over an authorization's family, `cardholder_held`
is what can still be captured and `merchant_receivable` what can still be refunded.
"""

from collections.abc import Sequence

CARDHOLDER_AVAILABLE = "cardholder_available"
CARDHOLDER_HELD = "cardholder_held"
MERCHANT_RECEIVABLE = "merchant_receivable"

Posting = tuple[str, int]
"""A ledger account and the signed amount, in minor units, by which it changes."""


def hold(amount: int) -> list[Posting]:
    """An authorization or increment: the issuer sets the amount aside."""
    return [(CARDHOLDER_AVAILABLE, -amount), (CARDHOLDER_HELD, amount)]


def release(amount: int) -> list[Posting]:
    """A void, an expiry, or what a final capture leaves over: the hold ends."""
    return [(CARDHOLDER_HELD, -amount), (CARDHOLDER_AVAILABLE, amount)]


def capture(amount: int, released: int) -> list[Posting]:
    """A capture, and the release of the rest if it is final."""
    postings = [(CARDHOLDER_HELD, -amount), (MERCHANT_RECEIVABLE, amount)]
    return postings + release(released) if released else postings


def refund(amount: int) -> list[Posting]:
    """A refund: the merchant gives captured money back."""
    return [(MERCHANT_RECEIVABLE, -amount), (CARDHOLDER_AVAILABLE, amount)]


def balance_of(postings: Sequence[Posting], ledger_account: str) -> int:
    """The sum of what the postings do to one ledger account."""
    return sum(amount for name, amount in postings if name == ledger_account)
