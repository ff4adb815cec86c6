"""Stores that get in the way, around one that works."""

from collections.abc import Callable, Sequence
from typing import Literal

from payments_sandbox.domain.errors import StoreUnavailable
from payments_sandbox.services.ports import (
    CommitResult,
    Committed,
    Index,
    Page,
    Position,
    Record,
    Stale,
    Store,
    Update,
)
from tests.doubles.memory_store import MemoryStore


class CountingStore:
    """Passes every call on, and keeps the names of the methods that were called."""

    def __init__(self, inner: Store | None = None) -> None:
        self.inner = inner or MemoryStore()
        self.calls: list[str] = []

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        self.calls.append("get")
        return self.inner.get(ids)

    def insert(self, record: Record) -> Record | None:
        self.calls.append("insert")
        return self.inner.insert(record)

    def commit(self, inserts: Sequence[Record], updates: Sequence[Update]) -> CommitResult:
        self.calls.append("commit")
        return self.inner.commit(inserts, updates)

    def page(
        self,
        index: Index,
        key: str,
        *,
        after: Position | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> Page:
        self.calls.append("page")
        return self.inner.page(index, key, after=after, limit=limit, newest_first=newest_first)

    def ping(self) -> None:
        self.inner.ping()

    def close(self) -> None:
        self.inner.close()


class RacingStore(CountingStore):
    """Lets another writer be faster.

    lose: the next so many commits find that the record has moved on. first: what the other writer does, once, right
    before the next commit; its own commits are not counted.
    """

    def __init__(self, inner: Store | None = None) -> None:
        super().__init__(inner)
        self.lose = 0
        self.first: Callable[[], object] | None = None

    def commit(self, inserts: Sequence[Record], updates: Sequence[Update]) -> CommitResult:
        if self.first is not None:
            first, self.first = self.first, None
            first()
        if self.lose:
            self.lose -= 1
            self.calls.append("commit")
            return Stale()
        return super().commit(inserts, updates)


class Killed(Exception):
    """The process died. Nothing in the sandbox knows this error, so nothing can handle it."""


class DyingStore(CountingStore):
    """Dies at its n-th write (counted from 1), right before it or right after it; lives on when there are fewer.

    writes: how many there were.
    """

    def __init__(self, inner: Store, nth: int, *, before: bool) -> None:
        super().__init__(inner)
        self.writes = 0
        self._nth = nth
        self._before = before

    def insert(self, record: Record) -> Record | None:
        self._begin()
        result = super().insert(record)
        self._end()
        return result

    def commit(self, inserts: Sequence[Record], updates: Sequence[Update]) -> CommitResult:
        self._begin()
        result = super().commit(inserts, updates)
        self._end()
        return result

    def _begin(self) -> None:
        self.writes += 1
        if self._before and self.writes == self._nth:
            raise Killed

    def _end(self) -> None:
        if not self._before and self.writes == self._nth:
            raise Killed


class FailingStore(CountingStore):
    """Fails once, when told to: `before` its next write takes place, or `after` it, when the answer is what is lost.

    An insert that finds its id taken, and a commit that is refused, write nothing: after those it does not fail.
    """

    def __init__(self, inner: Store | None = None) -> None:
        super().__init__(inner)
        self.failure: Literal["before", "after"] | None = None

    def insert(self, record: Record) -> Record | None:
        self._fail_before()
        existing = super().insert(record)
        if existing is None:
            self._fail_after()
        return existing

    def commit(self, inserts: Sequence[Record], updates: Sequence[Update]) -> CommitResult:
        self._fail_before()
        result = super().commit(inserts, updates)
        if isinstance(result, Committed):
            self._fail_after()
        return result

    def _fail_before(self) -> None:
        if self.failure == "before":
            self.failure = None
            raise StoreUnavailable("the write was not made")

    def _fail_after(self) -> None:
        if self.failure == "after":
            self.failure = None
            raise StoreUnavailable("the write was made, and its answer lost")
