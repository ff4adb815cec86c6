"""What works without a request on AWS: dead letters, the sweeper, and the settlement's state machine."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from payments_sandbox.domain.timestamps import SECOND_MS, format_timestamp, parse_timestamp
from tests.e2e.infra.aws.sandbox_stack import DeployedSandbox
from tests.e2e.infra.client import Client, accepted
from tests.e2e.infra.server import until_deadline

pytestmark = pytest.mark.e2e

Json = dict[str, Any]

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS


def test_a_message_that_nothing_can_be_made_of_ends_among_the_dead_letters(server: DeployedSandbox) -> None:
    malformed_messages_end_among_the_dead(server)


def malformed_messages_end_among_the_dead(server: DeployedSandbox) -> None:
    """The operator makes messages come back at once; how often they may is the program's."""
    with visibility_timeout(server, seconds=0):
        text, _ = send_malformed(server)
        for _ in until_deadline("the message is among the dead letters", pause_s=0.2):
            if text in dead_letters(server):
                break


def send_malformed(server: DeployedSandbox) -> tuple[str, str]:
    """Put a message into the queue of webhooks that is neither an entry nor a delivery; answers its text and id."""
    text = json.dumps({"neither": "an entry nor a delivery", "at": time.time_ns()})
    sent = server.cloud.client("sqs").send_message(QueueUrl=server.output("queue_url"), MessageBody=text)
    return text, sent["MessageId"]


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


def dead_letters(server: DeployedSandbox) -> set[str]:
    """The texts of some dead letters of webhooks: of all, when there are few."""
    answer = server.cloud.client("sqs").receive_message(
        QueueUrl=server.output("dead_letter_urls")["webhooks"],
        MaxNumberOfMessages=10,
        VisibilityTimeout=1,
    )
    return {message["Body"] for message in answer.get("Messages", [])}


def test_the_state_machine_settles_what_was_captured(
    server: DeployedSandbox, demo: Client, stack: ExitStack
) -> None:
    with sweeper_at_rest(server):
        shop = account_with_due_capture(demo, stack)
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


def account_with_due_capture(demo: Client, stack: ExitStack) -> Client:
    """A new account that captured something seconds before its day ended: more seconds on a machine that is too slow."""
    for seconds in (2, 10, 50):
        shop = stack.enter_context(demo.new_account())
        now_ms = parse_timestamp(accepted(shop.get("/v1/clock"), 200)["now"])
        # A minute before midnight, the clock could not move to just before it any more.
        end_of_day_ms = ((now_ms + MINUTE_MS) // DAY_MS + 1) * DAY_MS
        just_before = format_timestamp(end_of_day_ms - seconds * SECOND_MS)
        accepted(shop.send("POST", "/v1/clock/advance", json={"to": just_before}), 200)
        authorization_id = accepted(shop.authorize(1000), 201)["transaction_id"]
        capture = accepted(shop.capture(authorization_id), 201)
        if parse_timestamp(capture["created_at"]) >= end_of_day_ms:
            continue
        for _ in until_deadline("the account's day has ended", pause_s=0.25):
            if parse_timestamp(accepted(shop.get("/v1/clock"), 200)["now"]) > end_of_day_ms:
                return shop
    raise TimeoutError("a capture takes longer than 50 s")


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
