"""`listen` tells of each event once and leaves none out, whatever the timing, through outages and throttling."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments_sandbox.entrypoints.api_client import ApiClient, CallFailed, Refused, Unreachable
from tests.doubles.ports import NOW_MS
from tests.unit.entrypoints.cli_fakes import URL, World

ALL = ("*",)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    with world.client:
        yield world


def test_only_what_happens_after_the_start_is_told_and_the_oldest_first(world: World) -> None:
    world.api.add("evt_before", NOW_MS)
    world.feed.start()
    assert world.poll() == []
    world.api.add("evt_b", NOW_MS + 2)
    world.api.add("evt_a", NOW_MS + 1)
    assert world.poll() == ["evt_a", "evt_b"]
    assert world.poll() == []


def test_the_first_event_of_an_empty_account_is_told(world: World) -> None:
    world.feed.start()
    world.api.add("evt_first")
    assert world.poll() == ["evt_first"]


def test_many_events_between_two_polls_take_several_pages(world: World) -> None:
    for number in range(300):
        world.api.add(f"evt_old{number:04}", NOW_MS + number * 1_000)
    world.feed.start()
    new = [world.api.add(f"evt_new{number:04}", NOW_MS + 1_000_000 + number) for number in range(400)]
    assert world.poll() == new
    assert world.feed.pages == 5
    assert world.poll() == []


def test_a_quiet_account_costs_one_page_a_poll(world: World) -> None:
    for number in range(300):
        world.api.add(f"evt_{number:04}", NOW_MS + number * 1_000)
    world.feed.start()
    for number in range(300, 310):
        new = world.api.add(f"evt_{number:04}", NOW_MS + number * 1_000)
        assert world.poll() == [new]
        assert world.feed.pages == 1


def test_an_event_that_sorts_below_one_seen_before_is_not_missed(world: World) -> None:
    world.feed.start()
    world.api.add("evt_m", NOW_MS)
    assert world.poll() == ["evt_m"]
    # The same millisecond, a smaller id; then one written late by another machine.
    world.api.add("evt_a", NOW_MS)
    assert world.poll() == ["evt_a"]
    world.api.add("evt_late", NOW_MS - 3_000)
    assert world.poll() == ["evt_late"]


def test_events_that_arrive_while_pages_are_read_come_with_the_next_poll(world: World) -> None:
    world.feed.start()
    first = [world.api.add(f"evt_{number:04}", NOW_MS + number) for number in range(150)]
    arrivals = iter(["evt_later"])

    def arrive() -> None:
        for event_id in arrivals:
            world.api.add(event_id, NOW_MS + 1_000)

    world.api.while_paging = arrive
    assert world.poll() == first
    assert world.poll() == ["evt_later"]


def test_a_new_ledger_whose_clock_is_behind_is_followed_too(world: World) -> None:
    for number in range(80):
        world.api.add(f"evt_old{number:04}", NOW_MS + number * 1_000)
    world.feed.start()
    world.api.events.clear()
    assert world.poll() == []
    world.api.add("evt_new", NOW_MS - 86_400_000)
    assert world.poll() == ["evt_new"]
    assert world.poll() == []


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.integers(0, 70), st.integers(0, 3_000), st.lists(st.integers(0, 4_999), max_size=3)),
        max_size=12,
    )
)
def test_whatever_the_timing_each_event_is_told_once(rounds: list[tuple[int, int, list[int]]]) -> None:
    """rounds: how many events on time, how much time passes, and how late further ones appear in the listing."""
    world = World()
    with world.client:
        now_ms, count = NOW_MS, 0

        def add(at_ms: int) -> str:
            nonlocal count
            count += 1
            # Ids in no order of time.
            return world.api.add(f"evt_{count * 7919 % 10_007:05}", at_ms)

        for _ in range(120):
            add(now_ms - 10_000)
        world.feed.start()
        expected, told = [], []
        for on_time, pause_ms, late in rounds:
            expected += [add(now_ms) for _ in range(on_time)]
            expected += [add(now_ms - late_ms) for late_ms in late]
            told += world.poll()
            now_ms += pause_ms
        told += world.poll()
        assert sorted(told) == sorted(expected)


def test_replay_gives_the_last_matching_ones_and_nothing_twice(world: World) -> None:
    for number in range(250):
        event_type = "payment.captured" if number % 50 == 0 else "payment.authorized"
        world.api.add(f"evt_{number:04}", NOW_MS + number, event_type)
    world.feed.start()
    world.api.add("evt_new", NOW_MS + 900, "payment.captured")
    assert [event.event_id for event in world.feed.replay(2, ALL)] == ["evt_0248", "evt_0249"]
    captured = world.feed.replay(3, ("payment.captured",))
    assert [event.event_id for event in captured] == ["evt_0100", "evt_0150", "evt_0200"]
    assert world.api.calls[-1]["type"] == "payment.captured"
    several = world.feed.replay(1, ("payment.captured", "payment.voided"))
    assert [event.event_id for event in several] == ["evt_0200"]
    assert len(world.feed.replay(1_000, ALL)) == 250
    assert world.feed.replay(0, ALL) == []
    assert world.poll() == ["evt_new"]


def test_an_outage_is_told_once_and_so_is_its_end(world: World) -> None:
    world.feed.start()
    world.api.add("evt_a")
    world.api.troubles = [*(httpx.ConnectError("refused") for _ in range(9)), httpx.Response(503, text="")]
    assert world.poll() == ["evt_a"]
    assert len(world.told) == 2
    assert world.told[0].startswith("cannot reach a sandbox at http://sandbox.test: refused")
    assert world.told[1] == "http://sandbox.test answers again"
    assert world.naps.taken == [0.25, 0.5, 1, 2, 4, 5, 5, 5, 5, 5]


def test_a_kept_connection_that_was_closed_is_not_worth_a_word(world: World) -> None:
    world.api.troubles = [httpx.RemoteProtocolError("Server disconnected")]
    world.feed.start()
    assert world.told == []


def test_retry_after_is_obeyed_and_a_page_is_not_asked_for_from_the_beginning(world: World) -> None:
    world.feed.start()
    new = [world.api.add(f"evt_{number:04}", NOW_MS + number) for number in range(150)]
    throttled = httpx.Response(
        429,
        json={"code": "rate_limit_exceeded", "detail": "Too many.", "errors": []},
        headers={"retry-after": "7", "ratelimit-policy": '"default";q=100;w=60'},
    )

    def throttle() -> None:
        world.api.while_paging = lambda: None
        world.api.troubles = [throttled]

    before = len(world.api.calls)
    world.api.troubles = [throttled]
    world.api.while_paging = throttle
    assert world.poll() == new
    assert 7 in world.naps.taken
    assert world.told == []
    assert [("cursor" in call) for call in world.api.calls[before:]] == [False, False, True]


def test_a_long_wait_for_the_plan_is_told(world: World) -> None:
    world.api.troubles = [
        httpx.Response(429, json={"message": "Limit Exceeded"}, headers={"retry-after": "90"})
    ]
    world.feed.start()
    assert "answered 429 Limit Exceeded" in world.told[0]
    assert world.naps.taken == [90]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            httpx.Response(
                401,
                json={"code": "api_key_invalid", "detail": "The key.", "errors": [], "request_id": "req_1"},
            ),
            r"api_key_invalid: The key. \[req_1\]",
        ),
        (httpx.Response(403, json={"message": "Forbidden"}), "sandbox.test answered 403 Forbidden; is it"),
        (httpx.Response(404, text="<h1>"), "answered 404 Not Found; is it the URL"),
        (httpx.Response(200, text="<h1>"), "answered 200 OK; is it the URL"),
        (httpx.Response(200, json=[]), "answered 200 OK; is it the URL"),
        (httpx.Response(302, headers={"location": "http://elsewhere.test/"}), "answered 302 Found"),
    ],
)
def test_what_waiting_cannot_mend_is_an_error(world: World, answer: httpx.Response, said: str) -> None:
    world.api.troubles = [answer]
    with pytest.raises(Refused, match=said):
        world.feed.start()
    assert world.naps.taken == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": [{}]},
        {"data": 1},
        {"data": [{"event_id": "a", "type": "b", "timestamp": "c", "data": {}}]},
    ],
)
def test_another_kind_of_listing_is_an_error(world: World, body: dict[str, Any]) -> None:
    world.api.troubles = [httpx.Response(200, json=body)]
    with pytest.raises(CallFailed, match="not one of a payments sandbox"):
        world.feed.start()


def test_the_impatient_try_again_only_what_asks_for_it(world: World) -> None:
    client = ApiClient(URL, "sk_test_1", sleep=world.naps, transport=httpx.MockTransport(world.api))
    with client:
        world.api.troubles = [httpx.ConnectError("refused")]
        with pytest.raises(Unreachable):
            client.get("/v1/events")
        busy = {"code": "rate_limit_exceeded", "detail": "Too many.", "errors": []}
        world.api.troubles = [httpx.Response(429, json=busy, headers={"retry-after": "31"})]
        with pytest.raises(Refused):
            client.get("/v1/events")
        world.api.troubles = [httpx.Response(429, json=busy, headers={"retry-after": "2"})]
        client.get("/v1/events", {"limit": 1})
        assert world.naps.taken == [2]
        world.api.troubles = [httpx.Response(503, text="") for _ in range(9)]
        with pytest.raises(Refused):
            client.get("/v1/events")
        assert len(world.api.troubles) == 5
