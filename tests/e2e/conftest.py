"""A sandbox for the tests of each worker, and sandboxes of their own for those that stop or kill them.

Nothing is shared between workers, so the tests can run in parallel and in any order.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.infra.client import Client
from tests.e2e.infra.server import Server

NewServer = Callable[..., Server]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running sandbox that all tests of this worker share: use it through accounts or keys of your own."""
    with Server(tmp_path_factory.mktemp("sandbox") / "ledger.db") as running:
        yield running


@pytest.fixture(scope="session")
def demo(server: Server) -> Iterator[Client]:
    """The demo account of the shared sandbox."""
    with Client(server.url) as client:
        yield client


@pytest.fixture
def shop(demo: Client) -> Iterator[Client]:
    """An account of the shared sandbox that only this test uses."""
    with demo.new_account("Shop") as client:
        yield client


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A sandbox, not started, for a test that stops or kills it."""
    server = Server(tmp_path / "ledger.db")
    yield server
    server.end()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes at the end of the test what the test opened."""
    with ExitStack() as opened:
        yield opened
