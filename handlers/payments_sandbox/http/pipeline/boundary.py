"""The outermost ASGI app: what holds for every request and response.

Before Connexion: the request id. After it: every error as problem+json, the headers that all responses carry, CORS, one
line in the access log.

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
from payments_sandbox.domain.pan_guard import has_digit_run, mask_digit_runs
from payments_sandbox.http.pipeline.access_log import ACCESS_LOGGER, AccessLog, access_message
from payments_sandbox.http.pipeline.authenticator import render_quota
from payments_sandbox.http.pipeline.fault_injection import ConnectionLost
from payments_sandbox.http.pipeline.operation import ClientGone
from payments_sandbox.http.problems import InternalError, render_problem
from payments_sandbox.http.replies import Header, send_reply
from payments_sandbox.http.request_state import REQUEST_STATE, RequestState

CUT_CONNECTION: Final = "sandbox.cut_connection"
"""The ASGI extension by which a server lets its connection be cut: a coroutine function without arguments."""

_log: Final = logging.getLogger("sandbox.http")
_access: Final = logging.getLogger(ACCESS_LOGGER)

NO_CONTENT: Final = 204
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LOGGED_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_ALLOWED_HEADERS: Final = ("content-type", "x-api-key", "idempotency-key", "x-request-id")
_EXPOSED_HEADERS: Final = (
    b"RateLimit, RateLimit-Policy, Retry-After, X-Request-Id, Idempotent-Replayed, X-Sandbox-Fault"
)
_PREFLIGHT_MAX_AGE_S: Final = b"600"
_NO_STORE: Final = (b"cache-control", b"no-store")
_VARY: Final = (b"vary", b"origin")


class AsgiBoundary:
    """Wraps the app that routes and answers."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        allowed_origins: Collection[str] = (),
        header_parameters: Collection[str] = (),
        new_request_id: Callable[[], str],
        access_log: AccessLog | None = None,
    ) -> None:
        """header_parameters: those that the contract declares, which pages of `allowed_origins` may send.

        access_log: where the deployment has something faster than the logger `ACCESS_LOGGER`.
        """
        self._app = app
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
        state = scope[REQUEST_STATE] = self._begin(scope)
        reply_with = self._with_shared_headers(scope["method"], state, send)
        try:
            await self._app(scope, receive, reply_with)
        except SandboxError as refusal:
            await send_reply(reply_with, render_problem(refusal, state.request_id))
        except ConnectionLost as lost:
            await _lose_connection(scope, state, lost, reply_with)
        except ClientGone:
            pass
        except Exception as error:  # noqa: BLE001 - the outermost place: whatever it is, the caller gets a problem
            await self._fail(state, error, reply_with)
        if self._access_log is not None:
            self._access_log(_describe_access(scope, state, started))
        elif _access.isEnabledFor(logging.INFO):
            fields = _describe_access(scope, state, started)
            _access.info("%s", access_message(fields), extra={"fields": fields})

    def _with_shared_headers(self, method: str, state: RequestState, send: Send) -> Send:
        async def reply_with(message: Message) -> None:
            if message["type"] == "http.response.start":
                state.status = message["status"]
                headers = message["headers"]
                if method == "OPTIONS" and message["status"] == NO_CONTENT:
                    headers = [*headers, *self._preflight_headers(state, headers)]
                message["headers"] = [*headers, *self._shared_headers(state)]
            elif state.is_head:
                message = {**message, "body": b""}
            await send(message)

        return reply_with

    def _preflight_headers(self, state: RequestState, headers: Sequence[Header]) -> list[Header]:
        """What a page of an allowed origin may do, in an answer to OPTIONS that says what the path allows."""
        is_preflight = b"access-control-request-method" in state.headers
        if not is_preflight or state.headers.get(b"origin", b"") not in self._cors:
            return []
        return [
            (b"access-control-allow-methods", dict(headers)[b"allow"]),
            (b"access-control-allow-headers", self._allowed_headers),
            (b"access-control-max-age", _PREFLIGHT_MAX_AGE_S),
        ]

    def _shared_headers(self, state: RequestState) -> list[Header]:
        headers = [(b"x-request-id", state.request_id.encode()), _NO_STORE]
        if state.quota is not None:
            headers += render_quota(state.quota)
        if state.fault is not None:
            headers.append((b"x-sandbox-fault", state.fault.encode()))
        if self._cors:
            # Always, so that no cache gives one origin's answer to another.
            headers.append(_VARY)
            headers += self._cors.get(state.headers.get(b"origin", b""), [])
        return headers

    async def _fail(self, state: RequestState, error: Exception, send: Send) -> None:
        # As text and masked, not as `exc_info`: an exception's message may quote what the caller sent.
        fields = {
            "request_id": state.request_id,
            "route": state.route,
            "traceback": mask_digit_runs("".join(traceback.format_exception(error))),
        }
        _log.error("request failed: %s", type(error).__name__, extra={"fields": fields})
        # What has begun cannot be taken back; the server closes the connection.
        if state.status == 0:
            await send_reply(send, render_problem(InternalError(), state.request_id))

    def _begin(self, scope: Scope) -> RequestState:
        headers, repeated = _index_headers(scope["headers"])
        return RequestState(_given_request_id(scope, headers) or self._new_request_id(), headers, repeated)


async def _lose_connection(scope: Scope, state: RequestState, lost: ConnectionLost, send: Send) -> None:
    """Cut the connection; where the server offers no way to, say what has happened."""
    cut = scope.get("extensions", {}).get(CUT_CONNECTION)
    if cut is None:
        await send_reply(send, render_problem(lost.instead, state.request_id))
    else:
        await cut()


async def _live(receive: Receive, send: Send) -> None:
    """Answer the lifespan protocol. The entry point builds everything before it and closes it afterwards."""
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
        if _REQUEST_ID.fullmatch(given) is not None and not has_digit_run(given):
            return given
    if "aws.event" in scope:
        from_gateway = scope["aws.event"].get("requestContext", {}).get("requestId")
        from_lambda = getattr(scope.get("aws.context"), "aws_request_id", None)
        if from_gateway or from_lambda:
            return str(from_gateway or from_lambda)
    return None


def _describe_access(scope: Scope, state: RequestState, started: float) -> Mapping[str, Any]:
    method = scope["method"]
    fields = {
        "method": method if method in _LOGGED_METHODS else "other",
        "route": state.route,
        "status": state.status,
        "duration_ms": round((time.perf_counter() - started) * 1000, 3),
        "request_id": state.request_id,
        "account_id": state.principal.account_id if state.principal else None,
    }
    if state.fault is not None:
        fields["fault"] = state.fault
    return fields
