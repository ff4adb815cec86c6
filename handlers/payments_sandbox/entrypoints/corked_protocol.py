"""Uvicorn's HTTP protocol, but an ordinary response leaves in one piece.

Uvicorn writes the head and the body of a response one after the other, and uvloop sends each at once: two system calls and
two packets, a quarter of what an authorization costs the server. Here the head waits for the body. A response that is in any
way out of the ordinary (in several pieces, without a length, to HEAD, at the end of a connection) is uvicorn's own affair.

It also offers the application a way to cut the connection (`CUT_CONNECTION`), for faults that are asked for.
"""

import asyncio
from functools import lru_cache
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from payments_sandbox.http.pipeline.boundary import CUT_CONNECTION

_LENGTH: Final = b"content-length"
# What says how the body or the connection ends.
_NOT_ORDINARY: Final = frozenset({b"connection", b"transfer-encoding"})
_WITHOUT_BODY: Final = frozenset({204, 304})
_NAMES_MAX: Final = 256


class CorkedHttpProtocol(HttpToolsProtocol):
    """`HttpToolsProtocol` whose application sends through `OnePiece`, and may cut the connection."""

    _lost: asyncio.Event | None = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {CUT_CONNECTION: self._cut}  # type: ignore[dict-item]

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._lost is not None:
            self._lost.set()

    async def _cut(self) -> None:
        """Close the connection without a word, and come back when it is closed: by then uvicorn knows that there is nobody
        to answer."""
        self._lost = asyncio.Event()
        self.transport.abort()
        await self._lost.wait()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        super()._start_asgi_task(cycle, OnePiece(cycle, app).run)  # type: ignore[arg-type]


class OnePiece:
    """Runs the application for one request, and puts its response together."""

    __slots__ = ("_app", "_cycle", "_start")

    def __init__(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:
        self._cycle = cycle
        self._app = app
        self._start: Message | None = None

    def run(self, scope: Scope, receive: Receive, _send: Send) -> Any:
        """The application, as uvicorn calls it; answers what there is to await."""
        return self._app(scope, receive, self.send)

    async def send(self, message: Message) -> None:
        """Keep the head back for the body, then send both."""
        start = self._start
        if start is None:
            if message["type"] == "http.response.start":
                self._start = message
            else:
                await self._cycle.send(message)  # type: ignore[arg-type]
            return
        self._start = None
        if not self._send_whole(start, message):
            await self._cycle.send(start)  # type: ignore[arg-type]
            await self._cycle.send(message)  # type: ignore[arg-type]

    def _send_whole(self, start: Message, message: Message) -> bool:
        """Do all that uvicorn's `send` does for both, if they are ordinary; False leaves them to it."""
        cycle = self._cycle
        body = message.get("body", b"")
        if (
            message.get("more_body", False)
            or not cycle.keep_alive
            or cycle.disconnected
            or cycle.response_started
            or cycle.flow.write_paused
            or cycle.scope["method"] == "HEAD"
            or start["status"] in _WITHOUT_BODY
        ):
            return False
        head = _render_head(start["status"], [*cycle.default_headers, *start["headers"]], len(body))
        if head is None:
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.transport.write(head + body)
        cycle.message_event.set()
        cycle.on_response()
        return True


def _render_head(status: int, headers: list[tuple[bytes, bytes]], body_bytes: int) -> bytes | None:
    """The head of a response whose body has this length; None unless it says so, or when uvicorn has to look at it."""
    lines = [STATUS_LINE[status]]
    length = None
    for name, value in headers:
        if not _is_plain(name):
            return None
        if name == _LENGTH:
            length = value
        lines.append(b"%b: %b\r\n" % (name, value))
    # At once for all: no value may break out of its line.
    if length != b"%d" % body_bytes or HEADER_VALUE_RE.search(b"".join([value for _, value in headers])):
        return None
    lines.append(b"\r\n")
    return b"".join(lines)


@lru_cache(maxsize=_NAMES_MAX)
def _is_plain(name: bytes) -> bool:
    """Whether a header of this name can be sent as it is. The names are the program's own, and few."""
    return name == name.lower() and name not in _NOT_ORDINARY and HEADER_RE.search(name) is None
