"""Schemas as API Gateway's models take them: JSON Schema draft 4, without what OpenAPI adds to it.

A model describes what the contract's schema does, and refuses nothing that the schema accepts. Models are for generated
clients and for people who read the API in the console: the function validates.
"""

from collections.abc import Mapping
from typing import Any

DROPPED = frozenset(
    {
        "default",
        "deprecated",
        "discriminator",
        "example",
        "examples",
        "externalDocs",
        "nullable",
        "readOnly",
        "writeOnly",
        "xml",
    }
)
"""What API Gateway drops or chokes on."""

_OF_SCHEMAS = ("allOf", "anyOf", "oneOf")
_OF_NAMED_SCHEMAS = ("properties", "patternProperties", "definitions")
_SCHEMAS = ("items", "not", "additionalProperties")


def strip_schema(schema: Any) -> Any:
    """The schema without what draft 4 does not know; where null is allowed, it becomes one that accepts everything."""
    if not isinstance(schema, Mapping):
        # `additionalProperties: false`.
        return schema
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}
    if schema.get("nullable"):
        return {"description": schema["description"]} if "description" in schema else {}
    stripped: dict[str, Any] = {}
    for name, value in schema.items():
        if name in DROPPED or name.startswith("x-"):
            continue
        if name in _OF_SCHEMAS:
            stripped[name] = [strip_schema(each) for each in value]
        elif name in _OF_NAMED_SCHEMAS:
            stripped[name] = {key: strip_schema(each) for key, each in value.items()}
        elif name in _SCHEMAS:
            stripped[name] = strip_schema(value)
        else:
            stripped[name] = value
    return stripped
