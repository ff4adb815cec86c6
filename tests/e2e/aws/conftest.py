"""The sandbox as it is deployed, for the tests of this folder: the Pulumi program, applied to an emulator of AWS.

Fixtures of the same names as in the folder above stand for the embedded sandbox there and for the deployed one here, so
that tests can be run on both. One worker has the emulator: whoever uses it is in the group `aws`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.infra.aws.certificates import DOMAIN, Authority
from tests.e2e.infra.aws.cloud import Cloud
from tests.e2e.infra.aws.deployed_client import DeployedClient
from tests.e2e.infra.aws.emulator import Emulator
from tests.e2e.infra.aws.function_package import build_function_package
from tests.e2e.infra.aws.sandbox_stack import DeployedSandbox, deploy
from tests.e2e.infra.client import Client
from tests.e2e.infra.receiver import Receiver


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the certificates of receivers."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def function_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of the functions."""
    return build_function_package(tmp_path_factory.mktemp("functions") / "package")


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Emulator]:
    """An emulator that judges every call by the caller's policies."""
    environment = {"SSL_CERT_FILE": str(authority.file)}
    with Emulator(tmp_path_factory.mktemp("emulator"), environment=environment) as running:
        yield running


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static build, as small as they get."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "index.html").write_text("<!doctype html><title>Payments</title>")
    (folder / "assets").mkdir()
    (folder / "assets" / "app-5f1c.js").write_text("export {};")
    return folder


@pytest.fixture(scope="session")
def server(emulator: Emulator, function_package: Path, site: Path) -> DeployedSandbox:
    """The deployed sandbox that all tests share, with everything that a stack can have: use it through accounts or keys of
    your own."""
    settings = {
        "cors_origins": '["http://localhost:5173"]',
        "site_directory": str(site),
        "budget_usd": "10",
        "budget_email": "team@shop.example",
        "alarm_email": "team@shop.example",
    }
    return deploy(Cloud(emulator.url), function_package, settings)


@pytest.fixture(scope="session")
def demo(server: DeployedSandbox) -> Iterator[Client]:
    """The demo account of the deployed sandbox."""
    with DeployedClient(server) as client:
        yield client


@pytest.fixture
def shop(demo: Client) -> Iterator[Client]:
    """An account of the deployed sandbox that only this test uses."""
    with demo.new_account("Shop") as client:
        yield client


@pytest.fixture
def new_receiver(authority: Authority) -> Callable[..., Receiver]:
    """Makes receivers that the deployed sandbox sends to, which is over https only."""

    def make(*arguments: object, **options: object) -> Receiver:
        return Receiver(*arguments, tls=authority.context, host=f"shop.{DOMAIN}", **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
def receiver(new_receiver: Callable[..., Receiver]) -> Iterator[Receiver]:
    with new_receiver() as listening:
        yield listening
