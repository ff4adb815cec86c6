"""The contract is loaded as it is, and refused when the HTTP layer cannot keep it."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from payments_sandbox.http.pipeline.app import validate_contract
from payments_sandbox.http.reading.contract import ContractError, load_contract, read_operations, resolve
from tests.each_case import each_case
from tests.integration.http_contract import CONTRACT

YAML = """
openapi: 3.0.3
info: {title: t, version: 1.0.0}
paths:
  /a:
    get:
      operationId: get_a
      security: []
      responses:
        200: {description: "", content: {text/plain: {example: 2026-01-31}}}
"""


def test_yaml_is_read_as_json_would_be(tmp_path: Path) -> None:
    path = tmp_path / "contract.yaml"
    path.write_text(YAML)
    contract = load_contract(path)
    responses = contract["paths"]["/a"]["get"]["responses"]
    assert responses["200"]["content"]["text/plain"]["example"] == "2026-01-31"
    prepared = tmp_path / "contract.json"
    prepared.write_text(json.dumps(contract))
    assert load_contract(prepared) == contract
    validate_contract(contract)


def test_a_file_without_an_object_is_no_contract(tmp_path: Path) -> None:
    path = tmp_path / "contract.yaml"
    path.write_text("- 1")
    with pytest.raises(ContractError, match=r"contract\.yaml does not hold an object"):
        load_contract(path)


def test_operations_have_their_references_resolved_and_the_paths_parameters() -> None:
    by_id = {operation.operation_id: operation for operation in read_operations(CONTRACT)}
    names = [parameter["name"] for parameter in by_id["authorize"].parameters]
    assert names == ["X-Idempotency-Key", "X-Attempt", "X-Label", "X-Sandbox-Fault"]
    assert [parameter["name"] for parameter in by_id["get_transaction"].parameters] == ["transaction_id"]
    assert by_id["authorize"].method == "POST"
    assert by_id["authorize"].secured
    assert by_id["authorize"].body_required
    assert not by_id["get_health"].secured
    assert by_id["get_health"].body_schema is None


def _changed(*path: str, value: Any) -> dict[str, Any]:
    contract = deepcopy(CONTRACT)
    node: Any = contract["paths"]
    for step in path[:-1]:
        node = node[step]
    if value is None:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return contract


HEALTH = ("/v1/health", "get")


def _one(parameter: dict[str, Any]) -> dict[str, Any]:
    return _changed(*HEALTH, "parameters", value=[parameter])


@each_case(
    ("contract", "complaint"),
    [
        ({**CONTRACT, "openapi": "3.1.0"}, "not 3.1.0"),
        ({"paths": {}}, "unversioned"),
        (_changed(*HEALTH, "operationId", value=None), "GET /v1/health: has no operationId"),
        (_changed(*HEALTH, "operationId", value="authorize"), "operationId is not unique: authorize"),
        (_changed(*HEALTH, "security", value=[{}]), "security has to be one API key"),
        (_changed(*HEALTH, "security", value=[{"Other": []}]), "security has to be one API key"),
        (
            _changed(*HEALTH, "requestBody", value={"content": {"text/plain": {}}}),
            "has to be application/json",
        ),
        (_changed(*HEALTH, "requestBody", value={"content": {"application/json": {}}}), "has no schema"),
        (_one({"name": "c", "in": "cookie", "schema": {"type": "string"}}), "in cookie"),
        (_one({"name": "q", "in": "query", "schema": {}}), "needs a schema of type"),
        (_one({"name": "q", "in": "query", "schema": {"type": "number"}}), "needs a schema of type"),
        (
            _one({"name": "p", "in": "path", "schema": {"type": "string"}}),
            r"\['p'\] are declared, \[\] are in",
        ),
        (_one({"name": "p", "in": "path", "schema": {"type": "integer"}}), "has to be a string"),
        (_one({"$ref": "#/components/parameters/None"}), "leads nowhere"),
        (_one({"$ref": "other.yaml#/a"}), "leads out of the contract"),
    ],
)
def test_a_contract_that_cannot_be_kept_is_refused(contract: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        read_operations(contract)


def test_a_reference_to_itself_is_refused() -> None:
    with pytest.raises(ContractError, match="to itself"):
        resolve({"a": {"$ref": "#/a"}}, {"$ref": "#/a"})


def test_header_parameters_that_openapi_ignores_are_ignored() -> None:
    contract = _one({"name": "Authorization", "in": "header", "required": True, "schema": {"type": "string"}})
    by_id = {operation.operation_id: operation for operation in read_operations(contract)}
    assert by_id["get_health"].parameters == ()
