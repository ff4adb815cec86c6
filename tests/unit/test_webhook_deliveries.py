"""Deliveries from the plan to the end of the schedule: what is sent, when, what is recorded, and what chaos makes of it."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from handlers.adapters.system.secret_box import FileSecretBox
from handlers.domain.errors import (
    InvalidRequest,
    StoreUnavailable,
    WebhookDeliveryNotFound,
    WebhookEndpointDisabled,
    WebhookEndpointNotFound,
)
from handlers.domain.moments import DAY_MS, MINUTE_MS, SECOND_MS
from handlers.domain.webhooks import ATTEMPTS_MAX, FAILING_MAX_MS, RETRY_DELAYS_MS, TIMEOUT_MS
from handlers.services.events import Event, event_of, list_events
from handlers.services.ports import CommitResult, Post, Record, Reply, Sender, Update
from handlers.services.receiver_grader import make_test_event
from handlers.services.webhook_attempts import DROPPED, LEASE_MS, attempt_delivery
from handlers.services.webhook_deliveries import (
    CANCELLED_AT_ONCE,
    REORDER_MAX_MS,
    cancel_deliveries,
    get_delivery,
    list_deliveries,
    plan_deliveries,
    plan_test,
    redeliver,
    redeliver_failures,
)
from handlers.services.webhook_delivery_records import ATTEMPTS_KEPT, KIND, Delivery, delivery_of
from handlers.services.webhook_endpoints import (
    Changes,
    Chaos,
    Endpoint,
    create_endpoint,
    delete_endpoint,
    get_endpoint,
    list_records,
    rotate_secret,
    update_endpoint,
)
from tests.fakes import LEDGER_SECRET, NOW_MS, FrozenClock, MemoryStore, make_ports
from tests.model.calls import ACCOUNT, OTHER_ACCOUNT, authorize, capture, id_of
from tests.model.receivers import Answer, Script, body_of, hang, headers_of, refused_as, reply, verify
from tests.model.stores import CountingStore, RacingStore
from tests.model.virtual_time import run_virtually

URL = "https://shop.example/hook?shop=7&x=%2F"


class Shop:
    """An account with an endpoint, unless told otherwise, and a clock that stands still."""

    def __init__(self, **endpoint: Any) -> None:
        self.store = MemoryStore()
        self.clock = FrozenClock()
        self.ports = replace(make_ports(self.store, self.clock), secret_box=FileSecretBox(LEDGER_SECRET))
        self.endpoint, self.secret = self.register(**endpoint)
        self._payments = 0

    def register(self, **fields: Any) -> tuple[Endpoint, str]:
        self.clock.advance(ms=1)
        return create_endpoint(self.ports, ACCOUNT, **{"url": URL, **fields})

    def change(self, **fields: Any) -> None:
        update_endpoint(self.ports, ACCOUNT, self.endpoint.endpoint_id, Changes(**fields))

    def happen(self, account: str = ACCOUNT) -> Event:
        """Something to tell of."""
        self._payments += 1
        return event_of(authorize(self.ports, f"key-{self._payments}", account=account).entry.record)

    def plan(self) -> str:
        """A delivery of something that happened, to the only endpoint."""
        (delivery_id,) = plan_deliveries(self.ports, self.happen())
        return delivery_id

    def attempt(self, delivery_id: str, sender: Sender) -> Delivery | None:
        return asyncio.run(attempt_delivery(self.ports, sender, delivery_id))

    def deliver(self, delivery_id: str, *answers: Answer) -> Delivery:
        """One attempt, which has to be due."""
        delivery = self.attempt(delivery_id, Script(*answers))
        assert delivery is not None
        return delivery

    def read(self, delivery_id: str) -> Delivery:
        return get_delivery(self.ports, ACCOUNT, delivery_id)

    def wait_until_due(self, delivery_id: str) -> None:
        due_at = self.read(delivery_id).next_attempt_at
        assert due_at is not None
        self.clock.at_ms = max(self.clock.at_ms, due_at)

    @property
    def now(self) -> Endpoint:
        return get_endpoint(self.ports, ACCOUNT, self.endpoint.endpoint_id)

    def disabled_events(self) -> list[Event]:
        page = list_events(self.ports, ACCOUNT, types=["webhook_endpoint.disabled"], limit=100, cursor=None)
        return list(page.items)


@pytest.fixture
def shop() -> Shop:
    return Shop()


# --- planning --------------------------------------------------------------------------------------------------------


def test_an_event_becomes_a_delivery_for_each_endpoint_that_wants_it(shop: Shop) -> None:
    payments, _ = shop.register(events=["payment.*"])
    shop.register(events=["payment.captured", "webhook_endpoint.*"])
    shop.register(enabled=False)
    gone, _ = shop.register()
    delete_endpoint(shop.ports, ACCOUNT, gone.endpoint_id)
    create_endpoint(shop.ports, OTHER_ACCOUNT, url=URL)
    event = shop.happen()
    planned = [shop.read(delivery_id) for delivery_id in plan_deliveries(shop.ports, event)]
    assert [each.endpoint_id for each in planned] == [shop.endpoint.endpoint_id, payments.endpoint_id]
    for delivery in planned:
        assert (delivery.event_id, delivery.event_type) == (event.id, "payment.authorized")
        assert (delivery.state, delivery.attempt_count, delivery.attempts) == ("pending", 0, [])
        assert delivery.next_attempt_at == shop.clock.at_ms


def test_what_is_sent_is_the_payload_and_its_text_is_not_escaped(shop: Shop) -> None:
    outcome = authorize(shop.ports, "höflich", merchant_reference="Größe 42 – 東京")
    (delivery_id,) = plan_deliveries(shop.ports, event_of(outcome.entry.record))
    body = shop.read(delivery_id).body
    assert json.loads(body) == event_of(outcome.entry.record).payload
    assert "Größe 42 – 東京" in body
    assert ": " not in body.replace("Größe 42 – 東京", "")[:40]


def test_an_event_planned_again_is_the_same_delivery_left_as_it_is(shop: Shop) -> None:
    event = shop.happen()
    (delivery_id,) = plan_deliveries(shop.ports, event)
    delivered = shop.deliver(delivery_id, 200)
    shop.clock.advance(days=1)
    assert plan_deliveries(shop.ports, event) == [delivery_id]
    assert plan_deliveries(shop.ports, event, list_records(shop.ports, ACCOUNT)) == [delivery_id]
    assert shop.read(delivery_id) == delivered


def test_endpoints_that_were_read_before_are_not_read_again() -> None:
    store = CountingStore()
    ports = make_ports(store)
    create_endpoint(ports, ACCOUNT, url=URL)
    event = event_of(authorize(ports).entry.record)
    endpoints = list_records(ports, ACCOUNT)
    store.calls.clear()
    plan_deliveries(ports, event, endpoints)
    assert store.calls == ["insert"]


def test_a_test_goes_to_one_endpoint_alone_whatever_it_listens_to(shop: Shop) -> None:
    quiet, secret = shop.register(events=["payment.voided"])
    event = make_test_event(shop.ports, ACCOUNT, quiet.endpoint_id)
    planned = plan_test(shop.ports, ACCOUNT, quiet.endpoint_id, event)
    assert (planned.endpoint_id, planned.event_type) == (quiet.endpoint_id, "webhook_endpoint.tested")
    script = Script()
    delivered = shop.attempt(planned.delivery_id, script)
    assert delivered is not None
    assert delivered.state == "succeeded"
    sent = verify(body_of(script.post), headers_of(script.post), secret, at_ms=shop.clock.at_ms)
    assert sent.data == {"endpoint_id": quiet.endpoint_id}


def test_a_disabled_or_unknown_endpoint_is_not_tested(shop: Shop) -> None:
    event = make_test_event(shop.ports, ACCOUNT, shop.endpoint.endpoint_id)
    with pytest.raises(WebhookEndpointNotFound):
        plan_test(shop.ports, OTHER_ACCOUNT, shop.endpoint.endpoint_id, event)
    shop.change(enabled=False)
    with pytest.raises(WebhookEndpointDisabled):
        plan_test(shop.ports, ACCOUNT, shop.endpoint.endpoint_id, event)


# --- an attempt ------------------------------------------------------------------------------------------------------


def test_an_attempt_posts_the_exact_bytes_with_the_three_headers_and_both_libraries_verify_it(
    shop: Shop,
) -> None:
    delivery_id = shop.plan()
    shop.clock.advance(ms=90_999)
    script = Script()
    delivered = shop.attempt(delivery_id, script)
    assert delivered is not None
    post = script.post
    assert (post.url, post.timeout_ms, post.pause_ms) == (URL, TIMEOUT_MS, 0)
    assert post.chunks == [delivered.body.encode()]
    headers = headers_of(post)
    assert list(headers) == ["content-type", "webhook-id", "webhook-timestamp", "webhook-signature"]
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == delivered.event_id
    # Whole seconds, cut off: a receiver whose clock is exact never sees one from the future.
    assert headers["webhook-timestamp"] == str(shop.clock.at_ms // 1000)
    event = verify(body_of(post), headers, shop.secret, at_ms=shop.clock.at_ms)
    assert (event.id, event.type) == (delivered.event_id, "payment.authorized")


def test_every_attempt_is_recorded_with_request_answer_duration_and_error(shop: Shop) -> None:
    delivery_id = shop.plan()
    script = Script(
        Reply(503, [("x-one", "1")], "later", 42, None), Reply(None, [], "", 15_000, "timeout"), 204
    )
    for _ in range(3):
        shop.wait_until_due(delivery_id)
        shop.attempt(delivery_id, script)
    delivery = shop.read(delivery_id)
    assert (delivery.state, delivery.attempt_count, delivery.next_attempt_at) == ("succeeded", 3, None)
    replies = [attempt.reply for attempt in delivery.attempts]
    assert replies == [
        Reply(503, [("x-one", "1")], "later", 42, None),
        Reply(None, [], "", 15_000, "timeout"),
        reply(204),
    ]
    for attempt, post in zip(delivery.attempts, script.posts, strict=True):
        assert list(attempt.request_headers) == list(post.headers)
        assert headers_of(post)["webhook-timestamp"] == str(attempt.at_ms // 1000)


def test_a_card_number_that_a_receiver_answers_is_not_kept(shop: Shop) -> None:
    answer = Reply(500, [("x-card", "4111-1111-1111-1111"), ("x-id", "7")], "no card 4111111111111111", 3)
    (attempt,) = shop.deliver(shop.plan(), answer).attempts
    assert attempt.reply == Reply(500, [("x-card", "[masked]"), ("x-id", "7")], "no card [masked]", 3)
    assert "1111" not in repr(shop.store.records)


def test_the_id_is_the_same_in_every_attempt_and_the_signature_is_not(shop: Shop) -> None:
    delivery_id = shop.plan()
    script = Script(500)
    for _ in range(3):
        shop.wait_until_due(delivery_id)
        shop.attempt(delivery_id, script)
        verify(body_of(script.posts[-1]), headers_of(script.posts[-1]), shop.secret, at_ms=shop.clock.at_ms)
    sent = [headers_of(post) for post in script.posts]
    assert len({headers["webhook-id"] for headers in sent}) == 1
    assert len({headers["webhook-signature"] for headers in sent}) == 3
    assert len({body_of(post) for post in script.posts}) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204, 226, 299])
def test_any_2xx_is_success(shop: Shop, status: int) -> None:
    assert shop.deliver(shop.plan(), status).state == "succeeded"
    assert shop.now.failing_since is None


@pytest.mark.parametrize(
    "answer",
    [
        *(199, 301, 302, 303, 307, 308, 400, 401, 404, 409, 411, 429, 500, 503, 599),
        *("timeout", "connection_refused", "connection_closed", "name_not_resolved"),
        *("address_refused", "tls_failed", "malformed_response", "connection_failed"),
    ],
)
def test_anything_else_is_a_failure_and_tried_again(shop: Shop, answer: Answer) -> None:
    delivery_id = shop.plan()
    delivery = shop.deliver(delivery_id, answer)
    assert (delivery.state, delivery.attempt_count) == ("pending", 1)
    assert delivery.next_attempt_at is not None
    assert 5 * SECOND_MS <= delivery.next_attempt_at - shop.clock.at_ms <= 5_500
    assert shop.now.failing_since == shop.clock.at_ms
    assert shop.now.enabled


def test_what_is_not_due_or_settled_or_unknown_is_not_attempted(shop: Shop) -> None:
    delivery_id = shop.plan()
    script = Script(500, 200)
    shop.attempt(delivery_id, script)
    assert shop.attempt(delivery_id, script) is None
    shop.wait_until_due(delivery_id)
    shop.clock.advance(ms=-1)
    assert shop.attempt(delivery_id, script) is None
    shop.clock.advance(ms=1)
    shop.attempt(delivery_id, script)
    shop.clock.advance(days=30)
    assert shop.attempt(delivery_id, script) is None
    assert shop.attempt("del_unknown", script) is None
    assert len(script.posts) == 2


# --- the schedule ----------------------------------------------------------------------------------------------------


def test_the_whole_schedule_runs_over_more_than_three_days_and_then_the_delivery_has_failed(
    shop: Shop,
) -> None:
    delivery_id = shop.plan()
    script = Script(500)
    times = []
    while (due_at := shop.read(delivery_id).next_attempt_at) is not None:
        # Nothing happens a moment before.
        shop.clock.at_ms = due_at - 1
        assert shop.attempt(delivery_id, script) is None
        shop.clock.at_ms = due_at
        shop.attempt(delivery_id, script)
        times.append(due_at)
        verify(body_of(script.posts[-1]), headers_of(script.posts[-1]), shop.secret, at_ms=due_at)
    waits = [after - before for before, after in pairwise(times)]
    assert len(waits) == 9
    for wait, planned in zip(waits, RETRY_DELAYS_MS, strict=True):
        assert planned <= wait <= planned * 11 // 10
    assert 3 * DAY_MS < times[-1] - times[0] < 4 * DAY_MS
    delivery = shop.read(delivery_id)
    assert (delivery.state, delivery.attempt_count, len(delivery.attempts)) == (
        "failed",
        ATTEMPTS_MAX,
        ATTEMPTS_MAX,
    )
    # One delivery that fails is not five days of failing.
    assert shop.now.enabled
    assert shop.disabled_events() == []


def test_five_failing_days_disable_the_endpoint_and_an_event_says_so(shop: Shop) -> None:
    watching, watching_secret = shop.register(url="https://ops.example/", events=["webhook_endpoint.*"])
    started_ms = shop.clock.at_ms
    script = Script("connection_refused")
    # A payment every eight hours, and every attempt of each at its time.
    pending: list[str] = []
    next_payment_ms = started_ms
    while shop.now.enabled:
        due = [(shop.read(each).next_attempt_at or 0, each) for each in pending]
        due_at, delivery_id = min(due, default=(next_payment_ms, ""))
        if next_payment_ms <= due_at:
            shop.clock.at_ms = max(shop.clock.at_ms, next_payment_ms)
            next_payment_ms += 8 * 60 * MINUTE_MS
            pending.append(shop.plan())
            continue
        shop.clock.at_ms = max(shop.clock.at_ms, due_at)
        shop.attempt(delivery_id, script)
        pending = [each for each in pending if shop.read(each).state == "pending"]
        assert shop.clock.at_ms < started_ms + 6 * DAY_MS

    assert started_ms + FAILING_MAX_MS <= shop.clock.at_ms < started_ms + FAILING_MAX_MS + DAY_MS
    assert (shop.now.disabled_reason, shop.now.failing_since) == ("failing", started_ms)
    (event,) = shop.disabled_events()
    assert event.data == {
        "endpoint_id": shop.endpoint.endpoint_id,
        "url": URL,
        "reason": "failing",
        "failing_since": started_ms,
    }
    # The event reaches who listens to it, and not the endpoint itself; what was pending is cancelled when it is due.
    (told,) = plan_deliveries(shop.ports, event)
    listener = Script()
    assert shop.read(told).endpoint_id == watching.endpoint_id
    shop.attempt(told, listener)
    verify(body_of(listener.post), headers_of(listener.post), watching_secret, at_ms=shop.clock.at_ms)
    assert len(pending) > 1
    posts = len(script.posts)
    for delivery_id in pending:
        shop.wait_until_due(delivery_id)
        cancelled = shop.attempt(delivery_id, script)
        assert cancelled is not None
        assert (cancelled.state, cancelled.next_attempt_at) == ("cancelled", None)
    assert len(script.posts) == posts


def test_a_single_success_starts_the_five_days_anew(shop: Shop) -> None:
    for _ in range(4):
        assert shop.deliver(shop.plan(), 500).state == "pending"
        assert shop.now.failing_since is not None
        shop.clock.advance(ms=FAILING_MAX_MS - 1)
        assert shop.deliver(shop.plan(), 500).state == "pending"
        assert shop.deliver(shop.plan(), 200).state == "succeeded"
        assert shop.now.failing_since is None
    assert shop.now.enabled


def test_the_endpoint_is_disabled_at_five_days_and_not_a_moment_before(shop: Shop) -> None:
    shop.deliver(shop.plan(), 500)
    shop.clock.advance(ms=FAILING_MAX_MS - 1)
    shop.deliver(shop.plan(), 500)
    assert shop.now.enabled
    shop.clock.advance(ms=1)
    shop.deliver(shop.plan(), 500)
    assert (shop.now.enabled, shop.now.disabled_reason) == (False, "failing")
    shop.change(enabled=True)
    assert shop.deliver(shop.plan(), 500).state == "pending"
    assert shop.now.enabled


def test_gone_disables_the_endpoint_at_once_and_the_event_says_why(shop: Shop) -> None:
    first, second = shop.plan(), shop.plan()
    delivery = shop.deliver(first, 410)
    assert (delivery.state, delivery.next_attempt_at) == ("failed", None)
    assert (shop.now.enabled, shop.now.disabled_reason) == (False, "gone")
    (event,) = shop.disabled_events()
    assert event.data["reason"] == "gone"
    assert event.data["failing_since"] is None
    assert shop.deliver(second, 200).state == "cancelled"
    assert shop.disabled_events() == [event]


def test_two_attempts_that_are_told_it_is_gone_disable_it_once(shop: Shop) -> None:
    planned = [shop.plan(), shop.plan()]

    async def both() -> None:
        go = asyncio.Event()

        class Receiver:
            waiting = 0

            async def send(self, post: Post) -> Reply:
                self.waiting += 1
                if self.waiting == 2:
                    go.set()
                await go.wait()
                return reply(410)

        sender = Receiver()
        await asyncio.gather(*(attempt_delivery(shop.ports, sender, each) for each in planned))

    asyncio.run(both())
    assert [shop.read(each).state for each in planned] == ["failed", "failed"]
    assert len(shop.disabled_events()) == 1


@pytest.mark.parametrize("status", [302, 429, 503])
@pytest.mark.parametrize(
    ("asked", "wait_ms"),
    [
        ("120", 120_000),
        ("Mon, 23 Nov 2026 10:02:00 GMT", 120_000 - 1),
        ("99999999", DAY_MS),
        ("1", None),
        ("soon", None),
    ],
)
def test_a_receiver_that_asks_for_a_pause_is_left_alone_for_as_long(
    shop: Shop, status: int, asked: str, wait_ms: int | None
) -> None:
    assert shop.clock.at_ms == NOW_MS + 1
    delivery = shop.deliver(shop.plan(), reply(status, retry_after=asked))
    assert delivery.next_attempt_at is not None
    waited = delivery.next_attempt_at - shop.clock.at_ms
    if wait_ms is None:
        assert 5_000 <= waited <= 5_500
    else:
        assert waited == wait_ms


def test_a_pause_that_is_asked_for_after_the_last_attempt_changes_nothing(shop: Shop) -> None:
    delivery_id = shop.plan()
    for _ in range(ATTEMPTS_MAX):
        shop.wait_until_due(delivery_id)
        shop.deliver(delivery_id, reply(503, retry_after="60"))
    assert shop.read(delivery_id).state == "failed"


# --- rotation --------------------------------------------------------------------------------------------------------


def test_during_a_rotation_both_secrets_sign_and_afterwards_the_new_one_alone(shop: Shop) -> None:
    _, new = rotate_secret(shop.ports, ACCOUNT, shop.endpoint.endpoint_id, force=False)
    script = Script()
    shop.attempt(shop.plan(), script)
    shop.clock.advance(ms=DAY_MS - 1)
    shop.attempt(shop.plan(), script)
    for post in script.posts:
        headers = headers_of(post)
        assert len(headers["webhook-signature"].split(" ")) == 2
        at_ms = int(headers["webhook-timestamp"]) * 1000
        verify(body_of(post), headers, shop.secret, new, at_ms=at_ms)
    shop.clock.advance(ms=1)
    shop.attempt(shop.plan(), script)
    last = script.posts[-1]
    verify(body_of(last), headers_of(last), new, at_ms=shop.clock.at_ms)
    code = refused_as(body_of(last), headers_of(last), shop.secret, at_ms=shop.clock.at_ms)
    assert code == "no_matching_signature"


def test_nothing_that_is_recorded_holds_a_secret(shop: Shop) -> None:
    shop.change(chaos=Chaos(signature="old_secret"))
    _, new = rotate_secret(shop.ports, ACCOUNT, shop.endpoint.endpoint_id, force=False)
    shop.deliver(shop.plan(), 500)
    kept = json.dumps([dict(record.data) for record in shop.store.records.values()])
    assert "webhook-signature" in kept
    for secret in (shop.secret, new):
        assert secret.removeprefix("whsec_") not in kept


# --- disabling and deleting ------------------------------------------------------------------------------------------


def test_deleting_an_endpoint_cancels_what_is_pending_for_it_and_nothing_else(shop: Shop) -> None:
    other, _ = shop.register(url="https://other.example/")
    retried, delivered, fresh = (plan_deliveries(shop.ports, shop.happen()) for _ in range(3))
    shop.deliver(retried[0], 500)
    shop.deliver(delivered[0], 200)
    delete_endpoint(shop.ports, ACCOUNT, shop.endpoint.endpoint_id)
    cancel_deliveries(shop.ports, ACCOUNT, shop.endpoint.endpoint_id)
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
    delete_endpoint(shop.ports, ACCOUNT, shop.endpoint.endpoint_id)
    script = Script()
    cancelled = shop.attempt(delivery_id, script)
    assert cancelled is not None
    assert (cancelled.state, cancelled.next_attempt_at, script.posts) == ("cancelled", None, [])


def test_a_long_backlog_is_cancelled_a_thousand_at_a_time_and_the_rest_when_due(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CANCELLED_AT_ONCE == 1_000
    monkeypatch.setattr("handlers.services.webhook_deliveries.CANCELLED_AT_ONCE", 3)
    planned = []
    for _ in range(5):
        shop.clock.advance(ms=1)
        planned.append(shop.plan())
    delete_endpoint(shop.ports, ACCOUNT, shop.endpoint.endpoint_id)
    cancel_deliveries(shop.ports, ACCOUNT, shop.endpoint.endpoint_id)
    states = [shop.read(each).state for each in planned]
    assert states == ["pending", "pending", "cancelled", "cancelled", "cancelled"]
    assert [shop.deliver(each, 200).state for each in planned[:2]] == ["cancelled", "cancelled"]


def test_a_disabled_endpoint_is_sent_nothing_and_what_falls_due_meanwhile_is_cancelled(shop: Shop) -> None:
    due_now, due_later = shop.plan(), shop.plan()
    shop.deliver(due_later, 500)
    shop.change(enabled=False)
    assert plan_deliveries(shop.ports, shop.happen()) == []
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
        async def send(self, post: Post) -> Reply:
            what()
            return await super().send(post)

    return shop.attempt(delivery_id, Receiver(answer))


@pytest.mark.parametrize(("answer", "state"), [(200, "succeeded"), (500, "cancelled")])
def test_an_attempt_under_way_when_its_endpoint_is_deleted_is_recorded(
    shop: Shop, answer: Answer, state: str
) -> None:
    delivery_id = shop.plan()

    def delete() -> None:
        delete_endpoint(shop.ports, ACCOUNT, shop.endpoint.endpoint_id)
        cancel_deliveries(shop.ports, ACCOUNT, shop.endpoint.endpoint_id)

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


# --- chaos -----------------------------------------------------------------------------------------------------------


def test_a_duplicate_is_the_same_webhook_twice_and_one_attempt(shop: Shop) -> None:
    shop.change(chaos=Chaos(duplicate=True))
    script = Script(500, 200)
    delivery = shop.attempt(shop.plan(), script)
    assert delivery is not None
    first, second = script.posts
    assert headers_of(first)["webhook-id"] == headers_of(second)["webhook-id"] == delivery.event_id
    assert body_of(first) == body_of(second)
    # The last answer counts.
    assert (delivery.state, delivery.attempt_count, len(delivery.attempts)) == ("succeeded", 1, 2)


def test_reordering_holds_each_back_by_up_to_three_seconds_the_same_each_time(shop: Shop) -> None:
    shop.change(chaos=Chaos(reorder=True))
    events = [shop.happen() for _ in range(20)]
    for _ in range(2):
        planned = [plan_deliveries(shop.ports, event)[0] for event in events]
    waits = [(shop.read(each).next_attempt_at or 0) - shop.clock.at_ms for each in planned]
    assert all(0 <= wait < REORDER_MAX_MS for wait in waits)
    assert waits != sorted(waits)
    assert max(waits) - min(waits) > REORDER_MAX_MS // 2


def test_a_delay_holds_all_back_and_adds_to_reordering(shop: Shop) -> None:
    shop.change(chaos=Chaos(delay_ms=60_000))
    assert shop.read(shop.plan()).next_attempt_at == shop.clock.at_ms + 60_000
    shop.change(chaos=Chaos(delay_ms=60_000, reorder=True))
    due_at = shop.read(shop.plan()).next_attempt_at
    assert due_at is not None
    assert 0 <= due_at - shop.clock.at_ms - 60_000 < REORDER_MAX_MS


@pytest.mark.parametrize("count", [1, 2, 9])
def test_the_first_attempts_of_each_are_dropped_and_the_next_one_arrives(shop: Shop, count: int) -> None:
    shop.change(chaos=Chaos(drop_first=count))
    delivery_id = shop.plan()
    script = Script()
    for _ in range(count + 1):
        assert script.posts == []
        # What never left the house says nothing about the endpoint.
        assert shop.now.failing_since is None
        shop.wait_until_due(delivery_id)
        shop.attempt(delivery_id, script)
    delivery = shop.read(delivery_id)
    assert (delivery.state, delivery.attempt_count) == ("succeeded", count + 1)
    errors = [attempt.reply.error for attempt in delivery.attempts]
    assert errors == [DROPPED] * count + [None]


@pytest.mark.parametrize(
    ("signature", "code"),
    [
        ("wrong", "no_matching_signature"),
        ("old_secret", "no_matching_signature"),
        ("stale_timestamp", "timestamp_too_old"),
    ],
)
def test_a_bad_signature_is_refused_for_the_reason_it_was_made_for(
    shop: Shop, signature: str, code: str
) -> None:
    shop.change(chaos=Chaos(signature=signature))
    script = Script(401)
    shop.attempt(shop.plan(), script)
    body, headers = body_of(script.post), headers_of(script.post)
    assert refused_as(body, headers, shop.secret, at_ms=shop.clock.at_ms) == code
    if signature == "stale_timestamp":
        # Nothing but its age is wrong with it.
        verify(body, headers, shop.secret, at_ms=shop.clock.at_ms - 600_000)
    shop.change(chaos=Chaos())
    shop.attempt(shop.plan(), script)
    verify(body_of(script.posts[1]), headers_of(script.posts[1]), shop.secret, at_ms=shop.clock.at_ms)


def test_an_old_secret_and_a_wrong_one_are_not_the_same(shop: Shop) -> None:
    signatures = set()
    delivery_id = shop.plan()
    for signature in ("wrong", "old_secret", "valid"):
        shop.change(chaos=Chaos(signature=signature))
        script = Script(500)
        redeliver(shop.ports, ACCOUNT, delivery_id)
        shop.attempt(delivery_id, script)
        signatures.add(headers_of(script.post)["webhook-signature"])
    assert len(signatures) == 3


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
    again = redeliver(shop.ports, ACCOUNT, delivery_id)
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
        redeliver(shop.ports, ACCOUNT, delivery_id)
        shop.deliver(delivery_id, 500 + number)
    statuses = [attempt.reply.status for attempt in shop.read(delivery_id).attempts]
    assert statuses == [500 + number for number in range(3, ATTEMPTS_KEPT + 3)]


def test_there_has_to_be_somewhere_to_redeliver_to(shop: Shop) -> None:
    delivery_id = shop.plan()
    with pytest.raises(WebhookDeliveryNotFound):
        redeliver(shop.ports, OTHER_ACCOUNT, delivery_id)
    with pytest.raises(WebhookDeliveryNotFound):
        redeliver(shop.ports, ACCOUNT, shop.endpoint.endpoint_id)
    shop.change(enabled=False)
    with pytest.raises(WebhookEndpointDisabled):
        redeliver(shop.ports, ACCOUNT, delivery_id)
    delete_endpoint(shop.ports, ACCOUNT, shop.endpoint.endpoint_id)
    with pytest.raises(WebhookEndpointNotFound):
        redeliver(shop.ports, ACCOUNT, delivery_id)


def test_a_redelivery_during_an_attempt_is_done_by_it_or_tried_again(shop: Shop) -> None:
    delivery_id = shop.plan()
    again = lambda: redeliver(shop.ports, ACCOUNT, delivery_id)  # noqa: E731
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

    count = redeliver_failures(shop.ports, ACCOUNT, shop.endpoint.endpoint_id, since_ms=since)
    assert count == 2
    for delivery_id in (failed, cancelled):
        delivery = shop.read(delivery_id)
        assert (delivery.state, delivery.next_attempt_at) == ("pending", shop.clock.at_ms)
    assert [shop.read(each).state for each in (before, delivered)] == ["failed", "succeeded"]
    assert shop.read(pending).attempt_count == 1
    assert redeliver_failures(shop.ports, ACCOUNT, elsewhere.endpoint_id, since_ms=0) == 0
    assert redeliver_failures(shop.ports, ACCOUNT, shop.endpoint.endpoint_id, since_ms=0) == 1


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
        return redeliver_failures(shop.ports, ACCOUNT, shop.endpoint.endpoint_id, since_ms=0, limit=limit)

    assert redelivered(120) == 120
    assert redelivered(1_000) == 130
    assert redelivered(1_000) == 0
    assert {shop.read(each).state for each in planned} == {"pending"}


def test_failures_of_an_endpoint_that_is_not_there_or_disabled_are_not_redelivered(shop: Shop) -> None:
    with pytest.raises(WebhookEndpointNotFound):
        redeliver_failures(shop.ports, OTHER_ACCOUNT, shop.endpoint.endpoint_id, since_ms=0)
    shop.change(enabled=False)
    with pytest.raises(WebhookEndpointDisabled):
        redeliver_failures(shop.ports, ACCOUNT, shop.endpoint.endpoint_id, since_ms=0)


# --- listing ---------------------------------------------------------------------------------------------------------


def test_deliveries_are_listed_by_endpoint_event_and_state_in_pages_of_any_size(shop: Shop) -> None:
    other, _ = shop.register(url="https://other.example/")
    events = []
    for number in range(6):
        shop.clock.advance(ms=1)
        events.append(shop.happen())
        first, _ = plan_deliveries(shop.ports, events[-1])
        if number % 2:
            shop.deliver(first, 200)

    def listed(limit: int, **wanted: str) -> list[Delivery]:
        found: list[Delivery] = []
        cursor: str | None = None
        while True:
            page = list_deliveries(shop.ports, ACCOUNT, limit=limit, cursor=cursor, **wanted)
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
        list_deliveries(shop.ports, ACCOUNT, limit=1, cursor="bm9wZQ")


def test_another_accounts_deliveries_are_not_there(shop: Shop) -> None:
    create_endpoint(shop.ports, OTHER_ACCOUNT, url=URL)
    (theirs,) = plan_deliveries(shop.ports, shop.happen(OTHER_ACCOUNT))
    mine = shop.plan()
    with pytest.raises(WebhookDeliveryNotFound):
        get_delivery(shop.ports, ACCOUNT, theirs)
    page = list_deliveries(shop.ports, ACCOUNT, limit=100, cursor=None)
    assert [each.delivery_id for each in page.items] == [mine]
    page = list_deliveries(shop.ports, ACCOUNT, limit=100, cursor=None, event_id=shop.read(mine).event_id)
    assert len(page.items) == 1
    my_endpoint = shop.endpoint.endpoint_id
    page = list_deliveries(shop.ports, OTHER_ACCOUNT, limit=100, cursor=None, endpoint_id=my_endpoint)
    assert page.items == []


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
    ports = replace(shop.ports, store=racing)
    assert asyncio.run(attempt_delivery(ports, script, delivery_id)) is None
    assert script.posts == []


def test_an_attempt_under_way_is_nobody_elses_until_its_lease_ends(shop: Shop) -> None:
    delivery_id = shop.plan()
    other = Script()

    async def try_it() -> None:
        assert await attempt_delivery(shop.ports, other, delivery_id) is None

    class Receiver(Script):
        async def send(self, post: Post) -> Reply:
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
        async def send(self, post: Post) -> Reply:
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
        async def slow(post: Post) -> Reply:
            await asyncio.sleep(14)
            return reply()

        class Slow(Script):
            async def send(self, post: Post) -> Reply:
                return await slow(post)

        ours = asyncio.create_task(attempt_delivery(shop.ports, Slow(), delivery_id, lease_ms=6_000))
        while not ours.done():
            await asyncio.sleep(0.5)
            if not ours.done():
                assert await attempt_delivery(shop.ports, other, delivery_id, lease_ms=6_000) is None
        return await ours

    delivery = run_virtually(attempt(), shop.clock)
    assert delivery is not None
    assert (delivery.state, delivery.attempt_count) == ("succeeded", 1)
    assert other.posts == []


class Hanging(Script):
    """`Sender` whose receiver never answers."""

    async def send(self, post: Post) -> Reply:
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
        ports = replace(shop.ports, store=store)
        attempt = asyncio.create_task(attempt_delivery(ports, Hanging(), delivery_id, lease_ms=6_000))
        await asyncio.sleep(10)
        # Whoever is killed writes nothing any more.
        store.down = killed
        attempt.cancel()
        (done,) = await asyncio.gather(attempt, return_exceptions=True)
        assert isinstance(done, asyncio.CancelledError)
        if killed:
            assert await attempt_delivery(shop.ports, Script(), delivery_id) is None
            await asyncio.sleep(6)

    run_virtually(end(), shop.clock)
    assert shop.deliver(delivery_id, 200).state == "succeeded"


def test_a_lease_survives_an_outage_of_the_ledger(shop: Shop) -> None:
    delivery_id = shop.plan()
    store = ShakyStore(shop.store)
    ports = replace(shop.ports, store=store)

    async def attempt() -> Delivery | None:
        class Slow(Script):
            async def send(self, post: Post) -> Reply:
                await asyncio.sleep(4)
                store.down = False
                await asyncio.sleep(4)
                return reply()

        attempt = asyncio.create_task(attempt_delivery(ports, Slow(), delivery_id, lease_ms=6_000))
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
        async def send(self, post: Post) -> Reply:
            # The process is stopped; meanwhile another one takes over.
            shop.clock.advance(ms=LEASE_MS)
            assert await attempt_delivery(shop.ports, Script(theirs), delivery_id) is not None
            return await super().send(post)

    delivery = shop.attempt(delivery_id, Frozen(ours))
    assert delivery is not None
    assert (delivery.state, len(delivery.attempts), delivery.attempt_count) == (state, 2, 2)
    assert (delivery.next_attempt_at is None) is (state != "pending")


def test_an_outcome_that_was_overtaken_is_recorded_on_what_the_other_left(shop: Shop) -> None:
    delivery_id = shop.plan()
    racing = RacingStore(shop.store)
    ports = replace(shop.ports, store=racing)

    class Racing(Script):
        async def send(self, post: Post) -> Reply:
            racing.lose = 3
            return await super().send(post)

    delivery = asyncio.run(attempt_delivery(ports, Racing(500), delivery_id))
    assert delivery is not None
    assert delivery == shop.read(delivery_id)
    assert delivery.attempt_count == 1


def test_a_failing_endpoint_is_noted_once_and_a_healthy_one_costs_no_write() -> None:
    store = CountingStore()
    ports = make_ports(store)
    endpoint, _ = create_endpoint(ports, ACCOUNT, url=URL)

    def calls(answer: Answer, key: str) -> list[str]:
        (delivery_id,) = plan_deliveries(ports, event_of(authorize(ports, key).entry.record))
        store.calls.clear()
        asyncio.run(attempt_delivery(ports, Script(answer), delivery_id))
        return [call for call in store.calls if call == "commit"]

    assert calls(200, "a") == ["commit"] * 2  # the lease, the outcome
    assert calls(500, "b") == ["commit"] * 3
    assert calls(500, "c") == ["commit"] * 2
    assert calls(200, "d") == ["commit"] * 3
    assert get_endpoint(ports, ACCOUNT, endpoint.endpoint_id).failing_since is None


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
    outcome = capture(shop.ports, id_of(authorize(shop.ports)))
    (delivery_id,) = plan_deliveries(shop.ports, event_of(outcome.entry.record))
    delivery = shop.deliver(delivery_id, 200)
    assert delivery.event_type == "payment.captured"
    assert delivery.event_id == "evt_" + id_of(outcome)
