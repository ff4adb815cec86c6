"""Operations of the tag `system`."""

from handlers.http.call import Answer, Call
from handlers.settings import VERSION


async def get_health(call: Call) -> Answer:
    """GET /v1/health"""
    call.ports.store.ping()
    return Answer(200, {"status": "ok", "version": VERSION})
