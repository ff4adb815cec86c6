"""The embedded home's ledger secret: 32 random bytes, in hexadecimal, in a file that only its owner can read."""

import os
import secrets
from pathlib import Path
from typing import Final

SECRET_BYTES: Final = 32


class SecretFileError(Exception):
    """The key file cannot be used. The message is one line: the path, what is wrong, what to do."""


def load_secret(path: Path, *, make: bool) -> bytes:
    """The secret in the file. Raises SecretFileError.

    make: whether a file that is not there is made, with mode 0600: only for a ledger that has no secret yet. For another
        one a new secret would be wrong, and in the way of the right one.
    """
    if not make:
        return _read(path)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    except OSError as error:
        raise SecretFileError(f"The key file {path} cannot be made: {error.strerror}.") from error
    secret = secrets.token_bytes(SECRET_BYTES)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secret.hex() + "\n")
    return secret


def _read(path: Path) -> bytes:
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii"))
    except FileNotFoundError as error:
        raise SecretFileError(
            f"The key file {path} is not there, and its ledger needs it: restore it, or start anew with --reset."
        ) from error
    except OSError as error:
        raise SecretFileError(f"The key file {path} cannot be read: {error.strerror}.") from error
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise SecretFileError(
            f"The key file {path} does not hold a key: restore it, or start anew with --reset."
        )
    return secret
