"""Schemathesis against a running sandbox: whatever the contract allows is answered as it says, and so is the rest.

`contracts/fuzz/schemathesis.toml` says how. `make test` runs a fixed number of examples from a fixed seed; `make explore`
runs as many from random seeds. To look deeper:

    make explore ROUNDS=1 ARGS='tests/e2e/test_fuzz.py' FUZZ_EXAMPLES=1000

Failures are shown as Schemathesis tells them, with a curl command each. They are defects of the sandbox or its contract:
a check is never switched off.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from schemathesis import Case

from contracts.fuzz.hooks import take_card_numbers_out
from tests.e2e.infra.client import DEMO_KEY
from tests.e2e.infra.contract import CONTRACT_FILE, METHODS, load_contract
from tests.e2e.infra.receiver import Receiver
from tests.e2e.infra.server import ROOT, Server

pytestmark = pytest.mark.e2e

CONFIGURATION = ROOT / "contracts" / "fuzz" / "schemathesis.toml"
EXPLORING = "FUZZ_SEED" in os.environ
SEED = os.environ.get("FUZZ_SEED", "7391")
EXAMPLES = os.environ.get("FUZZ_EXAMPLES")
HANGING_S = 3_600 if EXAMPLES is None else None
"""Ten times what the slowest run takes on a busy machine."""


def run_schemathesis(folder: Path, record: Path) -> subprocess.CompletedProcess[str]:
    """Fuzz a sandbox of its own. record: the file that everything that was sent is written to."""
    with Receiver() as receiver, Server(folder / "ledger.db", arguments=["--log-level", "error"]) as server:
        done = fuzz(
            server.url,
            api_key=DEMO_KEY,
            receiver_url=receiver.url,
            folder=folder,
            record=record,
            examples=EXAMPLES,
        )
        # The tracebacks behind a 500, for whoever reads a failure.
        done.stdout += server.stderr.read_text()
        return done


def fuzz(
    url: str,
    *,
    api_key: str,
    receiver_url: str,
    folder: Path,
    record: Path,
    examples: str | None,
    phases: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Fuzz the sandbox at this URL.

    examples: how many of each operation; None for as many as are configured. phases: comma-separated; None for all.
    """
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "--no-color"]
    command += ["run", str(CONTRACT_FILE), "--url", url, "--seed", SEED]
    command += ["--report", "ndjson", "--report-ndjson-path", str(record)]
    command += [] if examples is None else ["--max-examples", examples]
    command += [] if phases is None else ["--phases", phases]
    return subprocess.run(
        command,
        env={
            **os.environ,
            "FUZZ_API_KEY": api_key,
            "FUZZ_RECEIVER_URL": receiver_url,
            "PYTHONPATH": str(ROOT),
        },
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=HANGING_S,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.explored
def test_schemathesis_finds_nothing_and_has_every_operation_carried_out(tmp_path: Path) -> None:
    """The second half says that the first means something: the fuzzer got further than the refusals."""
    record = tmp_path / "record.ndjson"
    done = run_schemathesis(tmp_path, record)
    if done.returncode != 0:
        pytest.fail(done.stdout, pytrace=False)
    carried_out = {(method, path) for method, path, status in exchanges(record) if 200 <= status < 300}
    assert set(load_contract().operations) - carried_out == set()


def exchanges(record: Path) -> Iterator[tuple[str, str, int]]:
    """Method, path template and status of everything that was answered."""
    with record.open() as lines:
        for line in lines:
            recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
            for case_id, case in recorder.get("cases", {}).items():
                response = recorder.get("interactions", {}).get(case_id, {}).get("response")
                if response is not None and case["value"]["method"].lower() in METHODS:
                    yield case["value"]["method"], case["value"]["path"], response["status_code"]


def test_a_card_number_stays_in_its_own_place_only() -> None:
    case = SimpleNamespace(
        body={
            "card": {"number": "4242424242424242", "holder_name": "4242 4242 4242 4242"},
            "metadata": {"card": "no 4242424242424242", "5555555555554444": "a"},
            "amount": 4242424242424242,
            "merchant_reference": "order-1001",
        },
        headers={"webhook-id": "4000000000005126", "webhook-signature": "v1,none"},
        query={"merchant_reference": "4242 4242 4242 4242", "limit": 10},
    )
    take_card_numbers_out(cast("Case[Any]", case))
    assert case.body == {
        "card": {"number": "4242424242424242", "holder_name": "xxxx xxxx xxxx xxxx"},
        "metadata": {"card": "no xxxxxxxxxxxxxxxx", "xxxxxxxxxxxxxxxx": "a"},
        "amount": 4242424242424242,
        "merchant_reference": "order-1001",
    }
    assert case.headers == {"webhook-id": "xxxxxxxxxxxxxxxx", "webhook-signature": "v1,none"}
    assert case.query == {"merchant_reference": "xxxx xxxx xxxx xxxx", "limit": 10}


def test_nothing_is_switched_off() -> None:
    configuration = CONFIGURATION.read_text()
    for word in ("enabled = false", "exclude", "unexpected-methods", "baseline"):
        assert word not in configuration
    assert re.findall("suppress-health-check.*", configuration) == ['suppress-health-check = ["too_slow"]']
