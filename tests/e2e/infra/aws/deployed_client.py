"""A client of the deployed sandbox, which knows the operator of the stack."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.infra.aws.certificates import DOMAIN
from tests.e2e.infra.aws.cloud import Cloud
from tests.e2e.infra.aws.sandbox_stack import DeployedSandbox
from tests.e2e.infra.client import Client

KEYS_PER_PAGE = 500


class DeployedClient(Client):
    """One account's view of the deployed sandbox; that of the demo account, unless there is another API key."""

    dead_url = f"https://dead.{DOMAIN}:9/"

    def __init__(self, sandbox: DeployedSandbox, *, api_key: str | None = None) -> None:
        super().__init__(sandbox.url, api_key=api_key or sandbox.demo_api_key)
        self._sandbox = sandbox

    @contextmanager
    def new_account(self, name: str | None = None) -> Iterator[Client]:
        """A client of an account that no other test uses. The operator has put its API key under the demo account's usage
        plan, as a test may need more than the 100 requests a minute that every account is given."""
        secret = self.create_account({} if name is None else {"name": name})["api_key"]["secret"]
        move_key(self._sandbox.cloud, secret, plan="demo")
        with DeployedClient(self._sandbox, api_key=secret) as client:
            yield client

    @contextmanager
    def new_limited_account(self) -> Iterator[Client]:
        """A client of an account under the usage plan that every account is given."""
        with DeployedClient(self._sandbox, api_key=self.create_account({})["api_key"]["secret"]) as client:
            yield client


def move_key(cloud: Cloud, secret: str, *, plan: str) -> None:
    """Put an API key under the usage plan whose name ends so, and under no other."""
    gateway = cloud.client("apigateway")
    keys = gateway.get_paginator("get_api_keys").paginate(
        includeValues=True, PaginationConfig={"PageSize": KEYS_PER_PAGE}
    )
    (key_id,) = [key["id"] for page in keys for key in page["items"] if key["value"] == secret]
    for one in gateway.get_usage_plans()["items"]:
        under = gateway.get_paginator("get_usage_plan_keys").paginate(
            usagePlanId=one["id"], PaginationConfig={"PageSize": KEYS_PER_PAGE}
        )
        if one["name"].endswith(f"-{plan}"):
            gateway.create_usage_plan_key(usagePlanId=one["id"], keyId=key_id, keyType="API_KEY")
        elif any(key["id"] == key_id for page in under for key in page["items"]):
            gateway.delete_usage_plan_key(usagePlanId=one["id"], keyId=key_id)
