"""Connections that the sender keeps: used again, closed, and never used twice at once."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from payments_sandbox.adapters.webhooks.connections import LIFETIME_S
from payments_sandbox.adapters.webhooks.sender import HttpSender
from payments_sandbox.services.ports import ReceiverResponse
from tests.integration.webhook_sender.receivers import (
    OK,
    Certificate,
    Run,
    Talk,
    here,
    keeps,
    post_to,
    read_request,
    receiving,
)


async def replies_of(
    talk: Talk,
    posts: int,
    *,
    idle_max: int = 8,
    lifetime_s: float = LIFETIME_S,
    between_s: float = 0,
    tls: Certificate | None = None,
) -> tuple[list[ReceiverResponse], int]:
    """The replies to so many posts, one after the other, and how many connections they took."""
    async with receiving(talk, tls=tls.server_context() if tls else None) as receiver:
        client_tls = tls.client_context() if tls else None
        sender = HttpSender(
            loopback=True, idle_max=idle_max, lifetime_s=lifetime_s, tls=client_tls, lookup=here
        )
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
    """Wait until this holds, for a minute at most."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_kept_connection_is_closed_when_nobody_uses_it(run: Run[Any]) -> None:
    async def post() -> None:
        ended = asyncio.Event()

        async def watches(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(OK)
            with contextlib.suppress(OSError):
                assert await reader.read(1) == b""
            ended.set()

        async with receiving(watches) as receiver:
            sender = HttpSender(loopback=True, idle_max=8, idle_s=0.05)
            assert (await sender.send(post_to(receiver.url()))).status == 200
            async with asyncio.timeout(60):
                await ended.wait()

    run(post())


def test_a_connection_is_not_kept_past_its_lifetime(run: Run[Any]) -> None:
    _, connected = run(replies_of(keeps(then="again"), 3, lifetime_s=-1.0))
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

    async def post(*, close: bool) -> ReceiverResponse:
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

            def post_from_another_loop() -> None:
                with pytest.raises(RuntimeError, match="aclose"):
                    asyncio.run(sender.send(post_to(receiver.url())))

            await asyncio.to_thread(post_from_another_loop)
            await sender.aclose()

    run(post())
