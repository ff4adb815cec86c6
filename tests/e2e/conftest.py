"""The sandboxes that the tests run on: `local`, a server process with SQLite, and `deployed`, the Pulumi program applied to
an emulator of AWS.

A test that takes `sandbox`, or a fixture made from it such as `shop`, runs once on each. What one of them cannot do is
marked with the reason: `@pytest.mark.local_only("...")`, `@pytest.mark.deployed_only("...")`.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.infra.client import Client
from tests.e2e.infra.receiver import Receiver
from tests.e2e.infra.sandbox import NewReceiver, Sandbox, sandboxes_of
from tests.e2e.infra.server import Server

if TYPE_CHECKING:
    from tests.e2e.infra.aws.running import Running

PARAMETERS: Final = {
    "local": pytest.param("local"),
    "deployed": pytest.param("deployed", marks=pytest.mark.deployed),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the test on both sandboxes, or on the one that its marker names."""
    try:
        names = sandboxes_of(metafunc.definition.iter_markers())
    except ValueError as error:
        raise pytest.UsageError(f"{metafunc.definition.nodeid}: {error}") from error
    if "sandbox" in metafunc.fixturenames:
        parameters = [PARAMETERS[name] for name in names]
        metafunc.parametrize("sandbox", parameters, indirect=True, scope="session")


@pytest.fixture(scope="session")
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """A running sandbox that all tests of this worker share: use it through accounts or API keys of your own."""
    if request.param == "deployed":
        running: Running = request.getfixturevalue("deployment")
        return running.as_sandbox()
    server: Server = request.getfixturevalue("local_server")
    return Sandbox(server.url, False, lambda: Client(server.url), Receiver)


@pytest.fixture(scope="session")
def local_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The process of the local sandbox."""
    with Server(tmp_path_factory.mktemp("sandbox") / "ledger.db") as running:
        yield running


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Running"]:
    """The AWS deployment."""
    # Imported here, as Pulumi and boto3 take seconds that tests of the local sandbox need not wait for.
    from tests.e2e.infra.aws.running import run_deployment

    with run_deployment(tmp_path_factory.mktemp("deployment")) as running:
        yield running


@pytest.fixture(scope="session")
def server(sandbox: Sandbox, request: pytest.FixtureRequest) -> Server:
    """The process of the local sandbox, for a test that is marked `local_only`."""
    assert not sandbox.is_deployed, "a test that takes `server` says in a local_only marker why it does"
    process: Server = request.getfixturevalue("local_server")
    return process


@pytest.fixture(scope="session")
def demo(sandbox: Sandbox) -> Iterator[Client]:
    """The demo account of the shared sandbox."""
    with sandbox.new_client() as client:
        yield client


@pytest.fixture
def shop(demo: Client) -> Iterator[Client]:
    """An account of the shared sandbox that only this test uses."""
    with demo.new_account("Shop") as client:
        yield client


@pytest.fixture
def new_receiver(sandbox: Sandbox) -> NewReceiver:
    """Makes receivers of webhooks that the sandbox may send to."""
    return sandbox.new_receiver


@pytest.fixture
def receiver(new_receiver: NewReceiver) -> Iterator[Receiver]:
    """A receiver of webhooks."""
    with new_receiver() as listening:
        yield listening


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A local sandbox, not started, for a test that stops or kills it."""
    server = Server(tmp_path / "ledger.db")
    yield server
    server.end()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes at the end of the test what the test opened."""
    with ExitStack() as opened:
        yield opened
