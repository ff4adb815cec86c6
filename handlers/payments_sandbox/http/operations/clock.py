"""Operations of the tag `clock`: what time it is in an account, and moving it."""

from typing import Any

from payments_sandbox.domain.errors import FieldError, InvalidRequest
from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.domain.timestamps import SECOND_MS, format_timestamp, parse_timestamp
from payments_sandbox.http.operations.call import Call, OperationResult
from payments_sandbox.services.time import clocks
from payments_sandbox.services.time.clocks import ClockReading

_LATEST_MS = parse_timestamp("2200-01-01T00:00:00Z")
"""As far as a clock goes: dates stay in four digits, whatever is scheduled from there."""


async def get_clock(call: Call) -> OperationResult:
    """GET /v1/clock"""
    return OperationResult(200, _render(clocks.read_clock(call.world)))


async def advance_clock(call: Call) -> OperationResult:
    """POST /v1/clock/advance"""
    advance = await clocks.advance_clock(
        call.world, call.sender, _target(call), budget_s=call.infrastructure.request_budget_s
    )
    await call.settle_controls(first=advance.first)
    ran = [
        {"work": ran.work, "id": ran.record_id, "due_at": format_timestamp(ran.due_at)} for ran in advance.ran
    ]
    body = {
        "clock": _render(advance.clock),
        "ran": ran,
        "ran_count": advance.ran_count,
        "complete": advance.complete,
    }
    return OperationResult(200, body)


async def reset_clock(call: Call) -> OperationResult:
    """POST /v1/clock/reset"""
    clock, first = clocks.reset_clock(call.world)
    await call.settle_controls(first=first)
    return OperationResult(200, _render(clock))


def _target(call: Call) -> int:
    body = call.body
    if "to" in body:
        pointer, target_ms = "/to", call.moment("/to", body["to"])
    else:
        pointer = "/by_seconds"
        target_ms = clocks.read_clock(call.world).now_ms + body["by_seconds"] * SECOND_MS
    if target_ms >= _LATEST_MS:
        latest = format_timestamp(_LATEST_MS)
        raise InvalidRequest(
            f"A clock goes no further than {latest}.",
            errors=[FieldError(pointer, FieldCode.TOO_LATE, f"leads past {latest}")],
        )
    return target_ms


def _render(clock: ClockReading) -> dict[str, Any]:
    return {
        "now": format_timestamp(clock.now_ms),
        "real_now": format_timestamp(clock.real_ms),
        "ahead_milliseconds": clock.now_ms - clock.real_ms,
    }
