"""What is invoked asynchronously fails where nobody waits for an answer: each way in ends in a queue of dead letters."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from stacks.policy.resource import UNKNOWN, Resource

FUNCTION: Final = "aws:lambda/function:Function"
QUEUE: Final = "aws:sqs/queue:Queue"
EVENT_SOURCE: Final = "aws:lambda/eventSourceMapping:EventSourceMapping"
INVOKE_CONFIG: Final = "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig"
SCHEDULE: Final = "aws:scheduler/schedule:Schedule"
EVENT_TARGET: Final = "aws:cloudwatch/eventTarget:EventTarget"
SUBSCRIPTION: Final = "aws:sns/topicSubscription:TopicSubscription"

DEAD_LETTERS: Final = "dead-letters"
"""How a queue is called that is the end of the way: it has no redrive itself."""
RETENTION_S: Final = 14 * 24 * 3600
"""As long as SQS keeps messages: somebody has to have time to look."""


def a_queue_gives_up_into_another(resource: Resource) -> Iterator[str]:
    """A queue hands on what fails time and again, and a queue of dead letters keeps it as long as can be."""
    if resource.type != QUEUE:
        return
    if str(resource.at("name")).removesuffix(".fifo").endswith(DEAD_LETTERS):
        if resource.at("messageRetentionSeconds") not in (RETENTION_S, UNKNOWN):
            yield f"holds dead letters for less than 14 days: messageRetentionSeconds has to be {RETENTION_S}"
    elif not resource.at("redrivePolicy"):
        yield f"has no redrivePolicy: what always fails goes round until it expires (or call it ...{DEAD_LETTERS})"


def a_stream_is_held_up_by_no_record(resource: Resource) -> Iterator[str]:
    """A mapping of a stream gives up after a finite time, and says where: by default a record blocks its shard for a day."""
    if resource.type != EVENT_SOURCE or not resource.at("startingPosition"):
        return
    if not resource.at("destinationConfig.onFailure"):
        yield "loses the records that it gives up on: set destinationConfig.onFailure"
    for name in ("maximumRetryAttempts", "maximumRecordAgeInSeconds"):
        limit = resource.at(name)
        if limit is None or limit == -1:
            yield f"tries for ever: set {name}"


def what_a_schedule_or_topic_cannot_deliver_is_kept(resource: Resource) -> Iterator[str]:
    """Schedules, event rules and subscriptions of functions and URLs keep what they could not hand over."""
    if resource.type == SCHEDULE and not resource.at("target.deadLetterConfig"):
        yield "loses what its target does not take: set target.deadLetterConfig"
    if resource.type == EVENT_TARGET and not resource.at("deadLetterConfig"):
        yield "loses what its target does not take: set deadLetterConfig"
    invokes = resource.type == SUBSCRIPTION and resource.at("protocol") in ("lambda", "http", "https")
    if invokes and not resource.at("redrivePolicy"):
        yield "loses what its endpoint does not take: set redrivePolicy"


def asynchronous_functions_have_dead_letters(
    resources: Sequence[Resource],
) -> Iterator[tuple[Resource, str]]:
    """A function that a schedule, rule or topic invokes gets no second caller: what it fails on goes to a queue."""
    invoked = set(_invoked_arns(resources))
    configured = {
        each.at("functionName")
        for each in resources
        if each.type == INVOKE_CONFIG and each.at("destinationConfig.onFailure")
    }
    for each in resources:
        if each.type == FUNCTION and each.at("arn") in invoked - {None, UNKNOWN}:
            names = {each.at("name"), each.at("arn")}
            if not each.at("deadLetterConfig.targetArn") and not names & configured:
                yield each, "is invoked asynchronously and loses what it fails on: set deadLetterConfig"


def _invoked_arns(resources: Sequence[Resource]) -> Iterator[Any]:
    for each in resources:
        if each.type == SCHEDULE:
            yield each.at("target.arn")
        elif each.type == EVENT_TARGET:
            yield each.at("arn")
        elif each.type == SUBSCRIPTION and each.at("protocol") == "lambda":
            yield each.at("endpoint")
