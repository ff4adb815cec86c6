"""The connection to KMS."""

from typing import Any, Protocol

from payments_sandbox.adapters.aws_clients import create_aws_client


class KmsClient(Protocol):
    """What is used of boto3's client."""

    def generate_data_key(self, *, KeyId: str, KeySpec: Any, EncryptionContext: Any) -> Any:  # noqa: N803
        """A new key, as it is and encrypted."""
        ...

    def decrypt(self, *, CiphertextBlob: bytes, KeyId: str, EncryptionContext: Any) -> Any:  # noqa: N803
        """An encrypted key as it was."""
        ...


def create_client(*, region_name: str | None = None, endpoint_url: str | None = None) -> KmsClient:
    """A KMS client, which reports a service that does not answer within ten seconds."""
    client: KmsClient = create_aws_client("kms", region_name, endpoint_url, read_timeout_s=2.0)
    return client
