"""The Lambda path: what one invocation of ours costs in CPU time beside the same authorization with FastAPI.

Both are called as Lambda calls them, with the same API Gateway event, each in a process of its own, in turn.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.load.figures import Comparison, Section
from tests.load.lambda_homes import lambda_environment
from tests.load.processes import LOOPBACK, ROOT, BenchFailed, stop

ANSWER_TIMEOUT_S = 60


@dataclass(frozen=True)
class Plan:
    """How long to measure. rounds: of each side, with this many invocations in each."""

    rounds: int
    invocations: int


FULL = Plan(rounds=25, invocations=400)
QUICK = Plan(rounds=7, invocations=200)


class Worker:
    """A process that runs one side's handler."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def microseconds(self, invocations: int) -> float:
        """CPU time of one invocation, over this many."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{invocations}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise BenchFailed("a worker ended; its error stands above") from None
        line = self._process.stdout.readline()
        if not line:
            raise BenchFailed("a worker ended; its error stands above")
        return float(line)


def measure(plan: Plan) -> Section:
    """Both sides without storage, then with one PutItem."""
    comparisons = []
    with ExitStack() as stack:
        port = stack.enter_context(table())
        for storage, name, target in (
            ("none", "CPU an invocation, without storage", 0.45),
            ("dynamodb", "CPU an invocation, with one PutItem through boto3", 0.75),
        ):
            with worker("ours", storage, port) as ours, worker("fastapi", storage, port) as theirs:
                sides = (ours, theirs)
                for side in sides:
                    side.microseconds(plan.invocations)
                rounds = []
                for number in range(plan.rounds):
                    order = sides if number % 2 == 0 else sides[::-1]
                    spent = {side: side.microseconds(plan.invocations) for side in order}
                    rounds.append((spent[ours], spent[theirs]))
            comparisons.append(Comparison(name, "µs", rounds, target))
            print(
                f"  {name}: {comparisons[-1].ours:.0f} µs, theirs {comparisons[-1].theirs:.0f} µs", flush=True
            )
    return Section(
        title="Lambda path beside FastAPI",
        method=(
            "The same API Gateway REST event for `POST /v1/authorize`, invoked in process as Lambda does: ours through "
            "`payments_sandbox.entrypoints.lambda_api`, the other a FastAPI + Pydantic + Mangum application of the same fields, "
            "limits, keyed hashes and answer (`tests/load/fastapi_app.py`: asynchronous dependencies, strict models, "
            f"response model). Neither writes an access log. {plan.rounds} rounds of {plan.invocations} invocations each, "
            "taking turns; medians of the process's CPU time. With storage, both make one conditional PutItem with boto3 to a stand-in on 127.0.0.1 "
            "whose CPU is not counted."
        ),
        comparisons=comparisons,
    )


@contextmanager
def table() -> Iterator[int]:
    """The stand-in for DynamoDB, in a process of its own; its port."""
    command = [sys.executable, "-m", "tests.load.dynamodb_stub"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        stop(process)


@contextmanager
def worker(side: str, storage: str, table_port: int) -> Iterator[Worker]:
    """One side's handler, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.load.lambda_worker", side, storage],
        cwd=ROOT,
        env=environment_of(table_port, storage),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        yield Worker(process)
    finally:
        stop(process)


def environment_of(table_port: int, storage: str) -> dict[str, str]:
    """What both sides' processes find in their environment; the credentials are those of nobody."""
    coverage = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return {
        **coverage,
        **lambda_environment(),
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL_DYNAMODB": f"http://{LOOPBACK}:{table_port}",
        "BENCH_STORE": storage,
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
    }
