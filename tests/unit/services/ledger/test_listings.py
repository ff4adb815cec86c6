"""Walking an index: pages that join up whatever their size, cursors that nobody can make up, bounded reading."""

from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from payments_sandbox.domain.errors import InvalidRequest
from payments_sandbox.services.ledger.listings import (
    SCAN_MAX,
    SCAN_PAGE,
    ListingPage,
    decode_cursor,
    encode_cursor,
    walk,
)
from payments_sandbox.services.ports import Index, Position, Record
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import NOW_MS, make_world
from tests.doubles.stores import CountingStore

KEY = "acct_shop#thing"
IDS = st.text("abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1, max_size=40)

Wanted = Callable[[Record], bool]


def everything(record: Record) -> bool:
    return True


def record(number: int, *, at_ms: int | None = None) -> Record:
    at_ms = NOW_MS + number if at_ms is None else at_ms
    return Record(f"thing_{number:05}", "thing", "acct_shop", 1, at_ms, {"number": number}, feed_key=KEY)


def filled(count: int, **fields: Any) -> CountingStore:
    store = CountingStore()
    for number in range(count):
        store.insert(record(number, **fields))
    store.calls.clear()
    return store


def walk_all(store: CountingStore, wanted: Wanted = everything, *, limit: int, **options: Any) -> list[int]:
    """The numbers of everything that the walk finds, page by page."""
    found: list[int] = []
    cursor: str | None = None
    while True:
        page = walk(make_world(store).store, Index.FEED, KEY, wanted, limit=limit, cursor=cursor, **options)
        assert len(page.items) <= limit
        found += [each.data["number"] for each in page.items]
        if page.next_cursor is None:
            return found
        assert page.next_cursor != cursor
        cursor = page.next_cursor


@given(at_ms=st.integers(0, 10**15 - 1), record_id=IDS)
def test_a_cursor_is_read_as_it_was_written(at_ms: int, record_id: str) -> None:
    cursor = encode_cursor(Position(at_ms, record_id))
    assert decode_cursor(cursor) == Position(at_ms, record_id)
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.text(max_size=60))
@example("")
@example("=")
@example(urlsafe_b64encode(b"12").decode())
@example(urlsafe_b64encode(b"-1.a").decode().rstrip("="))
@example(urlsafe_b64encode(b"1_0.a").decode().rstrip("="))
@example(urlsafe_b64encode("١.a".encode()).decode().rstrip("="))
@example(urlsafe_b64encode(b"1" * 16 + b".a").decode().rstrip("="))
@example(urlsafe_b64encode(b"007.a").decode().rstrip("="))
@example(urlsafe_b64encode(b"1.\xff").decode().rstrip("="))
def test_any_other_text_is_refused_and_not_repeated(text: str) -> None:
    try:
        position = decode_cursor(text)
    except InvalidRequest as refusal:
        (error,) = refusal.errors
        assert (error.pointer, error.code) == ("query:cursor", "invalid_cursor")
    else:
        assert encode_cursor(position) == text


@pytest.mark.parametrize("selective", [True, False])
@given(count=st.integers(0, 30), limit=st.integers(1, 12), every=st.integers(1, 5))
def test_pages_of_any_size_join_up_to_the_whole_newest_first(
    selective: bool, count: int, limit: int, every: int
) -> None:
    store = filled(count)

    def wanted(each: Record) -> bool:
        return bool(each.data["number"] % every == 0)

    found = walk_all(store, wanted, limit=limit, selective=selective)
    assert found == [number for number in reversed(range(count)) if number % every == 0]


def test_records_of_one_moment_are_neither_lost_nor_repeated_between_pages() -> None:
    store = filled(25, at_ms=NOW_MS)
    for limit in (1, 2, 24, 25, 26):
        assert walk_all(store, limit=limit) == list(reversed(range(25)))


def test_there_is_no_cursor_after_the_last_item_even_where_others_follow_that_are_not_wanted() -> None:
    store = filled(10)
    page = walk(
        make_world(store).store, Index.FEED, KEY, lambda each: each.data["number"] > 6, limit=3, cursor=None
    )
    assert [each.data["number"] for each in page.items] == [9, 8, 7]
    assert page.next_cursor is None


def test_a_range_of_time_has_its_start_and_not_its_end() -> None:
    store = filled(10)
    for limit in (1, 3, 100):
        found = walk_all(store, limit=limit, created_from=NOW_MS + 3, created_before=NOW_MS + 7)
        assert found == [6, 5, 4, 3]
        assert walk_all(store, limit=limit, created_from=NOW_MS + 10) == []
        assert walk_all(store, limit=limit, created_before=NOW_MS) == []


def test_a_key_that_is_anothers_shows_nothing_and_names_nothing_by_a_cursor() -> None:
    store = filled(5)
    for limit in (1, 4, 5, 6):
        assert walk_all(store, limit=limit, owner="acct_shop") == [4, 3, 2, 1, 0]
        page = walk(
            make_world(store).store,
            Index.FEED,
            KEY,
            everything,
            limit=limit,
            cursor=None,
            owner="acct_stranger",
        )
        assert (page.items, page.next_cursor) == ((), None)


def test_one_call_reads_a_bounded_part_and_goes_on_where_it_stopped() -> None:
    count = SCAN_MAX + 3 * SCAN_PAGE
    store = filled(count)

    def oldest(each: Record) -> bool:
        return bool(each.data["number"] == 0)

    world = make_world(store)
    first = walk(world.store, Index.FEED, KEY, oldest, limit=10, cursor=None)
    assert (first.items, store.calls) == ([], ["page"] * (SCAN_MAX // SCAN_PAGE))
    assert first.next_cursor is not None
    second = walk(world.store, Index.FEED, KEY, oldest, limit=10, cursor=first.next_cursor)
    assert [each.data["number"] for each in second.items] == [0]
    assert second.next_cursor is None


def test_a_listing_that_wants_everything_reads_no_more_than_it_shows() -> None:
    store = filled(50)
    limits: list[int] = []
    page = store.inner.page

    class Watched(MemoryStore):
        def page(self, *args: Any, **options: Any) -> Any:
            limits.append(options["limit"])
            return page(*args, **options)

    shown = walk(
        make_world(Watched()).store, Index.FEED, KEY, everything, limit=7, cursor=None, selective=False
    )
    assert len(shown.items) == 7
    assert limits == [8]


def test_every_listing_looks_alike() -> None:
    assert ListingPage([1, 2], None).render(lambda each: {"number": each}) == {
        "data": [{"number": 1}, {"number": 2}],
        "has_more": False,
        "next_cursor": None,
    }
    rendered = ListingPage([1], "abc").render(lambda each: {"number": each})
    assert (rendered["has_more"], rendered["next_cursor"]) == (True, "abc")
