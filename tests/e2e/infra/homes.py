"""The tests of one home, to be run once more in the other."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any


def once_more(module: ModuleType, *, but: Mapping[str, str]) -> dict[str, Callable[..., Any]]:
    """The tests of a module by name, for the globals of another one. but: tests that do not apply there, each with why."""
    tests = {name: test for name, test in vars(module).items() if name.startswith("test_")}
    unknown = sorted(set(but) - set(tests))
    if unknown:
        raise LookupError(f"{module.__name__} has no {', '.join(unknown)}")
    return {name: test for name, test in tests.items() if name not in but}
