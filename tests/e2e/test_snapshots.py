"""Seeds and snapshots of a running sandbox: one baseline for many tests, and the same ids each time."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e.infra.client import Client, Json, accepted, card, refused
from tests.e2e.infra.sandbox import Sandbox
from tests.e2e.infra.server import Server, until_deadline

pytestmark = pytest.mark.e2e


def new_client(stack: ExitStack, url: str, made: Json) -> Client:
    return stack.enter_context(Client(url, api_key=made["api_key"]["secret"]))


def seeded(stack: ExitStack, url: str, demo: Client, seed: str) -> Client:
    made = demo.create_account({"name": "Tests", "seed": seed})
    assert made["account"]["seed"] == seed
    return new_client(stack, url, made)


def fork(stack: ExitStack, url: str, client: Client, snapshot_id: str) -> Client:
    answer = client.send("POST", f"/v1/snapshots/{snapshot_id}/fork", json={"name": "Fork"})
    return new_client(stack, url, accepted(answer, 201))


def snapshot(client: Client, name: str = "Baseline") -> str:
    snapshot_id: str = accepted(client.send("POST", "/v1/snapshots", json={"name": name}), 201)["snapshot_id"]
    return snapshot_id


def restore(client: Client, snapshot_id: str) -> None:
    accepted(client.send("POST", f"/v1/snapshots/{snapshot_id}/restore"), 200)


def transactions(client: Client) -> list[Json]:
    listed: list[Json] = accepted(client.get("/v1/transactions"), 200)["data"]
    return listed


def without_time(answer: Json) -> Json:
    """An entry without what carries the moment at which it was made."""
    network = {
        name: value for name, value in answer["network"].items() if name not in ("rrn", "acquirer_reference")
    }
    timed = ("created_at", "expires_at", "network")
    return {**{name: value for name, value in answer.items() if name not in timed}, "network": network}


def play(client: Client) -> list[Any]:
    authorization = accepted(client.authorize(1000, key="order"), 201)
    capture = accepted(client.capture(authorization["transaction_id"], key="order", amount=400), 201)
    refund = accepted(client.refund(authorization["transaction_id"], key="order"), 201)
    url = {"url": "http://127.0.0.1:9/hooks"}
    endpoint = accepted(client.send("POST", "/v1/webhook-endpoints", json=url), 201)
    return [*map(without_time, (authorization, capture, refund)), endpoint["endpoint_id"]]


@pytest.mark.local_only("it starts a second sandbox")
def test_accounts_of_one_seed_answer_alike_here_and_in_another_sandbox(
    sandbox: Sandbox, demo: Client, own_server: Server, stack: ExitStack
) -> None:
    answers = play(seeded(stack, sandbox.url, demo, "e2e-1"))
    assert play(seeded(stack, sandbox.url, demo, "e2e-1")) == answers
    assert play(seeded(stack, sandbox.url, demo, "e2e-2")) != answers
    with own_server, Client(own_server.url) as elsewhere:
        assert play(seeded(stack, own_server.url, elsewhere, "e2e-1")) == answers


def test_a_seeded_account_takes_no_number_that_is_not_published(
    sandbox: Sandbox, demo: Client, stack: ExitStack
) -> None:
    client = seeded(stack, sandbox.url, demo, "e2e-3")
    problem = refused(client.authorize(card=card("4111111111111111")), 400, "invalid_request")
    assert problem["errors"][0]["code"] == "not_a_test_card"
    assert transactions(client) == []


def test_tests_in_parallel_begin_from_one_baseline(sandbox: Sandbox, shop: Client, stack: ExitStack) -> None:
    authorization = accepted(shop.authorize(1000, key="baseline"), 201)["transaction_id"]
    accepted(shop.capture(authorization, amount=600), 201)
    baseline = transactions(shop)
    snapshot_id = snapshot(shop)
    with ThreadPoolExecutor(5) as pool:
        forks = list(pool.map(lambda _: fork(stack, sandbox.url, shop, snapshot_id), range(5)))

        def test(client: Client) -> None:
            assert transactions(client) == baseline
            replay = client.authorize(1000, key="baseline")
            assert accepted(replay, 201)["transaction_id"] == authorization
            assert replay.headers["Idempotent-Replayed"] == "true"
            # All of them capture all that is left, under one key.
            assert accepted(client.capture(authorization, key="test"), 201)["amount"] == 400
            assert client.transaction(authorization)["balance"]["captured_amount"] == 1000

        list(pool.map(test, forks))
    assert transactions(shop) == baseline


def test_an_account_goes_back_to_its_snapshot_as_often_as_it_likes(shop: Client) -> None:
    authorization = accepted(shop.authorize(1000), 201)["transaction_id"]
    snapshot_id = snapshot(shop)
    baseline = shop.transaction(authorization)
    for _ in range(2):
        accepted(shop.void(authorization, key="void"), 201)
        later = accepted(shop.authorize(1), 201)["transaction_id"]
        restore(shop, snapshot_id)
        assert shop.transaction(authorization) == baseline
        refused(shop.get(f"/v1/transactions/{later}"), 404, "transaction_not_found")
    events = accepted(shop.get("/v1/events"), 200)["data"]
    assert [event["event_id"] for event in events] == [f"evt_{authorization}"]


def test_the_clock_and_the_faults_go_back_too(shop: Client) -> None:
    accepted(shop.send("POST", "/v1/clock/advance", json={"by_seconds": 3600}), 200)
    accepted(shop.send("PUT", "/v1/faults", json={"rules": [{"fault": "latency=1"}]}), 200)
    snapshot_id = snapshot(shop)
    accepted(shop.send("POST", "/v1/clock/advance", json={"by_seconds": 86_400}), 200)
    accepted(shop.send("PUT", "/v1/faults", json={"rules": []}), 200)
    restore(shop, snapshot_id)
    ahead = accepted(shop.get("/v1/clock"), 200)["ahead_milliseconds"]
    assert 3_500_000 < ahead <= 3_600_000
    assert [rule["fault"] for rule in accepted(shop.get("/v1/faults"), 200)["rules"]] == ["latency=1"]


def test_time_passes_in_a_fork_as_anywhere(sandbox: Sandbox, shop: Client, stack: ExitStack) -> None:
    authorization = accepted(shop.authorize(1000), 201)["transaction_id"]
    client = fork(stack, sandbox.url, shop, snapshot(shop))
    ran = accepted(client.send("POST", "/v1/clock/advance", json={"by_seconds": 8 * 86_400}), 200)["ran"]
    assert [(each["work"], each["id"]) for each in ran] == [("authorization_expiry", authorization)]
    assert client.transaction(authorization)["status"] == "expired"
    assert shop.transaction(authorization)["status"] == "authorized"


@pytest.mark.local_only("the inbox's URL is the gateway's, which no name server knows here")
def test_a_fork_s_webhooks_are_its_own(sandbox: Sandbox, shop: Client, stack: ExitStack) -> None:
    inbox = accepted(shop.send("POST", "/v1/inbox"), 201)
    accepted(shop.send("POST", "/v1/webhook-endpoints", json={"url": inbox["url"]}), 201)
    copied = accepted(shop.authorize(1000), 201)["transaction_id"]
    client = fork(stack, sandbox.url, shop, snapshot(shop))
    made = accepted(client.authorize(2000), 201)["transaction_id"]
    for _ in until_deadline("both webhooks have arrived"):
        path = f"/v1/inbox/{inbox['inbox_id']}/messages"
        arrived = [each["headers"]["webhook-id"] for each in accepted(shop.get(path), 200)["data"]]
        if len(arrived) >= 2:
            break
    assert sorted(arrived) == sorted([f"evt_{copied}", f"evt_{made}"])
    (delivery,) = accepted(client.get("/v1/webhook-deliveries"), 200)["data"]
    assert delivery["event_id"] == f"evt_{made}"


@pytest.mark.local_only("it kills the server process")
def test_a_restored_world_survives_kill_9(own_server: Server) -> None:
    with own_server, Client(own_server.url) as client:
        authorization = accepted(client.authorize(1000), 201)["transaction_id"]
        snapshot_id = snapshot(client)
        accepted(client.void(authorization), 201)
        restore(client, snapshot_id)
        accepted(client.capture(authorization, amount=10), 201)
        own_server.kill()
        own_server.start()
        with Client(own_server.url) as again:
            assert again.transaction(authorization)["balance"]["captured_amount"] == 10
            restore(again, snapshot_id)
            assert again.transaction(authorization)["balance"]["captured_amount"] == 0


def test_snapshots_are_an_account_s_own(shop: Client, demo: Client) -> None:
    snapshot_id = snapshot(shop, "Mine")
    (listed,) = accepted(shop.get("/v1/snapshots"), 200)["data"]
    assert (listed["snapshot_id"], listed["name"], listed["records"]) == (snapshot_id, "Mine", 0)
    for method, suffix in (("GET", ""), ("DELETE", ""), ("POST", "/restore")):
        refused(demo.send(method, f"/v1/snapshots/{snapshot_id}{suffix}"), 404, "snapshot_not_found")
    refused(demo.send("POST", f"/v1/snapshots/{snapshot_id}/fork", json={}), 404, "snapshot_not_found")
    assert shop.send("DELETE", f"/v1/snapshots/{snapshot_id}").status_code == 204
    refused(shop.get(f"/v1/snapshots/{snapshot_id}"), 404, "snapshot_not_found")
    assert accepted(shop.get("/v1/snapshots"), 200)["data"] == []
