"""Disputes over HTTP: what a test card brings about, how it is answered, where the money goes, and who is told."""

from typing import Final

import httpx
import pytest

from tests.e2e.infra.client import Client, Json, accepted, card, new_key, refused
from tests.e2e.infra.receiver import Receiver

pytestmark = pytest.mark.e2e

DAY_S: Final = 24 * 3600


def captured(client: Client, amount: int = 1051, number: str = "4242424242424242") -> str:
    """The id of a captured payment."""
    authorization_id: str = accepted(client.authorize(amount, card=card(number)), 201)["transaction_id"]
    accepted(client.capture(authorization_id), 201)
    return authorization_id


def dispute(client: Client, authorization_id: str, **fields: object) -> Json:
    body = {"authorization_id": authorization_id, "reason": "fraudulent", **fields}
    return accepted(client.post("/v1/disputes", body), 201)


def act(client: Client, dispute_id: str, operation: str, *, key: str | None = None) -> Json:
    """Accept or escalate."""
    return accepted(ask(client, dispute_id, operation, key=key), 200)


def ask(client: Client, dispute_id: str, operation: str, *, key: str | None = None) -> httpx.Response:
    headers = {"X-Idempotency-Key": key or new_key()}
    return client.send("POST", f"/v1/disputes/{dispute_id}/{operation}", headers=headers)


def submit(client: Client, dispute_id: str, text: str) -> Json:
    body = {"evidence": {"uncategorized_text": text}, "submit": True}
    return accepted(client.post(f"/v1/disputes/{dispute_id}/evidence", body), 200)


def advance(client: Client, *, days: int) -> Json:
    return accepted(client.send("POST", "/v1/clock/advance", json={"by_seconds": days * DAY_S}), 200)


def balance(client: Client, authorization_id: str) -> tuple[int, int, int]:
    shown = client.transaction(authorization_id)["balance"]
    return shown["refunded_amount"], shown["disputed_amount"], shown["refundable_amount"]


def test_a_disputed_test_card_is_won_by_evidence_in_a_moment(shop: Client, receiver: Receiver) -> None:
    accepted(
        shop.send(
            "POST",
            "/v1/webhook-endpoints",
            json={"url": receiver.url, "events": ["dispute.*", "payment.*"]},
        ),
        201,
    )
    authorization_id = captured(shop, number="4000000000000259")
    (opened,) = accepted(shop.get("/v1/disputes", authorization_id=authorization_id), 200)["data"]
    assert (opened["status"], opened["amount"], opened["fee_amount"]) == ("needs_response", 1051, 1500)
    assert balance(shop, authorization_id) == (0, 1051, 0)
    problem = refused(shop.refund(authorization_id), 409, "payment_disputed")
    assert (problem["refundable_amount"], problem["disputed_amount"]) == (0, 1051)
    submitted = submit(shop, opened["dispute_id"], "winning_evidence")
    assert submitted["status"] == "under_review"
    advanced = advance(shop, days=30)
    assert {
        "work": "dispute_deadline",
        "id": opened["dispute_id"],
        "due_at": submitted["decision_due_at"],
    } in advanced["ran"]
    won = accepted(shop.get(f"/v1/disputes/{opened['dispute_id']}"), 200)
    assert (won["status"], won["closed_at"]) == ("won", submitted["decision_due_at"])
    assert balance(shop, authorization_id) == (0, 0, 1051)
    family = shop.transaction(authorization_id)["family"]
    assert [member["type"] for member in family] == [
        "authorization",
        "capture",
        "chargeback",
        "chargeback_reversal",
    ]
    assert all(sum(posting["amount"] for posting in member["postings"]) == 0 for member in family)
    events = {
        "payment.authorized",
        "payment.captured",
        "payment.chargeback_created",
        "dispute.opened",
        "dispute.updated",
        "dispute.closed",
        "payment.chargeback_reversed",
    }
    told = receiver.wait_for_types(*events)
    assert {each.type for each in told} == events
    # A webhook holds what the API shows, however often it arrives.
    closed = [each.payload["data"] for each in told if each.type == "dispute.closed"]
    assert all(data == won for data in closed)


def test_an_inquiry_escalates_and_is_accepted(shop: Client) -> None:
    authorization_id = captured(shop)
    inquiry = dispute(shop, authorization_id, amount=500, inquiry=True, reason="unrecognized")
    assert (inquiry["status"], inquiry["chargeback_id"]) == ("warning_needs_response", None)
    assert balance(shop, authorization_id) == (0, 0, 1051)
    problem = refused(ask(shop, inquiry["dispute_id"], "accept"), 409, "dispute_not_acceptable")
    assert problem["dispute_status"] == "warning_needs_response"
    accepted(shop.refund(authorization_id, amount=800), 201)
    escalated = act(shop, inquiry["dispute_id"], "escalate")
    assert (escalated["status"], escalated["amount"]) == ("needs_response", 251)
    assert balance(shop, authorization_id) == (800, 251, 0)
    chargeback = shop.transaction(escalated["chargeback_id"])
    assert (chargeback["type"], chargeback["dispute_id"]) == ("chargeback", inquiry["dispute_id"])
    assert act(shop, inquiry["dispute_id"], "accept")["status"] == "lost"
    refused(ask(shop, inquiry["dispute_id"], "escalate"), 409, "dispute_not_escalatable")
    body = {"evidence": {"product_description": "tea"}}
    response = shop.post(f"/v1/disputes/{inquiry['dispute_id']}/evidence", body)
    refused(response, 409, "dispute_not_answerable")


def test_an_early_fraud_warning_is_closed_by_a_full_refund(shop: Client) -> None:
    authorization_id = captured(shop, number="4000000000005423")
    path = "/v1/early-fraud-warnings"
    (warning,) = accepted(shop.get(path, authorization_id=authorization_id), 200)["data"]
    assert warning["actionable"] is True
    accepted(shop.refund(authorization_id), 201)
    (warning,) = accepted(shop.get(path, authorization_id=authorization_id), 200)["data"]
    assert warning["actionable"] is False


def test_nobody_answers_and_time_passes(shop: Client) -> None:
    authorization_id = captured(shop)
    dispute(shop, authorization_id, amount=100)
    dispute(shop, authorization_id, amount=100, inquiry=True)
    advance(shop, days=60)
    page = accepted(shop.get("/v1/disputes", status="lost"), 200)
    assert len(page["data"]) == 2
    assert balance(shop, authorization_id) == (0, 200, 851)


def test_a_repeated_request_is_answered_as_at_first(shop: Client) -> None:
    authorization_id = captured(shop)
    body = {"authorization_id": authorization_id, "reason": "general", "amount": 100, "inquiry": True}
    key = new_key()
    first = shop.post("/v1/disputes", body, key=key)
    dispute_id = accepted(first, 201)["dispute_id"]
    escalated = act(shop, dispute_id, "escalate", key=key)
    again = shop.post("/v1/disputes", body, key=key)
    assert (again.content, again.headers["Idempotent-Replayed"]) == (first.content, "true")
    assert act(shop, dispute_id, "escalate", key=key) == escalated
    problem = refused(
        shop.post("/v1/disputes", {**body, "amount": 101}, key=key), 422, "idempotency_key_reused"
    )
    assert [error["pointer"] for error in problem["errors"]] == ["/amount"]
    assert problem["dispute_id"] == dispute_id


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"authorization_id": "auth_1"}, "/reason"),
        ({"authorization_id": "auth_1", "reason": "whim"}, "/reason"),
        ({"authorization_id": "auth_1", "reason": "general", "amount": 0}, "/amount"),
        ({"authorization_id": "auth_1", "reason": "general", "evidence": {}}, "/evidence"),
    ],
)
def test_a_request_that_breaks_the_contract_is_refused_by_name(
    demo: Client, body: Json, pointer: str
) -> None:
    problem = refused(demo.post("/v1/disputes", body), 400, "invalid_request")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_every_operation_that_decides_about_money_needs_a_key(demo: Client) -> None:
    for operation in ("accept", "escalate"):
        response = demo.send("POST", f"/v1/disputes/dsp_1/{operation}")
        refused(response, 400, "idempotency_key_missing")
    for path, body in (("evidence", {"submit": True}), ("", {"authorization_id": "a", "reason": "general"})):
        response = demo.send("POST", f"/v1/disputes/dsp_1/{path}" if path else "/v1/disputes", json=body)
        refused(response, 400, "idempotency_key_missing")


def test_a_dispute_of_another_account_is_not_there(shop: Client, demo: Client) -> None:
    dispute_id = dispute(shop, captured(shop))["dispute_id"]
    refused(demo.get(f"/v1/disputes/{dispute_id}"), 404, "dispute_not_found")
    refused(ask(demo, dispute_id, "accept"), 404, "dispute_not_found")
