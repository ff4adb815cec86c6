"""The fast path: Connexion's middlewares, each with the work that is the same for every request done once.

Connexion builds validators, parsers and decorators anew for each request. These subclasses put in their place, at the
seams that Connexion offers (`api_cls`, and a router that is asked only when nothing is known), operations that call the
compiled checks directly. Who is asked, and in what order, stays: routing, security, validation, handler.

| seam | what Connexion does per request | what is done here |
|---|---|---|
| RoutingMiddleware | copies the scope, tries each route's pattern | a dictionary of the fixed paths in front |
| SecurityMiddleware.api_cls | makes a request object, wraps four callables | `Gate.admit` |
| RequestValidationMiddleware.api_cls | compiles schemas, parses URI and JSON | `RequestReader.read` |
| AsyncASGIApp.api_cls | decorates the handler, parses the JSON again | calls the handler, sends bytes |

None of these but the last waits for anything. So they are no coroutines, which would cost more than what they do: each
answers with what the next one answers, the coroutine of the handler.

ContextMiddleware is left out: handlers get a `Call` and no context variables. Everything that can differ between this
and plain Connexion (`plain_path.py`) is held together by `tests/integration/test_http_differential.py`.
"""

from collections.abc import Awaitable, Mapping
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from payments_sandbox.http.connexion_parts import (
    ROUTING_CONTEXT,
    AsyncApi,
    AsyncASGIApp,
    ConnexionMiddleware,
    OpenAPISpecification,
    RequestValidationAPI,
    RequestValidationMiddleware,
    Resolver,
    RoutedMiddleware,
    RoutingMiddleware,
    SecurityAPI,
    SecurityMiddleware,
)
from payments_sandbox.http.contract import Operation
from payments_sandbox.http.exchange import EXCHANGE, Plan
from payments_sandbox.http.fault_injection import handle
from payments_sandbox.http.replies import render_answer, send_reply
from payments_sandbox.http.security import Gate
from payments_sandbox.services.ports import Ports

_BASE_PATH: Final = ""


class FastRouting(RoutingMiddleware):
    """A dictionary of the paths without parameters; the others go to Connexion's router."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app)
        self._fixed: dict[tuple[str, str], dict[str, str]] = {}

    def add_api(self, specification: OpenAPISpecification, **kwargs: Any) -> None:
        super().add_api(specification, **kwargs)
        for plan in kwargs["plans"].values():
            operation: Operation = plan.operation
            if "{" not in operation.path:
                found = {"api_base_path": _BASE_PATH, "operation_id": operation.operation_id}
                self._fixed[operation.method, operation.path] = found

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        found = self._fixed.get((scope["method"], scope["path"]))
        if found is None:
            return super().__call__(scope, receive, send)
        scope["path_params"] = {}
        # Servers may share one dict of extensions between requests, so it is not written to.
        scope["extensions"] = {**scope.get("extensions", {}), ROUTING_CONTEXT: found}
        return self.app(scope, receive, send)


class _Routed(RoutedMiddleware):
    """In place of the search through all APIs for the operation that was routed to: there is one API."""

    def add_api(self, specification: OpenAPISpecification, **kwargs: Any) -> Any:
        api = super().add_api(specification, **kwargs)
        self._operations: Mapping[str | None, ASGIApp] = api.operations
        return api

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        operation = self._operations.get(scope["extensions"][ROUTING_CONTEXT]["operation_id"])
        if operation is None:
            return super().__call__(scope, receive, send)
        return operation(scope, receive, send)


class _Admission:
    """In place of Connexion's SecurityOperation."""

    def __init__(self, next_app: ASGIApp, gate: Gate) -> None:
        self._next_app = next_app
        self._gate = gate

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        self._gate.admit(scope[EXCHANGE])
        return self._next_app(scope, receive, send)


class _FastSecurityAPI(SecurityAPI):
    def __init__(self, *args: Any, plans: Mapping[str, Plan], gate: Gate, **kwargs: Any) -> None:
        # Set first: the base class makes the operations.
        self._plans = plans
        self._gate = gate
        super().__init__(*args, **kwargs)

    def make_operation(self, operation: Any) -> ASGIApp:
        secured = self._plans[operation.operation_id].operation.secured
        return _Admission(self.next_app, self._gate) if secured else self.next_app


class FastSecurity(_Routed, SecurityMiddleware):
    api_cls = _FastSecurityAPI


class _Reading:
    """In place of Connexion's RequestValidationOperation."""

    def __init__(self, next_app: ASGIApp, plan: Plan) -> None:
        self._next_app = next_app
        self._read = plan.reader.read

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        self._read(scope[EXCHANGE], scope["path_params"], scope["query_string"])
        return self._next_app(scope, receive, send)


class _FastValidationAPI(RequestValidationAPI):
    def __init__(self, *args: Any, plans: Mapping[str, Plan], **kwargs: Any) -> None:
        self._plans = plans
        super().__init__(*args, **kwargs)

    def make_operation(self, operation: Any) -> ASGIApp:
        return _Reading(self.next_app, self._plans[operation.operation_id])


class FastValidation(_Routed, RequestValidationMiddleware):
    api_cls = _FastValidationAPI


class _Handling:
    """In place of Connexion's AsyncOperation."""

    def __init__(self, plan: Plan, ports: Ports) -> None:
        self._plan = plan
        self._ports = ports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await handle(self._plan, scope[EXCHANGE], self._ports)
        await send_reply(send, render_answer(answer))


class _FastApi(AsyncApi):
    def __init__(self, *args: Any, plans: Mapping[str, Plan], ports: Ports, **kwargs: Any) -> None:
        self._plans = plans
        self._ports = ports
        super().__init__(*args, **kwargs)

    def make_operation(self, operation: Any) -> ASGIApp:
        return _Handling(self._plans[operation.operation_id], self._ports)


class _FastApp(_Routed, AsyncASGIApp):
    api_cls = _FastApi


def build_fast_stack(plans: Mapping[str, Plan]) -> ConnexionMiddleware:
    """Connexion with the fast operations. Its API takes `plans` (by operation id), `gate` and `ports`."""
    return ConnexionMiddleware(
        _FastApp(),
        import_name=__name__,
        middlewares=[FastRouting, FastSecurity, FastValidation],
        resolver=Resolver(lambda operation_id: plans[operation_id].handler),
    )
