"""An account's clock over HTTP: a week in a moment, with its entries and webhooks, through restarts too."""

from pathlib import Path

import pytest

from tests.e2e.infra.client import Client, accepted, refused
from tests.e2e.infra.receiver import Answer, Receiver
from tests.e2e.infra.server import Server, until_deadline

pytestmark = pytest.mark.e2e

WEEK_S = 7 * 24 * 3600


def test_a_week_passes_in_one_request(shop: Client) -> None:
    authorization = accepted(shop.authorize(1051), 201)
    advance = accepted(shop.send("POST", "/v1/clock/advance", json={"to": authorization["expires_at"]}), 200)
    expired = {
        "work": "authorization_expiry",
        "id": authorization["transaction_id"],
        "due_at": authorization["expires_at"],
    }
    assert expired in advance["ran"]
    assert advance["complete"] is True
    shown = accepted(shop.get(f"/v1/transactions/{authorization['transaction_id']}"), 200)
    assert shown["status"] == "expired"
    assert [member["type"] for member in shown["family"]] == ["authorization", "expiry"]
    assert shown["family"][1]["created_at"] == authorization["expires_at"]
    problem = refused(shop.capture(authorization["transaction_id"]), 409, "authorization_not_capturable")
    assert problem["authorization_status"] == "expired"
    # What is made now is made in the account's present.
    later = accepted(shop.authorize(1), 201)
    assert later["created_at"] >= authorization["expires_at"]


def test_the_clock_is_the_account_s_alone_and_can_be_reset(shop: Client, demo: Client) -> None:
    before = accepted(shop.get("/v1/clock"), 200)
    assert before["ahead_milliseconds"] == 0
    advanced = accepted(shop.send("POST", "/v1/clock/advance", json={"by_seconds": WEEK_S}), 200)
    assert advanced["clock"]["ahead_milliseconds"] >= WEEK_S * 1000 - 60_000
    problem = refused(
        shop.send("POST", "/v1/clock/advance", json={"to": before["now"]}), 409, "clock_not_ahead"
    )
    assert problem["now"] > before["now"]
    with demo.new_account() as other:
        assert accepted(other.get("/v1/clock"), 200)["ahead_milliseconds"] == 0
    assert accepted(shop.send("POST", "/v1/clock/reset"), 200)["ahead_milliseconds"] == 0


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"to": "2030-01-01T00:00:00Z", "by_seconds": 1}, ""),
        ({"by_seconds": 0}, "/by_seconds"),
        ({"to": "soon"}, "/to"),
        ({"to": "2200-01-01T00:00:00Z"}, "/to"),
        ({"days": 1}, "/days"),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused_by_name(
    shop: Client, body: dict[str, object], pointer: str
) -> None:
    problem = refused(shop.send("POST", "/v1/clock/advance", json=body), 400, "invalid_request")
    assert pointer in [error["pointer"] for error in problem["errors"]]


def test_retries_of_days_reach_the_receiver_in_one_request(shop: Client, receiver: Receiver) -> None:
    receiver.answer = Answer(500)
    accepted(shop.send("POST", "/v1/webhook-endpoints", json={"url": receiver.url}), 201)
    accepted(shop.authorize(1051), 201)
    # On AWS a delivery is planned after the payment was answered, and an advance does not wait for it.
    for _ in until_deadline("the first attempt is recorded", pause_s=0.1):
        deliveries = accepted(shop.get("/v1/webhook-deliveries"), 200)["data"]
        if deliveries and deliveries[0]["attempt_count"] > 0:
            break
    advance = accepted(shop.send("POST", "/v1/clock/advance", json={"by_seconds": 4 * 24 * 3600}), 200)
    # All but the first; and the second, if its time came before the advance.
    assert len([ran for ran in advance["ran"] if ran["work"] == "webhook_attempt"]) >= 8
    (delivery,) = accepted(shop.get("/v1/webhook-deliveries"), 200)["data"]
    assert (delivery["state"], delivery["attempt_count"]) == ("failed", 10)


@pytest.mark.local_only("it restarts the server process")
def test_an_account_s_time_survives_a_restart_and_what_fell_due_meanwhile_is_done(tmp_path: Path) -> None:
    with Server(tmp_path / "ledger.db") as server, Client(server.url) as client:
        authorization = accepted(client.authorize(1051), 201)
        ahead_s = WEEK_S - 3
        accepted(client.send("POST", "/v1/clock/advance", json={"by_seconds": ahead_s}), 200)
    with Server(tmp_path / "ledger.db") as server, Client(server.url) as client:
        assert accepted(client.get("/v1/clock"), 200)["ahead_milliseconds"] >= (ahead_s - 60) * 1000
        for _ in until_deadline("the authorization has expired", pause_s=0.1):
            shown = client.transaction(authorization["transaction_id"])
            if len(shown["family"]) == 2:
                break
        assert shown["family"][1]["created_at"] == authorization["expires_at"]
