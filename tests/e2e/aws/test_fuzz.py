"""Schemathesis against the deployed sandbox: every check, with fewer examples than against the local one.

Every request goes through API Gateway and a function, and costs ten times what it costs locally. The coverage phase, whose
2,800 requests do not depend on the seed, runs in `make explore` and against the real deployment (`.github/workflows/fuzz.yml`).
To look deeper:

    make explore ROUNDS=1 ARGS='tests/e2e/aws/test_fuzz.py' FUZZ_EXAMPLES=1000
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.infra.aws.emulator import Emulator
from tests.e2e.infra.aws.sandbox_stack import DeployedSandbox
from tests.e2e.infra.client import Client
from tests.e2e.infra.contract import load_contract
from tests.e2e.infra.receiver import Receiver
from tests.e2e.test_fuzz import EXAMPLES, EXPLORING, exchanges, fuzz

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FEWER: Final = "2"
PHASES: Final = None if EXPLORING else "examples,fuzzing,stateful"


@pytest.mark.explored
def test_schemathesis_finds_nothing_and_has_every_operation_carried_out(
    server: DeployedSandbox,
    emulator: Emulator,
    shop: Client,
    new_receiver: Callable[..., Receiver],
    tmp_path: Path,
) -> None:
    """The second half says that the first means something: the fuzzer got further than the refusals."""
    record = tmp_path / "record.ndjson"
    with new_receiver() as receiver:
        done = fuzz(
            server.url,
            api_key=str(shop.api_key),
            receiver_url=receiver.url,
            folder=tmp_path,
            record=record,
            examples=EXAMPLES or FEWER,
            phases=PHASES,
        )
    if done.returncode != 0:
        # The tracebacks behind a 500, for whoever reads a failure.
        pytest.fail(done.stdout + emulator.tracebacks(), pytrace=False)
    carried_out = {(method, path) for method, path, status in exchanges(record) if 200 <= status < 300}
    assert set(load_contract().operations) - carried_out == set()
