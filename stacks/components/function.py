"""A Lambda function out of the bundle, with a role and a log group of its own.

Its environment is given by the names of the settings class that it reads (`handlers/payments_sandbox/settings.py`), so that nobody writes a
variable's name by hand; tests compare them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from stacks.components.encryption import EncryptionKey
from stacks.permissions import Statement, role_policy, trust_policy
from stacks.place import Place

RUNTIME = "python3.12"
ARCHITECTURE = "arm64"
ENVIRONMENT_PREFIX = "SANDBOX_"
LIVE = "live"
"""The alias of the version that serves, of functions that have versions."""

UNRESERVED = -1
"""How Lambda says that no concurrency is reserved."""


@dataclass(frozen=True, slots=True)
class FunctionDefaults:
    """What all functions of a stack have in common."""

    place: Place
    bundle: pulumi.Archive
    key: EncryptionKey
    log_level: str
    log_retention_days: int
    trace: bool


@dataclass(frozen=True, slots=True)
class FunctionArgs:
    """entrypoint: the module of `payments_sandbox.entrypoints` whose `handler` is called.

    settings: the fields of the settings class that it reads, but for log_level, which all have.
    permissions: besides those for its logs and its environment.
    reserved_concurrency: 0 for none.
    dead_letters: ARN of the queue for events that it fails on when it is invoked asynchronously; Lambda tries each thrice.
    snap_start, provisioned_concurrency: how it is started beforehand. Both need versions, so that each deployment publishes
        one, which the alias `LIVE` names.
    """

    defaults: FunctionDefaults
    entrypoint: str
    settings: Mapping[str, pulumi.Input[str]]
    permissions: Sequence[Statement]
    memory_mb: int
    timeout_s: int
    reserved_concurrency: int
    dead_letters: pulumi.Input[str] | None = None
    snap_start: bool = False
    provisioned_concurrency: int = 0


class SandboxFunction(pulumi.ComponentResource):
    """A function, its role and its log group.

    Outputs: arn, name, log_group_name; qualifier: the alias to call it by, None without versions.
    Costs: idle 0, unless concurrency is provisioned; scales with invocations.
    """

    def __init__(self, name: str, args: FunctionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sandbox:function:SandboxFunction", name, None, opts)
        place, key = args.defaults.place, args.defaults.key
        child = pulumi.ResourceOptions(parent=self)
        function_name = place.name(name)
        log_group = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=f"/aws/lambda/{function_name}",
            retention_in_days=args.defaults.log_retention_days,
            kms_key_id=key.arn,
            opts=child,
        )
        self.role = aws.iam.Role(
            f"{name}-role",
            name=function_name,
            description=f"What {function_name} may do",
            assume_role_policy=trust_policy("lambda.amazonaws.com"),
            opts=child,
        )
        policy = aws.iam.RolePolicy(
            f"{name}-policy",
            name=function_name,
            role=self.role.name,
            policy=role_policy([*self._own_permissions(args, log_group), *args.permissions]),
            opts=child,
        )
        versioned = args.snap_start or args.provisioned_concurrency > 0
        self.function = aws.lambda_.Function(
            f"{name}-function",
            name=function_name,
            role=self.role.arn,
            code=args.defaults.bundle,
            handler=f"payments_sandbox.entrypoints.{args.entrypoint}.handler",
            runtime=RUNTIME,
            architectures=[ARCHITECTURE],
            memory_size=args.memory_mb,
            timeout=args.timeout_s,
            reserved_concurrent_executions=args.reserved_concurrency or UNRESERVED,
            kms_key_arn=key.arn,
            environment={"variables": _variables({**args.settings, "log_level": args.defaults.log_level})},
            logging_config={"log_format": "Text", "log_group": log_group.name},
            tracing_config={"mode": "Active" if args.defaults.trace else "PassThrough"},
            dead_letter_config={"target_arn": args.dead_letters} if args.dead_letters is not None else None,
            publish=versioned,
            snap_start={"apply_on": "PublishedVersions"} if args.snap_start else None,
            # What it may do has to be there before it starts, and events before there is a policy would fail.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        self.name = self.function.name
        self.arn = self.function.arn
        self.log_group_name = log_group.name
        self.qualifier: pulumi.Output[str] | None = None
        if versioned:
            self._publish(name, args)
        self.register_outputs({"arn": self.arn, "name": self.name, "log_group_name": self.log_group_name})

    def _publish(self, name: str, args: FunctionArgs) -> None:
        alias = aws.lambda_.Alias(
            f"{name}-live",
            name=LIVE,
            description="The version that serves; point it at an earlier one to roll back",
            function_name=self.function.name,
            function_version=self.function.version,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.qualifier = alias.name
        if args.provisioned_concurrency:
            aws.lambda_.ProvisionedConcurrencyConfig(
                f"{name}-provisioned",
                function_name=self.function.name,
                qualifier=alias.name,
                provisioned_concurrent_executions=args.provisioned_concurrency,
                opts=pulumi.ResourceOptions(parent=self),
            )

    def invoke(self) -> Sequence[Statement]:
        """To call it."""
        return [Statement("InvokeFunction", ["lambda:InvokeFunction"], [self.arn])]

    def _own_permissions(self, args: FunctionArgs, log_group: aws.cloudwatch.LogGroup) -> list[Statement]:
        streams = pulumi.Output.concat(log_group.arn, ":*")
        own = [Statement("WriteLogs", ["logs:CreateLogStream", "logs:PutLogEvents"], [streams])]
        if args.defaults.trace:
            # X-Ray knows no resources.
            own.append(Statement("SendTraces", ["xray:PutTraceSegments", "xray:PutTelemetryRecords"], ["*"]))
        if args.dead_letters is not None:
            own.append(Statement("KeepDeadEvents", ["sqs:SendMessage"], [args.dead_letters]))
        return own


def _variables(settings: Mapping[str, pulumi.Input[str]]) -> dict[str, pulumi.Input[str]]:
    return {ENVIRONMENT_PREFIX + name.upper(): value for name, value in settings.items()}
