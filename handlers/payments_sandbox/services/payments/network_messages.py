"""The ISO 8583 messages of a ledger entry: what a processor would have sent for it, and what came back.

Nothing is kept for this: the messages follow from the entry, its authorization and the tables of `domain/iso8583.py`.
"""

from dataclasses import dataclass
from typing import Any, Final

from payments_sandbox.domain import iso8583
from payments_sandbox.domain.entry_kinds import ENTRY_KINDS
from payments_sandbox.domain.errors import TransactionNotFound
from payments_sandbox.domain.ids import ACQUIRER_BIN
from payments_sandbox.domain.iso8583 import ELEMENTS, Message, make_message, make_response, timestamps
from payments_sandbox.domain.money import NUMERIC_CODES, format_amount
from payments_sandbox.domain.network import APPROVED, MESSAGE_TYPES, RESPONSE_CODES
from payments_sandbox.services.ledger import entries
from payments_sandbox.services.ledger.entries import AUTHORIZATION
from payments_sandbox.services.ports import PackedMessage, Record
from payments_sandbox.services.world import World

SPECIFICATION: Final = "ISO 8583:1987, ASCII elements, binary bitmaps"

_REVERSALS: Final = "04"
_FIRST_MESSAGES: Final = "0100"
"""What asks the issuer to hold money: it carries the card's expiry, and how the card was presented."""


@dataclass(frozen=True, slots=True)
class PackedPair:
    """What was exchanged about one entry: each message, and as it would travel."""

    entry: Record
    request: tuple[Message, PackedMessage]
    response: tuple[Message, PackedMessage]


def get_network_messages(world: World, transaction_id: str) -> PackedPair:
    """The messages of an entry of the account.

    Errors: transaction_not_found: the account has no entry of this id.
    """
    (record,) = world.store.get([transaction_id])
    if record is None or record.account_id != world.account_id or record.kind not in MESSAGE_TYPES:
        raise TransactionNotFound("The account has no transaction of this id.")
    request = request_message(record, _find_original(world, record))
    response = response_message(record, request)
    pack = world.infrastructure.packer.pack
    return PackedPair(record, (request, pack(request)), (response, pack(response)))


def _find_original(world: World, record: Record) -> Record:
    """The entry whose message an entry's is about: the refund that failed, otherwise the authorization, perhaps itself."""
    if record.kind == AUTHORIZATION:
        return record
    data = entries.data_of(record)
    (found,) = world.store.get([data["request"].get("refund_id", data["authorization_id"])])
    assert found is not None, "an entry is written in one atomic write with its authorization"
    return found


def request_message(record: Record, original: Record) -> Message:
    """What asked the issuer for an entry. original: what `_find_original` found."""
    data = entries.data_of(record)
    kind, message_type = ENTRY_KINDS[record.kind], MESSAGE_TYPES[record.kind]
    card, network = data["card"], data["network"]
    elements: dict[int, str | None] = {
        iso8583.PAN: iso8583.mask_number(card["brand"], card["last4"]),
        iso8583.PROCESSING_CODE: iso8583.REFUND if kind.is_about_refund else iso8583.PURCHASE,
        iso8583.AMOUNT: f"{data['totals']['authorized'] if kind.ends_hold else data['amount']:012d}",
        **timestamps(record.created_at),
        iso8583.STAN: network["stan"],
        iso8583.ENTRY_MODE: iso8583.NOT_PRESENT,
        iso8583.CONDITION_CODE: iso8583.ECOMMERCE,
        iso8583.ACQUIRER: ACQUIRER_BIN,
        iso8583.RRN: network["rrn"],
        iso8583.TERMINAL: iso8583.TERMINAL_ID,
        iso8583.MERCHANT: _merchant(record.account_id),
        iso8583.CURRENCY: NUMERIC_CODES[data["currency"]],
    }
    if message_type == _FIRST_MESSAGES:
        elements[iso8583.EXPIRY] = f"{card['exp_year'] % 100:02d}{card['exp_month']:02d}"
    if record.kind != AUTHORIZATION:
        sent = entries.data_of(original)["network"]
        elements[iso8583.AUTHORIZATION_CODE] = sent.get("authorization_code")
        if message_type.startswith(_REVERSALS):
            elements[iso8583.ORIGINAL] = iso8583.original_data(
                MESSAGE_TYPES[original.kind], sent["stan"], original.created_at
            )
    if kind.ends_hold and (captured := data["totals"]["captured"]):
        elements[iso8583.REPLACEMENT] = iso8583.replacement_amounts(captured)
    return make_message(message_type, elements)


def response_message(record: Record, request: Message) -> Message:
    """What the issuer answered."""
    data = entries.data_of(record)
    decline = data["decline"]
    checks = None
    if record.kind == AUTHORIZATION:
        checks = iso8583.response_data(data["avs"], data["cvc"])
    return make_response(
        request,
        APPROVED if decline is None else decline[1],
        data["network"].get("authorization_code"),
        checks,
    )


def _merchant(account_id: str) -> str:
    """The account, as far as a card acceptor's code has room for it."""
    code = account_id.partition("_")[2] or account_id
    return code[: iso8583.MERCHANT_DIGITS].ljust(iso8583.MERCHANT_DIGITS)


def render_network_messages(pair: PackedPair) -> dict[str, Any]:
    """The contract's `NetworkMessages`."""
    currency = entries.data_of(pair.entry)["currency"]
    return {
        "transaction_id": pair.entry.id,
        "type": pair.entry.kind,
        "specification": SPECIFICATION,
        "request": _render(*pair.request, currency),
        "response": _render(*pair.response, currency),
    }


def _render(message: Message, packed: PackedMessage, currency: str) -> dict[str, Any]:
    return {
        "message_type": message.message_type,
        "name": message.name,
        "bitmap": packed.bitmap,
        "elements": [
            {
                "number": number,
                "name": ELEMENTS[number].name,
                "format": ELEMENTS[number].format,
                "value": value,
                "meaning": _meaning(number, value, currency),
            }
            for number, value in message.elements.items()
        ],
        "packed": packed.octets.hex().upper(),
    }


def _meaning(number: int, value: str, currency: str) -> str | None:
    """What a value means to people, where it does not say so itself."""
    match number:
        case iso8583.PROCESSING_CODE:
            return "Refund" if value == iso8583.REFUND else "Purchase"
        case iso8583.AMOUNT:
            return format_amount(int(value), currency)
        case iso8583.RESPONSE_CODE:
            return "Approved" if value == APPROVED else RESPONSE_CODES[value][1]
        case iso8583.CURRENCY:
            return currency
        case iso8583.REPLACEMENT:
            return f"{format_amount(int(value[:12]), currency)} was captured and stays"
    return None
