"""What `listen` forwards looks like a webhook; what came of it is shown, and no receiver can stop it."""

import io
import itertools
import json
import socket
import ssl
from collections.abc import Iterator

import httpx
import pytest

from payments_sandbox.domain.webhooks import sign
from payments_sandbox.entrypoints.event_feed import ListedEvent
from payments_sandbox.entrypoints.forwarding import body_of
from payments_sandbox.entrypoints.listen import Listener
from payments_sandbox.entrypoints.terminal import Terminal
from tests.doubles.ports import NOW_MS
from tests.each_case import each_case
from tests.unit.entrypoints.cli_fakes import SECRET, Body, Naps, Receiver, World, forwarder_to, rendered

EVENT = ListedEvent(
    "evt_cap_1",
    "payment.captured",
    "2026-11-23T10:00:00.000Z",
    NOW_MS,
    {"amount": 1051, "currency": "EUR", "decline": None, "metadata": {"name": "J\u00fcrgen"}},
)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    with world.client:
        yield world


def test_a_forwarded_event_looks_like_a_webhook() -> None:
    receiver = Receiver(204)
    with forwarder_to(receiver, Naps()) as forwarder:
        outcome = forwarder.forward(EVENT)
    assert (outcome.status, outcome.attempts, outcome.error, outcome.delivered) == (204, 1, None, True)
    (request,) = receiver.requests
    body = (
        b'{"type":"payment.captured","timestamp":"2026-11-23T10:00:00.000Z","data":'
        b'{"amount":1051,"currency":"EUR","decline":null,"metadata":{"name":"J\xc3\xbcrgen"}}}'
    )
    assert request.content == body == body_of(EVENT)
    timestamp = NOW_MS // 1_000
    assert sorted(request.headers.multi_items()) == [
        ("content-length", str(len(body))),
        ("content-type", "application/json"),
        ("host", "localhost:3000"),
        ("user-agent", "payments-sandbox-webhooks/1"),
        ("webhook-id", "evt_cap_1"),
        ("webhook-signature", sign(SECRET, "evt_cap_1", timestamp, body)),
        ("webhook-timestamp", str(timestamp)),
    ]


def test_the_path_is_sent_byte_for_byte() -> None:
    receiver = Receiver(204)
    with forwarder_to(receiver, Naps(), "http://localhost:3000/a/../b%7e?x=%2F&y='") as forwarder:
        forwarder.forward(EVENT)
    assert receiver.requests[0].extensions["target"] == b"/a/../b%7e?x=%2F&y='"


@each_case("status", [301, 400, 410, 500])
def test_an_answer_that_is_no_success_is_reported_and_not_asked_again(status: int) -> None:
    receiver, naps = Receiver(status), Naps()
    with forwarder_to(receiver, naps) as forwarder:
        outcome = forwarder.forward(EVENT)
    assert (outcome.status, outcome.attempts, outcome.delivered) == (status, 1, False)
    assert len(receiver.requests) == 1
    assert naps.taken == []


def test_a_receiver_that_restarts_gets_the_event() -> None:
    receiver = Receiver(httpx.ConnectError("refused"), httpx.RemoteProtocolError("Server disconnected"), 200)
    naps = Naps()
    with forwarder_to(receiver, naps) as forwarder:
        outcome = forwarder.forward(EVENT)
    assert (outcome.status, outcome.attempts, naps.taken) == (200, 3, [0.5, 1.0])


def test_a_receiver_that_stays_away_holds_up_no_more_than_one_event() -> None:
    receiver, naps = (
        Receiver(*[httpx.ConnectError("refused")] * 6, 200, httpx.ReadError("")),
        Naps(),
    )
    with forwarder_to(receiver, naps) as forwarder:
        attempts = [forwarder.forward(EVENT).attempts for _ in range(4)]
        assert attempts == [4, 1, 1, 1]
        assert naps.taken == [0.5, 1.0, 2.0]
        # It was back, so it is waited for again.
        assert forwarder.forward(EVENT).attempts == 4


@each_case(
    ("failure", "cause", "word", "attempts"),
    [
        (httpx.ReadTimeout("slow"), None, "timeout", 1),
        (httpx.ConnectError(""), ConnectionRefusedError(111, "Connection refused"), "connection_refused", 4),
        (httpx.ReadError(""), ConnectionResetError(104, "reset"), "connection_closed", 4),
        (httpx.ConnectError(""), socket.gaierror(-2, "unknown"), "name_not_resolved", 4),
        (httpx.ConnectError(""), ssl.SSLError(1, "certificate"), "tls_failed", 1),
        (httpx.RemoteProtocolError("illegal status line"), None, "malformed_response", 1),
        (httpx.ConnectError("no route"), OSError(113, "No route to host"), "connection_failed", 4),
    ],
)
def test_a_failure_has_a_word(failure: Exception, cause: Exception | None, word: str, attempts: int) -> None:
    failure.__cause__ = cause
    with forwarder_to(Receiver(failure), Naps()) as forwarder:
        outcome = forwarder.forward(EVENT)
    assert (outcome.status, outcome.error, outcome.attempts) == (None, word, attempts)


def test_a_status_counts_though_the_body_breaks_off() -> None:
    broken = Body([b"o", httpx.ReadError("reset")])
    with forwarder_to(Receiver(broken), Naps()) as forwarder:
        assert forwarder.forward(EVENT).delivered


def test_a_long_body_is_left() -> None:
    pieces = itertools.repeat(b"o" * 1_000, 1_000)
    with forwarder_to(Receiver(Body(pieces)), Naps()) as forwarder:
        assert forwarder.forward(EVENT).delivered
    assert next(pieces, None) is not None


def listen_once(world: World, receiver: Receiver | None, *, as_json: bool = False) -> tuple[Listener, str]:
    """What one poll prints."""
    out = io.StringIO()
    forwarder = None if receiver is None else forwarder_to(receiver, Naps())
    listener = Listener(world.feed, forwarder, Terminal(out, out, as_json=as_json), ("payment.captured",))
    listener.poll()
    return listener, out.getvalue()


def test_events_are_shown_with_their_fate_and_others_are_left_out(world: World) -> None:
    world.feed.start()
    world.api.add("evt_auth_1", NOW_MS, "payment.authorized")
    world.api.add("evt_cap_1", NOW_MS + 1, "payment.captured")
    world.api.add("evt_cap_2", NOW_MS + 2, "payment.captured")
    receiver = Receiver(httpx.ConnectError("refused"), 500, 204)
    listener, printed = listen_once(world, receiver)
    first, second = printed.splitlines()
    assert first.startswith("2026-11-23T10:00:00.001Z  payment.captured")
    assert "10.51 EUR  evt_cap_1  -> 500 in " in first
    assert first.endswith(" ms at attempt 2")
    assert "evt_cap_2  -> 204 in " in second
    assert listener.counts == {"events": 2, "delivered": 1}


def test_a_receiver_that_is_down_is_reported(world: World) -> None:
    world.feed.start()
    world.api.add("evt_cap_1", NOW_MS, "payment.captured")
    world.api.add("evt_cap_2", NOW_MS + 1, "payment.captured")
    refused = httpx.ConnectError("")
    refused.__cause__ = ConnectionRefusedError(111, "Connection refused")
    first, second = listen_once(world, Receiver(refused))[1].splitlines()
    assert first.endswith("-> not delivered: connection refused (4 attempts)")
    assert second.endswith("-> not delivered: connection refused")


def test_programs_get_one_object_a_line(world: World) -> None:
    world.feed.start()
    world.api.add("evt_cap_1", NOW_MS, "payment.captured")
    line = json.loads(listen_once(world, Receiver(204), as_json=True)[1])
    assert line["forwarded"].pop("duration_ms") >= 0
    assert line == {
        "kind": "event",
        **rendered(NOW_MS, "evt_cap_1", "payment.captured"),
        "forwarded": {"status": 204, "attempts": 1, "error": None, "delivered": True},
    }
    world.api.add("evt_cap_2", NOW_MS + 1, "payment.captured")
    assert json.loads(listen_once(world, None, as_json=True)[1])["forwarded"] is None
