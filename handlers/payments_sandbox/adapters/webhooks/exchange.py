"""One request and its answer on an open connection, by h11: bytes in, bytes out, bounded in every direction.

h11 because it leaves the request target alone; client libraries parse URLs and put them together anew.
"""

import asyncio
import codecs
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import h11

from payments_sandbox.adapters.webhooks.connections import Connection
from payments_sandbox.domain.webhook_urls import WebhookUrl
from payments_sandbox.services.ports import Post

USER_AGENT: Final = "payments-sandbox-webhooks/1"

HEAD_BYTES_MAX: Final = 16_384
"""What may come before the answer's head is complete, interim answers (1xx) included."""
READ_BYTES: Final = 4_096

HEADERS_MAX: Final = 32
HEADER_CHARACTERS_MAX: Final = 256
BODY_START_BYTES: Final = 1_024

_OWN_HEADERS: Final = frozenset(
    {
        "host",
        "user-agent",
        "content-length",
        "transfer-encoding",
        "connection",
        "upgrade",
        "expect",
        "te",
        "trailer",
    }
)


class ConnectionClosed(Exception):
    """The receiver closed the connection before its answer's head was complete."""


class MalformedResponse(Exception):
    """What the receiver sent is no HTTP/1 answer, or its head is too long."""


@dataclass(slots=True)
class RawResponse:
    """What has come of the answer so far. status: None until the head is complete. headers: names in lower case.

    The status counts even if the body never ends, breaks off or is malformed.
    """

    status: int | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    complete: bool = False
    bytes_received: int = 0

    def take_head(self, response: h11.Response) -> None:
        self.status = response.status_code
        for name, value in islice(response.headers, HEADERS_MAX):
            self.headers.append(
                (
                    name.decode("latin-1")[:HEADER_CHARACTERS_MAX],
                    value.decode("latin-1")[:HEADER_CHARACTERS_MAX],
                )
            )

    def take_body(self, data: bytes) -> None:
        self.body += data[: BODY_START_BYTES - len(self.body)]

    @property
    def body_start(self) -> str:
        # A character that the limit cuts through is left out; anything else that is no UTF-8 becomes U+FFFD.
        return codecs.getincrementaldecoder("utf-8")("replace").decode(bytes(self.body), final=self.complete)


def request_of(url: WebhookUrl, post: Post, *, keep_alive: bool) -> h11.Request:
    """The head of the request. Raises ValueError, or h11's LocalProtocolError, for headers that no caller may give."""
    for name, _ in post.headers:
        if name.lower() in _OWN_HEADERS:
            raise ValueError(f"the sender alone decides about the header {name}")
    headers = [
        ("Host", url.authority),
        ("User-Agent", USER_AGENT),
        *post.headers,
        ("Content-Length", str(sum(map(len, post.chunks)))),
    ]
    if not keep_alive:
        headers.append(("Connection", "close"))
    return h11.Request(method="POST", target=url.target, headers=headers)


async def exchange(
    connection: Connection, request: h11.Request, chunks: Sequence[bytes], pause_s: float, answer: RawResponse
) -> bool:
    """Send the request, and read the answer into `answer` up to the limits; answers whether the connection can go on.

    An answer that comes before the request is complete counts, and ends the sending.
    Raises ConnectionClosed, MalformedResponse, OSError; each only before the head is complete.
    """
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
    sending = _Sending(http, connection.writer, request, chunks, pause_s)
    try:
        await _receive_head(http, connection.reader, answer)
    finally:
        sending.stop()
    try:
        await _receive_body(http, connection.reader, answer)
    except (h11.RemoteProtocolError, OSError):
        return False
    states = (http.our_state, http.their_state, http.trailing_data)
    return states == (h11.DONE, h11.DONE, (b"", False))


class _Sending:
    """Writes the request piece by piece, on timers: no task is needed, the one that reads learns of a failure.

    Nothing waits for the receiver to take what was written: the pieces are in memory anyway, and a receiver that
    answers without reading would be waited for in vain.
    """

    def __init__(
        self,
        http: h11.Connection,
        writer: asyncio.StreamWriter,
        request: h11.Request,
        chunks: Sequence[bytes],
        pause_s: float,
    ) -> None:
        self._http = http
        self._writer = writer
        self._pause_s = pause_s
        self._left = deque(chunks or [b""])
        self._timer: asyncio.TimerHandle | None = None
        self._send(http.send(request) or b"")

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _send(self, head: bytes = b"") -> None:
        # A lost connection ends the reading, which tells why; writing to it would only be logged.
        if self._writer.transport.is_closing():
            return
        data = head + (self._http.send(h11.Data(data=self._left.popleft())) or b"")
        if self._left:
            self._timer = asyncio.get_running_loop().call_later(self._pause_s, self._send)
        else:
            data += self._http.send(h11.EndOfMessage()) or b""
        self._writer.write(data)


async def _receive_head(http: h11.Connection, reader: asyncio.StreamReader, answer: RawResponse) -> None:
    start = b""
    while True:
        event = _next_event(http)
        if isinstance(event, h11.Response):
            answer.take_head(event)
            return
        if event is not h11.NEED_DATA:
            continue
        if answer.bytes_received > HEAD_BYTES_MAX:
            raise MalformedResponse("the answer's head is too long")
        data = await reader.read(READ_BYTES)
        start = (start + data)[:5]
        # An SSH or mail server greets and then waits; so would we, if h11 were left to wait for a whole head.
        if not b"HTTP/".startswith(start):
            raise MalformedResponse("this is not HTTP")
        if not data:
            raise ConnectionClosed("the receiver closed the connection")
        answer.bytes_received += len(data)
        http.receive_data(data)


async def _receive_body(http: h11.Connection, reader: asyncio.StreamReader, answer: RawResponse) -> None:
    while len(answer.body) < BODY_START_BYTES:
        event = http.next_event()
        if isinstance(event, h11.Data):
            answer.take_body(event.data)
        elif event is h11.NEED_DATA:
            http.receive_data(await reader.read(READ_BYTES))
        else:
            answer.complete = isinstance(event, h11.EndOfMessage)
            return


def _next_event(http: h11.Connection) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
    try:
        return http.next_event()
    except h11.RemoteProtocolError as error:
        raise MalformedResponse("this is not HTTP/1") from error
