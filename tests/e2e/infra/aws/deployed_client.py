"""A client of the deployed sandbox: it waits where API Gateway makes everybody wait, and knows the operator of the stack."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.e2e.infra.aws.cloud import Cloud
from tests.e2e.infra.aws.sandbox_stack import DeployedSandbox
from tests.e2e.infra.client import Client, accepted
from tests.e2e.infra.server import until_deadline


class DeployedClient(Client):
    """One account's view of the deployed sandbox; that of the demo account, unless there is another key."""

    def __init__(self, sandbox: DeployedSandbox, *, api_key: str | None = None) -> None:
        super().__init__(sandbox.url, api_key=api_key or sandbox.demo_api_key)
        self._sandbox = sandbox

    @contextmanager
    def new_account(self, name: str | None = None) -> Iterator[Client]:
        """A client of an account that nobody else uses. The operator has put its key under the demo account's plan, as a
        test may need more than the 100 requests a minute that every account is given."""
        made = self._create_account({} if name is None else {"name": name})
        secret = made["api_key"]["secret"]
        move_key(self._sandbox.cloud, secret, plan="demo")
        with DeployedClient(self._sandbox, api_key=secret) as client:
            yield client

    @contextmanager
    def new_limited_account(self) -> Iterator[Client]:
        """The same as everybody gets it."""
        with DeployedClient(self._sandbox, api_key=self._create_account({})["api_key"]["secret"]) as client:
            yield client

    def _create_account(self, body: dict[str, Any]) -> dict[str, Any]:
        """Accounts are made slowly: the stage lets one a second pass."""
        for _ in until_deadline("the stage lets an account be made", pause_s=0.25):
            response = self.send("POST", "/v1/accounts", json=body)
            if response.status_code != 429:
                return accepted(response, 201)
        raise AssertionError("until_deadline either goes on or raises")


def move_key(cloud: Cloud, secret: str, *, plan: str) -> None:
    """Put an API key under the usage plan whose name ends so, and under no other."""
    gateway = cloud.client("apigateway")
    pages = gateway.get_paginator("get_api_keys").paginate(includeValues=True)
    (key_id,) = [key["id"] for page in pages for key in page["items"] if key["value"] == secret]
    for one in gateway.get_usage_plans()["items"]:
        pages_of_keys = gateway.get_paginator("get_usage_plan_keys").paginate(usagePlanId=one["id"])
        is_under = any(key["id"] == key_id for page in pages_of_keys for key in page["items"])
        if one["name"].endswith(f"-{plan}"):
            gateway.create_usage_plan_key(usagePlanId=one["id"], keyId=key_id, keyType="API_KEY")
        elif is_under:
            gateway.delete_usage_plan_key(usagePlanId=one["id"], keyId=key_id)
