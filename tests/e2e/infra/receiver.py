"""A receiver of webhooks on a free port of 127.0.0.1: it takes everything and answers 204, or does as it is told.

It keeps what it was sent, byte for byte. What it answers can be changed at any time, and may depend on the request.
"""

import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from tests.e2e.infra.server import LOOPBACK, until_deadline


@dataclass(frozen=True, slots=True)
class Received:
    """A request. target: as it stands in the request line; headers: names in lower case; at_ms: when it was there."""

    target: str
    headers: Mapping[str, str]
    body: bytes
    at_ms: int

    @property
    def id(self) -> str:
        """The `webhook-id`."""
        return self.headers["webhook-id"]

    @property
    def payload(self) -> dict[str, Any]:
        payload: dict[str, Any] = json.loads(self.body)
        return payload

    @property
    def type(self) -> str:
        """The event's type."""
        return str(self.payload["type"])


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered. after_s: how long that takes. raw: these bytes, and the end of the connection, in its place."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    after_s: float = 0.0
    raw: bytes | None = None


CUT: Final = Answer(raw=b"")

Behaviour = Callable[[Received], Answer]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A sandbox that is killed in the middle of a webhook is no fault of the receiver's."""


class Receiver:
    """As a context manager it listens until the end of the block.

    answer: an answer, or what makes one of a request. tls: speak https with this, under the name `host`. unread: how many
    answers found nobody to read them any more.
    """

    def __init__(
        self,
        answer: Answer | Behaviour | None = None,
        *,
        path: str = "/hooks",
        tls: ssl.SSLContext | None = None,
        host: str = LOOPBACK,
    ) -> None:
        self.answer: Answer | Behaviour = answer or Answer()
        self.unread = 0
        self._requests: list[Received] = []
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._server = _Server((LOOPBACK, 0), self._handler())
        if tls is not None:
            # The handshake is left to the thread of the connection: a sandbox may break it off.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        # Half a second is how long ending would take, for every receiver.
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True)
        self.origin = f"{'http' if tls is None else 'https'}://{host}:{self._server.server_port}"
        self.url = self.origin + path

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def requests(self) -> list[Received]:
        """What was received so far, in its order."""
        with self._lock:
            return list(self._requests)

    @property
    def ids(self) -> list[str]:
        """The `webhook-id` of each request."""
        return [request.id for request in self.requests]

    def wait_for(self, count: int) -> list[Received]:
        """The first request of each event, once there are so many events. Delivery is at least once: a slow machine, or a
        process that is killed, makes a second attempt."""
        first: dict[str, Received] = {}
        for _ in until_deadline(f"{count} events are there"):
            first = {request.id: request for request in reversed(self.requests)}
            if len(first) >= count:
                break
        return list(reversed(first.values()))

    def wait_for_requests(self, count: int) -> list[Received]:
        """Everything, once there are so many requests."""
        for _ in until_deadline(f"{count} requests are there"):
            if len(self.requests) >= count:
                break
        return self.requests

    def wait_for_types(self, *types: str) -> list[Received]:
        """Everything, once there is an event of each of these types."""
        for _ in until_deadline(f"events of {types} are there"):
            if set(types) <= {request.type for request in self.requests}:
                break
        return self.requests

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                assert len(headers) == len(self.headers), "a header came twice"
                received = Received(self.path, headers, body, time.time_ns() // 1_000_000)
                with receiver._lock:
                    receiver._requests.append(received)
                answer = receiver.answer(received) if callable(receiver.answer) else receiver.answer
                if answer.after_s and receiver._ending.wait(answer.after_s):
                    self.close_connection = True
                    return
                try:
                    self._reply(answer)
                except OSError:
                    receiver.unread += 1
                    self.close_connection = True

            def _reply(self, answer: Answer) -> None:
                if answer.raw is not None:
                    self.wfile.write(answer.raw)
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if answer.status != 204:
                    self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
                pass

        return Handler
