"""`MessagePacker` by pyiso8583: ASCII elements, binary bitmaps, no header, which is the most common of all dialects."""

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from payments_sandbox.domain.iso8583 import ELEMENTS, DataElement, Message
from payments_sandbox.services.ports import PackedMessage

if TYPE_CHECKING:
    from iso8583.encoder import SpecDict

_TYPE_BYTES: Final = 4
_BITMAP_BYTES: Final = 8
_PRIMARY_LAST: Final = 64
_SECONDARY: Final = 1


class Iso8583Packer:
    """Packs the messages of `domain/iso8583.py`, and reads them again."""

    def pack(self, message: Message) -> PackedMessage:
        """See the port."""
        # Imported when it is first needed: no function that takes payments should start with it.
        import iso8583

        document = {str(number): value for number, value in message.elements.items()}
        packed, _ = iso8583.encode({"t": message.message_type, **document}, _specification())
        bitmap = packed[_TYPE_BYTES:][: _BITMAP_BYTES * (2 if _has_secondary(message) else 1)]
        return PackedMessage(bytes(packed), bitmap.hex().upper())

    def unpack(self, packed: bytes) -> Message:
        """See the port."""
        import iso8583

        document, _ = iso8583.decode(packed, _specification())
        elements = {int(name): value for name, value in document.items() if name.isdecimal()}
        # The secondary bitmap is numbered like an element, and says no more than what is there.
        elements.pop(_SECONDARY, None)
        return Message(document["t"], dict(sorted(elements.items())))


def _has_secondary(message: Message) -> bool:
    return max(message.elements) > _PRIMARY_LAST


@cache
def _specification() -> "SpecDict":
    """pyiso8583's words for the elements."""
    bitmap = _field("b", 0, _BITMAP_BYTES, "Bitmap")
    specification: dict[str, Any] = {
        "h": _field("ascii", 0, 0, "Header"),
        "t": _field("ascii", 0, 4, "Message type"),
        "p": bitmap,
        "1": bitmap,
    }
    for number, element in ELEMENTS.items():
        specification[str(number)] = _element_field(element)
    return specification


def _element_field(element: DataElement) -> dict[str, Any]:
    return _field("ascii", element.length_digits, element.length, element.name)


def _field(encoding: str, length_digits: int, length: int, name: str) -> dict[str, Any]:
    return {
        "data_enc": encoding,
        "len_enc": "ascii",
        "len_type": length_digits,
        "max_len": length,
        "desc": name,
    }
