"""The connection to DynamoDB, set up for many small calls. Importing this imports no boto3; making a client does."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CONNECT_TIMEOUT_S: Final = 1.0
READ_TIMEOUT_S: Final = 2.0
ATTEMPTS_MAX: Final = 3
"""With the timeouts above and botocore's pauses, an unreachable table is reported within ten seconds."""
USER_AGENT: Final = "payments-sandbox"
"""boto3's own is 150 bytes long, and is put together and signed anew for every call."""


def create_client(*, region_name: str | None = None, endpoint_url: str | None = None) -> "DynamoDBClient":
    """A DynamoDB client. None leaves region and endpoint to the AWS configuration; credentials always come from there.

    Parameters are not checked against the API's model: together with the long user agent that is a fifth of a call, the
    service checks them again, and the contract suite sees every call that the adapter makes.
    """
    import boto3
    from botocore.config import Config

    return boto3.client(
        "dynamodb",
        region_name=region_name,
        endpoint_url=endpoint_url,
        config=Config(
            parameter_validation=False,
            user_agent=USER_AGENT,
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS_MAX},
            tcp_keepalive=True,
        ),
    )
