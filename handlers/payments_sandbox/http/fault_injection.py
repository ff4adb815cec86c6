"""Has an operation's handler answer, and does to the request what its header or the account's rules ask for.

The one place between validation and handler, on the fast path and on plain Connexion alike. An operation can fail when it
declares the header `X-Sandbox-Fault` in the contract; for all others, and for accounts without controls that send no such
header, nothing happens here. A response that cannot be sent is raised as `ConnectionLost`; the shim knows how to cut a
connection, or what to say where it cannot.
"""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from payments_sandbox.domain import faults
from payments_sandbox.domain.errors import Quota, RateLimitExceeded, SandboxError, StoreUnavailable
from payments_sandbox.domain.faults import HEADER, Fault, parse_fault
from payments_sandbox.domain.moments import SECOND_MS
from payments_sandbox.domain.plans import DEFAULT_PLAN, PLANS
from payments_sandbox.http.call import Answer, Call
from payments_sandbox.http.problems import BadGateway, GatewayTimeout, InternalError, ServiceUnavailable
from payments_sandbox.services.controls import Controls, get_controls, with_controls
from payments_sandbox.services.faults import next_fault
from payments_sandbox.services.ports import Ports, Principal

if TYPE_CHECKING:
    from payments_sandbox.http.exchange import Exchange, Plan

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


async def handle(plan: "Plan", exchange: "Exchange", ports: Ports) -> Answer:
    """The handler's answer. Raises what the handler raises, or what a fault makes of it."""
    principal = exchange.principal
    controls = None
    if principal is not None and principal.controlled:
        controls = get_controls(ports, principal.account_id)
        ports = with_controls(ports, controls)
    call = exchange.to_call(ports, plan)
    if plan.can_fail and (controls is not None or HEADER_NAME in exchange.header):
        fault = _find_fault(call, controls)
        if fault is not None:
            return await _answer_with(fault, plan, exchange, call)
    return await plan.handler(call)


def _find_fault(call: Call, controls: Controls | None) -> Fault | None:
    """The header's fault, or else the rules'."""
    asked = call.headers.get(HEADER_NAME)
    if asked is not None:
        return parse_fault(asked, f"header:{HEADER}")
    if controls is None or not controls.faults:
        return None
    return next_fault(call.ports, call.account_id, controls, call.operation_id)


async def _answer_with(fault: Fault, plan: "Plan", exchange: "Exchange", call: Call) -> Answer:
    exchange.fault = fault.text
    if fault.latency_ms:
        await asyncio.sleep(fault.latency_ms / SECOND_MS)
    match fault.loss:
        case None:
            return await plan.handler(call)
        case faults.LOSE_RESPONSE:
            # A refusal is lost like any other answer.
            with suppress(SandboxError):
                await plan.handler(call)
            lost = GatewayTimeout(_RESPONSE_LOST)
            raise lost if fault.status is not None else ConnectionLost(lost)
        case faults.DROP_CONNECTION:
            raise ConnectionLost(GatewayTimeout(_NOTHING_DONE))
        case faults.RATE_LIMIT:
            exchange.quota = _used_up(call.caller, fault.retry_after_s)
            raise RateLimitExceeded(exchange.quota)
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
