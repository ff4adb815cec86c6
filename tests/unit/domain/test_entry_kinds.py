"""The table of kinds says what the contract says, and the Pulumi program lists the same kinds."""

from collections.abc import Iterator
from typing import Any

from contracts.events.generate import KINDS_FILE, kinds_text
from payments_sandbox.domain.disputes import TRANSITIONS
from payments_sandbox.domain.entry_kinds import ENTRY_KINDS
from payments_sandbox.domain.ids import OBJECT_PREFIXES, PREFIXES
from payments_sandbox.domain.iso8583 import Message, response_type
from payments_sandbox.domain.network import MESSAGE_TYPES
from payments_sandbox.domain.webhooks import EVENT_TYPES
from stacks.event_kinds import EVENT_KINDS
from tests.contract import CONTRACT

SCHEMAS: dict[str, Any] = CONTRACT["components"]["schemas"]
COMPONENT = "#/components/schemas/"


def transactions(node: Any) -> Iterator[dict[str, Any]]:
    """Every transaction, line of a settlement and member of a family in a part of the contract's examples."""
    if isinstance(node, dict):
        if "transaction_id" in node and node.get("type") in PREFIXES:
            yield node
        for value in node.values():
            yield from transactions(value)
    elif isinstance(node, list):
        for value in node:
            yield from transactions(value)


def test_transaction_types_are_those_of_the_contract() -> None:
    kinds = [kind for kind in ENTRY_KINDS.values() if kind.id_prefix is not None]
    assert {kind.name for kind in kinds} == set(SCHEMAS["TransactionType"]["enum"])
    mapping = SCHEMAS["Transaction"]["discriminator"]["mapping"]
    assert {kind.name: COMPONENT + kind.schema for kind in kinds} == mapping


def test_event_types_are_those_of_the_contract_in_its_order() -> None:
    assert list(EVENT_TYPES.values()) == SCHEMAS["EventType"]["enum"]


def test_the_pulumi_program_lists_every_kind() -> None:
    assert list(EVENT_KINDS) == sorted(ENTRY_KINDS), "run python -m contracts.events.generate"
    assert KINDS_FILE.read_text("utf-8") == kinds_text()


def test_the_contracts_examples_have_the_ids_and_network_references_of_their_kinds() -> None:
    found = list(transactions(CONTRACT["components"]["examples"]))
    assert {each["type"] for each in found} >= {"authorization", "capture", "refund", "void", "increment"}
    for each in found:
        kind, network = ENTRY_KINDS[each["type"]], each.get("network")
        assert each["transaction_id"].startswith(PREFIXES[kind.name])
        if network is not None:
            approved = each["decline"] is None
            assert network["message_type"] == MESSAGE_TYPES[kind.name]
            assert (network["authorization_code"] is not None) == (approved and kind.has_authorization_code)
            assert (network["acquirer_reference"] is not None) == (approved and kind.has_acquirer_reference)


def test_prefixes_are_unique() -> None:
    prefixes = [*PREFIXES.values(), *OBJECT_PREFIXES.values()]
    assert len(set(prefixes)) == len(prefixes)


def test_every_transaction_has_messages_with_a_name_and_nothing_else_has() -> None:
    assert set(MESSAGE_TYPES) == set(PREFIXES)
    for message_type in MESSAGE_TYPES.values():
        assert Message(message_type, {}).name
        assert Message(response_type(message_type), {}).name


def test_what_is_settled_or_shown_in_a_message_is_a_transaction() -> None:
    for kind in ENTRY_KINDS.values():
        facts = (
            kind.is_settled,
            kind.has_authorization_code,
            kind.has_acquirer_reference,
            kind.ends_hold,
            kind.is_about_refund,
        )
        assert kind.id_prefix is not None or not any(facts), kind.name
        costs = (kind.costs_percentage, kind.costs_fixed_part, kind.dispute_fee_count)
        assert kind.is_settled or not any(costs), f"{kind.name}: fees are taken when an entry is settled"


def test_an_event_shows_a_status_of_its_schema() -> None:
    statuses = set(SCHEMAS["TransactionStatus"]["enum"])
    for kind in ENTRY_KINDS.values():
        assert kind.schema in SCHEMAS
        is_transaction = (
            COMPONENT + kind.schema in SCHEMAS["Transaction"]["discriminator"]["mapping"].values()
        )
        assert (kind.status in statuses) == is_transaction, kind.name
        assert (kind.status is None) != is_transaction, kind.name


def test_a_change_of_a_dispute_is_of_the_kind_that_its_event_names() -> None:
    events = {kind.name: kind.event.name for kind in ENTRY_KINDS.values() if kind.schema == "Dispute"}
    assert events == {each.event.replace(".", "_"): each.event for each in TRANSITIONS}
