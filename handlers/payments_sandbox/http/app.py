"""The HTTP app: contract, handlers and ports in, one ASGI app out.

    shim.py      request id, route, method, CORS, body, errors, access log
      Connexion    routes, secures, validates and handles: fast_path.py, or plain_path.py
        handlers     payments.py, transactions.py, ...: one coroutine per operation

Everything is built here, before the first request: an operation without a handler, or a contract that cannot be served,
ends the process at its start and not a request at noon.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from starlette.types import ASGIApp

from payments_sandbox.http.access_log import AccessLog
from payments_sandbox.http.connexion_parts import API, ConnexionMiddleware, OpenAPISpecification
from payments_sandbox.http.contract import ContractError, Operation, read_operations
from payments_sandbox.http.exchange import Handler, Plan
from payments_sandbox.http.fast_path import build_fast_stack
from payments_sandbox.http.fault_injection import HEADER_NAME as FAULT_HEADER
from payments_sandbox.http.plain_path import build_plain_stack, restate_request
from payments_sandbox.http.routing import Router
from payments_sandbox.http.schemas import Schemas
from payments_sandbox.http.security import Authenticate, Gate
from payments_sandbox.http.shim import Document, Shim
from payments_sandbox.http.validation import RequestReader
from payments_sandbox.services.ports import Ports, Randomness

__all__ = ["Authenticate", "Handler", "HttpOptions", "build_app", "validate_contract"]


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How the app is served.

    docs: Swagger UI at /docs, the contract at /openapi.json and /openapi.yaml.
    fast_path: False serves the same from plain Connexion, for comparison.
    allowed_origins: the origins whose pages may call the API, exactly as browsers write them.
    body_bytes_max: what is refused with 413 has more.
    contract_is_valid: the build has validated the contract (`validate_contract`), so the start need not.
    access_log: what takes a line for each request, in place of the logger.
    """

    docs: bool = False
    fast_path: bool = True
    allowed_origins: Collection[str] = ()
    body_bytes_max: int = 16_384
    contract_is_valid: bool = False
    access_log: AccessLog | None = None


class _ValidSpecification(OpenAPISpecification):
    """A contract that was validated at build time; doing it again takes most of Connexion's start."""

    @classmethod
    def _validate_spec(cls, spec: dict[str, Any]) -> None:
        pass


def build_app(
    contract: Mapping[str, Any],
    handlers: Mapping[str, Handler],
    ports: Ports,
    *,
    authenticate: Authenticate,
    options: HttpOptions | None = None,
) -> Shim:
    """The ASGI app that serves the contract.

    handlers: by operation id, exactly one for each operation of the contract.
    Raises ContractError when contract and handlers do not fit each other, or the contract cannot be served.
    """
    options = options or HttpOptions()
    operations = read_operations(contract)
    _check_handlers(operations, handlers)
    schemas = Schemas(contract, late=options.contract_is_valid)
    plans = {
        operation.operation_id: Plan(
            operation,
            RequestReader(operation, schemas),
            handlers[operation.operation_id],
            can_fail=_takes_faults(operation),
        )
        for operation in operations
    }
    return Shim(
        _build_connexion(contract, plans, Gate(authenticate, ports), ports, options),
        _build_router(contract, plans, options),
        body_bytes_max=options.body_bytes_max,
        allowed_origins=options.allowed_origins,
        header_parameters=_header_parameters(operations),
        restate=None if options.fast_path else restate_request,
        new_request_id=_request_ids(ports.randomness),
        access_log=options.access_log,
    )


def _takes_faults(operation: Operation) -> bool:
    return any(parameter["name"].lower() == FAULT_HEADER for parameter in operation.parameters)


def _header_parameters(operations: Sequence[Operation]) -> set[str]:
    return {
        parameter["name"]
        for operation in operations
        for parameter in operation.parameters
        if parameter["in"] == "header"
    }


def validate_contract(contract: Mapping[str, Any]) -> None:
    """Raise what the app would raise at its start: what the build calls before it sets `contract_is_valid`."""
    schemas = Schemas(contract)
    for operation in read_operations(contract):
        RequestReader(operation, schemas)
    OpenAPISpecification({**contract})


def _check_handlers(operations: list[Operation], handlers: Mapping[str, Handler]) -> None:
    declared = {operation.operation_id for operation in operations}
    complaints = []
    if missing := sorted(declared - set(handlers)):
        complaints.append(f"operations without a handler: {', '.join(missing)}")
    if unknown := sorted(set(handlers) - declared):
        complaints.append(f"handlers without an operation: {', '.join(unknown)}")
    if complaints:
        raise ContractError("; ".join(complaints))


def _build_connexion(
    contract: Mapping[str, Any],
    plans: Mapping[str, Plan],
    gate: Gate,
    ports: Ports,
    options: HttpOptions,
) -> ASGIApp:
    specification: OpenAPISpecification
    if not options.contract_is_valid:
        # Connexion writes into what it is given.
        specification = OpenAPISpecification(_deep_copy(contract))
    elif options.fast_path:
        specification = _ValidSpecification(_routes_of(contract, plans))
    else:
        specification = _ValidSpecification(_deep_copy(contract))
    if options.fast_path:
        connexion = build_fast_stack(plans)
        extra: dict[str, Any] = {"plans": plans, "gate": gate, "ports": ports}
    else:
        connexion = build_plain_stack(plans, gate, ports)
        extra = {}
    return _mount(connexion, specification, extra)


def _mount(
    connexion: ConnexionMiddleware, specification: OpenAPISpecification, extra: Mapping[str, Any]
) -> ASGIApp:
    # What `connexion.add_api` does, which would load (and validate) the specification itself. The base path is empty,
    # because the contract's paths are complete: a path in `servers` would become a mount.
    api = API(specification, base_path="", name=None, **connexion.options.__dict__, **extra)
    connexion.apis.append(api)
    # Connexion builds at the first request, where its complaints would be a caller's.
    connexion.app, connexion.middleware_stack = connexion._build_middleware_stack()
    return connexion


def _build_router(
    contract: Mapping[str, Any], plans: Mapping[str, Plan], options: HttpOptions
) -> Router[Plan | Document]:
    targets: list[tuple[str, str, Plan | Document]] = [
        (plan.operation.method, plan.operation.path, plan) for plan in plans.values()
    ]
    if options.docs:
        from payments_sandbox.http.documents import Documents

        documents = Documents(contract)
        targets += [("GET", path, partial(documents.get, path)) for path in documents.paths]
    return Router(targets)


def _request_ids(randomness: Randomness) -> Callable[[], str]:
    """Ids that are unique, not secret: one random part for this process, which is what costs, and a counter.

    Eleven digits at most stand in a row, so that nothing takes an id for a card number.
    """
    process = randomness.token(11)
    numbers = count(1)
    return lambda: f"req_{process}x{next(numbers):x}"


def _routes_of(contract: Mapping[str, Any], plans: Mapping[str, Plan]) -> dict[str, Any]:
    """The contract as far as Connexion itself works by it on the fast path: paths and security. What a request may hold is
    compiled in the plans; here, it would be copied three times, and be a tenth of a cold start."""
    paths: dict[str, dict[str, Any]] = {}
    for plan in plans.values():
        operation = plan.operation
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
