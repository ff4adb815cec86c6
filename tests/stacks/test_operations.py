"""docs/operations.md, held to the program that it describes: alarms, outputs, settings, commands, operations of the API."""

import re
from pathlib import Path

import pytest

from stacks.settings import StackSettings
from tests.stacks.deployed import deploy_stack

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "operations.md").read_text("utf-8")
ALARM_ROW = re.compile(r"^\| `([a-z0-9-]+)` \| [^|]+ \| [^|]+ \|$", re.MULTILINE)
SETTING = re.compile(r"config set (?:--secret )?([a-z][a-z_]+) ")
OPERATION = re.compile(r"`(GET|POST|DELETE) (/v1/[^`]+)`")


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_every_alarm_says_what_to_do(stack: str) -> None:
    prefix = f"payments-sandbox-{stack}-"
    alarms = {each.plain["name"].removeprefix(prefix) for each in deploy_stack(stack).of_type("MetricAlarm")}
    section = TEXT.partition("## Alarms")[2].partition("**Dead letters.**")[0]
    assert set(ALARM_ROW.findall(section)) == alarms


def test_every_workflow_is_described_and_no_other() -> None:
    section = TEXT.partition("## Workflows")[2].partition("##")[0]
    described = re.findall(r"^\| `([a-z]+)` \|", section, re.MULTILINE)
    assert sorted(described) == sorted(file.stem for file in (ROOT / ".github" / "workflows").iterdir())


def test_every_output_that_is_asked_for_is_exported() -> None:
    asked = set(re.findall(r"stack output (?:--json )?([a-z_]+)", TEXT))
    assert asked
    assert asked <= set(deploy_stack("prod").outputs)


def test_every_setting_that_is_named_exists() -> None:
    known = set(StackSettings.__dataclass_fields__)
    told = set(SETTING.findall(TEXT))
    assert told
    assert told <= known
    named = set(re.findall(r"`((?:concurrency|table|stage|feed|alarm|budget)_[a-z_]+)`", TEXT))
    assert named
    assert named <= known


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = {
        name for line in re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE) for name in line.split()
    }
    called = set(re.findall(r"\bmake ([a-z-]+)", TEXT))
    assert {"up-dev", "preview-prod", "fuzz-deployed"} <= called <= targets


def test_every_operation_of_the_api_that_is_named_exists() -> None:
    contract = (ROOT / "openapi" / "payments.yaml").read_text("utf-8")
    named = OPERATION.findall(TEXT)
    assert named
    for _, path in named:
        assert f"\n  {path}:\n" in contract, path


def test_every_file_that_is_linked_exists() -> None:
    links = re.findall(r"\]\((?!http|#)([^)#]+)\)", TEXT)
    assert len(links) >= 3
    for link in links:
        assert (ROOT / "docs" / link).exists(), link
