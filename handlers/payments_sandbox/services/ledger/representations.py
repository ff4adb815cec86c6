"""How ledger entries and cards look to clients: the contract's schemas, in responses and in events alike."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from payments_sandbox.domain.network import APPROVED, DECLINE_CODES, MESSAGE_TYPES, NEVER_RETRY
from payments_sandbox.domain.postings import Posting
from payments_sandbox.domain.settlement import SETTLED_KINDS
from payments_sandbox.domain.timestamps import format_timestamp
from payments_sandbox.services.ledger.entries import AUTHORIZATION, Entry, EntryData

if TYPE_CHECKING:
    # Lambda starts without what a payment does not need.
    from payments_sandbox.services.ledger.transactions import CardSummary, Family

Json = dict[str, Any]

_EXPLANATIONS: Mapping[str, str] = {
    "request_header": "The header X-Sandbox-Simulate asked for: {rule}.",
    "cardholder_name": "The cardholder name asked for: {rule}.",
    "card_number": "The card number is a test card: {rule}.",
    "amount": "The amount is 900000 plus a response code: {rule}.",
    "authorization": "A trigger of the authorization asked for this: {rule}.",
    "card_check": "No trigger; the card itself failed a check: {rule}.",
    "none": "No trigger; the issuer approves.",
}


def render_transaction(entry: Entry) -> Json:
    """The contract's `Transaction`."""
    record, data, totals = entry.record, entry.data, entry.totals
    request = data["request"]
    decline = data["decline"]
    rendered: Json = {
        "transaction_id": record.id,
        "type": record.kind,
        "status": entry.status,
        "amount": data["amount"],
        "currency": data["currency"],
        "card": {"card_id": record.card_id, **_card(data["card"])},
        "balance": {
            "authorized_amount": totals.authorized,
            "captured_amount": totals.captured,
            "refunded_amount": totals.refunded,
            "released_amount": totals.released,
            "disputed_amount": totals.disputed,
            "capturable_amount": entry.capturable,
            "refundable_amount": totals.refundable,
        },
        "decline": None if decline is None else _decline(*decline),
        "network": _network(record.kind, data),
        "simulation": _simulation(data["simulation"]),
        "postings": _postings(data),
        "merchant_reference": request.get("merchant_reference"),
        "metadata": request.get("metadata") or {},
        "created_at": format_timestamp(record.created_at),
    }
    if record.kind == AUTHORIZATION:
        rendered["checks"] = {"cvc_result": data["cvc"], "avs_result": data["avs"]}
        rendered["risk"] = {"level": data["risk"]}
        rendered["expires_at"] = format_timestamp(data["expires_at"])
    else:
        rendered["authorization_id"] = data["authorization_id"]
        if record.kind == "capture":
            rendered["final"] = request.get("final", False)
        elif "refund_id" in data:
            rendered["refund_id"] = data["refund_id"]
        elif "dispute_id" in data:
            rendered["dispute_id"] = data["dispute_id"]
            rendered["fee_amount"] = data["fee"]
        if record.kind in SETTLED_KINDS:
            settlement_id, settled_at = entry.settlement or (None, None)
            rendered["settlement_id"] = settlement_id
            rendered["settled_at"] = None if settled_at is None else format_timestamp(settled_at)
    return rendered


def render_family(family: "Family") -> Json:
    """The contract's `TransactionWithFamily`."""
    return {**render_transaction(family.entry), "family": [_member(member) for member in family.members]}


def render_card_summary(card: "CardSummary") -> Json:
    """The contract's `CardSummary`."""
    return {
        "card_id": card.card_id,
        **_card(card.latest.data["card"]),
        "first_used_at": format_timestamp(card.first_used_at),
        "last_used_at": format_timestamp(card.last_used_at),
    }


def _card(card: Mapping[str, Any]) -> Json:
    return {**card, "holder_name": card.get("holder_name")}


def _decline(decline_code: str, response_code: str) -> Json:
    return {
        "decline_code": decline_code,
        "response_code": response_code,
        "retry_forbidden": response_code in NEVER_RETRY,
        "message": DECLINE_CODES[decline_code][1],
    }


def _response_code(data: EntryData) -> str:
    decline = data["decline"]
    return APPROVED if decline is None else decline[1]


def _network(kind: str, data: EntryData) -> Json:
    network = data["network"]
    return {
        "message_type": MESSAGE_TYPES[kind],
        "response_code": _response_code(data),
        "stan": network["stan"],
        "rrn": network["rrn"],
        "authorization_code": network.get("authorization_code"),
        "acquirer_reference": network.get("acquirer_reference"),
    }


def _simulation(simulation: Mapping[str, Any]) -> Json:
    rule = simulation["rule"]
    return {
        "trigger": simulation["trigger"],
        "rule": rule,
        "explanation": _EXPLANATIONS[simulation["trigger"]].replace("{rule}", rule),
        "overridden": simulation.get("overridden", []),
    }


def _postings(data: EntryData) -> list[Json]:
    return render_postings([(name, amount) for name, amount in data["postings"]])


def render_postings(postings: Sequence[Posting]) -> list[Json]:
    """The contract's `Posting`s."""
    return [{"ledger_account": name, "amount": amount} for name, amount in postings]


def _member(entry: Entry) -> Json:
    return {
        "transaction_id": entry.record.id,
        "type": entry.record.kind,
        "status": entry.status,
        "amount": entry.data["amount"],
        "response_code": _response_code(entry.data),
        "postings": _postings(entry.data),
        "created_at": format_timestamp(entry.record.created_at),
    }
