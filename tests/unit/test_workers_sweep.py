"""The sweeper: what it finds due, how far a run goes, and where the next one goes on."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from handlers.domain.errors import StoreUnavailable
from handlers.services.ports import Index, Page, Position, Record
from handlers.workers import sweep
from handlers.workers.sweep import TIME_KEPT_MS, Sweeper, Swept
from tests.fakes import NOW_MS, FrozenClock, MemoryStore


class Queue:
    """`DeliveryQueue` that refuses what it is told to."""

    def __init__(self, *refused: str) -> None:
        self.refused = set(refused)
        self.taken: list[str] = []
        self.delays_s: set[int] = set()

    def send(self, messages: Sequence[tuple[str, int]]) -> Mapping[int, str]:
        ids = [json.loads(body)["delivery_id"] for body, _ in messages]
        self.delays_s |= {delay_s for _, delay_s in messages}
        self.taken += [delivery_id for delivery_id in ids if delivery_id not in self.refused]
        return {
            index: "InternalError" for index, delivery_id in enumerate(ids) if delivery_id in self.refused
        }

    def hold_back(self, receipt_handle: str, delay_s: int) -> str | None:
        raise AssertionError("the sweeper receives nothing")


class FailingStore(MemoryStore):
    """`Store` whose pages after the first so many cannot be read."""

    pages_left = 1_000

    def page(
        self,
        index: Index,
        key: str,
        *,
        after: Position | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> Page:
        if not self.pages_left:
            raise StoreUnavailable("throttled")
        self.pages_left -= 1
        return super().page(index, key, after=after, limit=limit, newest_first=newest_first)


def store_with(*due_at_ms: int | None, kind: str = "webhook_delivery") -> FailingStore:
    """Deliveries `del_0`, `del_1`, ... that are due then."""
    store = FailingStore()
    for number, due_at in enumerate(due_at_ms):
        store.insert(Record(f"del_{number}", kind, "acct_shop", 1, NOW_MS, {}, due_at=due_at))
    return store


def due_before(count: int) -> FailingStore:
    return store_with(*range(NOW_MS - count, NOW_MS))


def names(*numbers: int) -> list[str]:
    return [f"del_{number}" for number in numbers]


def ample() -> int:
    return 60_000


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of three, so that tests need few records."""
    monkeypatch.setattr(sweep, "PAGE", 3)


def test_what_is_due_is_sent_and_what_is_under_way_or_settled_is_not() -> None:
    store = store_with(NOW_MS - 1, NOW_MS, NOW_MS + 1, None, NOW_MS - 86_400_000)
    queue = Queue()
    swept = Sweeper(store, FrozenClock(), queue).sweep(ample)
    assert queue.taken == names(4, 0, 1)
    assert queue.delays_s == {0}
    assert swept == Swept(read=3, sent=3, finished=True)


def test_other_things_that_are_due_are_read_over() -> None:
    store = store_with(*[NOW_MS - 10] * 7, kind="authorization")
    store.insert(Record("del_last", "webhook_delivery", "acct_shop", 1, NOW_MS, {}, due_at=NOW_MS - 1))
    queue = Queue()
    swept = Sweeper(store, FrozenClock(), queue).sweep(ample)
    assert queue.taken == ["del_last"]
    assert swept == Swept(read=8, sent=1, finished=True)


def test_every_run_starts_at_the_front_after_one_that_came_to_the_end() -> None:
    queue = Queue()
    sweeper = Sweeper(due_before(4), FrozenClock(), queue)
    sweeper.sweep(ample)
    sweeper.sweep(ample)
    assert queue.taken == names(0, 1, 2, 3) * 2


def test_a_run_that_has_sent_enough_stops_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "MESSAGES_MAX", 5)
    queue = Queue()
    sweeper = Sweeper(due_before(8), FrozenClock(), queue)
    assert sweeper.sweep(ample) == Swept(read=6, sent=6, finished=False)
    assert sweeper.sweep(ample) == Swept(read=2, sent=2, finished=True)
    assert queue.taken == names(*range(8))


def test_a_run_stops_in_good_time_and_the_next_goes_on() -> None:
    left = iter([TIME_KEPT_MS + 1, TIME_KEPT_MS, TIME_KEPT_MS - 1])
    queue = Queue()
    sweeper = Sweeper(due_before(8), FrozenClock(), queue)
    assert sweeper.sweep(lambda: next(left)) == Swept(read=6, sent=6, finished=False)
    sweeper.sweep(ample)
    assert queue.taken == names(*range(8))


def test_single_messages_that_the_queue_refuses_are_counted_and_sent_by_the_next_run() -> None:
    queue = Queue("del_1")
    sweeper = Sweeper(due_before(4), FrozenClock(), queue)
    assert sweeper.sweep(ample) == Swept(read=4, sent=3, refused=1, finished=True)
    queue.refused.clear()
    queue.taken.clear()
    sweeper.sweep(ample)
    assert "del_1" in queue.taken


def test_a_queue_that_takes_nothing_ends_the_run_and_the_next_goes_on_there() -> None:
    queue = Queue(*names(3, 4, 5))
    sweeper = Sweeper(due_before(8), FrozenClock(), queue)
    assert sweeper.sweep(ample) == Swept(read=6, sent=3, refused=3, finished=False)
    queue.refused.clear()
    sweeper.sweep(ample)
    assert queue.taken == names(*range(8))


def test_a_ledger_that_fails_in_the_middle_is_an_error_and_the_next_run_goes_on_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, queue = due_before(8), Queue()
    store.pages_left = 1
    sweeper = Sweeper(store, FrozenClock(), queue)
    with pytest.raises(StoreUnavailable):
        sweeper.sweep(ample)
    assert vars(caplog.records[-1])["fields"] == {"read": 3, "sent": 3, "refused": 0, "finished": False}
    store.pages_left = 1_000
    sweeper.sweep(ample)
    assert queue.taken == names(*range(8))


def test_the_counts_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sandbox.webhooks")
    Sweeper(due_before(2), FrozenClock(), Queue()).sweep(ample)
    (logged,) = caplog.records
    fields: Any = vars(logged)["fields"]
    assert fields == {"read": 2, "sent": 2, "refused": 0, "finished": True}
