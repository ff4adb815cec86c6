"""The settlement's state machine, run by an interpreter of Amazon's language (moto's), over the real function and table.

What stands between the two is Lambda: a few lines that call the function and tell errors as Lambda tells them. Retries wait
for no time; how long they would have is noted.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from itertools import count
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from payments_sandbox import bootstrap  # noqa: F401
from payments_sandbox.adapters.dynamodb.client import create_client
from payments_sandbox.adapters.dynamodb.store import DynamoDbStore
from payments_sandbox.adapters.dynamodb.table import create_table
from payments_sandbox.adapters.system.clock import SystemClock
from payments_sandbox.domain import errors
from payments_sandbox.domain.errors import AccountBusy, StoreUnavailable
from payments_sandbox.domain.timestamps import DAY_MS, HOUR_MS
from payments_sandbox.services.accounts.accounts import create_account
from payments_sandbox.services.accounts.controls import change_controls

# Whole, before the entry points import it with parts left out, which would stay so for the other tests of this process.
from payments_sandbox.services.infrastructure import Infrastructure, Limits
from payments_sandbox.services.settlement.settlement_records import Settlement, read_lines
from payments_sandbox.services.settlement.settlements import list_settlements
from payments_sandbox.services.world import plain_world
from payments_sandbox.workers import settlement as worker
from payments_sandbox.workers.settlement import SettlementTasks
from tests.calls.payments import authorize, capture, id_of
from tests.doubles.ports import ACCOUNT, LEDGER_SECRET, FrozenClock, make_infrastructure

pytestmark = pytest.mark.slow

REGION = "eu-central-1"
FUNCTION_ARN = f"arn:aws:lambda:{REGION}:123456789012:function:settlement"
DEFINITION = Path(worker.__file__).with_suffix(".asl.json")
DEADLINE_S = 120

_numbers = count(1)

Json = dict[str, Any]
Trouble = Callable[[Json], None]
"""Raises what is to go wrong with a call of the function, or does nothing."""


@dataclass
class Context:
    """Of Lambda's context what the function asks. steps: answers before the time is nearly up."""

    steps: int = 1_000_000

    def get_remaining_time_in_millis(self) -> int:
        self.steps -= 1
        return 900_000 if self.steps >= 0 else 1_000


@dataclass
class Machine:
    """The state machine, the function, and the table behind it."""

    infrastructure: Infrastructure
    clock: FrozenClock
    function: Callable[[Json, Any], Json]
    states: Any
    arn: str
    waits: list[float]
    calls: list[Json] = field(default_factory=list)
    executions: int = 0
    alone: Lock = field(default_factory=Lock)
    before: Trouble = lambda event: None
    after: Trouble = lambda event: None
    context: Callable[[], Context] = Context

    def invoke(self, parameters: Mapping[str, Any]) -> Json:
        """Stand for Lambda: call the function, and tell what it raises as Lambda would."""
        assert parameters["FunctionName"] == FUNCTION_ARN
        event = json.loads(parameters["Payload"])
        self.calls.append(event)
        try:
            self.before(event)
            # The map settles several accounts at once; moto's tables cannot bear two writers at a time.
            with self.alone:
                answer = self.function(event, self.context())
            self.after(event)
        except Exception as error:  # noqa: BLE001 - Lambda tells of every error alike
            told = {"errorType": type(error).__name__, "errorMessage": str(error), "stackTrace": []}
            return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": told}
        return {"StatusCode": 200, "Payload": json.loads(json.dumps(answer))}

    def run(self) -> Json:
        """Execute it; answers the execution as it is described once it has ended."""
        self.executions += 1
        execution = self.states.start_execution(
            stateMachineArn=self.arn, name=f"night-{self.executions}", input="{}"
        )["executionArn"]
        deadline = time.monotonic() + DEADLINE_S
        while True:
            described = self.states.describe_execution(executionArn=execution)
            if described["status"] != "RUNNING":
                return dict(described)
            assert time.monotonic() < deadline, "the execution does not end"
            time.sleep(0.02)

    def pay(self, account: str, key: str, **fields: Any) -> str:
        authorization_id = id_of(
            authorize(plain_world(self.infrastructure, ACCOUNT), key, account=account, **fields)
        )
        return id_of(
            capture(plain_world(self.infrastructure, ACCOUNT), authorization_id, key, account=account)
        )

    def settled(self, account: str) -> list[Settlement]:
        return list(list_settlements(plain_world(self.infrastructure, account), limit=100, cursor=None).items)

    def entries_settled(self, account: str) -> list[str]:
        return sorted(
            line.transaction_id
            for settlement in self.settled(account)
            for line in read_lines(plain_world(self.infrastructure, ACCOUNT), settlement)
        )

    def tasks_of(self, account: str) -> list[str]:
        return [call["task"] for call in self.calls if call.get("account_id") == account]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
        clock = FrozenClock()
        monkeypatch.setattr(SystemClock, "now_ms", lambda _: clock.now_ms())
        # A name that nobody used: under another test's mock, moto does not start from nothing.
        name = f"settlement-{next(_numbers)}"
        environment = {"SANDBOX_TABLE": name, "SANDBOX_LEDGER_SECRET": LEDGER_SECRET.hex()}
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        client = create_client(region_name=REGION)
        create_table(client, name)
        entry_point = import_module("payments_sandbox.entrypoints.lambda_settlement")
        settings = entry_point.SettlementSettings.from_environment(environment)
        states = boto3.client("stepfunctions", region_name=REGION)
        definition = DEFINITION.read_text().replace("${settlement_function_arn}", FUNCTION_ARN)
        arn = states.create_state_machine(
            name=name, definition=definition, roleArn="arn:aws:iam::123456789012:role/settlement"
        )["stateMachineArn"]
        waits: list[float] = []
        machine = Machine(
            infrastructure=make_infrastructure(DynamoDbStore(client, name), clock),
            clock=clock,
            function=entry_point.build_handler(settings),
            states=states,
            arn=arn,
            waits=waits,
        )
        parser = "moto.stepfunctions.parser.asl.component"
        monkeypatch.setattr(
            f"{parser}.state.exec.state_task.lambda_eval_utils._invoke_lambda_function",
            lambda parameters, **_: machine.invoke(parameters),
        )
        monkeypatch.setattr(f"{parser}.common.retry.retrier_decl.time", SimpleNamespace(sleep=waits.append))
        yield machine
        machine.infrastructure.store.close()


def test_an_execution_settles_every_account_that_is_due(machine: Machine) -> None:
    expected = {
        account: sorted(
            [machine.pay(account, "a"), machine.pay(account, "b"), machine.pay(account, "c", currency="JPY")]
        )
        for account in ("acct_one", "acct_two")
    }
    machine.clock.advance(days=1)
    machine.pay("acct_tomorrow", "a")
    execution = machine.run()
    assert execution["status"] == "SUCCEEDED"
    for account, captured in expected.items():
        assert machine.entries_settled(account) == captured
        assert {settlement.currency for settlement in machine.settled(account)} == {"EUR", "JPY"}
        assert all(settlement.completed for settlement in machine.settled(account))
        assert machine.tasks_of(account) == ["settle", "publish"]
    assert machine.settled("acct_tomorrow") == []
    output = json.loads(execution["output"])
    assert (output["collected"], output["failed_count"], output["accounts"]) == (2, 0, [])
    assert machine.waits == []


def test_an_execution_with_nothing_to_do_asks_once_and_ends(machine: Machine) -> None:
    machine.pay("acct_one", "a")
    assert machine.run()["status"] == "SUCCEEDED"
    assert [call["task"] for call in machine.calls] == ["collect"]


def test_days_and_accounts_whose_time_is_ahead_are_settled_by_their_own_clock(machine: Machine) -> None:
    account, _ = create_account(machine.infrastructure, name=None)
    ahead = account.account_id
    change_controls(
        machine.infrastructure, ahead, lambda controls: replace(controls, clock_offset_ms=3 * DAY_MS)
    )
    behind = machine.pay("acct_real", "a")
    first = machine.pay(ahead, "a")
    machine.clock.advance(ms=15 * HOUR_MS)
    second = machine.pay(ahead, "b")
    execution = machine.run()
    assert execution["status"] == "SUCCEEDED"
    assert machine.entries_settled("acct_real") == [behind]
    assert machine.entries_settled(ahead) == sorted([first, second])
    assert len(machine.settled(ahead)) == 2


def failing(
    times: int, error: Exception, *, task: str, account: str | None = None
) -> tuple[Trouble, list[Json]]:
    """Trouble for the first so many calls of a task; and the list of those that it met."""
    met: list[Json] = []

    def trouble(event: Json) -> None:
        if event["task"] == task and event.get("account_id") == account and len(met) < times:
            met.append(event)
            raise error

    return trouble, met


@pytest.mark.parametrize(
    ("when", "task", "account", "error"),
    [
        ("before", "collect", None, StoreUnavailable("throttled")),
        ("before", "settle", "acct_one", StoreUnavailable("throttled")),
        ("before", "publish", "acct_one", AccountBusy("others")),
        ("after", "collect", None, StoreUnavailable("throttled")),
        ("after", "settle", "acct_one", AccountBusy("others")),
        ("after", "publish", "acct_one", StoreUnavailable("throttled")),
    ],
    ids=str,
)
def test_a_task_that_fails_for_now_is_run_again_after_longer_and_longer_pauses(
    machine: Machine, when: str, task: str, account: str | None, error: Exception
) -> None:
    """After the task, too: then it is the answer that was lost, and the work is found done."""
    captured = [machine.pay("acct_one", "a"), machine.pay("acct_two", "a")]
    machine.clock.advance(days=1)
    trouble, met = failing(3, error, task=task, account=account)
    setattr(machine, when, trouble)
    assert machine.run()["status"] == "SUCCEEDED"
    assert len(met) == 3
    assert len(machine.waits) == 3
    # Full jitter: anything up to the pause, which doubles.
    assert all(0 <= wait <= longest for wait, longest in zip(machine.waits, [2, 4, 8], strict=True))
    for account_id, transaction_id in zip(["acct_one", "acct_two"], captured, strict=True):
        assert machine.entries_settled(account_id) == [transaction_id]
        (settlement,) = machine.settled(account_id)
        assert settlement.completed


@pytest.mark.parametrize("task", ["settle", "publish"])
def test_an_account_that_cannot_be_settled_is_named_and_keeps_no_other_from_it(
    machine: Machine, task: str
) -> None:
    accounts = ["acct_one", "acct_poisoned", "acct_two"]
    captured = {account: machine.pay(account, "a") for account in accounts}
    machine.clock.advance(days=1)
    machine.before, met = failing(1_000, KeyError("currency"), task=task, account="acct_poisoned")
    execution = machine.run()
    assert (execution["status"], execution["error"]) == ("FAILED", "AccountsFailed")
    assert execution["cause"] == '1 accounts could not be settled, among them ["acct_poisoned"]'
    assert len(met) == 1, "a bug is not tried again"
    for account in ("acct_one", "acct_two"):
        assert machine.entries_settled(account) == [captured[account]]
    assert not any(settlement.completed for settlement in machine.settled("acct_poisoned"))
    # What was left over is found by the next execution, once it can be done.
    machine.before = lambda event: None
    assert machine.run()["status"] == "SUCCEEDED"
    assert machine.entries_settled("acct_poisoned") == [captured["acct_poisoned"]]
    assert all(settlement.completed for settlement in machine.settled("acct_poisoned"))


def test_an_account_is_given_up_after_five_more_attempts(machine: Machine) -> None:
    machine.pay("acct_one", "a")
    machine.clock.advance(days=1)
    machine.before, met = failing(1_000, StoreUnavailable("down"), task="settle", account="acct_one")
    assert machine.run()["error"] == "AccountsFailed"
    assert len(met) == 1 + 5
    assert all(0 <= wait <= 32 for wait in machine.waits)


def test_an_execution_that_cannot_tell_what_is_due_fails_and_says_why(machine: Machine) -> None:
    machine.pay("acct_one", "a")
    machine.clock.advance(days=1)
    machine.before, _ = failing(1_000, StoreUnavailable("down"), task="collect")
    execution = machine.run()
    assert (execution["status"], execution["error"]) == ("FAILED", "CollectFailed")
    assert execution["cause"] == "Nothing tells which accounts are due: StoreUnavailable"


def test_an_account_that_takes_longer_than_an_invocation_is_gone_on_with(
    machine: Machine,
) -> None:
    tasks = SettlementTasks(replace(machine.infrastructure, limits=Limits(settlement_lines_per_record=2)))
    machine.function = lambda event, context: tasks.run(event, context.get_remaining_time_in_millis)
    captured = sorted(machine.pay("acct_one", f"p-{number}") for number in range(9))
    machine.clock.advance(days=1)
    machine.context = lambda: Context(steps=1)
    assert machine.run()["status"] == "SUCCEEDED"
    assert machine.tasks_of("acct_one").count("settle") > 2
    assert machine.entries_settled("acct_one") == captured
    (settlement,) = machine.settled("acct_one")
    assert (settlement.completed, settlement.count) == (True, 9)


def test_accounts_are_collected_in_rounds(machine: Machine) -> None:
    tasks = SettlementTasks(machine.infrastructure, accounts_per_round=2)
    machine.function = lambda event, context: tasks.run(event, context.get_remaining_time_in_millis)
    accounts = [f"acct_{number}" for number in range(5)]
    captured = {account: machine.pay(account, "a") for account in accounts}
    machine.clock.advance(days=1)
    machine.before, _ = failing(1_000, KeyError("x"), task="settle", account="acct_3")
    execution = machine.run()
    assert '1 accounts could not be settled, among them ["acct_3"]' in execution["cause"]
    for account in accounts:
        found = [] if account == "acct_3" else [captured[account]]
        assert machine.entries_settled(account) == found
    assert [call["task"] for call in machine.calls].count("collect") >= 3


def test_the_definition_retries_errors_by_the_names_that_lambda_tells_them_by() -> None:
    definition = DEFINITION.read_text()
    assert set(re.findall(r"\$\{[^}]*\}", definition)) == {"${settlement_function_arn}"}
    names = set(re.findall(r'"(StoreUnavailable|AccountBusy|[A-Z]\w+)",', definition))
    ours = {name for name in names if name in vars(errors)}
    assert ours == {"StoreUnavailable", "AccountBusy"}
    assert all(vars(errors)[name].retryable for name in ours)
