"""`make fuzz-deployed`: Schemathesis against a sandbox that is deployed, as `schemathesis.toml` says.

The environment says which: FUZZ_URL, up to the contract's paths; FUZZ_API_KEY, of a plan above what fuzzing asks for;
FUZZ_EXAMPLES and FUZZ_SEED, if others than the configuration's. A deployed sandbox sends webhooks to public addresses only,
so they go to an inbox of its own. Arguments are handed on to Schemathesis.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import httpx

ROOT: Final = Path(__file__).resolve().parents[2]
CONTRACT: Final = ROOT / "openapi" / "payments.yaml"
CONFIGURATION: Final = ROOT / "contracts" / "fuzz" / "schemathesis.toml"
TIMEOUT_S: Final = 30


def fuzz(environment: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Open an inbox and fuzz; answers Schemathesis's exit code. Raises KeyError for a variable that is not set, and
    httpx.HTTPError when the sandbox cannot be reached or refuses the key."""
    url, api_key = environment["FUZZ_URL"].rstrip("/"), environment["FUZZ_API_KEY"]
    opened = httpx.post(f"{url}/v1/inbox", headers={"x-api-key": api_key}, timeout=TIMEOUT_S)
    opened.raise_for_status()
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)]
    command += ["run", str(CONTRACT), "--url", url]
    for option, name in (("--max-examples", "FUZZ_EXAMPLES"), ("--seed", "FUZZ_SEED")):
        if environment.get(name):
            command += [option, environment[name]]
    known = {**environment, "FUZZ_RECEIVER_URL": opened.json()["url"], "PYTHONPATH": str(ROOT)}
    return subprocess.run([*command, *arguments], env=known, stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(fuzz(os.environ, sys.argv[1:]))
    except KeyError as error:
        sys.exit(f"error: {error.args[0]} is not set")
    except httpx.HTTPError as error:
        sys.exit(f"error: {error}")
