"""The document that API Gateway imports says what the contract says: every route, behind one function, with its key."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import pytest

from payments_sandbox.http.reading.contract import load_contract as load_served_contract
from payments_sandbox.http.reading.contract import read_operations
from stacks.gateway.document import (
    DocumentArgs,
    deploy_document,
    document_hash,
    document_text,
    load_contract,
    operations,
)
from stacks.gateway.models import DROPPED, strip_schema
from stacks.settings import CONTRACT
from tests.each_case import each_case

FUNCTION_ARN = "arn:aws:lambda:eu-central-1:123456789012:function:payments-sandbox-dev-api"
URI = f"arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/{FUNCTION_ARN}/invocations"
METHODS = {"get", "put", "post", "delete", "patch", "head", "x-amazon-apigateway-any-method"}

Json = dict[str, Any]


def args(**changed: Any) -> DocumentArgs:
    given: Json = {
        "name": "payments-sandbox-dev",
        "region": "eu-central-1",
        "function_arn": FUNCTION_ARN,
        "pages_may_call": True,
        **changed,
    }
    return DocumentArgs(**given)


@pytest.fixture(scope="module")
def contract() -> Json:
    return load_contract(CONTRACT)


@pytest.fixture(scope="module")
def document(contract: Json) -> Json:
    return deploy_document(contract, args())


def methods(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Json]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


# --- routes --------------------------------------------------------------------------------------------------------


def test_every_operation_of_the_contract_is_there_under_its_own_name(document: Json) -> None:
    served = {
        (operation.path, operation.method.lower(), operation.operation_id)
        for operation in read_operations(load_served_contract(CONTRACT))
    }
    imported = {
        (path, method, operation["operationId"])
        for path, method, operation in methods(document)
        if "operationId" in operation
    }
    assert imported == served
    assert len(imported) > 20


def test_each_method_goes_to_the_one_function(document: Json) -> None:
    for path, method, operation in methods(document):
        assert method in METHODS, path
        integration = operation["x-amazon-apigateway-integration"]
        assert (integration["type"], integration["httpMethod"], integration["uri"]) == (
            "aws_proxy",
            "POST",
            URI,
        )


def test_an_alias_is_part_of_the_address(contract: Json) -> None:
    document = deploy_document(contract, args(function_arn=FUNCTION_ARN + ":live"))
    assert f"{FUNCTION_ARN}:live/invocations" in document_text(document)
    assert f"{FUNCTION_ARN}/invocations" not in document_text(document)


def test_methods_that_a_path_does_not_know_reach_the_function_without_a_key(document: Json) -> None:
    """It answers preflights, which carry no key, and 405 with `Allow`, which the gateway would not."""
    for path, item in document["paths"].items():
        anything_else = item["x-amazon-apigateway-any-method"]
        assert "security" not in anything_else, path
        assert "options" not in item, "a preflight is for the function to answer"


def test_head_is_counted_like_get(document: Json) -> None:
    for path, item in document["paths"].items():
        assert ("head" in item) == ("get" in item), path
        if "get" in item:
            assert item["head"].get("security") == item["get"].get("security"), path
            assert (
                item["head"]["x-amazon-apigateway-integration"]
                == item["get"]["x-amazon-apigateway-integration"]
            )


def test_no_route_takes_what_the_contract_does_not_know(document: Json, contract: Json) -> None:
    assert set(document["paths"]) == set(contract["paths"])
    assert not any("+" in path for path in document["paths"])


def test_variables_at_one_place_of_a_path_have_one_name(document: Json) -> None:
    """API Gateway refuses a second one."""
    names: dict[tuple[str, ...], str] = {}
    for path in document["paths"]:
        parts = path.split("/")
        for place, part in enumerate(parts):
            if part.startswith("{"):
                assert names.setdefault(tuple(parts[:place]), part) == part, path


# --- keys ----------------------------------------------------------------------------------------------------------


def test_a_key_is_required_exactly_where_the_contract_secures_an_operation(
    document: Json, contract: Json
) -> None:
    open_operations = set()
    for path, method, operation in operations(contract):
        imported = document["paths"][path][method]
        assert (imported.get("security") == [{"ApiKey": []}]) == bool(operation["security"]), operation[
            "operationId"
        ]
        if not operation["security"]:
            open_operations.add(operation["operationId"])
    assert {"create_account", "get_health"} <= open_operations


def test_security_of_the_whole_contract_is_written_on_each_operation() -> None:
    """API Gateway ignores the root's."""
    contract: Json = {
        "openapi": "3.0.3",
        "info": {"version": "1"},
        "security": [{"ApiKey": []}],
        "paths": {"/a": {"get": _operation("a"), "post": _operation("b", security=[])}},
        "components": {"schemas": {}},
    }
    paths = deploy_document(contract, args())["paths"]
    assert paths["/a"]["get"]["security"] == [{"ApiKey": []}]
    assert "security" not in paths["/a"]["post"]


def test_accounts_can_be_closed_to_who_has_no_key(contract: Json) -> None:
    closed = deploy_document(contract, args(closed=("create_account",)))
    assert closed["paths"]["/v1/accounts"]["post"]["security"] == [{"ApiKey": []}]
    assert "security" not in closed["paths"]["/v1/health"]["get"]


def test_the_gateway_reads_the_key_where_the_function_does(document: Json, contract: Json) -> None:
    assert document["x-amazon-apigateway-api-key-source"] == "HEADER"
    (scheme,) = document["components"]["securitySchemes"].values()
    (contracted,) = contract["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", contracted["name"])


# --- bodies and validators -----------------------------------------------------------------------------------------


def test_bodies_pass_as_bytes(document: Json) -> None:
    assert document["x-amazon-apigateway-binary-media-types"] == ["*/*"]


def test_no_body_is_validated_by_the_gateway_which_would_not_name_the_fields(document: Json) -> None:
    validators = document["x-amazon-apigateway-request-validators"]
    assert not any(validator["validateRequestBody"] for validator in validators.values())


def test_a_validator_asks_for_no_parameter_that_may_be_sent_under_another_name(document: Json) -> None:
    validated = {}
    for path, method, operation in methods(document):
        required = {each["name"] for each in operation.get("parameters", ()) if each["required"]}
        assert "X-Idempotency-Key" not in required, path
        if "x-amazon-apigateway-request-validator" in operation:
            assert (
                operation["x-amazon-apigateway-request-validator"]
                in document["x-amazon-apigateway-request-validators"]
            )
            validated[path, method] = required
    assert validated["/v1/cards/{card_id}", "get"] == {"card_id"}
    assert ("/v1/authorize", "post") not in validated
    assert all(validated.values()), "a validator that asks for nothing"


def test_every_path_parameter_is_declared_and_required(document: Json) -> None:
    for path, method, operation in methods(document):
        if "operationId" in operation or method == "head":
            declared = {
                each["name"] for each in operation["parameters"] if each["in"] == "path" and each["required"]
            }
            assert declared == {part[1:-1] for part in path.split("/") if part.startswith("{")}, path


# --- models --------------------------------------------------------------------------------------------------------


def test_models_are_draft_4_without_what_openapi_adds(document: Json, contract: Json) -> None:
    models = document["components"]["schemas"]
    assert set(models) == set(contract["components"]["schemas"])
    for name, model in models.items():
        assert name.isalnum(), "API Gateway wants letters and digits"
        jsonschema.Draft4Validator.check_schema(model)
        for schema in _schemas(model):
            assert not DROPPED & set(schema), name


def test_a_model_accepts_every_example_of_the_contract(document: Json, contract: Json) -> None:
    checked = 0
    for path, method, operation in operations(contract):
        for media_type, body in _bodies(contract, operation):
            for example in body.get("examples", {}).values():
                model = _model(document, path, method, media_type, body["schema"])
                value = _resolve(contract, example)["value"]
                jsonschema.Draft4Validator(model).validate(value)
                checked += 1
    assert checked > 100


@each_case(
    ("schema", "stripped"),
    [
        ({"type": "string", "nullable": True, "description": "x", "enum": ["a"]}, {"description": "x"}),
        ({"type": "object", "nullable": True}, {}),
        ({"$ref": "#/components/schemas/A"}, {"$ref": "#/components/schemas/A"}),
        ({"allOf": [{"type": "string", "example": "a"}]}, {"allOf": [{"type": "string"}]}),
        (
            {"type": "array", "items": {"type": "integer", "default": 1}},
            {"type": "array", "items": {"type": "integer"}},
        ),
        ({"additionalProperties": False}, {"additionalProperties": False}),
        (
            {"additionalProperties": {"type": "string", "readOnly": True}},
            {"additionalProperties": {"type": "string"}},
        ),
        # A property may be called what a keyword is called.
        ({"properties": {"default": {"type": "string"}}}, {"properties": {"default": {"type": "string"}}}),
        (
            {"oneOf": [{"type": "string"}], "discriminator": {"propertyName": "t"}},
            {"oneOf": [{"type": "string"}]},
        ),
        ({"type": "string", "x-note": 1}, {"type": "string"}),
    ],
)
def test_a_schema_is_stripped(schema: Json, stripped: Json) -> None:
    assert strip_schema(schema) == stripped


def test_references_stay_inside_the_document(document: Json) -> None:
    schemas = document["components"]["schemas"]
    found = set(_references(document))
    assert found
    for reference in found:
        assert reference.removeprefix("#/components/schemas/") in schemas, reference


# --- redeploying ---------------------------------------------------------------------------------------------------


def test_the_document_fits_what_api_gateway_takes(document: Json) -> None:
    assert len(document_text(document)) < 1_000_000
    assert len(document["paths"]) < 300


def test_the_same_contract_gives_the_same_document(contract: Json, document: Json) -> None:
    again = deploy_document(load_contract(CONTRACT), args())
    assert document_text(again) == document_text(document)
    assert document_hash(again) == document_hash(document)


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["paths"].pop("/v1/void"),
        lambda document: document["paths"]["/v1/void"]["post"].pop("security"),
        lambda document: document["x-amazon-apigateway-binary-media-types"].clear(),
        lambda document: document["x-amazon-apigateway-gateway-responses"].pop("THROTTLED"),
        lambda document: document["paths"]["/v1/void"]["post"]["x-amazon-apigateway-integration"].update(
            uri="x"
        ),
    ],
)
def test_whatever_changes_is_deployed_anew(document: Json, change: Any) -> None:
    changed = json.loads(document_text(document))
    change(changed)
    assert document_hash(changed) != document_hash(document)


def _operation(operation_id: str, **more: Any) -> Json:
    return {"operationId": operation_id, "summary": "s", "tags": ["t"], "responses": {}, **more}


def _schemas(schema: Any) -> Iterator[Json]:
    """The schema and all within it."""
    if not isinstance(schema, Mapping):
        return
    yield dict(schema)
    for name, value in schema.items():
        if name in ("allOf", "anyOf", "oneOf"):
            for each in value:
                yield from _schemas(each)
        elif name == "properties":
            for each in value.values():
                yield from _schemas(each)
        elif name in ("items", "not", "additionalProperties"):
            yield from _schemas(value)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            if name == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for each in node:
            yield from _references(each)


def _bodies(contract: Json, operation: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    described = [*operation["responses"].values()]
    if "requestBody" in operation:
        described.append(operation["requestBody"])
    for each in described:
        yield from _resolve(contract, each).get("content", {}).items()


def _model(document: Json, path: str, method: str, media_type: str, schema: Json) -> Json:
    """The model of a body's schema, which stands in the document as it stands here, with all that it refers to."""
    operation = document["paths"][path][method]
    stripped = strip_schema(schema)
    bodies = [*operation["responses"].values(), operation.get("requestBody", {})]
    assert stripped in [body.get("content", {}).get(media_type, {}).get("schema") for body in bodies]
    return {**stripped, "components": document["components"]}


def _resolve(contract: Json, node: Json) -> Json:
    target: Any = node
    while "$ref" in target:
        parts = target["$ref"].removeprefix("#/").split("/")
        target = contract
        for part in parts:
            target = target[part]
    resolved: Json = target
    return resolved
