"""That the tests of this folder see it when a part of the deployment no longer fits the others.

Each of these changes one thing of the deployed stack behind the program's back, runs a test of this folder that passes
otherwise, and wants it to fail. So a green run says something of environment variables, policies, redrives and routes.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e import test_payment_life as payments
from tests.e2e.aws.test_gateway import every_operation_is_deployed
from tests.e2e.aws.test_workers import (
    dead_letters,
    malformed_messages_end_among_the_dead,
    send_malformed,
    visibility_timeout,
)
from tests.e2e.infra.aws.emulator import Emulator
from tests.e2e.infra.aws.sandbox_stack import DeployedSandbox
from tests.e2e.infra.client import Client, accepted
from tests.e2e.infra.receiver import Receiver
from tests.e2e.infra.server import until_deadline

pytestmark = pytest.mark.e2e


def a_payment_can_be_made(shop: Client) -> None:
    payments.test_a_payment_is_authorized_captured_refunded_and_shown_with_its_family(shop)


def event_for(receiver: Receiver, shop: Client) -> str:
    """The id of an event that this receiver is to be sent."""
    accepted(shop.send("POST", "/v1/webhook-endpoints", json={"url": receiver.url}), 201)
    return "evt_" + str(accepted(shop.authorize(1000), 201)["transaction_id"])


def wait_for_log(emulator: Emulator, skipped: int, *texts: str, count: int = 1) -> None:
    """Wait until so many lines of the emulator's log, after those skipped, hold each of the texts."""
    for _ in until_deadline(f"the log says {texts} {count} times", pause_s=0.1):
        lines = emulator.log.read_text().splitlines()[skipped:]
        if sum(all(text in line for text in texts) for line in lines) >= count:
            break


def test_unchanged_everything_passes(server: DeployedSandbox, shop: Client, receiver: Receiver) -> None:
    """Without this, what fails below might fail anyway."""
    a_payment_can_be_made(shop)
    event_id = event_for(receiver, shop)
    # An event from before the endpoint was registered may arrive too: deliveries are planned later.
    for _ in until_deadline("the event has arrived"):
        if event_id in receiver.ids:
            break
    every_operation_is_deployed(server)
    malformed_messages_end_among_the_dead(server)


@pytest.mark.parametrize("variable", ["SANDBOX_TABLE", "SANDBOX_LEDGER_SECRET", "SANDBOX_CONTRACT"])
def test_a_variable_of_the_api_that_is_renamed_fails_payments(
    server: DeployedSandbox, shop: Client, variable: str
) -> None:
    with renamed_variable(server, "api", variable), pytest.raises(AssertionError, match="50"):
        a_payment_can_be_made(shop)
    a_payment_can_be_made(shop)


@pytest.mark.parametrize("action", ["dynamodb:PutItem", "dynamodb:GetItem"])
def test_an_action_that_the_api_is_not_allowed_fails_payments(
    server: DeployedSandbox, shop: Client, action: str
) -> None:
    with forbidden(server, "api", action), pytest.raises(AssertionError, match="500"):
        a_payment_can_be_made(shop)
    a_payment_can_be_made(shop)


@pytest.mark.parametrize(
    ("function", "action"),
    [("relay", "sns:Publish"), ("deliver", "dynamodb:Query"), ("deliver", "dynamodb:PutItem")],
)
def test_an_action_that_a_worker_is_not_allowed_fails_webhooks(
    server: DeployedSandbox, emulator: Emulator, shop: Client, receiver: Receiver, function: str, action: str
) -> None:
    """The test waits until the worker was refused, so that the webhook is not only late."""
    skipped = len(emulator.log.read_text().splitlines())
    with forbidden(server, function, action):
        event_id = event_for(receiver, shop)
        refused = f"not authorized to perform: {action}"
        wait_for_log(emulator, skipped, server.output("function_names")[function], refused)
        assert event_id not in receiver.ids


def test_a_queue_without_its_redrive_fails_dead_letters(server: DeployedSandbox, emulator: Emulator) -> None:
    """The test waits until the message was tried more often than the redrive allows."""
    skipped = len(emulator.log.read_text().splitlines())
    with without_redrive(server) as tries_max, visibility_timeout(server, seconds=0):
        text, message_id = send_malformed(server)
        wait_for_log(emulator, skipped, "a message is malformed", message_id, count=tries_max + 1)
        assert text not in dead_letters(server)


def test_a_route_that_is_not_deployed_fails_the_comparison_with_the_contract(server: DeployedSandbox) -> None:
    with without_route(server, "/v1/capture", "POST"), pytest.raises(AssertionError, match="capture"):
        every_operation_is_deployed(server)


@contextmanager
def renamed_variable(server: DeployedSandbox, function: str, variable: str) -> Iterator[None]:
    """A function whose environment has one of its variables under another name."""
    functions, name = server.cloud.client("lambda"), server.output("function_names")[function]
    before = functions.get_function_configuration(FunctionName=name)["Environment"]
    changed = {**before["Variables"], f"{variable}_": before["Variables"][variable]}
    del changed[variable]
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": changed})
    try:
        yield
    finally:
        functions.update_function_configuration(FunctionName=name, Environment=before)


@contextmanager
def forbidden(server: DeployedSandbox, function: str, action: str) -> Iterator[None]:
    """A function whose role has lost one action."""
    iam, role = server.cloud.client("iam"), server.output("function_names")[function]
    (policy,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    before = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    assert action in json.dumps(before), f"{role} has no {action}"
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(without(before, action)))
    try:
        yield
    finally:
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(before))


def without(policy: dict[str, Any], action: str) -> dict[str, Any]:
    """The policy with one action less; a statement that had no other is gone."""
    statements = [
        {**statement, "Action": [one for one in actions_of(statement) if one != action]}
        for statement in policy["Statement"]
        if actions_of(statement) != [action]
    ]
    return {**policy, "Statement": statements}


def actions_of(statement: dict[str, Any]) -> list[str]:
    actions = statement["Action"]
    return [actions] if isinstance(actions, str) else list(actions)


@contextmanager
def without_redrive(server: DeployedSandbox) -> Iterator[int]:
    """The queue of webhooks without a queue for its dead letters; answers how often a message may be received."""
    sqs, queue_url = server.cloud.client("sqs"), server.output("queue_url")
    before = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["RedrivePolicy"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"RedrivePolicy": ""})
    try:
        yield json.loads(before["RedrivePolicy"])["maxReceiveCount"]
    finally:
        sqs.set_queue_attributes(QueueUrl=queue_url, Attributes=before)
        # What could not be put aside would come back for ever.
        sqs.purge_queue(QueueUrl=queue_url)


@contextmanager
def without_route(server: DeployedSandbox, path: str, method: str) -> Iterator[None]:
    """An API that has lost one method of one path."""
    gateway = server.cloud.client("apigateway")
    (api,) = gateway.get_rest_apis()["items"]
    pages = gateway.get_paginator("get_resources").paginate(restApiId=api["id"])
    (resource,) = [one for page in pages for one in page["items"] if one["path"] == path]
    at = {"restApiId": api["id"], "resourceId": resource["id"], "httpMethod": method}
    before = gateway.get_method(**at)
    gateway.delete_method(**at)
    try:
        yield
    finally:
        integration = before["methodIntegration"]
        gateway.put_method(
            **at,
            authorizationType=before["authorizationType"],
            apiKeyRequired=before["apiKeyRequired"],
            requestParameters=before.get("requestParameters", {}),
            requestModels=before.get("requestModels", {}),
            operationName=before["operationName"],
        )
        gateway.put_integration(
            **at,
            type=integration["type"],
            integrationHttpMethod=integration["httpMethod"],
            uri=integration["uri"],
            passthroughBehavior=integration["passthroughBehavior"],
        )
