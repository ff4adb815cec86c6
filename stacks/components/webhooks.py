"""How an entry becomes a webhook: ledger stream -> relay -> topic -> queue -> deliver, and each minute the sweeper for
what has no message.

Nothing is lost on the way: what relay or deliver fail on for good ends in the queue of dead letters, which an alarm
watches. See `handlers/payments_sandbox/workers/` for what the functions do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from stacks.components.function import FunctionArgs, FunctionDefaults, SandboxFunction
from stacks.components.ledger import Ledger
from stacks.event_kinds import EVENT_KINDS
from stacks.permissions import Statement, role_policy, trust_policy

RELAY_TIMEOUT_S = 60
RELAY_BATCH = 100
RELAY_RETRIES = 8
RELAY_AGE_MAX_S = 6 * 3600
DELIVER_TIMEOUT_S = 60
"""Longer than an attempt's lease: see `TIME_NEEDED_MS` in `handlers/payments_sandbox/workers/deliver.py`."""

DELIVER_BATCH = 10
VISIBILITY_S = 6 * DELIVER_TIMEOUT_S
"""What AWS asks for, so that a message does not come back while it is being worked on."""

RECEIVE_COUNT_MAX = 10
"""How often a message may fail: the function holds it back for 5 s, then twice as long each time, 40 minutes in all."""

SWEEP_TIMEOUT_S = 60
DEAD_LETTER_RETENTION_S = 14 * 24 * 3600
QUEUE_RETENTION_S = 4 * 24 * 3600


@dataclass(frozen=True, slots=True)
class WebhooksArgs:
    """concurrency_*: how many instances of a function may run at once; 0 reserves none."""

    defaults: FunctionDefaults
    ledger: Ledger
    memory_mb: int
    concurrency_relay: int
    concurrency_deliver: int
    concurrency_sweep: int


class Webhooks(pulumi.ComponentResource):
    """Topic, queue, dead letters, and the functions relay, deliver and sweep.

    Outputs: topic_arn, queue_url, queue_name, dead_letter_url, dead_letter_name.
    Costs: idle nearly 0 (the sweeper runs each minute, and Lambda polls the queue); scales with events.
    """

    def __init__(self, name: str, args: WebhooksArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sandbox:webhooks:Webhooks", name, None, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        self._args = args
        self._place = args.defaults.place
        self._key = args.defaults.key
        self.dead_letters = aws.sqs.Queue(
            f"{name}-dead-letters",
            name=self._place.name("webhooks-dead-letters"),
            message_retention_seconds=DEAD_LETTER_RETENTION_S,
            kms_master_key_id=self._key.arn,
            opts=self._child,
        )
        self.topic = aws.sns.Topic(
            f"{name}-topic",
            name=self._place.name("WebhookTopic"),
            kms_master_key_id=self._key.arn,
            opts=self._child,
        )
        self.queue = self._queue(name)
        self.relay = self._relay()
        self.deliver = self._deliver()
        self.sweep = self._sweep()
        self.register_outputs(
            {
                "topic_arn": self.topic.arn,
                "queue_url": self.queue.url,
                "dead_letter_url": self.dead_letters.url,
            }
        )

    @property
    def functions(self) -> Sequence[SandboxFunction]:
        """What runs here."""
        return [self.relay, self.deliver, self.sweep]

    def _queue(self, name: str) -> aws.sqs.Queue:
        queue = aws.sqs.Queue(
            f"{name}-queue",
            name=self._place.name("webhooks"),
            visibility_timeout_seconds=VISIBILITY_S,
            message_retention_seconds=QUEUE_RETENTION_S,
            receive_wait_time_seconds=20,
            kms_master_key_id=self._key.arn,
            redrive_policy=pulumi.Output.json_dumps(
                {"deadLetterTargetArn": self.dead_letters.arn, "maxReceiveCount": RECEIVE_COUNT_MAX}
            ),
            opts=self._child,
        )
        policy = aws.sqs.QueuePolicy(
            f"{name}-queue-policy",
            queue_url=queue.url,
            policy=pulumi.Output.json_dumps(_queue_policy(queue, self.topic)),
            opts=self._child,
        )
        aws.sns.TopicSubscription(
            f"{name}-subscription",
            topic=self.topic.arn,
            protocol="sqs",
            endpoint=queue.arn,
            # Without SNS's envelope, which is several times the size of a notice.
            raw_message_delivery=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        return queue

    def _relay(self) -> SandboxFunction:
        relay = SandboxFunction(
            "relay",
            FunctionArgs(
                defaults=self._args.defaults,
                entrypoint="lambda_relay",
                settings={"topic_arn": self.topic.arn},
                permissions=[
                    *self._args.ledger.follow(),
                    *self._key.use(),
                    Statement("PublishNotices", ["sns:Publish"], [self.topic.arn]),
                    Statement("KeepDeadEvents", ["sqs:SendMessage"], [self.dead_letters.arn]),
                ],
                memory_mb=self._args.memory_mb,
                timeout_s=RELAY_TIMEOUT_S,
                reserved_concurrency=self._args.concurrency_relay,
            ),
            opts=self._child,
        )
        aws.lambda_.EventSourceMapping(
            "relay-source",
            event_source_arn=self._args.ledger.stream_arn,
            function_name=relay.arn,
            starting_position="TRIM_HORIZON",
            batch_size=RELAY_BATCH,
            maximum_retry_attempts=RELAY_RETRIES,
            maximum_record_age_in_seconds=RELAY_AGE_MAX_S,
            bisect_batch_on_function_error=True,
            function_response_types=["ReportBatchItemFailures"],
            filter_criteria={"filters": [{"pattern": pulumi.Output.json_dumps(NEW_EVENTS)}]},
            destination_config={"on_failure": {"destination_arn": self.dead_letters.arn}},
            opts=self._child,
        )
        return relay

    def _deliver(self) -> SandboxFunction:
        actions = [
            "ChangeMessageVisibility",
            "DeleteMessage",
            "GetQueueAttributes",
            "ReceiveMessage",
            "SendMessage",
        ]
        deliver = SandboxFunction(
            "deliver",
            FunctionArgs(
                defaults=self._args.defaults,
                entrypoint="lambda_deliver",
                settings={
                    **self._args.ledger.settings(),
                    "queue_url": self.queue.url,
                    "kms_key_id": self._key.arn,
                },
                permissions=[
                    *self._args.ledger.read_write(),
                    *self._key.use(),
                    Statement("WorkOnQueue", [f"sqs:{action}" for action in actions], [self.queue.arn]),
                ],
                memory_mb=self._args.memory_mb,
                timeout_s=DELIVER_TIMEOUT_S,
                reserved_concurrency=self._args.concurrency_deliver,
            ),
            opts=self._child,
        )
        limit = self._args.concurrency_deliver
        aws.lambda_.EventSourceMapping(
            "deliver-source",
            event_source_arn=self.queue.arn,
            function_name=deliver.arn,
            batch_size=DELIVER_BATCH,
            function_response_types=["ReportBatchItemFailures"],
            # Without it Lambda takes more messages than the function has room for, and throttled ones count as received.
            scaling_config={"maximum_concurrency": limit} if limit else None,
            opts=self._child,
        )
        return deliver

    def _sweep(self) -> SandboxFunction:
        sweep = SandboxFunction(
            "sweep",
            FunctionArgs(
                defaults=self._args.defaults,
                entrypoint="lambda_sweep",
                settings={**self._args.ledger.settings(), "queue_url": self.queue.url},
                permissions=[
                    *self._args.ledger.read_write(),
                    *self._key.use(),
                    Statement("SendDue", ["sqs:SendMessage"], [self.queue.arn]),
                ],
                memory_mb=self._args.memory_mb,
                timeout_s=SWEEP_TIMEOUT_S,
                reserved_concurrency=self._args.concurrency_sweep,
                dead_letters=self.dead_letters.arn,
            ),
            opts=self._child,
        )
        role = aws.iam.Role(
            "sweep-schedule-role",
            name=self._place.name("sweep-schedule"),
            assume_role_policy=trust_policy("scheduler.amazonaws.com", account_id=self._place.account_id),
            opts=self._child,
        )
        policy = aws.iam.RolePolicy(
            "sweep-schedule-policy",
            name=self._place.name("sweep-schedule"),
            role=role.name,
            policy=role_policy(
                [
                    *sweep.invoke(),
                    *self._key.use(),
                    Statement("KeepDeadEvents", ["sqs:SendMessage"], [self.dead_letters.arn]),
                ]
            ),
            opts=self._child,
        )
        aws.scheduler.Schedule(
            "sweep-schedule",
            name=self._place.name("sweep"),
            description="Sends what is due to the queue",
            schedule_expression="rate(1 minute)",
            flexible_time_window={"mode": "OFF"},
            target={
                "arn": sweep.arn,
                "role_arn": role.arn,
                # A minute that is missed is made up for by the next.
                "retry_policy": {"maximum_retry_attempts": 0, "maximum_event_age_in_seconds": 60},
                "dead_letter_config": {"arn": self.dead_letters.arn},
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        return sweep


NEW_EVENTS: dict[str, Any] = {
    "eventName": ["INSERT"],
    "dynamodb": {"NewImage": {"kind": {"S": list(EVENT_KINDS)}}},
}
"""What of the stream the relay is woken for: neither updates, nor what time to live removes, nor other kinds of records."""


def _queue_policy(queue: aws.sqs.Queue, topic: aws.sns.Topic) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "NoticesOfTheTopic",
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue.arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": topic.arn}},
            }
        ],
    }
