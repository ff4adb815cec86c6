"""`python -m payments_sandbox.entrypoints.prepare_contract FILE`: the contract, validated and written as JSON.

What the build of the Lambda bundle runs, so that a function neither parses YAML nor validates at its start.
"""

import sys
from pathlib import Path

import orjson

from payments_sandbox.http.pipeline.app import validate_contract
from payments_sandbox.http.reading.contract import load_contract
from payments_sandbox.settings import contract_path


def prepare_contract(path: Path) -> None:
    """Write the contract to path. Raises what the app would raise at its start for a contract that cannot be served."""
    contract = load_contract(contract_path())
    validate_contract(contract)
    path.write_bytes(orjson.dumps(contract))


if __name__ == "__main__":
    prepare_contract(Path(sys.argv[1]))
