"""Connections to receivers: opened to addresses that were judged, and kept idle for a moment where that is asked for.

Every connection ends by `abort()`: closing politely would wait for a receiver to read what was written, or for TLS's
farewell, and so leave the end to the receiver.
"""

import asyncio
import socket
import ssl
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

ADDRESSES_TRIED_MAX: Final = 4
BUFFER_BYTES: Final = 16_384
"""Reading pauses when twice this is waiting to be looked at."""

IDLE_S: Final = 4.0
"""How long a connection is kept idle: servers commonly close theirs after five seconds."""
LIFETIME_S: Final = 60.0
"""How old a connection may get: a name's new address, and a certificate's end, are noticed after this long at the latest."""


class Origin(NamedTuple):
    """What a connection is good for. host: a name, by which the certificate is checked, or an address."""

    scheme: str
    host: str
    port: int


@dataclass(eq=False, slots=True)
class Connection:
    """opened_at: by the event loop's clock, in seconds. reused: whether it carried an exchange before."""

    origin: Origin
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    opened_at: float
    reused: bool = False
    expiry: asyncio.TimerHandle | None = None

    def abort(self) -> None:
        """Close at once, whatever was still to be read or written."""
        if self.expiry is not None:
            self.expiry.cancel()
        self.writer.transport.abort()

    async def is_quiet(self) -> bool:
        """Whether the other side has neither closed it nor said anything unasked, as far as is known here."""
        try:
            async with asyncio.timeout(0) as moment:
                await self.reader.read(1)
        except OSError:
            return moment.expired()
        return False


async def connect(
    origin: Origin,
    addresses: Sequence[tuple[socket.AddressFamily, str]],
    tls: ssl.SSLContext | None,
    *,
    deadline: float,
) -> Connection:
    """Connect to the first of the addresses that lets us, TLS included; no name is resolved here.

    Each address is given an equal share of the time that is left, so that one that swallows everything leaves some for
    the next. deadline: by the event loop's clock, in seconds. Raises OSError: the failure that says most.
    """
    loop = asyncio.get_running_loop()
    failures: list[OSError] = []
    tried = addresses[:ADDRESSES_TRIED_MAX]
    for index, (family, address) in enumerate(tried):
        share = (deadline - loop.time()) / (len(tried) - index)
        try:
            async with asyncio.timeout(share):
                return await _open(origin, family, address, tls, handshake_s=max(share, 0) + 1)
        except OSError as error:
            failures.append(error)
    # "Network unreachable", of IPv6 where there is none, says the least.
    telling = (ssl.SSLError, ConnectionError, TimeoutError)
    raise next((error for error in failures if isinstance(error, telling)), failures[0])


async def _open(
    origin: Origin,
    family: socket.AddressFamily,
    address: str,
    tls: ssl.SSLContext | None,
    *,
    handshake_s: float,
) -> Connection:
    reader, writer = await asyncio.open_connection(
        address,
        origin.port,
        family=family,
        flags=socket.AI_NUMERICHOST,
        limit=BUFFER_BYTES,
        ssl=tls,
        server_hostname=None if tls is None else origin.host,
        ssl_handshake_timeout=None if tls is None else handshake_s,
    )
    return Connection(origin, reader, writer, asyncio.get_running_loop().time())


class IdleConnections:
    """Connections that may be used again, at most `idle_max` of them, each for `idle_s`. Belongs to one event loop."""

    def __init__(self, idle_max: int, *, idle_s: float = IDLE_S, lifetime_s: float = LIFETIME_S) -> None:
        self._idle_max = idle_max
        self._idle_s = idle_s
        self._lifetime_s = lifetime_s
        self._idle: dict[Origin, list[Connection]] = defaultdict(list)
        self._count = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    async def take(self, origin: Origin) -> Connection | None:
        """A connection to the origin that is still good, the one used last; None when there is none."""
        self._require_loop()
        while self._idle.get(origin):
            connection = self._idle[origin][-1]
            self._remove(connection)
            try:
                if await connection.is_quiet():
                    return connection
            except asyncio.CancelledError:
                connection.abort()
                raise
            connection.abort()
        return None

    def put(self, connection: Connection) -> None:
        """Keep the connection for a moment, or close it when it is too old, or too many are kept already."""
        self._require_loop()
        loop = asyncio.get_running_loop()
        if self._count >= self._idle_max or loop.time() - connection.opened_at > self._lifetime_s:
            connection.abort()
            return
        connection.reused = True
        connection.expiry = loop.call_later(self._idle_s, self._expire, connection)
        self._idle[connection.origin].append(connection)
        self._count += 1

    def close(self) -> None:
        """Close all of them."""
        for connections in list(self._idle.values()):
            for connection in list(connections):
                self._expire(connection)

    def _expire(self, connection: Connection) -> None:
        self._remove(connection)
        connection.abort()

    def _remove(self, connection: Connection) -> None:
        assert connection.expiry is not None
        connection.expiry.cancel()
        connections = self._idle[connection.origin]
        connections.remove(connection)
        self._count -= 1
        if not connections:
            del self._idle[connection.origin]

    def _require_loop(self) -> None:
        """Connections cannot move to another event loop, nor be closed once theirs is gone."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop and self._count:
            raise RuntimeError("connections are kept from an event loop that did not call aclose()")
        self._loop = loop
