"""docs/parity.md: what the local sandbox and the AWS deployment answered, where they differ, and what the emulator cannot
show."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from inspect import getmembers, isfunction
from types import FunctionType, ModuleType
from typing import Final

import pytest

from tests.e2e.infra.aws.apply import Deployment
from tests.e2e.infra.parity import Answer, Step
from tests.e2e.infra.server import ROOT

REPORT: Final = ROOT / "docs" / "parity.md"
TESTS: Final = ROOT / "tests" / "e2e"

NOT_SHOWN: Final = (
    "Permissions on KMS keys, the roles of the state machine, of schedules and of event source mappings.",
    "API Gateway's limits of size and time, its access logs, and that a new deployment is needed after a change.",
    "Retries, bisection and failure destinations of the mapping from the table's stream: `tests/unit/workers/test_relay.py` "
    "tests what the relay does of it.",
    "Metric maths in alarms, what CloudFront adds to the site, and everything that takes AWS time to spread.",
    "Lambda's own Python 3.12 on arm64: functions run on the tests' Python, from a bundle that the same builder made.",
)

HEAD: Final = """# Parity of the local sandbox and the AWS deployment

Written by `make parity`; a test fails when the answers are no longer these.

The local sandbox is a process on this machine with SQLite. The AWS deployment is the Pulumi program of
[`stacks/`](../stacks), unmodified, applied to an emulator of AWS: API Gateway, Lambda, DynamoDB, SNS, SQS, Step Functions.
Each call there is judged by the policies of the caller's role.
"""


def render(
    steps: Sequence[Step],
    local: Sequence[Answer],
    deployed: Sequence[Answer],
    deployment: Deployment,
) -> str:
    """The report's text."""
    return "\n".join(
        [
            HEAD,
            "## One scenario, sent to both",
            "",
            "[`contracts/parity/scenario.yaml`](../contracts/parity/scenario.yaml): statuses, headers and bodies are compared, "
            "ids by what they refer to.",
            "",
            "| step | request | local | deployed |  |",
            "| --- | --- | --- | --- | --- |",
            *(row(*line) for line in zip(steps, local, deployed, strict=True)),
            "",
            "Only the local sandbox tells what is left of a quota (`RateLimit`): on AWS the gateway counts.",
            "",
            "## Tests that run on both",
            "",
            *(line for module in modules() if not reason_of(module) for line in shared_tests(module)),
            "",
            "## Tests that run on the local sandbox only",
            "",
            *(f"- {link(module)}: {reason}" for module in modules() if (reason := reason_of(module))),
            "",
            "## Inputs that the emulator does not use",
            "",
            "The emulator carries out all inputs of the program but these.",
            "",
            *unused_inputs(deployment),
            "",
            "## What it does not show",
            "",
            *(f"- {line}" for line in NOT_SHOWN),
            "",
        ]
    )


def row(step: Step, local: Answer, deployed: Answer) -> str:
    """A step's line of the table."""
    verdict = "the same" if local == deployed else f"differs: {step.differs}"
    request = f"{step.method} {step.path}".replace("|", "\\|")
    return f"| {step.name} | `{request}` | {local.status} | {deployed.status} | {verdict} |"


def modules() -> list[ModuleType]:
    """The modules of tests that are about the sandbox; fuzzing has a module of its own for each."""
    files = sorted(TESTS.glob("test_*.py"))
    return [
        import_module(f"tests.e2e.{file.stem}") for file in files if not file.stem.startswith("test_fuzz")
    ]


def shared_tests(module: ModuleType) -> Iterator[str]:
    """A module of tests that run on both, and which of them do not."""
    tests = [test for name, test in getmembers(module, isfunction) if name.startswith("test_")]
    # In the order of the file.
    tests.sort(key=lambda test: test.__code__.co_firstlineno)
    only_local = {test.__name__: reason for test in tests if (reason := reason_of(test))}
    yield f"- {link(module)}" + (", but for" if only_local else "")
    for name, reason in only_local.items():
        yield f"  - {name.removeprefix('test_').replace('_', ' ')}: {reason}"


def link(module: ModuleType) -> str:
    return f"`{module.__name__.replace('.', '/')}.py`"


def reason_of(marked: ModuleType | FunctionType) -> str | None:
    """Why a module or a test is marked `local_only`, if it is."""
    marks = getattr(marked, "pytestmark", [])
    for mark in marks if isinstance(marks, list) else [marks]:
        found = mark.mark if isinstance(mark, pytest.MarkDecorator) else mark
        if found.name == "local_only":
            return str(found.args[0])
    return None


def unused_inputs(deployment: Deployment) -> list[str]:
    """Inputs that a mapping has set aside, once for each type of resource."""
    asides = {
        (resource.type, name, why)
        for resource in deployment.resources
        for name, why in resource.asides.items()
    }
    return [f"- `{type_}` {name}: {why}" for type_, name, why in sorted(asides)]
