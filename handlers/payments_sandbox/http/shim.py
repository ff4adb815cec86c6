"""The outermost ASGI app: what has to hold for every request and response, whoever answers.

Before Connexion: the request id, the route and the method, CORS, the body in full with a limit. After it: every error as
problem+json, the headers that all responses carry, one line in the access log.

Refuses to let anything of the caller's into a log or an error: a route is logged by its template, an unexpected
exception by its traceback with long digit runs masked, and answered without its message.
"""

import logging
import re
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from payments_sandbox.domain.errors import SandboxError
from payments_sandbox.http.access_log import ACCESS_LOGGER, AccessLog, access_message
from payments_sandbox.http.exchange import EXCHANGE, Exchange, Plan
from payments_sandbox.http.fault_injection import ConnectionLost
from payments_sandbox.http.masking import mask_digits, may_hold_card_number
from payments_sandbox.http.problems import (
    InternalError,
    MethodNotAllowed,
    RequestTooLarge,
    RouteNotFound,
    render_problem,
)
from payments_sandbox.http.replies import Header, Reply, send_reply
from payments_sandbox.http.routing import Route, Router
from payments_sandbox.http.security import render_quota

Document = Callable[[], Reply]
"""What a path outside the contract answers: see `documents.py`."""

Restate = Callable[[Scope, Exchange], tuple[Scope, Receive]]

CUT_CONNECTION: Final = "sandbox.cut_connection"
"""The ASGI extension by which a server lets its connection be cut: a coroutine function without arguments."""

_log: Final = logging.getLogger("sandbox.http")
_access: Final = logging.getLogger(ACCESS_LOGGER)

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LOGGED_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_LENGTH_DIGITS_MAX: Final = 12

_ALLOWED_HEADERS: Final = ("content-type", "x-api-key", "idempotency-key", "x-request-id")
_EXPOSED_HEADERS: Final = (
    b"RateLimit, RateLimit-Policy, Retry-After, X-Request-Id, Idempotent-Replayed, X-Sandbox-Fault"
)
_PREFLIGHT_MAX_AGE_S: Final = b"600"
_NO_STORE: Final = (b"cache-control", b"no-store")
_VARY: Final = (b"vary", b"origin")


class _ClientGone(Exception):
    """The client hung up before its request was complete; there is nobody to answer."""


class Shim:
    """Wraps the contract's app."""

    def __init__(
        self,
        app: ASGIApp,
        router: Router[Plan | Document],
        *,
        body_bytes_max: int,
        allowed_origins: Collection[str] = (),
        header_parameters: Collection[str] = (),
        new_request_id: Callable[[], str],
        access_log: AccessLog | None = None,
        restate: Restate | None = None,
    ) -> None:
        """header_parameters: those that the contract declares, which pages of `allowed_origins` may send.

        access_log: where the home has something faster than the logger `ACCESS_LOGGER`.
        restate: how to word the request for `app`, where the server's own wording will not do.
        """
        self._app = app
        self._router = router
        self._body_bytes_max = body_bytes_max
        self._restate = restate
        self._new_request_id = new_request_id
        self._access_log = access_log
        names = dict.fromkeys([*_ALLOWED_HEADERS, *sorted(name.lower() for name in header_parameters)])
        self._allowed_headers = ", ".join(names).encode()
        self._cors: Mapping[bytes, list[Header]] = {
            origin.encode(): [
                (b"access-control-allow-origin", origin.encode()),
                (b"access-control-expose-headers", _EXPOSED_HEADERS),
            ]
            for origin in allowed_origins
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _live(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        exchange = self._open_exchange(scope)
        reply_with = self._with_shared_headers(exchange, send)
        try:
            await self._answer(scope, exchange, receive, reply_with)
        except SandboxError as refusal:
            await send_reply(reply_with, render_problem(refusal, exchange.request_id))
        except ConnectionLost as lost:
            await _lose_connection(scope, exchange, lost, reply_with)
        except _ClientGone:
            pass
        except Exception as error:  # noqa: BLE001 - the outermost place: whatever it is, the caller gets a problem
            await self._fail(exchange, error, reply_with)
        if self._access_log is not None:
            self._access_log(_describe_access(scope, exchange, started))
        elif _access.isEnabledFor(logging.INFO):
            fields = _describe_access(scope, exchange, started)
            _access.info("%s", access_message(fields), extra={"fields": fields})

    async def _answer(self, scope: Scope, exchange: Exchange, receive: Receive, send: Send) -> None:
        target = self._route(scope, exchange)
        if isinstance(target, Route):
            await send_reply(send, self._describe_route(target, exchange))
            return
        if not isinstance(target, Plan):
            await send_reply(send, target())
            return
        if target.operation.body_schema is not None:
            exchange.body = await self._read_body(exchange, receive)
        if exchange.is_head:
            # A server looks at its own scope to leave the body out, so that one stays.
            scope = {**scope, "method": "GET"}
        scope[EXCHANGE] = exchange
        if self._restate is not None:
            scope, receive = self._restate(scope, exchange)
        await self._app(scope, receive, send)

    def _route(self, scope: Scope, exchange: Exchange) -> "Plan | Document | Route[Plan | Document]":
        """The target of the request; for OPTIONS the route itself."""
        route = self._router.find(scope["path"])
        if route is None:
            raise RouteNotFound
        exchange.route = route.template
        method = scope["method"]
        target = route.methods.get(method)
        if target is None:
            if method == "OPTIONS":
                return route
            raise MethodNotAllowed(route.allow)
        exchange.is_head = method == "HEAD"
        return target

    def _describe_route(self, route: "Route[Plan | Document]", exchange: Exchange) -> Reply:
        """The answer to OPTIONS: what the path allows, and to a browser's preflight what a page may do."""
        headers = [(b"allow", route.allow.encode())]
        is_preflight = b"access-control-request-method" in exchange.headers
        if is_preflight and exchange.headers.get(b"origin", b"") in self._cors:
            headers.append((b"access-control-allow-methods", route.allow.encode()))
            headers.append((b"access-control-allow-headers", self._allowed_headers))
            headers.append((b"access-control-max-age", _PREFLIGHT_MAX_AGE_S))
        return Reply(204, headers, b"")

    async def _read_body(self, exchange: Exchange, receive: Receive) -> bytes:
        declared = exchange.headers.get(b"content-length", b"")
        # Absent in chunked requests and behind API Gateway; whatever it says, the bytes are counted too.
        if declared.isdigit() and (
            len(declared) > _LENGTH_DIGITS_MAX or int(declared) > self._body_bytes_max
        ):
            raise RequestTooLarge(self._body_bytes_max)
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _ClientGone
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._body_bytes_max:
                raise RequestTooLarge(self._body_bytes_max)
        return body

    def _with_shared_headers(self, exchange: Exchange, send: Send) -> Send:
        async def reply_with(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = [*message["headers"], *self._shared_headers(exchange)]
            elif exchange.is_head:
                message = {**message, "body": b""}
            await send(message)

        return reply_with

    def _shared_headers(self, exchange: Exchange) -> list[Header]:
        headers = [(b"x-request-id", exchange.request_id.encode()), _NO_STORE]
        if exchange.quota is not None:
            headers += render_quota(exchange.quota)
        if exchange.fault is not None:
            headers.append((b"x-sandbox-fault", exchange.fault.encode()))
        if self._cors:
            # Always, so that no cache gives one origin's answer to another.
            headers.append(_VARY)
            headers += self._cors.get(exchange.headers.get(b"origin", b""), [])
        return headers

    async def _fail(self, exchange: Exchange, error: Exception, send: Send) -> None:
        # As text and masked, not as `exc_info`: an exception's message may quote what the caller sent.
        fields = {
            "request_id": exchange.request_id,
            "route": exchange.route,
            "traceback": mask_digits("".join(traceback.format_exception(error))),
        }
        _log.error("request failed: %s", type(error).__name__, extra={"fields": fields})
        # What has begun cannot be taken back; the server closes the connection.
        if exchange.status == 0:
            await send_reply(send, render_problem(InternalError(), exchange.request_id))

    def _open_exchange(self, scope: Scope) -> Exchange:
        headers, repeated = _index_headers(scope["headers"])
        return Exchange(_given_request_id(scope, headers) or self._new_request_id(), headers, repeated)


async def _lose_connection(scope: Scope, exchange: Exchange, lost: ConnectionLost, send: Send) -> None:
    """Cut the connection; where the server offers no way to, say what has happened."""
    cut = scope.get("extensions", {}).get(CUT_CONNECTION)
    if cut is None:
        await send_reply(send, render_problem(lost.instead, exchange.request_id))
    else:
        await cut()


async def _live(receive: Receive, send: Send) -> None:
    """The lifespan protocol; everything is built before it, and closed by whoever built it."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


def _index_headers(pairs: Sequence[tuple[bytes, bytes]]) -> tuple[Mapping[bytes, bytes], frozenset[bytes]]:
    """The headers by name, and the names that are given more than once."""
    headers: dict[bytes, bytes] = dict(pairs)
    repeated: frozenset[bytes] = frozenset()
    if len(headers) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = frozenset(name for name in names if names.count(name) > 1)
    return headers, repeated


def _given_request_id(scope: Scope, headers: Mapping[bytes, bytes]) -> str | None:
    """The caller's, if it is harmless; on AWS the gateway's; None where there is none."""
    raw = headers.get(b"x-request-id")
    if raw is not None:
        given = raw.decode("latin-1")
        if _REQUEST_ID.fullmatch(given) is not None and not may_hold_card_number(given):
            return given
    if "aws.event" in scope:
        from_gateway = scope["aws.event"].get("requestContext", {}).get("requestId")
        from_lambda = getattr(scope.get("aws.context"), "aws_request_id", None)
        if from_gateway or from_lambda:
            return str(from_gateway or from_lambda)
    return None


def _describe_access(scope: Scope, exchange: Exchange, started: float) -> Mapping[str, Any]:
    method = scope["method"]
    fields = {
        "method": method if method in _LOGGED_METHODS else "other",
        "route": exchange.route,
        "status": exchange.status,
        "duration_ms": round((time.perf_counter() - started) * 1000, 3),
        "request_id": exchange.request_id,
        "account_id": exchange.principal.account_id if exchange.principal else None,
    }
    if exchange.fault is not None:
        fields["fault"] = exchange.fault
    return fields
