"""The connection to SQS."""

from typing import TYPE_CHECKING, Final

from payments_sandbox.adapters.aws_clients import create_aws_client

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

CONNECTIONS_MAX: Final = 32
"""As many as the threads of an event loop's executor, which send the retries of one batch."""


def create_client(*, region_name: str | None = None, endpoint_url: str | None = None) -> "SQSClient":
    """An SQS client, which reports a service that does not answer within 15 seconds."""
    client: SQSClient = create_aws_client(
        "sqs",
        region_name,
        endpoint_url,
        read_timeout_s=3.0,
        max_pool_connections=CONNECTIONS_MAX,
        tcp_keepalive=True,
    )
    return client
