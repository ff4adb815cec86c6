"""Uvicorn's HTTP protocol, but a response leaves in one piece.

Uvicorn writes the head and the body of a response one after the other, and uvloop sends each at once: two system calls and
two packets, a quarter of what an authorization costs the server. Here what is written in one turn of the event loop is
sent together at the end of that turn.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class CorkedTransport:
    """A transport that gathers what is written until the loop's next turn; all else is the transport's own."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._pending: list[bytes] = []
        self._call_soon = asyncio.get_running_loop().call_soon

    def write(self, data: bytes) -> None:
        """Send the data with whatever else is written in this turn."""
        if not self._pending:
            self._call_soon(self._flush)
        self._pending.append(data)

    def close(self) -> None:
        """Send what is gathered, then close."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._pending:
            data = b"".join(self._pending)
            self._pending.clear()
            if not self._transport.is_closing():
                self._transport.write(data)


class CorkedHttpProtocol(HttpToolsProtocol):
    """`HttpToolsProtocol` over a corked transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(CorkedTransport(transport))  # type: ignore[arg-type]
