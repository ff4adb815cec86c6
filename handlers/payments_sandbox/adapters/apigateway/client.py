"""The connection to API Gateway's control plane."""

from typing import Any, Protocol

from payments_sandbox.adapters.aws_clients import create_aws_client


class GatewayClient(Protocol):
    """What is used of boto3's client."""

    def create_api_key(self, *, name: str, value: str, enabled: bool) -> Any:
        """Make a key; answers its `id`."""
        ...

    def create_usage_plan_key(self, *, usagePlanId: str, keyId: str, keyType: str) -> Any:  # noqa: N803
        """Put a key under a plan, without which it opens nothing."""
        ...

    def delete_api_key(self, *, apiKey: str) -> Any:  # noqa: N803
        """Delete the key of this id."""
        ...


def create_client(*, region_name: str | None = None, endpoint_url: str | None = None) -> GatewayClient:
    """An API Gateway client, which reports a service that does not answer within 20 seconds.

    The control plane takes a handful of calls a second, so that waiting and asking again is the rule there.
    """
    client: GatewayClient = create_aws_client(
        "apigateway", region_name, endpoint_url, read_timeout_s=3.0, attempts_max=4
    )
    return client
