"""One scenario, sent to the local sandbox and to the AWS deployment: the answers are the same, or the scenario says why
not; and docs/parity.md says so too."""

import os
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from tests.e2e.aws.parity_report import REPORT, render
from tests.e2e.infra.aws.sandbox_stack import DeployedSandbox
from tests.e2e.infra.client import Client
from tests.e2e.infra.parity import Answer, Step, differences, read_scenario, walk
from tests.e2e.infra.server import Server

pytestmark = pytest.mark.e2e

STEPS = read_scenario()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Answer]]:
    """What the local sandbox answers."""
    with (
        Server(tmp_path_factory.mktemp("local") / "ledger.db") as server,
        Client(server.url) as demo,
        demo.new_account() as account,
    ):
        yield list(walk(account, server.url))


@pytest.fixture(scope="module")
def deployed(server: DeployedSandbox, demo: Client) -> Iterator[list[Answer]]:
    """What the AWS deployment answers."""
    with demo.new_account() as account:
        yield list(walk(account, server.url))


@pytest.mark.parametrize(("number", "step"), list(enumerate(STEPS)), ids=[step.name for step in STEPS])
def test_both_sandboxes_give_the_same_answer(
    local: list[Answer], deployed: list[Answer], number: int, step: Step
) -> None:
    ours, theirs = local[number], deployed[number]
    found = sorted(differences(asdict(ours), asdict(theirs)))
    if step.differs is None:
        assert found == []
    else:
        assert found != [], "there is no difference any more"
        assert theirs.status == ours.status or step.may_have_another_status


def test_the_report_says_what_the_sandboxes_answer(
    local: list[Answer], deployed: list[Answer], server: DeployedSandbox
) -> None:
    """`make parity` writes it."""
    report = render(STEPS, local, deployed, server.deployment)
    if os.environ.get("PARITY_REPORT") == "write":
        REPORT.write_text(report, "utf-8")
    assert REPORT.read_text("utf-8") == report
