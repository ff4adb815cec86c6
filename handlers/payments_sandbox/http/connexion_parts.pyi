"""Types of the parts of Connexion that the sandbox uses; Connexion itself has none."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

ROUTING_CONTEXT: str
current_scope: Scope

class OpenAPISpecification:
    def __init__(self, raw_spec: dict[str, Any], *, base_uri: str = "") -> None: ...
    @classmethod
    def _validate_spec(cls, spec: dict[str, Any]) -> None: ...

class Resolver:
    def __init__(self, function_resolver: Callable[[str], Any]) -> None: ...

class _RoutedAPI:
    next_app: ASGIApp
    operations: MutableMapping[str | None, Any]
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    def make_operation(self, operation: Any) -> ASGIApp: ...

class AsyncApi(_RoutedAPI): ...
class RequestValidationAPI(_RoutedAPI): ...
class SecurityAPI(_RoutedAPI): ...

class _SpecMiddleware:
    app: ASGIApp
    def add_api(self, specification: OpenAPISpecification, **kwargs: Any) -> Any: ...
    # Coroutines all, but nobody has to know.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]: ...

class _Middleware(_SpecMiddleware):
    def __init__(self, app: ASGIApp) -> None: ...

class RoutingMiddleware(_Middleware): ...
class ContextMiddleware(_Middleware): ...

class RoutedMiddleware(_SpecMiddleware):
    api_cls: type[_RoutedAPI]

class SecurityMiddleware(RoutedMiddleware):
    def __init__(self, app: ASGIApp) -> None: ...

class RequestValidationMiddleware(RoutedMiddleware):
    def __init__(self, app: ASGIApp) -> None: ...

class AsyncASGIApp(RoutedMiddleware):
    def __init__(self) -> None: ...

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
        strict_validation: bool | None = None,
        validator_map: Mapping[str, Any] | None = None,
        security_map: Mapping[str, Any] | None = None,
    ) -> None: ...
    def _build_middleware_stack(self) -> tuple[ASGIApp, Sequence[ASGIApp]]: ...
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

class MediaTypeDict:
    def __init__(self, types: Mapping[str, Any]) -> None: ...

class ConnexionResponse:
    def __init__(
        self,
        status_code: int = 200,
        *,
        content_type: str | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None: ...
