"""The document that API Gateway imports, derived from the contract: every route, behind one Lambda function.

The gateway decides who may come in and how often; the function decides everything else, so that both homes answer alike.
So each operation that the contract secures requires a key known to the gateway, and every other method of a path goes to
the function too, which answers preflights, and 405 with `Allow`. A path that is not in the contract never wakes it.

It validates as good as nothing: see `_validator`. Bodies pass as bytes (`BINARY_TYPES`), for a gateway that reads them
as text repairs what is not UTF-8, and the function would take what it has to refuse.

Source: API Gateway developer guide, "OpenAPI extensions" and "Amazon API Gateway important notes".
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stacks.gateway.models import strip_schema
from stacks.gateway.responses import gateway_responses

METHODS = ("get", "put", "post", "delete", "patch")
KEY_HEADER = "x-api-key"
BINARY_TYPES = ("*/*",)
PARAMETERS_VALIDATOR = "parameters"

ALIASED = frozenset({"X-Idempotency-Key"})
"""Required headers that may also be sent under another name, so that a validator would refuse good requests."""


@dataclass(frozen=True, slots=True)
class DocumentArgs:
    """function_arn: of the function, or of its alias. pages_may_call: whether pages of other origins may read errors.

    closed: ids of operations that require a key although the contract does not.
    """

    name: str
    region: str
    function_arn: str
    pages_may_call: bool
    closed: Collection[str] = ()

    @property
    def integration(self) -> dict[str, Any]:
        """The one integration."""
        return {
            "type": "aws_proxy",
            "httpMethod": "POST",
            "uri": f"arn:aws:apigateway:{self.region}:lambda:path/2015-03-31/functions/{self.function_arn}/invocations",
            "passthroughBehavior": "when_no_match",
        }


def load_contract(path: Path) -> dict[str, Any]:
    """The contract as data."""
    contract: dict[str, Any] = yaml.load(path.read_bytes(), yaml.CSafeLoader)
    return contract


def deploy_document(contract: Mapping[str, Any], args: DocumentArgs) -> dict[str, Any]:
    """What API Gateway imports."""
    schemas = contract["components"]["schemas"]
    return {
        "openapi": contract["openapi"],
        "info": {"title": args.name, "version": contract["info"]["version"]},
        "paths": {path: _path_item(contract, item, args) for path, item in contract["paths"].items()},
        "components": {
            "securitySchemes": {"ApiKey": {"type": "apiKey", "in": "header", "name": KEY_HEADER}},
            "schemas": {name: strip_schema(schema) for name, schema in schemas.items()},
        },
        "x-amazon-apigateway-api-key-source": "HEADER",
        "x-amazon-apigateway-binary-media-types": list(BINARY_TYPES),
        "x-amazon-apigateway-request-validators": {
            PARAMETERS_VALIDATOR: {"validateRequestBody": False, "validateRequestParameters": True}
        },
        "x-amazon-apigateway-gateway-responses": gateway_responses(pages_may_call=args.pages_may_call),
    }


def document_text(document: Mapping[str, Any]) -> str:
    """The document as it is handed over: the same text for the same content."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def document_hash(document: Mapping[str, Any]) -> str:
    """What a new deployment is triggered by: without one, API Gateway goes on serving what it served."""
    return hashlib.sha256(document_text(document).encode()).hexdigest()


def operations(contract: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Path, method in lower case, and operation, of every operation of the contract."""
    for path, item in contract["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def _path_item(contract: Mapping[str, Any], item: Mapping[str, Any], args: DocumentArgs) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for method in METHODS:
        if method in item:
            made[method] = _operation(contract, item, item[method], args)
    if "get" in made:
        # The function answers HEAD like GET, so that it has to be counted like GET.
        made["head"] = {name: value for name, value in made["get"].items() if name != "operationId"}
    made["x-amazon-apigateway-any-method"] = {
        "responses": {"default": {"description": "What the function answers to other methods."}},
        "x-amazon-apigateway-integration": args.integration,
    }
    return made


def _operation(
    contract: Mapping[str, Any], item: Mapping[str, Any], operation: Mapping[str, Any], args: DocumentArgs
) -> dict[str, Any]:
    parameters = [
        _resolve(contract, parameter)
        for parameter in (*item.get("parameters", ()), *operation.get("parameters", ()))
    ]
    made: dict[str, Any] = {
        "operationId": operation["operationId"],
        "summary": operation["summary"],
        "tags": list(operation["tags"]),
        "parameters": [_parameter(parameter) for parameter in parameters],
        "responses": {
            str(status): _response(_resolve(contract, response))
            for status, response in operation["responses"].items()
        },
        "x-amazon-apigateway-integration": args.integration,
    }
    if _is_secured(contract, operation) or operation["operationId"] in args.closed:
        made["security"] = [{"ApiKey": []}]
    if "requestBody" in operation:
        body = _resolve(contract, operation["requestBody"])
        made["requestBody"] = {"required": body.get("required", False), "content": _content(body)}
    if validator := _validator(parameters):
        made["x-amazon-apigateway-request-validator"] = validator
    return made


def _is_secured(contract: Mapping[str, Any], operation: Mapping[str, Any]) -> bool:
    """Read from the operation, or from the whole contract, which API Gateway would not do."""
    return bool(operation.get("security", contract.get("security")))


def _validator(parameters: Collection[Mapping[str, Any]]) -> str | None:
    """The validator that agrees with the contract, where one does.

    Bodies never have one: the gateway knows neither `malformed_json` from `invalid_request` nor which field is at fault,
    and `errors` is what the contract promises. Parameters have one, unless a required one has a second name.
    """
    required = {parameter["name"] for parameter in parameters if parameter.get("required")}
    return PARAMETERS_VALIDATOR if required and not required & ALIASED else None


def _parameter(parameter: Mapping[str, Any]) -> dict[str, Any]:
    # A gateway checks presence and no more; all that it can pass on is text.
    return {
        "name": parameter["name"],
        "in": parameter["in"],
        "required": bool(parameter.get("required")) and parameter["name"] not in ALIASED,
        "schema": {"type": "string"},
    }


def _response(response: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"description": response["description"].strip()}
    if "content" in response:
        made["content"] = _content(response)
    return made


def _content(described: Mapping[str, Any]) -> dict[str, Any]:
    return {
        media_type: {"schema": strip_schema(body["schema"])}
        for media_type, body in described["content"].items()
    }


def _resolve(contract: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference into the contract's components names."""
    if "$ref" not in node:
        return node
    target: Any = contract
    for part in node["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    resolved: Mapping[str, Any] = target
    return resolved
