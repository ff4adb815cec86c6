"""The functions: what each is told is what its settings class reads, and what each may do is what it does."""

import importlib.util
from dataclasses import fields
from typing import Any

import pytest

import payments_sandbox.settings
from tests.stacks.deployed import ACCOUNT, REGION, SECRET, Deployed, deploy

SETTINGS_CLASSES = {
    "api": "LambdaSettings",
    "relay": "RelaySettings",
    "deliver": "DeliverSettings",
    "sweep": "SweepSettings",
    "settlement": "SettlementSettings",
}
FUNCTIONS = list(SETTINGS_CLASSES)

TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/payments-sandbox-dev-PaymentsLedger"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/k1"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:payments-sandbox-dev-WebhookTopic"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:payments-sandbox-dev-webhooks"
DEAD_LETTERS = f"{QUEUE}-dead-letters"
GATEWAY = f"arn:aws:apigateway:{REGION}::"

READS = {
    ("dynamodb:BatchGetItem", TABLE),
    ("dynamodb:GetItem", TABLE),
    ("dynamodb:Query", f"{TABLE}/index/*"),
}
WRITES = {("dynamodb:PutItem", TABLE)}
SEALS = {("kms:Decrypt", KEY), ("kms:GenerateDataKey", KEY)}

MATRIX = {
    "api": READS
    | WRITES
    | SEALS
    | {
        ("apigateway:POST", f"{GATEWAY}/apikeys"),
        ("apigateway:POST", f"{GATEWAY}/usageplans/api-plan-default-id/keys"),
        ("apigateway:POST", f"{GATEWAY}/usageplans/api-plan-demo-id/keys"),
        ("apigateway:DELETE", f"{GATEWAY}/apikeys/*"),
    },
    "relay": SEALS
    | {
        ("dynamodb:DescribeStream", f"{TABLE}/stream/*"),
        ("dynamodb:GetRecords", f"{TABLE}/stream/*"),
        ("dynamodb:GetShardIterator", f"{TABLE}/stream/*"),
        ("dynamodb:ListStreams", f"{TABLE}/stream/*"),
        ("sns:Publish", TOPIC),
        ("sqs:SendMessage", DEAD_LETTERS),
    },
    "deliver": READS
    | WRITES
    | SEALS
    | {
        ("sqs:ChangeMessageVisibility", QUEUE),
        ("sqs:DeleteMessage", QUEUE),
        ("sqs:GetQueueAttributes", QUEUE),
        ("sqs:ReceiveMessage", QUEUE),
        ("sqs:SendMessage", QUEUE),
    },
    "sweep": READS | WRITES | SEALS | {("sqs:SendMessage", QUEUE), ("sqs:SendMessage", DEAD_LETTERS)},
    "settlement": READS | WRITES | {("kms:Decrypt", KEY)},
}
"""Each function's role: action and resource, besides its own log. To give a role more, write it here too."""


def variables(deployed: Deployed, function: str) -> dict[str, str]:
    found: dict[str, str] = deployed.one("Function", f"{function}-function").plain["environment"]["variables"]
    return found


def allowed(deployed: Deployed, role: str) -> set[tuple[str, str]]:
    """What a role may do: action and resource."""
    pairs = set()
    for policy in deployed.of_type("RolePolicy"):
        if policy.plain["role"] == f"payments-sandbox-dev-{role}":
            for statement in policy.document("policy")["Statement"]:
                assert statement["Effect"] == "Allow"
                pairs |= {
                    (action, resource) for action in statement["Action"] for resource in statement["Resource"]
                }
    return pairs


def logs(function: str) -> set[tuple[str, str]]:
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/payments-sandbox-dev-{function}:*"
    return {("logs:CreateLogStream", group), ("logs:PutLogEvents", group)}


# --- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("function", "name"), SETTINGS_CLASSES.items())
def test_a_functions_variables_are_the_fields_of_its_settings(function: str, name: str) -> None:
    read = {
        payments_sandbox.settings.PREFIX + each.name.upper()
        for each in fields(getattr(payments_sandbox.settings, name))
    }
    assert set(variables(deploy(), function)) == read


@pytest.mark.parametrize(("function", "name"), SETTINGS_CLASSES.items())
def test_a_functions_settings_can_be_read_from_its_variables(function: str, name: str) -> None:
    given = variables(deploy(feed_shards=32, log_level="debug"), function)
    settings: Any = getattr(payments_sandbox.settings, name).from_environment(given)
    assert settings.log_level == "debug"
    if function != "relay":
        assert settings.table == "payments-sandbox-dev-PaymentsLedger"
        assert settings.secret == bytes.fromhex(SECRET)
        assert settings.feed_shards == 32


def test_what_functions_share_is_told_to_all_of_them_alike() -> None:
    deployed = deploy()
    for name in ("TABLE", "LEDGER_SECRET", "FEED_SHARDS", "KMS_KEY_ID", "LOG_LEVEL", "QUEUE_URL"):
        told = {variables(deployed, function).get(f"SANDBOX_{name}") for function in FUNCTIONS} - {None}
        assert len(told) == 1, name


def test_the_api_is_told_its_address_plans_and_demo_key() -> None:
    given = variables(deploy(cors_origins=["https://a.example", "https://b.example"]), "api")
    assert given["SANDBOX_PUBLIC_URL"] == f"https://api-rest-id.execute-api.{REGION}.amazonaws.com/dev"
    assert given["SANDBOX_DEFAULT_USAGE_PLAN"] == "api-plan-default-id"
    assert given["SANDBOX_DEMO_USAGE_PLAN"] == "api-plan-demo-id"
    assert payments_sandbox.settings.origins(given["SANDBOX_CORS_ORIGINS"]) == (
        "https://a.example",
        "https://b.example",
    )
    assert given["SANDBOX_KMS_KEY_ID"] == KEY


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_an_entry_point_of_the_bundle(function: str) -> None:
    made = deploy().one("Function", f"{function}-function").plain
    assert made["handler"] == f"payments_sandbox.entrypoints.lambda_{function}.handler"
    assert (made["runtime"], made["architectures"]) == ("python3.12", ["arm64"])
    assert importlib.util.find_spec(made["handler"].removesuffix(".handler"))


# --- permissions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_may_do_what_the_matrix_says_and_nothing_else(function: str) -> None:
    assert allowed(deploy(), function) == MATRIX[function] | logs(function)


def test_who_starts_what_may_do_no_more_than_that() -> None:
    functions = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:payments-sandbox-dev"
    machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:payments-sandbox-dev-settlement"
    settlement_dead_letters = f"arn:aws:sqs:{REGION}:{ACCOUNT}:payments-sandbox-dev-settlement-dead-letters"
    deployed = deploy()
    assert allowed(deployed, "sweep-schedule") == SEALS | {
        ("lambda:InvokeFunction", f"{functions}-sweep"),
        ("sqs:SendMessage", DEAD_LETTERS),
    }
    assert allowed(deployed, "settlement-schedule") == SEALS | {
        ("states:StartExecution", machine),
        ("sqs:SendMessage", settlement_dead_letters),
    }
    of_machine = allowed(deployed, "settlement-machine")
    assert ("lambda:InvokeFunction", f"{functions}-settlement") in of_machine
    assert {action for action, resource in of_machine if resource == "*"} <= {
        f"logs:{action}"
        for action in (
            "CreateLogDelivery",
            "DeleteLogDelivery",
            "DescribeLogGroups",
            "DescribeResourcePolicies",
            "GetLogDelivery",
            "ListLogDeliveries",
            "PutResourcePolicy",
            "UpdateLogDelivery",
        )
    }


def test_every_role_has_a_policy_and_a_service_that_takes_it() -> None:
    deployed = deploy()
    policies = [*deployed.of_type("RolePolicy"), *deployed.of_type("RolePolicyAttachment")]
    with_policy = {policy.plain["role"] for policy in policies}
    services = {}
    for role in deployed.of_type("Role"):
        (statement,) = role.document("assumeRolePolicy")["Statement"]
        name = role.plain["name"].removeprefix("payments-sandbox-dev-")
        services[name] = statement["Principal"]["Service"]
        assert role.plain["name"] in with_policy, name
        if not name.endswith(("-logs", *FUNCTIONS)):
            assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}, name
    assert services == {
        **dict.fromkeys(FUNCTIONS, "lambda.amazonaws.com"),
        "gateway-logs": "apigateway.amazonaws.com",
        "settlement-machine": "states.amazonaws.com",
        "settlement-schedule": "scheduler.amazonaws.com",
        "sweep-schedule": "scheduler.amazonaws.com",
    }


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_starts_after_its_policy(function: str) -> None:
    """An event that comes sooner would fail for want of a permission."""
    assert f"{function}-policy" in deploy().one("Function", f"{function}-function").after


def test_tracing_is_paid_for_and_allowed_only_when_it_is_switched_on() -> None:
    sends = {("xray:PutTraceSegments", "*"), ("xray:PutTelemetryRecords", "*")}
    for trace, mode in ((False, "PassThrough"), (True, "Active")):
        deployed = deploy(trace=trace)
        for function in FUNCTIONS:
            made = deployed.one("Function", f"{function}-function").plain
            assert made["tracingConfig"] == {"mode": mode}
            assert bool(sends & allowed(deployed, function)) == trace
        assert bool(sends & allowed(deployed, "settlement-machine")) == trace
        assert deployed.one("Stage").plain["xrayTracingEnabled"] == trace
        assert deployed.one("StateMachine").plain["tracingConfiguration"] == {"enabled": trace}


# --- what bounds them ----------------------------------------------------------------------------------------------


def test_concurrency_is_reserved_for_each_function() -> None:
    given = {"api": 40, "relay": 3, "deliver": 5, "sweep": 2, "settlement": 6}
    concurrency: dict[str, Any] = {f"concurrency_{name}": count for name, count in given.items()}
    deployed = deploy(**concurrency)
    for name, count in given.items():
        assert deployed.one("Function", f"{name}-function").plain["reservedConcurrentExecutions"] == count
    assert deployed.one("EventSourceMapping", "deliver-source").plain["scalingConfig"] == {
        "maximumConcurrency": 5
    }


def test_an_account_with_little_concurrency_reserves_none() -> None:
    none: dict[str, Any] = {f"concurrency_{name}": 0 for name in FUNCTIONS}
    deployed = deploy(**none)
    for made in deployed.of_type("Function"):
        assert made.plain["reservedConcurrentExecutions"] == -1
    assert "scalingConfig" not in deployed.one("EventSourceMapping", "deliver-source").plain


def test_memory_is_given_to_the_api_and_to_the_workers() -> None:
    deployed = deploy(api_memory_mb=3008, worker_memory_mb=256)
    memory = {made.name: made.plain["memorySize"] for made in deployed.of_type("Function")}
    assert memory.pop("api-function") == 3008
    assert set(memory.values()) == {256}


def test_every_function_has_a_log_group_that_forgets_and_an_environment_under_the_key() -> None:
    deployed = deploy(log_retention_days=5)
    groups = {made.plain["name"]: made.plain for made in deployed.of_type("LogGroup")}
    for made in deployed.of_type("Function"):
        assert made.plain["loggingConfig"]["logGroup"] in groups
        assert made.plain["kmsKeyArn"] == KEY
    for name, group in groups.items():
        assert (group["retentionInDays"], group["kmsKeyId"]) == (5, KEY), name


# --- versions ------------------------------------------------------------------------------------------------------


def test_a_function_without_versions_is_called_by_its_name() -> None:
    deployed = deploy()
    assert deployed.of_type("Alias") == [deployed.one("Alias", "encryption-alias")]
    permission = deployed.one("Permission").plain
    assert "qualifier" not in permission
    assert ":live" not in deployed.one("RestApi").plain["body"]


@pytest.mark.parametrize("how", [{"snap_start": True}, {"provisioned_concurrency": 2}])
def test_a_function_that_is_started_beforehand_is_called_by_its_alias(how: dict[str, Any]) -> None:
    deployed = deploy(**how)
    made = deployed.one("Function", "api-function").plain
    assert made["publish"]
    alias = deployed.one("Alias", "api-live").plain
    assert (alias["name"], alias["functionVersion"]) == ("live", "7")
    assert deployed.one("Permission").plain["qualifier"] == "live"
    assert (
        deployed.one("RestApi").plain["body"].count("function:payments-sandbox-dev-api:live/invocations") > 20
    )
    assert ("snapStart" in made) == ("snap_start" in how)
    provisioned = deployed.of_type("ProvisionedConcurrencyConfig")
    assert [each.plain["provisionedConcurrentExecutions"] for each in provisioned] == list(
        filter(None, [how.get("provisioned_concurrency")])
    )
