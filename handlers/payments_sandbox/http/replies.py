"""A response as bytes: what every way through the HTTP layer ends in."""

from typing import NamedTuple

from starlette.types import Send

Header = tuple[bytes, bytes]


class HttpResponse(NamedTuple):
    """headers: as ASGI wants them, names in lower case. body: what `content-length` counts."""

    status: int
    headers: list[Header]
    body: bytes


async def send_reply(send: Send, reply: HttpResponse) -> None:
    """Send the reply in one piece."""
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
    await send({"type": "http.response.body", "body": reply.body})
