"""The deliverer: what becomes of each message, of the webhooks that it asks for, and of their retries."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_sandbox.domain.attempt_errors import AttemptError
from payments_sandbox.domain.errors import StoreUnavailable
from payments_sandbox.domain.webhooks import RETRY_DELAYS_MS
from payments_sandbox.services.events.events import EVENT_PREFIX
from payments_sandbox.services.ports import (
    CommitResult,
    Index,
    Page,
    Position,
    Post,
    ReceiverResponse,
    Record,
    Update,
)
from payments_sandbox.services.webhooks.webhook_attempts import LEASE_MS
from payments_sandbox.services.webhooks.webhook_delivery_records import KIND, Delivery, delivery_of
from payments_sandbox.services.webhooks.webhook_endpoints import Chaos, create_endpoint, get_endpoint
from payments_sandbox.services.world import plain_world
from payments_sandbox.workers.deliver import (
    HELD_BACK_FIRST_S,
    QUEUE_DELAY_MAX_S,
    TIME_NEEDED_MS,
    DeliveryMessage,
    EntryMessage,
    MalformedMessage,
    deliver_batch,
    delivery_message,
    held_back_s,
    queue_delay_s,
    read_message,
)
from tests.calls.payments import OTHER_ACCOUNT, authorize
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import ACCOUNT, NOW_MS, FrozenClock, make_infrastructure
from tests.each_case import each_case

URL = "https://shop.example/hook"

SqsRecord = dict[str, Any]
Answer = Callable[[Post], Awaitable[ReceiverResponse]]


def reply(status: int | None = 200, *, error: str | None = None, **headers: str) -> ReceiverResponse:
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return ReceiverResponse(status, named, "", 7, None if error is None else AttemptError(error))


class Receivers:
    """`Sender` to receivers that answer as they are told: by default 200 at once."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.answers: dict[str, ReceiverResponse | Answer] = {}

    async def send(self, post: Post) -> ReceiverResponse:
        self.posts.append(post)
        answer = self.answers.get(post.url, reply())
        return answer if isinstance(answer, ReceiverResponse) else await answer(post)

    def event_ids(self, url: str = URL) -> list[str]:
        return [dict(post.headers)["webhook-id"] for post in self.posts if post.url == url]


class Queue:
    """`DeliveryQueue` that remembers."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self.held_back: dict[str, int] = {}
        self.refuses = False
        self.cannot_hold_back: str | None = None

    def send(self, messages: Sequence[tuple[str, int]]) -> Mapping[int, str]:
        if self.refuses:
            return dict.fromkeys(range(len(messages)), "InternalError")
        self.sent += messages
        return {}

    def hold_back(self, receipt_handle: str, delay_s: int) -> str | None:
        self.held_back[receipt_handle] = delay_s
        return self.cannot_hold_back


class ShakyStore(MemoryStore):
    """`Store` in which some things cannot be read or written."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: set[str] = set()
        self.commits_left = 1_000_000
        self.reads: list[str] = []
        self.listed: list[str] = []

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        self.reads += ids
        if self.broken & set(ids):
            raise StoreUnavailable("throttled")
        return super().get(ids)

    def commit(self, inserts: Sequence[Record], updates: Sequence[Update]) -> CommitResult:
        if not self.commits_left:
            raise StoreUnavailable("throttled")
        self.commits_left -= 1
        return super().commit(inserts, updates)

    def page(
        self,
        index: Index,
        key: str,
        *,
        after: Position | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> Page:
        self.listed.append(key)
        if key in self.broken:
            raise StoreUnavailable("throttled")
        return super().page(index, key, after=after, limit=limit, newest_first=newest_first)


class Sandbox:
    """One account's ledger, its receivers and the queue, and a function that is called with batches."""

    def __init__(self) -> None:
        self.store = ShakyStore()
        self.clock = FrozenClock()
        self.infrastructure = make_infrastructure(self.store, self.clock)
        self.receivers = Receivers()
        self.queue = Queue()
        self.remaining_ms: Callable[[], int] = lambda: 900_000
        self.entry_count = 0

    def endpoint(self, url: str = URL, *, account: str = ACCOUNT, chaos: Chaos | None = None) -> str:
        # The clock moves, so that endpoints are listed in the order in which they were made.
        self.clock.advance(ms=1)
        return create_endpoint(plain_world(self.infrastructure, account), url=url, chaos=chaos)[0].endpoint_id

    def entry(self, account: str = ACCOUNT) -> str:
        self.entry_count += 1
        return authorize(
            plain_world(self.infrastructure, ACCOUNT), f"key-{self.entry_count}", account=account
        ).entry.record.id

    def invoke(self, *records: SqsRecord, **limits: int) -> list[str]:
        """Call the function; answers the ids of the messages that failed."""
        answer = asyncio.run(
            deliver_batch(
                self.infrastructure,
                self.receivers,
                self.queue,
                records,
                lambda: self.remaining_ms(),
                **limits,
            )
        )
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def invoke_retry(self) -> list[str]:
        """Wait for the only message on the queue, and call the function with it."""
        ((body, delay_s),) = self.queue.sent
        self.queue.sent.clear()
        self.clock.advance(ms=delay_s * 1000)
        return self.invoke(sqs_record(body, message_id="retry"))

    @property
    def deliveries(self) -> list[Delivery]:
        return [delivery_of(record) for record in self.store.records.values() if record.kind == KIND]

    @property
    def delivery(self) -> Delivery:
        (delivery,) = self.deliveries
        return delivery


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox()


def sqs_record(body: str, message_id: str = "message-1", receive_count: int = 1) -> SqsRecord:
    """As Lambda hands it over. Source: AWS Lambda developer guide, "Example standard queue message event"."""
    return {
        "messageId": message_id,
        "receiptHandle": f"handle of {message_id}",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": str(receive_count),
            "SentTimestamp": str(NOW_MS),
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": str(NOW_MS),
        },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
    }


def entry_body(entry_id: str, account: str = ACCOUNT, event_type: str = "payment.authorized") -> str:
    return json.dumps({"entry_id": entry_id, "account_id": account, "type": event_type})


def enveloped(body: str) -> str:
    """As SNS wraps it without raw message delivery. Source: SNS developer guide, "SNS message format for SQS"."""
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": "arn:aws:sns:eu-central-1:123456789012:WebhookTopic",
            "Message": body,
            "Timestamp": "2026-11-23T10:00:00.000Z",
            "MessageAttributes": {"type": {"Type": "String", "Value": "payment.authorized"}},
        }
    )


# From a message to a webhook


@pytest.mark.parametrize("wrap", [str, enveloped], ids=["raw", "envelope"])
def test_an_announced_entry_is_delivered_and_its_message_is_done(
    sandbox: Sandbox, wrap: Callable[[str], str]
) -> None:
    sandbox.endpoint()
    entry_id = sandbox.entry()
    assert sandbox.invoke(sqs_record(wrap(entry_body(entry_id)))) == []
    assert sandbox.receivers.event_ids() == [EVENT_PREFIX + entry_id]
    assert sandbox.delivery.state == "succeeded"
    assert sandbox.queue.sent == []


def test_each_endpoint_of_the_account_and_no_other_gets_the_event(sandbox: Sandbox) -> None:
    urls = [URL, URL + "/2", URL + "/3"]
    for url in urls:
        sandbox.endpoint(url)
    sandbox.endpoint("https://stranger.example/", account=OTHER_ACCOUNT)
    sandbox.invoke(sqs_record(entry_body(sandbox.entry())))
    assert [post.url for post in sandbox.receivers.posts] == urls


def test_an_account_without_endpoints_costs_two_reads_a_batch(sandbox: Sandbox) -> None:
    sandbox.endpoint("https://stranger.example/", account=OTHER_ACCOUNT)
    entry_ids = [sandbox.entry() for _ in range(4)]
    sandbox.store.reads.clear()
    sandbox.store.listed.clear()
    records = [sqs_record(entry_body(entry_id), entry_id) for entry_id in entry_ids]
    assert sandbox.invoke(*records) == []
    assert sandbox.store.reads == ["ctl_acct_shop"]
    assert len(sandbox.store.listed) == 1


def test_an_account_s_endpoints_are_listed_once_a_batch(sandbox: Sandbox) -> None:
    sandbox.endpoint()
    sandbox.store.listed.clear()
    assert (
        sandbox.invoke(*(sqs_record(entry_body(sandbox.entry()), str(number)) for number in range(4))) == []
    )
    assert len(sandbox.receivers.posts) == 4
    assert len(sandbox.store.listed) == 1


def test_an_event_that_no_endpoint_wants_is_not_read(sandbox: Sandbox) -> None:
    sandbox.endpoint()
    sandbox.store.reads.clear()
    create_endpoint(plain_world(sandbox.infrastructure, OTHER_ACCOUNT), url=URL, events=["payment.captured"])
    assert sandbox.invoke(sqs_record(entry_body(sandbox.entry(OTHER_ACCOUNT), OTHER_ACCOUNT))) == []
    assert sandbox.receivers.posts == []
    assert sandbox.store.reads == ["ctl_" + OTHER_ACCOUNT]


def test_a_receiver_that_hangs_delays_neither_the_others_nor_their_retries(sandbox: Sandbox) -> None:
    sandbox.endpoint(URL + "/hangs")
    sandbox.endpoint(URL + "/fails")

    async def hang(_post: Post) -> ReceiverResponse:
        # Until everything else of the batch is done; it never would be, if it waited for this.
        async with asyncio.timeout(60):
            while len(sandbox.queue.sent) < 3 or len(sandbox.receivers.posts) < 6:
                await asyncio.sleep(0.001)
        return reply(None, error="timeout")

    sandbox.receivers.answers = {URL + "/hangs": hang, URL + "/fails": reply(500)}
    records = [sqs_record(entry_body(sandbox.entry()), f"message-{number}") for number in range(3)]
    assert sandbox.invoke(*records) == []
    assert len(sandbox.queue.sent) == 6


def test_only_so_many_attempts_are_under_way_at_once(sandbox: Sandbox) -> None:
    under_way, most = 0, 0

    async def slow(_post: Post) -> ReceiverResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.002)
        under_way -= 1
        return reply()

    for number in range(5):
        sandbox.endpoint(f"{URL}/{number}")
        sandbox.receivers.answers[f"{URL}/{number}"] = slow
    sandbox.invoke(sqs_record(entry_body(sandbox.entry())), attempts_max=2)
    assert most == 2
    assert {delivery.state for delivery in sandbox.deliveries} == {"succeeded"}


# Twice, late, in any order


def test_a_message_that_comes_twice_at_once_is_delivered_once(sandbox: Sandbox) -> None:
    sandbox.endpoint()

    async def slow(_post: Post) -> ReceiverResponse:
        await asyncio.sleep(0.02)
        return reply()

    sandbox.receivers.answers[URL] = slow
    body = entry_body(sandbox.entry())
    assert sandbox.invoke(*(sqs_record(body, f"message-{number}") for number in range(4))) == []
    assert len(sandbox.receivers.posts) == 1
    assert sandbox.queue.sent == []


def test_a_message_that_comes_again_later_is_not_delivered_again(sandbox: Sandbox) -> None:
    sandbox.endpoint()
    record = sqs_record(entry_body(sandbox.entry()))
    sandbox.invoke(record)
    assert sandbox.invoke(record) == []
    assert len(sandbox.receivers.posts) == 1


def test_a_duplicate_of_a_failed_attempt_makes_no_second_retry(sandbox: Sandbox) -> None:
    sandbox.endpoint()
    sandbox.receivers.answers[URL] = reply(500)
    record = sqs_record(entry_body(sandbox.entry()))
    sandbox.invoke(record)
    assert sandbox.invoke(record, sqs_record(delivery_message(sandbox.delivery.delivery_id), "early")) == []
    assert len(sandbox.receivers.posts) == 1
    assert len(sandbox.queue.sent) == 1


def test_a_retry_that_overtakes_its_time_does_nothing(sandbox: Sandbox) -> None:
    sandbox.endpoint()
    sandbox.receivers.answers[URL] = reply(500)
    sandbox.invoke(sqs_record(entry_body(sandbox.entry())))
    ((body, delay_s),) = sandbox.queue.sent
    sandbox.clock.advance(ms=(delay_s - 1) * 1000 - 1)
    assert sandbox.invoke(sqs_record(body)) == []
    assert len(sandbox.receivers.posts) == 1


def test_a_message_about_a_delivery_that_is_settled_or_unknown_is_done(sandbox: Sandbox) -> None:
    sandbox.endpoint()
    sandbox.invoke(sqs_record(entry_body(sandbox.entry())))
    settled = delivery_message(sandbox.delivery.delivery_id)
    assert sandbox.invoke(sqs_record(settled, "settled"), sqs_record(delivery_message("del_0"), "none")) == []
    assert len(sandbox.receivers.posts) == 1


# Retries


def test_near_retries_ride_on_the_queue_and_far_ones_are_left_to_the_sweeper(sandbox: Sandbox) -> None:
    sandbox.endpoint()
    sandbox.receivers.answers[URL] = reply(500)
    sandbox.invoke(sqs_record(entry_body(sandbox.entry())))
    delays_s = []
    while sandbox.queue.sent:
        delays_s.append(sandbox.queue.sent[0][1])
        assert sandbox.invoke_retry() == []
    # 5 s and 5 min with up to a tenth of jitter; the third, 30 min, is more than SQS can wait.
    assert [5 <= delays_s[0] <= 6, 300 <= delays_s[1] <= 330] == [True, True]
    assert len(delays_s) == 2
    assert sandbox.delivery.attempt_count == 3
    due_at = sandbox.delivery.next_attempt_at
    assert due_at is not None
    assert due_at - sandbox.clock.now_ms() >= RETRY_DELAYS_MS[2]


def test_a_retry_message_arrives_when_its_attempt_is_due_and_never_before(sandbox: Sandbox) -> None:
    sandbox.endpoint()
    sandbox.receivers.answers[URL] = reply(500)
    sandbox.invoke(sqs_record(entry_body(sandbox.entry())))
    due_at = sandbox.delivery.next_attempt_at
    ((body, delay_s),) = sandbox.queue.sent
    assert body == delivery_message(sandbox.delivery.delivery_id)
    assert due_at is not None
    assert 0 <= sandbox.clock.now_ms() + delay_s * 1000 - due_at < 1000
    assert sandbox.invoke_retry() == []
    assert len(sandbox.receivers.posts) == 2


@pytest.mark.parametrize(("asked", "delay_s"), [("60", 60), ("900", 900), ("901", None), ("86400", None)])
def test_a_retry_waits_as_long_as_the_receiver_asks(
    sandbox: Sandbox, asked: str, delay_s: int | None
) -> None:
    sandbox.endpoint()
    sandbox.receivers.answers[URL] = reply(503, retry_after=asked)
    assert sandbox.invoke(sqs_record(entry_body(sandbox.entry()))) == []
    assert [delay for _, delay in sandbox.queue.sent] == ([] if delay_s is None else [delay_s])
    due_at = sandbox.delivery.next_attempt_at
    assert due_at == sandbox.clock.now_ms() + int(asked) * 1000


def test_a_receiver_that_is_gone_gets_no_retry_and_its_endpoint_is_disabled(sandbox: Sandbox) -> None:
    endpoint_id = sandbox.endpoint()
    sandbox.receivers.answers[URL] = reply(410)
    assert sandbox.invoke(sqs_record(entry_body(sandbox.entry()))) == []
    assert sandbox.queue.sent == []
    assert sandbox.delivery.state == "failed"
    assert get_endpoint(plain_world(sandbox.infrastructure, ACCOUNT), endpoint_id).disabled_reason == "gone"
    assert sandbox.invoke(sqs_record(entry_body(sandbox.entry()))) == []
    assert len(sandbox.receivers.posts) == 1


def test_a_delivery_to_an_endpoint_that_was_disabled_meanwhile_is_cancelled(sandbox: Sandbox) -> None:
    sandbox.endpoint()
    sandbox.receivers.answers[URL] = reply(500)
    sandbox.invoke(sqs_record(entry_body(sandbox.entry())))
    sandbox.receivers.answers[URL] = reply(410)
    sandbox.invoke(sqs_record(entry_body(sandbox.entry()), "the event that finds it gone"))
    assert sandbox.invoke_retry() == []
    assert {delivery.state for delivery in sandbox.deliveries} == {"cancelled", "failed"}
    assert sandbox.queue.sent == []


def test_a_webhook_held_back_on_purpose_rides_on_the_queue_too(sandbox: Sandbox) -> None:
    sandbox.endpoint(chaos=Chaos(delay_ms=2_500))
    assert sandbox.invoke(sqs_record(entry_body(sandbox.entry()))) == []
    assert sandbox.receivers.posts == []
    assert [delay_s for _, delay_s in sandbox.queue.sent] == [3]
    assert sandbox.invoke_retry() == []
    assert sandbox.delivery.state == "succeeded"


def test_a_retry_that_the_queue_refuses_is_left_to_the_sweeper(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.endpoint()
    sandbox.receivers.answers[URL] = reply(500)
    sandbox.queue.refuses = True
    assert sandbox.invoke(sqs_record(entry_body(sandbox.entry()))) == []
    assert sandbox.delivery.next_attempt_at is not None
    assert "a retry was left to the sweeper" in caplog.messages


@each_case(
    ("wait_ms", "delay_s"),
    [(-1, 0), (0, 0), (1, 1), (1000, 1), (1001, 2), (899_001, 900), (900_000, 900), (900_001, None)],
)
def test_a_queue_delay_is_rounded_up_to_whole_seconds_of_which_sqs_allows_900(
    wait_ms: int, delay_s: int | None
) -> None:
    assert queue_delay_s(NOW_MS + wait_ms, NOW_MS) == delay_s


# When the ledger cannot be used


def test_one_message_that_the_ledger_fails_comes_back_and_the_others_are_done(sandbox: Sandbox) -> None:
    sandbox.endpoint()
    entry_ids = [sandbox.entry() for _ in range(3)]
    sandbox.store.broken = {entry_ids[1]}
    records = [sqs_record(entry_body(entry_id), entry_id) for entry_id in entry_ids]
    assert sandbox.invoke(*records) == [entry_ids[1]]
    assert sandbox.receivers.event_ids() == [EVENT_PREFIX + entry_ids[0], EVENT_PREFIX + entry_ids[2]]
    assert sandbox.queue.held_back == {f"handle of {entry_ids[1]}": held_back_s(entry_ids[1], 1)}

    sandbox.store.broken = set()
    assert sandbox.invoke(records[1]) == []
    assert len(sandbox.receivers.posts) == 3


def test_an_account_whose_endpoints_cannot_be_listed_does_not_hold_up_another(sandbox: Sandbox) -> None:
    sandbox.endpoint()
    sandbox.store.broken = {f"{OTHER_ACCOUNT}#webhook_endpoint"}
    records = [
        sqs_record(entry_body(sandbox.entry(OTHER_ACCOUNT), OTHER_ACCOUNT), "stranger"),
        sqs_record(entry_body(sandbox.entry()), "shop"),
    ]
    assert sandbox.invoke(*records) == ["stranger"]
    assert len(sandbox.receivers.posts) == 1


def test_an_attempt_whose_outcome_is_not_recorded_is_made_again_when_its_lease_ends(sandbox: Sandbox) -> None:
    sandbox.endpoint()
    record = sqs_record(entry_body(sandbox.entry()))
    sandbox.store.commits_left = 1  # the lease, and not the outcome
    assert sandbox.invoke(record) == ["message-1"]
    sandbox.store.commits_left = 100
    assert sandbox.invoke(record) == []
    assert len(sandbox.receivers.posts) == 1
    sandbox.clock.advance(ms=LEASE_MS)
    assert sandbox.invoke(record) == []
    assert len(sandbox.receivers.posts) == 2
    assert sandbox.delivery.state == "succeeded"


def test_of_an_event_for_two_endpoints_the_attempt_that_can_be_made_is_made(sandbox: Sandbox) -> None:
    failing, _ = sandbox.endpoint(URL + "/1"), sandbox.endpoint(URL + "/2")
    sandbox.store.broken = {failing}
    assert sandbox.invoke(sqs_record(entry_body(sandbox.entry()))) == ["message-1"]
    assert [post.url for post in sandbox.receivers.posts] == [URL + "/2"]


def test_a_message_stays_away_longer_each_time(sandbox: Sandbox) -> None:
    sandbox.endpoint()
    entry_id = sandbox.entry()
    sandbox.store.broken = {entry_id}
    delays_s = []
    for receive_count in [*range(1, 9), 100]:
        sandbox.invoke(sqs_record(entry_body(entry_id), receive_count=receive_count))
        delays_s.append(sandbox.queue.held_back["handle of message-1"])
    assert delays_s[:-1] == sorted(delays_s[:-1])
    assert delays_s[0] <= HELD_BACK_FIRST_S
    assert QUEUE_DELAY_MAX_S // 2 <= delays_s[-1] <= QUEUE_DELAY_MAX_S


@given(message_id=st.text(min_size=1), receive_count=st.integers(1, 10_000))
def test_a_message_stays_away_for_half_to_all_of_a_time_that_doubles(
    message_id: str, receive_count: int
) -> None:
    longest_s = min(QUEUE_DELAY_MAX_S, HELD_BACK_FIRST_S * 2 ** (receive_count - 1))
    assert longest_s / 2 <= held_back_s(message_id, receive_count) <= longest_s


def test_messages_that_failed_together_come_back_apart() -> None:
    assert len({held_back_s(f"message-{number}", 8) for number in range(50)}) > 25


def test_a_message_that_cannot_be_held_back_is_reported_all_the_same(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.endpoint()
    entry_id = sandbox.entry()
    sandbox.store.broken = {entry_id}
    sandbox.queue.cannot_hold_back = "ReceiptHandleIsInvalid"
    assert sandbox.invoke(sqs_record(entry_body(entry_id))) == ["message-1"]
    assert "a message could not be held back" in caplog.messages


# When it is not to be done at all


MALFORMED = [
    "",
    "not JSON",
    "[]",
    "null",
    '"del_1"',
    "{}",
    '{"delivery_id": 1}',
    '{"delivery_id": null}',
    '{"entry_id": "auth_1"}',
    '{"entry_id": "auth_1", "account_id": "acct_shop"}',
    '{"entry_id": ["auth_1"], "account_id": "acct_shop", "type": "payment.authorized"}',
    '{"Type": "Notification"}',
    '{"Type": "Notification", "Message": {"delivery_id": "del_1"}}',
    '{"Type": "Notification", "Message": "hello"}',
    '{"Type": "SubscriptionConfirmation", "Message": "{\\"delivery_id\\": \\"del_1\\"}"}',
]


@each_case("body", MALFORMED)
def test_a_malformed_message_is_reported_and_the_others_are_done(body: str) -> None:
    sandbox = Sandbox()
    sandbox.endpoint()
    records = [sqs_record(body, "malformed"), sqs_record(entry_body(sandbox.entry()), "sound")]
    assert sandbox.invoke(*records) == ["malformed"]
    assert len(sandbox.receivers.posts) == 1
    # It stays away as long as the queue says: time does not help it.
    assert sandbox.queue.held_back == {}


def test_a_message_about_an_entry_that_the_account_does_not_have_is_malformed(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.endpoint()
    records = [
        sqs_record(entry_body("auth_none"), "unknown"),
        sqs_record(entry_body(sandbox.entry(OTHER_ACCOUNT)), "another account's"),
        sqs_record(entry_body(sandbox.endpoint(URL + "/2")), "no entry"),
    ]
    assert sandbox.invoke(*records) == ["unknown", "another account's", "no entry"]
    errors = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert errors == ["a message is malformed"] * 3
    assert sandbox.receivers.posts == []


def test_a_malformed_message_is_logged_without_what_it_holds(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.invoke(sqs_record('{"number": "4242424242424242"}'))
    (logged,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert vars(logged)["fields"]["message_id"] == "message-1"
    assert "4242424242424242" not in caplog.text


def test_a_fault_of_the_sandbox_itself_fails_its_message_alone_and_is_logged_with_its_trace(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.endpoint()
    sandbox.endpoint("https://stranger.example/", account=OTHER_ACCOUNT)

    async def fault(_post: Post) -> ReceiverResponse:
        raise ZeroDivisionError("a bug")

    sandbox.receivers.answers["https://stranger.example/"] = fault
    records = [
        sqs_record(entry_body(sandbox.entry(OTHER_ACCOUNT), OTHER_ACCOUNT), "faulty"),
        sqs_record(entry_body(sandbox.entry()), "sound"),
    ]
    assert sandbox.invoke(*records) == ["faulty"]
    assert sandbox.receivers.event_ids()
    assert "ZeroDivisionError: a bug" in caplog.text


def test_a_fault_is_not_hidden_behind_an_outage(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    async def fault(_post: Post) -> ReceiverResponse:
        raise ZeroDivisionError("a bug")

    sandbox.store.broken = {sandbox.endpoint(URL + "/1")}
    sandbox.endpoint(URL + "/2")
    sandbox.receivers.answers[URL + "/2"] = fault
    assert sandbox.invoke(sqs_record(entry_body(sandbox.entry()))) == ["message-1"]
    assert "ZeroDivisionError: a bug" in caplog.text


# When the invocation ends soon


def test_an_entry_that_there_is_no_time_for_comes_back(sandbox: Sandbox) -> None:
    sandbox.endpoint()
    sandbox.remaining_ms = lambda: TIME_NEEDED_MS - 1
    record = sqs_record(entry_body(sandbox.entry()))
    assert sandbox.invoke(record) == ["message-1"]
    assert sandbox.queue.held_back.keys() == {"handle of message-1"}
    assert sandbox.deliveries == []
    sandbox.remaining_ms = lambda: TIME_NEEDED_MS
    assert sandbox.invoke(record) == []
    assert len(sandbox.receivers.posts) == 1


def test_a_delivery_that_there_is_no_time_for_is_left_due_in_the_ledger(sandbox: Sandbox) -> None:
    sandbox.endpoint()
    left_ms = [TIME_NEEDED_MS, TIME_NEEDED_MS - 1]
    sandbox.remaining_ms = lambda: left_ms.pop(0)
    assert sandbox.invoke(sqs_record(entry_body(sandbox.entry()))) == []
    assert sandbox.receivers.posts == []
    assert sandbox.delivery.next_attempt_at == sandbox.clock.now_ms()


# Reading messages


def test_messages_are_read_as_they_are_written() -> None:
    assert read_message(delivery_message("del_1")) == DeliveryMessage("del_1")
    assert read_message(entry_body("auth_1")) == EntryMessage("auth_1", ACCOUNT, "payment.authorized")
    assert read_message(enveloped(entry_body("auth_1"))) == read_message(entry_body("auth_1"))


@given(st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers() | st.lists(st.text())))
def test_no_json_but_a_message_is_read_as_one(value: Any) -> None:
    with pytest.raises(MalformedMessage):
        read_message(json.dumps(value))


def test_a_batch_is_logged_with_its_counts(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sandbox.webhooks")
    sandbox.endpoint()
    sandbox.invoke(sqs_record(entry_body(sandbox.entry())), sqs_record("", "malformed"))
    assert vars(caplog.records[-1])["fields"] == {"messages": 2, "attempts": 1, "failed": 1}
