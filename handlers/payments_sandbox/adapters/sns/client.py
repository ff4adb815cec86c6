"""The connection to SNS."""

from typing import TYPE_CHECKING

from payments_sandbox.adapters.aws_clients import create_aws_client

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


def create_client(*, region_name: str | None = None, endpoint_url: str | None = None) -> "SNSClient":
    """An SNS client, which reports a service that does not answer within 15 seconds."""
    client: SNSClient = create_aws_client(
        "sns", region_name, endpoint_url, read_timeout_s=3.0, tcp_keepalive=True
    )
    return client
