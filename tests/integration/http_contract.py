"""A small contract with one of everything, handlers that tell what they were given, and a client that hides nothing.

The tests of the HTTP layer use this one and not `openapi/payments.yaml`, so that neither has to change for the other.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

from starlette.types import ASGIApp, Message, Scope

from payments_sandbox.domain.errors import (
    AmountExceedsAuthorized,
    ApiKeyInvalid,
    IdempotencyKeyReused,
    Quota,
    StoreUnavailable,
    TransactionNotFound,
)
from payments_sandbox.http.operations.call import Call, Handler, OperationResult
from payments_sandbox.http.pipeline.app import HttpOptions, build_app
from payments_sandbox.http.pipeline.boundary import AsgiBoundary
from payments_sandbox.http.reading.contract import OperationSpec
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ports import Principal

API_KEY = "sk_test_one"
ORIGIN = "https://dashboard.example"
CARD = "4242424242424242"
BODY_BYTES_MAX = 8192

AUTHORIZE = {"amount": 1051, "currency": "EUR", "card": {"number": CARD, "exp_month": 12}}

_ANSWERS = {
    "201": {"description": "Done.", "content": {"application/json": {"schema": {"type": "object"}}}},
    "400": {"description": "Not.", "content": {"application/problem+json": {"schema": {"type": "object"}}}},
}
_SECURED: list[dict[str, list[str]]] = [{"ApiKey": []}]


def _operation(name: str, *, public: bool = False, **more: Any) -> dict[str, Any]:
    return {"operationId": name, "security": [] if public else _SECURED, "responses": _ANSWERS, **more}


def _body(schema: Mapping[str, Any], *, required: bool = True) -> dict[str, Any]:
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _query(name: str, schema: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, **more}


def _header(name: str, schema: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "header", "schema": schema, **more}


def _path(name: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1, "maxLength": 40}
    return {"name": name, "in": "path", "required": True, "schema": schema}


_SCHEMAS: dict[str, Any] = {
    "Authorize": {
        "type": "object",
        "additionalProperties": False,
        "required": ["amount", "currency", "card"],
        "properties": {
            "amount": {"type": "integer", "minimum": 1, "maximum": 999_999},
            "currency": {
                "type": "string",
                "pattern": "^[A-Z]{3}$",
                "x-pattern-description": "an ISO 4217 code",
            },
            "card": {"$ref": "#/components/schemas/Card"},
            "reference": {"type": "string", "format": "uuid"},
            "due": {"type": "string", "format": "date-time"},
            "on": {"type": "string", "format": "date"},
            "note": {"type": "string", "nullable": True, "minLength": 2, "maxLength": 5},
            "mode": {"type": "string", "enum": ["a", "b"], "nullable": True},
            "items": {
                "type": "array",
                "minItems": 1,
                "maxItems": 2,
                "uniqueItems": True,
                "items": {"type": "integer", "multipleOf": 2},
            },
            "metadata": {"type": "object", "maxProperties": 2},
            "id": {"$ref": "#/components/schemas/ServerId"},
        },
    },
    "Card": {
        "type": "object",
        "additionalProperties": False,
        "required": ["number", "exp_month", "fingerprint"],
        "properties": {
            "number": {"type": "string", "pattern": "^[0-9]{12,19}$"},
            "exp_month": {"type": "integer", "minimum": 1, "maximum": 12},
            "fingerprint": {"type": "string", "readOnly": True},
        },
    },
    "ServerId": {"type": "string", "readOnly": True},
    "ByCard": {
        "type": "object",
        "additionalProperties": False,
        "required": ["kind", "number"],
        "properties": {"kind": {"type": "string", "enum": ["card"]}, "number": {"type": "integer"}},
    },
    "ByBank": {
        "type": "object",
        "additionalProperties": False,
        "required": ["kind", "iban"],
        "properties": {"kind": {"type": "string", "enum": ["bank"]}, "iban": {"type": "string"}},
    },
}

CONTRACT: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Small {{ 7 * 7 }}", "version": "1"},
    "servers": [{"url": "/"}],
    "paths": {
        "/v1/authorize": {
            "post": _operation(
                "authorize",
                parameters=[
                    {"$ref": "#/components/parameters/IdempotencyKey"},
                    _header("X-Attempt", {"type": "integer", "minimum": 1, "default": 1}),
                    _header("X-Label", {"type": "string", "pattern": "^[a-z]+$"}),
                    _header("X-Sandbox-Fault", {"type": "string", "maxLength": 60}),
                ],
                requestBody=_body({"$ref": "#/components/schemas/Authorize"}),
            )
        },
        "/v1/default-body": {
            "post": _operation(
                "default_body",
                requestBody=_body({"type": "object", "default": {"amount": 1}, "properties": {}}),
            )
        },
        "/v1/optional-body": {
            "post": _operation(
                "optional_body",
                requestBody=_body(
                    {"type": "object", "properties": {"note": {"type": "string"}}}, required=False
                ),
            )
        },
        "/v1/choose": {
            "post": _operation(
                "choose",
                public=True,
                requestBody=_body(
                    {
                        "type": "object",
                        "required": ["source"],
                        "properties": {
                            "source": {
                                "oneOf": [
                                    {"$ref": "#/components/schemas/ByCard"},
                                    {"$ref": "#/components/schemas/ByBank"},
                                ]
                            },
                            "loose": {"oneOf": [{"type": "integer"}, {"type": "integer", "minimum": 5}]},
                        },
                    }
                ),
            )
        },
        "/v1/transactions": {
            "get": _operation(
                "list_transactions",
                parameters=[
                    _query("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
                    _query("status", {"type": "string", "enum": ["open", "done"]}),
                    _query("since", {"type": "string", "format": "date-time"}),
                    _query("full", {"type": "boolean"}),
                    _query("ids", {"type": "array", "items": {"type": "string"}, "maxItems": 2}),
                    _query(
                        "pages", {"type": "array", "items": {"type": "integer", "minimum": 1}}, explode=False
                    ),
                ],
            ),
            "post": _operation("make_transaction", requestBody=_body({"type": "object"})),
        },
        "/v1/anything": {
            "post": _operation(
                "keep_anything",
                public=True,
                parameters=[_header("X-Note", {"type": "string"})],
                requestBody=_body({"x-kept-as-sent": True}),
            )
        },
        "/v1/transactions/export": {"get": _operation("export_transactions")},
        "/v1/transactions/{transaction_id}": {
            "parameters": [_path("transaction_id")],
            "get": _operation("get_transaction"),
            "delete": _operation("delete_transaction"),
        },
        "/v1/transactions/{transaction_id}/notes/{note_id}": {
            "get": _operation("get_note", parameters=[_path("transaction_id"), _path("note_id")])
        },
        "/v1/search": {
            "get": _operation("search", parameters=[_query("q", {"type": "string"}, required=True)])
        },
        "/v1/health": {"get": _operation("get_health", public=True)},
        "/v1/failures/{kind}": {
            "get": _operation("fail", public=True, parameters=[_path("kind")]),
        },
    },
    "components": {
        "parameters": {
            "IdempotencyKey": _header("X-Idempotency-Key", {"type": "string"}, required=True),
        },
        "schemas": _SCHEMAS,
        "securitySchemes": {"ApiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
    },
}


async def tell(call: Call) -> OperationResult:
    """Answer with everything that the handler was given."""
    told = {
        "operation_id": call.operation_id,
        "principal": call.principal.account_id if call.principal else None,
        "body": call.raw_body.decode() if call.operation_id == "keep_anything" else call.body,
        "path": dict(call.path),
        "query": dict(call.query),
        "headers": dict(call.headers),
    }
    return OperationResult(201, told, {"Idempotent-Replayed": "true"})


async def fail(call: Call) -> OperationResult:
    """Fail in the way that the path asks for."""
    match call.path["kind"]:
        case "conflict":
            raise AmountExceedsAuthorized(
                "At most 10.51 EUR.", facts={"capturable_amount": 1051, "status": 7}
            )
        case "not-found":
            raise TransactionNotFound("The account has no transaction of this id.")
        case "reused":
            raise IdempotencyKeyReused("The key was used.")
        case "store":
            raise StoreUnavailable("The ledger does not answer.")
        case "decimal":
            return OperationResult(200, {"amount": Decimal(1)})
        case "header":
            return OperationResult(200, {}, {"X-Name": "Ж"})
        case "nothing":
            return OperationResult(204)
        case "empty":
            return OperationResult(200, {})
    raise ValueError(f"a card number {CARD} in a message")


HANDLERS: dict[str, Handler] = {
    operation["operationId"]: fail if operation["operationId"] == "fail" else tell
    for item in CONTRACT["paths"].values()
    for operation in item.values()
    if isinstance(operation, dict)
}


class Limiter:
    """Lets everybody through who is on a plan that it knows; `unknown` is a home that cannot count."""

    def take(self, key_id: str, plan: str) -> Quota | None:
        match plan:
            case "unknown":
                return None
            case "used-up":
                return Quota("default", 100, 60, remaining=0, reset_s=7, allowed=False)
        return Quota("default", 100, 60, remaining=50, reset_s=30)


class Letters:
    """Randomness for tests of HTTP: always the same."""

    def token(self, length: int) -> str:
        return "q" * length


_PLANS = {API_KEY: "default", "sk_test_gateway": "unknown", "sk_test_spent": "used-up"}


def authenticate(_ports: Infrastructure, key: str) -> Principal:
    if key not in _PLANS:
        raise ApiKeyInvalid("The key in x-api-key is unknown or was revoked.")
    return Principal("acct_one", "key_one", _PLANS[key])


def make_app(
    contract: Mapping[str, Any] = CONTRACT,
    handlers: Mapping[str, Handler] = HANDLERS,
    **options: Any,
) -> AsgiBoundary:
    """The app of this contract; options: those of HttpOptions."""
    # The HTTP layer itself uses the first two only; worlds are made of the others.
    infrastructure = cast(
        "Infrastructure",
        SimpleNamespace(
            limiter=Limiter(), randomness=Letters(), store=None, clock=None, ledger_secret=b"", group=None
        ),
    )
    defaults = HttpOptions(allowed_origins=[ORIGIN], body_bytes_max=BODY_BYTES_MAX)
    chosen = replace(defaults, **options)

    def find_handler(operation: OperationSpec) -> Handler:
        return handlers[operation.operation_id]

    return build_app(
        deepcopy(contract),
        infrastructure,
        authenticate=authenticate,
        find_handler=find_handler,
        options=chosen,
    )


@dataclass(frozen=True)
class Response:
    """What the app sent; headers in the order sent, names in lower case."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def __getitem__(self, name: str) -> str:
        """The header of this name, which has to be there once."""
        (value,) = [value for each, value in self.headers if each == name.lower()]
        return value

    def __contains__(self, name: str) -> bool:
        return any(each == name.lower() for each, _ in self.headers)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> Any:
        """The problem's code."""
        assert self["content-type"] == "application/problem+json"
        problem = self.json
        assert problem["status"] == self.status
        assert problem["request_id"] == self["x-request-id"]
        return problem["code"]

    @property
    def faults(self) -> list[tuple[str, str]]:
        """Pointer and code of each field error."""
        return [(error["pointer"], error["code"]) for error in self.json["errors"]]


Headers = Mapping[str, str] | Iterable[tuple[str, str]]

JSON_HEADERS = {"content-type": "application/json", "x-api-key": API_KEY, "x-idempotency-key": "key-1"}


def ask(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    headers: Headers = (),
    body: bytes | Sequence[bytes] = b"",
    query: bytes = b"",
    disconnects: bool = False,
    extra: Mapping[str, Any] | None = None,
) -> Response:
    """Send one request as an ASGI server would; body: several chunks, or one. disconnects: before the last chunk."""
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "query_string": query,
        "root_path": "",
        "headers": [
            (name.lower().encode(), value.encode("latin-1"))
            for name, value in (headers.items() if isinstance(headers, Mapping) else headers)
        ],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8080),
        **(extra or {}),
    }
    chunks = [body] if isinstance(body, bytes) else list(body)
    messages: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1}
        for index, chunk in enumerate(chunks)
    ]
    if disconnects:
        messages[-1] = {"type": "http.disconnect"}
    sent: list[Message] = []

    async def receive() -> Message:
        # A server waits here for ever; a test rather fails.
        assert messages, "the app read past the end of the body"
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    run(app(scope, receive, send))
    if not sent:
        return Response(0, [], b"")
    start, *rest = sent
    return Response(
        status=start["status"],
        headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]],
        body=b"".join(message.get("body", b"") for message in rest),
    )


def run(coroutine: Any) -> None:
    """Run it in a loop of its own, leaving the process's current loop as it is."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(asyncio.wait_for(coroutine, timeout=60))
    finally:
        loop.close()


def post_json(app: ASGIApp, path: str, document: Any, **headers: str) -> Response:
    """POST a document, with an API key and an idempotency key unless they are given as ''."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    chosen = {name: value for name, value in {**JSON_HEADERS, **given}.items() if value}
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return ask(app, "POST", path, headers=chosen, body=body)
