"""Tests of what only the AWS deployment has. They share the deployed sandbox with the tests of the folder above."""

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

from tests.e2e.infra.aws.emulator import Emulator
from tests.e2e.infra.aws.sandbox_stack import DeployedSandbox
from tests.e2e.infra.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.e2e.infra.aws.running import Running


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makemodule() -> Generator[None, pytest.Module, pytest.Module]:
    """Mark every module of this folder."""
    module = yield
    module.add_marker(pytest.mark.deployed_only("this folder tests what only the AWS deployment has"))
    return module


@pytest.fixture(scope="session")
def server(sandbox: Sandbox, deployment: "Running") -> DeployedSandbox:
    """The deployed sandbox that all tests share: use it through accounts or API keys of your own."""
    assert sandbox.is_deployed
    return deployment.sandbox


@pytest.fixture(scope="session")
def emulator(deployment: "Running") -> Emulator:
    """The emulator that the deployed sandbox runs on."""
    return deployment.emulator
