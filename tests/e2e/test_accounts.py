"""Accounts, their API keys, and how many requests their plans let through."""

import json
import math
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.infra.client import Client, accepted, new_key, refused
from tests.e2e.infra.contract import load_contract
from tests.e2e.infra.sandbox import Sandbox

pytestmark = pytest.mark.e2e

GATEWAY_COUNTS = (
    "the gateway counts requests, by rate and burst, and does not tell what is left; test_gateway.py"
)


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
        Client(sandbox.url, api_key=None) as anonymous,
        Client(sandbox.url, api_key="sk_test_unknown") as stranger,
    ):
        for (method, path), operation in load_contract().operations.items():
            concrete = path.replace("{", "").replace("}", "")
            if operation["security"]:
                assert refused(anonymous.send(method, concrete), 401, "api_key_missing")
                response = stranger.send(method, concrete)
                assert refused(response, 401, "api_key_invalid")
                assert response.headers["www-authenticate"]
            elif method == "GET":
                assert anonymous.send(method, concrete).status_code == 200


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


# Limits


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
def test_each_account_has_a_limit_of_its_own(demo: Client, shop: Client) -> None:
    with ThreadPoolExecutor(16) as pool:
        statuses = {
            response.status_code for response in pool.map(lambda _: shop.get("/v1/account"), range(130))
        }
    assert 429 in statuses
    with demo.new_account() as other:
        response = other.get("/v1/account")
        assert accepted(response, 200)["plan"]["requests"] == 100
        assert response.headers["ratelimit"].startswith('"default";r=99;')
