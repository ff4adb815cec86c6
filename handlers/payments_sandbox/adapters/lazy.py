"""Adapters that are made at their first use: a function that takes payments starts without those that it seldom needs."""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

Port = TypeVar("Port")


def lazy(make: Callable[[], Port]) -> Port:
    """Return what behaves like the adapter, and makes it when one of its methods is first asked for."""
    return cast(Port, _Lazy(make))


class _Lazy:
    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = cache(make)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._make(), name)
