"""Writes the JSON Schema of each event type, and the kinds of events for the Pulumi program.

`python -m contracts.events.generate`, after a change to the contract or to `domain/entry_kinds.py`.

What a webhook holds is described once, in the contract's components. Receivers want one self-contained schema for each
type, in the draft that their tools read: so these are made from those, and a test compares what is committed with what
would be made now.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from payments_sandbox.domain.entry_kinds import ENTRY_KINDS, EntryKind, EventType
from payments_sandbox.domain.webhooks import TEST_EVENT_TYPE
from payments_sandbox.settings import contract_path

Json = dict[str, Any]

DIRECTORY: Final = Path(__file__).parent
KINDS_FILE: Final = DIRECTORY.parents[1] / "stacks" / "event_kinds.json"
DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
COMPONENT: Final = "#/components/schemas/"
DEFINITION: Final = "#/$defs/"

TEST_DESCRIPTION: Final = "A test or a probe of one endpoint; nothing has happened."

_OPEN: Final = ("warning_needs_response", "warning_under_review", "needs_response", "under_review")

NARROWED: Final[Mapping[str, Json]] = {
    "settlement_completed": {"status": {"const": "completed"}, "payout": {"type": "object"}},
    "dispute_opened": {
        "status": {"enum": ["warning_needs_response", "needs_response"]},
        "evidence": {"maxProperties": 0},
    },
    "dispute_updated": {"status": {"enum": [*_OPEN]}, "evidence": {"minProperties": 1}},
    "dispute_escalated": {"status": {"const": "needs_response"}, "inquiry": {"const": True}},
    "dispute_closed": {"status": {"enum": ["warning_closed", "won", "lost"]}},
    "early_fraud_warning_created": {"actionable": {"const": True}},
    "early_fraud_warning_closed": {"actionable": {"const": False}},
}
"""Kind of an entry whose event holds no transaction to what the type says about it, beyond what the component does."""

_NOT_JSON_SCHEMA: Final = frozenset(
    {"nullable", "discriminator", "example", "examples", "xml", "externalDocs"}
)


def event_schemas(contract: Mapping[str, Any]) -> dict[str, Json]:
    """The schema of each event type."""
    components = contract["components"]["schemas"]
    schemas = {}
    for kind in ENTRY_KINDS.values():
        schemas[kind.event.name] = _schema(components, kind.event, kind.schema, _narrowed(kind))
        if kind.declined_event is not None:
            declined = _outcome("declined", declined=True)
            schemas[kind.declined_event.name] = _schema(
                components, kind.declined_event, kind.schema, declined
            )
    test_event = EventType(TEST_EVENT_TYPE, TEST_DESCRIPTION)
    schemas[TEST_EVENT_TYPE] = _schema(components, test_event, "EndpointTested", {})
    return schemas


def text_of(schema: Json) -> str:
    """The schema as it is committed."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def kinds_text() -> str:
    """The kinds of events as they are committed for the Pulumi program."""
    return json.dumps(sorted(ENTRY_KINDS), indent=2) + "\n"


def main() -> None:
    """Write a file for each event type, delete those of types that are no more, and write the kinds."""
    KINDS_FILE.write_text(kinds_text(), "utf-8")
    schemas = event_schemas(yaml.safe_load(contract_path().read_text("utf-8")))
    for file in DIRECTORY.glob("*.json"):
        if file.stem not in schemas:
            file.unlink()
    for event_type, schema in schemas.items():
        (DIRECTORY / f"{event_type}.json").write_text(text_of(schema), "utf-8")


def _narrowed(kind: EntryKind) -> Json:
    """What the type of an entry that was not declined says about it, beyond what the component does."""
    if kind.status is None:
        return NARROWED.get(kind.name, {})
    return _outcome(kind.status, declined=False)


def _outcome(status: str, *, declined: bool) -> Json:
    return {"status": {"const": status}, "decline": {"type": "object" if declined else "null"}}


def _schema(components: Mapping[str, Json], event: EventType, component: str, narrowed: Json) -> Json:
    data: Json = {"$ref": DEFINITION + component}
    if narrowed:
        data["properties"] = narrowed
    whole: Json = {
        "$schema": DRAFT,
        "$id": f"urn:payments-sandbox:event:{event.name}",
        "title": event.name,
        "description": event.description,
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"const": event.name},
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
