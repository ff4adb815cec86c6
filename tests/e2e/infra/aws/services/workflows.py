"""What runs without a request: Step Functions, EventBridge schedules and rules."""

from typing import Any

from tests.e2e.infra.aws.cloud import Cloud, Created
from tests.e2e.infra.aws.inputs import Inputs


def create_state_machine(cloud: Cloud, inputs: Inputs) -> Created:
    name = inputs.physical_name()
    definition = inputs.json_text("definition")
    tags = [{"key": key, "value": value} for key, value in cloud.tags(inputs).items()]
    request: dict[str, Any] = inputs.pick(roleArn="roleArn", type="type", publish="publish")
    logging = inputs.block("loggingConfiguration")
    if logging is not None:
        request["loggingConfiguration"] = logging.pick(
            level="level", includeExecutionData="includeExecutionData"
        )
        destination = logging.get("logDestination")
        if destination:
            request["loggingConfiguration"]["destinations"] = [
                {"cloudWatchLogsLogGroup": {"logGroupArn": destination}}
            ]
    tracing = inputs.block("tracingConfiguration")
    if tracing is not None:
        request["tracingConfiguration"] = tracing.pick(enabled="enabled")
    made = cloud.client("stepfunctions").create_state_machine(
        name=name, definition=definition, tags=tags, **request
    )
    arn = made["stateMachineArn"]
    outputs = {"name": name, "arn": arn, "definition": definition, "status": "ACTIVE"}
    return Created(arn, {**outputs, "tagsAll": cloud.tags(inputs)})


def create_schedule_group(cloud: Cloud, inputs: Inputs) -> Created:
    name = inputs.physical_name()
    arn = cloud.client("scheduler").create_schedule_group(Name=name, Tags=cloud.tag_list(inputs))[
        "ScheduleGroupArn"
    ]
    return Created(name, {"name": name, "arn": arn, "tagsAll": cloud.tags(inputs)})


def create_schedule(cloud: Cloud, inputs: Inputs) -> Created:
    name = inputs.physical_name()
    window, target = inputs.block("flexibleTimeWindow"), inputs.block("target")
    assert window is not None, "it is required"
    assert target is not None, "it is required"
    arn = cloud.client("scheduler").create_schedule(
        Name=name,
        FlexibleTimeWindow=window.pick(mode="Mode", maximumWindowInMinutes="MaximumWindowInMinutes"),
        Target=target_of(target),
        **inputs.pick(
            scheduleExpression="ScheduleExpression",
            scheduleExpressionTimezone="ScheduleExpressionTimezone",
            groupName="GroupName",
            description="Description",
            state="State",
        ),
    )["ScheduleArn"]
    return Created(f"{inputs.get('groupName', 'default')}/{name}", {"name": name, "arn": arn})


def target_of(target: Inputs) -> dict[str, Any]:
    """What a schedule calls, with what, and where a call goes that failed."""
    request = target.pick(arn="Arn", roleArn="RoleArn", input="Input")
    dead_letters, retries = target.block("deadLetterConfig"), target.block("retryPolicy")
    if dead_letters is not None:
        request["DeadLetterConfig"] = {"Arn": dead_letters["arn"]}
    if retries is not None:
        request["RetryPolicy"] = retries.pick(
            maximumRetryAttempts="MaximumRetryAttempts", maximumEventAgeInSeconds="MaximumEventAgeInSeconds"
        )
    return request


def create_rule(cloud: Cloud, inputs: Inputs) -> Created:
    name = inputs.physical_name()
    arn = cloud.client("events").put_rule(
        Name=name,
        Tags=cloud.tag_list(inputs),
        **inputs.pick(
            scheduleExpression="ScheduleExpression",
            eventPattern="EventPattern",
            description="Description",
            state="State",
        ),
    )["RuleArn"]
    return Created(name, {"name": name, "arn": arn, "tagsAll": cloud.tags(inputs)})


def create_rule_target(cloud: Cloud, inputs: Inputs) -> Created:
    rule, target_id = inputs["rule"], inputs.get("targetId") or inputs.name
    target = {"Id": target_id, **inputs.pick(arn="Arn", roleArn="RoleArn", input="Input")}
    cloud.client("events").put_targets(Rule=rule, Targets=[target])
    return Created(f"{rule}-{target_id}", {"targetId": target_id})


MAPPINGS = {
    "aws:sfn/stateMachine:StateMachine": create_state_machine,
    "aws:scheduler/scheduleGroup:ScheduleGroup": create_schedule_group,
    "aws:scheduler/schedule:Schedule": create_schedule,
    "aws:cloudwatch/eventRule:EventRule": create_rule,
    "aws:cloudwatch/eventTarget:EventTarget": create_rule_target,
}
