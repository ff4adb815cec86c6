"""Attempts from the first to the end of the schedule: what is sent, what is recorded, and what chaos makes of it."""

import asyncio
import json
from itertools import pairwise

import pytest

from payments_sandbox.domain.attempt_errors import AttemptError
from payments_sandbox.domain.timestamps import DAY_MS, MINUTE_MS, SECOND_MS
from payments_sandbox.domain.webhooks import ATTEMPTS_MAX, FAILING_MAX_MS, RETRY_DELAYS_MS, TIMEOUT_MS
from payments_sandbox.services.ports import Post, ReceiverResponse
from payments_sandbox.services.webhooks.webhook_attempts import attempt_delivery
from payments_sandbox.services.webhooks.webhook_deliveries import REORDER_MAX_MS, plan_deliveries, redeliver
from payments_sandbox.services.webhooks.webhook_endpoints import Chaos, rotate_secret
from tests.calls.webhooks import URL, Shop
from tests.doubles.ports import NOW_MS
from tests.doubles.receivers import Answer, Script, body_of, headers_of, refused_as, reply, verify
from tests.each_case import each_case


@pytest.fixture
def shop() -> Shop:
    return Shop()


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
        ReceiverResponse(503, [("x-one", "1")], "later", 42, None),
        ReceiverResponse(None, [], "", 15_000, AttemptError.TIMEOUT),
        204,
    )
    for _ in range(3):
        shop.wait_until_due(delivery_id)
        shop.attempt(delivery_id, script)
    delivery = shop.read(delivery_id)
    assert (delivery.state, delivery.attempt_count, delivery.next_attempt_at) == ("succeeded", 3, None)
    replies = [attempt.reply for attempt in delivery.attempts]
    assert replies == [
        ReceiverResponse(503, [("x-one", "1")], "later", 42, None),
        ReceiverResponse(None, [], "", 15_000, AttemptError.TIMEOUT),
        reply(204),
    ]
    for attempt, post in zip(delivery.attempts, script.posts, strict=True):
        assert list(attempt.request_headers) == list(post.headers)
        assert headers_of(post)["webhook-timestamp"] == str(attempt.at_ms // 1000)


def test_a_card_number_that_a_receiver_answers_is_not_kept(shop: Shop) -> None:
    answer = ReceiverResponse(
        500, [("x-card", "4111-1111-1111-1111"), ("x-id", "7")], "no card 4111111111111111", 3
    )
    (attempt,) = shop.deliver(shop.plan(), answer).attempts
    assert attempt.reply == ReceiverResponse(
        500, [("x-card", "[masked]"), ("x-id", "7")], "no card [masked]", 3
    )
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


@each_case("status", [200, 201, 202, 204, 226, 299])
def test_any_2xx_is_success(status: int) -> None:
    shop = Shop()
    assert shop.deliver(shop.plan(), status).state == "succeeded"
    assert shop.now.failing_since is None


@each_case(
    "answer",
    [
        *(199, 301, 302, 303, 307, 308, 400, 401, 404, 409, 411, 429, 500, 503, 599),
        *("timeout", "connection_refused", "connection_closed", "name_not_resolved"),
        *("address_refused", "tls_failed", "malformed_response", "connection_failed"),
    ],
)
def test_anything_else_is_a_failure_and_tried_again(answer: Answer) -> None:
    shop = Shop()
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
    (told,) = plan_deliveries(shop.world, event)
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

            async def send(self, post: Post) -> ReceiverResponse:
                self.waiting += 1
                if self.waiting == 2:
                    go.set()
                await go.wait()
                return reply(410)

        sender = Receiver()
        await asyncio.gather(*(attempt_delivery(shop.world.infrastructure, sender, each) for each in planned))

    asyncio.run(both())
    assert [shop.read(each).state for each in planned] == ["failed", "failed"]
    assert len(shop.disabled_events()) == 1


@each_case("status", [302, 429, 503])
@each_case(
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
    status: int, asked: str, wait_ms: int | None
) -> None:
    shop = Shop()
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
    _, new = rotate_secret(shop.world, shop.endpoint.endpoint_id, force=False)
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
    _, new = rotate_secret(shop.world, shop.endpoint.endpoint_id, force=False)
    shop.deliver(shop.plan(), 500)
    kept = json.dumps([dict(record.data) for record in shop.store.records.values()])
    assert "webhook-signature" in kept
    for secret in (shop.secret, new):
        assert secret.removeprefix("whsec_") not in kept


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
        planned = [plan_deliveries(shop.world, event)[0] for event in events]
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
    assert errors == [AttemptError.DROPPED_BY_CHAOS] * count + [None]


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
        redeliver(shop.world, delivery_id)
        shop.attempt(delivery_id, script)
        signatures.add(headers_of(script.post)["webhook-signature"])
    assert len(signatures) == 3


def test_an_old_secret_is_the_one_before_the_rotation_even_after_it_has_expired(shop: Shop) -> None:
    _, new_secret = rotate_secret(shop.world, shop.endpoint.endpoint_id, force=False)
    shop.change(chaos=Chaos(signature="old_secret"))
    for _ in range(2):
        script = Script(401)
        shop.attempt(shop.plan(), script)
        body, headers = body_of(script.post), headers_of(script.post)
        verify(body, headers, shop.secret, at_ms=shop.clock.at_ms)
        assert refused_as(body, headers, new_secret, at_ms=shop.clock.at_ms) == "no_matching_signature"
        shop.clock.advance(ms=2 * DAY_MS)
