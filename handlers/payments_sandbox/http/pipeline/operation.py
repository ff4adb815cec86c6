"""One operation of the contract: everything that happens to a request once it is known what it asks for.

The order is part of the contract: a body that is too large (413) is refused before a missing key (401), a caller without a
key (401) or over the limit (429) before anything that is wrong with the request (415, 400), and a fault is injected only
into a request that would have been carried out.
"""

from typing import Final

import orjson
from starlette.types import Receive, Scope, Send

from payments_sandbox.http.operations.call import Call, Handler, OperationResult
from payments_sandbox.http.pipeline.authenticator import Authenticator
from payments_sandbox.http.pipeline.fault_injection import answer_with, find_fault
from payments_sandbox.http.problems import RequestTooLarge
from payments_sandbox.http.reading.contract import OperationSpec
from payments_sandbox.http.reading.request_reader import RequestReader
from payments_sandbox.http.replies import Header, HttpResponse, send_reply
from payments_sandbox.http.request_state import REQUEST_STATE, RequestState
from payments_sandbox.services.accounts.controls import controlled_world, get_controls
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.world import plain_world

_JSON_TYPE: Final[Header] = (b"content-type", b"application/json")
_LENGTH_DIGITS_MAX: Final = 12


class ClientGone(Exception):
    """The client hung up before its request was complete; there is no one to answer."""


class ContractOperation:
    """Serves the requests for one operation."""

    def __init__(
        self,
        operation: OperationSpec,
        handler: Handler,
        reader: RequestReader,
        authenticator: Authenticator,
        infrastructure: Infrastructure,
        *,
        body_bytes_max: int,
    ) -> None:
        self._operation_id = operation.operation_id
        self._takes_body = operation.body_schema is not None
        self._secured = operation.secured
        self._takes_faults = operation.takes_faults
        self._handler = handler
        self._reader = reader
        self._authenticator = authenticator
        self._infrastructure = infrastructure
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state: RequestState = scope[REQUEST_STATE]
        if self._takes_body:
            state.body = await _read_body(state, receive, self._body_bytes_max)
        if self._secured:
            self._authenticator.admit(state)
        self._reader.read(state, scope["path_params"], scope["query_string"])
        await send_reply(send, render_answer(await self._answer(state)))

    async def _answer(self, state: RequestState) -> OperationResult:
        """The handler's answer, or what a fault makes of it."""
        infrastructure, principal = self._infrastructure, state.principal
        world = controls = None
        if principal is not None and principal.controlled:
            controls = get_controls(infrastructure, principal.account_id)
            world = controlled_world(infrastructure, principal.account_id, controls, shares_commits=True)
        elif principal is not None:
            world = plain_world(infrastructure, principal.account_id, shares_commits=True)
        call = Call(
            infrastructure=infrastructure,
            operation_id=self._operation_id,
            request_id=state.request_id,
            principal=principal,
            own_world=world,
            body=state.json,
            raw_body=state.body,
            path=state.path,
            query=state.query,
            headers=state.header,
        )
        fault = find_fault(call, controls) if self._takes_faults else None
        if fault is not None:
            return await answer_with(fault, self._carry_out, state, call)
        return await self._carry_out(call)

    async def _carry_out(self, call: Call) -> OperationResult:
        """Handle the call. No operation is answered before what it inserted is committed."""
        inserts = None if call.own_world is None else call.own_world.inserts
        if inserts is None:
            return await self._handler(call)
        try:
            return await self._handler(call)
        finally:
            await inserts.settled()


async def _read_body(state: RequestState, receive: Receive, bytes_max: int) -> bytes:
    """The body in full. Raises RequestTooLarge, and ClientGone."""
    declared = state.headers.get(b"content-length", b"")
    # Absent in chunked requests and behind API Gateway; whatever it says, the bytes are counted too.
    if declared.isdigit() and (len(declared) > _LENGTH_DIGITS_MAX or int(declared) > bytes_max):
        raise RequestTooLarge(bytes_max)
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > bytes_max:
            raise RequestTooLarge(bytes_max)
    return body


def render_answer(answer: OperationResult) -> HttpResponse:
    """The answer as bytes. Without a body there is neither a type nor a length to tell (204)."""
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
    if answer.body is None:
        return HttpResponse(answer.status, headers, b"")
    if answer.content_type is None:
        body, content_type = orjson.dumps(answer.body), _JSON_TYPE
    else:
        body, content_type = answer.body, (b"content-type", answer.content_type.encode("latin-1"))
    return HttpResponse(answer.status, [content_type, (b"content-length", b"%d" % len(body)), *headers], body)
