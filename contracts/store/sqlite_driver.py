"""The driver `sqlite3` under observation: what the adapter executes, and errors that a test raises in SQLite's place."""

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

Act = Callable[[sqlite3.Connection], None]


class Driver:
    """Observes every connection that is opened through `connect`.

    statements: what was executed, in order.
    before: by the first characters of a statement, what to do before SQLite gets it.
    """

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.before: dict[str, Act] = {}
        self._connect = sqlite3.connect

    def connect(self, *arguments: Any, **options: Any) -> sqlite3.Connection:
        driver = self

        class Connection(sqlite3.Connection):
            def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
                driver.statements.append(statement)
                for start, act in list(driver.before.items()):
                    if statement.startswith(start):
                        act(self)
                return super().execute(statement, *parameters)

        return self._connect(*arguments, factory=Connection, **options)

    def count(self, start: str) -> int:
        """How many statements started so."""
        return sum(statement.startswith(start) for statement in self.statements)


def raising(errors: Iterable[BaseException]) -> Act:
    """Raise one error at each call; do nothing once there are no more."""
    left = iter(errors)

    def act(_: sqlite3.Connection) -> None:
        error = next(left, None)
        if error is not None:
            raise error

    return act


def sqlite_error(name: str) -> sqlite3.OperationalError:
    """The error that `sqlite3` raises for a result code: `SQLITE_FULL`."""
    error = sqlite3.OperationalError(f"as SQLite reports {name}")
    error.sqlite_errorcode, error.sqlite_errorname = getattr(sqlite3, name), name
    return error
