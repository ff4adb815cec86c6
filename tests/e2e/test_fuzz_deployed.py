"""The way in which a deployed API is fuzzed, against a sandbox of this machine: that it fuzzes, and fails when it should."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.infra.client import DEMO_KEY
from tests.e2e.infra.server import ROOT, Server

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(
        tmp_path_factory.mktemp("sandbox") / "ledger.db", arguments=["--log-level", "error"]
    ) as server:
        yield server


def fuzz(folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    own = {name: value for name, value in os.environ.items() if not name.startswith("FUZZ_")}
    return subprocess.run(
        [sys.executable, "-m", "contracts.fuzz.deployed", *arguments],
        env={**own, "PYTHONPATH": str(ROOT), **variables},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )


def test_a_sandbox_at_a_url_is_fuzzed_with_an_inbox_for_its_webhooks(server: Server, tmp_path: Path) -> None:
    # Two phases of one operation: what the others find is the subject of test_fuzz.py.
    selected = ("--include-operation-id", "create_webhook_endpoint", "--phases", "examples,fuzzing")
    known = {"FUZZ_URL": server.url + "/", "FUZZ_API_KEY": DEMO_KEY, "FUZZ_EXAMPLES": "2", "FUZZ_SEED": "1"}
    done = fuzz(tmp_path, *selected, **known)
    assert done.returncode == 0, done.stdout
    assert "No issues found" in done.stdout
    assert "Seed: 1" in done.stdout
    listed = httpx.get(f"{server.url}/v1/webhook-endpoints", headers={"x-api-key": DEMO_KEY})
    urls = {endpoint["url"] for endpoint in listed.json()["data"]}
    assert len(urls) == 1, "webhooks go to the inbox, and to nobody else"
    assert urls.pop().startswith(f"{server.url}/v1/inbox/")


def test_a_key_that_the_sandbox_refuses_ends_it(server: Server, tmp_path: Path) -> None:
    done = fuzz(tmp_path, FUZZ_URL=server.url, FUZZ_API_KEY="sk_test_stranger")
    assert done.returncode == 1
    assert "401 Unauthorized" in done.stdout


def test_a_missing_setting_is_named(tmp_path: Path) -> None:
    done = fuzz(tmp_path, FUZZ_URL="http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stdout == "error: FUZZ_API_KEY is not set\n"
