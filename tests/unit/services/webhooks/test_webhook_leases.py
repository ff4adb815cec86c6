"""Two processes never attempt one delivery at the same time, and none is lost with the one that did."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from payments_sandbox.domain.errors import (
    StoreUnavailable,
)
from payments_sandbox.domain.webhooks import TIMEOUT_MS
from payments_sandbox.services.events.events import event_of
from payments_sandbox.services.ports import CommitResult, Post, ReceiverResponse, Record, Update
from payments_sandbox.services.webhooks.webhook_attempts import LEASE_MS, attempt_delivery
from payments_sandbox.services.webhooks.webhook_deliveries import plan_deliveries
from payments_sandbox.services.webhooks.webhook_delivery_records import KIND, Delivery, delivery_of
from payments_sandbox.services.webhooks.webhook_endpoints import create_endpoint, get_endpoint
from tests.calls.payments import authorize, capture, id_of
from tests.calls.webhooks import URL, Shop
from tests.doubles.ports import ACCOUNT, make_world, with_store
from tests.doubles.receivers import Answer, Script, hang, reply
from tests.doubles.stores import CountingStore, RacingStore
from tests.virtual_time.event_loop import run_virtually


@pytest.fixture
def shop() -> Shop:
    return Shop()


# --- leases ----------------------------------------------------------------------------------------------------------


def test_of_two_processes_that_see_a_delivery_due_one_attempts_it(shop: Shop) -> None:
    delivery_id = shop.plan()
    racing = RacingStore(shop.store)
    script = Script()

    def overtake() -> None:
        # As far as the other one comes before its receiver is asked.
        (record,) = shop.store.get([delivery_id])
        assert record is not None
        leased = replace(record, version=record.version + 1, due_at=shop.clock.at_ms + LEASE_MS)
        shop.store.commit([], [Update(leased)])

    racing.first = overtake
    world = with_store(shop.world, racing)
    assert asyncio.run(attempt_delivery(world.infrastructure, script, delivery_id)) is None
    assert script.posts == []


def test_an_attempt_under_way_is_nobody_elses_until_its_lease_ends(shop: Shop) -> None:
    delivery_id = shop.plan()
    other = Script()

    async def try_it() -> None:
        assert await attempt_delivery(shop.world.infrastructure, other, delivery_id) is None

    class Receiver(Script):
        async def send(self, post: Post) -> ReceiverResponse:
            await try_it()
            shop.clock.advance(ms=LEASE_MS - 1)
            await try_it()
            return await super().send(post)

    delivery = shop.attempt(delivery_id, Receiver())
    assert delivery is not None
    assert delivery.state == "succeeded"
    assert other.posts == []
    # Long enough for a duplicate whose receiver takes all its time, twice.
    assert LEASE_MS > 2 * TIMEOUT_MS


def test_a_delivery_whose_process_died_is_due_again_when_its_lease_ends(shop: Shop) -> None:
    delivery_id = shop.plan()

    class Killed(Script):
        async def send(self, post: Post) -> ReceiverResponse:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shop.attempt(delivery_id, Killed())
    script = Script()
    shop.clock.advance(ms=LEASE_MS - 1)
    assert shop.attempt(delivery_id, script) is None
    shop.clock.advance(ms=1)
    assert shop.deliver(delivery_id, 200).state == "succeeded"


def test_a_short_lease_is_renewed_for_as_long_as_the_attempt_lasts(shop: Shop) -> None:
    delivery_id = shop.plan()
    other = Script()

    async def attempt() -> Delivery | None:
        async def slow(post: Post) -> ReceiverResponse:
            await asyncio.sleep(14)
            return reply()

        class Slow(Script):
            async def send(self, post: Post) -> ReceiverResponse:
                return await slow(post)

        ours = asyncio.create_task(
            attempt_delivery(shop.world.infrastructure, Slow(), delivery_id, lease_ms=6_000)
        )
        while not ours.done():
            await asyncio.sleep(0.5)
            if not ours.done():
                assert (
                    await attempt_delivery(shop.world.infrastructure, other, delivery_id, lease_ms=6_000)
                    is None
                )
        return await ours

    delivery = run_virtually(attempt(), shop.clock)
    assert delivery is not None
    assert (delivery.state, delivery.attempt_count) == ("succeeded", 1)
    assert other.posts == []


class Hanging(Script):
    """`Sender` whose receiver never answers."""

    async def send(self, post: Post) -> ReceiverResponse:
        self.posts.append(post)
        await hang(post)
        raise AssertionError


@pytest.mark.parametrize("killed", [True, False])
def test_what_a_process_was_attempting_is_due_soon_after_a_kill_and_at_once_after_a_stop(
    shop: Shop, killed: bool
) -> None:
    delivery_id = shop.plan()
    store = ShakyStore(shop.store)

    async def end() -> None:
        world = with_store(shop.world, store)
        attempt = asyncio.create_task(
            attempt_delivery(world.infrastructure, Hanging(), delivery_id, lease_ms=6_000)
        )
        await asyncio.sleep(10)
        # Whoever is killed writes nothing any more.
        store.down = killed
        attempt.cancel()
        (done,) = await asyncio.gather(attempt, return_exceptions=True)
        assert isinstance(done, asyncio.CancelledError)
        if killed:
            assert await attempt_delivery(shop.world.infrastructure, Script(), delivery_id) is None
            await asyncio.sleep(6)

    run_virtually(end(), shop.clock)
    assert shop.deliver(delivery_id, 200).state == "succeeded"


def test_a_lease_survives_an_outage_of_the_ledger(shop: Shop) -> None:
    delivery_id = shop.plan()
    store = ShakyStore(shop.store)
    world = with_store(shop.world, store)

    async def attempt() -> Delivery | None:
        class Slow(Script):
            async def send(self, post: Post) -> ReceiverResponse:
                await asyncio.sleep(4)
                store.down = False
                await asyncio.sleep(4)
                return reply()

        attempt = asyncio.create_task(
            attempt_delivery(world.infrastructure, Slow(), delivery_id, lease_ms=6_000)
        )
        await asyncio.sleep(1)
        store.down = True
        return await attempt

    delivery = run_virtually(attempt(), shop.clock)
    assert delivery is not None
    assert delivery.state == "succeeded"


class ShakyStore(CountingStore):
    """`Store` that cannot be written while it is down."""

    down = False

    def commit(self, inserts: Any, updates: Any) -> CommitResult:
        if self.down:
            raise StoreUnavailable("down")
        return super().commit(inserts, updates)


@pytest.mark.parametrize(
    ("theirs", "ours", "state"),
    [(200, 500, "succeeded"), (500, 200, "succeeded"), (200, 200, "succeeded"), (500, 500, "pending")],
)
def test_of_two_attempts_of_which_one_outlived_its_lease_a_success_counts(
    shop: Shop, theirs: Answer, ours: Answer, state: str
) -> None:
    delivery_id = shop.plan()

    class Frozen(Script):
        async def send(self, post: Post) -> ReceiverResponse:
            # The process is stopped; meanwhile another one takes over.
            shop.clock.advance(ms=LEASE_MS)
            assert await attempt_delivery(shop.world.infrastructure, Script(theirs), delivery_id) is not None
            return await super().send(post)

    delivery = shop.attempt(delivery_id, Frozen(ours))
    assert delivery is not None
    assert (delivery.state, len(delivery.attempts), delivery.attempt_count) == (state, 2, 2)
    assert (delivery.next_attempt_at is None) is (state != "pending")


def test_an_outcome_that_was_overtaken_is_recorded_on_what_the_other_left(shop: Shop) -> None:
    delivery_id = shop.plan()
    racing = RacingStore(shop.store)
    world = with_store(shop.world, racing)

    class Racing(Script):
        async def send(self, post: Post) -> ReceiverResponse:
            racing.lose = 3
            return await super().send(post)

    delivery = asyncio.run(attempt_delivery(world.infrastructure, Racing(500), delivery_id))
    assert delivery is not None
    assert delivery == shop.read(delivery_id)
    assert delivery.attempt_count == 1


def test_a_failing_endpoint_is_noted_once_and_a_healthy_one_costs_no_write() -> None:
    store = CountingStore()
    world = make_world(store)
    endpoint, _ = create_endpoint(world, url=URL)

    def calls(answer: Answer, key: str) -> list[str]:
        (delivery_id,) = plan_deliveries(world, event_of(authorize(world, key).entry.record))
        store.calls.clear()
        asyncio.run(attempt_delivery(world.infrastructure, Script(answer), delivery_id))
        return [call for call in store.calls if call == "commit"]

    assert calls(200, "a") == ["commit"] * 2  # the lease, the outcome
    assert calls(500, "b") == ["commit"] * 3
    assert calls(500, "c") == ["commit"] * 2
    assert calls(200, "d") == ["commit"] * 3
    assert get_endpoint(world, endpoint.endpoint_id).failing_since is None


def test_a_delivery_is_in_the_due_index_until_it_is_settled(shop: Shop) -> None:
    delivery_id = shop.plan()

    def record() -> Record:
        return shop.store.records[delivery_id]

    assert (record().kind, record().feed_key) == (KIND, f"{ACCOUNT}#webhook_delivery")
    assert record().due_at == shop.clock.at_ms
    shop.deliver(delivery_id, 500)
    assert record().due_at == shop.read(delivery_id).next_attempt_at
    shop.wait_until_due(delivery_id)
    shop.deliver(delivery_id, 200)
    assert record().due_at is None
    assert delivery_of(record()).next_attempt_at is None


def test_a_captures_delivery_is_of_the_capture(shop: Shop) -> None:
    outcome = capture(shop.world, id_of(authorize(shop.world)))
    (delivery_id,) = plan_deliveries(shop.world, event_of(outcome.entry.record))
    delivery = shop.deliver(delivery_id, 200)
    assert delivery.event_type == "payment.captured"
    assert delivery.event_id == "evt_" + id_of(outcome)
