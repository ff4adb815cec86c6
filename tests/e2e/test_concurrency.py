"""Many requests at once move money as often as they should: with one server, and with two on the same ledger."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from threading import Barrier

import httpx
import pytest

from tests.e2e.infra.client import Client, accepted, new_key, refused
from tests.e2e.infra.server import DEADLINE_S, Server

pytestmark = [pytest.mark.e2e, pytest.mark.local_only("it is about several processes on one SQLite file")]

AT_ONCE = 50


@pytest.fixture(scope="module")
def second_server(server: Server) -> Iterator[Server]:
    """Another process on the ledger of the shared sandbox."""
    with Server(server.db, name="second") as running:
        yield running


@pytest.fixture(params=["one server", "two servers on one ledger"])
def clients(request: pytest.FixtureRequest, demo: Client) -> Iterator[list[Client]]:
    """Ways to the demo account, to be used in turns."""
    if request.param == "one server":
        yield [demo]
    else:
        with Client(request.getfixturevalue("second_server").url) as other:
            yield [demo, other]


def at_once(clients: list[Client], send: Callable[[Client, int], httpx.Response]) -> list[httpx.Response]:
    """Send AT_ONCE requests that start together, through the clients in turns."""
    barrier = Barrier(AT_ONCE, timeout=DEADLINE_S)

    def send_one(client: Client, number: int) -> httpx.Response:
        barrier.wait()
        return send(client, number)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(send_one, islice(cycle(clients), AT_ONCE), range(AT_ONCE)))


def test_of_many_authorizations_with_one_key_one_is_executed(clients: list[Client]) -> None:
    key = new_key()
    responses = at_once(clients, lambda client, _: client.authorize(1000, key=key))
    assert {response.status_code for response in responses} == {201}
    replayed = Counter(response.headers.get("idempotent-replayed") for response in responses)
    assert replayed == {None: 1, "true": AT_ONCE - 1}
    assert len({response.content for response in responses}) == 1
    family = clients[0].transaction(responses[0].json()["transaction_id"])["family"]
    assert len(family) == 1


def test_of_many_captures_with_one_key_one_is_executed(clients: list[Client]) -> None:
    authorization_id = accepted(clients[0].authorize(1000), 201)["transaction_id"]
    key = new_key()
    responses = at_once(clients, lambda client, _: client.capture(authorization_id, amount=10, key=key))
    assert {response.status_code for response in responses} == {201}
    replayed = Counter(response.headers.get("idempotent-replayed") for response in responses)
    assert replayed == {None: 1, "true": AT_ONCE - 1}
    assert len({response.content for response in responses}) == 1
    assert clients[0].transaction(authorization_id)["balance"]["captured_amount"] == 10


def test_captures_never_take_more_than_was_authorized(clients: list[Client]) -> None:
    authorization_id = accepted(clients[0].authorize(100), 201)["transaction_id"]
    responses = at_once(clients, lambda client, _: client.capture(authorization_id, amount=10))
    assert Counter(response.status_code for response in responses) == {201: 10, 409: AT_ONCE - 10}
    refusals = {response.json()["code"] for response in responses if response.status_code == 409}
    assert refusals == {"authorization_not_capturable"}
    shown = clients[-1].transaction(authorization_id)
    assert (shown["status"], shown["balance"]["captured_amount"]) == ("captured", 100)
    assert len(shown["family"]) == 11
    left = sorted(
        response.json()["balance"]["capturable_amount"]
        for response in responses
        if response.status_code == 201
    )
    assert left == list(range(0, 100, 10))


def test_a_hold_that_many_take_little_from_for_long_is_shared_out_exactly(clients: list[Client]) -> None:
    """Long enough that a read and its write meet another process's write between them, again and again."""
    authorization_id = accepted(clients[0].authorize(60), 201)["transaction_id"]

    def capture_until_refused(client: Client) -> list[str]:
        made = []
        while (response := client.capture(authorization_id, amount=1)).status_code == 201:
            made.append(response.json()["transaction_id"])
        refused(response, 409, "authorization_not_capturable")
        return made

    with ThreadPoolExecutor(4) as pool:
        taken = [name for made in pool.map(capture_until_refused, islice(cycle(clients), 4)) for name in made]
    shown = clients[0].transaction(authorization_id)
    assert len(set(taken)) == len(taken) == shown["balance"]["captured_amount"] == 60
    assert {member["transaction_id"] for member in shown["family"]} == {authorization_id, *taken}


def test_refunds_never_give_back_more_than_was_captured(clients: list[Client]) -> None:
    authorization_id = accepted(clients[0].authorize(100), 201)["transaction_id"]
    accepted(clients[0].capture(authorization_id), 201)
    responses = at_once(clients, lambda client, _: client.refund(authorization_id, amount=10))
    assert Counter(response.status_code for response in responses) == {201: 10, 409: AT_ONCE - 10}
    assert clients[-1].transaction(authorization_id)["balance"]["refunded_amount"] == 100


def test_captures_and_voids_at_once_share_out_the_hold(clients: list[Client]) -> None:
    authorization_id = accepted(clients[0].authorize(1000), 201)["transaction_id"]

    def send(client: Client, number: int) -> httpx.Response:
        if number % 10 == 5:
            return client.void(authorization_id)
        return client.capture(authorization_id, amount=10)

    responses = at_once(clients, send)
    done = [response.json() for response in responses if response.status_code == 201]
    assert {response.status_code for response in responses} == {201, 409}
    assert [entry["type"] for entry in done].count("void") == 1
    moved = sum(entry["amount"] for entry in done)
    shown = clients[-1].transaction(authorization_id)
    assert moved == 1000
    assert shown["balance"]["captured_amount"] + shown["balance"]["released_amount"] == 1000
    assert len(shown["family"]) == 1 + len(done)


def test_refunds_and_disputes_at_once_never_give_back_more_than_was_captured(clients: list[Client]) -> None:
    authorization_id = accepted(clients[0].authorize(100), 201)["transaction_id"]
    accepted(clients[0].capture(authorization_id), 201)
    about = {"authorization_id": authorization_id, "reason": "general", "amount": 10}

    def send(client: Client, number: int) -> httpx.Response:
        if number % 2:
            return client.post("/v1/disputes", about)
        return client.refund(authorization_id, amount=10)

    responses = at_once(clients, send)
    assert Counter(response.status_code for response in responses) == {201: 10, 409: AT_ONCE - 10}
    disputes = sum("dispute_id" in response.json() for response in responses if response.status_code == 201)
    balance = clients[-1].transaction(authorization_id)["balance"]
    assert (balance["refunded_amount"], balance["disputed_amount"]) == (100 - 10 * disputes, 10 * disputes)
    assert balance["refundable_amount"] == 0


def test_of_many_escalations_with_one_key_one_is_executed(clients: list[Client]) -> None:
    authorization_id = accepted(clients[0].authorize(100), 201)["transaction_id"]
    accepted(clients[0].capture(authorization_id), 201)
    about = {"authorization_id": authorization_id, "reason": "general", "inquiry": True}
    dispute_id = accepted(clients[0].post("/v1/disputes", about), 201)["dispute_id"]
    headers = {"X-Idempotency-Key": new_key()}
    path = f"/v1/disputes/{dispute_id}/escalate"
    responses = at_once(clients, lambda client, _: client.send("POST", path, headers=headers))
    assert {response.status_code for response in responses} == {200}
    replayed = Counter(response.headers.get("idempotent-replayed") for response in responses)
    assert replayed == {None: 1, "true": AT_ONCE - 1}
    assert len({response.content for response in responses}) == 1
    types = [member["type"] for member in clients[0].transaction(authorization_id)["family"]]
    assert types == ["authorization", "capture", "chargeback"]


def test_many_cards_can_be_authorized_at_once_and_none_is_lost(clients: list[Client]) -> None:
    reference = new_key()
    responses = at_once(
        clients, lambda client, number: client.authorize(number + 1, merchant_reference=reference)
    )
    made = {accepted(response, 201)["transaction_id"] for response in responses}
    assert len(made) == AT_ONCE
    page = accepted(clients[-1].get("/v1/transactions", limit=100), 200)
    listed = {entry["transaction_id"] for entry in page["data"] if entry["merchant_reference"] == reference}
    assert listed == made
