"""The AWS deployment that the tests share: an emulator, and the Pulumi program applied to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.e2e.infra.aws.certificates import DOMAIN, Authority
from tests.e2e.infra.aws.cloud import Cloud
from tests.e2e.infra.aws.deployed_client import DeployedClient
from tests.e2e.infra.aws.emulator import Emulator
from tests.e2e.infra.aws.function_package import build_function_package
from tests.e2e.infra.aws.sandbox_stack import DeployedSandbox, deploy
from tests.e2e.infra.receiver import Receiver
from tests.e2e.infra.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Running:
    """A deployed sandbox and what it runs on. authority: it signs the certificates of receivers."""

    sandbox: DeployedSandbox
    emulator: Emulator
    authority: Authority

    def as_sandbox(self) -> Sandbox:
        """The part of it that every sandbox has. It sends webhooks to https only."""
        new_receiver = partial(Receiver, tls=self.authority.context, host=f"shop.{DOMAIN}")
        return Sandbox(self.sandbox.url, True, lambda: DeployedClient(self.sandbox), new_receiver)


@contextmanager
def run_deployment(folder: Path) -> Iterator[Running]:
    """Start an emulator that judges every call by the caller's policies, and deploy everything that a stack can have."""
    authority = Authority(folder)
    package = build_function_package(folder / "functions")
    settings = {
        "cors_origins": '["http://localhost:5173"]',
        "site_directory": str(make_site(folder / "site")),
        "budget_usd": "10",
        "budget_email": "team@shop.example",
        "alarm_email": "team@shop.example",
        # Every test makes an account; `tests/stacks` tests the limit.
        "accounts_per_second": "1000",
        "accounts_burst": "1000",
    }
    state = folder / "emulator"
    state.mkdir()
    with Emulator(state, environment={"SSL_CERT_FILE": str(authority.file)}) as emulator:
        yield Running(deploy(Cloud(emulator.url), package, settings), emulator, authority)


def make_site(folder: Path) -> Path:
    """The smallest static build."""
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Payments</title>")
    (folder / "assets" / "app-5f1c.js").write_text("export {};")
    return folder
