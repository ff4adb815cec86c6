"""A response as bytes: what every way through the HTTP layer ends in."""

from typing import Final, NamedTuple

import orjson
from starlette.types import Send

from payments_sandbox.http.call import Answer

Header = tuple[bytes, bytes]

_JSON_TYPE: Final[Header] = (b"content-type", b"application/json")


class Reply(NamedTuple):
    """headers: as ASGI wants them, names in lower case. body: what `content-length` counts."""

    status: int
    headers: list[Header]
    body: bytes


def render_answer(answer: Answer) -> Reply:
    """What a handler answered, as bytes. Without a body there is neither a type nor a length to tell (204)."""
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
    if answer.body is None:
        return Reply(answer.status, headers, b"")
    if answer.content_type is None:
        body, content_type = orjson.dumps(answer.body), _JSON_TYPE
    else:
        body, content_type = answer.body, (b"content-type", answer.content_type.encode("latin-1"))
    return Reply(answer.status, [content_type, (b"content-length", b"%d" % len(body)), *headers], body)


async def send_reply(send: Send, reply: Reply) -> None:
    """Send the reply in one piece."""
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
    await send({"type": "http.response.body", "body": reply.body})
