"""Writes the JSON Schema of each event type: `python -m contracts.events.generate`, after a change to the contract.

What a webhook holds is described once, in the contract's components. Receivers want one self-contained schema for each
type, in the draft that their tools read: so these are made from those, and a test compares what is committed with what
would be made now.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from handlers.domain.webhooks import EVENT_TYPES, TEST_EVENT_TYPE
from handlers.settings import contract_path

Json = dict[str, Any]

DIRECTORY: Final = Path(__file__).parent
DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
COMPONENT: Final = "#/components/schemas/"
DEFINITION: Final = "#/$defs/"

DESCRIPTIONS: Final[Mapping[str, str]] = {
    "payment.authorized": "An issuer has approved an authorization: the amount is held.",
    "payment.authorization_declined": "An issuer has declined an authorization: nothing is held.",
    "payment.captured": "All or part of what was held has been taken.",
    "payment.capture_declined": "A capture was declined: what is held is still held.",
    "payment.refunded": "All or part of what was taken has been given back.",
    "payment.refund_declined": "A refund was declined: nothing was given back.",
    "payment.voided": "What was still held has been given back.",
    "payment.incremented": "More is held than before.",
    "payment.increment_declined": "An increment was declined: no more is held than before.",
    "payment.expired": "An authorization's time is over: what was still held has been given back.",
    "settlement.completed": "What was owed for a set of captures and refunds, less fees, has been paid out.",
    "webhook_endpoint.disabled": "Nothing is sent to an endpoint any more, as it is gone or has failed for five days.",
    "webhook_endpoint.tested": "A test or a probe of one endpoint; nothing has happened.",
}

_NOT_JSON_SCHEMA: Final = frozenset(
    {"nullable", "discriminator", "example", "examples", "xml", "externalDocs"}
)


def event_schemas(contract: Mapping[str, Any]) -> dict[str, Json]:
    """The schema of each event type."""
    components = contract["components"]["schemas"]
    schemas = {}
    for (kind, declined), event_type in EVENT_TYPES.items():
        if kind == "endpoint_disabled":
            schemas[event_type] = _schema(components, event_type, "EndpointDisabled", {})
        elif kind == "settlement_completed":
            narrowed = {"properties": {"status": {"const": "completed"}, "payout": {"type": "object"}}}
            schemas[event_type] = _schema(components, event_type, "Settlement", narrowed)
        else:
            schemas[event_type] = _schema(components, event_type, kind.capitalize(), _outcome(kind, declined))
    schemas[TEST_EVENT_TYPE] = _schema(components, TEST_EVENT_TYPE, "EndpointTested", {})
    return schemas


def text_of(schema: Json) -> str:
    """The schema as it is committed."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write a file for each event type, and delete those of types that are no more."""
    schemas = event_schemas(yaml.safe_load(contract_path().read_text("utf-8")))
    for file in DIRECTORY.glob("*.json"):
        if file.stem not in schemas:
            file.unlink()
    for event_type, schema in schemas.items():
        (DIRECTORY / f"{event_type}.json").write_text(text_of(schema), "utf-8")


def _outcome(kind: str, declined: bool) -> Json:
    """What the type says about its transaction, beyond what the component does."""
    status = "declined" if declined else "authorized" if kind == "authorization" else "succeeded"
    return {
        "properties": {"status": {"const": status}, "decline": {"type": "object" if declined else "null"}}
    }


def _schema(components: Mapping[str, Json], event_type: str, component: str, narrowed: Json) -> Json:
    data: Json = {"$ref": DEFINITION + component, **narrowed}
    whole: Json = {
        "$schema": DRAFT,
        "$id": f"urn:payments-sandbox:event:{event_type}",
        "title": event_type,
        "description": DESCRIPTIONS[event_type],
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"const": event_type},
            "timestamp": {"$ref": DEFINITION + "Timestamp"},
            "data": data,
        },
    }
    names = _reachable(components, [component, "Timestamp"])
    return {**whole, "$defs": {name: _converted(components[name]) for name in sorted(names)}}


def _reachable(components: Mapping[str, Json], names: list[str]) -> set[str]:
    """These components, and all that they refer to."""
    found = set(names)
    for name in names:
        for reference in _references(components[name]):
            if reference not in found:
                found |= {reference}
                names.append(reference)
    return found


def _references(node: Any) -> Iterator[str]:
    match node:
        case {"$ref": str(reference)}:
            yield reference.removeprefix(COMPONENT)
        case dict():
            for value in node.values():
                yield from _references(value)
        case list():
            for value in node:
                yield from _references(value)


def _converted(node: Any) -> Any:
    """OpenAPI 3.0's dialect as JSON Schema's: `nullable` is a type, and what only documents an API is left out."""
    if isinstance(node, list):
        return [_converted(value) for value in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {"$ref": node["$ref"].replace(COMPONENT, DEFINITION)}
    converted: Json = {}
    for name, value in node.items():
        if name == "properties":
            # Names of the event's fields: an `example` among them would be one.
            converted[name] = {field: _converted(schema) for field, schema in value.items()}
        elif name == "type" and node.get("nullable"):
            converted[name] = [value, "null"]
        elif name == "description":
            converted[name] = " ".join(value.split())
        elif name == "format" and value == "int64":
            continue
        elif name not in _NOT_JSON_SCHEMA:
            converted[name] = _converted(value)
    return converted


if __name__ == "__main__":
    main()
