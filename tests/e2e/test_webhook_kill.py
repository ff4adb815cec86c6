"""kill -9 at any moment loses no event: each that was acknowledged arrives at least once, and each arrival is a real one.

What is under way when a server dies is attempted again by the next one, once the dead one's lease has ended.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from zlib import crc32

import httpx
import pytest

from payments_sandbox.domain.timestamps import SECOND_MS
from payments_sandbox.workers.dispatcher import LEASE_MS
from tests.doubles.receivers import verify
from tests.e2e.infra.client import Client, Json, accepted
from tests.e2e.infra.receiver import Answer, Received, Receiver
from tests.e2e.infra.server import DEADLINE_S, Server, until_deadline

pytestmark = [pytest.mark.e2e, pytest.mark.local_only("it kills the server process")]

ROUNDS = 3
THREADS = 3
LEASE_S = LEASE_MS / SECOND_MS


def register(client: Client, receiver: Receiver) -> str:
    """The demo account's endpoint at this receiver; answers its secret."""
    made = accepted(client.send("POST", "/v1/webhook-endpoints", json={"url": receiver.url}), 201)
    return str(made["secret"])


def events_of(client: Client) -> dict[str, Json]:
    """All events of the account, by id, in the order of the listing."""
    found: dict[str, Json] = {}
    cursor: dict[str, str] = {}
    while True:
        page = accepted(client.get("/v1/events", limit=100, **cursor), 200)
        found |= {event.pop("event_id"): event for event in page["data"]}
        if not page["has_more"]:
            return found
        cursor = {"cursor": page["next_cursor"]}


def states_of(client: Client) -> Counter[str]:
    """How many deliveries there are in each state."""
    states: Counter[str] = Counter()
    cursor: dict[str, str] = {}
    while True:
        page = accepted(client.get("/v1/webhook-deliveries", limit=100, **cursor), 200)
        states.update(delivery["state"] for delivery in page["data"])
        if not page["has_more"]:
            return states
        cursor = {"cursor": page["next_cursor"]}


def wait_until_settled(client: Client) -> None:
    """Wait until nothing is pending, which includes what is still to be planned."""
    for _ in until_deadline("all deliveries have succeeded", pause_s=0.25):
        if states_of(client) == {"succeeded": len(events_of(client))}:
            return


def pay_until_the_server_dies(client: Client, acknowledged: list[str]) -> None:
    """Authorize and capture, again and again; keeps the events of all that was answered."""
    try:
        while True:
            authorized = accepted(client.authorize(), 201)["transaction_id"]
            acknowledged.append("evt_" + authorized)
            acknowledged.append("evt_" + accepted(client.capture(authorized), 201)["transaction_id"])
            time.sleep(0.01)
    except httpx.TransportError:
        return


def test_however_often_the_server_is_killed_every_event_arrives(own_server: Server) -> None:
    chance = random.Random(8)
    acknowledged: list[str] = []
    cut: list[str] = []
    """Events whose attempts were under way when the server was killed."""

    with Receiver() as receiver:
        secret = ""
        for _ in range(ROUNDS):
            killed, stalled = threading.Event(), list[str]()
            receiver.answer = stalling(killed, stalled)
            own_server.start()
            with Client(own_server.url, checked=False) as client:
                secret = secret or register(client, receiver)
                enough = len(acknowledged) + chance.randint(10, 40)
                with ThreadPoolExecutor(THREADS) as pool:
                    for _ in range(THREADS):
                        pool.submit(pay_until_the_server_dies, client, acknowledged)
                    for _ in until_deadline("there is load", pause_s=0.001):
                        if len(acknowledged) >= enough and stalled:
                            break
                    own_server.kill()
                    cut += stalled
                    killed.set()
        receiver.answer = Answer()
        own_server.start()
        with Client(own_server.url, checked=False) as client:
            wait_until_settled(client)
            events = events_of(client)
        requests = receiver.requests

    arrived = Counter(request.id for request in requests)
    assert set(acknowledged) <= set(arrived)
    # What was written and not answered arrives too, and nothing arrives that was not written.
    assert set(arrived) == set(events)
    for request in requests:
        event = verify(request.body, dict(request.headers), secret, at_ms=request.at_ms)
        assert event.payload == events[request.id]
    assert len({(request.id, request.body) for request in requests}) == len(arrived)
    # The attempts that the kills cut off were made again.
    assert len(cut) >= ROUNDS
    assert min(arrived[event_id] for event_id in cut) > 1


def stalling(killed: threading.Event, stalled: list[str]) -> Callable[[Received], Answer]:
    """A receiver that answers a quarter of the events only once the server is dead. stalled: collects their ids."""

    def answer(request: Received) -> Answer:
        if crc32(request.body) % 4 == 0 and not killed.is_set():
            stalled.append(request.id)
            killed.wait(DEADLINE_S)
        return Answer()

    return answer


def killing(server: Server, *, before_the_answer: bool) -> Callable[[Received], Answer]:
    """A receiver that kills the server that is talking to it, once."""
    once = threading.Lock()

    def answer(request: Received) -> Answer:
        if once.acquire(blocking=False):
            if not before_the_answer:
                # The answer is on its way, and the kill right behind it.
                threading.Thread(target=server.kill).start()
                return Answer()
            server.kill()
        return Answer()

    return answer


@pytest.mark.parametrize("before_the_answer", [True, False])
def test_a_kill_between_delivery_and_record_makes_a_second_delivery_and_no_loss(
    own_server: Server, before_the_answer: bool
) -> None:
    with Receiver() as receiver:
        own_server.start()
        with Client(own_server.url, checked=False) as client:
            register(client, receiver)
            receiver.answer = killing(own_server, before_the_answer=before_the_answer)
            event_id = "evt_" + accepted(client.authorize(), 201)["transaction_id"]
        receiver.wait_for(1)
        for _ in until_deadline("the server is dead"):
            if own_server._process is None:
                break
        with own_server, Client(own_server.url, checked=False) as client:
            wait_until_settled(client)
            (delivery,) = accepted(client.get("/v1/webhook-deliveries"), 200)["data"]
    assert set(receiver.ids) == {event_id}
    # Before the answer, the server cannot have recorded anything; after it, it may just have.
    assert len(receiver.ids) >= (2 if before_the_answer else 1)
    assert delivery["attempt_count"] == 1


def test_a_kill_between_commit_and_delivery_loses_nothing(own_server: Server) -> None:
    acknowledged: list[str] = []
    with Receiver() as receiver:
        for number in range(2):
            own_server.start()
            with Client(own_server.url, checked=False) as client:
                if number == 0:
                    register(client, receiver)
                for _ in range(10):
                    acknowledged.append("evt_" + accepted(client.authorize(), 201)["transaction_id"])
                own_server.kill()
        with own_server, Client(own_server.url, checked=False) as client:
            wait_until_settled(client)
    assert set(receiver.ids) == set(acknowledged)


def test_what_is_under_way_when_the_server_is_stopped_arrives_after_the_next_start(
    own_server: Server,
) -> None:
    with Receiver(Answer(after_s=2 * LEASE_S)) as receiver:
        own_server.start()
        with Client(own_server.url, checked=False) as client:
            register(client, receiver)
            event_id = "evt_" + accepted(client.authorize(), 201)["transaction_id"]
            receiver.wait_for(1)
            assert own_server.stop() == 0
        receiver.answer = Answer()
        with own_server, Client(own_server.url) as client:
            receiver.wait_for_requests(2)
            wait_until_settled(client)
    assert set(receiver.ids) == {event_id}
