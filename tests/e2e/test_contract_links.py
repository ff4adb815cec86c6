"""The links of the contract, followed from an answer of each operation."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import httpx
import pytest

from tests.e2e.infra.client import Client, Json, accepted, card, new_key
from tests.e2e.infra.contract import load_contract

pytestmark = pytest.mark.e2e


@pytest.mark.local_only("the stateful phase of Schemathesis follows them on the AWS deployment")
def test_the_links_of_the_contract_lead_where_they_say(demo: Client) -> None:
    """Every link of every answer, followed from an answer of its own."""
    followed = []
    for operation_id, make in LINKED.items():
        with demo.new_account() as client:
            answer = make(client)
            for number, name in enumerate(links_of(answer)):
                response = follow(client, make(client) if number else answer, name)
                expected = {409} if name in NO_LONGER.get(operation_id, ()) else {200, 201, 202, 204}
                assert response.status_code in expected, f"{operation_id} {name}: {response.text}"
            followed.append(operation_id)
    assert followed == [
        operation["operationId"]
        for operation in load_contract().operations.values()
        if any("links" in load_contract().resolve(answer) for answer in operation["responses"].values())
    ]


def captured(client: Client) -> str:
    """An authorization that something was captured of, and that holds something still."""
    authorization_id: str = accepted(client.authorize(1000), 201)["transaction_id"]
    accepted(client.capture(authorization_id, amount=10), 201)
    return authorization_id


def authorized_and_captured(client: Client) -> httpx.Response:
    authorization = client.authorize(1000)
    accepted(client.capture(authorization.json()["transaction_id"], amount=10), 201)
    return authorization


def listed(client: Client) -> httpx.Response:
    captured(client)
    return client.get("/v1/transactions", limit=1)


def disputed(client: Client, **fields: object) -> httpx.Response:
    about = {"authorization_id": captured(client), "reason": "fraudulent", **fields}
    return client.post("/v1/disputes", about)


def disputes_listed(client: Client) -> httpx.Response:
    for _ in range(2):
        accepted(disputed(client), 201)
    return client.get("/v1/disputes", limit=1)


def disputed_again(client: Client) -> httpx.Response:
    return client.get(f"/v1/disputes/{disputed(client).json()['dispute_id']}")


def answered(client: Client, operation: str, body: Json | None = None, **fields: object) -> httpx.Response:
    path = f"/v1/disputes/{disputed(client, **fields).json()['dispute_id']}/{operation}"
    return client.send("POST", path, json=body, headers={"X-Idempotency-Key": new_key()})


def warned(client: Client) -> httpx.Response:
    for _ in range(2):
        authorization_id = accepted(client.authorize(card=card("4000000000005423")), 201)["transaction_id"]
        accepted(client.capture(authorization_id, final=True), 201)
    return client.get("/v1/early-fraud-warnings", limit=1)


def settled(client: Client) -> httpx.Response:
    captured(client)
    return client.send("POST", "/v1/settlements", json={})


def settlements_listed(client: Client) -> httpx.Response:
    accepted(settled(client), 200)
    return client.get("/v1/settlements")


def settled_again(client: Client) -> httpx.Response:
    return client.get(f"/v1/settlements/{settled(client).json()['data'][0]['settlement_id']}")


def summed_up(client: Client) -> httpx.Response:
    return client.get(f"/v1/cards/{client.authorize(1).json()['card']['card_id']}")


def registered(client: Client) -> httpx.Response:
    """An endpoint without a listener; the one before is deleted, as an account can have twenty."""
    for endpoint in client.get("/v1/webhook-endpoints").json()["data"]:
        client.send("DELETE", f"/v1/webhook-endpoints/{endpoint['endpoint_id']}")
    return client.send("POST", "/v1/webhook-endpoints", json={"url": client.dead_url})


def probed(client: Client) -> httpx.Response:
    endpoint_id = registered(client).json()["endpoint_id"]
    return client.send("POST", f"/v1/webhook-endpoints/{endpoint_id}/test")


def delivered(client: Client) -> httpx.Response:
    return client.get(f"/v1/webhook-deliveries/{probed(client).json()['delivery_id']}")


def told(client: Client) -> httpx.Response:
    captured(client)
    return client.get("/v1/events")


def snapshot_of(client: Client) -> str:
    made = client.send("POST", "/v1/snapshots", json={})
    snapshot_id: str = accepted(made, 201)["snapshot_id"]
    return snapshot_id


EVIDENCE: Final[Json] = {"evidence": {"uncategorized_text": "winning_evidence"}, "submit": True}

LINKED: Mapping[str, Callable[[Client], httpx.Response]] = {
    "authorize_payment": authorized_and_captured,
    "capture_payment": lambda client: client.capture(captured(client), amount=1),
    "refund_payment": lambda client: client.refund(captured(client), amount=1),
    "void_payment": lambda client: client.void(captured(client)),
    "increment_payment": lambda client: client.increment(captured(client), 1),
    "list_transactions": listed,
    "get_transaction": lambda client: client.get(f"/v1/transactions/{captured(client)}"),
    "get_card": summed_up,
    "list_disputes": disputes_listed,
    "create_dispute": disputed,
    "get_dispute": disputed_again,
    "submit_dispute_evidence": lambda client: answered(client, "evidence", EVIDENCE),
    "accept_dispute": lambda client: answered(client, "accept"),
    "escalate_dispute": lambda client: answered(client, "escalate", inquiry=True),
    "list_early_fraud_warnings": warned,
    "list_settlements": settlements_listed,
    "create_settlements": settled,
    "get_settlement": settled_again,
    "create_webhook_endpoint": registered,
    "test_webhook_endpoint": probed,
    "get_webhook_delivery": delivered,
    "list_events": told,
    "create_inbox": lambda client: client.send("POST", "/v1/inbox"),
    "get_clock": lambda client: client.get("/v1/clock"),
    "advance_clock": lambda client: client.send("POST", "/v1/clock/advance", json={"by_seconds": 1}),
    "reset_clock": lambda client: client.send("POST", "/v1/clock/reset"),
    "create_snapshot": lambda client: client.send("POST", "/v1/snapshots", json={}),
    "get_snapshot": lambda client: client.get(f"/v1/snapshots/{snapshot_of(client)}"),
    "restore_snapshot": lambda client: client.send("POST", f"/v1/snapshots/{snapshot_of(client)}/restore"),
    "create_api_key": lambda client: client.send("POST", "/v1/api-keys", json={}),
}
"""How to get an answer of each operation that has links."""

NO_LONGER: Mapping[str, Sequence[str]] = {
    # A void leaves nothing that another could give back.
    "void_payment": ["Void"],
    # Only an inquiry escalates, and what is answered or lost waits for nothing.
    "create_dispute": ["Escalate"],
    "get_dispute": ["Escalate"],
    "submit_dispute_evidence": ["SubmitEvidence", "Accept", "Escalate"],
    "accept_dispute": ["SubmitEvidence", "Accept", "Escalate"],
    "escalate_dispute": ["Escalate"],
}
"""Links of an operation that its answer's state refuses here."""


def links_of(response: httpx.Response) -> Json:
    """The links that the contract describes for this answer."""
    contract = load_contract()
    operation = contract.find(response.request.method, response.request.url.path)
    assert operation is not None
    links: Json = contract.resolve(operation["responses"][str(response.status_code)])["links"]
    return {name: contract.resolve(link) for name, link in links.items()}


def follow(client: Client, response: httpx.Response, name: str) -> httpx.Response:
    """The answer behind a link."""
    link = links_of(response)[name]
    (method, path), operation = next(
        item for item in load_contract().operations.items() if item[1]["operationId"] == link["operationId"]
    )
    params: dict[str, str | int] = {}
    for parameter, expression in link.get("parameters", {}).items():
        value = evaluate(expression, response.json())
        if f"{{{parameter}}}" in path:
            path = path.replace(f"{{{parameter}}}", value)
        else:
            params[parameter] = value
    body = {field: evaluate(value, response.json()) for field, value in link.get("requestBody", {}).items()}
    if not body and "requestBody" in operation:
        # Links of these operations lead to the resource, and leave to the caller what to ask of it.
        body = {"description": "linked"} if method == "PATCH" else {}
    names = [load_contract().resolve(parameter)["name"] for parameter in operation.get("parameters", [])]
    headers = {"X-Idempotency-Key": new_key()} if "X-Idempotency-Key" in names else {}
    has_body = "requestBody" in operation
    return client.send(method, path, params=params or None, json=body if has_body else None, headers=headers)


def evaluate(expression: Any, body: Json) -> Any:
    """A runtime expression of OpenAPI; what is none stands for itself."""
    if not isinstance(expression, str) or not expression.startswith("$response.body#/"):
        return expression
    value: Any = body
    for step in expression.removeprefix("$response.body#/").split("/"):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value
