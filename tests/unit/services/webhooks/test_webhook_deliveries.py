"""What becomes a delivery, and what may be asked of one: listing, redelivering, cancelling."""

import json
from collections.abc import Callable

import pytest

from payments_sandbox.domain.errors import (
    InvalidRequest,
    WebhookDeliveryNotFound,
    WebhookEndpointDisabled,
    WebhookEndpointNotFound,
)
from payments_sandbox.domain.webhooks import ATTEMPTS_MAX
from payments_sandbox.services.events.events import event_of
from payments_sandbox.services.ports import Post, ReceiverResponse
from payments_sandbox.services.webhooks.receiver_grader import make_test_event
from payments_sandbox.services.webhooks.webhook_deliveries import (
    CANCELLED_AT_ONCE,
    cancel_deliveries,
    get_delivery,
    list_deliveries,
    plan_deliveries,
    plan_test,
    redeliver,
    redeliver_failures,
)
from payments_sandbox.services.webhooks.webhook_delivery_records import ATTEMPTS_KEPT, Delivery
from payments_sandbox.services.webhooks.webhook_endpoints import (
    create_endpoint,
    delete_endpoint,
    list_records,
)
from tests.calls.payments import OTHER_ACCOUNT, authorize
from tests.calls.webhooks import URL, Shop
from tests.doubles.ports import make_world, of_account
from tests.doubles.receivers import Answer, Script, body_of, headers_of, verify
from tests.doubles.stores import CountingStore


@pytest.fixture
def shop() -> Shop:
    return Shop()


# --- planning --------------------------------------------------------------------------------------------------------


def test_an_event_becomes_a_delivery_for_each_endpoint_that_wants_it(shop: Shop) -> None:
    payments, _ = shop.register(events=["payment.*"])
    shop.register(events=["payment.captured", "webhook_endpoint.*"])
    shop.register(enabled=False)
    gone, _ = shop.register()
    delete_endpoint(shop.world, gone.endpoint_id)
    create_endpoint(of_account(shop.world, OTHER_ACCOUNT), url=URL)
    event = shop.happen()
    planned = [shop.read(delivery_id) for delivery_id in plan_deliveries(shop.world, event)]
    assert [each.endpoint_id for each in planned] == [shop.endpoint.endpoint_id, payments.endpoint_id]
    for delivery in planned:
        assert (delivery.event_id, delivery.event_type) == (event.id, "payment.authorized")
        assert (delivery.state, delivery.attempt_count, delivery.attempts) == ("pending", 0, [])
        assert delivery.next_attempt_at == shop.clock.at_ms


def test_what_is_sent_is_the_payload_and_its_text_is_not_escaped(shop: Shop) -> None:
    outcome = authorize(shop.world, "höflich", merchant_reference="Größe 42 – 東京")
    (delivery_id,) = plan_deliveries(shop.world, event_of(outcome.entry.record))
    body = shop.read(delivery_id).body
    assert json.loads(body) == event_of(outcome.entry.record).payload
    assert "Größe 42 – 東京" in body
    assert ": " not in body.replace("Größe 42 – 東京", "")[:40]


def test_an_event_planned_again_is_the_same_delivery_left_as_it_is(shop: Shop) -> None:
    event = shop.happen()
    (delivery_id,) = plan_deliveries(shop.world, event)
    delivered = shop.deliver(delivery_id, 200)
    shop.clock.advance(days=1)
    assert plan_deliveries(shop.world, event) == [delivery_id]
    assert plan_deliveries(shop.world, event, list_records(shop.world)) == [delivery_id]
    assert shop.read(delivery_id) == delivered


def test_endpoints_that_were_read_before_are_not_read_again() -> None:
    store = CountingStore()
    world = make_world(store)
    create_endpoint(world, url=URL)
    event = event_of(authorize(world).entry.record)
    endpoints = list_records(world)
    store.calls.clear()
    plan_deliveries(world, event, endpoints)
    assert store.calls == ["insert"]


def test_a_test_goes_to_one_endpoint_alone_whatever_it_listens_to(shop: Shop) -> None:
    quiet, secret = shop.register(events=["payment.voided"])
    event = make_test_event(shop.world, quiet.endpoint_id)
    planned = plan_test(shop.world, quiet.endpoint_id, event)
    assert (planned.endpoint_id, planned.event_type) == (quiet.endpoint_id, "webhook_endpoint.tested")
    script = Script()
    delivered = shop.attempt(planned.delivery_id, script)
    assert delivered is not None
    assert delivered.state == "succeeded"
    sent = verify(body_of(script.post), headers_of(script.post), secret, at_ms=shop.clock.at_ms)
    assert sent.data == {"endpoint_id": quiet.endpoint_id}


def test_a_disabled_or_unknown_endpoint_is_not_tested(shop: Shop) -> None:
    event = make_test_event(shop.world, shop.endpoint.endpoint_id)
    with pytest.raises(WebhookEndpointNotFound):
        plan_test(of_account(shop.world, OTHER_ACCOUNT), shop.endpoint.endpoint_id, event)
    shop.change(enabled=False)
    with pytest.raises(WebhookEndpointDisabled):
        plan_test(shop.world, shop.endpoint.endpoint_id, event)


# --- disabling and deleting ------------------------------------------------------------------------------------------


def test_deleting_an_endpoint_cancels_what_is_pending_for_it_and_nothing_else(shop: Shop) -> None:
    other, _ = shop.register(url="https://other.example/")
    retried, delivered, fresh = (plan_deliveries(shop.world, shop.happen()) for _ in range(3))
    shop.deliver(retried[0], 500)
    shop.deliver(delivered[0], 200)
    delete_endpoint(shop.world, shop.endpoint.endpoint_id)
    cancel_deliveries(shop.world, shop.endpoint.endpoint_id)
    states = {pair[0]: [shop.read(each).state for each in pair] for pair in (retried, delivered, fresh)}
    assert states == {
        retried[0]: ["cancelled", "pending"],
        delivered[0]: ["succeeded", "pending"],
        fresh[0]: ["cancelled", "pending"],
    }
    shop.clock.advance(days=1)
    script = Script()
    for pair in (retried, fresh):
        assert shop.attempt(pair[0], script) is None
    assert script.posts == []
    assert shop.read(fresh[1]).endpoint_id == other.endpoint_id


def test_what_was_planned_while_its_endpoint_went_is_cancelled_when_it_is_due(shop: Shop) -> None:
    delivery_id = shop.plan()
    delete_endpoint(shop.world, shop.endpoint.endpoint_id)
    script = Script()
    cancelled = shop.attempt(delivery_id, script)
    assert cancelled is not None
    assert (cancelled.state, cancelled.next_attempt_at, script.posts) == ("cancelled", None, [])


def test_a_long_backlog_is_cancelled_a_thousand_at_a_time_and_the_rest_when_due(shop: Shop) -> None:
    assert CANCELLED_AT_ONCE == 1_000
    planned = []
    for _ in range(5):
        shop.clock.advance(ms=1)
        planned.append(shop.plan())
    delete_endpoint(shop.world, shop.endpoint.endpoint_id)
    cancel_deliveries(shop.world, shop.endpoint.endpoint_id, at_once=3)
    states = [shop.read(each).state for each in planned]
    assert states == ["pending", "pending", "cancelled", "cancelled", "cancelled"]
    assert [shop.deliver(each, 200).state for each in planned[:2]] == ["cancelled", "cancelled"]


def test_a_disabled_endpoint_is_sent_nothing_and_what_falls_due_meanwhile_is_cancelled(shop: Shop) -> None:
    due_now, due_later = shop.plan(), shop.plan()
    shop.deliver(due_later, 500)
    shop.change(enabled=False)
    assert plan_deliveries(shop.world, shop.happen()) == []
    assert shop.deliver(due_now, 200).state == "cancelled"
    # Enabled again in time, what is not yet due is delivered after all.
    shop.change(enabled=True)
    shop.wait_until_due(due_later)
    assert shop.deliver(due_later, 200).state == "succeeded"


def while_sending(
    shop: Shop, delivery_id: str, what: Callable[[], object], answer: Answer
) -> Delivery | None:
    """Attempt, and let something happen while the receiver thinks."""

    class Receiver(Script):
        async def send(self, post: Post) -> ReceiverResponse:
            what()
            return await super().send(post)

    return shop.attempt(delivery_id, Receiver(answer))


@pytest.mark.parametrize(("answer", "state"), [(200, "succeeded"), (500, "cancelled")])
def test_an_attempt_under_way_when_its_endpoint_is_deleted_is_recorded(
    shop: Shop, answer: Answer, state: str
) -> None:
    delivery_id = shop.plan()

    def delete() -> None:
        delete_endpoint(shop.world, shop.endpoint.endpoint_id)
        cancel_deliveries(shop.world, shop.endpoint.endpoint_id)

    delivery = while_sending(shop, delivery_id, delete, answer)
    assert delivery is not None
    assert (delivery.state, delivery.next_attempt_at, len(delivery.attempts)) == (state, None, 1)


def test_an_endpoint_that_was_disabled_while_an_attempt_failed_stays_as_it_was_left(shop: Shop) -> None:
    while_sending(shop, shop.plan(), lambda: shop.change(enabled=False), 410)
    assert (shop.now.enabled, shop.now.disabled_reason) == (False, "by_request")
    assert shop.disabled_events() == []


def test_a_url_that_is_changed_takes_what_is_pending_along(shop: Shop) -> None:
    delivery_id = shop.plan()
    shop.change(url="https://new.example/")
    script = Script()
    shop.attempt(delivery_id, script)
    assert script.post.url == "https://new.example/"


# --- redelivery ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [200, 500])
def test_a_redelivery_has_the_whole_schedule_before_it_and_its_past_behind_it(
    shop: Shop, answer: Answer
) -> None:
    delivery_id = shop.plan()
    for _ in range(ATTEMPTS_MAX):
        shop.wait_until_due(delivery_id)
        if shop.deliver(delivery_id, answer).state != "pending":
            break
    before = shop.read(delivery_id)
    shop.clock.advance(days=1)
    # Or it would be disabled after five days of this.
    shop.change(enabled=True)
    again = redeliver(shop.world, delivery_id)
    assert (again.state, again.attempt_count, again.next_attempt_at) == ("pending", 0, shop.clock.at_ms)
    assert list(again.attempts) == list(before.attempts)
    script = Script(500)
    for _ in range(ATTEMPTS_MAX):
        shop.wait_until_due(delivery_id)
        shop.attempt(delivery_id, script)
    assert shop.read(delivery_id).state == "failed"
    assert {headers_of(post)["webhook-id"] for post in script.posts} == {before.event_id}


def test_the_latest_twenty_attempts_are_kept(shop: Shop) -> None:
    delivery_id = shop.plan()
    for number in range(ATTEMPTS_KEPT + 3):
        redeliver(shop.world, delivery_id)
        shop.deliver(delivery_id, 500 + number)
    statuses = [attempt.reply.status for attempt in shop.read(delivery_id).attempts]
    assert statuses == [500 + number for number in range(3, ATTEMPTS_KEPT + 3)]


def test_there_has_to_be_somewhere_to_redeliver_to(shop: Shop) -> None:
    delivery_id = shop.plan()
    with pytest.raises(WebhookDeliveryNotFound):
        redeliver(of_account(shop.world, OTHER_ACCOUNT), delivery_id)
    with pytest.raises(WebhookDeliveryNotFound):
        redeliver(shop.world, shop.endpoint.endpoint_id)
    shop.change(enabled=False)
    with pytest.raises(WebhookEndpointDisabled):
        redeliver(shop.world, delivery_id)
    delete_endpoint(shop.world, shop.endpoint.endpoint_id)
    with pytest.raises(WebhookEndpointNotFound):
        redeliver(shop.world, delivery_id)


def test_a_redelivery_during_an_attempt_is_done_by_it_or_tried_again(shop: Shop) -> None:
    delivery_id = shop.plan()
    again = lambda: redeliver(shop.world, delivery_id)  # noqa: E731
    delivery = while_sending(shop, delivery_id, again, 500)
    assert delivery is not None
    assert (delivery.state, delivery.attempt_count) == ("pending", 1)
    shop.wait_until_due(delivery_id)
    delivery = while_sending(shop, delivery_id, again, 200)
    assert delivery is not None
    assert delivery.state == "succeeded"


def test_all_that_failed_or_was_cancelled_since_then_is_redelivered(shop: Shop) -> None:
    def settle(answer: Answer | None) -> str:
        shop.clock.advance(ms=1)
        delivery_id = shop.plan()
        if answer is None:
            shop.change(enabled=False)
            shop.deliver(delivery_id)
        # Its failures are forgotten, or it would be disabled after five days of them.
        shop.change(enabled=True)
        while shop.read(delivery_id).state == "pending" and answer is not None:
            shop.wait_until_due(delivery_id)
            shop.deliver(delivery_id, answer)
        return delivery_id

    before = settle(500)
    since = shop.clock.at_ms + 1
    failed, cancelled, delivered = settle(500), settle(None), settle(200)
    pending = shop.plan()
    shop.deliver(pending, 500)
    elsewhere, _ = shop.register(url="https://other.example/")

    count = redeliver_failures(shop.world, shop.endpoint.endpoint_id, since_ms=since)
    assert count == 2
    for delivery_id in (failed, cancelled):
        delivery = shop.read(delivery_id)
        assert (delivery.state, delivery.next_attempt_at) == ("pending", shop.clock.at_ms)
    assert [shop.read(each).state for each in (before, delivered)] == ["failed", "succeeded"]
    assert shop.read(pending).attempt_count == 1
    assert redeliver_failures(shop.world, elsewhere.endpoint_id, since_ms=0) == 0
    assert redeliver_failures(shop.world, shop.endpoint.endpoint_id, since_ms=0) == 1


def test_many_failures_are_redelivered_in_portions(shop: Shop) -> None:
    planned = []
    for _ in range(250):
        shop.clock.advance(ms=1)
        planned.append(shop.plan())
    shop.change(enabled=False)
    for delivery_id in planned:
        shop.deliver(delivery_id)
    shop.change(enabled=True)

    def redelivered(limit: int) -> int:
        return redeliver_failures(shop.world, shop.endpoint.endpoint_id, since_ms=0, limit=limit)

    assert redelivered(120) == 120
    assert redelivered(1_000) == 130
    assert redelivered(1_000) == 0
    assert {shop.read(each).state for each in planned} == {"pending"}


def test_failures_of_an_endpoint_that_is_not_there_or_disabled_are_not_redelivered(shop: Shop) -> None:
    with pytest.raises(WebhookEndpointNotFound):
        redeliver_failures(of_account(shop.world, OTHER_ACCOUNT), shop.endpoint.endpoint_id, since_ms=0)
    shop.change(enabled=False)
    with pytest.raises(WebhookEndpointDisabled):
        redeliver_failures(shop.world, shop.endpoint.endpoint_id, since_ms=0)


# --- listing ---------------------------------------------------------------------------------------------------------


def test_deliveries_are_listed_by_endpoint_event_and_state_in_pages_of_any_size(shop: Shop) -> None:
    other, _ = shop.register(url="https://other.example/")
    events = []
    for number in range(6):
        shop.clock.advance(ms=1)
        events.append(shop.happen())
        first, _ = plan_deliveries(shop.world, events[-1])
        if number % 2:
            shop.deliver(first, 200)

    def listed(limit: int, **wanted: str) -> list[Delivery]:
        found: list[Delivery] = []
        cursor: str | None = None
        while True:
            page = list_deliveries(shop.world, limit=limit, cursor=cursor, **wanted)
            assert len(page.items) <= limit
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                return found

    for limit in (1, 4, 100):
        everything = listed(limit)
        assert len(everything) == 12
        created = [each.created_at for each in everything]
        assert created == sorted(created, reverse=True)
        mine = [each for each in everything if each.endpoint_id == shop.endpoint.endpoint_id]
        assert listed(limit, endpoint_id=shop.endpoint.endpoint_id) == mine
        assert [each.event_id for each in mine] == [event.id for event in reversed(events)]
        assert {each.endpoint_id for each in listed(limit, event_id=events[2].id)} == {
            shop.endpoint.endpoint_id,
            other.endpoint_id,
        }
        assert len(listed(limit, state="succeeded")) == 3
        assert len(listed(limit, state="pending")) == 9
        assert listed(limit, state="failed") == []
        wanted = {"endpoint_id": shop.endpoint.endpoint_id, "state": "succeeded", "event_id": events[1].id}
        assert len(listed(limit, **wanted)) == 1
    with pytest.raises(InvalidRequest):
        list_deliveries(shop.world, limit=1, cursor="bm9wZQ")


def test_another_accounts_deliveries_are_not_there(shop: Shop) -> None:
    create_endpoint(of_account(shop.world, OTHER_ACCOUNT), url=URL)
    (theirs,) = plan_deliveries(of_account(shop.world, OTHER_ACCOUNT), shop.happen(OTHER_ACCOUNT))
    mine = shop.plan()
    with pytest.raises(WebhookDeliveryNotFound):
        get_delivery(shop.world, theirs)
    page = list_deliveries(shop.world, limit=100, cursor=None)
    assert [each.delivery_id for each in page.items] == [mine]
    page = list_deliveries(shop.world, limit=100, cursor=None, event_id=shop.read(mine).event_id)
    assert len(page.items) == 1
    my_endpoint = shop.endpoint.endpoint_id
    page = list_deliveries(
        of_account(shop.world, OTHER_ACCOUNT), limit=100, cursor=None, endpoint_id=my_endpoint
    )
    assert page.items == []
