"""Imports Connexion without what Lambda never uses of it: a cold start is mostly imports.

Connexion imports Starlette's test client, requests, httpx, Jinja and Werkzeug at its top, for its own test client, for
contracts at a URL, for OAuth, for templates and for WSGI. Inside `lean_imports()` these names lead to stand-ins, which
can be imported, named in an annotation and called while modules load, and which refuse to be used for anything.
Afterwards the stand-ins are gone again: whoever imports requests later gets requests.

Only the Lambda entry point does this, before it imports anything else of the package:

    with lean_imports():
        from handlers.bootstrap import build_lambda

What is left out is a list, not a guess: `tests/unit/test_http_lean_imports.py` starts the app this way in a process of its
own, has it answer, and sees that none of these was loaded.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

LEFT_OUT: Final = (
    "flask",
    "httpx",
    "jinja2",
    "requests",
    "starlette.staticfiles",
    "starlette.templating",
    "starlette.testclient",
    "werkzeug",
    "werkzeug.local",
)


class NotLoadedError(RuntimeError):
    """Something asked a module that was left out to do its work."""


@contextmanager
def lean_imports() -> Iterator[None]:
    """While this is open, the modules in LEFT_OUT are imported as stand-ins, unless they were loaded before."""
    placed = {name: _StandIn(name) for name in LEFT_OUT if name not in sys.modules}
    sys.modules.update(placed)
    try:
        yield
    finally:
        for name in placed:
            sys.modules.pop(name, None)


class _StandIn(ModuleType):
    """A module whose every attribute is a class that can be made, and then does nothing but refuse."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            # The import system asks for these, and knows what it means that there are none.
            raise AttributeError(name)
        return type(name, (_Refusing,), {"__module__": self.__name__})


class _Refusing:
    """What stands for any class or function of a module that was left out."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        kind = type(self)
        raise NotLoadedError(f"{kind.__module__}.{kind.__name__} is left out of Lambda (asked for {name})")
