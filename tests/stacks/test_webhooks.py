"""Webhooks: from the stream to the queue nothing is lost, nothing is retried without end, and nothing wakes in vain."""

import json
from typing import Any

import pytest

from payments_sandbox.workers import deliver as deliver_worker
from payments_sandbox.workers import sweep as sweep_worker
from stacks.components import webhooks
from stacks.event_kinds import EVENT_KINDS
from tests.stacks.deployed import ACCOUNT, REGION, Made, deploy

QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:payments-sandbox-dev-webhooks"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:payments-sandbox-dev-WebhookTopic"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/k1"
FUNCTIONS = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:payments-sandbox-dev"


def source(name: str) -> dict[str, Any]:
    return deploy().one("EventSourceMapping", f"{name}-source").plain


def queue(name: str) -> Made:
    return deploy().one("Queue", name)


# --- relay ---------------------------------------------------------------------------------------------------------


def test_the_relay_follows_the_ledgers_stream_from_its_beginning() -> None:
    made = source("relay")
    assert made["eventSourceArn"] == deploy().one("Table").outputs["streamArn"]
    assert made["functionName"] == f"{FUNCTIONS}-relay"
    assert made["startingPosition"] == "TRIM_HORIZON", (
        "what was written before it was there is to be told too"
    )


def test_a_record_that_cannot_be_relayed_holds_its_shard_up_for_a_while_and_no_longer() -> None:
    made = source("relay")
    assert made["functionResponseTypes"] == ["ReportBatchItemFailures"]
    assert made["bisectBatchOnFunctionError"] is True
    assert 1 <= made["maximumRetryAttempts"] <= 20
    assert 60 <= made["maximumRecordAgeInSeconds"] < 24 * 3600, "the stream forgets after a day"
    assert made["destinationConfig"] == {"onFailure": {"destinationArn": f"{QUEUE}-dead-letters"}}


def test_the_relay_is_woken_for_new_events_and_for_nothing_else() -> None:
    (each,) = source("relay")["filterCriteria"]["filters"]
    pattern = json.loads(each["pattern"])
    assert pattern["eventName"] == ["INSERT"]
    assert pattern["dynamodb"]["NewImage"]["kind"]["S"] == list(EVENT_KINDS)


# --- topic and queue -----------------------------------------------------------------------------------------------


def test_the_topic_speaks_to_the_queue_without_an_envelope() -> None:
    subscription = deploy().one("TopicSubscription", "webhooks-subscription")
    assert (subscription.plain["topic"], subscription.plain["endpoint"]) == (TOPIC, QUEUE)
    assert subscription.plain["protocol"] == "sqs"
    assert subscription.plain["rawMessageDelivery"] is True
    assert "webhooks-queue-policy" in subscription.after, "before it, what is published would be refused"


def test_the_topic_and_nobody_else_may_send_to_the_queue() -> None:
    (statement,) = deploy().one("QueuePolicy").document("policy")["Statement"]
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Resource"] == QUEUE
    assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": TOPIC}}


def test_what_fails_time_and_again_is_put_aside() -> None:
    redrive = queue("webhooks-queue").document("redrivePolicy")
    assert redrive["deadLetterTargetArn"] == f"{QUEUE}-dead-letters"
    assert redrive["maxReceiveCount"] == webhooks.RECEIVE_COUNT_MAX


def test_a_message_outlives_an_outage_of_half_an_hour() -> None:
    """Each failure holds a message back twice as long as the one before."""
    first = deliver_worker.HELD_BACK_FIRST_S
    held_back_s = sum(first * 2**failure for failure in range(webhooks.RECEIVE_COUNT_MAX - 1))
    assert held_back_s > 30 * 60


@pytest.mark.parametrize("name", ["webhooks-dead-letters", "settlement-dead-letters"])
def test_dead_letters_are_kept_as_long_as_can_be(name: str) -> None:
    assert queue(name).plain["messageRetentionSeconds"] == 14 * 24 * 3600
    assert "redrivePolicy" not in queue(name).plain


def test_queues_and_topics_are_encrypted_under_the_stacks_key() -> None:
    for made in (*deploy().of_type("Queue"), *deploy().of_type("Topic")):
        assert made.plain["kmsMasterKeyId"] == KEY, made.name


# --- deliver -------------------------------------------------------------------------------------------------------


def test_a_batch_of_messages_is_answered_for_one_by_one() -> None:
    made = source("deliver")
    assert (made["eventSourceArn"], made["functionName"]) == (QUEUE, f"{FUNCTIONS}-deliver")
    assert made["functionResponseTypes"] == ["ReportBatchItemFailures"]
    assert made["batchSize"] == 10


def test_a_message_does_not_come_back_while_it_is_worked_on() -> None:
    timeout = deploy().one("Function", "deliver-function").plain["timeout"]
    assert queue("webhooks-queue").plain["visibilityTimeoutSeconds"] >= 6 * timeout


def test_an_attempt_ends_before_its_invocation_does() -> None:
    timeout = deploy().one("Function", "deliver-function").plain["timeout"]
    assert timeout * 1000 > deliver_worker.TIME_NEEDED_MS


def test_no_more_messages_are_taken_than_the_function_has_room_for() -> None:
    deployed = deploy(concurrency_deliver=7)
    taken = deployed.one("EventSourceMapping", "deliver-source").plain["scalingConfig"]["maximumConcurrency"]
    assert taken == deployed.one("Function", "deliver-function").plain["reservedConcurrentExecutions"] == 7


# --- sweep ---------------------------------------------------------------------------------------------------------


def test_the_sweeper_runs_each_minute() -> None:
    schedule = deploy().one("Schedule", "sweep-schedule")
    assert schedule.plain["scheduleExpression"] == "rate(1 minute)"
    assert schedule.plain["flexibleTimeWindow"] == {"mode": "OFF"}
    target = schedule.plain["target"]
    assert target["arn"] == f"{FUNCTIONS}-sweep"
    assert target["roleArn"].endswith("role/payments-sandbox-dev-sweep-schedule")
    assert target["deadLetterConfig"] == {"arn": f"{QUEUE}-dead-letters"}
    assert "sweep-schedule-policy" in schedule.after


def test_a_run_of_the_sweeper_has_time_for_more_than_it_keeps_back() -> None:
    timeout = deploy().one("Function", "sweep-function").plain["timeout"]
    assert timeout * 1000 > 2 * sweep_worker.TIME_KEPT_MS


def test_a_run_that_fails_leaves_a_dead_letter() -> None:
    assert deploy().one("Function", "sweep-function").plain["deadLetterConfig"] == {
        "targetArn": f"{QUEUE}-dead-letters"
    }


# --- the key -------------------------------------------------------------------------------------------------------


def test_services_use_the_key_for_this_account_only() -> None:
    statements = deploy().one("Key").document("policy")["Statement"]
    account, *services = statements
    assert account["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    for statement in services:
        condition = json.dumps(statement["Condition"])
        assert ACCOUNT in condition, statement["Sid"]
    by_name = {statement["Sid"]: statement for statement in services}
    assert by_name["NoticesAndAlarms"]["Principal"]["Service"] == [
        "sns.amazonaws.com",
        "cloudwatch.amazonaws.com",
    ]
    assert by_name["Logs"]["Principal"]["Service"] == f"logs.{REGION}.amazonaws.com"
    via = by_name["LedgerThroughDynamoDb"]["Condition"]["StringEquals"]["kms:ViaService"]
    assert via == f"dynamodb.{REGION}.amazonaws.com"


def test_the_key_rotates_and_has_a_name() -> None:
    deployed = deploy()
    assert deployed.one("Key").plain["enableKeyRotation"] is True
    assert deployed.one("Alias", "encryption-alias").plain["name"] == "alias/payments-sandbox-dev"
