"""The sender against receivers that do whatever a receiver can do, over real sockets, in both kinds of event loop."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from payments_sandbox.adapters.webhooks.addresses import (
    AddressPolicy,
    AddressRefused,
    NameNotResolved,
    resolve,
)
from payments_sandbox.adapters.webhooks.sender import HttpSender
from payments_sandbox.services.ports import Post, ReceiverResponse
from tests.integration.webhook_sender.receivers import (
    BODY,
    NEVER_MS,
    OK,
    SOON_MS,
    Certificate,
    Run,
    Talk,
    hangs,
    keeps,
    post_to,
    read_request,
    receiving,
    reply_of,
    reset,
    says,
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
    run: Run[ReceiverResponse], answer: bytes, status: int, headers: dict[str, str], body: str
) -> None:
    reply = run(reply_of(says(answer)))
    assert (reply.status, reply.body_start, reply.error) == (status, body, None)
    assert headers.items() <= dict(reply.headers).items()
    assert reply.duration_ms >= 0


def test_a_redirect_is_an_answer_and_is_not_followed(run: Run[Any]) -> None:
    async def redirected(status: int) -> tuple[ReceiverResponse, int, int]:
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
def test_what_is_no_answer_has_its_word(run: Run[ReceiverResponse], talk: Talk, error: str) -> None:
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
def test_a_receiver_that_never_gets_to_an_answer_is_a_timeout(run: Run[ReceiverResponse], talk: Talk) -> None:
    reply = run(reply_of(talk, timeout_ms=NEVER_MS))
    assert (reply.status, reply.error) == (None, "timeout")
    assert NEVER_MS * 0.9 <= reply.duration_ms < SOON_MS


def test_a_status_counts_even_if_the_body_never_ends(run: Run[list[ReceiverResponse]]) -> None:
    answers = (
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    )

    async def post() -> list[ReceiverResponse]:
        # Time enough for the head to arrive on a busy machine. The three wait together.
        return await asyncio.gather(
            *(reply_of(says(answer, then="hang"), timeout_ms=10 * NEVER_MS) for answer in answers)
        )

    for answer, reply in zip(answers, run(post()), strict=True):
        assert (reply.status, reply.body_start, reply.error) == (200, "abc", None), answer
        assert reply.duration_ms < SOON_MS


def test_a_status_counts_even_if_the_connection_is_reset_in_the_body(run: Run[ReceiverResponse]) -> None:
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


def test_nobody_listening_is_a_refused_connection(run: Run[ReceiverResponse]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        reply = run(HttpSender(loopback=True).send(post_to(f"http://127.0.0.1:{port}/")))
    assert (reply.status, reply.error) == (None, "connection_refused")


def test_a_receiver_that_does_not_accept_is_a_timeout(run: Run[ReceiverResponse]) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        port = listener.getsockname()[1]
        post = post_to(f"http://127.0.0.1:{port}/", timeout_ms=NEVER_MS)
        assert run(HttpSender(loopback=True).send(post)).error == "timeout"


def test_a_receiver_that_accepts_late_is_waited_for(run: Run[ReceiverResponse]) -> None:
    async def post() -> ReceiverResponse:
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

    async def post() -> ReceiverResponse:
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

    async def post() -> ReceiverResponse:
        async with receiving(listens) as receiver:
            return await HttpSender(loopback=True).send(post_to(receiver.url(), *pieces, pause_ms=150))

    reply = run(post())
    assert reply.status == 200
    assert tuple(heard) == pieces
    assert reply.duration_ms >= 250


@pytest.mark.parametrize("chunks", [[], [b""]])
def test_a_body_may_be_empty(run: Run[Any], chunks: Sequence[bytes]) -> None:
    async def post() -> ReceiverResponse:
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

    async def post() -> ReceiverResponse:
        async with receiving(hasty) as receiver:
            return await HttpSender(loopback=True).send(
                post_to(receiver.url(), b"first", b"second", pause_ms=600_000)
            )

    reply = run(post())
    assert (reply.status, reply.body_start, reply.error) == (413, "no", None)
    assert reply.duration_ms < SOON_MS


def test_an_answer_counts_although_a_large_body_was_never_read(run: Run[Any]) -> None:
    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Long\r\ncontent-length: 0\r\n\r\n")
        await asyncio.Event().wait()

    async def post() -> ReceiverResponse:
        async with receiving(hasty) as receiver:
            return await HttpSender(loopback=True).send(post_to(receiver.url(), b"x" * 16_000_000))

    assert run(post()).status == 413


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_receiver_that_leaves_between_pieces_has_closed_the_connection(run: Run[Any], how: str) -> None:
    async def leaves(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"first")
        if how == "reset":
            reset(writer)

    async def post(pause_ms: int) -> ReceiverResponse:
        async with receiving(leaves) as receiver:
            chunks = [b"first", *[b"more"] * 20]
            return await HttpSender(loopback=True).send(post_to(receiver.url(), *chunks, pause_ms=pause_ms))

    for pause_ms in (0, 20, 600_000):
        reply = run(post(pause_ms))
        assert (reply.status, reply.error) == (None, "connection_closed")
        assert reply.duration_ms < SOON_MS


def test_pauses_do_not_outlast_the_deadline(run: Run[Any]) -> None:
    async def post() -> ReceiverResponse:
        async with receiving(says(OK)) as receiver:
            return await HttpSender(loopback=True).send(
                post_to(receiver.url(), b"first", b"second", pause_ms=600_000, timeout_ms=NEVER_MS)
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
            sending = asyncio.ensure_future(sender.send(post_to(receiver.url(), *chunks, pause_ms=600_000)))
            await started.wait()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            async with asyncio.timeout(60):
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
