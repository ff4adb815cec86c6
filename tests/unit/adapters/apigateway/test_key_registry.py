"""API Gateway is told of keys: one that it was told of opens its plan, and one that went wrong halfway leaves nothing."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from moto import mock_aws

from payments_sandbox.adapters.apigateway.client import create_client
from payments_sandbox.adapters.apigateway.key_registry import GatewayKeyRegistry
from payments_sandbox.domain.errors import StoreUnavailable
from tests.each_case import each_case

SECRET = "sk_test_" + "a" * 32
KEY_ID = "key_0123456789abcdef"


class ScriptedClient:
    """Answers calls, but raises `error` at the call named `failing`."""

    def __init__(self, failing: str = "", error: Exception | None = None) -> None:
        self.failing = failing
        self.error = error
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def create_api_key(self, **asked: Any) -> Any:
        return self._answer("create_api_key", asked)

    def create_usage_plan_key(self, **asked: Any) -> Any:
        return self._answer("create_usage_plan_key", asked)

    def delete_api_key(self, **asked: Any) -> Any:
        return self._answer("delete_api_key", asked)

    def _answer(self, call: str, asked: dict[str, Any]) -> dict[str, str]:
        self.calls.append((call, asked))
        if call == self.failing and self.error is not None:
            raise self.error
        return {"id": "gw1"}


def gateway_error(code: str, status: int = 400) -> ClientError:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "CreateApiKey")


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield boto3.client("apigateway", region_name="eu-central-1")


def test_a_registered_key_is_called_by_its_public_id_and_stands_under_its_plan(gateway: Any) -> None:
    plans = {name: gateway.create_usage_plan(name=name)["id"] for name in ("default", "demo")}
    registry = GatewayKeyRegistry(create_client(region_name="eu-central-1"), plans)
    gateway_key_id = registry.register(KEY_ID, SECRET, "demo")
    known = gateway.get_api_key(apiKey=gateway_key_id, includeValue=True)
    assert (known["name"], known["value"], known["enabled"]) == (KEY_ID, SECRET, True)
    assert gateway.get_usage_plan_keys(usagePlanId=plans["default"])["items"] == []
    (under,) = gateway.get_usage_plan_keys(usagePlanId=plans["demo"])["items"]
    assert under["id"] == gateway_key_id


def test_a_withdrawn_key_is_gone_and_may_be_withdrawn_again(gateway: Any) -> None:
    plan = gateway.create_usage_plan(name="default")["id"]
    registry = GatewayKeyRegistry(create_client(region_name="eu-central-1"), {"default": plan})
    gateway_key_id = registry.register(KEY_ID, SECRET, "default")
    registry.withdraw(gateway_key_id)
    assert gateway.get_api_keys()["items"] == []
    registry.withdraw(gateway_key_id)


def test_a_key_that_comes_under_no_plan_is_deleted_again() -> None:
    client = ScriptedClient("create_usage_plan_key", gateway_error("NotFoundException", 404))
    with pytest.raises(ClientError, match="NotFoundException"):
        GatewayKeyRegistry(client, {"default": "gone"}).register(KEY_ID, SECRET, "default")
    assert client.calls[-1] == ("delete_api_key", {"apiKey": "gw1"})


@each_case(
    "error",
    [
        gateway_error("TooManyRequestsException", 429),
        gateway_error("ConflictException", 409),
        gateway_error("Unheard", 503),
        EndpointConnectionError(endpoint_url="https://apigateway"),
        ReadTimeoutError(endpoint_url="https://apigateway"),
    ],
)
@each_case("call", ["create_api_key", "create_usage_plan_key"])
def test_a_gateway_that_cannot_be_used_is_said_to_be_so_without_the_secret(
    call: str, error: Exception
) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        GatewayKeyRegistry(ScriptedClient(call, error), {"default": "p"}).register(KEY_ID, SECRET, "default")
    assert "gateway" in caught.value.detail
    assert SECRET not in caught.value.detail


@pytest.mark.parametrize("code", ["AccessDeniedException", "LimitExceededException"])
def test_what_trying_again_would_not_help_is_raised_as_it_is(code: str) -> None:
    client = ScriptedClient("create_api_key", gateway_error(code, 403))
    with pytest.raises(ClientError, match=code):
        GatewayKeyRegistry(client, {"default": "p"}).register(KEY_ID, SECRET, "default")


def test_only_a_key_that_is_gone_may_fail_to_be_withdrawn() -> None:
    client = ScriptedClient("delete_api_key", gateway_error("AccessDeniedException", 403))
    with pytest.raises(ClientError, match="AccessDenied"):
        GatewayKeyRegistry(client, {}).withdraw("gw1")
    client.error = gateway_error("TooManyRequestsException", 429)
    with pytest.raises(StoreUnavailable):
        GatewayKeyRegistry(client, {}).withdraw("gw1")
