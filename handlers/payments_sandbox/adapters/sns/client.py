"""The connection to SNS. Importing this imports no boto3; making a client does."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

CONNECT_TIMEOUT_S: Final = 1.0
READ_TIMEOUT_S: Final = 3.0
ATTEMPTS_MAX: Final = 3
"""With the timeouts above, a service that does not answer is reported within 15 seconds."""


def create_client(*, region_name: str | None = None, endpoint_url: str | None = None) -> "SNSClient":
    """An SNS client. None leaves region and endpoint to the AWS configuration; credentials always come from there."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "sns",
        region_name=region_name,
        endpoint_url=endpoint_url,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS_MAX},
            tcp_keepalive=True,
        ),
    )
