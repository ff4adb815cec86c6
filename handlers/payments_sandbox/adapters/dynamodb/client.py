"""The connection to DynamoDB, set up for many small calls."""

from typing import TYPE_CHECKING, Final

from payments_sandbox.adapters.aws_clients import create_aws_client

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

USER_AGENT: Final = "payments-sandbox"
"""boto3's own is 150 bytes long, and is put together and signed anew for every call."""


def create_client(*, region_name: str | None = None, endpoint_url: str | None = None) -> "DynamoDBClient":
    """A DynamoDB client, which reports a table that does not answer within ten seconds.

    Parameters are not checked against the API's model: together with the long user agent that is a fifth of a call, the
    service checks them again, and the contract suite sees every call that the adapter makes.
    """
    client: DynamoDBClient = create_aws_client(
        "dynamodb",
        region_name,
        endpoint_url,
        read_timeout_s=2.0,
        parameter_validation=False,
        user_agent=USER_AGENT,
        tcp_keepalive=True,
    )
    return client
