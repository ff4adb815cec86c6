"""Receivers for the sender: a function that is given each connection's reader and writer, on a free port of this machine.

Deadlines are short only where the receiver never answers.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from payments_sandbox.adapters.webhooks.sender import HttpSender
from payments_sandbox.services.ports import Post, ReceiverResponse

T = TypeVar("T")
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Run = Callable[[Coroutine[Any, Any, T]], T]

BODY = b'{"type":"payment.captured"}'
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
NEVER_MS = 300
"""The deadline where a receiver never answers."""
SOON_MS = 60_000
"""The deadline where it does; nothing is expected to take as long."""


@dataclass
class Receiver:
    """connections: how many there have been."""

    port: int = 0
    connections: int = 0

    def url(self, path: str = "/hook", *, scheme: str = "http", host: str = "localhost") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


@asynccontextmanager
async def receiving(talk: Talk, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A server on a free port that talks like this on each connection."""
    receiver = Receiver()
    tasks: set[asyncio.Task[None]] = set()
    closing = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        receiver.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await talk(reader, writer)

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if closing.is_set():
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(accept(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        # A task that is cancelled before its first step closes nothing itself.
        task.add_done_callback(lambda _: writer.close())

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        closing.set()
        # A sender whose time was over may have left a connection that is only now taken up, and then aborted. Before the
        # server is closed, as asyncio leaves one open that it finds afterwards.
        await turn_the_loop()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await turn_the_loop()


async def turn_the_loop() -> None:
    """Let everything go on that waits for nothing but its turn."""
    for _ in range(20):
        await asyncio.sleep(0)


def says(*pieces: bytes, pause_s: float = 0, then: str = "close") -> Talk:
    """Reads the request, writes these pieces, and then closes, hangs, or resets the connection."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        if then == "hang":
            await asyncio.Event().wait()
        if then == "reset":
            reset(writer)

    return talk


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head, await reader.readexactly(length)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset, as a process that is killed does."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hangs(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def post_to(
    url: str, *chunks: bytes, timeout_ms: int = SOON_MS, pause_ms: int = 0, headers: Any = ()
) -> Post:
    return Post(url, headers, chunks or (BODY,), timeout_ms, pause_ms)


async def reply_of(
    talk: Talk, *, timeout_ms: int = SOON_MS, sender: HttpSender | None = None
) -> ReceiverResponse:
    """What a post to a receiver that talks like this comes to."""
    async with receiving(talk) as receiver:
        return await (sender or HttpSender(loopback=True)).send(
            post_to(receiver.url(), timeout_ms=timeout_ms)
        )


def keeps(*answers: bytes, then: str = "close") -> Talk:
    """Answers so many requests on one connection, then closes it, reads another and closes it, or goes on for ever."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await read_request(reader)
            writer.write(answer)
            await writer.drain()
        if then == "read":
            await read_request(reader)
        while then == "again":
            await read_request(reader)
            writer.write(OK)

    return talk


@dataclass(frozen=True)
class Certificate:
    """A certificate that signs itself, and its key, in one PEM file."""

    file: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file)
        return context

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.file))


async def here(_host: str, _port: int) -> Sequence[str]:
    """A name server that knows every name as this machine."""
    return ["127.0.0.1"]
