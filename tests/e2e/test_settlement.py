"""Settlement against a running sandbox: the day's end on the account's clock, the report, the webhook; and a thousand payments."""

import csv
import io
import time
from dataclasses import replace
from pathlib import Path

import pytest

from payments_sandbox.adapters.sqlite.store import SqliteStore
from payments_sandbox.adapters.system.secret_file import load_secret
from payments_sandbox.services.accounts.accounts import DEMO_ACCOUNT
from payments_sandbox.services.world import plain_world
from tests.calls.payments import authorize, capture, id_of
from tests.doubles.ports import FrozenClock, make_infrastructure
from tests.e2e.infra.client import Client, accepted, card, refused
from tests.e2e.infra.receiver import Receiver
from tests.e2e.infra.server import Server

pytestmark = pytest.mark.e2e

DAY_S = 24 * 3600


def test_a_day_ends_and_what_was_paid_is_settled_reported_and_told(shop: Client, receiver: Receiver) -> None:
    accepted(
        shop.send(
            "POST", "/v1/webhook-endpoints", json={"url": receiver.url, "events": ["settlement.completed"]}
        ),
        201,
    )
    paid = accepted(shop.authorize(10_000, merchant_reference="order-1"), 201)
    captured = accepted(shop.capture(paid["transaction_id"]), 201)
    assert (captured["settlement_id"], captured["settled_at"]) == (None, None)
    refunded = accepted(shop.refund(paid["transaction_id"], amount=2_500), 201)
    schedule = accepted(shop.get("/v1/settlement-schedule"), 200)
    moment = schedule["next_settlement_at"]
    advance = accepted(shop.send("POST", "/v1/clock/advance", json={"to": moment}), 200)
    assert [ran["work"] for ran in advance["ran"] if ran["work"] == "settlement"] == ["settlement"]
    (settlement,) = accepted(shop.get("/v1/settlements"), 200)["data"]
    # 1.40 % and 0.25 of the capture, 0.25 of the refund.
    assert (settlement["gross_amount"], settlement["fee_amount"]) == (7_500, 140 + 25 + 25)
    assert settlement["payout"]["amount"] == 7_500 - 190
    assert (settlement["settled_at"], settlement["initiated_by"]) == (moment, "schedule")
    for entry in (captured, refunded):
        shown = shop.transaction(entry["transaction_id"])
        assert (shown["settlement_id"], shown["settled_at"]) == (settlement["settlement_id"], moment)
    file = shop.get(f"/v1/settlements/{settlement['settlement_id']}/report", format="csv")
    rows = list(csv.DictReader(io.StringIO(file.text, newline="")))
    assert [(row["transaction_id"], row["net_amount"], row["merchant_reference"]) for row in rows] == [
        (captured["transaction_id"], str(10_000 - 165), "order-1"),
        (refunded["transaction_id"], str(-2_500 - 25), "order-1"),
    ]
    (told,) = receiver.wait_for(1)
    assert told.payload == {"type": "settlement.completed", "timestamp": moment, "data": settlement}


def test_a_merchant_finds_what_is_wrong_with_a_report(shop: Client) -> None:
    """As a reconciliation tool would: its own list of entries against the file."""
    ours = {}
    for number in range(8):
        paid = accepted(shop.authorize(1_000 + number, card=card()), 201)
        ours[accepted(shop.capture(paid["transaction_id"]), 201)["transaction_id"]] = 1_000 + number
    asked = {"discrepancies": ["missing_line", "doubled_line", "wrong_amount", "late_fee"]}
    (settlement,) = accepted(shop.send("POST", "/v1/settlements", json=asked), 200)["data"]
    assert settlement["gross_amount"] == sum(ours.values())
    path = f"/v1/settlements/{settlement['settlement_id']}/report"
    lines = accepted(shop.get(path), 200)["lines"]
    found = set()
    for transaction_id, amount in ours.items():
        mine = [line for line in lines if line["transaction_id"] == transaction_id]
        entries = [line for line in mine if line["type"] == "capture"]
        if not entries:
            found.add(("missing_line", transaction_id))
        elif len(entries) > 1:
            found.add(("doubled_line", transaction_id))
        elif entries[0]["gross_amount"] != amount:
            found.add(("wrong_amount", transaction_id))
        if len(mine) > len(entries):
            found.add(("late_fee", transaction_id))
    answers = accepted(shop.get(f"{path}/answers"), 200)["discrepancies"]
    assert found == {(answer["type"], answer["transaction_id"]) for answer in answers}
    assert len(found) == 4


def test_another_account_does_not_see_a_settlement(shop: Client, demo: Client) -> None:
    accepted(shop.capture(accepted(shop.authorize(), 201)["transaction_id"]), 201)
    (settlement,) = accepted(shop.send("POST", "/v1/settlements", json={}), 200)["data"]
    path = f"/v1/settlements/{settlement['settlement_id']}"
    accepted(shop.get(path), 200)
    for each in (path, f"{path}/report", f"{path}/report/answers"):
        refused(demo.get(each), 404, "settlement_not_found")


@pytest.mark.local_only("it writes a thousand payments into the SQLite file, past HTTP")
def test_a_thousand_payments_are_settled_by_one_advance(tmp_path: Path) -> None:
    """`tests/unit/services/settlement/test_settlements.py` tests what happens when they are more than a settlement holds."""
    count = 1_000
    file = tmp_path / "ledger.db"
    Server(file).start().stop()
    store = SqliteStore(file)
    # Written past HTTP, which would take much longer.
    secret = load_secret(file.with_name(file.name + ".key"), make=False)
    infrastructure = replace(
        make_infrastructure(store, FrozenClock(time.time_ns() // 1_000_000)), ledger_secret=secret
    )
    for number in range(count):
        paid = id_of(
            authorize(plain_world(infrastructure, DEMO_ACCOUNT), f"a-{number}", account=DEMO_ACCOUNT)
        )
        capture(plain_world(infrastructure, DEMO_ACCOUNT), paid, f"c-{number}", account=DEMO_ACCOUNT)
    store.close()
    with Server(file) as server, Client(server.url) as client:
        accepted(client.send("POST", "/v1/clock/advance", json={"by_seconds": DAY_S}), 200)
        (settlement,) = accepted(client.get("/v1/settlements"), 200)["data"]
    assert (settlement["entry_count"], settlement["gross_amount"]) == (count, count * 1000)
