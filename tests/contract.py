"""The contract as data, parsed once in each process. No test changes it."""

from typing import Any, Final

from payments_sandbox.http.reading.contract import load_contract
from payments_sandbox.settings import contract_path

CONTRACT: Final[dict[str, Any]] = load_contract(contract_path())
