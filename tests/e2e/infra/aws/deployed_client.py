"""A client of the deployed sandbox, which knows the operator of the stack."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.e2e.infra.aws.certificates import DOMAIN
from tests.e2e.infra.aws.cloud import Cloud
from tests.e2e.infra.aws.sandbox_stack import DeployedSandbox
from tests.e2e.infra.client import Client


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
        key = self.create_account({} if name is None else {"name": name})["api_key"]
        move_key(self._sandbox.cloud, key["key_id"], plan="demo")
        with DeployedClient(self._sandbox, api_key=key["secret"]) as client:
            yield client

    @contextmanager
    def new_limited_account(self) -> Iterator[Client]:
        """A client of an account under the usage plan that every account is given."""
        with DeployedClient(self._sandbox, api_key=self.create_account({})["api_key"]["secret"]) as client:
            yield client


def move_key(cloud: Cloud, key_id: str, *, plan: str) -> None:
    """Put an API key, which has its id for a name, under the usage plan whose name ends so, and under no other."""
    gateway = cloud.client("apigateway")
    (key,) = gateway.get_api_keys(nameQuery=key_id)["items"]
    for one in gateway.get_usage_plans()["items"]:
        if one["name"].endswith(f"-{plan}"):
            gateway.create_usage_plan_key(usagePlanId=one["id"], keyId=key["id"], keyType="API_KEY")
        else:
            with suppress(gateway.exceptions.NotFoundException):
                gateway.delete_usage_plan_key(usagePlanId=one["id"], keyId=key["id"])
