"""The messages that an acquirer and an issuer exchange about a payment: data elements by number, no bytes.

The sandbox plays both sides and sends nothing; this is what a processor would have sent for an entry of the ledger. A card
number appears masked, because the ledger does not have it: `************4242`. Packing is an adapter's
(`adapters/iso8583/`), reading the ledger is `services/payments/network_messages.py`.

Source: ISO 8583:1987, as acquirers use it in dialects: element 44 is laid out as Visa does (44.2 AVS, 44.10 CVC). What no
e-commerce sandbox has (a terminal, a forwarding institution) is filled with constants that say so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from payments_sandbox.domain.ids import ACQUIRER_BIN
from payments_sandbox.domain.timestamps import date_time_of


class DataElement(NamedTuple):
    """What a data element is. name: as the standard has it. kind: `n`, `an` or `ans`. length: exact, or the most where
    `length_digits` (2 is LLVAR) says that it varies."""

    name: str
    kind: str
    length: int
    length_digits: int = 0

    @property
    def format(self) -> str:
        """The standard's notation: `n 12`, `ans ..25`."""
        return f"{self.kind} {'..' if self.length_digits else ''}{self.length}"


PAN: Final = 2
PROCESSING_CODE: Final = 3
AMOUNT: Final = 4
TRANSMITTED_AT: Final = 7
STAN: Final = 11
LOCAL_TIME: Final = 12
LOCAL_DATE: Final = 13
EXPIRY: Final = 14
ENTRY_MODE: Final = 22
CONDITION_CODE: Final = 25
ACQUIRER: Final = 32
RRN: Final = 37
AUTHORIZATION_CODE: Final = 38
RESPONSE_CODE: Final = 39
TERMINAL: Final = 41
MERCHANT: Final = 42
RESPONSE_DATA: Final = 44
CURRENCY: Final = 49
ORIGINAL: Final = 90
REPLACEMENT: Final = 95

ELEMENTS: Final[Mapping[int, DataElement]] = {
    PAN: DataElement("Primary account number (PAN)", "ans", 19, 2),
    PROCESSING_CODE: DataElement("Processing code", "n", 6),
    AMOUNT: DataElement("Amount, transaction", "n", 12),
    TRANSMITTED_AT: DataElement("Transmission date and time", "n", 10),
    STAN: DataElement("System trace audit number", "n", 6),
    LOCAL_TIME: DataElement("Time, local transaction", "n", 6),
    LOCAL_DATE: DataElement("Date, local transaction", "n", 4),
    EXPIRY: DataElement("Date, expiration", "n", 4),
    ENTRY_MODE: DataElement("Point of service entry mode", "n", 3),
    CONDITION_CODE: DataElement("Point of service condition code", "n", 2),
    ACQUIRER: DataElement("Acquiring institution identification code", "n", 11, 2),
    RRN: DataElement("Retrieval reference number", "an", 12),
    AUTHORIZATION_CODE: DataElement("Authorization identification response", "an", 6),
    RESPONSE_CODE: DataElement("Response code", "an", 2),
    TERMINAL: DataElement("Card acceptor terminal identification", "ans", 8),
    MERCHANT: DataElement("Card acceptor identification code", "ans", 15),
    RESPONSE_DATA: DataElement("Additional response data", "ans", 25, 2),
    CURRENCY: DataElement("Currency code, transaction", "n", 3),
    ORIGINAL: DataElement("Original data elements", "n", 42),
    REPLACEMENT: DataElement("Replacement amounts", "an", 42),
}
"""The data elements that the sandbox's messages use, by number. The PAN is `n ..19` in the standard; masked it is text."""

FUNCTION_NAMES: Final = {"0": "request", "1": "response", "2": "advice", "3": "advice response"}
CLASS_NAMES: Final = {"1": "Authorization", "2": "Financial", "4": "Reversal"}

PURCHASE: Final = "000000"
REFUND: Final = "200000"

NOT_PRESENT: Final = "012"
"""Entry mode: the number was keyed in, and nobody can enter a PIN."""
ECOMMERCE: Final = "59"
"""Condition code. Source: Visa, field 25; Mastercard says it elsewhere."""
TERMINAL_ID: Final = "SANDBOX1"
MERCHANT_DIGITS: Final = ELEMENTS[MERCHANT].length

_NUMBER_LENGTHS: Final = {"amex": 15, "diners": 14}
_NUMBER_LENGTH: Final = 16
_ECHOED: Final = frozenset(
    {PAN, PROCESSING_CODE, AMOUNT, TRANSMITTED_AT, STAN, LOCAL_TIME, LOCAL_DATE, ACQUIRER, RRN, TERMINAL}
    | {MERCHANT, CURRENCY, ORIGINAL, REPLACEMENT}
)
"""What a response repeats of its request, so that the two can be matched."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message. message_type: four digits. elements: by number, in ascending order."""

    message_type: str
    elements: Mapping[int, str]

    @property
    def name(self) -> str:
        """`0420` is `Reversal advice`."""
        return f"{CLASS_NAMES[self.message_type[1]]} {FUNCTION_NAMES[self.message_type[2]]}"


def make_message(message_type: str, elements: Mapping[int, str | None]) -> Message:
    """A message of the elements that are there (not None)."""
    present = {number: value for number, value in elements.items() if value is not None}
    return Message(message_type, dict(sorted(present.items())))


def make_response(
    request: Message, response_code: str, authorization_code: str | None, response_data: str | None = None
) -> Message:
    """The answer to a request or an advice: what identifies it is echoed, the outcome is added."""
    echoed = {number: value for number, value in request.elements.items() if number in _ECHOED}
    return make_message(
        response_type(request.message_type),
        {
            **echoed,
            AUTHORIZATION_CODE: authorization_code,
            RESPONSE_CODE: response_code,
            RESPONSE_DATA: response_data,
        },
    )


def response_type(message_type: str) -> str:
    """The type of the answer to a message: 0100 is answered by 0110, 0420 by 0430."""
    return f"{message_type[:2]}{int(message_type[2]) + 1}{message_type[3]}"


def mask_number(brand: str, last4: str) -> str:
    """A card number of which only the last digits are known; as long as the brand's numbers usually are."""
    return last4.rjust(_NUMBER_LENGTHS.get(brand, _NUMBER_LENGTH), "*")


def timestamps(at_ms: int) -> dict[int, str | None]:
    """The date and time elements of a message sent at this moment; the merchant's clock shows UTC."""
    month, day, hour, minute, second = date_time_of(at_ms)[1:]
    date, time = f"{month:02d}{day:02d}", f"{hour:02d}{minute:02d}{second:02d}"
    return {TRANSMITTED_AT: date + time, LOCAL_TIME: time, LOCAL_DATE: date}


def original_data(message_type: str, stan: str, at_ms: int) -> str:
    """Element 90: which message a reversal takes back. Without a forwarding institution that part is zero."""
    transmitted = timestamps(at_ms)[TRANSMITTED_AT]
    return f"{message_type}{stan}{transmitted}{ACQUIRER_BIN:0>11}{0:011d}"


def replacement_amounts(amount: int) -> str:
    """Element 95: what remains of the amount that a reversal takes back in part; the settlement amount is not known yet."""
    return f"{amount:012d}{0:012d}D{0:08d}D{0:08d}"


def response_data(avs_result: str, cvc_result: str) -> str:
    """Element 44 of an authorization's response, as Visa lays it out: 44.1 `5` (the issuer answered), 44.2 AVS, 44.10 CVC."""
    return f"5{avs_result}{cvc_result:>8}"
