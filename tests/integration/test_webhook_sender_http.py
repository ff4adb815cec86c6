"""The sender against receivers that do whatever a receiver can do, over real sockets, in both kinds of event loop.

A receiver is a function that is given each connection's reader and writer. All of them listen on this machine, on ports
that are free; deadlines are short only where the receiver never answers.
"""

import asyncio
import contextlib
import gc
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from handlers.adapters.webhooks import connections
from handlers.adapters.webhooks.addresses import AddressPolicy, AddressRefused, NameNotResolved, resolve
from handlers.adapters.webhooks.sender import HttpSender
from handlers.services.ports import Post, Reply

T = TypeVar("T")
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Run = Callable[[Coroutine[Any, Any, T]], T]

BODY = b'{"type":"payment.captured"}'
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
NEVER_MS = 300
"""The deadline where a receiver never answers."""
SOON_MS = 20_000
"""The deadline where it does; nothing is expected to take as long."""


@pytest.fixture(scope="module", autouse=True)
def quick_garbage_collection() -> Iterator[None]:
    """Each test collects its garbage; what was there before need not be looked through each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run[Any]]:
    """Runs a coroutine; afterwards no task and no open socket may be left."""
    factory = None
    if request.param == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop

    async def checked(coroutine: Coroutine[Any, Any, T]) -> T:
        result = await coroutine
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    def start(coroutine: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(checked(coroutine))

    yield start
    gc.collect()  # what was not closed warns now, and a warning is an error


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

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        receiver.connections += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await talk(reader, writer)
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(accept(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(5):
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


async def reply_of(talk: Talk, *, timeout_ms: int = SOON_MS, sender: HttpSender | None = None) -> Reply:
    """What a post to a receiver that talks like this comes to."""
    async with receiving(talk) as receiver:
        return await (sender or HttpSender(loopback=True)).send(
            post_to(receiver.url(), timeout_ms=timeout_ms)
        )


@pytest.mark.parametrize(
    ("answer", "status", "headers", "body"),
    [
        (OK, 200, {"content-length": "2"}, "ok"),
        (b"HTTP/1.1 204 No Content\r\nX-Seen: yes\r\n\r\n", 204, {"x-seen": "yes"}, ""),
        (b"HTTP/1.1 410 Gone\r\ncontent-length: 4\r\n\r\ngone", 410, {}, "gone"),
        (
            b"HTTP/1.1 429 Slow\r\nRetry-After: 30\r\ncontent-length: 0\r\n\r\n",
            429,
            {"retry-after": "30"},
            "",
        ),
        (b"HTTP/1.1 500\r\ncontent-length: 0\r\n\r\n", 500, {}, ""),
        (b"HTTP/1.0 200 OK\r\n\r\nold and to the end", 200, {}, "old and to the end"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + OK, 200, {}, "ok"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            200,
            {},
            "abc",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\ntoo short",
            200,
            {"content-length": "99"},
            "too short",
        ),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntoo long", 200, {}, "too"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n", 200, {}, "ab"),
    ],
)
def test_an_answer_is_told_as_it_came(
    run: Run[Reply], answer: bytes, status: int, headers: dict[str, str], body: str
) -> None:
    reply = run(reply_of(says(answer)))
    assert (reply.status, reply.body_start, reply.error) == (status, body, None)
    assert headers.items() <= dict(reply.headers).items()
    assert reply.duration_ms >= 0


def test_a_redirect_is_an_answer_and_is_not_followed(run: Run[Any]) -> None:
    async def redirected(status: int) -> tuple[Reply, int, int]:
        async with receiving(says(OK)) as target:
            answer = f"HTTP/1.1 {status} Elsewhere\r\nlocation: {target.url()}\r\ncontent-length: 0\r\n\r\n"
            async with receiving(says(answer.encode())) as receiver:
                reply = await HttpSender(loopback=True).send(post_to(receiver.url()))
                return reply, receiver.connections, target.connections

    for status in (301, 302, 303, 307, 308):
        reply, receiver_connections, target_connections = run(redirected(status))
        assert (reply.status, receiver_connections, target_connections) == (status, 1, 0)


@pytest.mark.parametrize(
    ("talk", "error"),
    [
        (says(), "connection_closed"),
        (says(then="reset"), "connection_closed"),
        (says(b"HTTP/1.1 200 OK\r\ncontent-le"), "connection_closed"),
        (says(b"HTTP/1.1 200 OK\r\nx: y\r\n", then="reset"), "connection_closed"),
        (says(b"HTT"), "connection_closed"),
        (says(b"\x00\xff\x17\x03garbage\r\n\r\n"), "malformed_response"),
        (says(b"SSH-2.0-OpenSSH_9.9\r\n", then="hang"), "malformed_response"),
        (says(b"HTTP/1.1 OK\r\n\r\n"), "malformed_response"),
        (says(b"HTTP/1.1 101 Switching\r\nupgrade: h2c\r\n\r\n", then="hang"), "malformed_response"),
        (says(b"HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\n12"), "malformed_response"),
        (says(b"HTTP/1.1 200 OK\r\n" + b"x-y: z\r\n" * 5_000 + b"\r\n", then="hang"), "malformed_response"),
    ],
)
def test_what_is_no_answer_has_its_word(run: Run[Reply], talk: Talk, error: str) -> None:
    reply = run(reply_of(talk))
    assert (reply.status, reply.error, reply.headers, reply.body_start) == (None, error, [], "")


@pytest.mark.parametrize(
    "talk",
    [
        hangs,
        says(then="hang"),
        says(b"HTTP/1.1 200 OK\r\n", then="hang"),
        says(*[bytes([byte]) for byte in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 10_000], pause_s=0.01),
        says(*[b"HTTP/1.1 103 Early Hints\r\n\r\n"] * 300, pause_s=0.02),
    ],
    ids=["says nothing", "reads only", "half a head", "a byte at a time", "hints without end"],
)
def test_a_receiver_that_never_gets_to_an_answer_is_a_timeout(run: Run[Reply], talk: Talk) -> None:
    reply = run(reply_of(talk, timeout_ms=NEVER_MS))
    assert (reply.status, reply.error) == (None, "timeout")
    assert NEVER_MS * 0.9 <= reply.duration_ms < SOON_MS


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"],
        [b"HTTP/1.1 200 OK\r\n\r\nabc"],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"],
    ],
)
def test_a_status_counts_even_if_the_body_never_ends(run: Run[Reply], pieces: list[bytes]) -> None:
    reply = run(reply_of(says(*pieces, then="hang"), timeout_ms=NEVER_MS))
    assert (reply.status, reply.body_start, reply.error) == (200, "abc", None)
    assert reply.duration_ms < SOON_MS


def test_a_status_counts_even_if_the_connection_is_reset_in_the_body(run: Run[Reply]) -> None:
    reply = run(reply_of(says(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", pause_s=0.1, then="reset")))
    assert (reply.status, reply.body_start, reply.error) == (200, "abc", None)


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"400\r\n" + b"x" * 1_024 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536),
        (b"HTTP/1.1 200 OK\r\n", b"x-more: " + b"y" * 1_000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nx: ", b"y" * 65_536),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;", b"a" * 65_536),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x: " + b"y" * 1_000 + b"\r\n"),
    ],
    ids=["chunks", "body", "headers", "one header", "hints", "chunk extension", "trailers"],
)
def test_an_answer_without_end_is_left_soon(run: Run[Any], start: bytes, more: bytes) -> None:
    poured = 0

    async def pours(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal poured
        await read_request(reader)
        writer.write(start)
        while poured < 200_000_000:
            writer.write(more)
            await writer.drain()
            poured += len(more)

    reply = run(reply_of(pours))
    assert (reply.status, reply.error) in ((200, None), (None, "malformed_response"))
    assert reply.body_start in ("", "x" * 1_024)
    # What sockets hold is megabytes; a sender that read on would have had it all.
    assert poured < 50_000_000


@pytest.mark.parametrize(
    ("host", "path", "target"),
    [
        ("localhost", "/a%2Fb?x=%20&y=a+b&z=[1]&&=", "/a%2Fb?x=%20&y=a+b&z=[1]&&="),
        ("LocalHost", "/%c3%A4/../b//c;d?", "/%c3%A4/../b//c;d?"),
        ("127.0.0.1", "/%zz%?%", "/%zz%?%"),
        ("hooks.localhost", '/"<>\\^`{|}~', '/"<>\\^`{|}~'),
        ("localhost", "/@:?https://user:pw@inner/", "/@:?https://user:pw@inner/"),
        ("localhost", "", "/"),
        ("localhost", "?q=1", "/?q=1"),
        ("localhost", "/?", "/?"),
    ],
)
def test_the_url_goes_out_byte_for_byte(run: Run[Any], host: str, path: str, target: str) -> None:
    heard = []

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await read_request(reader))
        writer.write(OK)

    async def post() -> int:
        async with receiving(listens) as receiver:
            headers = [("webhook-id", "evt_1")]
            reply = await HttpSender(loopback=True).send(
                post_to(receiver.url(path, host=host), headers=headers)
            )
            assert reply.status == 200
            return receiver.port

    port = run(post())
    ((head, body),) = heard
    assert head.split(b"\r\n") == [
        f"POST {target} HTTP/1.1".encode(),
        f"Host: {host}:{port}".encode(),
        b"User-Agent: payments-sandbox-webhooks/1",
        b"webhook-id: evt_1",
        f"Content-Length: {len(BODY)}".encode(),
        b"Connection: close",
        b"",
        b"",
    ]
    assert body == BODY


def test_nobody_listening_is_a_refused_connection(run: Run[Reply]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        reply = run(HttpSender(loopback=True).send(post_to(f"http://127.0.0.1:{port}/")))
    assert (reply.status, reply.error) == (None, "connection_refused")


def test_a_receiver_that_does_not_accept_is_a_timeout(run: Run[Reply]) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        port = listener.getsockname()[1]
        post = post_to(f"http://127.0.0.1:{port}/", timeout_ms=NEVER_MS)
        assert run(HttpSender(loopback=True).send(post)).error == "timeout"


def test_a_receiver_that_accepts_late_is_waited_for(run: Run[Reply]) -> None:
    async def post() -> Reply:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            port = listener.getsockname()[1]
            sending = asyncio.ensure_future(
                HttpSender(loopback=True).send(post_to(f"http://127.0.0.1:{port}/"))
            )
            await asyncio.sleep(0.2)
            assert not sending.done()
            accepted, _ = listener.accept()
            with accepted:
                accepted.sendall(OK)
                return await sending

    reply = run(post())
    assert reply.status == 200
    assert reply.duration_ms >= 150


def test_the_second_address_of_localhost_is_tried(run: Run[Any]) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")

    async def post() -> Reply:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(OK)
            writer.close()

        server = await asyncio.start_server(accept, "::1", 0)
        port = server.sockets[0].getsockname()[1]
        reply = await HttpSender(loopback=True).send(post_to(f"http://localhost:{port}/"))
        server.close()
        await asyncio.sleep(0.05)
        return reply

    assert run(post()).status == 200


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "0"])
def test_however_this_machine_is_spelled_it_is_not_reached(run: Run[Any], host: str) -> None:
    with pytest.raises((AddressRefused, NameNotResolved)):
        run(resolve(host, 443, AddressPolicy()))


def test_a_host_of_this_machine_is_refused_where_the_home_does_not_allow_it(run: Run[Any]) -> None:
    async def post() -> tuple[list[str | None], int]:
        async with receiving(says(OK)) as receiver:
            sender = HttpSender(loopback=False)
            urls = [receiver.url(scheme=scheme) for scheme in ("http", "https")]
            return [(await sender.send(post_to(url))).error for url in urls], receiver.connections

    assert run(post()) == (["address_refused", "address_refused"], 0)


# Pieces, and answers that come before the last of them.


def test_the_body_goes_out_piece_by_piece(run: Run[Any]) -> None:
    pieces = (b"first", b"second", b"third")
    heard: list[bytes] = []

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Content-Length: 16\r\n" in head
        while sum(map(len, heard)) < 16:
            heard.append(await reader.read(1_000))
        writer.write(OK)

    async def post() -> Reply:
        async with receiving(listens) as receiver:
            return await HttpSender(loopback=True).send(post_to(receiver.url(), *pieces, pause_ms=150))

    reply = run(post())
    assert reply.status == 200
    assert tuple(heard) == pieces
    assert reply.duration_ms >= 250


@pytest.mark.parametrize("chunks", [[], [b""]])
def test_a_body_may_be_empty(run: Run[Any], chunks: Sequence[bytes]) -> None:
    async def post() -> Reply:
        async with receiving(says(OK)) as receiver:
            return await HttpSender(loopback=True).send(Post(receiver.url(), [], chunks, SOON_MS))

    assert run(post()).status == 200


@pytest.mark.parametrize("then", ["close", "reset", "hang"])
def test_an_answer_before_the_last_piece_counts(run: Run[Any], then: str) -> None:
    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"first")
        writer.write(b"HTTP/1.1 413 Too Long\r\ncontent-length: 2\r\n\r\nno")
        await asyncio.sleep(0.05)
        if then == "reset":
            reset(writer)
        elif then == "hang":
            await asyncio.Event().wait()

    async def post() -> Reply:
        async with receiving(hasty) as receiver:
            return await HttpSender(loopback=True).send(
                post_to(receiver.url(), b"first", b"second", pause_ms=60_000)
            )

    reply = run(post())
    assert (reply.status, reply.body_start, reply.error) == (413, "no", None)
    assert reply.duration_ms < SOON_MS


def test_an_answer_counts_although_a_large_body_was_never_read(run: Run[Any]) -> None:
    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Long\r\ncontent-length: 0\r\n\r\n")
        await asyncio.Event().wait()

    async def post() -> Reply:
        async with receiving(hasty) as receiver:
            return await HttpSender(loopback=True).send(post_to(receiver.url(), b"x" * 16_000_000))

    assert run(post()).status == 413


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_receiver_that_leaves_between_pieces_has_closed_the_connection(run: Run[Any], how: str) -> None:
    async def leaves(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"first")
        if how == "reset":
            reset(writer)

    async def post(pause_ms: int) -> Reply:
        async with receiving(leaves) as receiver:
            chunks = [b"first", *[b"more"] * 20]
            return await HttpSender(loopback=True).send(post_to(receiver.url(), *chunks, pause_ms=pause_ms))

    for pause_ms in (0, 20, 60_000):
        reply = run(post(pause_ms))
        assert (reply.status, reply.error) == (None, "connection_closed")
        assert reply.duration_ms < SOON_MS


def test_pauses_do_not_outlast_the_deadline(run: Run[Any]) -> None:
    async def post() -> Reply:
        async with receiving(says(OK)) as receiver:
            return await HttpSender(loopback=True).send(
                post_to(receiver.url(), b"first", b"second", pause_ms=60_000, timeout_ms=NEVER_MS)
            )

    reply = run(post())
    assert (reply.status, reply.error) == (None, "timeout")
    assert reply.duration_ms < SOON_MS


# Giving up, and leaving nothing behind.


@pytest.mark.parametrize("chunks", [[BODY], [b"first", b"second"]])
@pytest.mark.parametrize("idle_max", [0, 8])
def test_a_send_that_is_cancelled_closes_its_connection(
    run: Run[Any], chunks: list[bytes], idle_max: int
) -> None:
    async def post() -> None:
        ended = asyncio.Event()

        async def waits(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            started.set()
            try:
                while await reader.read(1_000):
                    pass
            finally:
                ended.set()

        started = asyncio.Event()
        async with receiving(waits) as receiver:
            sender = HttpSender(loopback=True, idle_max=idle_max)
            sending = asyncio.ensure_future(sender.send(post_to(receiver.url(), *chunks, pause_ms=60_000)))
            await started.wait()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            async with asyncio.timeout(10):
                await ended.wait()
            await sender.aclose()

    run(post())


def test_a_send_that_is_cancelled_closes_the_kept_connection_that_it_took(run: Run[Any]) -> None:
    async def post(steps: int) -> None:
        async with receiving(keeps(then="again")) as receiver:
            sender = HttpSender(loopback=True, idle_max=8)
            assert (await sender.send(post_to(receiver.url()))).status == 200
            sending = asyncio.ensure_future(sender.send(post_to(receiver.url())))
            for _ in range(steps):
                await asyncio.sleep(0)
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending
            await sender.aclose()

    for steps in range(6):
        run(post(steps))


def test_a_send_can_be_cancelled_while_a_name_is_looked_up(run: Run[Any]) -> None:
    async def hanging(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError

    async def post() -> None:
        sender = HttpSender(loopback=True, lookup=hanging)
        sending = asyncio.ensure_future(sender.send(post_to("https://receiver.example/")))
        await asyncio.sleep(0.01)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending

    run(post())


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="the system does not list open files")
def test_failures_leave_no_file_open(run: Run[Any], certificate: "Certificate") -> None:
    async def fail(sender: HttpSender) -> None:
        talks = [
            says(),
            says(b"junk\r\n\r\n", then="hang"),
            says(b"HTTP/1.1 2", then="reset"),
            hangs,
            says(OK),
        ]
        for talk in talks:
            await reply_of(talk, timeout_ms=100, sender=sender)
        async with receiving(hangs, tls=certificate.server_context()) as receiver:
            await sender.send(post_to(receiver.url(scheme="https")))
        async with receiving(hangs) as receiver:
            await sender.send(post_to(receiver.url(scheme="https"), timeout_ms=100))

    async def count() -> tuple[int, int]:
        sender = HttpSender(loopback=True, idle_max=8)
        await fail(sender)
        await sender.aclose()
        before = open_files()
        for _ in range(5):
            await fail(sender)
        await sender.aclose()
        await asyncio.sleep(0.05)
        gc.collect()
        return before, open_files()

    before, after = run(count())
    assert after <= before


# TLS.


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


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """For receiver.example and 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver.example")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName(
        [x509.DNSName("receiver.example"), x509.IPAddress(ip_address("127.0.0.1"))]
    )
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "receiver.pem"
    file.write_bytes(
        built.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return Certificate(file)


async def here(_host: str, _port: int) -> Sequence[str]:
    """A name server that knows every name as this machine."""
    return ["127.0.0.1"]


@pytest.mark.parametrize("idle_max", [0, 8])
def test_a_trusted_receiver_is_reached_by_its_name_at_the_address_that_was_judged(
    run: Run[Any], certificate: Certificate, idle_max: int
) -> None:
    asked: list[str | None] = []
    context = certificate.server_context()
    context.sni_callback = lambda _socket, name, _context: asked.append(name)

    async def post() -> Reply:
        async with receiving(says(OK), tls=context) as receiver:
            sender = HttpSender(
                loopback=True, tls=certificate.client_context(), lookup=here, idle_max=idle_max
            )
            # No name server but `here` knows this name, and ours is asked once.
            reply = await sender.send(post_to(receiver.url(scheme="https", host="Receiver.example")))
            await sender.aclose()
            return reply

    reply = run(post())
    assert (reply.status, reply.body_start, reply.error) == (200, "ok", None)
    assert asked == ["receiver.example"]


def test_a_receiver_may_be_an_address_that_its_certificate_names(
    run: Run[Any], certificate: Certificate
) -> None:
    async def post() -> Reply:
        async with receiving(says(OK), tls=certificate.server_context()) as receiver:
            sender = HttpSender(loopback=True, tls=certificate.client_context())
            return await sender.send(post_to(receiver.url(scheme="https", host="127.0.0.1")))

    assert run(post()).status == 200


def test_a_certificate_that_nobody_vouches_for_is_refused(run: Run[Any], certificate: Certificate) -> None:
    heard: list[bytes] = []

    async def listens(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1_000))

    async def post(host: str, **settings: Any) -> Reply:
        async with receiving(listens, tls=certificate.server_context()) as receiver:
            sender = HttpSender(loopback=True, lookup=here, **settings)
            return await sender.send(post_to(receiver.url(scheme="https", host=host)))

    untrusted = run(post("receiver.example"))
    misnamed = run(post("other.example", tls=certificate.client_context()))
    for reply in (untrusted, misnamed):
        assert (reply.status, reply.error) == (None, "tls_failed")
    assert not b"".join(heard)


def test_a_receiver_without_tls_fails_the_handshake(run: Run[Any]) -> None:
    async def post(talk: Talk, timeout_ms: int) -> Reply:
        async with receiving(talk) as receiver:
            return await HttpSender(loopback=True).send(
                post_to(receiver.url(scheme="https"), timeout_ms=timeout_ms)
            )

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def leaves(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        pass

    assert run(post(plain, SOON_MS)).error == "tls_failed"
    assert run(post(hangs, NEVER_MS)).error == "timeout"
    assert run(post(leaves, SOON_MS)).error in ("connection_closed", "tls_failed")


def test_a_tls_receiver_that_hangs_or_leaves_is_told_apart(run: Run[Any], certificate: Certificate) -> None:
    async def post(talk: Talk, timeout_ms: int) -> Reply:
        async with receiving(talk, tls=certificate.server_context()) as receiver:
            sender = HttpSender(loopback=True, tls=certificate.client_context(), lookup=here)
            return await sender.send(
                post_to(receiver.url(scheme="https", host="receiver.example"), timeout_ms=timeout_ms)
            )

    assert run(post(hangs, NEVER_MS)).error == "timeout"
    assert run(post(says(), SOON_MS)).error == "connection_closed"
    assert run(post(says(b"HTTP/1.1 200 OK\r\nx"), SOON_MS)).error == "connection_closed"


# Connections that are kept.


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


async def replies_of(
    talk: Talk, posts: int, *, idle_max: int = 8, between_s: float = 0, tls: Certificate | None = None
) -> tuple[list[Reply], int]:
    """The replies to so many posts, one after the other, and how many connections they took."""
    async with receiving(talk, tls=tls.server_context() if tls else None) as receiver:
        client_tls = tls.client_context() if tls else None
        sender = HttpSender(loopback=True, idle_max=idle_max, tls=client_tls, lookup=here)
        url = receiver.url(host="receiver.example", scheme="https") if tls else receiver.url()
        replies = []
        for _ in range(posts):
            replies.append(await sender.send(post_to(url)))
            await asyncio.sleep(between_s)
        await sender.aclose()
        return replies, receiver.connections


def test_posts_share_a_connection_where_connections_are_kept(run: Run[Any], certificate: Certificate) -> None:
    for tls in (None, certificate):
        replies, connected = run(replies_of(keeps(then="again"), 5, tls=tls))
        assert [reply.status for reply in replies] == [200] * 5
        assert connected == 1
        replies, connected = run(replies_of(keeps(then="again"), 5, idle_max=0, tls=tls))
        assert [reply.status for reply in replies] == [200] * 5
        assert connected == 5


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"),
        OK.replace(b"HTTP/1.1", b"HTTP/1.0"),
        OK + b"more than it said",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n" + b"x" * 2_000,
    ],
    ids=["close", "HTTP/1.0", "too long", "not read to its end"],
)
def test_a_connection_is_not_kept_after_an_answer_that_forbids_it(run: Run[Any], answer: bytes) -> None:
    replies, connected = run(replies_of(keeps(*[answer] * 3), 3))
    assert [reply.status for reply in replies] == [200] * 3
    assert connected == 3


def test_a_connection_that_was_closed_meanwhile_is_not_used(run: Run[Any]) -> None:
    replies, connected = run(replies_of(keeps(OK), 3, between_s=0.1))
    assert [reply.status for reply in replies] == [200] * 3
    assert connected == 3


def test_a_connection_on_which_something_was_said_unasked_is_not_used(run: Run[Any]) -> None:
    forged = b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n"

    async def mutters(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await asyncio.sleep(0.05)
        writer.write(forged)
        await read_request(reader)

    replies, connected = run(replies_of(mutters, 2, between_s=0.2))
    assert [reply.status for reply in replies] == [200, 200]
    assert connected == 2


def test_a_kept_connection_that_ends_without_an_answer_is_tried_again_once(
    run: Run[Any], certificate: Certificate
) -> None:
    for tls in (None, certificate):
        replies, connected = run(replies_of(keeps(OK, then="read"), 2, tls=tls))
        assert [reply.status for reply in replies] == [200, 200]
        assert connected == 2


def test_a_new_connection_that_ends_without_an_answer_is_not_tried_again(run: Run[Any]) -> None:
    (reply,), connected = run(replies_of(keeps(then="read"), 1))
    assert (reply.error, connected) == ("connection_closed", 1)


def test_once_an_answer_has_begun_nothing_is_sent_again(run: Run[Any]) -> None:
    (_, reply), connected = run(replies_of(keeps(OK, b"HTTP/1.1 20"), 2))
    assert (reply.error, connected) == ("connection_closed", 1)


def test_a_slow_post_has_a_connection_of_its_own(run: Run[Any]) -> None:
    async def post() -> int:
        async with receiving(keeps(then="again")) as receiver:
            sender = HttpSender(loopback=True, idle_max=8)
            assert (await sender.send(post_to(receiver.url()))).status == 200
            assert (await sender.send(post_to(receiver.url(), b"a", b"b", pause_ms=1))).status == 200
            await sender.aclose()
            return receiver.connections

    assert run(post()) == 2


def test_no_more_connections_are_kept_than_allowed(run: Run[Any]) -> None:
    async def post() -> list[int]:
        at_once = [0, 0]

        async def counts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            at_once[0] += 1
            try:
                while True:
                    await read_request(reader)
                    await asyncio.sleep(0.1)
                    writer.write(OK)
            finally:
                at_once[0] -= 1

        async with receiving(counts) as receiver:
            sender = HttpSender(loopback=True, idle_max=3)
            replies = await asyncio.gather(*[sender.send(post_to(receiver.url())) for _ in range(10)])
            assert [reply.status for reply in replies] == [200] * 10
            await settled(lambda: at_once[0] <= 3)
            kept = at_once[0]
            await sender.aclose()
            await settled(lambda: at_once[0] == 0)
            return [kept, at_once[0]]

    assert run(post()) == [3, 0]


async def settled(condition: Callable[[], bool]) -> None:
    """Wait until this holds, for ten seconds at most."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_kept_connection_is_closed_when_nobody_uses_it(
    run: Run[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_S", 0.05)

    async def post() -> None:
        ended = asyncio.Event()

        async def watches(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(OK)
            with contextlib.suppress(OSError):
                assert await reader.read(1) == b""
            ended.set()

        async with receiving(watches) as receiver:
            sender = HttpSender(loopback=True, idle_max=8)
            assert (await sender.send(post_to(receiver.url()))).status == 200
            async with asyncio.timeout(10):
                await ended.wait()

    run(post())


def test_a_connection_is_not_kept_past_its_lifetime(run: Run[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LIFETIME_S", -1.0)
    _, connected = run(replies_of(keeps(then="again"), 3))
    assert connected == 3


def test_many_posts_at_once_to_many_receivers_each_get_their_own_answer(run: Run[Any]) -> None:
    def echoing(number: int) -> Talk:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                _, body = await read_request(reader)
                answer = b"%d:%s" % (number, body)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(answer), answer))

        return talk

    async def post() -> None:
        async with contextlib.AsyncExitStack() as exits:
            receivers = [await exits.enter_async_context(receiving(echoing(n))) for n in range(5)]
            sender = HttpSender(loopback=True, idle_max=8)

            async def one(number: int) -> None:
                reply = await sender.send(post_to(receivers[number % 5].url(), b"%d" % number))
                assert reply.body_start == f"{number % 5}:{number}"

            for start in range(0, 200, 40):
                await asyncio.gather(*[one(number) for number in range(start, start + 40)])
            await sender.aclose()

    run(post())


def test_a_sender_serves_another_event_loop_once_it_was_closed(run: Run[Any]) -> None:
    sender = HttpSender(loopback=True, idle_max=8)

    async def post(*, close: bool) -> Reply:
        async with receiving(keeps(then="again")) as receiver:
            reply = await sender.send(post_to(receiver.url()))
            if close:
                await sender.aclose()
            return reply

    assert run(post(close=True)).status == 200
    assert run(post(close=True)).status == 200


def test_connections_do_not_move_to_another_event_loop(run: Run[Any]) -> None:
    sender = HttpSender(loopback=True, idle_max=8)

    async def post() -> None:
        async with receiving(keeps(then="again")) as receiver:
            await sender.send(post_to(receiver.url()))
            other = asyncio.new_event_loop()
            other.close()
            # As if the connection came from there; really leaving one behind would leave a socket open, too.
            sender._idle._loop = other
            with pytest.raises(RuntimeError, match="aclose"):
                await sender.send(post_to(receiver.url()))
            await sender.aclose()

    run(post())
