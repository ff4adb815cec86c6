"""Identifiers, and the numbers of a network message, all derived by HMAC-SHA256 from what they identify.

An entry's id is a function of (account, operation, idempotency key): writing it only when it is free *is* the
idempotency check, and a retry finds its first result without any table of keys. A card's id is a function of
(account, card number), so that the number itself need not be kept and two accounts never share an id.
"""

import hashlib
import hmac
from functools import lru_cache
from typing import Final, NamedTuple, NewType

from payments_sandbox.domain.cards import luhn_digit
from payments_sandbox.domain.entry_kinds import ENTRY_KINDS
from payments_sandbox.domain.timestamps import HOUR_MS, day_of

TransactionId = NewType("TransactionId", str)
CardId = NewType("CardId", str)
AccountId = NewType("AccountId", str)
KeyId = NewType("KeyId", str)

API_KEY_PATTERN: Final = r"[\x21-\x7e]{1,256}"
"""What can be an API key: wider than any that the sandbox makes, so that only what is outside needs no look-up."""

PREFIXES: Final = {kind.name: kind.id_prefix for kind in ENTRY_KINDS.values() if kind.id_prefix is not None}
"""Kind of a transaction to the prefix of its id."""

OBJECT_PREFIXES: Final = {
    "dispute": "dsp_",
    "dispute_change": "dch_",
    "early_fraud_warning": "efw_",
    "early_fraud_warning_change": "efc_",
    "refund_timer": "rft_",
    "refund_success": "rfs_",
}
"""The kind of what is no entry of the ledger, but whose id follows from something all the same, to the prefix of its id."""

ACQUIRER_BIN: Final = "400000"
"""The acquirer that the sandbox plays."""

_ID_DIGITS: Final = 26
"""Hexadecimal digits of an id: 104 bits, so that no two meet by chance."""


class EntryIdentity(NamedTuple):
    """What an idempotency key determines.

    id: the entry's id. stan: system trace audit number, six digits (ISO 8583 data element 11).
    authorization_code: six characters (data element 38). film_locator: eleven digits for the acquirer reference.
    """

    id: TransactionId
    stan: str
    authorization_code: str
    film_locator: str


def identify_entry(
    secret: bytes, account_id: str, kind: str, idempotency_key: str, *, generation: int = 0
) -> EntryIdentity:
    """The identity of the entry that this key makes. The parts are separated by NUL, which none of them can hold.

    generation: how often the key was used and forgotten before.
    """
    message = f"entry\0{account_id}\0{kind}\0{idempotency_key}"
    if generation:
        message += f"\0{generation}"
    text = _keyed_hash(secret, message.encode())
    return EntryIdentity(
        id=TransactionId(PREFIXES[kind] + text[:_ID_DIGITS]),
        stan=f"{int(text[26:36], 16) % 999_999 + 1:06d}",
        authorization_code=text[36:42].upper(),
        film_locator=f"{int(text[42:50], 16):011d}",
    )


class SettlementIdentity(NamedTuple):
    """id: the settlement's. payout_id: of what it pays. event_id: of the record that tells of its completion."""

    id: str
    payout_id: str
    event_id: str


def identify_settlement(
    secret: bytes, account_id: str, currency: str, batch: str, number: int
) -> SettlementIdentity:
    """The identity of a settlement, so that whoever makes it twice makes the same one.

    batch: what else tells it apart from the account's others in this currency. number: how many there were in the batch
    before.
    """
    message = f"settlement\0{account_id}\0{currency}\0{batch}\0{number}"
    digits = hmac.digest(secret, message.encode(), "sha256").hex()[:_ID_DIGITS]
    return SettlementIdentity("stl_" + digits, "po_" + digits, "stlc_" + digits)


def identify_object(secret: bytes, account_id: str, kind: str, name: str, *, generation: int = 0) -> str:
    """The id of what this name stands for in the account. generation: how often the name was used and forgotten before."""
    message = f"object\0{account_id}\0{kind}\0{name}"
    if generation:
        message += f"\0{generation}"
    return OBJECT_PREFIXES[kind] + _keyed_hash(secret, message.encode())[:_ID_DIGITS]


def identify_card(secret: bytes, account_id: str, number: str) -> CardId:
    """The id under which this account knows this card number."""
    return CardId("card_" + _keyed_hash(secret, f"card\0{account_id}\0{number}".encode())[:_ID_DIGITS])


def _keyed_hash(secret: bytes, message: bytes) -> str:
    """HMAC-SHA256 in hexadecimal."""
    started = _start_hash(secret).copy()
    started.update(message)
    return started.hexdigest()


@lru_cache(maxsize=4)
def _start_hash(secret: bytes) -> hmac.HMAC:
    """The hash once it has taken in the secret, of which there is one: starting anew is half of the work."""
    return hmac.new(secret, digestmod="sha256")


def identify_api_key(api_key: str) -> KeyId:
    """The public id of an API key, and the only form in which it is kept.

    Plain SHA-256 is enough: a key holds 190 random bits, so there is nothing to guess.
    """
    return KeyId("key_" + hashlib.sha256(api_key.encode()).hexdigest()[:32])


def retrieval_reference(at_ms: int, stan: str) -> str:
    """The retrieval reference number of a message: `YDDDHH` and the trace number, twelve digits.

    Source: ISO 8583 data element 37, in the layout that Visa and Mastercard ask of acquirers.
    """
    return f"{day_of(at_ms).julian}{at_ms // HOUR_MS % 24:02d}{stan}"


def acquirer_reference(at_ms: int, film_locator: str) -> str:
    """The acquirer reference number of a capture or refund: 23 digits, the last a Luhn check digit.

    Source: Visa and Mastercard clearing formats: format code 7, acquirer BIN, `YDDD`, film locator, check digit.
    """
    digits = f"7{ACQUIRER_BIN}{day_of(at_ms).julian}{film_locator}"
    return digits + luhn_digit(digits)
