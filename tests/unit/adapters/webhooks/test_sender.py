"""The sender without a network: what it puts on the wire, what it makes of any bytes, whom it does not even connect to."""

import asyncio
import errno
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from unittest.mock import AsyncMock

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_sandbox.adapters.webhooks import connections
from payments_sandbox.adapters.webhooks.addresses import AddressRefused, NameNotResolved
from payments_sandbox.adapters.webhooks.connections import Connection, Origin, connect
from payments_sandbox.adapters.webhooks.exchange import (
    ConnectionClosed,
    MalformedResponse,
    RawResponse,
    exchange,
    request_of,
)
from payments_sandbox.adapters.webhooks.sender import HttpSender
from payments_sandbox.domain.attempt_errors import AttemptError
from payments_sandbox.domain.webhook_urls import UrlFault, split_url
from payments_sandbox.services.ports import Post, ReceiverResponse
from tests.doubles.ports import FrozenClock
from tests.each_case import each_case
from tests.virtual_time.event_loop import run_virtually

ORIGIN = Origin("https", "receiver.example", 443)
URL = "https://receiver.example/hook"
BODY = b'{"type":"payment.captured"}'

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-one: 1\r\n\r\nok"
CHUNKED = (
    b"HTTP/1.1 503 Later\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nx: y\r\n\r\n"
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + OK
OLD = b"HTTP/1.0 200 OK\r\n\r\nuntil the end"
SAMPLES = (OK, CHUNKED, INTERIM, OLD)


@dataclass
class Wire:
    """Stands for writer and transport: keeps what is written."""

    written: bytearray = field(default_factory=bytearray)
    closed: bool = False

    @property
    def transport(self) -> "Wire":
        return self

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


def post_of(url: str = URL, *chunks: bytes, headers: Sequence[tuple[str, str]] = ()) -> Post:
    return Post(url, list(headers), chunks or (BODY,), timeout_ms=10_000)


def received(pieces: Sequence[bytes]) -> tuple[RawResponse, bool | None, bytes]:
    """What comes of an answer that arrives in these pieces and then ends; None for reusable when there was none."""

    async def run() -> tuple[RawResponse, bool | None, bytes]:
        reader, wire, answer = asyncio.StreamReader(), Wire(), RawResponse()
        for piece in pieces:
            reader.feed_data(piece)
        reader.feed_eof()
        post = post_of()
        request = request_of(split_url(post.url), post, keep_alive=True)
        connection = Connection(ORIGIN, reader, cast(asyncio.StreamWriter, wire), 0)
        try:
            reusable = await exchange(connection, request, post.chunks, 0, answer)
        except (ConnectionClosed, MalformedResponse):
            assert answer.status is None
            return answer, None, bytes(wire.written)
        return answer, reusable, bytes(wire.written)

    return asyncio.run(run())


def wire_bytes(post: Post, *, keep_alive: bool = False) -> bytes:
    http = h11.Connection(h11.CLIENT)
    return http.send(request_of(split_url(post.url), post, keep_alive=keep_alive)) or b""


def sent(post: Post, **settings: Any) -> ReceiverResponse:
    return asyncio.run(HttpSender(**{"loopback": False, **settings}).send(post))


def never(_host: str, _port: int) -> Any:
    raise AssertionError("no name is looked up")


def test_the_request_is_exactly_this() -> None:
    post = post_of(
        "https://Receiver.example:8443/a%2Fb?x=%20&y=a+b&z=[1]&&=",
        b"12",
        b"345",
        headers=[("content-type", "application/json"), ("webhook-id", "evt_1")],
    )
    head = (
        b"POST /a%2Fb?x=%20&y=a+b&z=[1]&&= HTTP/1.1\r\n"
        b"Host: Receiver.example:8443\r\n"
        b"User-Agent: payments-sandbox-webhooks/1\r\n"
        b"content-type: application/json\r\n"
        b"webhook-id: evt_1\r\n"
        b"Content-Length: 5\r\n"
    )
    assert wire_bytes(post) == head + b"Connection: close\r\n\r\n"
    assert wire_bytes(post, keep_alive=True) == head + b"\r\n"


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=60))
def test_path_and_query_go_out_byte_for_byte(rest: str) -> None:
    assert wire_bytes(post_of(f"https://receiver.example/{rest}")).startswith(
        f"POST /{rest} HTTP/1.1\r\n".encode()
    )


@each_case(
    "header",
    [
        ("host", "inner"),
        ("Content-Length", "0"),
        ("transfer-encoding", "chunked"),
        ("Connection", "upgrade"),
        ("expect", "100-continue"),
        ("a", "b\r\nc: d"),
        ("a b", "c"),
        ("a", "ä"),
        ("", "a"),
    ],
)
def test_headers_that_no_caller_may_give_are_the_callers_error(header: tuple[str, str]) -> None:
    with pytest.raises((ValueError, h11.LocalProtocolError)):
        sent(post_of(URL, headers=[header]), lookup=never)


@each_case("url", ["/hook", "https://receiver.example/a b", "https://0x7f.1/", "ftp://a/"])
def test_a_url_that_was_never_checked_is_the_callers_error(url: str) -> None:
    with pytest.raises(UrlFault):
        sent(post_of(url), lookup=never)


@each_case("answer", SAMPLES)
def test_an_answer_is_the_same_however_it_is_cut_into_pieces(answer: bytes) -> None:
    whole, reusable, written = received([answer])
    assert written.endswith(b"\r\n\r\n" + BODY)
    for pieces in ([answer[:9], answer[9:]], [bytes([byte]) for byte in answer]):
        again, reusable_again, _ = received(pieces)
        assert (again.status, again.headers, again.body) == (whole.status, whole.headers, whole.body)
        assert reusable_again == reusable


def test_statuses_headers_and_bodies_are_read() -> None:
    answer, reusable, _ = received([CHUNKED])
    assert (answer.status, answer.headers) == (503, [("transfer-encoding", "chunked")])
    assert (answer.body_start, answer.complete, reusable) == ("abcde", True, True)
    answer, reusable, _ = received([INTERIM])
    assert (answer.status, answer.body_start, reusable) == (200, "ok", True)
    answer, reusable, _ = received([OLD])
    assert (answer.status, answer.body_start, reusable) == (200, "until the end", False)


@each_case(
    "answer",
    [
        OK[:-1],  # cut
        OK + b"more",
        OK.replace(b"x-one: 1", b"connection: close"),
        CHUNKED.replace(b"\r\n0\r\n", b"\r\nzz\r\n"),
    ],
)
def test_a_status_counts_whatever_becomes_of_the_body_but_the_connection_is_done_with(answer: bytes) -> None:
    read, reusable, _ = received([answer])
    assert read.status in (200, 503)
    assert reusable is False


@each_case(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"220 mail.example ESMTP\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 000 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: ten\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n12",
        b"HTTP/1.1 200 OK\r\ncontent-length: " + b"9" * 5_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: b\x00c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 10_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\na: " + b"b" * 100_000,
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10_000,
    ],
)
def test_what_is_no_http_is_malformed(garbage: bytes) -> None:
    assert received([garbage])[1] is None


def test_a_garbled_greeting_is_seen_before_the_connection_ends() -> None:
    async def run() -> None:
        reader, answer, post = asyncio.StreamReader(), RawResponse(), post_of()
        reader.feed_data(b"SSH-2.0-OpenSSH_9.9\r\n")
        connection = Connection(ORIGIN, reader, cast(asyncio.StreamWriter, Wire()), 0)
        request = request_of(split_url(URL), post, keep_alive=False)
        async with asyncio.timeout(60):
            with pytest.raises(MalformedResponse):
                await exchange(connection, request, post.chunks, 0, answer)

    asyncio.run(run())


@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=100).map(lambda rest: b"HTTP/1.1 200 OK\r\n" + rest),
        st.sampled_from(SAMPLES),
    ),
    st.integers(0, 150),
    st.binary(max_size=8),
)
def test_no_bytes_whatever_raise_anything_else(answer: bytes, at: int, mutation: bytes) -> None:
    mutated = answer[:at] + mutation + answer[at + len(mutation) :]
    read, _, _ = received([mutated[:7], mutated[7:]] if len(mutated) > 7 else [mutated or b"x"])
    assert read.status is None or 200 <= read.status <= 999
    assert len(read.body) <= 1_024
    assert isinstance(read.body_start, str)


def test_only_the_start_of_an_answer_is_kept() -> None:
    head = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"v" * 300) for n in range(40)) + b"\r\n"
    answer, reusable, _ = received([head, "ä€".encode() * 1_000])
    assert reusable is False
    assert len(answer.headers) == 32
    assert answer.headers[31] == ("x-31", "v" * 256)
    assert len(answer.body) == 1_024
    # 1024 = 204 * 5 + 4: the last character is cut through, and left out.
    assert answer.body_start == "ä€" * 204 + "ä"


def test_a_body_that_is_no_text_is_shown_all_the_same() -> None:
    answer, _, _ = received([b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n\xffa\xc3\x28"])
    assert answer.body_start == "\ufffda\ufffd("


@pytest.mark.parametrize(
    ("addresses", "word"),
    [
        (["169.254.169.254"], "address_refused"),
        (["8.8.8.8", "10.0.0.1"], "address_refused"),
        (["127.0.0.1"], "address_refused"),
        ([], "name_not_resolved"),
    ],
)
def test_a_host_that_is_refused_is_never_connected_to(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], word: str
) -> None:
    async def lookup(_host: str, _port: int) -> Sequence[str]:
        return addresses

    monkeypatch.setattr(asyncio, "open_connection", never)
    reply = sent(post_of(), lookup=lookup)
    assert (reply.status, reply.error, reply.headers, reply.body_start) == (None, word, [], "")


@pytest.mark.parametrize("loopback", [False, True])
def test_plain_http_to_a_public_address_is_refused(monkeypatch: pytest.MonkeyPatch, loopback: bool) -> None:
    async def lookup(_host: str, _port: int) -> Sequence[str]:
        return ["8.8.8.8"]

    monkeypatch.setattr(asyncio, "open_connection", never)
    for url in ("http://receiver.example/hook", "http://8.8.8.8/hook"):
        assert sent(post_of(url), lookup=lookup, loopback=loopback).error == "address_refused"


def test_a_name_server_that_does_not_answer_is_a_timeout() -> None:
    async def hanging(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError

    reply = sent(Post(URL, [], [BODY], timeout_ms=50), lookup=hanging)
    assert (reply.status, reply.error) == (None, "timeout")
    assert reply.duration_ms >= 45


def test_every_failure_has_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[tuple[Exception, str]] = [
        (NameNotResolved(), "name_not_resolved"),
        (AddressRefused(), "address_refused"),
        (TimeoutError(), "timeout"),
        (OSError(errno.ETIMEDOUT, ""), "timeout"),
        (ConnectionRefusedError(), "connection_refused"),
        (ConnectionResetError(), "connection_closed"),
        (BrokenPipeError(), "connection_closed"),
        (ConnectionClosed(), "connection_closed"),
        (ssl.SSLCertVerificationError(), "tls_failed"),
        (ssl.SSLEOFError(), "tls_failed"),
        (MalformedResponse(), "malformed_response"),
        (OSError(errno.ENETUNREACH, ""), "connection_failed"),
        (OSError(errno.EHOSTUNREACH, ""), "connection_failed"),
        (OSError(errno.EMFILE, ""), "connection_failed"),
    ]
    tls = ssl.create_default_context()
    for failure, word in failures:
        monkeypatch.setattr(asyncio, "open_connection", AsyncMock(side_effect=failure))
        reply = sent(post_of("https://8.8.8.8/hook"), tls=tls)
        assert (reply.status, reply.error) == (None, word), repr(failure)
    assert {word for _, word in failures} == set(AttemptError) - {AttemptError.DROPPED_BY_CHAOS}


def connected(monkeypatch: pytest.MonkeyPatch, outcomes: dict[str, Any]) -> Any:
    """What connecting to these addresses, of which each has its outcome, comes to: the address, or the error."""
    tried: list[str] = []

    async def open_connection(address: str, port: int, **options: Any) -> Any:
        tried.append(address)
        outcome = outcomes[address]
        if isinstance(outcome, BaseException):
            raise outcome
        if outcome == "hang":
            await asyncio.Event().wait()
        assert (port, options["server_hostname"]) == (443, "receiver.example")
        return address, None

    async def run() -> Any:
        found = [(cast(Any, 0), address) for address in outcomes]
        deadline = asyncio.get_running_loop().time() + 10
        try:
            async with asyncio.timeout_at(deadline):
                connection = await connect(ORIGIN, found, ssl.create_default_context(), deadline=deadline)
        except OSError as error:
            return error, tried
        return connection.reader, tried

    monkeypatch.setattr(asyncio, "open_connection", open_connection)
    return run_virtually(run(), FrozenClock())


def test_addresses_are_tried_in_turn_until_one_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = {"a": ConnectionRefusedError(), "b": OSError(errno.ENETUNREACH, ""), "c": "fine", "d": "fine"}
    assert connected(monkeypatch, outcomes) == ("c", ["a", "b", "c"])


def test_an_address_that_swallows_everything_leaves_time_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert connected(monkeypatch, {"a": "hang", "b": "fine"})[0] == "b"


def test_of_several_failures_the_telling_one_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    unreachable, refused = OSError(errno.ENETUNREACH, ""), ConnectionRefusedError()
    assert connected(monkeypatch, {"a": unreachable, "b": refused})[0] is refused
    assert connected(monkeypatch, {"a": unreachable})[0] is unreachable


def test_a_name_with_many_addresses_is_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = {str(number): ConnectionRefusedError() for number in range(100)}
    assert len(connected(monkeypatch, outcomes)[1]) == connections.ADDRESSES_TRIED_MAX


def test_pieces_are_not_written_to_a_connection_that_was_lost() -> None:
    async def run() -> bytes:
        reader, wire, answer = asyncio.StreamReader(), Wire(), RawResponse()
        post = post_of(URL, b"first", b"second")
        request = request_of(split_url(URL), post, keep_alive=False)
        connection = Connection(ORIGIN, reader, cast(asyncio.StreamWriter, wire), 0)
        sending = asyncio.ensure_future(exchange(connection, request, post.chunks, 0.01, answer))
        await asyncio.sleep(0)
        wire.closed = True
        await asyncio.sleep(0.05)
        reader.feed_eof()
        with pytest.raises(ConnectionClosed):
            await sending
        return bytes(wire.written)

    assert asyncio.run(run()).endswith(b"\r\n\r\nfirst")


def test_no_piece_is_written_once_the_answer_is_there() -> None:
    async def run() -> bytes:
        reader, wire, answer = asyncio.StreamReader(), Wire(), RawResponse()
        post = post_of(URL, b"first", b"second")
        connection = Connection(ORIGIN, reader, cast(asyncio.StreamWriter, wire), 0)
        reader.feed_data(OK)
        request = request_of(split_url(URL), post, keep_alive=True)
        assert not await exchange(connection, request, post.chunks, 0.01, answer)
        await asyncio.sleep(0.05)
        return bytes(wire.written)

    assert asyncio.run(run()).endswith(b"\r\n\r\nfirst")


def test_a_connection_that_breaks_in_the_body_only_ends_the_body() -> None:
    async def run() -> tuple[RawResponse, bool]:
        reader, answer, post = asyncio.StreamReader(), RawResponse(), post_of()
        connection = Connection(ORIGIN, reader, cast(asyncio.StreamWriter, Wire()), 0)
        reader.feed_data(OK[:-1])
        asyncio.get_running_loop().call_later(0.01, reader.set_exception, ConnectionResetError())
        request = request_of(split_url(URL), post, keep_alive=True)
        return answer, await exchange(connection, request, post.chunks, 0, answer)

    answer, reusable = asyncio.run(run())
    assert (answer.status, answer.body_start, reusable) == (200, "o", False)
