"""Identifiers, and the numbers of a network message, all derived by HMAC-SHA256 from what they identify.

An entry's id is a function of (account, operation, idempotency key): writing it only when it is free *is* the
idempotency check, and a retry finds its first result without any table of keys. A card's id is a function of
(account, card number), so that the number itself need not be kept and two accounts never share an id.
"""

import hashlib
import hmac
from base64 import b32encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NewType

from handlers.domain.cards import luhn_digit

TransactionId = NewType("TransactionId", str)
CardId = NewType("CardId", str)
AccountId = NewType("AccountId", str)
KeyId = NewType("KeyId", str)

PREFIXES: Final = {
    "authorization": "auth_",
    "capture": "cap_",
    "refund": "ref_",
    "void": "void_",
    "increment": "inc_",
}
"""The kind of an entry to the prefix of its id."""

ACQUIRER_BIN: Final = "400000"
"""The acquirer that the sandbox plays."""

_ALPHANUMERIC: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@dataclass(frozen=True, slots=True)
class EntryIdentity:
    """What an idempotency key determines.

    id: the entry's id. stan: system trace audit number, six digits (ISO 8583 data element 11).
    authorization_code: six characters (data element 38). film_locator: eleven digits for the acquirer reference.
    """

    id: TransactionId
    stan: str
    authorization_code: str
    film_locator: str


def identify_entry(secret: bytes, account_id: str, kind: str, idempotency_key: str) -> EntryIdentity:
    """The identity of the entry that this key makes. The parts are separated by NUL, which none of them can hold."""
    message = f"entry\0{account_id}\0{kind}\0{idempotency_key}".encode()
    digest = hmac.digest(secret, message, "sha256")
    number = int.from_bytes(digest[20:28], "big")
    code = "".join([_ALPHANUMERIC[number >> shift & 31] for shift in (0, 5, 10, 15, 20, 25)])
    return EntryIdentity(
        id=TransactionId(PREFIXES[kind] + _text(digest)),
        stan=f"{(number >> 30) % 999_999 + 1:06d}",
        authorization_code=code,
        film_locator=f"{int.from_bytes(digest[16:20], 'big'):011d}",
    )


def identify_card(secret: bytes, account_id: str, number: str) -> CardId:
    """The id under which this account knows this card number."""
    digest = hmac.digest(secret, f"card\0{account_id}\0{number}".encode(), "sha256")
    return CardId("card_" + _text(digest))


def identify_api_key(api_key: str) -> KeyId:
    """The public id of an API key, and the only form in which it is kept.

    Plain SHA-256 is enough: a key holds 190 random bits, so there is nothing to guess.
    """
    return KeyId("key_" + hashlib.sha256(api_key.encode()).hexdigest()[:32])


def retrieval_reference(at_ms: int, stan: str) -> str:
    """The retrieval reference number of a message: `YDDDHH` and the trace number, twelve digits.

    Source: ISO 8583 data element 37, in the layout that Visa and Mastercard ask of acquirers.
    """
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{at.year % 10}{at.timetuple().tm_yday:03d}{at.hour:02d}{stan}"


def acquirer_reference(at_ms: int, film_locator: str) -> str:
    """The acquirer reference number of a capture or refund: 23 digits, the last a Luhn check digit.

    Source: Visa and Mastercard clearing formats: format code 7, acquirer BIN, `YDDD`, film locator, check digit.
    """
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    digits = f"7{ACQUIRER_BIN}{at.year % 10}{at.timetuple().tm_yday:03d}{film_locator}"
    return digits + luhn_digit(digits)


def _text(digest: bytes) -> str:
    """The first 125 bits of a digest as 25 characters of [a-z2-7]."""
    return b32encode(digest[:16])[:25].decode().lower()
