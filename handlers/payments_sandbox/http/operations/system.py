"""Operations of the tag `system`."""

from payments_sandbox.domain.version import VERSION
from payments_sandbox.http.operations.call import Call, OperationResult


async def get_health(call: Call) -> OperationResult:
    """GET /v1/health"""
    call.infrastructure.store.ping()
    return OperationResult(200, {"status": "ok", "version": VERSION})
