"""The sandbox's own Pulumi program, applied to the emulator as `pulumi up -s dev` would apply it to AWS.

Program and `Pulumi.dev.yaml` are those of the checkout. What is added are the settings that nobody can commit, and those
that name what only exists here.
"""

import runpy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from tests.e2e.infra.aws.apply import Deployment, apply
from tests.e2e.infra.aws.cloud import Cloud
from tests.e2e.infra.server import ROOT

PROJECT: Final = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
LEDGER_SECRET: Final = bytes(range(32)).hex()


@dataclass(frozen=True)
class DeployedSandbox:
    """A stack that is there. cloud: the AWS account that it is in."""

    cloud: Cloud
    deployment: Deployment

    @cached_property
    def url(self) -> str:
        """Where the API is reached: the emulator's address for what the stack exports."""
        exported = urlsplit(self.output("api_url"))
        api_id, stage = exported.netloc.partition(".")[0], exported.path.strip("/")
        return f"{self.cloud.url}/_aws/execute-api/{api_id}/{stage}"

    @property
    def demo_api_key(self) -> str:
        return str(self.output("demo_api_key"))

    def output(self, name: str) -> Any:
        """What the stack exports under a name."""
        return self.deployment.outputs[name]


def deploy(
    cloud: Cloud, function_package: Path, settings: Mapping[str, str] | None = None
) -> DeployedSandbox:
    """Apply the program to an emulator that is empty. settings: instead of the stack's own, without the project's name."""
    name = PROJECT["name"]
    own = {
        "bundle": str(function_package),
        "ledger_secret": LEDGER_SECRET,
        **(settings or {}),
    }
    config = {**stack_config("dev"), **{f"{name}:{key}": value for key, value in own.items()}}
    return DeployedSandbox(
        cloud,
        apply(
            run_program, cloud, project=name, stack="dev", config=config, secrets=[f"{name}:ledger_secret"]
        ),
    )


def run_program() -> None:
    """What Pulumi does with the program: its folder is run as the main module."""
    runpy.run_path(str(ROOT / PROJECT["main"]), run_name="__main__")


def stack_config(stack: str) -> dict[str, str]:
    """A stack's configuration, as the program is given it: everything is text."""
    stored = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    return {
        key: value
        if isinstance(value, str)
        else yaml.safe_dump(value, default_flow_style=True).split("\n")[0]
        for key, value in stored.items()
    }
