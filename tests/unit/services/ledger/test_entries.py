"""How an entry is read back: as it was made, as it stands now, and compared with the request of a repeated key."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_sandbox.domain.authorization import VALIDITY_MS, Authorization, Movement, Totals
from payments_sandbox.domain.errors import IdempotencyKeyReused
from payments_sandbox.services.ledger import entries
from payments_sandbox.services.ledger.entries import (
    as_created,
    as_of,
    authorization_of,
    require_same_request,
    with_movement,
)
from payments_sandbox.services.ports import Record
from tests.calls.payments import DECLINED_NUMBER, authorize, capture, card_with, refund, void
from tests.doubles.ports import NOW_MS, make_world
from tests.each_case import each_case

EXPIRES_AT = NOW_MS + VALIDITY_MS


def an_authorization(**fields: Any) -> Record:
    return authorize(make_world(), **fields).entry.record


def with_totals(record: Record, **totals: int) -> Record:
    """The record after operations that left these totals."""
    movement = Movement(1, Totals(**{"authorized": 1000, **totals}))
    return with_movement(record, movement, "cap_x")


def test_a_record_gives_back_the_authorization_that_was_decided_on() -> None:
    record = with_totals(an_authorization(), captured=400, refunded=100, released=50)
    assert authorization_of(record) == Authorization(
        currency="EUR",
        approved=True,
        expires_at=EXPIRES_AT,
        totals=Totals(authorized=1000, captured=400, refunded=100, released=50),
        entry_count=1,
    )
    assert not authorization_of(an_authorization(card=card_with(number=DECLINED_NUMBER))).approved


@each_case(
    ("totals", "now_ms", "status", "capturable"),
    [
        ({}, NOW_MS, "authorized", 1000),
        ({}, EXPIRES_AT - 1, "authorized", 1000),
        ({}, EXPIRES_AT, "expired", 0),
        ({"captured": 400}, NOW_MS, "partially_captured", 600),
        ({"captured": 400}, EXPIRES_AT, "captured", 0),
        ({"released": 1000}, NOW_MS, "voided", 0),
        ({"captured": 400, "released": 600}, NOW_MS, "captured", 0),
    ],
)
def test_an_authorization_is_shown_as_it_stands_at_the_time(
    totals: dict[str, int], now_ms: int, status: str, capturable: int
) -> None:
    entry = as_of(with_totals(an_authorization(), **totals), now_ms)
    assert (entry.status, entry.capturable) == (status, capturable)
    assert entry.totals == Totals(**{"authorized": 1000, **totals})


@pytest.mark.parametrize(
    "totals", [{"captured": 1000, "refunded": 7}, {"released": 1000}, {"authorized": 1500}]
)
def test_an_authorization_as_it_was_made_forgets_all_that_came_later(totals: dict[str, int]) -> None:
    entry = as_created(with_totals(an_authorization(), **totals))
    assert (entry.status, entry.totals, entry.capturable) == ("authorized", Totals(authorized=1000), 1000)


def test_a_declined_authorization_is_declined_at_every_time() -> None:
    record = an_authorization(card=card_with(number=DECLINED_NUMBER))
    for entry in (as_created(record), as_of(record, NOW_MS), as_of(record, EXPIRES_AT)):
        assert (entry.status, entry.totals, entry.capturable) == ("declined", Totals(), 0)


def test_other_entries_show_what_they_left_at_every_time() -> None:
    world = make_world()
    authorization_id = authorize(world).entry.record.id
    made = [
        capture(world, authorization_id, amount=300),
        refund(world, authorization_id, amount=100),
        void(world, authorization_id),
    ]
    assert [outcome.entry.capturable for outcome in made] == [700, 700, 0]
    for outcome in made:
        for now_ms in (NOW_MS, EXPIRES_AT, EXPIRES_AT * 2):
            assert as_of(outcome.entry.record, now_ms) == outcome.entry == as_created(outcome.entry.record)


def test_an_operation_makes_the_next_version_of_the_authorization() -> None:
    record = an_authorization()
    after = with_totals(with_totals(record, captured=100), captured=200)
    assert (after.version, after.data["entries"]) == (3, ["cap_x", "cap_x"])
    unchanged = {"totals": None, "entries": None}
    assert {**after.data, **unchanged} == {**record.data, **unchanged}
    assert replace(after, version=1, data=record.data) == record
    assert (record.version, record.data["entries"]) == (1, [])


@each_case(
    ("totals", "due"),
    [({"captured": 999}, True), ({"captured": 1000}, False), ({"released": 1000}, False), ({}, True)],
)
def test_an_authorization_is_due_at_its_expiry_while_anything_is_held(
    totals: dict[str, int], due: bool
) -> None:
    assert with_totals(an_authorization(), **totals).due_at == (EXPIRES_AT if due else None)


def differing(stored: dict[str, Any], given_now: dict[str, Any]) -> list[str]:
    """The pointers that a refusal names; none when the requests are the same."""
    record = Record("cap_1", "capture", "acct_a", 1, 1_764_106_800_123, {"request": stored})
    refusal: IdempotencyKeyReused | None = None
    try:
        require_same_request(record, given_now)
    except IdempotencyKeyReused as error:
        refusal = error
    if refusal is None:
        return []
    assert refusal.facts == {"first_used_at": "2025-11-25T21:40:00.123Z", "transaction_id": "cap_1"}
    named = [each.pointer for each in refusal.errors]
    assert named
    assert named == sorted(set(named))
    return named


@each_case(
    ("stored", "given_now", "pointers"),
    [
        ({"amount": 1}, {"amount": 1}, []),
        ({"amount": 1, "final": True}, {"final": True, "amount": 1}, []),
        ({"amount": 1}, {"amount": 2}, ["/amount"]),
        ({"amount": 1}, {}, ["/amount"]),
        ({}, {"amount": 1}, ["/amount"]),
        ({"metadata": {}}, {}, ["/metadata"]),
        ({"metadata": {"a": "1"}}, {"metadata": {"b": "1"}}, ["/metadata/a", "/metadata/b"]),
        ({"metadata": {"a/b": "1"}}, {"metadata": {"a/b": "2"}}, ["/metadata/a~1b"]),
        ({"metadata": {"a~b": "1"}}, {"metadata": {"a~b": "2"}}, ["/metadata/a~0b"]),
        ({"metadata": {"~1": "1"}}, {"metadata": {"~1": "2"}}, ["/metadata/~01"]),
        ({"metadata": {"": "1"}}, {"metadata": {"": "2"}}, ["/metadata/"]),
        ({"card": {"billing_address": {"line1": "a"}}}, {"card": {}}, ["/card/billing_address"]),
        ({"header:X": "a"}, {"header:X": "b"}, ["header:X"]),
        ({"header:X": "a"}, {}, ["header:X"]),
        ({"metadata": {"header:X": "a"}}, {"metadata": {}}, ["/metadata/header:X"]),
    ],
)
def test_a_refusal_names_the_leaves_that_differ(
    stored: dict[str, Any], given_now: dict[str, Any], pointers: list[str]
) -> None:
    assert differing(stored, given_now) == pointers


leaves = st.text(max_size=3) | st.integers(0, 2) | st.just(True)
requests = st.dictionaries(
    st.sampled_from(["amount", "card", "metadata", "header:X"]),
    leaves | st.dictionaries(st.text(max_size=2), leaves, max_size=3),
    max_size=4,
)


@given(requests, requests)
def test_two_requests_are_the_same_exactly_when_no_field_differs(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert (differing(one, other) == []) == (one == other)
    assert differing(one, other) == differing(other, one)


def test_the_feed_of_an_account_has_a_key_of_its_own() -> None:
    assert entries.feed_key("acct_a") == "acct_a#transaction"
