"""Work times prices: a month's lines, and what a rate of authorizations takes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Final

from stacks.cost import prices, work
from stacks.cost.prices import Price
from stacks.cost.work import LedgerWork

KB_PER_GB: Final = 1_000_000
PARTITION_WRITES_MAX: Final = 1_000
"""A second, of a table or an index. Source: Amazon DynamoDB developer guide, "Partitions and data distribution"."""
NEW_TABLE_WRITES: Final = 4_000
"""A second, until a table has been warmed or has grown."""
WARM_TABLE_WRITES: Final = 10_000
"""A second: what a table for 5,000 authorizations has to be told, for its stream to have enough shards too."""


@dataclass(frozen=True, slots=True)
class CostLine:
    """So much of something in a month, and what it costs."""

    what: str
    quantity: Decimal
    price: Price

    @property
    def dollars(self) -> Decimal:
        """A month's, not rounded."""
        return self.price.of(self.quantity)


@dataclass(frozen=True, slots=True)
class Month:
    """A month's lines."""

    lines: tuple[CostLine, ...]

    @property
    def dollars(self) -> Decimal:
        """All of them."""
        return sum((line.dollars for line in self.lines), Decimal(0))


@dataclass(frozen=True, slots=True)
class Scale:
    """What a sustained rate of authorizations takes, per second unless it says otherwise."""

    rate: int
    write_units: int
    write_units_each: int
    read_units: Decimal
    table_partitions: int
    stream_shards_needed: int
    stream_shards_warm: int
    feed_writes_per_partition: Decimal
    due_writes_per_partition: Decimal
    api_concurrency: int
    relay_concurrency: int
    deliver_concurrency: int


def idle_month() -> Month:
    """A stack that nobody calls: what runs by itself, and what is paid for being there."""
    return Month(tuple(_idle()))


def quiet_month(payments_per_day: int) -> Month:
    """An idle month and so many payments a day: each authorized, captured and read once, one in ten refunded, every event
    delivered to one endpoint and every capture and refund settled. Twelve months of them are stored."""
    payments = payments_per_day * work.MONTH_DAYS
    refunds = payments / 10
    events = 2 * payments + refunds
    requests = 3 * payments + refunds
    ledger = [
        (work.AUTHORIZE, payments),
        (work.CAPTURE, payments),
        (work.REFUND, refunds),
        (work.DELIVERY, events),
        (work.SETTLE, payments + refunds),
    ]
    writes = sum((each.writes * count for each, count in ledger), Decimal(0))
    reads = sum((each.reads * count for each, count in ledger), Decimal(0))
    reads += 4 * payments  # reading a payment with its family
    reads += events * work.LISTING_READS
    stored_kb = 12 * events * (work.AUTHORIZATION_KB + work.DELIVERY_KB)
    # Few as they are, no two events share a batch.
    used = [
        CostLine("API requests", requests, prices.API_REQUEST),
        *_function("API", requests, work.API_MB, work.API_S),
        *_function("relay", events, work.WORKER_MB, work.RELAY_S),
        *_function("deliver", events, work.WORKER_MB, work.DELIVER_S),
        CostLine("ledger writes", writes, prices.WRITE_UNIT),
        CostLine("ledger reads", reads, prices.READ_UNIT),
        CostLine("events published", events, prices.SNS_PUBLISH),
        CostLine("events received", events * work.REQUESTS_PER_BATCH, prices.SQS_REQUEST),
        _logs(requests, 2 * events),
        CostLine("a year's records stored", stored_kb / KB_PER_GB, prices.STORED_GB),
    ]
    return Month((*_idle(), *used))


def busy_month(rate: int) -> Month:
    """So many authorizations every second of the month, of accounts without webhook endpoints; besides them nothing counts."""
    requests = Decimal(rate * work.MONTH_S)
    relayed, delivered = requests / work.RELAY_BATCH, requests / work.MESSAGE_BATCH
    used = [
        CostLine("API requests", requests, prices.API_REQUEST),
        *_function("API", requests, work.API_MB, work.API_S),
        *_function("relay", relayed, work.WORKER_MB, work.RELAY_S),
        *_function("deliver", delivered, work.WORKER_MB, work.DELIVER_NOTHING_S),
        CostLine("ledger writes", requests * work.AUTHORIZE.writes, prices.WRITE_UNIT),
        CostLine("ledger reads", delivered * work.LISTING_READS, prices.READ_UNIT),
        CostLine("events published", requests / work.MESSAGE_BATCH, prices.SNS_PUBLISH),
        CostLine("events received", delivered * work.REQUESTS_PER_BATCH, prices.SQS_REQUEST),
        _logs(requests, relayed + delivered),
        CostLine(
            "the month's records stored", requests * work.AUTHORIZATION_KB / KB_PER_GB, prices.STORED_GB
        ),
    ]
    return Month((*_idle(), *used))


def scale(rate: int) -> Scale:
    """What this rate takes of what has limits."""
    authorize = work.AUTHORIZE
    relay_runs = Decimal(rate) / work.RELAY_BATCH
    deliver_runs = Decimal(rate) / work.MESSAGE_BATCH
    return Scale(
        rate=rate,
        write_units=rate * authorize.writes,
        write_units_each=rate,
        read_units=deliver_runs * work.LISTING_READS,
        table_partitions=_ceiling(Decimal(rate * authorize.table_writes) / PARTITION_WRITES_MAX),
        # One invocation at a time reads a shard.
        stream_shards_needed=_ceiling(relay_runs * work.RELAY_S),
        stream_shards_warm=WARM_TABLE_WRITES // PARTITION_WRITES_MAX,
        feed_writes_per_partition=Decimal(rate * authorize.feed_writes) / work.FEED_SHARDS,
        due_writes_per_partition=Decimal(rate * authorize.due_writes) / work.DUE_SHARDS,
        api_concurrency=_ceiling(rate * work.API_S),
        relay_concurrency=_ceiling(relay_runs * work.RELAY_S),
        deliver_concurrency=_ceiling(deliver_runs * work.DELIVER_NOTHING_S),
    )


def due_index_rate_max(*parts: LedgerWork) -> int:
    """How often a second all of these fit into the due index, which has one key for everything, spread over its shards."""
    return work.DUE_SHARDS * PARTITION_WRITES_MAX // sum(part.due_writes for part in parts)


def _idle() -> Iterator[CostLine]:
    sweeps, nights = Decimal(work.MONTH_MINUTES), work.MONTH_DAYS
    yield CostLine("encryption key", Decimal(1), prices.KMS_KEY)
    hours = Decimal(work.MONTH_S) / 3600
    yield CostLine("data keys", hours * work.DATA_KEYS_PER_HOUR, prices.KMS_REQUEST)
    yield CostLine("alarms", Decimal(work.ALARM_METRICS), prices.ALARM)
    yield CostLine("dashboards", Decimal(work.DASHBOARDS_BEYOND_FREE), prices.DASHBOARD)
    yield CostLine("schedules", sweeps + nights, prices.SCHEDULE_RUN)
    yield from _function("sweeper", sweeps, work.WORKER_MB, work.SWEEP_S)
    yield CostLine("sweeper reads", sweeps * work.SWEEP_READS, prices.READ_UNIT)
    yield from _function("settlement", nights * work.SETTLEMENT_TASKS, work.WORKER_MB, work.SETTLE_TASK_S)
    yield CostLine("settlement transitions", nights * work.SETTLEMENT_TRANSITIONS, prices.TRANSITION)
    polls = Decimal(work.POLLERS * work.MONTH_S) / work.POLL_S
    yield CostLine("polls of the queue", polls, prices.SQS_REQUEST)
    yield CostLine("logs of the sweeper", sweeps * work.RUN_LOG_KB / KB_PER_GB, prices.LOG_GB)


def _function(name: str, runs: Decimal, memory_mb: int, duration_s: Decimal) -> Iterable[CostLine]:
    return (
        CostLine(f"{name} invocations", runs, prices.LAMBDA_REQUEST),
        CostLine(f"{name} compute", runs * duration_s * memory_mb / 1024, prices.LAMBDA_GB_SECOND),
    )


def _logs(requests: Decimal, runs: Decimal) -> CostLine:
    kb = requests * work.REQUEST_LOG_KB + runs * work.RUN_LOG_KB
    return CostLine("logs", kb / KB_PER_GB, prices.LOG_GB)


def _ceiling(value: Decimal) -> int:
    return int(value.to_integral_value(ROUND_CEILING))
