"""How an error becomes an HTTP response: the one table from code to status, and problem+json (RFC 9457).

`type` is `urn:payments-sandbox:problem:<code>`, or the registered type where IANA has one. A URN, because the type has
to stay the same in every home and on every host, and a sandbox on a laptop has no address of its own for a web page.

The last classes are the errors that only HTTP has; they extend the tree in `handlers/payments_sandbox/domain/errors.py`. No member ever
holds a value that the caller sent.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from payments_sandbox.domain.errors import FieldError, InvalidRequest, RateLimitExceeded, SandboxError
from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.http.replies import HttpResponse

PROBLEM_TYPE: Final = b"application/problem+json"
TYPE_PREFIX: Final = "urn:payments-sandbox:problem:"
QUOTA_TYPE: Final = "https://iana.org/assignments/http-problem-types#quota-exceeded"

ERRORS_MAX: Final = 20
"""How many field errors one response lists."""

RETRY_AFTER_S: Final = 1
"""What `Retry-After` says when nothing better is known."""

_PLACES_SHOWN: Final = 5
_FAILED: Final = "The sandbox failed. Repeat the request with the same idempotency key; report the request id if it fails again."

STATUS: Final[Mapping[str, int]] = {
    "invalid_request": 400,
    "idempotency_key_missing": 400,
    "invalid_simulation": 400,
    "malformed_json": 400,
    "api_key_missing": 401,
    "api_key_invalid": 401,
    "transaction_not_found": 404,
    "card_not_found": 404,
    "api_key_not_found": 404,
    "settlement_not_found": 404,
    "webhook_endpoint_not_found": 404,
    "webhook_delivery_not_found": 404,
    "event_not_found": 404,
    "inbox_not_found": 404,
    "snapshot_not_found": 404,
    "dispute_not_found": 404,
    "route_not_found": 404,
    "method_not_allowed": 405,
    "authorization_not_capturable": 409,
    "authorization_not_voidable": 409,
    "authorization_not_refundable": 409,
    "authorization_not_incrementable": 409,
    "amount_exceeds_authorized": 409,
    "amount_exceeds_captured": 409,
    "amount_too_large": 409,
    "entry_limit_reached": 409,
    "clock_not_ahead": 409,
    "authorization_not_disputable": 409,
    "amount_exceeds_disputable": 409,
    "payment_disputed": 409,
    "dispute_not_answerable": 409,
    "dispute_not_acceptable": 409,
    "dispute_not_escalatable": 409,
    "authorization_busy": 409,
    "account_busy": 409,
    "settlement_in_progress": 409,
    "api_key_limit_reached": 409,
    "webhook_endpoint_limit_reached": 409,
    "webhook_endpoint_disabled": 409,
    "secret_rotation_in_progress": 409,
    "inbox_limit_reached": 409,
    "own_api_key": 409,
    "snapshot_limit_reached": 409,
    "snapshot_too_large": 409,
    "request_too_large": 413,
    "unsupported_media_type": 415,
    "idempotency_key_reused": 422,
    "rate_limit_exceeded": 429,
    "internal_error": 500,
    "bad_gateway": 502,
    "store_unavailable": 503,
    "service_unavailable": 503,
    "gateway_timeout": 504,
}


class MalformedJson(InvalidRequest):
    """The body is not JSON as the sandbox accepts it: RFC 8259, UTF-8, no name twice.

    detail: one sentence. fault: the same about the field; field_code: what kind of fault.
    """

    code = "malformed_json"
    title = "The body is not acceptable JSON"

    def __init__(
        self,
        detail: str,
        fault: str,
        *,
        field_code: FieldCode = FieldCode.MALFORMED_JSON,
        pointer: str = "",
    ) -> None:
        super().__init__(detail, errors=[FieldError(pointer, field_code, fault)])


class RouteNotFound(SandboxError):
    code = "route_not_found"
    title = "No such path"

    def __init__(self) -> None:
        super().__init__("The API has no such path. Paths begin with /v1/ and do not end with a slash.")


class MethodNotAllowed(SandboxError):
    """allow: the value of the `Allow` header."""

    code = "method_not_allowed"
    title = "The path does not know this method"

    def __init__(self, allow: str) -> None:
        super().__init__(f"This path accepts {allow}.")
        self.allow = allow


class RequestTooLarge(SandboxError):
    code = "request_too_large"
    title = "The body is too large"

    def __init__(self, bytes_max: int) -> None:
        super().__init__(f"The body may hold at most {bytes_max} bytes.")


class UnsupportedMediaType(SandboxError):
    code = "unsupported_media_type"
    title = "The body has to be JSON"


class InternalError(SandboxError):
    """Something failed that the code did not expect; the log has it, under the same request id."""

    code = "internal_error"
    title = "The sandbox failed"
    retryable = True

    def __init__(self) -> None:
        super().__init__(_FAILED)


class BadGateway(SandboxError):
    """What a gateway answers that understood nothing of what came back; here always on request."""

    code = "bad_gateway"
    title = "The gateway got no proper answer"
    retryable = True


class ServiceUnavailable(SandboxError):
    """What an overloaded service answers; here always on request."""

    code = "service_unavailable"
    title = "The service is not available"
    retryable = True


class GatewayTimeout(SandboxError):
    """What a gateway answers that waited in vain: the request may have been carried out. Here always on request."""

    code = "gateway_timeout"
    title = "The gateway waited in vain"
    retryable = True


def invalid_request(errors: Sequence[FieldError]) -> InvalidRequest:
    """The refusal that names these fields, the first ERRORS_MAX of them."""
    places = list(dict.fromkeys(error.pointer or "the body" for error in errors))
    shown = ", ".join(places[:_PLACES_SHOWN]) + (", ..." if len(places) > _PLACES_SHOWN else "")
    if len(errors) > ERRORS_MAX:
        count = f"more than {ERRORS_MAX} places, of which `errors` names the first"
    else:
        count = "1 place" if len(places) == 1 else f"{len(places)} places"
    return InvalidRequest(f"The request breaks the contract in {count}: {shown}.", errors=errors[:ERRORS_MAX])


def render_problem(error: SandboxError, request_id: str) -> HttpResponse:
    """The response that tells the caller about the error."""
    status = STATUS[error.code]
    problem: dict[str, Any] = {
        "type": QUOTA_TYPE if isinstance(error, RateLimitExceeded) else TYPE_PREFIX + error.code,
        "title": error.title,
        "status": status,
        "detail": error.detail,
        "code": error.code,
        "retryable": error.retryable,
        "errors": [
            {"pointer": each.pointer, "code": each.code, "detail": each.detail} for each in error.errors
        ],
        "request_id": request_id,
    }
    # A fact never stands in for a member of the format.
    body = orjson.dumps({**problem, **error.facts, **problem})
    length = str(len(body)).encode()
    headers = [(b"content-type", PROBLEM_TYPE), (b"content-length", length), *_extra_headers(error, status)]
    return HttpResponse(status, headers, body)


def _extra_headers(error: SandboxError, status: int) -> Iterator[tuple[bytes, bytes]]:
    if status == 401:
        yield b"www-authenticate", b'ApiKey realm="payments-sandbox"'
    if isinstance(error, MethodNotAllowed):
        yield b"allow", error.allow.encode()
    if isinstance(error, UnsupportedMediaType):
        yield b"accept", b"application/json"
    if isinstance(error, RateLimitExceeded):
        yield b"retry-after", str(error.quota.reset_s).encode()
    elif status == 503:
        yield b"retry-after", str(RETRY_AFTER_S).encode()
