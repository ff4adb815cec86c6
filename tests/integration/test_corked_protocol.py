"""A response that leaves in one piece is, byte for byte, the one that uvicorn would have sent."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from payments_sandbox.entrypoints.corked_protocol import CorkedHttpProtocol

Header = tuple[bytes, bytes]

LENGTH = (b"content-length", b"4")
REQUEST = b"GET /v1/health HTTP/1.1\r\nHost: sandbox\r\n\r\n"
POST = b"POST /v1/authorize HTTP/1.1\r\nHost: sandbox\r\nContent-Length: 2\r\n\r\n{}"


class Wire(asyncio.Transport):
    """A connection's other end: what was written to it, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def start(status: int = 201, headers: Sequence[Header] = (LENGTH,)) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(content: bytes = b"done", **more: Any) -> Message:
    return {"type": "http.response.body", "body": content, **more}


def answering(*messages: Message) -> ASGIApp:
    """An app that reads its request and sends these."""

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for message in messages:
            await send(dict(message))

    return app


def exchange(protocol_class: Callable[..., HttpToolsProtocol], app: ASGIApp, *requests: bytes) -> Wire:
    """Have the app answer what arrives, one packet after another."""

    async def talk() -> Wire:
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
        config.load()
        state = ServerState()
        state.default_headers = [(b"date", b"Wed, 25 Nov 2026 21:40:00 GMT")]
        protocol = protocol_class(config=config, server_state=state, app_state={})
        wire = Wire()
        protocol.connection_made(wire)
        for request in requests:
            protocol.data_received(request)
            for _ in range(20):
                await asyncio.sleep(0)
        closed = wire.closed
        protocol.connection_lost(None)
        wire.closed = closed
        return wire

    return asyncio.run(talk())


def both(app: ASGIApp, *requests: bytes) -> tuple[Wire, Wire]:
    return exchange(HttpToolsProtocol, app, *requests), exchange(CorkedHttpProtocol, app, *requests)


@pytest.mark.parametrize("requests", [[REQUEST], [POST], [REQUEST, POST, REQUEST]])
def test_an_ordinary_response_is_the_same_but_one_write(requests: list[bytes]) -> None:
    headers = [
        LENGTH,
        (b"content-type", b"application/json"),
        (b"vary", b"origin"),
        (b"x-note", b"a\tb \xff"),
    ]
    theirs, ours = both(answering(start(headers=headers), body()), *requests)
    assert b"".join(ours.writes) == b"".join(theirs.writes)
    assert len(ours.writes) == len(requests)
    assert len(theirs.writes) == 2 * len(requests)
    assert not ours.closed


@pytest.mark.parametrize(
    ("messages", "requests"),
    [
        pytest.param([start(headers=[]), body()], [REQUEST], id="without a length"),
        pytest.param([start(headers=[(b"transfer-encoding", b"chunked")]), body()], [REQUEST], id="chunked"),
        pytest.param([start(), body(b"do", more_body=True), body(b"ne")], [REQUEST], id="in two pieces"),
        pytest.param([start(204, []), body(b"")], [REQUEST], id="without a body"),
        pytest.param([start(304, []), body(b"")], [REQUEST], id="not modified"),
        pytest.param([start(), body()], [REQUEST.replace(b"GET", b"HEAD")], id="to HEAD"),
        pytest.param([start(headers=[LENGTH, (b"connection", b"close")]), body()], [REQUEST], id="the last"),
        pytest.param([start(), body()], [REQUEST.replace(b"1.1", b"1.0")], id="to HTTP/1.0"),
        pytest.param(
            [start(), body()],
            [REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")],
            id="asked for",
        ),
        pytest.param([start(headers=[(b"Content-Length", b"4")]), body()], [REQUEST], id="in capitals"),
        pytest.param([start(), body()], [REQUEST * 3], id="pipelined"),
        pytest.param(
            [start(), body()],
            [POST.replace(b"\r\n\r\n{}", b"\r\nExpect: 100-continue\r\n\r\n"), b"{}"],
            id="expected",
        ),
        pytest.param([start(), body()], [b"GET / HTTP/9.9\r\n\r\n"], id="to what is no request"),
    ],
)
def test_any_other_response_is_uvicorns(messages: list[Message], requests: list[bytes]) -> None:
    theirs, ours = both(answering(*messages), *requests)
    assert theirs.writes
    assert b"".join(ours.writes) == b"".join(theirs.writes)
    assert ours.closed == theirs.closed


@pytest.mark.parametrize(
    "header", [(b"x-note", b"a\r\nset-cookie: b"), (b"x-note", b"\x00"), (b"x note", b"a"), (b"x:note", b"a")]
)
def test_a_header_that_would_break_out_of_its_line_is_refused(
    header: Header, caplog: pytest.LogCaptureFixture
) -> None:
    ours = exchange(CorkedHttpProtocol, answering(start(headers=[LENGTH, header]), body()), REQUEST)
    assert b"done" not in b"".join(ours.writes)
    assert "Invalid HTTP header" in caplog.text


@pytest.mark.parametrize("content", [b"too long", b"no"])
def test_a_body_of_another_length_than_was_said_is_refused(
    content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    theirs, ours = both(answering(start(), body(content)), REQUEST)
    assert b"".join(ours.writes) == b"".join(theirs.writes)
    assert ours.closed
    assert "Response content" in caplog.text


@pytest.mark.parametrize("messages", [[], [start()], [body()], [start(), start()], [start(), body(), body()]])
def test_an_app_that_keeps_no_order_gets_no_further_than_with_uvicorn(
    messages: list[Message], caplog: pytest.LogCaptureFixture
) -> None:
    ours = exchange(CorkedHttpProtocol, answering(*messages), REQUEST)
    assert "ASGI" in caplog.text
    assert ours.closed


def test_an_app_that_fails_before_the_body_leaves_no_half_of_a_response(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start())
        raise RuntimeError("half way")

    ours = exchange(CorkedHttpProtocol, app, REQUEST)
    assert ours.writes[0].startswith(b"HTTP/1.1 500 ")
    assert "half way" in caplog.text
