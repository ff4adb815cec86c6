"""Cold starts: a fresh process imports the handler with its boto3 client and answers a first request, ours and FastAPI's.

Each side is laid out as its Lambda bundle would be: the packages that it needs and no others, with bytecode compiled
beforehand (unchecked-hash, so that nothing looks at the sources' times), ours with the contract prepared as JSON.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from payments_sandbox.entrypoints.prepare_contract import prepare_contract
from tests.load.figures import Comparison, Section
from tests.load.lambda_homes import lambda_environment
from tests.load.lambda_path import environment_of, table
from tests.load.processes import ROOT, BenchFailed
from tests.load.samples import ACCEPTED, gateway_event

HERE = Path(__file__).parent
START_TIMEOUT_S = 30
# botocore describes every service of AWS in files of its own; a bundle keeps those that it calls.
BOTOCORE_DATA = (
    "dynamodb",
    "endpoints.json",
    "partitions.json",
    "sdk-default-configuration.json",
    "_retry.json",
)


@dataclass(frozen=True)
class Plan:
    """How often to start. starts: of each side."""

    starts: int


FULL = Plan(starts=25)
QUICK = Plan(starts=7)


@dataclass(frozen=True)
class Bundle:
    """A directory as Lambda would unpack it, and the module in it that has the handler."""

    path: Path
    module: str


def measure(plan: Plan) -> Section:
    """Lay out both bundles and start each in turn."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ours, theirs = our_bundle(scratch / "ours"), fastapi_bundle(scratch / "fastapi")
        environment = environment_of(stack.enter_context(table()), "dynamodb")
        environment |= lambda_environment(contract=ours.path / "contract.json")
        results: dict[Path, list[dict[str, float]]] = {ours.path: [], theirs.path: []}
        for bundle in (ours, theirs):
            _start(bundle, environment, scratch)
        for number in range(plan.starts):
            for bundle in (ours, theirs) if number % 2 == 0 else (theirs, ours):
                results[bundle.path].append(_start(bundle, environment, scratch))
    pairs = list(zip(results[ours.path], results[theirs.path], strict=True))
    comparisons = [
        Comparison("CPU until the first answer", "ms", [(a["cpu_ms"], b["cpu_ms"]) for a, b in pairs], 0.8),
        Comparison(
            "wall time until the first answer", "ms", [(a["wall_ms"], b["wall_ms"]) for a, b in pairs], None
        ),
    ]
    for each in comparisons:
        print(f"  {each.name}: {each.ours:.0f} ms, theirs {each.theirs:.0f} ms", flush=True)
    return Section(
        title="Cold start beside FastAPI",
        method=(
            "A fresh process imports the Lambda handler with its boto3 client and answers a first request that makes one "
            "PutItem to a stand-in on 127.0.0.1. Both bundles hold only what they need, with bytecode compiled beforehand "
            "(unchecked-hash .pyc); ours has the contract as JSON. The interpreter's own start is not counted. "
            f"{plan.starts} starts of each, taking turns, files in the page cache; medians."
        ),
        comparisons=comparisons,
    )


def our_bundle(path: Path) -> Bundle:
    """Our Lambda function: the locked requirements, the package, the contract as JSON."""
    lines = (ROOT / "requirements/lambda.txt").read_text("utf-8").splitlines()
    _lay_out(path, [Requirement(line.rstrip(" \\")) for line in lines if line and line[0] not in " #"])
    shutil.copytree(
        ROOT / "handlers" / "payments_sandbox",
        path / "payments_sandbox",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    prepare_contract(path / "contract.json")
    _compile(path)
    return Bundle(path, "payments_sandbox.entrypoints.lambda_api")


def fastapi_bundle(path: Path) -> Bundle:
    """The comparison's function: what FastAPI, Mangum and boto3 require, and the application."""
    names = _closure(["fastapi", "mangum", "boto3"])
    _lay_out(path, [Requirement(name) for name in names])
    shutil.copy(HERE / "fastapi_app.py", path)
    _compile(path)
    return Bundle(path, "fastapi_app")


def _closure(roots: Iterable[str]) -> list[str]:
    found: dict[str, None] = {}
    waiting = [Requirement(root) for root in roots]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found[name] = None
        waiting += [Requirement(text) for text in distribution(name).requires or ()]
    return list(found)


def _lay_out(path: Path, requirements: Iterable[Requirement]) -> None:
    """Copy the installed packages' files, without scripts, bytecode and the services that nobody calls."""
    path.mkdir()
    for requirement in requirements:
        if requirement.marker and not requirement.marker.evaluate():
            continue
        for file in distribution(requirement.name).files or ():
            parts = file.parts
            if ".." in parts or "__pycache__" in parts:
                continue
            if parts[:2] == ("botocore", "data") and parts[2] not in BOTOCORE_DATA:
                continue
            target = path.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), target)


def _compile(path: Path) -> None:
    command = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(path)]
    subprocess.run(command, check=True, timeout=300, stdin=subprocess.DEVNULL)


def _start(bundle: Bundle, environment: dict[str, str], scratch: Path) -> dict[str, float]:
    event = scratch / "event.json"
    event.write_text(json.dumps(gateway_event(ACCEPTED, f"cold-{time.time_ns():x}")), "utf-8")
    command = [
        sys.executable,
        "-I",
        "-S",
        str(HERE / "cold_child.py"),
        str(bundle.path),
        bundle.module,
        str(event),
    ]
    done = subprocess.run(
        command,
        env=environment,
        cwd=scratch,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise BenchFailed(f"the cold start of {bundle.module} failed:\n{done.stderr[-3000:]}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result
