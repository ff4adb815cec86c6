"""The ISO 8583 view of a running sandbox, read by a program of somebody else's."""

import iso8583
import pytest
from iso8583.specs import default as dialect

from tests.e2e.infra.client import Client, accepted, refused

pytestmark = pytest.mark.e2e


def test_every_entry_of_a_payment_has_messages_that_another_program_reads(shop: Client) -> None:
    authorization = accepted(shop.authorize(1051), 201)["transaction_id"]
    captured = accepted(shop.capture(authorization, amount=1000), 201)
    accepted(shop.refund(authorization, amount=200), 201)
    accepted(shop.void(authorization), 201)
    declined = accepted(shop.authorize(simulate="insufficient_funds"), 201)["transaction_id"]
    seen = []
    for member in [*shop.transaction(authorization)["family"], {"transaction_id": declined}]:
        shown = accepted(shop.get(f"/v1/transactions/{member['transaction_id']}/iso8583"), 200)
        for side in ("request", "response"):
            document, _ = iso8583.decode(bytes.fromhex(shown[side]["packed"]), dialect)
            named = {str(element["number"]): element["value"] for element in shown[side]["elements"]}
            bitmap = document.pop("p") + document.pop("1", "")
            assert bitmap == shown[side]["bitmap"]
            assert document == {"t": shown[side]["message_type"], **named}
        response = {element["number"]: element["value"] for element in shown["response"]["elements"]}
        seen.append((shown["request"]["message_type"], shown["response"]["message_type"], response[39]))
    assert seen == [
        ("0100", "0110", "00"),
        ("0220", "0230", "00"),
        ("0200", "0210", "00"),
        ("0400", "0410", "00"),
        ("0100", "0110", "51"),
    ]
    assert captured["network"]["message_type"] == "0220"


def test_an_unknown_entry_has_no_messages(shop: Client) -> None:
    refused(shop.get("/v1/transactions/auth_none/iso8583"), 404, "transaction_not_found")
