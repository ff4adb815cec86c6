"""What API Gateway does by itself: who may come in, how often, and what is said to all others."""

from collections.abc import Iterator

import pytest

from tests.e2e.infra.aws.deployed_client import DeployedClient
from tests.e2e.infra.aws.sandbox_stack import DeployedSandbox
from tests.e2e.infra.client import Client, accepted, refused
from tests.e2e.infra.contract import load_contract

pytestmark = pytest.mark.e2e

PAGE = {"Origin": "https://somewhere.example"}


def deployed_operations(server: DeployedSandbox) -> set[tuple[str, str]]:
    """Method and path of whatever the gateway hands to the function, but for what it hands over of any method."""
    gateway = server.cloud.client("apigateway")
    (api,) = gateway.get_rest_apis()["items"]
    pages = gateway.get_paginator("get_resources").paginate(restApiId=api["id"], embed=["methods"])
    return {
        (method, resource["path"])
        for page in pages
        for resource in page["items"]
        for method in resource.get("resourceMethods", {})
        if method not in ("ANY", "HEAD")
    }


def every_operation_is_deployed(server: DeployedSandbox) -> None:
    assert deployed_operations(server) == set(load_contract().operations)


def test_every_operation_of_the_contract_is_deployed_and_no_other(server: DeployedSandbox) -> None:
    every_operation_is_deployed(server)


@pytest.fixture(params=[None, "sk_test_unknown"], ids=["no key", "an unknown key"])
def stranger(request: pytest.FixtureRequest, server: DeployedSandbox) -> Iterator[Client]:
    with Client(server.url, api_key=request.param) as client:
        yield client


def test_without_a_known_key_nothing_but_the_open_operations_answers(stranger: Client) -> None:
    for (method, path), operation in load_contract().operations.items():
        response = stranger.send(method, path.replace("{", "").replace("}", ""))
        if operation["security"]:
            problem = refused(response, 401, "api_key_invalid")
            assert problem["request_id"] == response.headers["x-request-id"]
            assert response.headers["www-authenticate"]
            assert response.headers["content-type"] == "application/problem+json"
        elif method == "GET":
            assert response.status_code == 200


def test_a_path_that_is_not_in_the_contract_is_not_found_and_wakes_no_function(
    server: DeployedSandbox, stranger: Client
) -> None:
    before = invocations(server)
    for path in ("/v1/nowhere", "/nowhere", "/", "/docs"):
        problem = refused(stranger.send("GET", path), 404, "route_not_found")
        assert problem["status"] == 404
    assert invocations(server) == before


def invocations(server: DeployedSandbox) -> int:
    """How often the API's function was called, by the lines of its log."""
    logs, group = server.cloud.client("logs"), f"/aws/lambda/{server.output('function_names')['api']}"
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
    return sum("START RequestId" in event["message"] for page in pages for event in page["events"])


def test_a_method_that_a_path_does_not_have_is_the_functions_to_refuse(
    demo: Client, stranger: Client
) -> None:
    for client in (demo, stranger):
        response = client.send("DELETE", "/v1/authorize")
        refused(response, 405, "method_not_allowed")
        assert response.headers["allow"] == "OPTIONS, POST"


def test_more_than_a_plan_allows_is_refused_with_a_word_on_when_to_come_again(demo: Client) -> None:
    assert isinstance(demo, DeployedClient)
    with demo.new_limited_account() as client:
        responses = [client.get("/v1/account") for _ in range(60)]
        limited = [response for response in responses if response.status_code != 200]
        # The burst at once, and then 100 a minute.
        assert len(responses) - len(limited) >= 20
        assert limited
        for response in limited:
            problem = refused(response, 429, "rate_limit_exceeded")
            assert problem["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
            assert problem["retryable"] is True
            assert int(response.headers["retry-after"]) >= 1
            assert problem["request_id"] == response.headers["x-request-id"]
        # One account's limit is nobody else's.
        accepted(demo.get("/v1/account"), 200)


def test_nothing_is_said_of_a_quota_that_the_gateway_counts(demo: Client) -> None:
    for response in (demo.get("/v1/account"), demo.get("/v1/nowhere"), demo.authorize(0)):
        assert not [name for name in response.headers if name.startswith("ratelimit")]


def test_a_callers_request_id_is_kept_when_it_is_harmless(demo: Client) -> None:
    kept = demo.send("GET", "/v1/account", headers={"X-Request-Id": "my-request.1"})
    assert kept.headers["x-request-id"] == "my-request.1"
    for strange in ("two words", "4242424242424242", "x" * 65):
        response = demo.send("GET", "/v1/account", headers={"X-Request-Id": strange})
        assert response.headers["x-request-id"] != strange


def test_the_gateways_errors_can_be_read_by_any_page_and_the_functions_by_its_own(
    demo: Client, stranger: Client
) -> None:
    for response in (
        stranger.send("GET", "/v1/account", headers=PAGE),
        demo.send("GET", "/nowhere", headers=PAGE),
    ):
        assert response.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in demo.send("GET", "/v1/account", headers=PAGE).headers
