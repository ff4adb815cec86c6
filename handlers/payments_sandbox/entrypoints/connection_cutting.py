"""Uvicorn's HTTP protocol with one addition: the application can cut the connection (`CUT_CONNECTION`).

The fault `drop_connection` needs this: ASGI has no message for it.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from payments_sandbox.http.pipeline.boundary import CUT_CONNECTION


class CuttableHttpProtocol(HttpToolsProtocol):
    """Offers `CUT_CONNECTION` in the ASGI scope of each request."""

    _lost: asyncio.Event | None = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {CUT_CONNECTION: self._cut}  # type: ignore[dict-item]

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._lost is not None:
            self._lost.set()

    async def _cut(self) -> None:
        """Close the connection without a response. Returns once uvicorn knows that it is closed."""
        self._lost = asyncio.Event()
        self.transport.abort()
        await self._lost.wait()
