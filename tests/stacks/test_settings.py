"""A stack's settings are read in one place, and what would be regretted is refused by name before anything is created."""

import json
import re
from dataclasses import fields
from inspect import cleandoc
from typing import Any

import pytest

from stacks.settings import PROJECT, StackSettings, StackSettingsError
from tests.each_case import each_case
from tests.stacks.deployed import REGION, SECRET, deploy, stack_config

BUNDLE = __file__
PRODUCTION = {
    "production": "true",
    "protect": "true",
    "point_in_time_recovery": "true",
    "alarm_email": "ops@example.com",
    "budget_usd": "500",
    "budget_email": "ops@example.com",
}


def read(stack: str = "dev", region: str = REGION, **values: str) -> StackSettings:
    given = {"ledger_secret": SECRET, "bundle": BUNDLE, **values}
    return StackSettings.read(given, stack=stack, region=region, secrets={"ledger_secret"})


def refusal(stack: str = "dev", region: str = REGION, **values: str) -> str:
    with pytest.raises(StackSettingsError) as caught:
        read(stack, region, **values)
    return str(caught.value)


def test_a_stack_needs_no_more_than_a_region_a_secret_and_a_bundle() -> None:
    settings = read()
    assert (settings.stack, settings.region, settings.prefix) == ("dev", REGION, f"{PROJECT}-dev")
    assert settings.ledger_secret == SECRET
    assert not settings.production
    assert settings.tags == {
        "project": PROJECT,
        "stack": "dev",
        "owner": "payments",
        "managed-by": "pulumi",
    }


def test_the_bundle_is_where_make_leaves_it_unless_it_is_said_to_be_elsewhere() -> None:
    default = next(each.default for each in fields(StackSettings) if each.name == "bundle")
    assert default == "build/lambda.zip"
    message = refusal(bundle="build/none.zip")
    assert "  bundle: build/none.zip is not there; `make bundle` builds it" in message


def test_every_setting_can_be_given() -> None:
    given = {
        each.name: OTHER_VALUES[each.name] for each in fields(StackSettings) if each.name in OTHER_VALUES
    }
    settings = read(**{name: text for name, (text, _) in given.items()})
    for name, (_, value) in given.items():
        assert getattr(settings, name) == value, name
        assert value != next(each.default for each in fields(StackSettings) if each.name == name), name


def test_no_setting_is_left_out_of_this_test() -> None:
    read_apart = {"stack", "region", "ledger_secret", "bundle", "provisioned_concurrency"}
    assert {each.name for each in fields(StackSettings)} == set(OTHER_VALUES) | read_apart


def test_every_setting_is_documented_in_the_order_it_is_declared() -> None:
    documented: list[str] = []
    for line in re.findall(
        r"^([a-z][a-z_, *]*):(?: |$)", cleandoc(StackSettings.__doc__ or ""), re.MULTILINE
    ):
        documented += [name.strip() for name in line.split(",")]
    assert documented == [each.name for each in fields(StackSettings)]


def test_the_ledger_secret_is_not_shown_where_settings_are() -> None:
    assert SECRET not in repr(read())


# --- refusals ------------------------------------------------------------------------------------------------------


def test_unknown_settings_are_refused_by_name() -> None:
    message = refusal(budget_eur="10", colour="blue")
    assert "  budget_eur: no such setting\n  colour: no such setting" in message


@each_case("name", ["stack", "region", "prefix", "tags"])
def test_what_is_no_setting_cannot_be_set(name: str) -> None:
    with pytest.raises(StackSettingsError, match=f"  {name}: no such setting"):
        StackSettings.read(
            {"ledger_secret": SECRET, "bundle": BUNDLE, name: "x"},
            stack="dev",
            region=REGION,
            secrets={"ledger_secret"},
        )


def test_a_missing_secret_and_region_are_named() -> None:
    with pytest.raises(StackSettingsError, match="  ledger_secret: is not set"):
        StackSettings.read({"bundle": BUNDLE}, stack="dev", region=REGION, secrets=())
    assert "  aws:region: must be set" in refusal(region="")


def test_a_ledger_secret_that_is_kept_in_the_clear_is_refused_without_being_repeated() -> None:
    with pytest.raises(StackSettingsError) as caught:
        StackSettings.read(
            {"ledger_secret": SECRET, "bundle": BUNDLE}, stack="dev", region=REGION, secrets=()
        )
    assert "  ledger_secret: must be encrypted; set it with --secret" in str(caught.value)
    assert SECRET not in str(caught.value)


@each_case("secret", ["", "00" * 31, SECRET.upper(), SECRET + "\n", "hunter2" * 9])
def test_a_ledger_secret_that_is_none_is_refused_without_being_repeated(secret: str) -> None:
    message = refusal(ledger_secret=secret)
    assert "  ledger_secret: must be 64 hexadecimal digits in lower case" in message
    assert not secret or secret not in message


@each_case(
    ("name", "text", "expected"),
    [
        ("log_level", "INFO", "must be one of debug, info, warning, error"),
        ("log_retention_days", "8", "must be one of 1, 3, 5, 7"),
        ("log_retention_days", "a week", "must be a whole number"),
        ("api_memory_mb", "64", "must be 128 to 10240"),
        ("worker_memory_mb", "99999", "must be 128 to 10240"),
        ("concurrency_api", "-1", "must not be negative"),
        ("concurrency_deliver", "1", "must be 0, or 2 or more"),
        ("provisioned_concurrency", "-1", "must not be negative"),
        ("provisioned_concurrency", "21", "must not be more than concurrency_api"),
        ("feed_shards", "0", "must be 1 to 99"),
        ("feed_shards", "100", "must be 1 to 99"),
        ("feed_shards", "1.5", "must be a whole number"),
        ("table_write_units_max", "0", "must be at least 1"),
        ("table_warm_write_units", "3999", "must be 0, or 4000 or more"),
        ("table_warm_read_units", "11999", "must be 0, or 12000 or more"),
        ("default_plan_requests_per_minute", "0", "must be at least 1"),
        ("accounts_burst", "0", "must be at least 1"),
        ("cors_origins", "https://example.com", "must be a JSON list"),
        ("cors_origins", '["*"]', "must be origins"),
        ("cors_origins", '["https://example.com/"]', "must be origins"),
        ("cors_origins", "[1]", "must be a JSON list"),
        ("domain_name", "https://example.com", "must be a domain name"),
        ("certificate_arn", "arn:aws:iam::1:x", "must be the ARN of a certificate"),
        ("hosted_zone_id", "Z1", "is of no use without domain_name"),
        ("settlement_schedule", "02:30", r"must be cron(...) or rate(...)"),
        ("alarm_email", "ops", "must be an address"),
        ("budget_usd", "-5", "must not be negative"),
        ("budget_usd", "ten", "must be a whole number"),
        ("protect", "yes", "must be true or false"),
        ("trace", "True", "must be true or false"),
        ("owner", " ", "must not be empty"),
        ("site_directory", "docs", "docs holds no index.html"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(name: str, text: str, expected: str) -> None:
    lines = refusal(**{name: text}).splitlines()
    assert any(line.startswith(f"  {name}: {expected}") for line in lines), lines


def test_a_budget_needs_an_address_and_an_address_a_budget() -> None:
    assert "  budget_email: must be set for a budget" in refusal(budget_usd="10")
    assert "  budget_usd: must be set for its address" in refusal(budget_email="ops@example.com")
    assert read(budget_usd="10", budget_email="ops@example.com").budget_usd == 10


def test_a_domain_needs_a_certificate_and_a_certificate_a_domain() -> None:
    certificate = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
    expected = "  certificate_arn: must be set when domain_name is, and only then"
    assert expected in refusal(domain_name="api.example.com")
    assert expected in refusal(certificate_arn=certificate)
    assert read(domain_name="api.example.com", certificate_arn=certificate).domain_name == "api.example.com"


def test_a_function_starts_from_a_snapshot_or_is_kept_running_but_not_both() -> None:
    assert read(provisioned_concurrency="2").provisioned_concurrency == 2
    message = refusal(provisioned_concurrency="2", snap_start="true")
    assert "  provisioned_concurrency: cannot be had together with snap_start" in message


@each_case("missing", ["protect", "point_in_time_recovery", "alarm_email", "budget_usd"])
def test_production_without_protection_budget_and_somebody_to_tell_is_refused(missing: str) -> None:
    assert read("shop", **PRODUCTION).production
    values = {name: text for name, text in PRODUCTION.items() if name != missing}
    if missing == "budget_usd":
        del values["budget_email"]
    assert re.search(rf"^  {missing}: must be .*in production$", refusal("shop", **values), re.MULTILINE)


@pytest.mark.parametrize("stack", ["prod", "production", "prod-eu"])
def test_a_stack_that_is_called_so_is_production(stack: str) -> None:
    assert read(stack, **PRODUCTION).production
    message = refusal(stack)
    for name in ("production", "protect", "point_in_time_recovery", "alarm_email", "budget_usd"):
        assert f"  {name}: must be" in message


@each_case("stack", ["Dev", "a" * 21, "dev_1", "-dev", "org/dev"])
def test_a_stack_whose_name_cannot_be_part_of_a_name_is_refused(stack: str) -> None:
    assert "  stack: lower-case letters" in refusal(stack)


def test_all_that_is_wrong_is_said_at_once() -> None:
    message = refusal(region="mars", log_level="loud", budget_usd="10", feed_shards="0")
    assert message.startswith("the settings of the stack dev cannot be used:\n")
    for name in ("aws:region", "log_level", "budget_email", "feed_shards"):
        assert f"\n  {name}: " in message


def test_a_refused_stack_creates_nothing() -> None:
    with pytest.raises(StackSettingsError, match="  colour: no such setting"):
        deploy(colour="blue")


# --- the stacks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_stacks_file_sets_known_settings_and_leaves_no_default_in_place(stack: str) -> None:
    config = stack_config(stack)
    defaults = {each.name: each.default for each in fields(StackSettings)}
    for name, value in config.items():
        if name != "aws:region":
            assert value != defaults[name], f"{name} is set to its default"
    assert not any("secret" in name for name in config), "secrets are set by whoever deploys"


def test_the_file_of_prod_lacks_nothing_but_addresses_and_the_secret() -> None:
    config = stack_config("prod")
    region = config.pop("aws:region")
    given = {name: value if isinstance(value, str) else json.dumps(value) for name, value in config.items()}
    message = refusal("prod", region, **given)
    complained = {line.split(":")[0].strip() for line in message.splitlines()[1:]}
    assert complained == {"alarm_email", "budget_email"}


OTHER_VALUES: dict[str, tuple[str, Any]] = {
    "production": ("true", True),
    "protect": ("true", True),
    "point_in_time_recovery": ("true", True),
    "owner": ("checkout", "checkout"),
    "log_level": ("debug", "debug"),
    "log_retention_days": ("90", 90),
    "access_logs": ("false", False),
    "gateway_log_role": ("false", False),
    "trace": ("true", True),
    "api_memory_mb": ("1024", 1024),
    "worker_memory_mb": ("1024", 1024),
    "snap_start": ("true", True),
    "concurrency_api": ("40", 40),
    "concurrency_relay": ("8", 8),
    "concurrency_deliver": ("8", 8),
    "concurrency_sweep": ("0", 0),
    "concurrency_settlement": ("8", 8),
    "feed_shards": ("32", 32),
    "table_write_units_max": ("24000", 24_000),
    "table_read_units_max": ("24000", 24_000),
    "table_warm_write_units": ("24000", 24_000),
    "table_warm_read_units": ("24000", 24_000),
    "default_plan_requests_per_minute": ("600", 600),
    "default_plan_burst": ("10", 10),
    "demo_plan_requests_per_second": ("10", 10),
    "demo_plan_burst": ("20", 20),
    "stage_requests_per_second": ("10000", 10_000),
    "stage_burst": ("5000", 5_000),
    "accounts_per_second": ("5", 5),
    "accounts_burst": ("50", 50),
    "open_accounts": ("false", False),
    "cors_origins": (
        '["https://example.com", "http://localhost:5173"]',
        ("https://example.com", "http://localhost:5173"),
    ),
    "domain_name": ("api.example.com", "api.example.com"),
    "certificate_arn": ("arn:aws:acm:eu-central-1:123456789012:certificate/1",) * 2,
    "hosted_zone_id": ("Z1", "Z1"),
    "settlement_schedule": ("rate(1 hour)", "rate(1 hour)"),
    "alarm_email": ("ops@example.com", "ops@example.com"),
    "budget_usd": ("25", 25),
    "budget_email": ("ops@example.com", "ops@example.com"),
    "site_directory": ("tests/stacks/fixtures/site", "tests/stacks/fixtures/site"),
}
"""Another value than the default for each setting: as it is set, and as it is read."""
