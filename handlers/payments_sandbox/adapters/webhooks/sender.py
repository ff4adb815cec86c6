"""`Sender` on asyncio's streams: posts a webhook once, to a judged address, within one deadline, and says what came of it.

It follows no redirect, knows no proxy, cookie or credential, and raises only for what its caller did wrong. The guard
against forged requests is in `addresses.py`; what goes over the wire in `exchange.py`.
"""

import asyncio
import ssl
import time
from functools import cached_property
from typing import Final

import h11

from payments_sandbox.adapters.webhooks.addresses import (
    AddressPolicy,
    AddressRefused,
    Lookup,
    NameNotResolved,
    look_up,
    resolve,
)
from payments_sandbox.adapters.webhooks.connections import (
    IDLE_S,
    LIFETIME_S,
    Connection,
    IdleConnections,
    Origin,
    connect,
)
from payments_sandbox.adapters.webhooks.exchange import (
    ConnectionClosed,
    MalformedResponse,
    RawResponse,
    exchange,
    request_of,
)
from payments_sandbox.domain.attempt_errors import AttemptError
from payments_sandbox.domain.timestamps import SECOND_MS
from payments_sandbox.domain.webhook_urls import split_url
from payments_sandbox.services.ports import Post, ReceiverResponse

_Failure = OSError | NameNotResolved | AddressRefused | ConnectionClosed | MalformedResponse
_FAILURES: Final = (OSError, NameNotResolved, AddressRefused, ConnectionClosed, MalformedResponse)
"""What networks, name servers and receivers do."""


class HttpSender:
    """`Sender` for one event loop.

    loopback: receivers on this machine are allowed, over plain http too; plain http to any other never is.
    tls: how receivers' certificates are checked; by default by the authorities that the operating system trusts.
    lookup: how names become addresses; what it answers is judged all the same.
    idle_max: how many connections are kept for a few seconds after use. With 0, the default, each post has its own and
        nothing needs closing; that is right where each batch runs in an event loop of its own, as in Lambda. With more,
        call `aclose()` before the loop ends.
    idle_s, lifetime_s: how long a connection is kept idle, and how old it may get.
    """

    def __init__(
        self,
        *,
        loopback: bool,
        tls: ssl.SSLContext | None = None,
        lookup: Lookup = look_up,
        idle_max: int = 0,
        idle_s: float = IDLE_S,
        lifetime_s: float = LIFETIME_S,
    ) -> None:
        self._loopback = loopback
        self._given_tls = tls
        self._lookup = lookup
        self._keep_alive = idle_max > 0
        self._idle = IdleConnections(idle_max, idle_s=idle_s, lifetime_s=lifetime_s)

    async def send(self, post: Post) -> ReceiverResponse:
        """See the port. `timeout_ms` covers everything from the name's resolution to the answer's body; once its head is
        there the status counts, even if the body does not end in time.

        Raises ValueError (or h11's LocalProtocolError) for a URL that `url_fault` refuses by its form, and for headers
        that are none or are the sender's own.
        """
        url = split_url(post.url)
        request = request_of(url, post, keep_alive=self._keep_alive)
        origin = Origin(url.scheme, url.host, url.port)
        answer = RawResponse()
        error: AttemptError | None = None
        # uvloop's own clock stands still while a callback runs: good enough for a deadline, not for a duration.
        started = time.monotonic()
        deadline = asyncio.get_running_loop().time() + post.timeout_ms / SECOND_MS
        try:
            async with asyncio.timeout_at(deadline):
                await self._post(origin, request, post, answer, deadline)
        except _FAILURES as failure:
            error = None if answer.status is not None else _attempt_error(failure)
        return ReceiverResponse(
            status=answer.status,
            headers=answer.headers,
            body_start=answer.body_start,
            duration_ms=int((time.monotonic() - started) * SECOND_MS),
            error=error,
        )

    async def aclose(self) -> None:
        """Close the connections that are kept. The sender may be used again, in another event loop too."""
        self._idle.close()
        # A transport closes its socket when the loop comes round, under TLS the second time.
        for _ in range(3):
            await asyncio.sleep(0)

    async def _post(
        self, origin: Origin, request: h11.Request, post: Post, answer: RawResponse, deadline: float
    ) -> None:
        # What is sent slowly on purpose could not be sent again without the receiver noticing.
        kept = await self._idle.take(origin) if len(post.chunks) <= 1 else None
        if kept is not None:
            try:
                await self._exchange(kept, request, post, answer)
                return
            except (ConnectionClosed, ConnectionError):
                # The receiver closed it just as we wrote. It may have read the request first; webhooks come at least
                # once, and the id is the same. Once it has begun to answer, nothing is sent again.
                if answer.bytes_received:
                    raise
        await self._exchange(await self._connect(origin, deadline), request, post, answer)

    async def _exchange(
        self, connection: Connection, request: h11.Request, post: Post, answer: RawResponse
    ) -> None:
        reusable = False
        try:
            reusable = await exchange(connection, request, post.chunks, post.pause_ms / SECOND_MS, answer)
        finally:
            if reusable and self._keep_alive:
                self._idle.put(connection)
            else:
                connection.abort()

    async def _connect(self, origin: Origin, deadline: float) -> Connection:
        encrypted = origin.scheme == "https"
        policy = AddressPolicy(public=encrypted, loopback=self._loopback)
        addresses = await resolve(origin.host, origin.port, policy, lookup=self._lookup)
        return await connect(origin, addresses, self._tls if encrypted else None, deadline=deadline)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # Made when it is first needed: reading the authorities takes some 30 ms.
        return self._given_tls or ssl.create_default_context()


def _attempt_error(failure: _Failure) -> AttemptError:
    match failure:
        case NameNotResolved():
            return AttemptError.NAME_NOT_RESOLVED
        case AddressRefused():
            return AttemptError.ADDRESS_REFUSED
        case MalformedResponse():
            return AttemptError.MALFORMED_RESPONSE
        case TimeoutError():
            return AttemptError.TIMEOUT
        case ssl.SSLError():
            return AttemptError.TLS_FAILED
        case ConnectionRefusedError():
            return AttemptError.CONNECTION_REFUSED
        case ConnectionClosed() | ConnectionError():
            return AttemptError.CONNECTION_CLOSED
        case _:
            return AttemptError.CONNECTION_FAILED
