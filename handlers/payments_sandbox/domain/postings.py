"""Double entry: every movement of money takes from one ledger account what it gives to another.

`cardholder_available`  what the cardholder can still spend, as far as this payment is concerned;
`cardholder_held`       what the issuer holds for the merchant: the uncaptured part of an authorization;
`merchant_receivable`   what the acquirer owes the merchant: captured less refunded and charged back;
`acquirer_fees`         what the acquirer keeps of that when it settles;
`merchant_payable`      what is left, on its way to the merchant;
`merchant_bank`         what has been paid out.

An entry's postings are in its own currency and sum to zero. Summed over an authorization's family, `cardholder_held`
is what can still be captured and `merchant_receivable` what can still be refunded. Summed over a settlement and the entries
that it settles, `merchant_receivable` is zero; with its payout, `merchant_payable` is zero too.
"""

from collections.abc import Sequence

CARDHOLDER_AVAILABLE = "cardholder_available"
CARDHOLDER_HELD = "cardholder_held"
MERCHANT_RECEIVABLE = "merchant_receivable"
ACQUIRER_FEES = "acquirer_fees"
MERCHANT_PAYABLE = "merchant_payable"
MERCHANT_BANK = "merchant_bank"

LEDGER_ACCOUNTS = (
    CARDHOLDER_AVAILABLE,
    CARDHOLDER_HELD,
    MERCHANT_RECEIVABLE,
    ACQUIRER_FEES,
    MERCHANT_PAYABLE,
    MERCHANT_BANK,
)

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


def settlement(gross: int, fees: int) -> list[Posting]:
    """A settlement: what the merchant is owed, less fees, is to be paid. Negative when more was refunded than captured."""
    return [(MERCHANT_RECEIVABLE, -gross), (ACQUIRER_FEES, fees), (MERCHANT_PAYABLE, gross - fees)]


def payout(net: int) -> list[Posting]:
    """What a settlement left to be paid is paid; a negative amount is collected from the merchant's bank account."""
    return [(MERCHANT_PAYABLE, -net), (MERCHANT_BANK, net)]


def refund_failure(amount: int) -> list[Posting]:
    """A refund that failed: the money comes back from the cardholder's bank."""
    return [(CARDHOLDER_AVAILABLE, -amount), (MERCHANT_RECEIVABLE, amount)]


def chargeback(amount: int) -> list[Posting]:
    """A dispute opens: the cardholder has the money back. What it costs besides is taken when it is settled."""
    return refund(amount)


def chargeback_reversal(amount: int) -> list[Posting]:
    """A dispute is won: the merchant has the money back."""
    return refund_failure(amount)


def balance_of(postings: Sequence[Posting], ledger_account: str) -> int:
    """The sum of what the postings do to one ledger account."""
    return sum(amount for name, amount in postings if name == ledger_account)
