"""One scenario in both homes: the answers are the same, or the scenario says why not; and docs/parity.md says so too."""

import os
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from tests.e2e.aws.parity_report import REPORT, render
from tests.e2e.infra.aws.sandbox_stack import DeployedSandbox
from tests.e2e.infra.client import Client
from tests.e2e.infra.parity import Answer, Step, differences, read_scenario, walk
from tests.e2e.infra.server import Server

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("aws")]

STEPS = read_scenario()


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Answer]]:
    """What the embedded home answers."""
    with (
        Server(tmp_path_factory.mktemp("embedded") / "ledger.db") as server,
        Client(server.url) as demo,
        demo.new_account() as account,
    ):
        yield list(walk(account, server.url))


@pytest.fixture(scope="module")
def deployed(server: DeployedSandbox, demo: Client) -> Iterator[list[Answer]]:
    """What the deployed home answers."""
    with demo.new_account() as account:
        yield list(walk(account, server.url))


@pytest.mark.parametrize(("number", "step"), list(enumerate(STEPS)), ids=[step.name for step in STEPS])
def test_both_homes_give_the_same_answer(
    embedded: list[Answer], deployed: list[Answer], number: int, step: Step
) -> None:
    ours, theirs = embedded[number], deployed[number]
    found = sorted(differences(asdict(ours), asdict(theirs)))
    if step.differs is None:
        assert found == []
    else:
        assert found != [], "there is no difference any more"
        assert theirs.status == ours.status or step.may_have_another_status


def test_the_report_says_what_the_homes_answer(
    embedded: list[Answer], deployed: list[Answer], server: DeployedSandbox
) -> None:
    """`make parity` writes it."""
    report = render(STEPS, embedded, deployed, server.deployment)
    if os.environ.get("PARITY_REPORT") == "write":
        REPORT.write_text(report, "utf-8")
    assert REPORT.read_text("utf-8") == report
