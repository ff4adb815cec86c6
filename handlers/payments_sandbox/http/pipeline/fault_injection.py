"""Does to a request what its header `X-Sandbox-Fault` or the account's rules ask for.

An operation takes faults when it declares the header in the contract. A response that must not be sent is raised as
`ConnectionLost`; `boundary.py` knows how to cut a connection, and what to answer where it cannot.
"""

import asyncio
from contextlib import suppress
from typing import Final

from payments_sandbox.domain import faults
from payments_sandbox.domain.errors import Quota, RateLimitExceeded, SandboxError, StoreUnavailable
from payments_sandbox.domain.faults import HEADER, Fault, parse_fault
from payments_sandbox.domain.timestamps import SECOND_MS
from payments_sandbox.domain.usage_plans import DEFAULT_PLAN, PLANS
from payments_sandbox.http.operations.call import Call, Handler, OperationResult
from payments_sandbox.http.problems import BadGateway, GatewayTimeout, InternalError, ServiceUnavailable
from payments_sandbox.http.request_state import RequestState
from payments_sandbox.services.accounts.controls import Controls
from payments_sandbox.services.ports import Principal
from payments_sandbox.services.simulation.faults import next_fault

HEADER_NAME: Final = HEADER.lower()

_NOTHING_DONE: Final = "A fault was asked for, and nothing was carried out."
_RESPONSE_LOST: Final = "A fault was asked for: the request was carried out and its response lost. Repeat it with the same idempotency key."


class ConnectionLost(Exception):
    """The caller is not to get a response. instead: what to answer where the connection cannot be cut."""

    def __init__(self, instead: SandboxError) -> None:
        super().__init__(instead.detail)
        self.instead = instead


class SimulatedDefect(InternalError):
    """The answer that a defect of the sandbox would give, on request."""

    def __init__(self) -> None:
        SandboxError.__init__(self, _NOTHING_DONE)


def find_fault(call: Call, controls: Controls | None) -> Fault | None:
    """The header's fault, or else the rules'."""
    asked = call.headers.get(HEADER_NAME)
    if asked is not None:
        return parse_fault(asked, f"header:{HEADER}")
    if controls is None or not controls.faults:
        return None
    return next_fault(call.world, controls, call.operation_id)


async def answer_with(fault: Fault, handler: Handler, state: RequestState, call: Call) -> OperationResult:
    """Do what the fault says. Raises what the handler raises, or what the fault makes of it."""
    state.fault = fault.text
    if fault.latency_ms:
        await asyncio.sleep(fault.latency_ms / SECOND_MS)
    match fault.loss:
        case None:
            return await handler(call)
        case faults.LOSE_RESPONSE:
            # A refusal is lost like any other answer.
            with suppress(SandboxError):
                await handler(call)
            lost = GatewayTimeout(_RESPONSE_LOST)
            raise lost if fault.status is not None else ConnectionLost(lost)
        case faults.DROP_CONNECTION:
            raise ConnectionLost(GatewayTimeout(_NOTHING_DONE))
        case faults.RATE_LIMIT:
            state.quota = _used_up(call.caller, fault.retry_after_s)
            raise RateLimitExceeded(state.quota)
        case faults.STORE_UNAVAILABLE:
            raise StoreUnavailable(_NOTHING_DONE)
        case _:
            raise _error(fault.status)


def _error(status: int | None) -> SandboxError:
    match status:
        case 502:
            return BadGateway(_NOTHING_DONE)
        case 503:
            return ServiceUnavailable(_NOTHING_DONE)
        case 504:
            return GatewayTimeout(_NOTHING_DONE)
    return SimulatedDefect()


def _used_up(principal: Principal, retry_after_s: int) -> Quota:
    """What the limiter would say had the principal asked too often."""
    plan = PLANS.get(principal.plan, PLANS[DEFAULT_PLAN])
    return Quota(plan.name, plan.requests, plan.window_s, 0, retry_after_s, allowed=False)
