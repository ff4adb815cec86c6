"""The sender over TLS: which certificates it takes, and what it says of the others."""

import asyncio
from typing import Any

import pytest

from payments_sandbox.adapters.webhooks.sender import HttpSender
from payments_sandbox.services.ports import ReceiverResponse
from tests.integration.webhook_sender.receivers import (
    NEVER_MS,
    OK,
    SOON_MS,
    Certificate,
    Run,
    Talk,
    hangs,
    here,
    post_to,
    receiving,
    says,
)


@pytest.mark.parametrize("idle_max", [0, 8])
def test_a_trusted_receiver_is_reached_by_its_name_at_the_address_that_was_judged(
    run: Run[Any], certificate: Certificate, idle_max: int
) -> None:
    asked: list[str | None] = []
    context = certificate.server_context()
    context.sni_callback = lambda _socket, name, _context: asked.append(name)

    async def post() -> ReceiverResponse:
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
    async def post() -> ReceiverResponse:
        async with receiving(says(OK), tls=certificate.server_context()) as receiver:
            sender = HttpSender(loopback=True, tls=certificate.client_context())
            return await sender.send(post_to(receiver.url(scheme="https", host="127.0.0.1")))

    assert run(post()).status == 200


def test_a_certificate_that_nobody_vouches_for_is_refused(run: Run[Any], certificate: Certificate) -> None:
    heard: list[bytes] = []

    async def listens(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1_000))

    async def post(host: str, **settings: Any) -> ReceiverResponse:
        async with receiving(listens, tls=certificate.server_context()) as receiver:
            sender = HttpSender(loopback=True, lookup=here, **settings)
            return await sender.send(post_to(receiver.url(scheme="https", host=host)))

    untrusted = run(post("receiver.example"))
    misnamed = run(post("other.example", tls=certificate.client_context()))
    for reply in (untrusted, misnamed):
        assert (reply.status, reply.error) == (None, "tls_failed")
    assert not b"".join(heard)


def test_a_receiver_without_tls_fails_the_handshake(run: Run[Any]) -> None:
    async def post(talk: Talk, timeout_ms: int) -> ReceiverResponse:
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
    async def post(talk: Talk, timeout_ms: int) -> ReceiverResponse:
        async with receiving(talk, tls=certificate.server_context()) as receiver:
            sender = HttpSender(loopback=True, tls=certificate.client_context(), lookup=here)
            return await sender.send(
                post_to(receiver.url(scheme="https", host="receiver.example"), timeout_ms=timeout_ms)
            )

    assert run(post(hangs, NEVER_MS)).error == "timeout"
    assert run(post(says(), SOON_MS)).error == "connection_closed"
    assert run(post(says(b"HTTP/1.1 200 OK\r\nx"), SOON_MS)).error == "connection_closed"
