"""What works without a request on AWS: dead letters, the sweeper, and the settlement's state machine."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from payments_sandbox.domain.moments import format_moment, parse_moment
from tests.e2e.infra.aws.sandbox_stack import DeployedSandbox
from tests.e2e.infra.client import Client, accepted
from tests.e2e.infra.server import until_deadline

pytestmark = pytest.mark.e2e

Json = dict[str, Any]

DAY_MS = 24 * 3_600_000


def test_a_message_that_nothing_can_be_made_of_ends_among_the_dead_letters(server: DeployedSandbox) -> None:
    malformed_messages_end_among_the_dead(server)


def malformed_messages_end_among_the_dead(server: DeployedSandbox) -> None:
    """The operator makes messages come back at once; how often they may is the program's."""
    sqs, queue_url = server.cloud.client("sqs"), server.output("queue_url")
    text = json.dumps({"neither": "an entry nor a delivery", "at": time.time_ns()})
    with visibility_timeout(server, seconds=0):
        sqs.send_message(QueueUrl=queue_url, MessageBody=text)
        assert text in dead_letters(server, until=text)


@contextmanager
def visibility_timeout(server: DeployedSandbox, *, seconds: int) -> Iterator[None]:
    """For a while, messages of the queue are hidden for so long after they were received."""
    sqs, queue_url = server.cloud.client("sqs"), server.output("queue_url")
    before = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"VisibilityTimeout": str(seconds)})
    try:
        yield
    finally:
        sqs.set_queue_attributes(QueueUrl=queue_url, Attributes=before)


def dead_letters(server: DeployedSandbox, *, until: str) -> set[str]:
    """The dead letters, once this is one of them."""
    sqs, found = server.cloud.client("sqs"), set()
    for _ in until_deadline("the message is among the dead letters", pause_s=0.2):
        answer = sqs.receive_message(
            QueueUrl=server.output("dead_letter_urls")["webhooks"],
            MaxNumberOfMessages=10,
            VisibilityTimeout=1,
        )
        found |= {message["Body"] for message in answer.get("Messages", [])}
        if until in found:
            break
    return found


def test_the_state_machine_settles_what_was_captured(server: DeployedSandbox, shop: Client) -> None:
    with sweeper_at_rest(server):
        capture_that_is_due(shop)
        assert settle(server)["failed_count"] == 0
        (settlement,) = accepted(shop.get("/v1/settlements"), 200)["data"]
        # Running it again settles nothing twice.
        assert settle(server)["failed_count"] == 0
        assert accepted(shop.get("/v1/settlements"), 200)["data"] == [settlement]
    assert (settlement["status"], settlement["initiated_by"]) == ("completed", "schedule")
    assert (settlement["entry_count"], settlement["gross_amount"]) == (1, 1000)
    assert settlement["payout"]["amount"] == settlement["net_amount"]


@contextmanager
def sweeper_at_rest(server: DeployedSandbox) -> Iterator[None]:
    """Nothing that is due is done meanwhile, but by whom the test calls: the sweeper is not allowed to run."""
    functions, name = server.cloud.client("lambda"), server.output("function_names")["sweep"]
    before = functions.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"]
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        yield
    finally:
        functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=before)


def capture_that_is_due(shop: Client) -> None:
    """Capture something a few seconds before the account's day ends, and see it end."""
    now_ms = parse_moment(accepted(shop.get("/v1/clock"), 200)["now"])
    end_of_day_ms = (now_ms // DAY_MS + 1) * DAY_MS
    just_before = format_moment(end_of_day_ms - 8_000)
    accepted(shop.send("POST", "/v1/clock/advance", json={"to": just_before}), 200)
    authorization_id = accepted(shop.authorize(1000), 201)["transaction_id"]
    accepted(shop.capture(authorization_id), 201)
    for _ in until_deadline("the account's day has ended", pause_s=0.25):
        if parse_moment(accepted(shop.get("/v1/clock"), 200)["now"]) > end_of_day_ms:
            return


def settle(server: DeployedSandbox) -> Json:
    """Run the state machine as its schedule does; answers the state that it ended with."""
    machines = server.cloud.client("stepfunctions")
    execution = machines.start_execution(
        stateMachineArn=server.output("state_machine_arn"),
        input=json.dumps({"scheduled_at": "2030-01-01T02:30:00Z"}),
    )["executionArn"]
    for _ in until_deadline("the execution has ended", pause_s=0.1):
        described = machines.describe_execution(executionArn=execution)
        if described["status"] != "RUNNING":
            break
    assert described["status"] == "SUCCEEDED", described
    state: Json = json.loads(described["output"])
    return state
