"""The HTTP app: contract and infrastructure in, one ASGI app out.

    boundary.py        request id, errors as problem+json, headers of every response, access log
      routing.py       Connexion's registration, one table of paths
        operation.py   read the body, authenticate, validate, inject faults, handle, reply
          operations/  one coroutine for each operation

Everything is built here, before the first request: a contract that cannot be served ends the process at its start.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from payments_sandbox.http.operations.call import Handler
from payments_sandbox.http.pipeline.access_log import AccessLog
from payments_sandbox.http.pipeline.authenticator import Authenticate, Authenticator
from payments_sandbox.http.pipeline.boundary import AsgiBoundary
from payments_sandbox.http.pipeline.connexion_parts import (
    API,
    ConnexionMiddleware,
    OpenAPISpecification,
    Resolver,
)
from payments_sandbox.http.pipeline.lazy_handlers import LazyHandler
from payments_sandbox.http.pipeline.operation import ContractOperation
from payments_sandbox.http.pipeline.routing import ContractRouting
from payments_sandbox.http.problems import RouteNotFound
from payments_sandbox.http.reading.contract import OperationSpec, read_operations
from payments_sandbox.http.reading.request_reader import RequestReader
from payments_sandbox.http.reading.schemas import Schemas
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ports import Randomness

BODY_BYTES_MAX: Final = 16_384
"""What a request may hold: with it an entry, and the event that it becomes, stays under 20 kB."""

FindHandler = Callable[[OperationSpec], Handler]
"""Finds the handler of an operation. Raises ContractError when there is none."""


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How the app is served.

    docs: Swagger UI at /docs, the contract at /openapi.json and /openapi.yaml.
    allowed_origins: the origins whose pages may call the API, exactly as browsers write them.
    body_bytes_max: what is refused with 413 has more.
    contract_is_valid: the build has validated the contract (`validate_contract`), so the start need not.
    access_log: what takes a line for each request, in place of the logger.
    """

    docs: bool = False
    allowed_origins: Collection[str] = ()
    body_bytes_max: int = BODY_BYTES_MAX
    contract_is_valid: bool = False
    access_log: AccessLog | None = None


def build_app(
    contract: Mapping[str, Any],
    infrastructure: Infrastructure,
    *,
    authenticate: Authenticate,
    find_handler: FindHandler = LazyHandler,
    options: HttpOptions | None = None,
) -> AsgiBoundary:
    """The ASGI app that serves the contract. Raises ContractError when the contract cannot be served."""
    options = options or HttpOptions()
    operations = {operation.operation_id: operation for operation in read_operations(contract)}
    schemas = Schemas(contract, late=options.contract_is_valid)
    authenticator = Authenticator(authenticate, infrastructure)
    readers = {name: RequestReader(operation, schemas) for name, operation in operations.items()}

    def make_operation(operation_id: str, handler: Handler) -> ContractOperation:
        return ContractOperation(
            operations[operation_id],
            handler,
            readers[operation_id],
            authenticator,
            infrastructure,
            body_bytes_max=options.body_bytes_max,
        )

    handlers = {name: find_handler(operation) for name, operation in operations.items()}
    connexion = ConnexionMiddleware(
        _unrouted,
        import_name=__name__,
        middlewares=[ContractRouting],
        resolver=Resolver(handlers.__getitem__),
    )
    specification = _specification(contract, operations, is_valid=options.contract_is_valid)
    routing = _mount(connexion, specification, make_operation=make_operation)
    if options.docs:
        from payments_sandbox.http.pipeline.api_docs import ApiDocs

        for path, document in ApiDocs(contract).apps():
            routing.table.add("GET", path, document)
    return AsgiBoundary(
        connexion,
        allowed_origins=options.allowed_origins,
        header_parameters=_header_parameters(operations.values()),
        new_request_id=_request_ids(infrastructure.randomness),
        access_log=options.access_log,
    )


def validate_contract(contract: Mapping[str, Any]) -> None:
    """Raise what the app would raise at its start: what the build calls before it sets `contract_is_valid`."""
    schemas = Schemas(contract)
    for operation in read_operations(contract):
        RequestReader(operation, schemas)
    OpenAPISpecification({**contract})


async def _unrouted(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """What Connexion's middlewares wrap: every operation is registered at the routing, so nothing gets here."""
    raise RouteNotFound


class _ValidSpecification(OpenAPISpecification):
    """A contract that was validated at build time; doing it again takes most of Connexion's start."""

    @classmethod
    def _validate_spec(cls, spec: dict[str, Any]) -> None:
        pass


def _specification(
    contract: Mapping[str, Any], operations: Mapping[str, OperationSpec], *, is_valid: bool
) -> OpenAPISpecification:
    # Connexion writes into what it is given.
    if not is_valid:
        return OpenAPISpecification(_deep_copy(contract))
    return _ValidSpecification(_routes_of(contract, operations))


def _mount(
    connexion: ConnexionMiddleware, specification: OpenAPISpecification, **extra: Any
) -> ContractRouting:
    # What `connexion.add_api` does, which would load (and validate) the specification itself. The base path is empty,
    # because the contract's paths are complete: a path in `servers` would become a mount.
    api = API(specification, base_path="", name=None, **connexion.options.__dict__, **extra)
    connexion.apis.append(api)
    # Connexion builds at the first request, where its complaints would be a caller's.
    connexion.app, connexion.middleware_stack = connexion._build_middleware_stack()
    (routing,) = (each for each in connexion.middleware_stack if isinstance(each, ContractRouting))
    return routing


def _header_parameters(operations: Collection[OperationSpec]) -> set[str]:
    return {
        parameter["name"]
        for operation in operations
        for parameter in operation.parameters
        if parameter["in"] == "header"
    }


def _request_ids(randomness: Randomness) -> Callable[[], str]:
    """Ids that are unique, not secret: one random part for this process, which is what costs, and a counter.

    Eleven digits at most stand in a row, so that nothing takes an id for a card number.
    """
    process = randomness.token(11)
    numbers = count(1)
    return lambda: f"req_{process}x{next(numbers):x}"


def _routes_of(contract: Mapping[str, Any], operations: Mapping[str, OperationSpec]) -> dict[str, Any]:
    """The contract as far as Connexion works by it: paths, operation ids and security. What a request may hold is compiled
    by `RequestReader`; here, it would be copied three times, and be a tenth of a cold start."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations.values():
        written = contract["paths"][operation.path][operation.method.lower()]
        kept: dict[str, Any] = {"operationId": operation.operation_id, "responses": {}}
        if "security" in written:
            kept["security"] = _deep_copy(written["security"])
        kept["parameters"] = [
            {"name": parameter["name"], "in": "path", "required": True, "schema": {"type": "string"}}
            for parameter in operation.parameters
            if parameter["in"] == "path"
        ]
        paths.setdefault(operation.path, {})[operation.method.lower()] = kept
    schemes = contract.get("components", {}).get("securitySchemes", {})
    kept_whole = {name: contract[name] for name in ("openapi", "info", "security") if name in contract}
    return {
        **_deep_copy(kept_whole),
        "components": {"securitySchemes": _deep_copy(schemes)},
        "paths": paths,
    }


def _deep_copy(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _deep_copy(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_deep_copy(value) for value in node]
    return node
