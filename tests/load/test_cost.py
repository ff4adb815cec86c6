"""The cost model: its claims, that its page is up to date, and that it assumes what the services and the program really do."""

import asyncio
import inspect
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from payments_sandbox.adapters.dynamodb.store import DynamoDbStore
from payments_sandbox.services.events.events import event_of
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ports import Index, Record, Update
from payments_sandbox.services.settlement.settlements import settle_on_demand
from payments_sandbox.services.webhooks.webhook_attempts import attempt_delivery
from payments_sandbox.services.webhooks.webhook_deliveries import plan_deliveries
from payments_sandbox.services.webhooks.webhook_endpoints import create_endpoint
from payments_sandbox.services.world import plain_world
from stacks.components import webhooks
from stacks.cost import prices, work
from stacks.cost.document import BUDGET_DOLLARS, PATH, PAYMENTS_PER_DAY, render
from stacks.cost.model import busy_month, due_index_rate_max, idle_month, quiet_month, scale
from stacks.cost.work import LedgerWork
from stacks.settings import StackSettings
from tests.calls.payments import authorize, capture, id_of, refund
from tests.doubles.ports import ACCOUNT, FrozenClock, make_infrastructure
from tests.doubles.receivers import Script
from tests.load.cost_document import simulated
from tests.load.feed_simulation import PARTITION_WRITES_MAX, RATE, SHARDS, Peaks, simulate
from tests.load.write_units import TABLE, MeteredStore, item_bytes
from tests.stacks.policy_recording import record_stack

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def peaks() -> Peaks:
    return simulate()


def test_the_page_says_what_the_model_says(peaks: Peaks) -> None:
    assert PATH.read_text("utf-8") == render(simulated(peaks)), "docs/cost.md is stale: make cost"


def test_a_dev_stack_costs_less_than_ten_dollars() -> None:
    assert 1 < idle_month().dollars < quiet_month(PAYMENTS_PER_DAY).dollars < BUDGET_DOLLARS


def test_no_partition_meets_a_thousand_writes_a_second(peaks: Peaks) -> None:
    assert peaks.rate == RATE
    assert peaks.partitions == SHARDS, "every shard is met, and no other"
    assert max(peaks.writes.values()) < PARTITION_WRITES_MAX


def test_without_shards_one_partition_would_meet_every_write() -> None:
    alone = simulate(rate=50, seconds=1, shards=dict.fromkeys(Index, 1))
    assert alone.writes == dict.fromkeys(Index, 50)


def test_the_simulation_spreads_as_the_store_does_by_default() -> None:
    parameters = inspect.signature(DynamoDbStore.__init__).parameters
    defaults = {index: parameters[f"{index.value}_shards"].default for index in Index}
    assert defaults == SHARDS
    assert (SHARDS[Index.FEED], SHARDS[Index.DUE]) == (work.FEED_SHARDS, work.DUE_SHARDS)
    assert StackSettings.__dataclass_fields__["feed_shards"].default == work.FEED_SHARDS


class Shop:
    """An account on a ledger that counts."""

    def __init__(self) -> None:
        self.store = MeteredStore(SHARDS)
        self.clock = FrozenClock()
        self.infrastructure: Infrastructure = make_infrastructure(self.store, self.clock)

    def measure(self, act: Callable[[], Any]) -> LedgerWork:
        self.clock.advance(ms=1)
        self.store.forget()
        act()
        units = self.store.units
        return LedgerWork(units[TABLE], units["feed"], units["card"], units["due"], self.store.reads)

    def deliver(self, record: Record) -> None:
        (delivery_id,) = plan_deliveries(plain_world(self.infrastructure, ACCOUNT), event_of(record))
        delivery = asyncio.run(attempt_delivery(self.infrastructure, Script(), delivery_id))
        assert delivery is not None
        assert delivery.state == "succeeded"


def _fits(measured: LedgerWork, assumed: LedgerWork) -> bool:
    return (
        0 < measured.table_writes <= assumed.table_writes
        and measured.feed_writes <= assumed.feed_writes
        and measured.card_writes <= assumed.card_writes
        and measured.due_writes <= assumed.due_writes
        and measured.reads <= assumed.reads
    )


def test_an_authorization_is_one_write_of_at_most_a_kilobyte_and_four_units() -> None:
    shop = Shop()
    measured = shop.measure(lambda: authorize(plain_world(shop.infrastructure, ACCOUNT)))
    assert measured == work.AUTHORIZE
    assert measured.writes == 4
    assert shop.store.largest_bytes <= 1024 * work.AUTHORIZATION_KB


def test_a_capture_and_a_refund_ask_for_no_more_than_is_assumed() -> None:
    shop = Shop()
    authorized = authorize(plain_world(shop.infrastructure, ACCOUNT))
    assert _fits(
        shop.measure(lambda: capture(plain_world(shop.infrastructure, ACCOUNT), id_of(authorized))),
        work.CAPTURE,
    )
    assert _fits(
        shop.measure(lambda: refund(plain_world(shop.infrastructure, ACCOUNT), id_of(authorized))),
        work.REFUND,
    )


def test_a_delivery_asks_for_no_more_than_is_assumed() -> None:
    shop = Shop()
    create_endpoint(plain_world(shop.infrastructure, ACCOUNT), url="https://shop.example/hook")
    record = authorize(plain_world(shop.infrastructure, ACCOUNT)).entry.record
    assert _fits(shop.measure(lambda: shop.deliver(record)), work.DELIVERY)
    assert shop.store.largest_bytes <= 1024 * work.DELIVERY_KB


def test_settling_ten_captures_asks_for_no_more_than_is_assumed_of_ten() -> None:
    shop = Shop()
    for number in range(10):
        capture(
            plain_world(shop.infrastructure, ACCOUNT),
            id_of(authorize(plain_world(shop.infrastructure, ACCOUNT), f"authorize-{number}")),
            f"capture-{number}",
        )
    measured = shop.measure(
        lambda: settle_on_demand(
            plain_world(shop.infrastructure, ACCOUNT), up_to=shop.clock.now_ms(), discrepancies=()
        )
    )
    each = work.SETTLE
    ten = LedgerWork(
        10 * each.table_writes,
        10 * each.feed_writes,
        10 * each.card_writes,
        10 * each.due_writes,
        10 * each.reads,
    )
    assert measured.due_writes >= 10, "ten captures are due no more"
    assert _fits(measured, ten)


def test_units_are_counted_as_dynamodb_bills_them() -> None:
    store = MeteredStore(SHARDS)
    record = Record(
        id="auth_1",
        kind="authorization",
        account_id="acct",
        version=1,
        created_at=1,
        data={"pad": "x" * 1_500},
    )
    store.insert(record)
    assert store.units == {TABLE: 2}
    store.insert(Record(**{**_fields(record), "data": {}}))
    assert store.units == {TABLE: 4}, "a refused insert costs what the item does that is there"
    store.forget()
    due = Record(**{**_fields(record), "version": 2, "data": {}, "due_at": 5})
    store.commit([], [Update(due)])
    assert store.units == {TABLE: 4, "due": 2}, "the larger of before and after, twice in an atomic write"
    store.forget()
    later = Record(**{**_fields(due), "version": 3, "due_at": 6})
    store.commit([], [Update(later)])
    assert store.units == {TABLE: 2, "due": 4}, "an index removes and adds what moves"


def _fields(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in Record.__dataclass_fields__}


def test_an_items_size_is_that_of_its_names_and_values() -> None:
    assert item_bytes({"id": {"S": "é"}, "n": {"N": "1234"}}) == (2 + 2) + (1 + 3)


def test_the_model_assumes_the_program_that_is_deployed() -> None:
    defaults = {name: field.default for name, field in StackSettings.__dataclass_fields__.items()}
    assert (defaults["api_memory_mb"], defaults["worker_memory_mb"]) == (work.API_MB, work.WORKER_MB)
    assert (work.RELAY_BATCH, work.MESSAGE_BATCH) == (webhooks.RELAY_BATCH, webhooks.DELIVER_BATCH)
    made = record_stack("dev")
    alarms = [each.properties for each in made if each.type == "aws:cloudwatch/metricAlarm:MetricAlarm"]
    assert sum(_metrics_of(alarm) for alarm in alarms) == work.ALARM_METRICS
    assert sum(each.type == "aws:kms/key:Key" for each in made) == 1
    assert sum(each.type == "aws:cloudwatch/dashboard:Dashboard" for each in made) <= 3
    assert sum(each.type == "aws:scheduler/schedule:Schedule" for each in made) == 2


def _metrics_of(alarm: Any) -> int:
    return sum("metric" in query for query in alarm["metricQueries"]) if "metricQueries" in alarm else 1


def test_productions_limits_let_five_thousand_authorizations_a_second_through() -> None:
    config = yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text("utf-8"))["config"]
    prod = {name.removeprefix("payments-sandbox:"): value for name, value in config.items()}
    needed = scale(RATE)
    assert prod["concurrency_api"] >= needed.api_concurrency
    assert prod["concurrency_relay"] >= needed.relay_concurrency
    assert prod["concurrency_deliver"] >= needed.deliver_concurrency
    assert prod["stage_requests_per_second"] >= RATE
    assert prod["table_write_units_max"] >= needed.write_units_each
    assert prod["table_read_units_max"] >= needed.read_units


def test_scale_follows_from_the_rate() -> None:
    assert scale(5_000).write_units == 20_000
    assert scale(5_000).table_partitions == 5
    assert scale(5_001).table_partitions == 6
    assert scale(5_000).feed_writes_per_partition == Decimal("312.5")
    assert scale(10_000).api_concurrency == 2 * scale(5_000).api_concurrency


def test_twice_the_rate_costs_twice_as_much_besides_the_idle_stack() -> None:
    idle = idle_month().dollars
    assert busy_month(200).dollars - idle == 2 * (busy_month(100).dollars - idle)


def test_the_due_index_is_full_when_its_partitions_are() -> None:
    assert due_index_rate_max(work.AUTHORIZE) == work.DUE_SHARDS * PARTITION_WRITES_MAX


def test_every_price_of_a_line_is_in_the_table() -> None:
    for month in (idle_month(), quiet_month(1), busy_month(1)):
        assert {line.price for line in month.lines} <= set(prices.TABLE)
