"""The sweeper: what it finds due, how far a run goes, and where the next one goes on."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from payments_sandbox.domain.errors import StoreUnavailable
from payments_sandbox.domain.timestamps import DAY_MS
from payments_sandbox.services.accounts.accounts import DEMO_ACCOUNT, ensure_demo_account
from payments_sandbox.services.accounts.controls import change_controls
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ledger.transactions import get_transaction
from payments_sandbox.services.ports import Index, Page, Position, Record
from payments_sandbox.services.time.scheduled_work import SCHEDULED_WORK, ScheduledWork
from payments_sandbox.services.world import World, plain_world
from payments_sandbox.workers.sweep import TIME_KEPT_MS, Sweeper, Swept
from tests.calls.payments import authorize, capture, id_of
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import ACCOUNT, NOW_MS, make_infrastructure


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


def sweeper_of(infrastructure: Infrastructure, queue: Queue, **limits: int) -> Sweeper:
    """It reads pages of three, so that tests need few records."""
    return Sweeper(infrastructure, queue, page=3, **limits)


def test_what_is_due_is_sent_and_what_is_under_way_or_settled_is_not() -> None:
    store = store_with(NOW_MS - 1, NOW_MS, NOW_MS + 1, None, NOW_MS - 86_400_000)
    queue = Queue()
    swept = sweeper_of(make_infrastructure(store), queue).sweep(ample)
    assert queue.taken == names(4, 0, 1)
    assert queue.delays_s == {0}
    assert swept == Swept(read=3, sent=3, finished=True)


def test_what_nobody_does_is_read_over() -> None:
    store = store_with(*[NOW_MS - 10] * 7, kind="of_a_later_version")
    store.insert(Record("del_last", "webhook_delivery", "acct_shop", 1, NOW_MS, {}, due_at=NOW_MS - 1))
    queue = Queue()
    swept = sweeper_of(make_infrastructure(store), queue).sweep(ample)
    assert queue.taken == ["del_last"]
    assert swept == Swept(read=8, sent=1, finished=True)


def test_every_run_starts_at_the_front_after_one_that_came_to_the_end() -> None:
    queue = Queue()
    sweeper = sweeper_of(make_infrastructure(due_before(4)), queue)
    sweeper.sweep(ample)
    sweeper.sweep(ample)
    assert queue.taken == names(0, 1, 2, 3) * 2


def test_a_run_that_has_sent_enough_stops_and_the_next_goes_on() -> None:
    queue = Queue()
    sweeper = sweeper_of(make_infrastructure(due_before(8)), queue, pieces_max=5)
    assert sweeper.sweep(ample) == Swept(read=6, sent=6, finished=False)
    assert sweeper.sweep(ample) == Swept(read=2, sent=2, finished=True)
    assert queue.taken == names(*range(8))


def test_a_run_stops_in_good_time_and_the_next_goes_on() -> None:
    left = iter([TIME_KEPT_MS + 1, TIME_KEPT_MS, TIME_KEPT_MS - 1])
    queue = Queue()
    sweeper = sweeper_of(make_infrastructure(due_before(8)), queue)
    assert sweeper.sweep(lambda: next(left)) == Swept(read=6, sent=6, finished=False)
    sweeper.sweep(ample)
    assert queue.taken == names(*range(8))


def test_single_messages_that_the_queue_refuses_are_counted_and_sent_by_the_next_run() -> None:
    queue = Queue("del_1")
    sweeper = sweeper_of(make_infrastructure(due_before(4)), queue)
    assert sweeper.sweep(ample) == Swept(read=4, sent=3, refused=1, finished=True)
    queue.refused.clear()
    queue.taken.clear()
    sweeper.sweep(ample)
    assert "del_1" in queue.taken


def test_a_queue_that_takes_nothing_ends_the_run_and_the_next_goes_on_there() -> None:
    queue = Queue(*names(3, 4, 5))
    sweeper = sweeper_of(make_infrastructure(due_before(8)), queue)
    assert sweeper.sweep(ample) == Swept(read=6, sent=3, refused=3, finished=False)
    queue.refused.clear()
    sweeper.sweep(ample)
    assert queue.taken == names(*range(8))


def test_a_ledger_that_fails_in_the_middle_is_an_error_and_the_next_run_goes_on_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, queue = due_before(8), Queue()
    # The list of accounts with a clock of their own is a page too.
    store.pages_left = 2
    sweeper = sweeper_of(make_infrastructure(store), queue)
    with pytest.raises(StoreUnavailable):
        sweeper.sweep(ample)
    assert vars(caplog.records[-1])["fields"] == {
        "read": 3,
        "sent": 3,
        "refused": 0,
        "done": 0,
        "failed": 0,
        "finished": False,
    }
    store.pages_left = 1_000
    sweeper.sweep(ample)
    assert queue.taken == names(*range(8))


def test_the_counts_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sandbox.webhooks")
    sweeper_of(make_infrastructure(due_before(2)), Queue()).sweep(ample)
    (logged,) = caplog.records
    fields: Any = vars(logged)["fields"]
    assert fields == {"read": 2, "sent": 2, "refused": 0, "done": 0, "failed": 0, "finished": True}


def expired(infrastructure: Infrastructure, count: int, *, account: str = ACCOUNT) -> list[str]:
    """Authorizations whose time is over, by a clock that is eight days behind."""
    behind = plain_world(infrastructure, ACCOUNT).at(infrastructure.clock.now_ms() - 8 * DAY_MS)
    return [id_of(authorize(behind, f"key-{number}", account=account)) for number in range(count)]


def test_other_due_work_is_done_as_of_the_moment_it_was_due() -> None:
    infrastructure = make_infrastructure(due_before(1))
    (authorization_id,) = expired(infrastructure, 1)
    assert sweeper_of(infrastructure, Queue()).sweep(ample) == Swept(read=2, sent=1, done=1, finished=True)
    family = get_transaction(plain_world(infrastructure, ACCOUNT), authorization_id).members
    assert [member.record.kind for member in family] == ["authorization", "expiry"]
    assert family[1].record.created_at == NOW_MS - DAY_MS


def test_settlement_is_left_to_its_state_machine() -> None:
    infrastructure = make_infrastructure()
    yesterday = plain_world(infrastructure, ACCOUNT).at(infrastructure.clock.now_ms() - DAY_MS)
    capture(yesterday, id_of(authorize(yesterday)))
    assert sweeper_of(infrastructure, Queue()).sweep(ample) == Swept(read=1, finished=True)


def test_work_that_fails_is_counted_and_keeps_nothing_else_from_being_done(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    infrastructure = make_infrastructure(due_before(1))
    ids = expired(infrastructure, 3)
    do = SCHEDULED_WORK["authorization"].do

    def trip(world: World, record: Record) -> None:
        assert record.id != ids[1]
        do(world, record)

    monkeypatch.setitem(
        cast(dict[str, ScheduledWork], SCHEDULED_WORK),
        "authorization",
        ScheduledWork("authorization_expiry", trip),
    )
    assert sweeper_of(infrastructure, Queue()).sweep(ample) == Swept(
        read=4, sent=1, done=2, failed=1, finished=True
    )
    assert [vars(each)["fields"]["record_id"] for each in caplog.records if each.name == "sandbox.due"] == [
        ids[1]
    ]


def test_accounts_whose_clock_is_ahead_are_swept_by_their_own_time() -> None:
    infrastructure = make_infrastructure()
    ensure_demo_account(infrastructure)
    authorize(plain_world(infrastructure, ACCOUNT), account=DEMO_ACCOUNT)
    authorize(plain_world(infrastructure, ACCOUNT), account=ACCOUNT)
    sweeper = sweeper_of(infrastructure, Queue())
    assert sweeper.sweep(ample) == Swept(finished=True)
    change_controls(
        infrastructure, DEMO_ACCOUNT, lambda controls: replace(controls, clock_offset_ms=8 * DAY_MS)
    )
    assert sweeper.sweep(ample) == Swept(read=1, done=1, finished=True)
    assert sweeper.sweep(ample) == Swept(finished=True)
