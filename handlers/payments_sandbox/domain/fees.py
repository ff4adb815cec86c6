"""What the acquirer keeps of a payment: a percentage of it and a fixed part, by card brand.

    fee of a capture = amount x rate, rounded half up to a whole minor unit, + the fixed part
    fee of a refund  = the fixed part; the percentage that the capture cost is not given back
    of a chargeback  = the dispute fee, which its reversal gives back
    of anything else = nothing

Each line is rounded by itself, and a settlement's fee is the sum of its lines' fees: so what is on the lines is what is
paid. The schedule is the sandbox's own choice, of the size that blended pricing has in Europe; `docs/settlement.md` shows
it, from a test.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from payments_sandbox.domain.entry_kinds import ENTRY_KINDS
from payments_sandbox.domain.money import EXPONENTS

BASIS: Final = 10_000
"""Basis points in one."""


@dataclass(frozen=True, slots=True)
class Rate:
    """basis_points: hundredths of a percent. fixed: minor units of a currency with two decimals, such as cents."""

    basis_points: int
    fixed: int


SCHEDULE: Final[Mapping[str, Rate]] = {
    "visa": Rate(140, 25),
    "mastercard": Rate(150, 25),
    "amex": Rate(290, 30),
    "discover": Rate(195, 25),
    "diners": Rate(250, 30),
    "jcb": Rate(240, 30),
    "unionpay": Rate(210, 30),
    "unknown": Rate(290, 30),
}
"""Brand to what its payments cost."""

_SCALE: Final = {0: 1, 2: 1, 3: 10, 4: 100}
"""Decimals of a currency to how many of its minor units one of `Rate.fixed` is. A yen is worth about a cent, and so is a
hundredth of a dinar: with none, or with two decimals, the number itself is of the right size."""

DISPUTE_FEE: Final = 1_500
"""What a chargeback costs, whatever the brand, in the units of `Rate.fixed`: 15.00 EUR."""


def dispute_fee(currency: str) -> int:
    """What a chargeback costs besides its amount, in minor units; 1500 where there is no minor unit."""
    return DISPUTE_FEE * _SCALE[EXPONENTS[currency]]


def fixed_fee(brand: str, currency: str) -> int:
    """The fixed part, in minor units."""
    return SCHEDULE[brand].fixed * _SCALE[EXPONENTS[currency]]


def fee_of(kind: str, brand: str, gross: int, currency: str) -> int:
    """The fee of an entry, in minor units. gross: what it moved; a capture's is positive."""
    row = ENTRY_KINDS[kind]
    fee = row.dispute_fee_count * dispute_fee(currency)
    if row.costs_percentage:
        fee += (gross * SCHEDULE[brand].basis_points + BASIS // 2) // BASIS
    if row.costs_fixed_part:
        fee += fixed_fee(brand, currency)
    return fee
