"""The connection to API Gateway's control plane. Importing this imports no boto3; making a client does."""

from typing import Any, Final, Protocol

CONNECT_TIMEOUT_S: Final = 1.0
READ_TIMEOUT_S: Final = 3.0
ATTEMPTS_MAX: Final = 4
"""The control plane takes a handful of calls a second, so that waiting and asking again is the rule there. With the
timeouts above and botocore's pauses, one that does not answer is reported within 20 seconds."""


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
    """An API Gateway client. None leaves region and endpoint to the AWS configuration; credentials always come from there."""
    import boto3
    from botocore.config import Config

    client: GatewayClient = boto3.client(
        "apigateway",
        region_name=region_name,
        endpoint_url=endpoint_url,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS_MAX},
        ),
    )
    return client
