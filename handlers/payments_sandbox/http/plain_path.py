"""The same app on plain Connexion: its router, its middlewares and its decorators, with the sandbox's checks plugged in
where Connexion offers it (`security_map`, `validator_map`, `resolver`).

This is what `fast_path.py` is measured against and compared with; it can serve too, at a third of the speed. The body
that a handler gets is the one that Connexion's decorators read, the rest is what the sandbox's validators found.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from starlette.types import Message, Receive, Scope

from payments_sandbox.http.connexion_parts import (
    ROUTING_CONTEXT,
    AsyncASGIApp,
    ConnexionMiddleware,
    ConnexionResponse,
    ContextMiddleware,
    MediaTypeDict,
    RequestValidationMiddleware,
    Resolver,
    RoutingMiddleware,
    SecurityMiddleware,
    current_scope,
)
from payments_sandbox.http.contract import JSON_TYPE
from payments_sandbox.http.exchange import EXCHANGE, Exchange, Plan
from payments_sandbox.http.fault_injection import handle
from payments_sandbox.http.replies import render_answer
from payments_sandbox.http.security import Gate
from payments_sandbox.services.ports import Ports


def build_plain_stack(plans: Mapping[str, Plan], gate: Gate, ports: Ports) -> ConnexionMiddleware:
    """Connexion as it comes, without the middlewares that this app does in `shim.py` (errors) or not at all."""
    endpoints = {name: _make_endpoint(plan, ports) for name, plan in plans.items()}
    return ConnexionMiddleware(
        AsyncASGIApp(),
        import_name=__name__,
        middlewares=[RoutingMiddleware, SecurityMiddleware, RequestValidationMiddleware, ContextMiddleware],
        resolver=Resolver(endpoints.__getitem__),
        strict_validation=True,
        security_map={"apiKey": partial(_SecurityHandler, gate)},
        validator_map={
            "parameter": partial(_ParameterValidator, plans),
            "body": MediaTypeDict({JSON_TYPE: partial(_BodyValidator, plans)}),
        },
    )


def restate_request(scope: Scope, exchange: Exchange) -> tuple[Scope, Receive]:
    """The request as Connexion needs it: with the true length, a media type in lower case, and the body once more.

    API Gateway sends no Content-Length, for which Connexion would replace the body by the schema's default; and to
    Connexion `Application/JSON` is a type without a validator.
    """
    restated = {b"content-length": b"%d" % len(exchange.body)}
    media_type = exchange.headers.get(b"content-type")
    if media_type is not None:
        restated[b"content-type"] = media_type.lower()
    kept = [(name, value) for name, value in scope["headers"] if name not in restated]
    scope = {**scope, "headers": [*kept, *restated.items()]}
    return scope, _replay(exchange.body)


class _SecurityHandler:
    """What Connexion makes of the `apiKey` scheme."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def get_fn(self, _scheme: Mapping[str, Any], _scopes: list[str]) -> Callable[[Any], dict[str, Any]]:
        return self._verify

    def _verify(self, request: Any) -> dict[str, Any]:
        self._gate.admit(request.scope[EXCHANGE])
        return {}


class _ParameterValidator:
    """Connexion makes one for each request; it has the media type checked too, which comes before the parameters."""

    def __init__(self, plans: Mapping[str, Plan], *_: Any, **__: Any) -> None:
        self._plans = plans

    def validate(self, scope: Scope) -> None:
        reader = _routed(self._plans, scope).reader
        reader.check_media_type(scope[EXCHANGE])
        reader.read_parameters(scope[EXCHANGE], scope["path_params"], scope["query_string"])


class _BodyValidator:
    """Connexion makes one for each request that has a body of the contract's media type."""

    def __init__(self, plans: Mapping[str, Plan], **_: Any) -> None:
        self._plans = plans

    async def wrap_receive(self, receive: Receive, *, scope: Scope) -> tuple[Receive, Scope]:
        _routed(self._plans, scope).reader.read_body(scope[EXCHANGE])
        return receive, scope


def _routed(plans: Mapping[str, Plan], scope: Scope) -> Plan:
    return plans[scope["extensions"][ROUTING_CONTEXT]["operation_id"]]


def _make_endpoint(plan: Plan, ports: Ports) -> Callable[..., Awaitable[ConnexionResponse]]:
    async def endpoint(body: Any = None, **_: Any) -> ConnexionResponse:
        exchange: Exchange = current_scope[EXCHANGE]
        # Connexion hands an object where no body was sent.
        if exchange.body and plan.operation.body_schema is not None and not plan.operation.kept_as_sent:
            exchange.document = body
        else:
            exchange.document = None
        reply = render_answer(await handle(plan, exchange, ports))
        headers = {name.decode(): value.decode("latin-1") for name, value in reply.headers}
        # Connexion looks for the type among those of the contract, where it stands beside problem+json.
        content_type = headers.pop("content-type", None)
        return ConnexionResponse(reply.status, content_type=content_type, body=reply.body, headers=headers)

    return endpoint


def _replay(body: bytes) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive
