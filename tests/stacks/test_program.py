"""The program as a whole: both stacks, no Output rendered as text, secrets that stay secret, names that are exported."""

import re
from typing import Any

import pytest

from tests.stacks.deployed import (
    DEMO_KEY,
    PROJECT,
    SECRET,
    Deployed,
    Secret,
    deploy,
    deploy_stack,
    reveal,
    texts,
)

STACKS = ("dev", "prod")

RENDERED = re.compile(r"Calling __str__|Calling \[|pulumi\.output\.Output|<pulumi\.|__json__|\bNone\b")
"""What an Output, or one that nothing supplied, leaves in a text that it was formatted into."""

NAMED = {
    "Alias",
    "Budget",
    "Function",
    "LogGroup",
    "MetricAlarm",
    "Parameter",
    "Queue",
    "RestApi",
    "Role",
    "RolePolicy",
    "Schedule",
    "StateMachine",
    "Table",
    "Topic",
    "UsagePlan",
}

EVERYTHING: dict[str, Any] = {
    "trace": True,
    "snap_start": True,
    "cors_origins": ["https://example.com"],
    "domain_name": "api.example.com",
    "certificate_arn": "arn:aws:acm:eu-central-1:123456789012:certificate/1",
    "hosted_zone_id": "Z1",
    "alarm_email": "ops@example.com",
    "budget_usd": 25,
    "budget_email": "ops@example.com",
    "site_directory": "tests/stacks/fixtures/site",
    "table_warm_write_units": 24_000,
}


@pytest.fixture(params=["dev", "prod", "everything"])
def deployed(request: pytest.FixtureRequest) -> Deployed:
    return deploy(**EVERYTHING) if request.param == "everything" else deploy_stack(request.param)


def test_no_output_is_rendered_as_text(deployed: Deployed) -> None:
    for made in deployed.resources:
        for text in texts(made.plain):
            assert not RENDERED.search(text), f"{made.type} {made.name}: {text}"
    for name, value in deployed.outputs.items():
        for text in texts(reveal(value)):
            assert not RENDERED.search(text), name


@pytest.mark.parametrize("secret", [SECRET, DEMO_KEY])
def test_secrets_are_secret_wherever_they_go(deployed: Deployed, secret: str) -> None:
    for made in deployed.resources:
        assert not any(secret in text for text in texts(made.inputs)), f"{made.type} {made.name}"
    assert not any(secret in text for text in texts(deployed.outputs))
    holders = {made.name for made in deployed.resources if any(secret in text for text in texts(made.plain))}
    if secret == SECRET:
        assert holders == {"api-function", "deliver-function", "sweep-function", "settlement-function"}
    else:
        assert holders == {"api-function", "api-demo-key-parameter"}


def test_every_name_begins_with_project_and_stack(deployed: Deployed) -> None:
    stack = "prod" if deployed is deploy_stack("prod") else "dev"
    for made in deployed.resources:
        if made.type.rsplit(":", 1)[-1] in NAMED and made.name != "api-live":
            assert f"{PROJECT}-{stack}" in made.plain["name"], f"{made.type} {made.name}"


def test_no_two_resources_of_a_type_have_one_name(deployed: Deployed) -> None:
    names = [(made.type, made.plain["name"]) for made in deployed.resources if "name" in made.plain]
    assert len(names) == len(set(names))


def test_names_are_as_long_as_aws_takes_them() -> None:
    deployed = deploy("a" * 20)
    for made in deployed.resources:
        limit = {"Function": 64, "Role": 64, "Schedule": 64}.get(made.type.rsplit(":", 1)[-1], 80)
        if made.type.startswith("aws:") and made.type.rsplit(":", 1)[-1] != "LogGroup":
            assert len(made.plain.get("name", "")) <= limit, f"{made.type} {made.name}"


def test_every_resource_belongs_to_a_component(deployed: Deployed) -> None:
    components = {
        "sandbox:api:PaymentsApi",
        "sandbox:budget:MonthlyBudget",
        "sandbox:encryption:EncryptionKey",
        "sandbox:function:SandboxFunction",
        "sandbox:ledger:Ledger",
        "sandbox:observability:Observability",
        "sandbox:settlement:SettlementWorkflow",
        "sandbox:site:Site",
        "sandbox:webhooks:Webhooks",
    }
    for made in deployed.resources:
        if made.type.startswith("aws:"):
            assert made.parent in components, f"{made.type} {made.name} is part of {made.parent}"
        elif made.type.startswith("sandbox:"):
            assert made.type in components


def test_tags_come_from_the_provider_once(deployed: Deployed) -> None:
    provider = deployed.one("aws")
    assert '"project": "payments-sandbox"' in provider.plain["defaultTags"].replace('":"', '": "')
    for name in ("stack", "owner", "managed-by"):
        assert f'"{name}"' in provider.plain["defaultTags"]
    assert not any("tags" in made.inputs for made in deployed.resources if made is not provider)


@pytest.mark.parametrize("stack", STACKS)
def test_names_and_addresses_are_exported(stack: str) -> None:
    outputs = deploy_stack(stack).outputs
    prefix = f"{PROJECT}-{stack}"
    assert outputs["api_url"] == f"https://api-rest-id.execute-api.eu-central-1.amazonaws.com/{stack}"
    assert outputs["demo_api_key"] == Secret(DEMO_KEY)
    assert outputs["dashboard_url"].endswith(f"#dashboards/dashboard/{prefix}")
    assert outputs["table_name"] == f"{prefix}-PaymentsLedger"
    assert outputs["topic_arn"].endswith(f":{prefix}-WebhookTopic")
    assert outputs["alarm_topic_arn"].endswith(f":{prefix}-alarms")
    assert outputs["queue_url"].endswith(f"/{prefix}-webhooks")
    assert outputs["state_machine_arn"].endswith(f":{prefix}-settlement")
    assert outputs["function_names"] == {
        name: f"{prefix}-{name}" for name in ("api", "relay", "deliver", "sweep", "settlement")
    }
    assert set(outputs["dead_letter_urls"]) == {"webhooks", "settlement"}


def test_production_keeps_its_ledger_and_key_and_dev_lets_go_of_them() -> None:
    for stack, kept in (("prod", True), ("dev", False)):
        deployed = deploy_stack(stack)
        protected = {made.name for made in deployed.resources if made.protect}
        assert protected == ({"ledger-table", "encryption-key"} if kept else set())


def test_stacks_consist_of_the_same_parts_but_for_what_their_files_switch_on() -> None:
    dev, prod = deploy_stack("dev"), deploy_stack("prod")
    assert {made.name for made in dev.resources} - {made.name for made in prod.resources} == set()
    more = {made.name for made in prod.resources} - {made.name for made in dev.resources}
    assert more == {"api-live", "budget", "budget-month", "observability-alarm-mail"}
