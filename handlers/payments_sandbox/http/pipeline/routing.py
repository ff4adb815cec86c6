"""Which operation a path and a method mean: the one table of paths, filled by Connexion.

Connexion reads the contract, resolves the handler of each operation and registers it at its `RoutingAPI`. That class
keeps Starlette's routes, which are tried one by one, redirect a trailing slash, and know the methods of one route only, so
that `Allow` would be incomplete. `ContractApi` keeps a dictionary of the fixed paths and the patterns of the others.

A path that is not in the table is answered with 404: no other module looks at the path of a request.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from payments_sandbox.http.pipeline.connexion_parts import OpenAPISpecification, RoutingAPI, RoutingMiddleware
from payments_sandbox.http.problems import MethodNotAllowed, RouteNotFound
from payments_sandbox.http.replies import HttpResponse, send_reply
from payments_sandbox.http.request_state import REQUEST_STATE, RequestState

MakeOperation = Callable[[str, Any], ASGIApp]
"""Makes what serves an operation, of its id and the handler that Connexion resolved."""

_PARAMETER: Final = re.compile(r"\{([^}]+)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """One path.

    template: as the contract writes it; what logs show. methods: by upper-case name; HEAD is there when GET is, with
    GET's operation. allow: the value of the `Allow` header.
    """

    template: str
    methods: Mapping[str, ASGIApp]
    allow: str


class RouteTable:
    """Finds the route of a path: a dictionary for fixed paths, then the templates in the contract's order."""

    def __init__(self) -> None:
        self._methods: dict[str, dict[str, ASGIApp]] = {}
        self._fixed: dict[str, Route] = {}
        self._templates: list[tuple[re.Pattern[str], Route]] = []

    def add(self, method: str, template: str, app: ASGIApp) -> None:
        """Add a method, in upper case, of a path or template."""
        is_new = template not in self._methods
        methods = self._methods.setdefault(template, {})
        methods[method] = app
        if method == "GET":
            methods["HEAD"] = app
        route = Route(template, methods, ", ".join(sorted([*methods, "OPTIONS"])))
        if "{" not in template:
            self._fixed[template] = route
        elif is_new:
            self._templates.append((_compile(template), route))
        else:
            place = next(i for i, (_, known) in enumerate(self._templates) if known.template == template)
            self._templates[place] = (self._templates[place][0], route)

    def find(self, path: str) -> tuple[Route, dict[str, str]]:
        """The route of this decoded path, and its parameters. Raises RouteNotFound."""
        route = self._fixed.get(path)
        if route is not None:
            return route, {}
        for pattern, templated in self._templates:
            found = pattern.fullmatch(path)
            if found is not None:
                return templated, found.groupdict()
        raise RouteNotFound


class ContractApi(RoutingAPI):
    """Connexion's API whose operations stand in a table."""

    def __init__(self, *args: Any, table: RouteTable, make_operation: MakeOperation, **kwargs: Any) -> None:
        # Set first: the base class adds the operations.
        self._table = table
        self._make_operation = make_operation
        super().__init__(*args, **kwargs)

    def make_operation(self, operation: Any) -> ASGIApp:
        return self._make_operation(operation.operation_id, operation.function)

    @staticmethod
    def _framework_path_and_name(_operation: Any, path: str) -> tuple[str, str]:
        return path, path

    def _add_operation_internal(
        self, method: str, path: str, operation: ASGIApp, name: str | None = None
    ) -> None:
        self._table.add(method.upper(), path, operation)


class ContractRouting(RoutingMiddleware):
    """Connexion's routing on one table."""

    def __init__(self, app: ASGIApp) -> None:
        # Not the base class's: it makes the router that the table replaces.
        self.app = app
        self.table = RouteTable()

    def add_api(self, specification: OpenAPISpecification, **kwargs: Any) -> None:
        ContractApi(specification, next_app=self.app, table=self.table, **kwargs)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request by its operation. Raises RouteNotFound or MethodNotAllowed."""
        state: RequestState = scope[REQUEST_STATE]
        route, scope["path_params"] = self.table.find(scope["path"])
        state.route = route.template
        method = scope["method"]
        operation = route.methods.get(method)
        if operation is not None:
            state.is_head = method == "HEAD"
            await operation(scope, receive, send)
        elif method == "OPTIONS":
            await send_reply(send, HttpResponse(204, [(b"allow", route.allow.encode())], b""))
        else:
            raise MethodNotAllowed(route.allow)


def _compile(template: str) -> re.Pattern[str]:
    # No line feed is part of an id, so `[^/\n]`; a pattern that allowed one would let `/v1/cards/x\n` pass.
    literals = _PARAMETER.split(template)
    parts = [
        f"(?P<{part}>[^/\n]+)" if number % 2 else re.escape(part) for number, part in enumerate(literals)
    ]
    return re.compile("".join(parts))
