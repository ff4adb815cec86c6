"""From the table's stream to a signed webhook, through the functions that AWS calls, by hand, on moto.

What moves events here is a few lines that stand for Lambda's event source mappings: they hand over batches, and hand over
again, or delete, what the functions' answers say. Time is one clock, the queues' included.
"""

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.config import Config
from moto import mock_aws

# Whole, before the entry points import it with parts left out, which would stay so for the other tests of this process.
from payments_sandbox import bootstrap
from payments_sandbox.adapters.dynamodb.store import DynamoDbStore
from payments_sandbox.adapters.dynamodb.table import create_table
from payments_sandbox.adapters.kms.client import create_client as create_kms_client
from payments_sandbox.adapters.kms.secret_box import KmsSecretBox
from payments_sandbox.adapters.system.clock import SystemClock
from payments_sandbox.adapters.webhooks.sender import HttpSender
from payments_sandbox.domain.errors import StoreUnavailable
from payments_sandbox.domain.timestamps import MINUTE_MS
from payments_sandbox.domain.webhooks import RETRY_DELAYS_MS
from payments_sandbox.services.accounts.accounts import DEMO_ACCOUNT, ensure_demo_account
from payments_sandbox.services.accounts.controls import world_of
from payments_sandbox.services.events.events import EVENT_PREFIX
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ports import Index
from payments_sandbox.services.simulation.snapshots import fork_snapshot, restore_snapshot, take_snapshot
from payments_sandbox.services.webhooks.webhook_deliveries import list_deliveries
from payments_sandbox.services.webhooks.webhook_delivery_records import Delivery
from payments_sandbox.services.webhooks.webhook_endpoints import create_endpoint, get_endpoint
from payments_sandbox.services.world import plain_world
from payments_sandbox.workers.deliver import HELD_BACK_FIRST_S
from tests.calls.payments import DECLINED_NUMBER, authorize, card_with
from tests.doubles.ports import ACCOUNT, LEDGER_SECRET, FrozenClock, make_infrastructure

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from payments_sandbox.workers.relay import BatchResponse

# The library that receivers install, from the checkout, as its own tests have it. It is type-checked on its own.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "webhooks-verifier" / "python" / "src"))
Webhook: Any = import_module("webhooks_verifier").Webhook

REGION = "eu-central-1"
RECEIVES_MAX = 3
VISIBILITY_S = 360

Handler = Callable[[Mapping[str, Any], Any], Any]


@dataclass
class Receiver:
    """An HTTP server on a thread of its own, which answers with the statuses that it is given, then with 200."""

    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?shop=1"

    async def serve(self, started: "Future[Callable[[], object]]") -> None:
        """Serve until what `started` is given is called, on any thread."""
        stop = asyncio.Event()
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            started.set_result(partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set))
            await stop.wait()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
        lines = [line.split(": ", 1) for line in head.split("\r\n")[1:] if line]
        headers = {name.lower(): value for name, value in lines}
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((headers, body))
        status, extra = self.answers.pop(0) if self.answers else (200, {})
        fields = {"content-length": "0", "connection": "close", **extra}
        told = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"HTTP/1.1 {status} So\r\n{told}\r\n".encode("ascii"))
        await writer.drain()
        writer.close()
        await writer.wait_closed()


class Context:
    """Of Lambda's context what the functions ask."""

    remaining_ms = 90_000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


@dataclass
class Cloud:
    """What the stack deploys, as far as webhooks go, and the mappings between it."""

    clock: FrozenClock
    infrastructure: Infrastructure
    table: str
    sqs: "SQSClient"
    queue_url: str
    dead_url: str
    relay: Handler
    deliver: Handler
    sweep: Handler
    context: Context = field(default_factory=Context)

    def endpoint(self, url: str, **fields: Any) -> tuple[str, Any]:
        """An endpoint's id, and what its receiver verifies with."""
        endpoint, secret = create_endpoint(plain_world(self.infrastructure, ACCOUNT), url=url, **fields)
        return endpoint.endpoint_id, Webhook(secret, clock=lambda: self.clock.at_ms // 1000)

    def stream(self) -> list[dict[str, Any]]:
        """All records of the table's stream, as Lambda hands them over."""
        # moto does not know the endpoints that have an account's number in their name.
        config = Config(account_id_endpoint_mode="disabled")
        client = boto3.client("dynamodbstreams", region_name=REGION, config=config)
        (stream,) = client.list_streams(TableName=self.table)["Streams"]
        described = client.describe_stream(StreamArn=stream["StreamArn"])["StreamDescription"]
        (shard,) = described["Shards"]
        iterator = client.get_shard_iterator(
            StreamArn=stream["StreamArn"], ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records: list[Any] = client.get_records(ShardIterator=iterator)["Records"]
        for record in records:
            change = record["dynamodb"]
            change["ApproximateCreationDateTime"] = int(change["ApproximateCreationDateTime"].timestamp())
        # Through JSON, as what Lambda hands over has been.
        copied: list[dict[str, Any]] = json.loads(json.dumps(records))
        return copied

    def run_relay(self) -> "BatchResponse":
        """Hand the whole stream over, whatever was handed over before: at least once."""
        answer: BatchResponse = self.relay({"Records": self.stream()}, self.context)
        return answer

    def run_deliver(self) -> list[str]:
        """Hand over what the queue shows, and delete what is done; answers the ids of the messages that failed."""
        received = self.sqs.receive_message(
            QueueUrl=self.queue_url,
            MaxNumberOfMessages=10,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        if not received:
            return []
        records = [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": {},
                "eventSource": "aws:sqs",
            }
            for message in received
        ]
        answer: BatchResponse = self.deliver({"Records": records}, self.context)
        failed = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
        for message in received:
            if message["MessageId"] not in failed:
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return failed

    def run_sweep(self) -> dict[str, Any]:
        counts: dict[str, Any] = self.sweep({"source": "aws.scheduler"}, self.context)
        return counts

    def send(self, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)

    def message_counts(self, url: str | None = None) -> tuple[int, int, int]:
        """Messages that can be received, that are under way or held back, and that are delayed."""
        attributes = self.sqs.get_queue_attributes(
            QueueUrl=url or self.queue_url,
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
                "ApproximateNumberOfMessagesDelayed",
            ],
        )["Attributes"]
        return (
            int(attributes["ApproximateNumberOfMessages"]),
            int(attributes["ApproximateNumberOfMessagesNotVisible"]),
            int(attributes["ApproximateNumberOfMessagesDelayed"]),
        )

    @property
    def deliveries(self) -> list[Delivery]:
        return list(list_deliveries(plain_world(self.infrastructure, ACCOUNT), limit=100, cursor=None).items)


# Nothing to receive, nothing under way, nothing delayed.
EMPTY = (0, 0, 0)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    served, started = Receiver(), Future[Callable[[], object]]()
    thread = threading.Thread(target=lambda: asyncio.run(served.serve(started)))
    thread.start()
    stop = started.result(60)
    yield served
    stop()
    thread.join(60)
    assert not thread.is_alive()


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A process for the functions to change: they set its logs up, which are put back as they were."""
    root, own = logging.getLogger(), logging.getLogger("sandbox")
    kept, levels = root.handlers[:], (root.level, own.level)
    calls, call = threading.RLock(), BaseClient._make_api_call  # type: ignore[attr-defined]

    def call_alone(*arguments: Any) -> Any:
        # Unlike what it stands for, moto cannot bear two calls at once.
        with calls:
            return call(*arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", call_alone)
    with mock_aws():
        yield monkeypatch
    root.handlers[:] = kept
    root.setLevel(levels[0])
    own.setLevel(levels[1])


@pytest.fixture
def cloud(process: pytest.MonkeyPatch) -> Cloud:
    return deploy(process)


def deploy(
    process: pytest.MonkeyPatch,
    *,
    raw_delivery: bool = True,
    filter_policy: Mapping[str, Any] | None = None,
    loopback: bool = True,
) -> Cloud:
    """Make everything, and import the entry points anew, with the environment that the stack gives them.

    loopback: receivers on this machine are allowed, as they never are in what is deployed.
    """
    clock = FrozenClock()
    process.setattr(SystemClock, "now_ms", lambda _self: clock.at_ms)
    process.setattr("moto.sqs.models.unix_time_millis", lambda: float(clock.at_ms))
    process.setattr("moto.sqs.models.unix_time", lambda: clock.at_ms / 1000)
    if loopback:
        process.setattr(bootstrap, "_build_public_sender", lambda: HttpSender(loopback=True))

    dynamodb = boto3.client("dynamodb", region_name=REGION)
    create_table(dynamodb, "Ledger")
    key_id = boto3.client("kms", region_name=REGION).create_key()["KeyMetadata"]["KeyId"]
    sqs = boto3.client("sqs", region_name=REGION)
    dead_url = sqs.create_queue(QueueName="dead")["QueueUrl"]
    redrive = {"deadLetterTargetArn": arn_of(sqs, dead_url), "maxReceiveCount": RECEIVES_MAX}
    queue_url = sqs.create_queue(
        QueueName="deliveries",
        Attributes={"VisibilityTimeout": str(VISIBILITY_S), "RedrivePolicy": json.dumps(redrive)},
    )["QueueUrl"]
    topic_arn = create_topic(arn_of(sqs, queue_url), raw_delivery, filter_policy)
    environment = {
        "AWS_DEFAULT_REGION": REGION,
        "SANDBOX_TABLE": "Ledger",
        "SANDBOX_LEDGER_SECRET": LEDGER_SECRET.hex(),
        "SANDBOX_FEED_SHARDS": "2",
        "SANDBOX_TOPIC_ARN": topic_arn,
        "SANDBOX_QUEUE_URL": queue_url,
        "SANDBOX_KMS_KEY_ID": key_id,
    }
    for name, value in environment.items():
        process.setenv(name, value)
    secret_box = KmsSecretBox(create_kms_client(region_name=REGION), key_id)
    store = DynamoDbStore(dynamodb, "Ledger", feed_shards=2)
    return Cloud(
        clock=clock,
        infrastructure=replace(make_infrastructure(store, clock), secret_box=secret_box),
        table="Ledger",
        sqs=sqs,
        queue_url=queue_url,
        dead_url=dead_url,
        relay=import_handler(process, "lambda_relay"),
        deliver=import_handler(process, "lambda_deliver"),
        sweep=import_handler(process, "lambda_sweep"),
    )


def arn_of(sqs: "SQSClient", queue_url: str) -> str:
    return sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def create_topic(queue_arn: str, raw_delivery: bool, filter_policy: Mapping[str, Any] | None) -> str:
    """The topic's ARN; the queue is subscribed to it."""
    sns = boto3.client("sns", region_name=REGION)
    topic_arn = sns.create_topic(Name="WebhookTopic")["TopicArn"]
    attributes = {"RawMessageDelivery": "true" if raw_delivery else "false"}
    if filter_policy is not None:
        attributes["FilterPolicy"] = json.dumps(filter_policy)
    sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=queue_arn, Attributes=attributes)
    return topic_arn


def import_handler(process: pytest.MonkeyPatch, name: str) -> Handler:
    name = f"payments_sandbox.entrypoints.{name}"
    process.delitem(sys.modules, name, raising=False)
    handler: Handler = import_module(name).handler
    return handler


def verified(webhook: Any, request: tuple[dict[str, str], bytes]) -> Any:
    headers, body = request
    return webhook.verify(body, headers)


@pytest.mark.parametrize("raw_delivery", [True, False], ids=["raw", "envelope"])
def test_an_authorization_arrives_as_a_webhook_that_its_receiver_can_verify(
    process: pytest.MonkeyPatch, receiver: Receiver, raw_delivery: bool
) -> None:
    cloud = deploy(process, raw_delivery=raw_delivery)
    _, webhook = cloud.endpoint(receiver.url)
    entry = authorize(plain_world(cloud.infrastructure, ACCOUNT), amount=1234).entry.record
    assert cloud.run_relay() == {"batchItemFailures": []}
    assert cloud.message_counts() == (1, 0, 0)
    assert cloud.run_deliver() == []

    (request,) = receiver.requests
    event = verified(webhook, request)
    assert (event.id, event.type) == (EVENT_PREFIX + entry.id, "payment.authorized")
    assert event.data["transaction_id"] == entry.id
    assert event.data["amount"] == 1234
    assert cloud.message_counts() == EMPTY
    (delivery,) = cloud.deliveries
    assert (delivery.state, delivery.attempt_count) == ("succeeded", 1)


def test_nothing_of_the_payment_lies_in_the_queue(cloud: Cloud, receiver: Receiver) -> None:
    cloud.endpoint(receiver.url)
    entry = authorize(plain_world(cloud.infrastructure, ACCOUNT)).entry.record
    cloud.run_relay()
    (message,) = cloud.sqs.receive_message(QueueUrl=cloud.queue_url, MessageAttributeNames=["All"])[
        "Messages"
    ]
    told = {"account_id": ACCOUNT, "type": "payment.authorized"}
    assert json.loads(message["Body"]) == {"entry_id": entry.id, **told}
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert attributes == told


def test_a_subscription_can_choose_by_event_type(process: pytest.MonkeyPatch, receiver: Receiver) -> None:
    cloud = deploy(process, filter_policy={"type": ["payment.authorization_declined"]})
    _, webhook = cloud.endpoint(receiver.url)
    for key, card in (("approved", card_with()), ("declined", card_with(number=DECLINED_NUMBER))):
        authorize(plain_world(cloud.infrastructure, ACCOUNT), key, card=card)
    cloud.run_relay()
    cloud.run_deliver()
    (request,) = receiver.requests
    assert verified(webhook, request).type == "payment.authorization_declined"


def test_a_stream_that_is_handed_over_again_delivers_nothing_twice(cloud: Cloud, receiver: Receiver) -> None:
    cloud.endpoint(receiver.url)
    entry_ids = {
        authorize(plain_world(cloud.infrastructure, ACCOUNT), f"key-{number}").entry.record.id
        for number in range(3)
    }
    for _ in range(3):
        # What the deliveries write is on the stream too by the second time.
        assert cloud.run_relay() == {"batchItemFailures": []}
        while cloud.message_counts() != EMPTY:
            assert cloud.run_deliver() == []
    arrived = [headers["webhook-id"] for headers, _ in receiver.requests]
    assert sorted(arrived) == sorted(EVENT_PREFIX + entry_id for entry_id in entry_ids)


def test_more_entries_than_a_publish_call_takes_all_arrive(cloud: Cloud, receiver: Receiver) -> None:
    cloud.endpoint(receiver.url)
    for number in range(23):
        authorize(plain_world(cloud.infrastructure, ACCOUNT), f"key-{number}")
    cloud.run_relay()
    assert cloud.message_counts() == (23, 0, 0)
    while cloud.message_counts() != EMPTY:
        assert cloud.run_deliver() == []
    assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 23


def test_a_near_retry_waits_in_the_queue_and_arrives_under_the_same_id(
    cloud: Cloud, receiver: Receiver
) -> None:
    _, webhook = cloud.endpoint(receiver.url)
    receiver.answers = [(503, {"retry-after": "42"})]
    authorize(plain_world(cloud.infrastructure, ACCOUNT))
    cloud.run_relay()
    assert cloud.run_deliver() == []
    assert cloud.message_counts() == (0, 0, 1)

    cloud.clock.advance(ms=41_999)
    assert cloud.run_deliver() == []
    assert len(receiver.requests) == 1
    cloud.clock.advance(ms=1)
    assert cloud.run_deliver() == []
    first, second = receiver.requests
    assert first[0]["webhook-id"] == second[0]["webhook-id"]
    assert first[1] == second[1]
    assert verified(webhook, second)
    assert cloud.message_counts() == EMPTY


def test_a_far_retry_is_found_by_the_sweeper(cloud: Cloud, receiver: Receiver) -> None:
    _, webhook = cloud.endpoint(receiver.url)
    receiver.answers = [(500, {})] * 3
    authorize(plain_world(cloud.infrastructure, ACCOUNT))
    cloud.run_relay()
    cloud.run_deliver()
    for _ in range(2):
        assert cloud.message_counts() == (0, 0, 1)
        # Longer than either near retry, jitter included.
        cloud.clock.advance(ms=6 * MINUTE_MS)
        assert cloud.run_deliver() == []
    assert len(receiver.requests) == 3
    assert cloud.message_counts() == EMPTY

    assert cloud.run_sweep() == {"read": 0, "sent": 0, "refused": 0, "done": 0, "failed": 0, "finished": True}
    cloud.clock.advance(ms=RETRY_DELAYS_MS[2] * 11 // 10)
    assert cloud.run_sweep() == {"read": 1, "sent": 1, "refused": 0, "done": 0, "failed": 0, "finished": True}
    # Swept twice before it is delivered, it is delivered once.
    assert cloud.run_sweep()["sent"] == 1
    assert cloud.run_deliver() == []
    assert len(receiver.requests) == 4
    assert verified(webhook, receiver.requests[3])
    assert cloud.message_counts() == EMPTY
    assert cloud.run_sweep()["read"] == 0


def test_a_receiver_that_is_gone_is_told_of_to_the_others(cloud: Cloud, receiver: Receiver) -> None:
    gone, _ = cloud.endpoint(receiver.url, events=["payment.*"])
    _, webhook = cloud.endpoint(receiver.url + "&other", events=["webhook_endpoint.disabled"])
    receiver.answers = [(410, {})]
    authorize(plain_world(cloud.infrastructure, ACCOUNT))
    cloud.run_relay()
    assert cloud.run_deliver() == []
    assert cloud.message_counts() == EMPTY
    assert get_endpoint(plain_world(cloud.infrastructure, ACCOUNT), gone).disabled_reason == "gone"

    cloud.run_relay()
    while cloud.message_counts() != EMPTY:
        assert cloud.run_deliver() == []
    event = verified(webhook, receiver.requests[-1])
    assert (event.type, event.data["endpoint_id"]) == ("webhook_endpoint.disabled", gone)
    assert len(receiver.requests) == 2


def test_a_malformed_message_ends_in_the_dead_letter_queue(cloud: Cloud, receiver: Receiver) -> None:
    cloud.endpoint(receiver.url)
    authorize(plain_world(cloud.infrastructure, ACCOUNT))
    cloud.send("no message of ours")
    cloud.run_relay()
    assert len(cloud.run_deliver()) == 1
    assert len(receiver.requests) == 1
    for _ in range(RECEIVES_MAX - 1):
        assert cloud.message_counts(cloud.dead_url) == EMPTY
        cloud.clock.advance(ms=VISIBILITY_S * 1000 + 1)
        assert len(cloud.run_deliver()) == 1
    cloud.clock.advance(ms=VISIBILITY_S * 1000 + 1)
    assert cloud.run_deliver() == []
    assert cloud.message_counts() == EMPTY
    (dead,) = cloud.sqs.receive_message(QueueUrl=cloud.dead_url)["Messages"]
    assert dead["Body"] == "no message of ours"


def test_a_message_that_the_ledger_fails_is_held_back_and_then_done(
    cloud: Cloud, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.endpoint(receiver.url)
    authorize(plain_world(cloud.infrastructure, ACCOUNT))
    cloud.run_relay()

    def unavailable(*_arguments: Any, **_options: Any) -> Any:
        raise StoreUnavailable("throttled")

    with monkeypatch.context() as outage:
        outage.setattr(DynamoDbStore, "page", unavailable)
        assert len(cloud.run_deliver()) == 1
    assert cloud.run_deliver() == []
    assert cloud.message_counts() == (0, 1, 0)
    # The first time that is long before the queue's own visibility timeout.
    cloud.clock.advance(ms=HELD_BACK_FIRST_S * 1000 + 1)
    assert cloud.run_deliver() == []
    assert len(receiver.requests) == 1
    assert cloud.message_counts() == EMPTY


def test_what_a_function_left_undone_is_found_by_the_sweeper(
    cloud: Cloud, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, webhook = cloud.endpoint(receiver.url)
    authorize(plain_world(cloud.infrastructure, ACCOUNT))
    cloud.run_relay()
    with monkeypatch.context() as hurried:
        # Time to plan, and none to attempt.
        left_ms = iter([50_000, 1_000])
        hurried.setattr(cloud.context, "get_remaining_time_in_millis", lambda: next(left_ms))
        assert cloud.run_deliver() == []
    assert receiver.requests == []
    assert cloud.message_counts() == EMPTY

    assert cloud.run_sweep()["sent"] == 1
    assert cloud.run_deliver() == []
    (request,) = receiver.requests
    assert verified(webhook, request)


def test_the_deployed_function_refuses_receivers_on_its_own_machine(
    process: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    cloud = deploy(process, loopback=False)
    cloud.endpoint(receiver.url)
    authorize(plain_world(cloud.infrastructure, ACCOUNT))
    cloud.run_relay()
    assert cloud.run_deliver() == []
    assert receiver.requests == []
    (delivery,) = cloud.deliveries
    assert [attempt.reply.error for attempt in delivery.attempts] == ["address_refused"]


@pytest.mark.parametrize("name", ["lambda_relay", "lambda_deliver", "lambda_sweep"])
def test_an_entry_point_starts_in_a_process_of_its_own_and_says_what_is_missing(name: str) -> None:
    """There, unlike here, it imports the package with parts of its libraries left out, as Lambda does."""
    environment = {
        **os.environ,
        "AWS_DEFAULT_REGION": REGION,
        "SANDBOX_TABLE": "Ledger",
        "SANDBOX_LEDGER_SECRET": LEDGER_SECRET.hex(),
        "SANDBOX_TOPIC_ARN": "arn:aws:sns:eu-central-1:123456789012:WebhookTopic",
        "SANDBOX_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/deliveries",
        "SANDBOX_KMS_KEY_ID": "alias/webhooks",
    }
    # The sweeper has no batch that could be empty: it would go to the table.
    call = "callable(handler)" if name == "lambda_sweep" else "handler({'Records': []}, Context())"
    program = f"""
class Context:
    def get_remaining_time_in_millis(self):
        return 60_000

from payments_sandbox.entrypoints.{name} import handler
print({call})
"""
    run = partial(subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    started = run(env=environment)
    assert started.stdout in ("{'batchItemFailures': []}\n", "True\n"), started.stderr
    lacking = {key: value for key, value in environment.items() if not key.startswith("SANDBOX_")}
    refused = run(env=lacking)
    assert "SettingsError: SANDBOX_" in refused.stderr


def test_a_fork_tells_of_what_happens_in_it_and_of_nothing_that_was_copied(
    cloud: Cloud, receiver: Receiver
) -> None:
    _, webhook = cloud.endpoint(receiver.url)
    authorize(plain_world(cloud.infrastructure, ACCOUNT), "before")
    snapshot = asyncio.run(take_snapshot(plain_world(cloud.infrastructure, ACCOUNT), name=None))
    account, _ = asyncio.run(
        fork_snapshot(plain_world(cloud.infrastructure, ACCOUNT), snapshot.snapshot_id, name=None)
    )
    fork = world_of(cloud.infrastructure, account.account_id)
    made = authorize(fork, "after", account=account.account_id).entry.record
    receiver.answers += [(500, {}), (500, {}), (500, {})]
    cloud.run_relay()
    for _ in range(4):
        assert cloud.run_deliver() == []
    # The origin's own event, and the fork's: each failed once, and its retry waits in the queue.
    told = [verified(webhook, request).data["transaction_id"] for request in receiver.requests]
    assert told.count(made.id) == 1
    assert len(receiver.requests) == 2
    cloud.clock.advance(ms=RETRY_DELAYS_MS[0] * 2)
    cloud.run_deliver()
    assert len(receiver.requests) == 4
    assert {headers["webhook-id"] for headers, _ in receiver.requests} >= {f"evt_{made.id}"}
    # One has failed twice: the next time is too far for the queue, and the sweeper's.
    cloud.clock.advance(ms=RETRY_DELAYS_MS[1] * 2)
    cloud.run_sweep()
    cloud.run_deliver()
    assert len(receiver.requests) == 5
    pending = [
        each.state
        for world in (plain_world(cloud.infrastructure, ACCOUNT), fork)
        for each in list_deliveries(world, limit=10, cursor=None).items
    ]
    assert pending == ["succeeded", "succeeded"]


def test_what_was_still_to_be_delivered_in_a_world_that_was_left_is_not(
    cloud: Cloud, receiver: Receiver
) -> None:
    ensure_demo_account(cloud.infrastructure)
    create_endpoint(plain_world(cloud.infrastructure, DEMO_ACCOUNT), url=receiver.url)
    snapshot = asyncio.run(take_snapshot(plain_world(cloud.infrastructure, DEMO_ACCOUNT), name=None))
    authorize(plain_world(cloud.infrastructure, ACCOUNT), "left", account=DEMO_ACCOUNT)
    receiver.answers += [(500, {})]
    cloud.run_relay()
    cloud.run_deliver()
    assert len(receiver.requests) == 1
    asyncio.run(restore_snapshot(plain_world(cloud.infrastructure, DEMO_ACCOUNT), snapshot.snapshot_id))
    cloud.clock.advance(days=8)
    for _ in range(2):
        cloud.run_sweep()
        cloud.run_relay()
        while cloud.message_counts()[0]:
            cloud.run_deliver()
    assert len(receiver.requests) == 1
    assert cloud.infrastructure.store.page(Index.DUE, DEMO_ACCOUNT).records == []
