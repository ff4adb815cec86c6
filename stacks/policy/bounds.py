"""What bounds the bill and says whom to ask: reserved concurrency, and tags."""

from collections.abc import Iterator
from typing import Final

from stacks.policy.resource import UNKNOWN, Resource

FUNCTION: Final = "aws:lambda/function:Function"
REQUIRED_TAGS: Final = ("project", "stack", "owner", "managed-by")
TAGGED: Final = frozenset(
    {
        "aws:apigateway/apiKey:ApiKey",
        "aws:apigateway/domainName:DomainName",
        "aws:apigateway/restApi:RestApi",
        "aws:apigateway/stage:Stage",
        "aws:apigateway/usagePlan:UsagePlan",
        "aws:budgets/budget:Budget",
        "aws:cloudfront/distribution:Distribution",
        "aws:cloudwatch/compositeAlarm:CompositeAlarm",
        "aws:cloudwatch/logGroup:LogGroup",
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "aws:dynamodb/table:Table",
        "aws:iam/role:Role",
        "aws:kms/key:Key",
        "aws:lambda/eventSourceMapping:EventSourceMapping",
        "aws:lambda/function:Function",
        "aws:s3/bucket:Bucket",
        "aws:scheduler/scheduleGroup:ScheduleGroup",
        "aws:sfn/stateMachine:StateMachine",
        "aws:sns/topic:Topic",
        "aws:sqs/queue:Queue",
        "aws:ssm/parameter:Parameter",
    }
)
"""The types that AWS lets us tag. The provider's default tags are among a resource's when it is judged."""


def carries_the_tags(resource: Resource) -> Iterator[str]:
    """Every resource says which project and stack it is of, who answers for it, and that Pulumi manages it."""
    if resource.type not in TAGGED:
        return
    tags = resource.at("tags") or {}
    missing = [] if tags is UNKNOWN else [name for name in REQUIRED_TAGS if not tags.get(name)]
    if missing:
        yield f"has no tag {', '.join(missing)}: the provider's default tags set them"


def reserves_concurrency_outside_production(resource: Resource) -> Iterator[str]:
    """Outside production every function has a limit of its own: what runs away there is noticed by nobody for days."""
    if resource.type == FUNCTION and not resource.in_production:
        reserved = resource.at("reservedConcurrentExecutions")
        if reserved is None or (reserved is not UNKNOWN and reserved < 0):
            yield "may take all of the account's concurrency: set reservedConcurrentExecutions"
