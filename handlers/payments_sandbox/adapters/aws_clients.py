"""boto3 clients, set up alike. Importing this imports no boto3; making a client does."""

from typing import Any, Final

CONNECT_TIMEOUT_S: Final = 1.0


def create_aws_client(
    service: str,
    region_name: str | None,
    endpoint_url: str | None,
    *,
    read_timeout_s: float,
    attempts_max: int = 3,
    **options: Any,
) -> Any:
    """Create the client of a service. None leaves region and endpoint to the AWS configuration; credentials always come from there.

    read_timeout_s, attempts_max: with botocore's pauses they say how soon a service that does not answer is reported. options:
    of botocore's `Config`.
    """
    import boto3
    from botocore.config import Config

    retries: Any = {"mode": "standard", "total_max_attempts": attempts_max}
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S, read_timeout=read_timeout_s, retries=retries, **options
    )
    return boto3.client(service, region_name=region_name, endpoint_url=endpoint_url, config=config)  # type: ignore[call-overload]
