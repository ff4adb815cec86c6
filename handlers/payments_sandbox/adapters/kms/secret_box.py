"""`SecretBox` by envelope encryption: each secret under a data key of its own, which KMS encrypts and alone can decrypt.

Sealing costs one call of KMS. Opening costs one for each secret and process, not one for each webhook: the secret is
remembered by its sealed text. So a key that is disabled in KMS goes on opening what a running process has opened before.

Source: the AWS KMS API (GenerateDataKey, Decrypt, encryption context).
"""

from functools import lru_cache
from typing import Final

from payments_sandbox.adapters.kms.client import KmsClient
from payments_sandbox.adapters.outages import error_code, outages_translated
from payments_sandbox.adapters.system.secret_box import (
    SealedSecretUnreadable,
    decrypt,
    encrypt,
    from_text,
    to_text,
)

FORMAT: Final = "kms1"

CONTEXT: Final = {"purpose": "webhook-secret"}
"""Authenticated with the data key, shown in CloudTrail, and usable as a condition in the key's policy."""

SECRETS_KEPT: Final = 1_000
"""Some 500 bytes each."""

_SERVICE: Final = "The key service that seals webhook secrets"

_OUTAGES: Final = frozenset(
    {
        "DependencyTimeoutException",
        "InternalFailure",
        "KMSInternalException",
        "KeyUnavailableException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "Throttling",
        "ThrottlingException",
    }
)
"""Error codes that say something about the service. The others are this program's or its deployment's fault."""


class KmsSecretBox:
    """`SecretBox` under the KMS key `key_id`: an id, ARN or alias. An alias must go on naming the same key.

    A sealed secret is `kms1.`, the encrypted data key, `.`, and nonce, ciphertext and tag by AES-256-GCM, both in
    base64url. Threads may share it. Both methods raise StoreUnavailable when KMS cannot be reached or refuses for load; a
    key that is missing, disabled or denied raises boto3's own error, since trying again would not help.
    """

    def __init__(self, client: KmsClient, key_id: str, *, secrets_kept: int = SECRETS_KEPT) -> None:
        self._client = client
        self._key_id = key_id
        self._opened = lru_cache(maxsize=secrets_kept)(self._open)

    def seal(self, secret: bytes) -> str:
        """See the port."""
        with outages_translated(_OUTAGES, _SERVICE):
            made = self._client.generate_data_key(
                KeyId=self._key_id, KeySpec="AES_256", EncryptionContext=CONTEXT
            )
        return f"{FORMAT}.{to_text(made['CiphertextBlob'])}.{to_text(encrypt(made['Plaintext'], secret))}"

    def open(self, sealed: str) -> bytes:
        """See the port. Raises SealedSecretUnreadable."""
        return self._opened(sealed)

    def _open(self, sealed: str) -> bytes:
        parts = sealed.split(".")
        if parts[0] != FORMAT or len(parts) != 3:
            raise SealedSecretUnreadable("the sealed secret has a format that this box does not know")
        encrypted_key, box = from_text(parts[1]), from_text(parts[2])
        return decrypt(self._decrypt_key(encrypted_key), box)

    def _decrypt_key(self, encrypted_key: bytes) -> bytes:
        from botocore.exceptions import ClientError

        try:
            with outages_translated(_OUTAGES, _SERVICE):
                # With KeyId, KMS refuses a data key that somebody made under a key of their own.
                answer = self._client.decrypt(
                    CiphertextBlob=encrypted_key, KeyId=self._key_id, EncryptionContext=CONTEXT
                )
        except ClientError as error:
            if error_code(error) in ("InvalidCiphertextException", "IncorrectKeyException"):
                raise SealedSecretUnreadable("KMS does not recognise the sealed secret's data key") from error
            raise
        plaintext: bytes = answer["Plaintext"]
        return plaintext
