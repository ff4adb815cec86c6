"""docs/parity.md: what both homes answered, where they differ, and what the emulator cannot show."""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Final

from tests.e2e.aws import (
    test_clock,
    test_disputes,
    test_faults,
    test_network_messages,
    test_payment_life,
    test_settlement,
    test_snapshots,
    test_test_cards,
    test_webhooks,
)
from tests.e2e.infra.aws.apply import Deployment
from tests.e2e.infra.parity import Answer, Step
from tests.e2e.infra.server import ROOT

REPORT: Final = ROOT / "docs" / "parity.md"

SHARED: Final[Sequence[ModuleType]] = (
    test_payment_life,
    test_test_cards,
    test_clock,
    test_settlement,
    test_disputes,
    test_faults,
    test_snapshots,
    test_network_messages,
    test_webhooks,
)

NOT_SHOWN: Final = (
    "Permissions on KMS keys, the roles of the state machine, of schedules and of event source mappings.",
    "API Gateway's limits of size and time, its access logs, and that a new deployment is needed after a change.",
    "Retries, bisection and failure destinations of the mapping from the table's stream: `tests/unit/workers/test_relay.py` "
    "tests what the relay does of it.",
    "Metric maths in alarms, what CloudFront adds to the site, and everything that takes AWS time to spread.",
    "Lambda's own Python 3.12 on arm64: functions run on the tests' Python, from a bundle that the same builder made.",
)

HEAD: Final = """# Parity of the two homes

Written by `make parity`, held by `make e2e`: a test fails when this is no longer what the homes answer.

The embedded home is a process on this machine with SQLite. The deployed home is the Pulumi program of [`stacks/`](../stacks),
unmodified, applied to an emulator of AWS: API Gateway, Lambda, DynamoDB, SNS, SQS, Step Functions. Each call there is judged
by the policies of the caller's role.
"""


def render(
    steps: Sequence[Step],
    embedded: Sequence[Answer],
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
            "| step | request | embedded | deployed |  |",
            "| --- | --- | --- | --- | --- |",
            *(row(*line) for line in zip(steps, embedded, deployed, strict=True)),
            "",
            "Only the embedded home says what is left of a quota (`RateLimit`): on AWS the gateway counts.",
            "",
            "## Tests that run in both",
            "",
            *shared_tests(),
            "",
            "## What the emulator has no use for",
            "",
            "The program's inputs are all carried out by the emulator, but for these.",
            "",
            *unused_inputs(deployment),
            "",
            "## What it does not show",
            "",
            *(f"- {line}" for line in NOT_SHOWN),
            "",
        ]
    )


def row(step: Step, embedded: Answer, deployed: Answer) -> str:
    """A step's line of the table."""
    verdict = "the same" if embedded == deployed else f"differs: {step.differs}"
    request = f"{step.method} {step.path}".replace("|", "\\|")
    return f"| {step.name} | `{request}` | {embedded.status} | {deployed.status} | {verdict} |"


def shared_tests() -> list[str]:
    """The modules of tests that run in both homes, and which of their tests do not."""
    lines = []
    for module in SHARED:
        name = module.__name__.rpartition(".")[2]
        but: Mapping[str, str] = getattr(module, "NOT_HERE", {})
        lines.append(f"- `tests/e2e/{name}.py`" + (", but for" if but else ""))
        lines += [f"  - {test.removeprefix('test_').replace('_', ' ')}: {why}" for test, why in but.items()]
    return lines


def unused_inputs(deployment: Deployment) -> list[str]:
    """Inputs that a mapping has set aside, once for each type of resource."""
    asides = {
        (resource.type, name, why)
        for resource in deployment.resources
        for name, why in resource.asides.items()
    }
    return [f"- `{type_}` {name}: {why}" for type_, name, why in sorted(asides)]
