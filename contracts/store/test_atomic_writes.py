"""`commit`: all of it or nothing, in every store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.store.conftest import Examples, OpenStore
from contracts.store.samples import CARD_ID, FEED_KEY, NOW_MS, listed_ids, make_record, updated
from payments_sandbox.services.ports import (
    DUE_KEY,
    AlreadyExists,
    CommitResult,
    Committed,
    Index,
    Stale,
    Store,
    Update,
)


def test_inserts_and_updates_are_written_together(store: Store) -> None:
    authorization = make_record("auth_1", feed_key=FEED_KEY, data={"captured": 0})
    capture = make_record("cap_1", kind="capture", feed_key=FEED_KEY)
    store.insert(authorization)
    update = updated(authorization, data={"captured": 1000})
    assert store.commit([capture], [update]) == Committed()
    assert store.get(["auth_1", "cap_1"]) == [update.record, capture]


def test_an_update_replaces_every_field(store: Store) -> None:
    before = make_record("auth_1", feed_key=FEED_KEY, due_at=NOW_MS)
    store.insert(before)
    update = updated(
        before,
        kind="void",
        account_id="acct_2",
        created_at=2,
        data={},
        feed_key=None,
        card_id=CARD_ID,
        due_at=3,
    )
    assert store.commit([], [update]) == Committed()
    assert store.get(["auth_1"]) == [update.record]


def test_updates_follow_each_other_by_version(store: Store) -> None:
    record = make_record("auth_1", version=1, data={"step": 1})
    store.insert(record)
    for step in range(2, 6):
        update = updated(record, data={"step": step})
        assert store.commit([], [update]) == Committed()
        record = update.record
    assert store.get(["auth_1"]) == [make_record("auth_1", version=5, data={"step": 5})]


def test_an_update_of_another_version_than_the_next_is_stale(store: Store) -> None:
    record = make_record("auth_1", version=2)
    store.insert(record)
    assert store.commit([], [updated(record)]) == Committed()  # now at version 3
    for version in (1, 2, 3, 5, 4):
        expected = Committed() if version == 4 else Stale()
        update = Update(make_record("auth_1", version=version, data={}))
        assert store.commit([], [update]) == expected, f"version {version}"


def test_an_update_of_a_record_that_is_not_there_is_stale(store: Store) -> None:
    assert store.commit([make_record("cap_1")], [Update(make_record("auth_1", version=2))]) == Stale()
    assert store.get(["cap_1", "auth_1"]) == [None, None]


def test_the_second_of_two_writers_of_one_version_is_stale_and_writes_nothing(store: Store) -> None:
    authorization = make_record("auth_1")
    store.insert(authorization)
    first = updated(authorization, data={"captured": 1})
    second = updated(authorization, data={"captured": 2})
    assert store.commit([make_record("cap_1")], [first]) == Committed()
    assert store.commit([make_record("cap_2")], [second]) == Stale()
    assert store.get(["auth_1", "cap_1", "cap_2"]) == [first.record, make_record("cap_1"), None]


def test_a_taken_id_answers_with_the_record_that_holds_it(store: Store) -> None:
    holder = make_record("cap_1", data={"amount": 1})
    store.insert(holder)
    result = store.commit([make_record("cap_0"), make_record("cap_1", data={"amount": 2})], [])
    assert result == AlreadyExists(holder)
    assert store.get(["cap_0", "cap_1"]) == [None, holder]


def test_a_replay_is_never_mistaken_for_a_lost_race(store: Store) -> None:
    """The replay of a capture finds both: its id is taken, and its own first use moved the authorization on."""
    authorization = make_record("auth_1")
    store.insert(authorization)
    capture, update = make_record("cap_1"), updated(authorization)
    assert store.commit([capture], [update]) == Committed()
    assert store.commit([capture], [update]) == AlreadyExists(capture)


def test_an_empty_commit_has_taken_place(store: Store) -> None:
    assert store.commit([], []) == Committed()


def test_a_hundred_writes_fit_into_one_commit_and_no_more(store: Store) -> None:
    records = [make_record(f"cap_{number}") for number in range(101)]
    with pytest.raises(ValueError, match="100"):
        store.commit(records, [])
    assert store.commit(records[:100], []) == Committed()
    assert store.get([record.id for record in records[:100]]) == records[:100]


def test_writing_one_record_twice_in_a_commit_is_refused(store: Store) -> None:
    insert, update = make_record("auth_1"), Update(make_record("auth_1", version=2))
    for inserts, updates in (([insert, insert], []), ([insert], [update]), ([], [update, update])):
        with pytest.raises(ValueError, match="once"):
            store.commit(inserts, updates)
        assert store.get(["auth_1"]) == [None], (inserts, updates)


# What a commit may hold: inserts of new and of taken ids, updates that are right, stale, or of nothing; in any order.
insert_ids = st.lists(st.sampled_from(["new_1", "new_2", "old_1", "old_2"]), unique=True)
update_versions = st.dictionaries(st.sampled_from(["old_3", "old_4", "missing"]), st.integers(1, 4))


def test_whatever_fails_nothing_is_half_written(open_store: OpenStore, examples: Examples) -> None:
    @examples(60)
    @given(insert_ids=insert_ids, versions=update_versions)
    def check(insert_ids: list[str], versions: dict[str, int]) -> None:
        old = {
            f"old_{number}": make_record(f"old_{number}", version=2, feed_key=FEED_KEY, due_at=number)
            for number in range(1, 5)
        }
        inserts = [make_record(record_id, data={"new": 1}, feed_key=FEED_KEY) for record_id in insert_ids]
        updates = [
            Update(make_record(record_id, version=version, data={"new": 2}, card_id=CARD_ID))
            for record_id, version in versions.items()
        ]
        taken = [old[record.id] for record in inserts if record.id in old]
        lost = any(update.record.id not in old or update.record.version != 3 for update in updates)
        expected: CommitResult = AlreadyExists(taken[0]) if taken else Stale() if lost else Committed()
        after = dict(old)
        if expected == Committed():
            after |= {record.id: record for record in inserts}
            after |= {update.record.id: update.record for update in updates}

        with open_store() as store:
            store.commit(list(old.values()), [])
            assert store.commit(inserts, updates) == expected
            ids = [*old, "new_1", "new_2", "missing"]
            assert store.get(ids) == [after.get(record_id) for record_id in ids]
            assert set(listed_ids(store, Index.FEED, FEED_KEY)) == {
                record.id for record in after.values() if record.feed_key
            }
            assert set(listed_ids(store, Index.CARD, CARD_ID)) == {
                record.id for record in after.values() if record.card_id
            }
            assert set(listed_ids(store, Index.DUE, DUE_KEY)) == {
                record.id for record in after.values() if record.due_at is not None
            }

    check()
