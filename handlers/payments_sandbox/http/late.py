"""Modules of handlers that are imported at the first request for them.

A cold start of the Lambda function that takes payments is mostly imports, of which settlements, webhooks and the rest are
half. `from payments_sandbox.http.late import events` gives a stand-in for `handlers/payments_sandbox/http/events.py`, whose handlers import it when
they are called. Whoever would rather pay at once, and know at once that all are there, calls `load_handlers`.
"""

from collections.abc import Mapping
from importlib import import_module

from payments_sandbox.http.call import Answer, Call
from payments_sandbox.http.exchange import Handler


class LateHandler:
    """A handler of a module that may not be imported yet."""

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._handler: Handler | None = None
        self.__name__ = name

    async def __call__(self, call: Call) -> Answer:
        return await self.load()(call)

    def load(self) -> Handler:
        """The handler itself. Raises AttributeError when the module has none of this name."""
        if self._handler is None:
            self._handler = getattr(import_module(self._module), self.__name__)
        return self._handler


class _LateModule:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> LateHandler:
        return LateHandler(self._name, name)


def __getattr__(name: str) -> _LateModule:
    """What `from payments_sandbox.http.late import NAME` finds."""
    if name.startswith("_"):
        raise AttributeError(name)
    return _LateModule(f"payments_sandbox.http.{name}")


def load_handlers(handlers: Mapping[str, Handler]) -> dict[str, Handler]:
    """The same handlers, all of them imported."""
    return {
        name: handler.load() if isinstance(handler, LateHandler) else handler
        for name, handler in handlers.items()
    }
