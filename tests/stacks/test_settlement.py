"""Settlement: the state machine is the definition beside the tasks, and starts each night."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from payments_sandbox.workers import settlement as settlement_worker
from stacks.components.settlement import PLACEHOLDER, DefinitionError, read_definition
from stacks.settings import SETTLEMENT
from tests.stacks.deployed import ACCOUNT, REGION, deploy

FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:payments-sandbox-dev-settlement"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:payments-sandbox-dev-settlement"
DEAD_LETTERS = f"arn:aws:sqs:{REGION}:{ACCOUNT}:payments-sandbox-dev-settlement-dead-letters"


def test_the_state_machine_is_the_definition_with_the_functions_address() -> None:
    written = SETTLEMENT.read_text("utf-8")
    deployed = deploy().one("StateMachine").plain["definition"]
    assert json.loads(deployed) == json.loads(written.replace(PLACEHOLDER, FUNCTION))
    assert "${" not in deployed


def test_the_function_may_take_as_long_as_the_state_machine_waits_for_it() -> None:
    function = deploy().one("Function", "settlement-function").plain
    tasks = [state for state in states() if state["Type"] == "Task"]
    assert tasks
    for task in tasks:
        assert task["TimeoutSeconds"] == function["timeout"]
    assert function["timeout"] * 1000 > 2 * settlement_worker.TIME_KEPT_MS


def test_as_many_accounts_as_are_settled_at_once_find_room() -> None:
    function = deploy().one("Function", "settlement-function").plain
    (at_once,) = [state["MaxConcurrency"] for state in states() if state["Type"] == "Map"]
    assert function["reservedConcurrentExecutions"] >= at_once


def states(machine: Any = None) -> Iterator[dict[str, Any]]:
    """All states of the definition, those within a Map too."""
    machine = machine or json.loads(SETTLEMENT.read_text("utf-8"))
    for state in machine["States"].values():
        yield state
        if "ItemProcessor" in state:
            yield from states(state["ItemProcessor"])


def test_the_state_machine_logs_what_goes_wrong_and_no_payments() -> None:
    machine = deploy().one("StateMachine")
    assert machine.plain["loggingConfiguration"] == {
        "level": "ERROR",
        "includeExecutionData": False,
        "logDestination": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/vendedlogs/states/payments-sandbox-dev-settlement:*",
    }
    assert "settlement-machine-policy" in machine.after


def test_it_starts_when_it_is_set_to_and_a_start_that_fails_leaves_a_dead_letter() -> None:
    schedule = deploy(settlement_schedule="cron(0 5 * * ? *)").one("Schedule", "settlement-schedule")
    assert (schedule.plain["scheduleExpression"], schedule.plain["scheduleExpressionTimezone"]) == (
        "cron(0 5 * * ? *)",
        "UTC",
    )
    target = schedule.plain["target"]
    assert target["arn"] == MACHINE
    assert target["deadLetterConfig"] == {"arn": DEAD_LETTERS}
    assert json.loads(target["input"]) == {"scheduled_at": "<aws.scheduler.scheduled-time>"}
    assert "settlement-schedule-policy" in schedule.after


def test_it_starts_at_night_unless_it_is_set_otherwise() -> None:
    assert deploy().one("Schedule", "settlement-schedule").plain["scheduleExpression"] == "cron(30 2 * * ? *)"


def test_a_definition_that_is_missing_or_names_no_function_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "settlement.asl.json"
    with pytest.raises(DefinitionError, match="is not there: it defines the settlement"):
        read_definition(path)
    path.write_text('{"StartAt": "Collect"}')
    with pytest.raises(DefinitionError, match="does not name the function"):
        read_definition(path)
