"""Imports Connexion and boto3 without what the sandbox never uses of them: a start is mostly imports.

Connexion imports Starlette's test client, requests, httpx, Jinja, Werkzeug, jsonschema and more at its top: for its
own test client, for contracts at a URL, for OAuth, for templates, for WSGI, and to validate the contract at each start, which
the build has done. Starlette imports anyio for threads and streams, and what forms, web sockets and
its own error pages take; boto3 what moves files to S3 and documents its clients.
Inside `lean_imports()` these names lead to stand-ins, which can be imported, subclassed, named in an annotation and called
while modules load, and which refuse to work. Afterwards the stand-ins are gone again: whoever imports requests later gets
requests.

The Lambda entry points do this before they import anything else of the package, and only with a contract that the build
has validated. The local sandbox leaves out `LEFT_OUT_LOCALLY`: it starts in half the time.

    with lean_imports():
        from payments_sandbox.bootstrap import build_lambda

        app = build_lambda(settings)

`tests/unit/entrypoints/test_lean_imports.py` starts the app this way in a process of its own, has it answer, and sees that
nothing of the list was loaded.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final, NoReturn

LEFT_OUT: Final = (
    "anyio",
    "anyio.abc",
    "anyio.to_thread",
    "asgiref.sync",
    "boto3.docs.service",
    "botocore.docs.docstring",
    "botocore.docs.service",
    "flask",
    "httpx",
    "jinja2",
    "jsonschema",
    "jsonschema.exceptions",
    "jsonschema.validators",
    "python_multipart",
    "python_multipart.exceptions",
    "python_multipart.multipart",
    "requests",
    "s3transfer",
    "s3transfer.manager",
    "starlette.formparsers",
    "starlette.middleware.errors",
    "starlette.staticfiles",
    "starlette.templating",
    "starlette.testclient",
    "starlette.websockets",
    "werkzeug",
    "werkzeug.local",
    "yaml",
)
LEFT_OUT_LOCALLY: Final = tuple(name for name in LEFT_OUT if name != "yaml")
"""The local sandbox reads the contract as YAML."""


class NotLoadedError(RuntimeError):
    """Something asked a module that was left out to do its work."""


@contextmanager
def lean_imports(left_out: Sequence[str] = LEFT_OUT) -> Iterator[None]:
    """While this is open, these modules are imported as stand-ins, unless they were loaded before."""
    placed = {name: _StandIn(name) for name in left_out if name not in sys.modules}
    sys.modules.update(placed)
    try:
        yield
    finally:
        for name in placed:
            sys.modules.pop(name, None)


class _StandIn(ModuleType):
    """A module that has whatever is asked for."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            # The import system asks for these, and knows what it means that there are none.
            raise AttributeError(name)
        return _Refusal.named(name, self.__name__)


class _Refusal(type):
    """The type of what stands for a class or function: as a class it has whatever is asked for."""

    @classmethod
    def named(cls, name: str, module: str) -> type:
        return cls(name, (_Refusing,), {"__module__": module})

    def __getattr__(cls, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Refusal.named(f"{cls.__name__}.{name}", cls.__module__)

    def __getitem__(cls, _key: object) -> type:
        return cls


class _Refusing(Exception, metaclass=_Refusal):
    """What stands for a class or function; it can be made, and does no more. An exception, as some are caught."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    def __call__(self, *_args: Any, **_kwargs: Any) -> Any:
        self._refuse()

    def __getattr__(self, name: str) -> Any:
        self._refuse()

    def _refuse(self) -> NoReturn:
        kind = type(self)
        raise NotLoadedError(f"{kind.__module__}.{kind.__name__} is left out: see lean_imports.py")
