"""The contract, `openapi/payments.yaml`: how it is loaded, and what the HTTP layer reads out of it.

Connexion takes the document itself; this module answers what the rest needs to know (which operations there are, what
each accepts) and refuses, when the app is built, whatever the HTTP layer does not implement: a contract that promises
more than the server keeps should fail here, not at a request.

Nothing is read at import. Next: `app.py` builds the app, `schemas.py` turns the schemas into validators.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from payments_sandbox.domain.faults import HEADER
from payments_sandbox.domain.json_pointers import unescape_name

METHODS: Final = ("get", "put", "post", "delete", "patch")
JSON_TYPE: Final = "application/json"
API_KEY_HEADER: Final = "x-api-key"
FAULT_HEADER: Final = HEADER.lower()
KEPT_AS_SENT: Final = "x-kept-as-sent"

# OpenAPI 3.0.3 says that header parameters of these names are to be ignored.
_IGNORED_HEADERS: Final = frozenset({"accept", "content-type", "authorization"})
_TEMPLATE_NAME: Final = re.compile(r"\{([^}]*)\}")


class ContractError(Exception):
    """The contract cannot be served: it is malformed, or uses what the HTTP layer does not implement."""


@dataclass(frozen=True, slots=True)
class OperationSpec:
    """One operation of the contract, its references resolved.

    method: upper case. path: the template, as written. secured: whether it takes an API key.
    parameters: those of the path and of the operation, which win.
    body_schema: None when the operation takes no body.
    kept_as_sent: the body may be any JSON, and is kept byte for byte (`x-kept-as-sent` at its schema).
    tag: the first one; it names the module of the handler. takes_faults: declares the header `X-Sandbox-Fault`.
    """

    operation_id: str
    method: str
    path: str
    secured: bool
    parameters: tuple[Mapping[str, Any], ...]
    body_schema: Mapping[str, Any] | None
    body_required: bool
    kept_as_sent: bool = False
    tag: str = ""

    @property
    def takes_faults(self) -> bool:
        return any(parameter["name"].lower() == FAULT_HEADER for parameter in self.parameters)


def load_contract(path: Path) -> dict[str, Any]:
    """Read the contract: YAML, or the JSON that the build made of it (Lambda: ten times as fast)."""
    raw = path.read_bytes()
    # YAML reads `201:` as a number, JSON knows text only.
    contract = orjson.loads(raw) if path.suffix == ".json" else _with_text_keys(_load_yaml(raw))
    if not isinstance(contract, dict):
        raise ContractError(f"{path.name} does not hold an object")
    return contract


def resolve(contract: Mapping[str, Any], node: Any) -> Any:
    """What the node refers to, when it is a `$ref` into the contract; otherwise the node itself."""
    seen: set[str] = set()
    while isinstance(node, Mapping) and "$ref" in node:
        reference = node["$ref"]
        if not reference.startswith("#/") or reference in seen:
            raise ContractError(f"the reference {reference} leads out of the contract, or to itself")
        seen.add(reference)
        node = contract
        for step in reference[2:].split("/"):
            try:
                node = node[unescape_name(step)]
            except (KeyError, TypeError):
                raise ContractError(f"the reference {reference} leads nowhere") from None
    return node


def read_operations(contract: Mapping[str, Any]) -> list[OperationSpec]:
    """Every operation of the contract, in its order. Raises ContractError when one cannot be served."""
    version = str(contract.get("openapi", ""))
    if not version.startswith("3.0."):
        raise ContractError(f"the contract has to be OpenAPI 3.0.x, not {version or 'unversioned'}")
    operations = list(_read_paths(contract))
    ids = [operation.operation_id for operation in operations]
    repeated = sorted({name for name in ids if ids.count(name) > 1})
    if repeated:
        raise ContractError(f"operationId is not unique: {', '.join(repeated)}")
    return operations


def _read_paths(contract: Mapping[str, Any]) -> Iterator[OperationSpec]:
    for path, item in contract.get("paths", {}).items():
        for method in METHODS:
            if method in item:
                try:
                    yield _read_operation(contract, path, method, item)
                except ContractError as error:
                    raise ContractError(f"{method.upper()} {path}: {error}") from None


def _read_operation(
    contract: Mapping[str, Any], path: str, method: str, item: Mapping[str, Any]
) -> OperationSpec:
    operation = item[method]
    if "operationId" not in operation:
        raise ContractError("has no operationId")
    body_schema, body_required = _read_body(contract, operation)
    return OperationSpec(
        operation_id=operation["operationId"],
        method=method.upper(),
        path=path,
        secured=_is_secured(contract, operation),
        parameters=_read_parameters(contract, path, item, operation),
        body_schema=body_schema,
        body_required=body_required,
        kept_as_sent=bool(resolve(contract, body_schema or {}).get(KEPT_AS_SENT, False)),
        tag=operation.get("tags", [""])[0],
    )


def _read_body(
    contract: Mapping[str, Any], operation: Mapping[str, Any]
) -> tuple[Mapping[str, Any] | None, bool]:
    if "requestBody" not in operation:
        return None, False
    body = resolve(contract, operation["requestBody"])
    content = body.get("content", {})
    if list(content) != [JSON_TYPE]:
        raise ContractError(f"a request body has to be {JSON_TYPE}, and nothing else")
    schema = content[JSON_TYPE].get("schema")
    if not schema:
        raise ContractError("the request body has no schema")
    return schema, body.get("required", False)


def _read_parameters(
    contract: Mapping[str, Any], path: str, item: Mapping[str, Any], operation: Mapping[str, Any]
) -> tuple[Mapping[str, Any], ...]:
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for node in [*item.get("parameters", []), *operation.get("parameters", [])]:
        parameter = {**resolve(contract, node)}
        parameter["schema"] = resolve(contract, parameter.get("schema", {}))
        _check_parameter(parameter)
        found[parameter["in"], parameter["name"].lower()] = parameter
    in_template = set(_TEMPLATE_NAME.findall(path))
    declared = {parameter["name"] for parameter in found.values() if parameter["in"] == "path"}
    if in_template != declared:
        raise ContractError(
            f"path parameters {sorted(declared)} are declared, {sorted(in_template)} are in the path"
        )
    return tuple(parameter for (_, name), parameter in found.items() if not _is_ignored(parameter, name))


def _is_ignored(parameter: Mapping[str, Any], name: str) -> bool:
    return parameter["in"] == "header" and name in _IGNORED_HEADERS


def _check_parameter(parameter: Mapping[str, Any]) -> None:
    name, location, kind = parameter["name"], parameter["in"], parameter["schema"].get("type")
    if location not in ("path", "query", "header"):
        raise ContractError(f"the parameter {name} is in {location}, which is not supported")
    if kind not in ("string", "integer", "boolean", "array"):
        raise ContractError(f"the parameter {name} needs a schema of type string, integer, boolean or array")
    if location == "path" and (kind != "string" or not name.isidentifier()):
        # Connexion would route `{id}` of type integer by its own idea of a number, and renames `{some-id}`.
        raise ContractError(f"the path parameter {name} has to be a string, and its name an identifier")


def _is_secured(contract: Mapping[str, Any], operation: Mapping[str, Any]) -> bool:
    requirements = operation.get("security", contract.get("security", []))
    if not requirements:
        return False
    schemes = contract.get("components", {}).get("securitySchemes", {})
    for requirement in requirements:
        found = [resolve(contract, schemes.get(name, {})) for name in requirement]
        if [(s.get("type"), s.get("in"), s.get("name", "").lower()) for s in found] != [
            ("apiKey", "header", API_KEY_HEADER)
        ]:
            raise ContractError(f"security has to be one API key in the header {API_KEY_HEADER}, or []")
    return True


def _load_yaml(raw: bytes) -> Any:
    """YAML as JSON sees it: a date stays text."""
    # Here and not above, because Lambda reads JSON and does without.
    import yaml

    class PlainLoader(yaml.CSafeLoader):
        yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own class attribute, replaced as it is meant to be
            first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
            for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
        }

    return yaml.load(raw, PlainLoader)


def _with_text_keys(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): _with_text_keys(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_with_text_keys(value) for value in node]
    return node
