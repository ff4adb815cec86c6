"""Each rule of the policy pack, failing and passing, over resources as Pulumi's AWS provider is given them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pulumi
import pulumi_aws as aws
import pytest
from google.protobuf import empty_pb2, struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from stacks.policy.bounds import TAGGED
from stacks.policy.registry import RULES, STACK_RULES
from stacks.policy.resource import UNKNOWN, Resource, plain
from tests.each_case import each_case
from tests.stacks.policy_recording import record, record_stack

ROOT = Path(__file__).resolve().parents[2]
TAGS = {"project": "payments-sandbox", "stack": "dev", "owner": "payments", "managed-by": "pulumi"}
SITE = "urn:pulumi:dev::payments-sandbox::aws:s3/bucket:Bucket::site"
Program = Callable[[], Any]


def _policy(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def _queue(**settings: Any) -> Program:
    return lambda: aws.sqs.Queue("queue", **{"name": "webhooks", **settings})


def _role_policy(**statement: Any) -> Program:
    return lambda: aws.iam.RolePolicy("policy", role="role", policy=_policy(**statement))


def _function(**settings: Any) -> aws.lambda_.Function:
    return aws.lambda_.Function(
        "function", **{"name": "sweep", "role": "arn:aws:iam::1:role/sweep", **settings}
    )


def _table(*, protect: bool, **settings: Any) -> Program:
    return lambda: aws.dynamodb.Table("table", **settings, opts=pulumi.ResourceOptions(protect=protect))


def _stream(**settings: Any) -> Program:
    return lambda: aws.lambda_.EventSourceMapping(
        "source", function_name="relay", event_source_arn="arn:stream", starting_position="LATEST", **settings
    )


def _bucket(*, block: bool) -> None:
    bucket = aws.s3.Bucket("site", bucket="payments-site")
    if block:
        aws.s3.BucketPublicAccessBlock("block", bucket=bucket.id)


def _logged_function(group: str) -> None:
    aws.cloudwatch.LogGroup("logs", name=group, retention_in_days=7)
    _function()


def _scheduled_function(**settings: Any) -> None:
    function = _function(**settings)
    target: Any = {"arn": function.arn, "role_arn": "arn:role", "dead_letter_config": {"arn": "arn:dead"}}
    aws.scheduler.Schedule(
        "schedule", schedule_expression="rate(1 minute)", flexible_time_window={"mode": "OFF"}, target=target
    )


def _schedule(**more: Any) -> Program:
    target: Any = {"arn": "arn:function", "role_arn": "arn:role", **more}
    return lambda: aws.scheduler.Schedule(
        "schedule",
        schedule_expression="rate(1 minute)",
        flexible_time_window={"mode": "OFF"},
        target=target,
    )


def _with_invoke_config() -> None:
    _scheduled_function()
    aws.lambda_.FunctionEventInvokeConfig(
        "failures", function_name="sweep", destination_config={"on_failure": {"destination": "arn:dead"}}
    )


FULL_TABLE: dict[str, Any] = {
    "deletion_protection_enabled": True,
    "point_in_time_recovery": {"enabled": True},
}
EVERYBODY: dict[str, Any] = {"Principal": "*", "Action": "sqs:SendMessage", "Resource": "arn:queue"}
BOUNDED: dict[str, Any] = {"maximum_retry_attempts": 8, "maximum_record_age_in_seconds": 3600}
KEPT: dict[str, Any] = {"destination_config": {"on_failure": {"destination_arn": "arn:dead"}}}
CLOSED: dict[str, Any] = dict.fromkeys(
    ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"), True
)

# The rule, the stack, and a program that breaks it there.
BROKEN: list[tuple[str, str, Program]] = [
    ("encrypted-at-rest", "dev", _queue()),
    ("encrypted-at-rest", "dev", lambda: aws.sns.Topic("topic")),
    ("encrypted-at-rest", "dev", lambda: aws.dynamodb.Table("table")),
    (
        "encrypted-at-rest",
        "dev",
        lambda: aws.dynamodb.Table("table", server_side_encryption={"enabled": False}),
    ),
    ("encrypted-at-rest", "dev", lambda: aws.cloudwatch.LogGroup("logs", retention_in_days=7)),
    ("encrypted-at-rest", "dev", lambda: aws.ssm.Parameter("secret", type="String", value="s")),
    ("actions-not-wild", "dev", _role_policy(Action="*", Resource="*")),
    ("actions-not-wild", "dev", _role_policy(Action=["sqs:SendMessage", "dynamodb:*"], Resource=["*"])),
    ("actions-not-wild", "dev", _role_policy(NotAction="iam:*", Resource="*")),
    ("actions-not-wild", "dev", _role_policy(Action="s3:Get*", NotResource="arn:bucket")),
    (
        "actions-not-wild",
        "dev",
        lambda: aws.iam.Policy("policy", policy=_policy(Action="kms:*", Resource="*")),
    ),
    (
        "actions-not-wild",
        "dev",
        lambda: aws.iam.RolePolicyAttachment(
            "admin", role="role", policy_arn="arn:aws:iam::aws:policy/AdministratorAccess"
        ),
    ),
    ("access-not-open", "dev", lambda: aws.sqs.QueuePolicy("p", queue_url="u", policy=_policy(**EVERYBODY))),
    (
        "access-not-open",
        "dev",
        lambda: aws.iam.Role(
            "r", assume_role_policy=_policy(Principal={"AWS": "*"}, Action="sts:AssumeRole")
        ),
    ),
    (
        "access-not-open",
        "dev",
        lambda: aws.s3.BucketPolicy(
            "b",
            bucket="site",
            policy=_policy(Principal={"AWS": ["*"]}, Action="s3:GetObject", Resource="arn:x"),
        ),
    ),
    (
        "access-not-open",
        "dev",
        lambda: aws.lambda_.Permission("p", action="lambda:InvokeFunction", function="f", principal="*"),
    ),
    ("log-retention", "dev", lambda: aws.cloudwatch.LogGroup("logs")),
    ("log-retention", "dev", lambda: aws.cloudwatch.LogGroup("logs", retention_in_days=0)),
    ("tags", "dev", lambda: aws.sns.Topic("topic")),
    ("tags", "dev", lambda: aws.sns.Topic("topic", tags={**TAGS, "owner": ""})),
    ("production-protected", "prod", _table(protect=False, **FULL_TABLE)),
    ("production-protected", "prod-eu", _table(protect=False, **FULL_TABLE)),
    (
        "production-protected",
        "prod",
        _table(protect=True, **{**FULL_TABLE, "deletion_protection_enabled": False}),
    ),
    ("production-protected", "prod", _table(protect=True, deletion_protection_enabled=True)),
    ("bucket-not-public", "dev", lambda: aws.s3.BucketAcl("acl", bucket="site", acl="public-read")),
    (
        "bucket-not-public",
        "dev",
        lambda: aws.s3.BucketPublicAccessBlock("b", bucket="site", **{**CLOSED, "ignore_public_acls": False}),
    ),
    ("queue-dead-letters", "dev", _queue()),
    ("queue-dead-letters", "dev", _queue(name="webhooks-dead-letters", message_retention_seconds=345_600)),
    ("queue-dead-letters", "dev", _queue(name="webhooks-dead-letters")),
    ("stream-dead-letters", "dev", _stream(**BOUNDED)),
    ("stream-dead-letters", "dev", _stream(**KEPT, **{**BOUNDED, "maximum_retry_attempts": -1})),
    ("stream-dead-letters", "dev", _stream(**KEPT, maximum_retry_attempts=8)),
    ("target-dead-letters", "dev", _schedule()),
    ("target-dead-letters", "dev", lambda: aws.cloudwatch.EventTarget("t", rule="r", arn="arn:f")),
    (
        "target-dead-letters",
        "dev",
        lambda: aws.sns.TopicSubscription("s", topic="arn:t", protocol="lambda", endpoint="arn:f"),
    ),
    ("concurrency-reserved", "dev", _function),
    ("concurrency-reserved", "dev", lambda: _function(reserved_concurrent_executions=-1)),
    ("bucket-access-blocked", "dev", lambda: _bucket(block=False)),
    ("function-dead-letters", "dev", _scheduled_function),
    ("function-log-groups", "dev", lambda: _logged_function("/aws/lambda/other")),
]

# The rule, the stack, and a program that keeps it, by a hair.
SOUND: list[tuple[str, str, Program]] = [
    ("encrypted-at-rest", "dev", _queue(kms_master_key_id="key")),
    ("encrypted-at-rest", "dev", _queue(sqs_managed_sse_enabled=True)),
    ("encrypted-at-rest", "dev", lambda: aws.sns.Topic("topic", kms_master_key_id="key")),
    (
        "encrypted-at-rest",
        "dev",
        lambda: aws.dynamodb.Table("table", server_side_encryption={"enabled": True}),
    ),
    ("encrypted-at-rest", "dev", lambda: aws.ssm.Parameter("secret", type="SecureString", value="s")),
    ("actions-not-wild", "dev", _role_policy(Action="dynamodb:*", Resource="arn:table")),
    ("actions-not-wild", "dev", _role_policy(Action=["xray:PutTraceSegments"], Resource="*")),
    (
        "actions-not-wild",
        "dev",
        lambda: aws.kms.Key(
            "key",
            policy=_policy(Principal={"AWS": "arn:aws:iam::1:root"}, Action="kms:*", Resource="*"),
        ),
    ),
    (
        "access-not-open",
        "dev",
        lambda: aws.sqs.QueuePolicy(
            "p",
            queue_url="u",
            policy=_policy(**EVERYBODY, Condition={"ArnEquals": {"aws:SourceArn": "arn:topic"}}),
        ),
    ),
    (
        "access-not-open",
        "dev",
        lambda: aws.lambda_.Permission(
            "p", action="lambda:InvokeFunction", function="f", principal="sns.amazonaws.com"
        ),
    ),
    ("log-retention", "dev", lambda: aws.cloudwatch.LogGroup("logs", retention_in_days=1)),
    ("tags", "dev", lambda: aws.sns.Topic("topic", tags=TAGS)),
    ("production-protected", "prod", _table(protect=True, **FULL_TABLE)),
    ("production-protected", "dev", _table(protect=False)),
    ("production-protected", "products", _table(protect=False)),
    ("bucket-not-public", "dev", lambda: aws.s3.BucketAcl("acl", bucket="site", acl="private")),
    (
        "bucket-not-public",
        "dev",
        lambda: aws.s3.BucketPublicAccessBlock("b", bucket="site", **CLOSED),
    ),
    (
        "queue-dead-letters",
        "dev",
        _queue(redrive_policy=json.dumps({"deadLetterTargetArn": "arn:dead", "maxReceiveCount": 3})),
    ),
    ("queue-dead-letters", "dev", _queue(name="webhooks-dead-letters", message_retention_seconds=1_209_600)),
    ("stream-dead-letters", "dev", _stream(**KEPT, **BOUNDED)),
    (
        "stream-dead-letters",
        "dev",
        lambda: aws.lambda_.EventSourceMapping("s", function_name="f", event_source_arn="arn:queue"),
    ),
    ("target-dead-letters", "dev", _schedule(dead_letter_config={"arn": "arn:dead"})),
    (
        "target-dead-letters",
        "dev",
        lambda: aws.cloudwatch.EventTarget(
            "t", rule="r", arn="arn:f", dead_letter_config={"arn": "arn:dead"}
        ),
    ),
    (
        "target-dead-letters",
        "dev",
        lambda: aws.sns.TopicSubscription("s", topic="arn:t", protocol="sqs", endpoint="arn:q"),
    ),
    ("concurrency-reserved", "dev", lambda: _function(reserved_concurrent_executions=1)),
    ("concurrency-reserved", "prod", _function),
    ("bucket-access-blocked", "dev", lambda: _bucket(block=True)),
    (
        "function-dead-letters",
        "dev",
        lambda: _scheduled_function(dead_letter_config={"target_arn": "arn:dead"}),
    ),
    ("function-dead-letters", "dev", _with_invoke_config),
    ("function-dead-letters", "dev", _function),
    ("function-log-groups", "dev", lambda: _logged_function("/aws/lambda/sweep")),
]


def _complaints(name: str, resources: list[Resource]) -> list[str]:
    if name in RULES:
        return [f"{each.name} {text}" for each in resources for text in RULES[name](each)]
    return [f"{each.name} {text}" for each, text in STACK_RULES[name](resources)]


@each_case(("name", "stack", "program"), BROKEN)
def test_each_rule_sees_what_breaks_it(name: str, stack: str, program: Program) -> None:
    assert len(_complaints(name, record(program, stack=stack))) == 1


@each_case(("name", "stack", "program"), SOUND)
def test_each_rule_lets_pass_what_keeps_it(name: str, stack: str, program: Program) -> None:
    assert _complaints(name, record(program, stack=stack)) == []


def test_no_rule_goes_without_an_example() -> None:
    assert {name for name, _, _ in BROKEN} == {name for name, _, _ in SOUND} == set(RULES) | set(STACK_RULES)


def test_all_inline_policies_of_a_role_are_looked_at() -> None:
    narrow = {"name": "a", "policy": _policy(Action="sqs:SendMessage", Resource="arn:queue")}
    wide = {"name": "b", "policy": _policy(Action="*", Resource="*")}
    role = Resource("aws:iam/role:Role", "role", "dev", {"inlinePolicies": [narrow, wide]})
    assert _complaints("actions-not-wild", [role]) == ["role allows * on every resource"]


def test_the_providers_default_tags_count() -> None:
    def program() -> None:
        provider = aws.Provider("aws", region="eu-central-1", default_tags={"tags": TAGS})
        aws.sns.Topic("topic", opts=pulumi.ResourceOptions(provider=provider))

    assert _complaints("tags", record(program, stack="dev")) == []


def test_every_tagged_type_is_one_that_takes_tags() -> None:
    for type_ in TAGGED:
        assert hasattr(_class_of(type_), "tags"), type_


def _class_of(type_: str) -> Any:
    _, place, class_name = type_.split(":")
    module = place.partition("/")[0]
    return getattr(getattr(aws, {"lambda": "lambda_"}.get(module, module)), class_name)


@each_case("stack", ["dev", "prod"])
@each_case("name", [*RULES, *STACK_RULES])
def test_each_stack_keeps_every_rule(name: str, stack: str) -> None:
    assert _complaints(name, list(record_stack(stack))) == []


def test_every_type_of_the_program_that_takes_tags_has_to_carry_them() -> None:
    types = {each.type for stack in ("dev", "prod") for each in record_stack(stack)}
    assert {type_ for type_ in types if hasattr(_class_of(type_), "tags")} <= TAGGED


@pytest.mark.parametrize(
    ("type_", "change", "rule"),
    [
        ("aws:dynamodb/table:Table", {"deletionProtectionEnabled": False}, "production-protected"),
        ("aws:dynamodb/table:Table", {"serverSideEncryption": None}, "encrypted-at-rest"),
        ("aws:sns/topic:Topic", {"kmsMasterKeyId": None}, "encrypted-at-rest"),
        (
            "aws:lambda/eventSourceMapping:EventSourceMapping",
            {"destinationConfig": None},
            "stream-dead-letters",
        ),
        ("aws:cloudwatch/logGroup:LogGroup", {"retentionInDays": 0}, "log-retention"),
        ("aws:lambda/function:Function", {"deadLetterConfig": None}, "function-dead-letters"),
        ("aws:cloudwatch/logGroup:LogGroup", {"name": "other"}, "function-log-groups"),
    ],
)
def test_a_change_of_the_program_is_seen(type_: str, change: dict[str, Any], rule: str) -> None:
    resources = [
        replace(each, properties={**each.properties, **change}) if each.type == type_ else each
        for each in record_stack("prod")
    ]
    assert _complaints(rule, resources)


def test_what_is_not_known_yet_counts_as_set_and_is_not_looked_into() -> None:
    properties = plain(
        unknown_checking_proxy(
            {"kmsMasterKeyId": UNKNOWN_STRING_VALUE, "policy": UNKNOWN_STRING_VALUE, "list": [{"a": 1}]}
        )
    )
    assert properties == {"kmsMasterKeyId": UNKNOWN, "policy": UNKNOWN, "list": [{"a": 1}]}
    queue = Resource("aws:sqs/queue:Queue", "queue", "dev", properties)
    role_policy = Resource("aws:iam/rolePolicy:RolePolicy", "policy", "dev", properties)
    assert _complaints("encrypted-at-rest", [queue]) == []
    assert _complaints("actions-not-wild", [role_policy]) == []


@each_case("name", sorted(RULES))
def test_a_resource_of_which_nothing_is_known_yet_breaks_nothing_by_accident(name: str) -> None:
    """All types, every property unknown: a rule may complain, but never stumble."""
    for type_ in sorted(TAGGED | {"aws:iam/rolePolicy:RolePolicy", "aws:lambda/permission:Permission"}):
        list(RULES[name](Resource(type_, "each", "dev", _AllUnknown())))


class _AllUnknown(dict[str, Any]):
    def get(self, key: str, default: Any = None) -> Any:
        return UNKNOWN


@pytest.fixture(scope="module")
def pack() -> Iterator[analyzer_pb2_grpc.AnalyzerStub]:
    """The policy pack, started as Pulumi starts it."""
    with _started() as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield analyzer_pb2_grpc.AnalyzerStub(channel)


@contextmanager
def _started() -> Iterator[int]:
    environment = {"PULUMI_PROJECT": "payments-sandbox", "PULUMI_STACK": "dev", "PULUMI_DRY_RUN": "true"}
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:0", "."],
        cwd=ROOT / "stacks" / "policy",
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        with process.stdout:
            yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait(timeout=120)


def test_the_pack_has_every_rule_and_all_are_mandatory(pack: analyzer_pb2_grpc.AnalyzerStub) -> None:
    info = pack.GetAnalyzerInfo(empty_pb2.Empty(), timeout=120)
    assert {policy.name for policy in info.policies} == set(RULES) | set(STACK_RULES)
    assert {policy.enforcementLevel for policy in info.policies} == {analyzer_pb2.MANDATORY}
    assert all(len(policy.description) > 20 for policy in info.policies)


def test_the_pack_judges_a_resource(pack: analyzer_pb2_grpc.AnalyzerStub) -> None:
    properties = struct_pb2.Struct()
    properties.update({"name": "webhooks", "tags": TAGS, "kmsMasterKeyId": UNKNOWN_STRING_VALUE})
    request = analyzer_pb2.AnalyzeRequest(
        type="aws:sqs/queue:Queue",
        name="queue",
        urn="urn:pulumi:dev::payments-sandbox::aws:sqs/queue:Queue::queue",
        properties=properties,
    )
    diagnostics = pack.Analyze(request, timeout=120).diagnostics
    assert [each.policyName for each in diagnostics] == ["queue-dead-letters"]
    assert "queue has no redrivePolicy" in diagnostics[0].message


@pytest.mark.parametrize(("stack", "complaints"), [("dev", 0), ("prod", 3)])
def test_the_pack_knows_the_stack_by_the_resources_name(
    pack: analyzer_pb2_grpc.AnalyzerStub, stack: str, complaints: int
) -> None:
    properties = struct_pb2.Struct()
    properties.update({"tags": TAGS, "serverSideEncryption": {"enabled": True}})
    type_ = "aws:dynamodb/table:Table"
    urn = f"urn:pulumi:{stack}::payments-sandbox::sandbox:ledger:Ledger${type_}::table"
    request = analyzer_pb2.AnalyzeRequest(type=type_, name="table", urn=urn, properties=properties)
    found = pack.Analyze(request, timeout=120).diagnostics
    assert [each.policyName for each in found] == ["production-protected"] * complaints


def test_the_pack_judges_a_stack(pack: analyzer_pb2_grpc.AnalyzerStub) -> None:
    properties = struct_pb2.Struct()
    properties.update({"bucket": "payments-site"})
    resource = analyzer_pb2.AnalyzerResource(
        type="aws:s3/bucket:Bucket", name="site", urn=SITE, properties=properties
    )
    diagnostics = pack.AnalyzeStack(
        analyzer_pb2.AnalyzeStackRequest(resources=[resource]), timeout=120
    ).diagnostics
    assert [(each.policyName, each.urn) for each in diagnostics] == [("bucket-access-blocked", SITE)]
