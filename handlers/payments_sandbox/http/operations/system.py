"""Operations of the tag `system`."""

from payments_sandbox.domain.version import VERSION
from payments_sandbox.http.operations.call import Answer, Call


async def get_health(call: Call) -> Answer:
    """GET /v1/health"""
    call.ports.store.ping()
    return Answer(200, {"status": "ok", "version": VERSION})
