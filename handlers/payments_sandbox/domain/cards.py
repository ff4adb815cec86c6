"""Cards: brand by number range, the Luhn check, expiry, and what may be kept of them.

A card number and a CVC live only inside a request: `CardDetails` never prints them, and what the ledger keeps is
`CardFacts` and the keyed id of `ids.identify_card`.
"""

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Final, NamedTuple

from payments_sandbox.domain.value import value_type

AMEX_CVC_DIGITS: Final = 4
CVC_DIGITS: Final = 3

_BRANDS: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    # Source: ISO/IEC 7812 issuer ranges as the networks publish them.
    ("visa", re.compile(r"4")),
    ("mastercard", re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720")),
    ("amex", re.compile(r"3[47]")),
    ("discover", re.compile(r"6011|65|64[4-9]")),
    ("diners", re.compile(r"30[0-5]|3095|36|38|39")),
    ("jcb", re.compile(r"35(?:2[89]|[3-8])")),
    ("unionpay", re.compile(r"62|81")),
)

_FUNDING: Final = {
    "4000056655665556": "debit",
    "5200828282828210": "debit",
    "5105105105105100": "prepaid",
}


@value_type
class CardDetails:
    """A card as it arrives: number and cvc are secrets and never leave the request.

    billing_address: the contract's fields by name; AVS compares `line1` and `postal_code`.
    """

    number: str = field(repr=False)
    exp_month: int
    exp_year: int
    cvc: str | None = field(default=None, repr=False)
    holder_name: str | None = None
    billing_address: Mapping[str, str] | None = None


class CardFacts(NamedTuple):
    """What may be kept of a number. brand: `visa`, ..., or `unknown`. funding: `credit`, `debit` or `prepaid`."""

    brand: str
    last4: str
    funding: str


def describe_card(number: str) -> CardFacts:
    """Brand, last four digits and funding of a card number (12 to 19 digits)."""
    return CardFacts(brand=brand_of(number), last4=number[-4:], funding=_FUNDING.get(number, "credit"))


def brand_of(number: str) -> str:
    """The brand that the number's leading digits belong to, or `unknown`."""
    for brand, pattern in _BRANDS:
        if pattern.match(number):
            return brand
    return "unknown"


def passes_luhn(number: str) -> bool:
    """Whether the last digit is the check digit of the others."""
    return luhn_digit(number[:-1]) == number[-1]


def luhn_digit(digits: str) -> str:
    """The check digit that belongs behind these digits. Source: ISO/IEC 7812-1, annex B."""
    codes = digits.encode()
    kept = codes[-2::-2]
    total = sum(kept) - 48 * len(kept) + sum([_DOUBLED[code] for code in codes[-1::-2]])
    return str(-total % 10)


_DOUBLED: Final = {48 + digit: digit * 2 - 9 if digit > 4 else digit * 2 for digit in range(10)}


def has_expired(exp_month: int, exp_year: int, *, year: int, month: int) -> bool:
    """Whether a card is past the last day of its expiry month."""
    return (exp_year, exp_month) < (year, month)


def cvc_result(card: CardDetails, brand: str) -> str:
    """`P` when none was sent, `N` when its length cannot be the brand's, else `M`."""
    if card.cvc is None:
        return "P"
    digits = AMEX_CVC_DIGITS if brand == "amex" else CVC_DIGITS
    return "M" if len(card.cvc) == digits else "N"


def avs_result(
    address: Mapping[str, str] | None, *, line1_matches: bool = True, postal_code_matches: bool = True
) -> str:
    """The address verification result when the issuer finds this much; what was not sent cannot match."""
    if not address or ("line1" not in address and "postal_code" not in address):
        return "U"
    line1 = "line1" in address and line1_matches
    postal_code = "postal_code" in address and postal_code_matches
    return _AVS_RESULTS[line1, postal_code]


# By whether the first address line matches, and the postal code.
_AVS_RESULTS: Final = {(True, True): "Y", (True, False): "A", (False, True): "Z", (False, False): "N"}
