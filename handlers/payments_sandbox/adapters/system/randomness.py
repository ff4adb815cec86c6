"""Randomness from the operating system."""

import secrets
import string

_ALPHABET = string.digits + string.ascii_letters


class SystemRandomness:
    """`Randomness` by the operating system's generator."""

    def token(self, length: int) -> str:
        return "".join([secrets.choice(_ALPHABET) for _ in range(length)])
