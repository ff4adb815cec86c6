"""The connection to KMS. Importing this imports no boto3; making a client does."""

from typing import Any, Final, Protocol

CONNECT_TIMEOUT_S: Final = 1.0
READ_TIMEOUT_S: Final = 2.0
ATTEMPTS_MAX: Final = 3
"""With the timeouts above, a KMS that does not answer is reported within ten seconds."""


class KmsClient(Protocol):
    """What is used of boto3's client."""

    def generate_data_key(self, *, KeyId: str, KeySpec: Any, EncryptionContext: Any) -> Any:  # noqa: N803
        """A new key, as it is and encrypted."""
        ...

    def decrypt(self, *, CiphertextBlob: bytes, KeyId: str, EncryptionContext: Any) -> Any:  # noqa: N803
        """An encrypted key as it was."""
        ...


def create_client(*, region_name: str | None = None, endpoint_url: str | None = None) -> KmsClient:
    """A KMS client. None leaves region and endpoint to the AWS configuration; credentials always come from there."""
    import boto3
    from botocore.config import Config

    client: KmsClient = boto3.client(
        "kms",
        region_name=region_name,
        endpoint_url=endpoint_url,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS_MAX},
        ),
    )
    return client
