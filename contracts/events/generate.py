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

from payments_sandbox.domain.webhooks import EVENT_TYPES, TEST_EVENT_TYPE
from payments_sandbox.settings import contract_path

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
    "payment.refund_initiated": "A refund is on its way; whether it arrives is told later.",
    "payment.refund_succeeded": "A refund that was on its way has arrived.",
    "payment.refund_failed": "The cardholder's bank has returned a refund: the money is back.",
    "payment.chargeback_created": "A dispute has taken captured money back to the cardholder.",
    "payment.chargeback_reversed": "A dispute was won: the money is back.",
    "dispute.opened": "A cardholder disputes a payment, or the cardholder's bank asks about it.",
    "dispute.updated": "Evidence was saved or submitted.",
    "dispute.escalated": "An inquiry has become a dispute.",
    "dispute.closed": "A dispute was won or lost, or an inquiry is over.",
    "early_fraud_warning.created": "An issuer has reported a payment as fraud; nobody disputes it yet.",
    "early_fraud_warning.closed": "Nothing is left of a payment that a fraud report could still lead to a dispute of.",
    "webhook_endpoint.disabled": "Nothing is sent to an endpoint any more, as it is gone or has failed for five days.",
    "webhook_endpoint.tested": "A test or a probe of one endpoint; nothing has happened.",
}

COMPONENTS: Final[Mapping[str, str]] = {
    "endpoint_disabled": "EndpointDisabled",
    "settlement_completed": "Settlement",
    "refund_initiated": "Refund",
    "refund_success": "Refund",
    "refund_failure": "RefundFailure",
    "chargeback_reversal": "ChargebackReversal",
    "dispute_opened": "Dispute",
    "dispute_updated": "Dispute",
    "dispute_escalated": "Dispute",
    "dispute_closed": "Dispute",
    "early_fraud_warning_created": "EarlyFraudWarning",
    "early_fraud_warning_closed": "EarlyFraudWarning",
}
"""Kind of a record to the component that its payload is; of all others it is the kind itself, with a capital."""

OUTCOMES: Final[Mapping[str, str]] = {"authorization": "authorized", "refund_initiated": "pending"}
"""Kind of an entry to the status of one that is not declined; of all others `succeeded`."""

_OPEN: Final = ("warning_needs_response", "warning_under_review", "needs_response", "under_review")

NARROWED: Final[Mapping[str, Json]] = {
    "endpoint_disabled": {},
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
"""Kind of a record whose payload is no transaction to what the type says about it, beyond what the component does."""

_NOT_JSON_SCHEMA: Final = frozenset(
    {"nullable", "discriminator", "example", "examples", "xml", "externalDocs"}
)


def event_schemas(contract: Mapping[str, Any]) -> dict[str, Json]:
    """The schema of each event type."""
    components = contract["components"]["schemas"]
    schemas = {}
    for (kind, declined), event_type in EVENT_TYPES.items():
        component = COMPONENTS.get(kind, kind.capitalize())
        narrowed = NARROWED[kind] if kind in NARROWED else _outcome(kind, declined)
        schemas[event_type] = _schema(components, event_type, component, narrowed)
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
    status = "declined" if declined else OUTCOMES.get(kind, "succeeded")
    return {"status": {"const": status}, "decline": {"type": "object" if declined else "null"}}


def _schema(components: Mapping[str, Json], event_type: str, component: str, narrowed: Json) -> Json:
    data: Json = {"$ref": DEFINITION + component}
    if narrowed:
        data["properties"] = narrowed
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
