"""Reading by index, in every store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.store.conftest import Examples, OpenStore
from contracts.store.samples import (
    CARD_ID,
    FEED_KEY,
    NOW_MS,
    all_pages,
    listed_ids,
    make_record,
    updated,
)
from payments_sandbox.services.ports import DUE_KEY, Committed, Index, Page, Position, Record, Store

KEYS = ["a", "aa", "a#", "a#1", "", "é"]
"""Keys that are prefixes of each other, or look like what an adapter may add to them."""

ACCOUNTS = ["acct_one", "acct_two"]
"""Whose records are: their ids are keys of the due index."""

record_ids = st.text(alphabet="aAzZ09_-#~", min_size=1, max_size=4)
LAST_MS = 10**15 - 1
"""In the year 33658: later than any adapter needs to sort."""

times = st.sampled_from([0, 1, 2, 999, 1000, NOW_MS, NOW_MS + 1, LAST_MS])
records = st.lists(
    st.builds(
        make_record,
        record_ids,
        created_at=times,
        feed_key=st.none() | st.sampled_from(KEYS),
        card_id=st.none() | st.sampled_from(KEYS),
        due_at=st.none() | times,
        account_id=st.sampled_from(ACCOUNTS),
    ),
    max_size=14,
    unique_by=lambda record: record.id,
)
positions = st.none() | st.builds(
    Position, times | st.sampled_from([-1, -(2**70), LAST_MS + 1, 2**70]), record_ids | st.just("")
)


def position_of(index: Index, record: Record) -> Position:
    at_ms = record.due_at if index is Index.DUE else record.created_at
    assert at_ms is not None
    return Position(at_ms, record.id)


def key_of(index: Index, record: Record) -> str | None:
    due_key = None if record.due_at is None else DUE_KEY
    return {Index.FEED: record.feed_key, Index.CARD: record.card_id, Index.DUE: due_key}[index]


def expected_records(
    records: list[Record], index: Index, key: str, after: Position | None, newest_first: bool
) -> list[Record]:
    """What the index should list: the port's words as a filter and a sort."""
    listed = [
        record
        for record in records
        if key_of(index, record) == key
        or (index is Index.DUE and record.due_at is not None and record.account_id == key)
    ]
    if after is not None and newest_first:
        listed = [record for record in listed if position_of(index, record) < after]
    elif after is not None:
        listed = [record for record in listed if position_of(index, record) > after]
    return sorted(listed, key=lambda record: position_of(index, record), reverse=newest_first)


def test_the_pages_together_are_the_sorted_list(open_store: OpenStore, examples: Examples) -> None:
    @examples(60)
    @given(
        records=records,
        index=st.sampled_from(Index),
        key=st.sampled_from([*KEYS, DUE_KEY, *ACCOUNTS]),
        after=positions,
        limit=st.integers(1, 6),
        newest_first=st.booleans(),
    )
    def check(
        records: list[Record],
        index: Index,
        key: str,
        after: Position | None,
        limit: int,
        newest_first: bool,
    ) -> None:
        key = DUE_KEY if index is Index.DUE and key in KEYS else key
        expected = expected_records(records, index, key, after, newest_first)
        with open_store() as store:
            store.commit(records, [])
            pages = all_pages(store, index, key, limit=limit, newest_first=newest_first, after=after)
        assert [record for page in pages for record in page.records] == expected
        assert [len(page.records) for page in pages[:-1]] == [limit] * (len(pages) - 1)
        assert len(pages) == max(1, -(-len(expected) // limit)), "no page is read for nothing"

    check()


def test_records_of_one_moment_are_ordered_by_id(store: Store) -> None:
    ids = ["auth_2", "cap_0", "auth_a", "auth_10", "auth_A", "auth_1"]
    for record_id in ids:
        store.insert(make_record(record_id, feed_key=FEED_KEY, card_id=CARD_ID, due_at=NOW_MS))
    for index, key in ((Index.FEED, FEED_KEY), (Index.CARD, CARD_ID), (Index.DUE, DUE_KEY)):
        for newest_first in (False, True):
            case = f"{index}, newest first: {newest_first}"
            pages = all_pages(store, index, key, limit=2, newest_first=newest_first)
            in_order = sorted(ids, reverse=newest_first)
            listed = [[record.id for record in page.records] for page in pages]
            assert listed == [in_order[:2], in_order[2:4], in_order[4:]], case
            positions = [Position(NOW_MS, in_order[1]), Position(NOW_MS, in_order[3]), None]
            assert [page.next for page in pages] == positions, case


def test_a_position_without_id_stands_before_its_whole_millisecond(store: Store) -> None:
    for at_ms in (1, 2, 3):
        for letter in "ab":
            store.insert(make_record(f"{letter}{at_ms}", feed_key=FEED_KEY, created_at=at_ms))
    on = store.page(Index.FEED, FEED_KEY, after=Position(2, ""))
    back = store.page(Index.FEED, FEED_KEY, after=Position(2, ""), newest_first=True)
    assert [record.id for record in on.records] == ["a2", "b2", "a3", "b3"]
    assert [record.id for record in back.records] == ["b1", "a1"]


def test_a_position_at_a_time_that_no_record_can_have_is_before_or_after_all(store: Store) -> None:
    store.insert(make_record("first", due_at=0))
    store.insert(make_record("last", due_at=LAST_MS))
    before_all, after_all = (-(2**70), -1), (LAST_MS + 1, 2**70)
    for at_ms in (*before_all, *after_all):
        after = Position(at_ms, "m")
        oldest = store.page(Index.DUE, DUE_KEY, after=after).records
        newest = store.page(Index.DUE, DUE_KEY, after=after, newest_first=True).records
        assert [record.id for record in oldest] == (["first", "last"] if at_ms in before_all else []), at_ms
        assert [record.id for record in newest] == (["last", "first"] if at_ms in after_all else []), at_ms


def test_a_page_goes_on_where_the_record_it_stopped_at_no_longer_is(store: Store) -> None:
    for number in range(4):
        store.insert(make_record(f"auth_{number}", due_at=number))
    page = store.page(Index.DUE, DUE_KEY, limit=2)
    assert store.commit([], [updated(page.records[1], due_at=None)]) == Committed()
    rest = store.page(Index.DUE, DUE_KEY, limit=2, after=page.next)
    assert [record.id for record in rest.records] == ["auth_2", "auth_3"]


def test_a_key_that_nobody_uses_has_one_empty_page(store: Store) -> None:
    for number, other in enumerate(["unuse", "unused_", "UNUSED", "unused#0"]):
        store.insert(make_record(f"auth_{number}", feed_key=other, card_id=other, due_at=NOW_MS))
    for index in Index:
        assert store.page(index, "unused") == Page([], None), index
        assert store.page(index, "unused", newest_first=True) == Page([], None), index


def test_accounts_do_not_see_each_others_records(store: Store) -> None:
    for key in KEYS:
        store.insert(make_record(f"feed_{key}", feed_key=key))
        store.insert(make_record(f"card_{key}", card_id=key))
    for key in KEYS:
        assert listed_ids(store, Index.FEED, key) == [f"feed_{key}"]
        assert listed_ids(store, Index.CARD, key) == [f"card_{key}"]


def test_the_due_index_lists_all_accounts_by_due_time(store: Store) -> None:
    store.insert(make_record("auth_1", account_id="acct_1", due_at=30, created_at=1))
    store.insert(make_record("auth_2", account_id="acct_2", due_at=10, created_at=3))
    store.insert(make_record("auth_3", account_id="acct_3", due_at=20, created_at=2))
    store.insert(make_record("auth_4", account_id="acct_4", created_at=4))
    assert listed_ids(store, Index.DUE, DUE_KEY) == ["auth_2", "auth_3", "auth_1"]
    assert listed_ids(store, Index.DUE, DUE_KEY, newest_first=True) == ["auth_1", "auth_3", "auth_2"]


def test_an_update_moves_the_record_in_the_due_index(store: Store) -> None:
    first, second = make_record("auth_1", due_at=10), make_record("auth_2", due_at=20)
    store.insert(first)
    store.insert(second)
    for due_at, expected in ((5, ["auth_1", "auth_2"]), (25, ["auth_2", "auth_1"]), (None, ["auth_2"])):
        update = updated(first, due_at=due_at)
        assert store.commit([], [update]) == Committed()
        assert listed_ids(store, Index.DUE, DUE_KEY) == expected, f"due at {due_at}"
        first = update.record


def test_an_update_moves_the_record_between_keys(store: Store) -> None:
    record = make_record("auth_1", feed_key="a", card_id="b")
    store.insert(record)
    assert store.commit([], [updated(record, feed_key="b", card_id=None)]) == Committed()
    assert listed_ids(store, Index.FEED, "a") == []
    assert listed_ids(store, Index.FEED, "b") == ["auth_1"]
    assert listed_ids(store, Index.CARD, "b") == []


def test_a_page_holds_records_as_they_are_now(store: Store) -> None:
    record = make_record("auth_1", feed_key=FEED_KEY)
    store.insert(record)
    update = updated(record, data={"captured": 1})
    store.commit([], [update])
    assert store.page(Index.FEED, FEED_KEY) == Page([update.record], None)


def test_pages_of_a_thousand_hold_a_thousand(open_store: OpenStore) -> None:
    ids = [f"auth_{number:04d}" for number in range(1001)]
    with open_store([make_record(record_id, feed_key=FEED_KEY) for record_id in ids]) as store:
        first = store.page(Index.FEED, FEED_KEY, limit=1000)
        second = store.page(Index.FEED, FEED_KEY, limit=1000, after=first.next)
    assert [record.id for record in first.records] == ids[:1000]
    assert first.next == Position(NOW_MS, ids[999])
    assert [record.id for record in second.records] == ids[1000:]
    assert second.next is None


def test_a_page_holds_a_hundred_unless_told_otherwise(open_store: OpenStore) -> None:
    with open_store([make_record(f"auth_{number:03d}", card_id=CARD_ID) for number in range(100)]) as store:
        full = store.page(Index.CARD, CARD_ID)
        assert (len(full.records), full.next) == (100, None)
        store.insert(make_record("auth_100", card_id=CARD_ID))
        first = store.page(Index.CARD, CARD_ID)
        assert (len(first.records), first.next) == (100, Position(NOW_MS, "auth_099"))


def test_other_limits_are_refused(store: Store) -> None:
    for limit in (0, -1, 1001):
        with pytest.raises(ValueError, match="1000"):
            pytest.fail(f"limit {limit}: {store.page(Index.FEED, FEED_KEY, limit=limit)}")
