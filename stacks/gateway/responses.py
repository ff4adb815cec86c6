"""What API Gateway answers by itself, as the problem+json of the contract, with the statuses that the contract knows.

A test compares titles, types and statuses with those of the functions. What the gateway cannot know is said so: which of
missing and unknown a refused key is, and what is left of a quota.
"""

import json
from dataclasses import dataclass, field
from typing import Any

TYPE_PREFIX = "urn:payments-sandbox:problem:"
QUOTA_TYPE = "https://iana.org/assignments/http-problem-types#quota-exceeded"
RETRY_AFTER_S = 1
"""The default plan lets a request pass every 0.6 seconds, and the demo plan sooner."""

EXPOSED_HEADERS = (
    "RateLimit, RateLimit-Policy, Retry-After, X-Request-Id, Idempotent-Replayed, X-Sandbox-Fault"
)


@dataclass(frozen=True, slots=True)
class GatewayProblem:
    """kinds: API Gateway's names of what this answers."""

    kinds: tuple[str, ...]
    status: int
    code: str
    title: str
    detail: str
    retryable: bool = False
    type: str = ""
    headers: dict[str, str] = field(default_factory=dict)


PROBLEMS = (
    GatewayProblem(
        kinds=("INVALID_API_KEY", "UNAUTHORIZED"),
        status=401,
        code="api_key_invalid",
        title="The API key is not valid",
        detail="Send a key that the sandbox made in the header x-api-key. One made a moment ago may not be known yet.",
        headers={"WWW-Authenticate": 'ApiKey realm="payments-sandbox"'},
    ),
    GatewayProblem(
        # API Gateway takes every path that it does not know for one that needs AWS credentials, and an Authorization header
        # on it for such, which nothing here reads.
        kinds=(
            "MISSING_AUTHENTICATION_TOKEN",
            "INVALID_SIGNATURE",
            "EXPIRED_TOKEN",
            "RESOURCE_NOT_FOUND",
        ),
        status=404,
        code="route_not_found",
        title="No such path",
        detail="The API has no such path. Paths begin with /v1/ and do not end with a slash.",
    ),
    GatewayProblem(
        kinds=("THROTTLED", "QUOTA_EXCEEDED"),
        status=429,
        code="rate_limit_exceeded",
        title="The plan's request quota is used up",
        detail="Too many requests for now; try again in a second.",
        retryable=True,
        type=QUOTA_TYPE,
        headers={"Retry-After": str(RETRY_AFTER_S)},
    ),
    GatewayProblem(
        kinds=("REQUEST_TOO_LARGE",),
        status=413,
        code="request_too_large",
        title="The body is too large",
        detail="The body may hold at most 16384 bytes.",
    ),
    GatewayProblem(
        kinds=("UNSUPPORTED_MEDIA_TYPE",),
        status=415,
        code="unsupported_media_type",
        title="The body has to be JSON",
        detail="Send the body as application/json.",
    ),
    GatewayProblem(
        kinds=("BAD_REQUEST_PARAMETERS", "BAD_REQUEST_BODY", "DEFAULT_4XX"),
        status=400,
        code="invalid_request",
        title="The request is not valid",
        detail="The gateway cannot pass the request on.",
    ),
    GatewayProblem(
        kinds=("INTEGRATION_FAILURE", "INTEGRATION_TIMEOUT"),
        status=503,
        code="store_unavailable",
        title="The ledger is not available",
        detail="The sandbox did not answer in time. Repeat the request with the same idempotency key.",
        retryable=True,
        headers={"Retry-After": str(RETRY_AFTER_S)},
    ),
    GatewayProblem(
        kinds=(
            "API_CONFIGURATION_ERROR",
            "AUTHORIZER_CONFIGURATION_ERROR",
            "AUTHORIZER_FAILURE",
            "DEFAULT_5XX",
        ),
        status=500,
        code="internal_error",
        title="The sandbox failed",
        detail="The sandbox failed. Repeat the request with the same idempotency key; report the request id if it fails again.",
        retryable=True,
    ),
)


def gateway_responses(*, pages_may_call: bool) -> dict[str, Any]:
    """The import document's `x-amazon-apigateway-gateway-responses`."""
    return {kind: _render(problem, pages_may_call) for problem in PROBLEMS for kind in problem.kinds}


def _render(problem: GatewayProblem, pages_may_call: bool) -> dict[str, Any]:
    headers = {"Content-Type": "application/problem+json", "Cache-Control": "no-store", **problem.headers}
    if pages_may_call:
        # Nothing here is anybody's, so that any page may read it; the function names its origins.
        headers |= {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": EXPOSED_HEADERS}
    parameters = {f"gatewayresponse.header.{name}": f"'{value}'" for name, value in headers.items()}
    parameters["gatewayresponse.header.X-Request-Id"] = "context.requestId"
    body = {
        "type": problem.type or TYPE_PREFIX + problem.code,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "retryable": problem.retryable,
        "errors": [],
        "request_id": "$context.requestId",
    }
    return {
        "statusCode": str(problem.status),
        "responseParameters": parameters,
        # Named for what clients ask for; what they are told is in the headers.
        "responseTemplates": {"application/json": json.dumps(body)},
    }
