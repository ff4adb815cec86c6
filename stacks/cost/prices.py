"""The price table: list prices in dollars, in the region and on the date below, without free tiers and volume discounts.

Prices change: before something depends on them, compare with https://aws.amazon.com/pricing/, correct them here, and run
`make cost`.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

REGION: Final = "us-east-1"
AS_OF: Final = "2026-11-25"

MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """dollars for each `per` of a unit."""

    dollars: Decimal
    per: int
    unit: str

    def of(self, quantity: Decimal) -> Decimal:
        """What the quantity costs."""
        return quantity * self.dollars / self.per

    def __str__(self) -> str:
        # Not normalized: a price is written as price lists write it.
        return f"${self.dollars} per {'million ' if self.per == MILLION else ''}{self.unit}"


def _price(dollars: str, unit: str, per: int = MILLION) -> Price:
    return Price(Decimal(dollars), per, unit)


API_REQUEST: Final = _price("3.50", "REST API requests")
ALARM: Final = _price("0.10", "alarm metric and month", 1)
DASHBOARD: Final = _price("3.00", "dashboard and month beyond three", 1)
KMS_KEY: Final = _price("1.00", "key and month", 1)
KMS_REQUEST: Final = _price("3.00", "KMS requests")
LAMBDA_GB_SECOND: Final = _price("13.3334", "GB-seconds on arm64")
LAMBDA_REQUEST: Final = _price("0.20", "Lambda requests")
LOG_GB: Final = _price("0.50", "GB of logs taken in", 1)
READ_UNIT: Final = _price("0.125", "read units on demand")
SCHEDULE_RUN: Final = _price("1.00", "runs of a schedule")
SNS_PUBLISH: Final = _price("0.50", "publishes to SNS (ten messages at most)")
SQS_REQUEST: Final = _price("0.40", "requests to SQS (ten messages at most)")
STORED_GB: Final = _price("0.25", "GB of a table and month", 1)
TRANSITION: Final = _price("25", "state transitions")
WRITE_UNIT: Final = _price("0.625", "write units on demand")

TABLE: Final = (
    API_REQUEST,
    LAMBDA_REQUEST,
    LAMBDA_GB_SECOND,
    WRITE_UNIT,
    READ_UNIT,
    STORED_GB,
    SNS_PUBLISH,
    SQS_REQUEST,
    TRANSITION,
    SCHEDULE_RUN,
    KMS_KEY,
    KMS_REQUEST,
    ALARM,
    DASHBOARD,
    LOG_GB,
)
"""All of them, in the order in which the document lists them."""
