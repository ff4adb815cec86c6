"""A payment from its authorization to its refund over real HTTP, and everything else that the contract offers.

`client.py` compares every answer with the contract; what stands here is what the answers mean.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx
import pytest
import yaml

from tests.e2e.infra.client import Client, Json, accepted, authorize_body, card, new_key, refused
from tests.e2e.infra.contract import load_contract
from tests.e2e.infra.sandbox import Sandbox

pytestmark = pytest.mark.e2e

ALLOWED_ORIGIN = "http://localhost:5173"
FOREIGN_ORIGIN = "https://elsewhere.example"
GATEWAY_COUNTS = (
    "the gateway counts requests, by rate and burst, and does not tell what is left; test_gateway.py"
)
NO_DOCUMENTS = "the AWS deployment serves no documents"


def balance(transaction: Json) -> tuple[int, ...]:
    """Authorized, captured, refunded, released, capturable, refundable."""
    names = ("authorized", "captured", "refunded", "released", "capturable", "refundable")
    return tuple(transaction["balance"][f"{name}_amount"] for name in names)


def summed_postings(family: list[Json]) -> dict[str, int]:
    """Each ledger account's total over all entries; every single entry sums to zero."""
    totals: dict[str, int] = {}
    for member in family:
        assert sum(posting["amount"] for posting in member["postings"]) == 0
        for posting in member["postings"]:
            totals[posting["ledger_account"]] = totals.get(posting["ledger_account"], 0) + posting["amount"]
    return totals


# A payment


def test_a_payment_is_authorized_captured_refunded_and_shown_with_its_family(shop: Client) -> None:
    authorization = accepted(
        shop.authorize(1051, merchant_reference="order-1001", metadata={"cart": "c-77"}), 201
    )
    assert authorization["status"] == "authorized"
    assert balance(authorization) == (1051, 0, 0, 0, 1051, 0)
    assert (authorization["merchant_reference"], authorization["metadata"]) == (
        "order-1001",
        {"cart": "c-77"},
    )

    capture = accepted(shop.capture(authorization["transaction_id"], amount=1000, final=True), 201)
    assert (capture["status"], capture["amount"], capture["final"]) == ("succeeded", 1000, True)
    assert balance(capture) == (1051, 1000, 0, 51, 0, 1000)

    refund = accepted(shop.refund(authorization["transaction_id"], amount=200), 201)
    assert balance(refund) == (1051, 1000, 200, 51, 0, 800)

    shown = shop.transaction(authorization["transaction_id"])
    assert shown["status"] == "captured"
    assert balance(shown) == balance(refund)
    assert [member["type"] for member in shown["family"]] == ["authorization", "capture", "refund"]
    assert summed_postings(shown["family"]) == {
        "cardholder_available": -800,
        "cardholder_held": 0,
        "merchant_receivable": 800,
    }


def test_a_hold_grows_by_increments_is_captured_in_parts_and_its_rest_voided(shop: Client) -> None:
    authorization_id = accepted(shop.authorize(1000), 201)["transaction_id"]
    assert balance(accepted(shop.increment(authorization_id, 500), 201)) == (1500, 0, 0, 0, 1500, 0)
    assert balance(accepted(shop.capture(authorization_id, amount=400), 201)) == (1500, 400, 0, 0, 1100, 400)
    assert shop.transaction(authorization_id)["status"] == "partially_captured"
    assert balance(accepted(shop.capture(authorization_id, amount=600), 201)) == (1500, 1000, 0, 0, 500, 1000)
    void = accepted(shop.void(authorization_id), 201)
    assert void["amount"] == 500
    shown = shop.transaction(authorization_id)
    assert balance(shown) == balance(void) == (1500, 1000, 0, 500, 0, 1000)
    assert shown["status"] == "captured"
    assert summed_postings(shown["family"])["merchant_receivable"] == 1000


def test_without_an_amount_all_that_is_left_is_captured_and_refunded(shop: Client) -> None:
    authorization_id = accepted(shop.authorize(1000), 201)["transaction_id"]
    accepted(shop.capture(authorization_id, amount=300), 201)
    assert accepted(shop.capture(authorization_id), 201)["amount"] == 700
    accepted(shop.refund(authorization_id, amount=1), 201)
    assert accepted(shop.refund(authorization_id), 201)["amount"] == 999


def test_a_voided_hold_can_neither_be_captured_nor_voided_nor_incremented_nor_refunded(shop: Client) -> None:
    authorization_id = accepted(shop.authorize(1000), 201)["transaction_id"]
    accepted(shop.void(authorization_id), 201)
    for response, code in (
        (shop.capture(authorization_id), "authorization_not_capturable"),
        (shop.void(authorization_id), "authorization_not_voidable"),
        (shop.increment(authorization_id, 1), "authorization_not_incrementable"),
        (shop.refund(authorization_id), "authorization_not_refundable"),
    ):
        assert refused(response, 409, code)["authorization_status"] == "voided"


def test_too_much_is_refused_with_what_would_be_possible(shop: Client) -> None:
    authorization_id = accepted(shop.authorize(1000), 201)["transaction_id"]
    problem = refused(shop.capture(authorization_id, amount=1001), 409, "amount_exceeds_authorized")
    assert problem["capturable_amount"] == 1000
    accepted(shop.capture(authorization_id, amount=400), 201)
    problem = refused(shop.refund(authorization_id, amount=401), 409, "amount_exceeds_captured")
    assert problem["refundable_amount"] == 400
    problem = refused(shop.increment(authorization_id, 999_999_999_999), 409, "amount_too_large")
    assert problem["incrementable_amount"] == 999_999_998_999


def test_a_decline_is_a_result_that_holds_nothing(shop: Client) -> None:
    declined = accepted(shop.authorize(simulate="insufficient_funds"), 201)
    assert declined["status"] == "declined"
    assert declined["decline"]["response_code"] == declined["network"]["response_code"] == "51"
    assert declined["postings"] == []
    assert balance(declined) == (0, 0, 0, 0, 0, 0)
    problem = refused(shop.capture(declined["transaction_id"]), 409, "authorization_not_capturable")
    assert problem["authorization_status"] == "declined"


def test_a_declined_operation_moves_nothing_and_is_kept(shop: Client) -> None:
    authorization_id = accepted(shop.authorize(1000), 201)["transaction_id"]
    body = {"authorization_id": authorization_id, "amount": 10}
    for path in ("/v1/capture", "/v1/increment"):
        declined = accepted(shop.post(path, body, simulate="do_not_honor"), 201)
        assert declined["status"] == "declined"
        assert balance(declined) == (1000, 0, 0, 0, 1000, 0)
    family = shop.transaction(authorization_id)["family"]
    assert [member["status"] for member in family] == ["authorized", "declined", "declined"]


@pytest.mark.parametrize("currency", ["JPY", "USD", "KWD", "CLF"])
def test_amounts_are_minor_units_whatever_their_currency(shop: Client, currency: str) -> None:
    authorization = accepted(shop.authorize(1051, currency=currency), 201)
    assert (authorization["amount"], authorization["currency"]) == (1051, currency)


# Idempotency


def operations(shop: Client) -> Iterator[tuple[str, Json, Json]]:
    """Path, body, and a body that differs, of every operation that moves money, in an order that works."""
    yield "/v1/authorize", authorize_body(1000), authorize_body(1001)
    authorization_id = accepted(shop.authorize(1000), 201)["transaction_id"]
    named = {"authorization_id": authorization_id}
    yield "/v1/increment", {**named, "amount": 10}, {**named, "amount": 11}
    yield "/v1/capture", {**named, "amount": 100}, {**named, "amount": 101}
    yield "/v1/refund", {**named, "amount": 10}, {**named, "amount": 11}
    yield "/v1/void", named, {**named, "merchant_reference": "another"}


def test_a_repeated_request_is_answered_with_the_first_answer(shop: Client) -> None:
    for path, body, different in operations(shop):
        key = new_key()
        first = shop.post(path, body, key=key)
        again = shop.post(path, body, key=key)
        quoted = shop.send("POST", path, json=body, headers={"Idempotency-Key": f'"{key}"'})
        assert first.status_code == again.status_code == quoted.status_code == 201
        assert first.content == again.content == quoted.content
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == quoted.headers["idempotent-replayed"] == "true"
        problem = refused(shop.post(path, different, key=key), 422, "idempotency_key_reused")
        assert problem["transaction_id"] == first.json()["transaction_id"]
        assert problem["first_used_at"] == first.json()["created_at"]


def test_a_changed_amount_under_the_same_key_is_named(shop: Client) -> None:
    key = new_key()
    accepted(shop.authorize(1051, key=key), 201)
    problem = refused(shop.authorize(1052, key=key), 422, "idempotency_key_reused")
    assert [error["pointer"] for error in problem["errors"]] == ["/amount"]


def test_a_refused_request_leaves_its_key_free(shop: Client) -> None:
    key = new_key()
    refused(shop.authorize(0, key=key), 400, "invalid_request")
    assert "idempotent-replayed" not in shop.authorize(1, key=key).headers


# Reading


def test_the_list_shows_every_entry_once_newest_first_page_by_page(shop: Client) -> None:
    made = []
    for _ in range(3):
        authorization_id = accepted(shop.authorize(1000), 201)["transaction_id"]
        made += [authorization_id, accepted(shop.capture(authorization_id), 201)["transaction_id"]]
    listed: list[str] = []
    page = accepted(shop.get("/v1/transactions", limit=4), 200)
    while True:
        listed += [entry["transaction_id"] for entry in page["data"]]
        assert page["has_more"] is (page["next_cursor"] is not None)
        if not page["has_more"]:
            break
        page = accepted(shop.get("/v1/transactions", limit=4, cursor=page["next_cursor"]), 200)
    assert sorted(listed) == sorted(made)
    times = [shop.transaction(entry)["created_at"] for entry in listed]
    assert times == sorted(times, reverse=True)


def test_the_list_can_be_narrowed(shop: Client) -> None:
    visa = accepted(shop.authorize(1000), 201)
    amex = accepted(shop.authorize(1000, card=card("378282246310005")), 201)
    capture = accepted(shop.capture(visa["transaction_id"]), 201)

    def found(**wanted: str | int) -> set[str]:
        page = accepted(shop.get("/v1/transactions", **wanted), 200)
        return {entry["transaction_id"] for entry in page["data"]}

    visa_id, amex_id, capture_id = (entry["transaction_id"] for entry in (visa, amex, capture))
    assert found(type="capture") == {capture_id}
    assert found(status="authorized") == {amex_id}
    assert found(status="captured") == {visa_id}
    assert found(card_id=visa["card"]["card_id"]) == {visa_id, capture_id}
    assert found(card_id=visa["card"]["card_id"], type="refund") == set()
    assert found(created_from=visa["created_at"]) == {visa_id, amex_id, capture_id}
    assert found(created_before=visa["created_at"]) == set()


def test_a_card_is_summed_up_without_its_number(shop: Client) -> None:
    first = accepted(shop.authorize(card=card(holder_name="Ada Lovelace", exp_year=2098)), 201)
    last = accepted(shop.authorize(card=card(exp_year=2099)), 201)
    card_id = first["card"]["card_id"]
    assert last["card"]["card_id"] == card_id
    assert accepted(shop.get(f"/v1/cards/{card_id}"), 200) == {
        "card_id": card_id,
        "brand": "visa",
        "last4": "4242",
        "funding": "credit",
        "exp_month": 12,
        "exp_year": 2099,
        "holder_name": None,
        "first_used_at": first["created_at"],
        "last_used_at": last["created_at"],
    }


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
    """An endpoint that nobody listens at; the one before is deleted, as an account can have twenty."""
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


# Accounts and keys


def test_an_account_sees_nothing_of_another(demo: Client, shop: Client) -> None:
    authorization = accepted(shop.authorize(1000), 201)
    capture = accepted(shop.capture(authorization["transaction_id"]), 201)
    key_id = accepted(shop.get("/v1/api-keys"), 200)["data"][0]["key_id"]
    with demo.new_account() as stranger:
        for transaction_id in (authorization["transaction_id"], capture["transaction_id"]):
            refused(stranger.get(f"/v1/transactions/{transaction_id}"), 404, "transaction_not_found")
        refused(stranger.get(f"/v1/cards/{authorization['card']['card_id']}"), 404, "card_not_found")
        refused(stranger.send("DELETE", f"/v1/api-keys/{key_id}"), 404, "api_key_not_found")
        for operate in (stranger.capture, stranger.refund, stranger.void):
            refused(operate(authorization["transaction_id"]), 404, "transaction_not_found")
        refused(stranger.increment(authorization["transaction_id"], 1), 404, "transaction_not_found")
        assert accepted(stranger.get("/v1/transactions"), 200)["data"] == []
        by_card = stranger.get("/v1/transactions", card_id=authorization["card"]["card_id"])
        assert accepted(by_card, 200)["data"] == []
        own = accepted(stranger.authorize(1000), 201)
        assert own["card"]["card_id"] != authorization["card"]["card_id"]


def test_two_accounts_may_use_the_same_idempotency_key(demo: Client, shop: Client) -> None:
    key = new_key()
    with demo.new_account() as stranger:
        answers = [client.authorize(1000, key=key) for client in (shop, stranger)]
    assert all("idempotent-replayed" not in answer.headers for answer in answers)
    assert len({accepted(answer, 201)["transaction_id"] for answer in answers}) == 2


def test_a_revoked_key_no_longer_opens_anything(sandbox: Sandbox, shop: Client) -> None:
    made = accepted(shop.send("POST", "/v1/api-keys", json={"label": "ci"}), 201)
    with Client(sandbox.url, api_key=made["secret"]) as other:
        accepted(other.get("/v1/account"), 200)
        for _ in range(2):  # revoking again changes nothing
            assert shop.send("DELETE", f"/v1/api-keys/{made['key_id']}").status_code == 204
        refused(other.get("/v1/account"), 401, "api_key_invalid")
        refused(other.authorize(1), 401, "api_key_invalid")
    listed = {key["key_id"]: key for key in accepted(shop.get("/v1/api-keys"), 200)["data"]}
    assert listed[made["key_id"]]["revoked_at"] is not None
    assert listed[made["key_id"]]["last4"] == made["secret"][-4:]
    assert made["secret"] not in json.dumps(listed)


def test_a_key_cannot_revoke_itself_and_an_account_has_twenty_at_most(shop: Client) -> None:
    own = accepted(shop.get("/v1/api-keys"), 200)["data"][0]["key_id"]
    refused(shop.send("DELETE", f"/v1/api-keys/{own}"), 409, "own_api_key")
    for _ in range(19):
        accepted(shop.send("POST", "/v1/api-keys", json={}), 201)
    refused(shop.send("POST", "/v1/api-keys", json={}), 409, "api_key_limit_reached")


@pytest.mark.local_only("the gateway does not tell a missing API key from an unknown one; test_gateway.py")
def test_without_a_usable_key_nothing_but_the_open_operations_answers(sandbox: Sandbox) -> None:
    with (
        Client(sandbox.url, api_key=None) as nobody,
        Client(sandbox.url, api_key="sk_test_unknown") as stranger,
    ):
        for (method, path), operation in load_contract().operations.items():
            concrete = path.replace("{", "").replace("}", "")
            if operation["security"]:
                assert refused(nobody.send(method, concrete), 401, "api_key_missing")
                response = stranger.send(method, concrete)
                assert refused(response, 401, "api_key_invalid")
                assert response.headers["www-authenticate"]
            elif method == "GET":
                assert nobody.send(method, concrete).status_code == 200


def test_the_account_and_its_plan_are_shown(demo: Client, shop: Client) -> None:
    account = accepted(demo.get("/v1/account"), 200)
    assert (account["account_id"], account["plan"]["name"]) == ("acct_demo", "demo")
    account = accepted(shop.get("/v1/account"), 200)
    assert (account["name"], account["plan"]) == (
        "Shop",
        {"name": "default", "requests": 100, "window_seconds": 60},
    )


def test_health_tells_the_version_of_the_contract(demo: Client) -> None:
    version = load_contract().document["info"]["version"]
    assert accepted(demo.get("/v1/health"), 200) == {"status": "ok", "version": version}


# Limits and headers


@pytest.mark.local_only(GATEWAY_COUNTS)
def test_of_many_requests_at_once_a_plan_lets_through_one_hundred(shop: Client) -> None:
    started = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        responses = list(pool.map(lambda _: shop.get("/v1/account"), range(130)))
    # While they were sent, the plan gave back 100 a minute; on a fast machine that is none.
    given_back = math.floor((time.monotonic() - started) * 100 / 60)
    passed = [response for response in responses if response.status_code == 200]
    limited = [response for response in responses if response.status_code == 429]
    assert len(passed) + len(limited) == 130
    assert 100 <= len(passed) <= 100 + given_back
    for response in responses:
        assert response.headers["ratelimit-policy"] == '"default";q=100;w=60'
        assert response.headers["ratelimit"].startswith('"default";r=')
    assert "r=0;" in limited[0].headers["ratelimit"]
    for response in limited:
        problem = refused(response, 429, "rate_limit_exceeded")
        assert problem["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
        assert problem["violated-policies"] == ["default"]
        assert 1 <= int(response.headers["retry-after"]) <= 60


@pytest.mark.local_only(GATEWAY_COUNTS)
def test_one_accounts_limit_is_nobody_elses(demo: Client, shop: Client) -> None:
    with ThreadPoolExecutor(16) as pool:
        statuses = {
            response.status_code for response in pool.map(lambda _: shop.get("/v1/account"), range(130))
        }
    assert 429 in statuses
    with demo.new_account() as other:
        response = other.get("/v1/account")
        assert accepted(response, 200)["plan"]["requests"] == 100
        assert response.headers["ratelimit"].startswith('"default";r=99;')


def every_kind_of_response(shop: Client) -> Iterator[httpx.Response]:
    yield shop.authorize(1000)
    yield shop.authorize(0)
    yield shop.get("/v1/account")
    yield shop.get("/v1/transactions/auth_unknown")
    yield shop.get("/v1/health")
    yield shop.get("/v1/nowhere")
    yield shop.get("/nowhere")
    yield shop.send("PATCH", "/v1/authorize")
    yield shop.send("OPTIONS", "/v1/authorize")
    yield shop.send("HEAD", "/v1/account")
    yield shop.send("POST", "/v1/authorize", content=b"amount=1", headers={"Content-Type": "text/plain"})
    yield shop.send(
        "POST", "/v1/authorize", content=b"{" * 20_000, headers={"Content-Type": "application/json"}
    )
    yield shop.send("GET", "/docs")


def test_every_response_carries_its_id_and_is_not_cached(shop: Client) -> None:
    ids = set()
    for response in every_kind_of_response(shop):
        request_id = response.headers["x-request-id"]
        assert request_id not in ids
        ids.add(request_id)
        assert response.headers["cache-control"] == "no-store"
        assert "server" not in response.headers
        if response.status_code >= 400:
            assert response.headers["content-type"] == "application/problem+json"
            assert response.json()["request_id"] == request_id
            assert response.json()["status"] == response.status_code


@pytest.mark.local_only("the gateway makes request ids of another form; test_gateway.py")
def test_a_callers_request_id_is_kept_when_it_is_harmless(shop: Client) -> None:
    kept = shop.send("GET", "/v1/account", headers={"X-Request-Id": "my-request.1"})
    assert kept.headers["x-request-id"] == "my-request.1"
    for strange in ("two words", "4242424242424242", "x" * 65, "a<b>"):
        response = shop.send("GET", "/v1/account", headers={"X-Request-Id": strange})
        assert response.headers["x-request-id"].startswith("req_")


def test_unknown_paths_and_methods_are_told_apart(demo: Client) -> None:
    for path in ("/v1/nowhere", "/v1/authorize/", "/v1", "/nowhere", "/v1/transactions/a/b"):
        refused(demo.get(path), 404, "route_not_found")
    response = demo.send("DELETE", "/v1/api-keys")
    refused(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize("path", ["/v1/transactions/{}", "/v1/cards/{}"])
@pytest.mark.parametrize(
    "identifier", ["a%0Ab", "a%0A", "%0A", "a%0Db", "a%00b", "%C3%A9", "%E2%80%A8", "a;b", "%25"]
)
def test_ids_of_strange_characters_are_not_found(demo: Client, path: str, identifier: str) -> None:
    """A line feed once led to a 500."""
    assert demo.get(path.format(identifier)).status_code == 404


def test_only_json_is_read(demo: Client) -> None:
    body = json.dumps(authorize_body()).encode()
    statuses: Mapping[str, int] = {
        "application/json": 201,
        "Application/JSON; charset=utf-8": 201,
        "text/plain": 415,
        "application/x-www-form-urlencoded": 415,
        "application/json; charset=latin-1": 400,
    }
    for media_type, status in statuses.items():
        headers = {"Content-Type": media_type, "X-Idempotency-Key": new_key()}
        response = demo.send("POST", "/v1/authorize", content=body, headers=headers)
        assert response.status_code == status, media_type
    response = demo.send("POST", "/v1/authorize", content=body, headers={"X-Idempotency-Key": new_key()})
    refused(response, 415, "unsupported_media_type")


# CORS and documents


def test_pages_of_an_allowed_origin_may_call_the_api(demo: Client) -> None:
    preflight = demo.send(
        "OPTIONS",
        "/v1/authorize",
        headers={
            "Origin": ALLOWED_ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-api-key, x-idempotency-key, content-type",
        },
    )
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
    assert "POST" in preflight.headers["access-control-allow-methods"]
    allowed = {name.strip() for name in preflight.headers["access-control-allow-headers"].lower().split(",")}
    assert {"x-api-key", "x-idempotency-key", "content-type", "x-request-id", "x-sandbox-simulate"} <= allowed
    response = demo.send("GET", "/v1/account", headers={"Origin": ALLOWED_ORIGIN})
    assert response.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
    exposed = {name.strip() for name in response.headers["access-control-expose-headers"].lower().split(",")}
    assert {"x-request-id", "ratelimit", "ratelimit-policy", "retry-after", "idempotent-replayed"} <= exposed
    assert "origin" in response.headers["vary"].lower()


@pytest.mark.local_only("pages of any origin may read the gateway's own errors; test_gateway.py")
def test_errors_can_be_read_by_pages_of_an_allowed_origin(sandbox: Sandbox) -> None:
    with Client(sandbox.url, api_key=None) as nobody:
        for path in ("/v1/account", "/v1/nowhere"):
            response = nobody.send("GET", path, headers={"Origin": ALLOWED_ORIGIN})
            assert response.headers["access-control-allow-origin"] == ALLOWED_ORIGIN


@pytest.mark.parametrize("origin", [FOREIGN_ORIGIN, "null", ALLOWED_ORIGIN + ".elsewhere.example"])
def test_pages_of_a_foreign_origin_may_not(demo: Client, origin: str) -> None:
    preflight = demo.send(
        "OPTIONS", "/v1/authorize", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
    )
    response = demo.send("GET", "/v1/account", headers={"Origin": origin})
    for answer in (preflight, response):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert "origin" in answer.headers["vary"].lower()


@pytest.mark.local_only(NO_DOCUMENTS)
def test_the_contract_is_served_in_both_forms(demo: Client) -> None:
    document = json.loads(json.dumps(load_contract().document, default=str))
    as_json = demo.get("/openapi.json")
    as_yaml = demo.get("/openapi.yaml")
    assert as_json.headers["content-type"] == "application/json"
    assert as_json.json() == yaml.safe_load(as_yaml.text)
    assert as_json.json()["paths"].keys() == document["paths"].keys()
    assert as_json.json()["components"]["schemas"] == document["components"]["schemas"]


@pytest.mark.local_only(NO_DOCUMENTS)
def test_the_documentation_page_and_all_that_it_needs_come_from_the_sandbox(demo: Client) -> None:
    root = demo.get("/")
    assert (root.status_code, root.headers["location"]) == (307, "/docs")
    page = demo.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text
    assert "https://" not in page.text
    files = [part.split('"')[0] for part in page.text.replace("'", '"').split('="/')[1:]]
    assert files
    for file in files:
        assert demo.get(f"/{file}").status_code == 200, file
