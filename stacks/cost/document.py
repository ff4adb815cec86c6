"""docs/cost.md, from the model and from what a simulation of the indexes has shown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Final

from stacks.cost import prices, work
from stacks.cost.model import (
    NEW_TABLE_WRITES,
    PARTITION_WRITES_MAX,
    WARM_TABLE_WRITES,
    Month,
    Scale,
    busy_month,
    due_index_rate_max,
    idle_month,
    quiet_month,
    scale,
)
from stacks.cost.prices import Price

PATH: Final = Path(__file__).resolve().parents[2] / "docs" / "cost.md"
PAYMENTS_PER_DAY: Final = 1_000
RATE: Final = 5_000
BUDGET_DOLLARS: Final = 10


@dataclass(frozen=True, slots=True)
class SimulatedIndex:
    """name: of the index. peak: the most writes that one of its partitions met in a second."""

    name: str
    partitions: int
    peak: int


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a simulation of one account and one card at this rate has shown."""

    rate: int
    seconds: int
    indexes: Sequence[SimulatedIndex]


def render(simulated: Simulated) -> str:
    """The document."""
    idle, quiet, busy = idle_month(), quiet_month(PAYMENTS_PER_DAY), busy_month(RATE)
    blocks = [
        "# Cost and scale",
        "Written by `make cost` from the model in `stacks/cost/`; a test fails when this page and the model differ. "
        f"List prices of {prices.REGION} on {prices.AS_OF}, without free tiers, volume discounts and taxes. The work of "
        "the ledger is measured on the services; durations and log lines are assumptions, given in `stacks/cost/work.py`.",
        _table(
            ("what", "a month"),
            [
                ("a dev stack that nobody calls", _dollars(idle.dollars)),
                (f"the same at {PAYMENTS_PER_DAY:,} payments a day", _dollars(quiet.dollars)),
                (f"{RATE:,} authorizations a second, all month", _dollars(busy.dollars)),
            ],
        ),
        f"The first two are under ${BUDGET_DOLLARS}. The third is "
        f"{_dollars(busy.dollars / (RATE * work.MONTH_S) * prices.MILLION)} for a million authorizations.",
        "## A dev stack that nobody calls",
        _month(idle),
        f"## The same at {PAYMENTS_PER_DAY:,} payments a day",
        "Each payment is authorized, captured and read once, one in ten is refunded, every event is delivered to one "
        "endpoint, and every capture and refund is settled.",
        _month(quiet, besides=idle),
        f"## {RATE:,} authorizations a second",
        "Sustained for a month, of accounts without webhook endpoints.",
        _month(busy, besides=idle),
        f"{_share(busy, prices.API_REQUEST)} of it is API Gateway at list price; its volume discount begins at 333 million "
        "requests. Logs follow `log_level` and `access_logs`.",
        *_what_it_takes(scale(RATE)),
        "## One account and one card",
        *_simulation(simulated),
        "## The due index",
        *_due_index(),
        "## Prices",
        _table(("price",), [(str(price),) for price in prices.TABLE]),
    ]
    return "\n\n".join(blocks) + "\n"


def _what_it_takes(needed: Scale) -> Iterator[str]:
    yield "### What it takes"
    yield _table(
        ("a second", "", "follows from"),
        [
            (
                "write units",
                f"{needed.write_units:,}",
                f"{work.AUTHORIZE.writes} an authorization: the table and three indexes, {needed.write_units_each:,} each",
            ),
            (
                "read units",
                f"{needed.read_units:,.0f}",
                "one listing of endpoints for each batch of ten events",
            ),
            (
                "partitions of the table",
                f"{needed.table_partitions} or more",
                f"{PARTITION_WRITES_MAX:,} writes each; ids are spread evenly",
            ),
            (
                "shards of its stream",
                f"{needed.stream_shards_needed} or more",
                f"one relay at a time reads a shard, {work.RELAY_BATCH} records in {_ms(work.RELAY_S)}",
            ),
            (
                "instances of the API's function",
                f"{needed.api_concurrency}",
                f"{_ms(work.API_S)} each, what the alarm allows",
            ),
            ("instances of relay", f"{needed.relay_concurrency}", "as many as shards"),
            (
                "instances of deliver",
                f"{needed.deliver_concurrency}",
                f"{_ms(work.DELIVER_NOTHING_S)} for ten events that nobody wants",
            ),
        ],
    )
    yield (
        f"A new table takes {NEW_TABLE_WRITES:,} writes a second, and for lack of partitions its stream would have too few "
        f"shards: set `table_warm_write_units` to {WARM_TABLE_WRITES:,}, which makes {needed.stream_shards_warm} of both. "
        "No request calls KMS, SSM or Step Functions."
    )


def _simulation(simulated: Simulated) -> Iterator[str]:
    yield (
        f"The worst case for the indexes: {simulated.rate:,} real authorizations a second for {simulated.seconds} s, all of one "
        "account and one card, as the items that the adapter writes (`tests/load/feed_simulation.py`). A partition takes "
        f"{PARTITION_WRITES_MAX:,} writes a second; without shards a single one would meet all {simulated.rate:,}."
    )
    yield _table(
        ("index", "partitions", "peak writes a second of one"),
        [(each.name, f"{each.partitions}", f"{each.peak:,}") for each in simulated.indexes],
    )


def _due_index() -> Iterator[str]:
    yield (
        f"It has one key for everything that is due, over {work.DUE_SHARDS} shards, so it is what is full first. What it takes "
        "a second, by what is done with each payment:"
    )
    paid = (work.AUTHORIZE, work.CAPTURE)
    yield _table(
        ("each payment", "payments a second at most"),
        [
            ("authorized", f"{due_index_rate_max(work.AUTHORIZE):,}"),
            ("authorized and captured", f"{due_index_rate_max(*paid):,}"),
            (
                "the same, and both events delivered to an endpoint",
                f"{due_index_rate_max(*paid, work.DELIVERY, work.DELIVERY):,}",
            ),
        ],
    )
    yield "More takes more shards: `due_shards` of `DynamoDbStore`, which may be raised and never lowered."


def _month(month: Month, *, besides: Month | None = None) -> str:
    known = besides.lines if besides else ()
    rows = [
        (line.what, _quantity(line.quantity), str(line.price), _dollars(line.dollars))
        for line in month.lines
        if line not in known
    ]
    if besides:
        rows.insert(0, ("what an idle stack costs", "", "", _dollars(besides.dollars)))
    return _table(
        ("", "a month", "price", "dollars"), [*rows, ("**all**", "", "", f"**{_dollars(month.dollars)}**")]
    )


def _share(month: Month, price: Price) -> str:
    return f"{sum(line.dollars for line in month.lines if line.price is price) / month.dollars:.0%}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _dollars(value: Decimal) -> str:
    cents = value.quantize(Decimal("0.01"), ROUND_HALF_UP)
    return f"${cents:,}" if cents < 1_000 else f"${value.quantize(Decimal(1), ROUND_HALF_UP):,}"


def _quantity(value: Decimal) -> str:
    if value >= prices.MILLION:
        return f"{value / prices.MILLION:,.1f} million"
    return f"{value:,.0f}" if value >= 10 or value == value.to_integral_value() else f"{value:.2f}"


def _ms(seconds: Decimal) -> str:
    return f"{seconds * 1000:.0f} ms"
