"""What API Gateway answers by itself reads like an answer of the function: the same types, titles, statuses and headers."""

import json
import re
from collections.abc import Iterator
from typing import Any

import botocore.session
import jsonschema
import pytest

from payments_sandbox.domain.errors import SandboxError
from payments_sandbox.http import problems
from payments_sandbox.http.pipeline import boundary
from payments_sandbox.http.pipeline.app import BODY_BYTES_MAX
from payments_sandbox.http.problems import QUOTA_TYPE, STATUS, TYPE_PREFIX
from stacks.gateway.responses import PROBLEMS, GatewayProblem, gateway_responses
from tests.contract import CONTRACT
from tests.each_case import each_case

Json = dict[str, Any]

SUBSTITUTED = re.compile(r"\$(?:context|stageVariables|method)[\w.]*")

CLIENT_KINDS = {
    "INVALID_API_KEY",
    "MISSING_AUTHENTICATION_TOKEN",
    "INVALID_SIGNATURE",
    "EXPIRED_TOKEN",
    "THROTTLED",
    "QUOTA_EXCEEDED",
    "REQUEST_TOO_LARGE",
    "UNSUPPORTED_MEDIA_TYPE",
    "BAD_REQUEST_BODY",
    "BAD_REQUEST_PARAMETERS",
    "RESOURCE_NOT_FOUND",
    "UNAUTHORIZED",
    "DEFAULT_4XX",
}
SERVER_KINDS = {
    "API_CONFIGURATION_ERROR",
    "AUTHORIZER_CONFIGURATION_ERROR",
    "AUTHORIZER_FAILURE",
    "INTEGRATION_FAILURE",
    "INTEGRATION_TIMEOUT",
    "DEFAULT_5XX",
}


def error_classes(base: type[SandboxError] = SandboxError) -> Iterator[type[SandboxError]]:
    for each in base.__subclasses__():
        yield each
        yield from error_classes(each)


ERRORS = {each.code: each for each in error_classes() if hasattr(each, "code")}


def render(kind: str, *, pages_may_call: bool = True) -> tuple[int, dict[str, str], Json]:
    """Status, headers and body, as API Gateway makes them."""
    response = gateway_responses(pages_may_call=pages_may_call)[kind]
    headers = {}
    for name, value in response["responseParameters"].items():
        literal = re.fullmatch("'(.*)'", value)
        headers[name.removeprefix("gatewayresponse.header.")] = literal[1] if literal else value
    (template,) = response["responseTemplates"].values()
    body = json.loads(template.replace("$context.requestId", "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"))
    return int(response["statusCode"]), headers, body


def test_every_kind_of_response_that_this_api_can_give_is_a_problem() -> None:
    shape: Any = (
        botocore.session.get_session().get_service_model("apigateway").shape_for("GatewayResponseType")
    )
    assert set(gateway_responses(pages_may_call=True)) == CLIENT_KINDS | SERVER_KINDS
    # No firewall and no policy stands before this API; were one put there, DEFAULT_4XX would answer.
    assert set(shape.enum) - {"WAF_FILTERED", "ACCESS_DENIED"} == CLIENT_KINDS | SERVER_KINDS


@each_case("kind", sorted(CLIENT_KINDS | SERVER_KINDS))
def test_a_response_is_a_problem_of_the_contract(kind: str) -> None:
    status, headers, body = render(kind)
    schema = {"$ref": "#/components/schemas/Problem", "components": CONTRACT["components"]}
    jsonschema.Draft4Validator(schema).validate(body)
    assert body["code"] in CONTRACT["components"]["schemas"]["ProblemCode"]["enum"]
    assert body["status"] == status
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Request-Id"] == "context.requestId"
    assert body["request_id"] == "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"


@each_case("problem", PROBLEMS)
def test_type_title_status_and_retryable_are_those_of_the_function(problem: GatewayProblem) -> None:
    error = ERRORS[problem.code]
    assert problem.title == error.title
    assert problem.retryable == error.retryable
    assert problem.status == STATUS[problem.code]
    expected = QUOTA_TYPE if problem.code == "rate_limit_exceeded" else TYPE_PREFIX + problem.code
    assert render(problem.kinds[0])[2]["type"] == expected


@pytest.mark.parametrize("status", [401, 429, 503])
def test_headers_that_the_function_adds_to_such_an_error_are_there(status: int) -> None:
    kind = next(problem.kinds[0] for problem in PROBLEMS if problem.status == status)
    _, headers, _ = render(kind)
    assert ("WWW-Authenticate" in headers) == (status == 401)
    assert ("Retry-After" in headers) == (status in (429, 503))
    if "Retry-After" in headers:
        assert int(headers["Retry-After"]) >= 1


def test_details_that_do_not_depend_on_the_request_are_the_functions_own() -> None:
    assert render("MISSING_AUTHENTICATION_TOKEN")[2]["detail"] == problems.RouteNotFound().detail
    assert render("DEFAULT_5XX")[2]["detail"] == problems.InternalError().detail
    assert render("REQUEST_TOO_LARGE")[2]["detail"] == problems.RequestTooLarge(BODY_BYTES_MAX).detail


def test_nothing_of_the_callers_stands_in_an_answer() -> None:
    """A value such as `$context.path` would stand there unescaped; only what the gateway makes up is safe."""
    for kind, response in gateway_responses(pages_may_call=True).items():
        assert set(SUBSTITUTED.findall(json.dumps(response))) == {"$context.requestId"}, kind


def test_pages_may_read_errors_only_where_pages_may_call() -> None:
    for kind in CLIENT_KINDS | SERVER_KINDS:
        _, headers, _ = render(kind, pages_may_call=True)
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert headers["Access-Control-Expose-Headers"] == boundary._EXPOSED_HEADERS.decode()
        _, headers, _ = render(kind, pages_may_call=False)
        assert not any(name.startswith("Access-Control") for name in headers)
