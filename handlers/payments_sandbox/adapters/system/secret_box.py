"""`SecretBox` by a key on this machine: AES-256-GCM, the format of a sealed secret, and what opening one can come to.

The embedded home's key file, mode 0600, holds the key (`secret_file.py`): whoever can read that file can read the
secrets, and the ledger alone, a copy or a backup of it, gives none of them away. On AWS `adapters/kms/` seals in the same
format under keys that KMS encrypts.

Source: NIST SP 800-38D (GCM; a random 96-bit nonce is good for 2^32 secrets under one key), RFC 5869 (HKDF).
"""

import base64
import binascii
import secrets
from typing import Final

FORMAT: Final = "v1"

KEY_BYTES_MIN: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16

_PURPOSE: Final = b"payments-sandbox webhook secrets v1"


class SealedSecretUnreadable(Exception):
    """What was stored is not a sealed secret of this box: it was altered, or sealed under another key or format.

    The message holds neither the text nor the secret.
    """


class FileSecretBox:
    """`SecretBox` under one key that is derived from the ledger's secret, so that neither can be told from the other.

    key: the ledger's secret, at least 32 bytes. A sealed secret is `v1.` and the base64url of nonce, ciphertext and tag.
    """

    def __init__(self, key: bytes) -> None:
        # Some 20 ms of imports, which only those pay who keep secrets.
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        if len(key) < KEY_BYTES_MIN:
            raise ValueError(f"the key must have at least {KEY_BYTES_MIN} bytes")
        self._key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(key)

    def seal(self, secret: bytes) -> str:
        """See the port."""
        return f"{FORMAT}.{to_text(encrypt(self._key, secret))}"

    def open(self, sealed: str) -> bytes:
        """See the port. Raises SealedSecretUnreadable."""
        version, _, text = sealed.partition(".")
        if version != FORMAT:
            raise SealedSecretUnreadable("the sealed secret has a format that this box does not know")
        return decrypt(self._key, from_text(text))


def encrypt(key: bytes, secret: bytes) -> bytes:
    """Nonce, ciphertext and tag by AES-256-GCM."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, secret, _PURPOSE)


def decrypt(key: bytes, box: bytes) -> bytes:
    """What `encrypt` was given. Raises SealedSecretUnreadable."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if len(box) < NONCE_BYTES + TAG_BYTES:
        raise SealedSecretUnreadable("the sealed secret is cut short")
    try:
        return AESGCM(key).decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], _PURPOSE)
    except InvalidTag as error:
        raise SealedSecretUnreadable("the sealed secret was altered, or sealed under another key") from error


def to_text(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """What `to_text` was given; exactly its spelling is read. Raises SealedSecretUnreadable."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error) as error:
        raise SealedSecretUnreadable("the sealed secret is not base64url") from error
    # The decoder skips what is no base64, and ignores the last character's unused bits.
    if to_text(data) != text:
        raise SealedSecretUnreadable("the sealed secret is not base64url")
    return data
