"""One test item for a table whose rows differ by a value only."""

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

Test = Callable[..., None]


def each_case(names: str | tuple[str, ...], cases: Iterable[Any]) -> Callable[[Test], Test]:
    """Call the test with each case in turn, in one item. A failure names its case.

    It is written like `pytest.mark.parametrize`. All cases share the item's fixtures, so a test that changes one of its
    fixtures stays with `parametrize`.
    """
    rows = [case if isinstance(names, tuple) else (case,) for case in cases]
    assert rows, "a test without cases cannot fail"
    columns = names if isinstance(names, tuple) else (names,)

    def decorate(test: Test) -> Test:
        signature = inspect.signature(test)

        @wraps(test)
        def run(**fixtures: Any) -> None:
            for row in rows:
                case = dict(zip(columns, row, strict=True))
                try:
                    test(**fixtures, **case)
                except BaseException as error:
                    error.add_note(f"the case: {case!r}")
                    raise

        rest = [each for name, each in signature.parameters.items() if name not in columns]
        assert len(rest) == len(signature.parameters) - len(columns), "each name is a parameter of the test"
        run.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]
        return run

    return decorate
