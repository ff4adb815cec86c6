"""Types of the parts of Connexion that the sandbox uses; Connexion itself has none."""

from collections.abc import Callable, Sequence
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

class OpenAPISpecification:
    def __init__(self, raw_spec: dict[str, Any], *, base_uri: str = "") -> None: ...
    @classmethod
    def _validate_spec(cls, spec: dict[str, Any]) -> None: ...

class Resolver:
    def __init__(self, function_resolver: Callable[[str], Any]) -> None: ...

class RoutingAPI:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    def make_operation(self, operation: Any) -> ASGIApp: ...
    @staticmethod
    def _framework_path_and_name(operation: Any, path: str) -> tuple[str, str]: ...
    def _add_operation_internal(
        self, method: str, path: str, operation: ASGIApp, name: str | None = None
    ) -> None: ...

class RoutingMiddleware:
    app: ASGIApp
    def __init__(self, app: ASGIApp) -> None: ...
    def add_api(self, specification: OpenAPISpecification, **kwargs: Any) -> None: ...
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

class API:
    def __init__(self, specification: OpenAPISpecification, *, base_path: str, **kwargs: Any) -> None: ...

class ConnexionMiddleware:
    app: ASGIApp
    middleware_stack: Sequence[ASGIApp] | None
    apis: list[API]
    options: Any
    def __init__(
        self,
        app: ASGIApp,
        *,
        import_name: str | None = None,
        middlewares: Sequence[Callable[[ASGIApp], ASGIApp]] | None = None,
        resolver: Resolver | None = None,
    ) -> None: ...
    def _build_middleware_stack(self) -> tuple[ASGIApp, Sequence[ASGIApp]]: ...
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...
