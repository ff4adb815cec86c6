"""The settlement's tasks by themselves: how far each goes, what it passes on, and what it leaves for the next."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from payments_sandbox.domain.errors import StoreUnavailable
from payments_sandbox.domain.timestamps import DAY_MS
from payments_sandbox.services.accounts.accounts import create_account
from payments_sandbox.services.accounts.controls import change_controls
from payments_sandbox.services.infrastructure import Infrastructure, Limits
from payments_sandbox.services.settlement.settlement_records import Settlement
from payments_sandbox.services.settlement.settlements import list_settlements
from payments_sandbox.services.world import plain_world
from payments_sandbox.workers.settlement import TIME_KEPT_MS, SettlementTasks
from tests.calls.payments import authorize, capture, id_of
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import ACCOUNT, FrozenClock, make_infrastructure

Json = dict[str, Any]


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def infrastructure(clock: FrozenClock) -> Infrastructure:
    return make_infrastructure(MemoryStore(), clock)


def pay(infrastructure: Infrastructure, account: str, key: str = "a", **fields: Any) -> str:
    authorization_id = id_of(authorize(plain_world(infrastructure, ACCOUNT), key, account=account, **fields))
    return id_of(capture(plain_world(infrastructure, ACCOUNT), authorization_id, key, account=account))


def ample() -> int:
    return 900_000


def after(calls: int) -> Callable[[], int]:
    """Time that is nearly up after so many answers."""
    left: Iterator[int] = iter([TIME_KEPT_MS] * calls)
    return lambda: next(left, TIME_KEPT_MS - 1)


def run(
    infrastructure: Infrastructure,
    task: str,
    remaining_ms: Callable[[], int] = ample,
    limits: Mapping[str, int] = MappingProxyType({}),
    **fields: Any,
) -> Json:
    return SettlementTasks(infrastructure, **limits).run({"task": task, **fields}, remaining_ms)


def ids_of(state: Json) -> list[str]:
    assert state["account_count"] == len(state["accounts"])
    return [account["account_id"] for account in state["accounts"]]


def made(infrastructure: Infrastructure, account: str) -> list[Settlement]:
    return list(list_settlements(plain_world(infrastructure, account), limit=100, cursor=None).items)


# --- collect ---


def test_an_account_is_collected_once_however_much_is_due_in_it(
    infrastructure: Infrastructure, clock: FrozenClock
) -> None:
    for key in ("a", "b", "c"):
        pay(infrastructure, "acct_1", key)
    pay(infrastructure, "acct_2")
    clock.advance(days=1)
    pay(infrastructure, "acct_today")
    authorize(plain_world(infrastructure, ACCOUNT), account="acct_authorized_only")
    state = run(infrastructure, "collect")
    assert sorted(ids_of(state)) == ["acct_1", "acct_2"]
    assert (state["finished"], state["collected"], state["failed_count"]) == (True, 2, 0)


def test_what_was_collected_before_is_not_collected_again(
    infrastructure: Infrastructure, clock: FrozenClock
) -> None:
    accounts = sorted(f"acct_{number}" for number in range(5))
    for account in accounts:
        pay(infrastructure, account)
    clock.advance(days=1)
    found: list[str] = []
    state: Json = {}
    rounds = 0
    # Nothing is settled in between, as when every account fails: it ends all the same.
    while not state.get("finished"):
        state = run(infrastructure, "collect", limits={"accounts_per_round": 2}, progress=state)
        found += ids_of(state)
        rounds += 1
    assert sorted(found) == accounts
    assert rounds == 3
    assert ids_of(run(infrastructure, "collect", progress=state)) == []


def test_accounts_ahead_of_us_come_first_and_by_their_own_time(
    infrastructure: Infrastructure, clock: FrozenClock
) -> None:
    ahead = []
    for _ in range(3):
        account, _key = create_account(infrastructure, name=None)
        pay(infrastructure, account.account_id)
        ahead.append(account.account_id)
    for account_id in ahead[:2]:
        change_controls(
            infrastructure, account_id, lambda controls: replace(controls, clock_offset_ms=DAY_MS)
        )
    # This one has controls, and everybody's time.
    change_controls(infrastructure, ahead[2], lambda controls: replace(controls, cutoff_minutes=60))
    found = []
    state: Json = {}
    while not state.get("finished"):
        state = run(infrastructure, "collect", limits={"accounts_per_round": 1}, progress=state)
        found += ids_of(state)
    assert found == sorted(ahead[:2])
    clock.advance(days=1)
    state, found = {}, []
    while not state.get("finished"):
        state = run(infrastructure, "collect", limits={"accounts_per_round": 1}, progress=state)
        found += ids_of(state)
    assert found == [*sorted(ahead[:2]), ahead[2]]


def test_collecting_stops_in_good_time_and_goes_on(
    infrastructure: Infrastructure, clock: FrozenClock
) -> None:
    for number in range(4):
        pay(infrastructure, f"acct_{number}")
    clock.advance(days=1)
    first = run(infrastructure, "collect", after(1))
    assert (len(ids_of(first)), first["finished"]) == (2, False)
    second = run(infrastructure, "collect", progress=first)
    assert sorted(ids_of(first) + ids_of(second)) == [f"acct_{number}" for number in range(4)]
    assert second["finished"] is True


def test_an_execution_settles_so_many_accounts_and_says_that_there_are_more(
    infrastructure: Infrastructure, clock: FrozenClock, caplog: pytest.LogCaptureFixture
) -> None:
    limits = {"accounts_per_round": 2, "accounts_max": 4}
    for number in range(6):
        pay(infrastructure, f"acct_{number}")
    clock.advance(days=1)
    first = run(infrastructure, "collect", limits=limits)
    second = run(infrastructure, "collect", limits=limits, progress=first)
    assert (first["finished"], second["finished"], second["collected"]) == (False, True, 4)
    assert "more accounts are due" in caplog.text


def test_what_failed_is_counted_and_the_first_are_named(infrastructure: Infrastructure) -> None:
    results = [{"account_id": f"acct_{number}", "error": "KeyError"} for number in range(30)]
    state = run(infrastructure, "collect", progress={"results": [*results, {"account_id": "acct_ok"}]})
    assert state["failed_count"] == 30
    assert state["failed"] == [f"acct_{number}" for number in range(20)]
    again = run(infrastructure, "collect", progress={**state, "results": results[:1]})
    assert (again["failed_count"], again["failed"]) == (31, state["failed"])


# --- settle and publish ---


def settle_whole(
    infrastructure: Infrastructure,
    account: str,
    remaining_ms: Callable[[], Callable[[], int]],
    limits: Mapping[str, int] = MappingProxyType({}),
) -> int:
    """As the state machine does; answers how many rounds it took."""
    for rounds in range(1, 100):
        gathered = run(infrastructure, "settle", remaining_ms(), limits, account_id=account)
        if run(infrastructure, "publish", **gathered)["finished"]:
            return rounds
    raise AssertionError("it does not end")


def test_days_are_settled_one_by_one_and_published_together(
    infrastructure: Infrastructure, clock: FrozenClock
) -> None:
    for day in range(3):
        pay(infrastructure, "acct_1", f"a{day}")
        pay(infrastructure, "acct_1", f"b{day}", currency="JPY")
        clock.advance(days=1)
    gathered = run(infrastructure, "settle", account_id="acct_1")
    assert (len(gathered["settlement_ids"]), gathered["finished"]) == (6, True)
    assert not any(settlement.completed for settlement in made(infrastructure, "acct_1"))
    assert run(infrastructure, "publish", **gathered) == {"account_id": "acct_1", "finished": True}
    assert all(settlement.completed for settlement in made(infrastructure, "acct_1"))
    assert run(infrastructure, "settle", account_id="acct_1") == {
        "account_id": "acct_1",
        "settlement_ids": [],
        "finished": True,
    }


@pytest.mark.parametrize("calls", range(11))
def test_an_account_cut_off_at_any_time_ends_as_one_that_was_not(clock: FrozenClock, calls: int) -> None:
    records = []
    for remaining in (lambda: ample, lambda: after(calls)):
        store, time = MemoryStore(), FrozenClock()
        infrastructure = make_infrastructure(store, time, Limits(settlement_lines_per_record=2))
        for day in range(2):
            for number in range(5):
                pay(infrastructure, "acct_1", f"{day}-{number}", currency="EUR" if number else "JPY")
            time.advance(days=1)
        settle_whole(infrastructure, "acct_1", remaining)
        records.append(store.records)
    assert records[0] == records[1]


def test_only_so_many_settlements_are_made_before_they_are_published(
    infrastructure: Infrastructure, clock: FrozenClock
) -> None:
    limits = {"settlements_max": 2}
    for day in range(5):
        pay(infrastructure, "acct_1", f"a{day}")
        clock.advance(days=1)
    gathered = run(infrastructure, "settle", limits=limits, account_id="acct_1")
    assert (len(gathered["settlement_ids"]), gathered["finished"]) == (2, False)
    assert settle_whole(infrastructure, "acct_1", lambda: ample, limits) == 3
    assert [settlement.count for settlement in made(infrastructure, "acct_1")] == [1] * 5


def test_publishing_twice_pays_out_once(infrastructure: Infrastructure, clock: FrozenClock) -> None:
    pay(infrastructure, "acct_1")
    clock.advance(days=1)
    gathered = run(infrastructure, "settle", account_id="acct_1")
    run(infrastructure, "publish", **gathered)
    store = infrastructure.store
    assert isinstance(store, MemoryStore)
    before = dict(store.records)
    run(infrastructure, "publish", **gathered)
    assert store.records == before


def test_an_unavailable_ledger_is_for_the_state_machine_to_wait_for(infrastructure: Infrastructure) -> None:
    class Down(MemoryStore):
        def page(self, *_: Any, **__: Any) -> Any:
            raise StoreUnavailable("throttled")

    for task in ("collect", "settle"):
        with pytest.raises(StoreUnavailable):
            run(replace(infrastructure, store=Down()), task, account_id="acct_1")


def test_a_task_that_is_not_known_is_a_mistake_of_the_definition(infrastructure: Infrastructure) -> None:
    with pytest.raises(ValueError, match="colect"):
        run(infrastructure, "colect")


def test_what_was_done_is_logged_with_its_account(
    infrastructure: Infrastructure, clock: FrozenClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sandbox.settlement")
    pay(infrastructure, "acct_1")
    clock.advance(days=1)
    settle_whole(infrastructure, "acct_1", lambda: ample)
    (logged,) = caplog.records
    assert vars(logged)["fields"] == {"account_id": "acct_1", "settlements": 1}
