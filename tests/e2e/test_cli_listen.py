"""`payments-sandbox listen` against a real sandbox and real receivers, which verify with the receivers' own library."""

import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.cli_listening import Listening, Receiver, Webhook
from tests.e2e.infra.client import Client, accepted
from tests.e2e.infra.server import COMMAND, DEADLINE_S, LOOPBACK, Server, spawn, taken_port, until_deadline

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.local_only("it starts and kills the server process, and the listener beside it"),
]

Listen = Callable[..., Listening]


@pytest.fixture
def listen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listen]:
    """Starts listeners, and ends them."""
    with ExitStack() as stack:

        def start(url: str, *arguments: str, api_key: str | None = None) -> Listening:
            listening = Listening(tmp_path_factory.mktemp("listen"), url, *arguments, api_key=api_key)
            stack.callback(listening.end)
            return listening

        yield start


def pay(client: Client, count: int) -> None:
    """Authorize and capture, four at a time: two events each."""

    def one(_: int) -> None:
        authorization = accepted(client.authorize(), 201)["transaction_id"]
        accepted(client.capture(authorization), 201)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(count)))


def listed(client: Client) -> list[str]:
    """The ids of all events, the oldest first."""
    ids: list[str] = []
    query: dict[str, str | int] = {"limit": 100}
    while True:
        page = accepted(client.get("/v1/events", **query), 200)
        ids += [event["event_id"] for event in page["data"]]
        if page["next_cursor"] is None:
            return ids[::-1]
        query["cursor"] = page["next_cursor"]


def test_two_listeners_get_everything_though_the_sandbox_is_killed_between(
    own_server: Server, listen: Listen
) -> None:
    own_server.start()
    url, port = own_server.url, own_server.port
    with Client(url) as client, Receiver() as one, Receiver() as other:
        pay(client, 5)
        listeners = [listen(url, "--forward-to", receiver.url) for receiver in (one, other)]
        before = set(listed(client))
        pay(client, 70)
        own_server.kill()
        with (
            Server(own_server.db, arguments=["--port", str(port)], name="again") as again,
            Client(again.url) as client,
        ):
            assert again.url == url
            pay(client, 20)
            expected = [event_id for event_id in listed(client) if event_id not in before]
            assert len(expected) == 180
            for receiver, listener in zip((one, other), listeners, strict=True):
                told = [event["event_id"] for event in listener.wait_for(len(expected))]
                received = [event.id for event in receiver.verified(listener.secret)]
                assert told == received
                # Four at a time: within a millisecond a later commit may sort before one that was told already.
                assert sorted(received) == sorted(expected)
                assert all(event["forwarded"]["status"] == 204 for event in listener.events)
            assert [listener.stop() for listener in listeners] == [0, 0]
        for listener in listeners:
            assert "Traceback" not in listener.errors
            assert listener.errors.count("waiting until it answers") <= 1


def test_a_forwarded_event_is_what_the_webhook_of_it_is(own_server: Server, listen: Listen) -> None:
    with own_server, Client(own_server.url) as client, Receiver() as hook, Receiver() as local:
        made = accepted(client.send("POST", "/v1/webhook-endpoints", json={"url": hook.url}), 201)
        listener = listen(own_server.url, "--forward-to", local.url)
        accepted(
            client.authorize(metadata={"name": "J\u00fcrgen \U0001f600"}, simulate="insufficient_funds"), 201
        )
        listener.wait_for(1)
        for _ in until_deadline("the webhook is delivered"):
            if hook.requests:
                break
        (hook_path, hook_headers, hook_body), (path, headers, body) = hook.requests[0], local.requests[0]
        assert (path, body) == (hook_path, hook_body)
        assert Webhook(made["secret"]).verify(hook_body, hook_headers).id == listener.events[0]["event_id"]
        assert Webhook(listener.secret).verify(body, headers).id == listener.events[0]["event_id"]
        # Each has its own address, time and secret; and connections may be kept or not.
        own = {"host", "webhook-timestamp", "webhook-signature", "connection"}
        assert {item for item in headers.items() if item[0] not in own} == {
            item for item in hook_headers.items() if item[0] not in own
        }
        assert own - {"connection"} <= headers.keys() & hook_headers.keys()


def test_past_events_are_replayed_by_type_and_no_others_are_told(own_server: Server, listen: Listen) -> None:
    with own_server, Client(own_server.url) as client, Receiver() as receiver:
        pay(client, 4)
        captures = [event_id for event_id in listed(client) if event_id.startswith("evt_cap_")]
        listener = listen(
            *(own_server.url, "--events", "payment.captured,payment.voided", "--replay", "3"),
            *("--forward-to", receiver.url, "--secret", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"),
        )
        authorization = accepted(client.authorize(), 201)["transaction_id"]
        accepted(client.void(authorization), 201)
        told = [event["event_id"] for event in listener.wait_for(4)]
        assert told[:3] == captures[-3:]
        assert told[3].startswith("evt_void_")
        assert [event.id for event in receiver.verified("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz")] == told
        assert listener.stop(signal.SIGTERM) == 0


def test_a_receiver_that_is_slow_fails_or_is_away_stops_nothing(own_server: Server, listen: Listen) -> None:
    patience = threading.Event()
    with own_server, Client(own_server.url) as client, ExitStack() as stack:
        with taken_port() as port:
            pass
        listener = listen(own_server.url, "--forward-to", f"http://{LOOPBACK}:{port}/hooks")
        accepted(client.authorize(), 201)
        assert listener.wait_for(1)[0]["forwarded"]["error"] == "connection_refused"
        receiver = stack.enter_context(Receiver(patience, 500, port=port))
        for _ in range(3):
            accepted(client.authorize(), 201)
        for _ in until_deadline("the receiver has the first event"):
            if receiver.requests:
                break
        patience.set()
        statuses = [event["forwarded"]["status"] for event in listener.wait_for(4)]
        assert statuses == [None, 200, 500, 204]
        assert [event["event_id"] for event in listener.events] == listed(client)


def test_a_listener_waits_for_a_sandbox_and_ends_for_a_wrong_key(server: Server, tmp_path: Path) -> None:
    with taken_port() as port:
        pass
    errors = tmp_path / "stderr"
    with errors.open("wb") as output:
        # As a script starts it in the background: with Ctrl-C's signal ignored.
        command = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *COMMAND, "listen"]
        environment = {"SANDBOX_URL": f"http://{LOOPBACK}:{port}"}
        process = spawn(command, environment, stdout=subprocess.DEVNULL, stderr=output)
    try:
        for _ in until_deadline("it says that it waits"):
            if errors.read_bytes():
                break
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        process.wait()
    assert errors.read_text("utf-8").count("\n") == 1
    environment = {"SANDBOX_URL": server.url, "SANDBOX_API_KEY": "sk_test_wrong"}
    with spawn(command, environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        out, err = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, out) == (1, b"")
    assert err.startswith(b"payments-sandbox: error: api_key_invalid: ")
    assert err.count(b"\n") == 1
