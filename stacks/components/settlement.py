"""Settlement: the state machine that settles what is due, the function that does its tasks, and its nightly schedule.

The definition lies beside the tasks in `handlers/payments_sandbox/workers/`, as text: the two change together. It names the function by
`PLACEHOLDER`, and nothing else of the stack. See there for what a run does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws

from stacks.components.function import FunctionArgs, FunctionDefaults, SandboxFunction
from stacks.components.ledger import Ledger
from stacks.permissions import Statement, role_policy, trust_policy

PLACEHOLDER = "${settlement_function_arn}"
TIMEOUT_S = 900
"""As long as the state machine waits for a task."""

RETRY_AGE_MAX_S = 3600
DEAD_LETTER_RETENTION_S = 14 * 24 * 3600


class DefinitionError(Exception):
    """The state machine's definition is missing, or does not name the function."""


@dataclass(frozen=True, slots=True)
class SettlementArgs:
    """definition: of the state machine, with the placeholder. schedule: in UTC, as EventBridge Scheduler writes it."""

    defaults: FunctionDefaults
    ledger: Ledger
    definition: str
    schedule: str
    memory_mb: int
    reserved_concurrency: int


def read_definition(path: Path) -> str:
    """The state machine's definition. Raises DefinitionError."""
    try:
        definition = path.read_text("utf-8")
    except FileNotFoundError:
        raise DefinitionError(f"{path} is not there: it defines the settlement's state machine") from None
    if PLACEHOLDER not in definition:
        raise DefinitionError(f"{path} does not name the function: it has to hold {PLACEHOLDER}")
    return definition


class SettlementWorkflow(pulumi.ComponentResource):
    """State machine, function, schedule, and the queue of starts that failed.

    Outputs: state_machine_arn, state_machine_name, dead_letter_name.
    Costs: idle nearly 0; $25 per million transitions, some ten a night.
    """

    def __init__(self, name: str, args: SettlementArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sandbox:settlement:SettlementWorkflow", name, None, opts)
        self._name = name
        self._args = args
        self._place = args.defaults.place
        self._child = pulumi.ResourceOptions(parent=self)
        self.dead_letters = aws.sqs.Queue(
            f"{name}-dead-letters",
            name=self._place.name("settlement-dead-letters"),
            message_retention_seconds=DEAD_LETTER_RETENTION_S,
            kms_master_key_id=args.defaults.key.arn,
            opts=self._child,
        )
        self.function = SandboxFunction(
            "settlement",
            FunctionArgs(
                defaults=args.defaults,
                entrypoint="lambda_settlement",
                settings=args.ledger.settings(),
                permissions=[*args.ledger.read_write(), *args.defaults.key.decrypt()],
                memory_mb=args.memory_mb,
                timeout_s=TIMEOUT_S,
                reserved_concurrency=args.reserved_concurrency,
            ),
            opts=self._child,
        )
        self.state_machine = self._state_machine()
        self._schedule()
        self.state_machine_arn = self.state_machine.arn
        self.dead_letter_name = self.dead_letters.name
        self.register_outputs({"state_machine_arn": self.state_machine_arn})

    def _state_machine(self) -> aws.sfn.StateMachine:
        log_group = aws.cloudwatch.LogGroup(
            f"{self._name}-machine-logs",
            # Under this name, CloudWatch keeps the policy that lets services write from growing beyond its limit.
            name=f"/aws/vendedlogs/states/{self._place.name('settlement')}",
            retention_in_days=self._args.defaults.log_retention_days,
            kms_key_id=self._args.defaults.key.arn,
            opts=self._child,
        )
        role, policy = self._role(
            "settlement-machine",
            "states.amazonaws.com",
            [*self.function.invoke(), *_machine_logs(), *self._traces()],
        )
        return aws.sfn.StateMachine(
            f"{self._name}-machine",
            name=self._place.name("settlement"),
            role_arn=role.arn,
            definition=self.function.arn.apply(lambda arn: self._args.definition.replace(PLACEHOLDER, arn)),
            logging_configuration={
                # The log says what went wrong where; what was paid is in the ledger.
                "level": "ERROR",
                "include_execution_data": False,
                "log_destination": pulumi.Output.concat(log_group.arn, ":*"),
            },
            tracing_configuration={"enabled": self._args.defaults.trace},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )

    def _schedule(self) -> None:
        role, policy = self._role(
            "settlement-schedule",
            "scheduler.amazonaws.com",
            [
                Statement("StartSettlement", ["states:StartExecution"], [self.state_machine.arn]),
                Statement("KeepDeadStarts", ["sqs:SendMessage"], [self.dead_letters.arn]),
                *self._args.defaults.key.use(),
            ],
        )
        aws.scheduler.Schedule(
            f"{self._name}-schedule",
            name=self._place.name("settlement"),
            description="Settles what is due",
            schedule_expression=self._args.schedule,
            schedule_expression_timezone="UTC",
            flexible_time_window={"mode": "OFF"},
            target={
                "arn": self.state_machine.arn,
                "role_arn": role.arn,
                "input": pulumi.Output.json_dumps({"scheduled_at": "<aws.scheduler.scheduled-time>"}),
                "retry_policy": {
                    "maximum_retry_attempts": 5,
                    "maximum_event_age_in_seconds": RETRY_AGE_MAX_S,
                },
                "dead_letter_config": {"arn": self.dead_letters.arn},
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )

    def _role(
        self, part: str, service: str, statements: Sequence[Statement]
    ) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        role = aws.iam.Role(
            f"{part}-role",
            name=self._place.name(part),
            assume_role_policy=trust_policy(service, account_id=self._place.account_id),
            opts=self._child,
        )
        policy = aws.iam.RolePolicy(
            f"{part}-policy",
            name=self._place.name(part),
            role=role.name,
            policy=role_policy(statements),
            opts=self._child,
        )
        return role, policy

    def _traces(self) -> list[Statement]:
        if not self._args.defaults.trace:
            return []
        return [Statement("SendTraces", ["xray:PutTraceSegments", "xray:PutTelemetryRecords"], ["*"])]


def _machine_logs() -> list[Statement]:
    """What Step Functions asks for to write a log: deliveries are not resources that a policy could name."""
    actions = [
        "CreateLogDelivery",
        "DeleteLogDelivery",
        "DescribeLogGroups",
        "DescribeResourcePolicies",
        "GetLogDelivery",
        "ListLogDeliveries",
        "PutResourcePolicy",
        "UpdateLogDelivery",
    ]
    return [Statement("DeliverLogs", [f"logs:{action}" for action in actions], ["*"])]
