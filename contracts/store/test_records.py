"""Inserting records and getting them back, in every store."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.store.conftest import Examples, OpenStore
from contracts.store.samples import CARD_ID, FEED_KEY, NOW_MS, make_record, updated
from payments_sandbox.services.ports import (
    DATA_BYTES_MAX,
    AlreadyExists,
    CommitResult,
    Committed,
    Index,
    Record,
    Store,
)

EVERY_JSON_TYPE: dict[str, Any] = {
    "text": "plain",
    "empty_text": "",
    "non_ascii": "Ωμέγα 決済 🧾 \u2028 \x00 \x7f",
    "quoted": '"\\/\n',
    "zero": 0,
    "negative": -1,
    "beyond_float": 2**53 + 1,
    "smallest": -(2**63),
    "largest": 2**63 - 1,
    "yes": True,
    "no": False,
    "nothing": None,
    "empty_list": [],
    "empty_object": {},
    "nested": [{"a": [1, [2, {"b": [None, True, "", 3]}]]}],
    "": "empty name",
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def types_in(value: Any) -> set[type]:
    """The types of all values inside a JSON value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {type(value)}.union(*map(types_in, inner))


def only(found: list[Record | None]) -> Record:
    (record,) = found
    assert record is not None
    return record


def test_a_record_comes_back_as_it_was_inserted(store: Store) -> None:
    records = [
        make_record("auth_1"),
        make_record("auth_2", feed_key=FEED_KEY),
        make_record("auth_3", card_id=CARD_ID),
        make_record("auth_4", due_at=NOW_MS),
        make_record("auth_5", feed_key=FEED_KEY, card_id=CARD_ID, due_at=0, created_at=0),
        make_record("auth_6", feed_key="with#signs#9", card_id="#", version=7),
    ]
    for record in records:
        assert store.insert(record) is None, record
        assert store.get([record.id]) == [record]
    assert store.get([record.id for record in records]) == records


def test_every_json_type_comes_back_with_its_type(store: Store) -> None:
    store.insert(make_record("auth_1", data=EVERY_JSON_TYPE))
    found = only(store.get(["auth_1"]))
    assert found.data == EVERY_JSON_TYPE
    assert types_in(found.data) == {str, int, bool, type(None), list, dict}


def test_times_and_version_come_back_as_integers(store: Store) -> None:
    store.insert(make_record("auth_1", due_at=NOW_MS, feed_key=FEED_KEY))
    found = only(store.get(["auth_1"]))
    assert {type(found.version), type(found.created_at), type(found.due_at)} == {int}


def test_any_data_comes_back_unchanged(open_store: OpenStore, examples: Examples) -> None:
    @examples(30)
    @given(data=st.dictionaries(st.text(), json_values, max_size=5))
    def check(data: dict[str, Any]) -> None:
        with open_store() as store:
            store.insert(make_record("auth_1", data=data))
            found = only(store.get(["auth_1"])).data
        assert found == data
        assert types_in(found) == types_in(data)

    check()


def test_data_that_json_cannot_hold_is_refused_and_nothing_is_written(store: Store) -> None:
    values: list[Any] = [2**64, "\ud800", object(), {1: "a"}]
    for value in values:
        unfit = make_record("auth_1", data={"value": value})
        with pytest.raises(TypeError):
            pytest.fail(f"{value!r}: {store.insert(unfit)}")
        with pytest.raises(TypeError):
            pytest.fail(f"{value!r}: {store.commit([make_record('auth_2'), unfit], [])}")
    assert store.get(["auth_1", "auth_2"]) == [None, None]


def test_a_taken_id_answers_with_the_record_that_holds_it(store: Store) -> None:
    first = make_record("auth_1", data=EVERY_JSON_TYPE, feed_key=FEED_KEY, due_at=NOW_MS)
    second = make_record("auth_1", kind="capture", data={"amount": 2}, card_id=CARD_ID, created_at=1)
    assert store.insert(first) is None
    assert store.insert(second) == first
    assert store.insert(first) == first
    assert store.get(["auth_1"]) == [first]


def test_ids_that_differ_only_in_case_or_length_are_different_records(store: Store) -> None:
    ids = ["auth_a", "auth_A", "auth_a ", "auth_", "auth_aa"]
    assert [store.insert(make_record(record_id)) for record_id in ids] == [None] * 5
    assert [record.id for record in store.get(ids) if record] == ids


def test_get_answers_in_the_order_asked_for_with_gaps(store: Store) -> None:
    records = [make_record(f"auth_{number}") for number in range(0, 100, 2)]
    for record in records:
        store.insert(record)
    ids = [f"auth_{number}" for number in range(99, -1, -1)]
    expected = [None if number % 2 else records[number // 2] for number in range(99, -1, -1)]
    assert store.get(ids) == expected


def test_get_answers_an_id_asked_for_twice_twice(store: Store) -> None:
    store.insert(make_record("auth_1"))
    assert store.get(["auth_1", "auth_2", "auth_1"]) == [make_record("auth_1"), None, make_record("auth_1")]


def test_get_of_nothing_is_nothing(store: Store) -> None:
    assert store.get([]) == []


def test_get_of_more_than_a_hundred_ids_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="100"):
        store.get([f"auth_{number}" for number in range(101)])


def test_the_store_and_its_caller_never_share_data(store: Store) -> None:
    """The caller changes what it inserted, what it committed and what it read; the ledger stays as it was."""
    inserted = make_record("auth_1", data={"list": [1]}, feed_key=FEED_KEY)
    committed = make_record("auth_2", data={"list": [1]})
    store.insert(inserted)
    store.commit([committed], [])
    update = updated(committed, data={"list": [2]}, feed_key=FEED_KEY)
    store.commit([], [update])
    expected = [replace(inserted, data={"list": [1]}), replace(update.record, data={"list": [2]})]

    def holder(result: CommitResult) -> Record:
        assert isinstance(result, AlreadyExists)
        return result.record

    reads: list[tuple[str, Callable[[], Sequence[Record | None]]]] = [
        ("the caller's own", lambda: [inserted, committed, update.record]),
        ("get", lambda: store.get(["auth_1", "auth_2"])),
        ("insert", lambda: [store.insert(make_record("auth_1"))]),
        ("commit", lambda: [holder(store.commit([make_record("auth_1")], []))]),
        ("page", lambda: store.page(Index.FEED, FEED_KEY).records),
    ]
    for name, read in reads:
        for record in read():
            assert record is not None
            record.data["list"].append("changed")
        assert store.get(["auth_1", "auth_2"]) == expected, name


def test_a_record_that_is_too_large_is_refused_and_nothing_is_written(store: Store) -> None:
    """The limit counts bytes of JSON: a letter outside ASCII takes two, and names and quotes count too."""
    small = make_record("auth_1")
    store.insert(small)
    data = {"x": "é" * ((DATA_BYTES_MAX - len('{"x":""}')) // 2)}
    data_too_large = {"x": data["x"] + "e"}
    too_large = make_record("auth_2", data=data_too_large)
    for refused in (
        lambda: store.insert(too_large),
        lambda: store.commit([make_record("auth_3"), too_large], []),
        lambda: store.commit([], [updated(small, data=data_too_large)]),
    ):
        with pytest.raises(ValueError, match=str(DATA_BYTES_MAX)):
            refused()
    assert store.get(["auth_1", "auth_2", "auth_3"]) == [small, None, None]
    assert store.insert(make_record("auth_2", data=data)) is None
    assert store.commit([make_record("auth_3", data=data)], [updated(small, data=data)]) == Committed()
    assert [only([record]).data for record in store.get(["auth_1", "auth_2", "auth_3"])] == [data] * 3


def test_an_open_store_answers_a_ping(store: Store) -> None:
    store.ping()
