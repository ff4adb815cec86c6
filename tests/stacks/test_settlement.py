"""Settlement: the state machine is the definition beside the tasks, and starts each night."""

import json
from pathlib import Path

import pytest

from stacks.components.settlement import PLACEHOLDER, DefinitionError, read_definition
from tests.stacks.deployed import ACCOUNT, REGION, definition_path, deploy

FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:payments-sandbox-dev-settlement"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:payments-sandbox-dev-settlement"
DEAD_LETTERS = f"arn:aws:sqs:{REGION}:{ACCOUNT}:payments-sandbox-dev-settlement-dead-letters"


def test_the_state_machine_is_the_definition_with_the_functions_address() -> None:
    written = definition_path().read_text("utf-8")
    deployed = deploy().one("StateMachine").plain["definition"]
    assert json.loads(deployed) == json.loads(written.replace(PLACEHOLDER, FUNCTION))
    assert "${" not in deployed


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
