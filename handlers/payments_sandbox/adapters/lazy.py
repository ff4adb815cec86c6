"""Adapters that are made at their first use: a function that takes payments starts without those that it seldom needs."""

from collections.abc import Callable
from functools import cache

from payments_sandbox.services.ports import ApiKeyRegistry, Post, ReceiverResponse, SecretBox, Sender


class LazySecretBox:
    """`SecretBox` that is made when it is first needed."""

    def __init__(self, make: Callable[[], SecretBox]) -> None:
        self._make = cache(make)

    def seal(self, secret: bytes) -> str:
        """See the port."""
        return self._make().seal(secret)

    def open(self, sealed: str) -> bytes:
        """See the port."""
        return self._make().open(sealed)


class LazyKeyRegistry:
    """`ApiKeyRegistry` that is made when it is first needed."""

    def __init__(self, make: Callable[[], ApiKeyRegistry]) -> None:
        self._make = cache(make)

    def register(self, key_id: str, secret: str, plan: str) -> str:
        """See the port."""
        return self._make().register(key_id, secret, plan)

    def withdraw(self, gateway_key_id: str) -> None:
        """See the port."""
        self._make().withdraw(gateway_key_id)


class LazySender:
    """`Sender` that is made when it is first needed."""

    def __init__(self, make: Callable[[], Sender]) -> None:
        self._make = cache(make)

    async def send(self, post: Post) -> ReceiverResponse:
        """See the port."""
        return await self._make().send(post)
