"""Reading the ledger back: an entry with its family, the account's feed page by page, a card; and never another's."""

import base64
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_sandbox.domain.authorization import VALIDITY_MS, Totals
from payments_sandbox.domain.errors import CardNotFound, FieldError, InvalidRequest, TransactionNotFound
from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.domain.timestamps import DAY_MS
from payments_sandbox.services.accounts import accounts
from payments_sandbox.services.ledger.entries import Entry
from payments_sandbox.services.ledger.listings import SCAN_MAX, SCAN_PAGE, decode_cursor, encode_cursor
from payments_sandbox.services.ledger.transactions import Filter, get_card, get_transaction, list_transactions
from payments_sandbox.services.payments.payments import Outcome
from payments_sandbox.services.ports import Position, Record
from payments_sandbox.services.world import World
from tests.calls.payments import (
    DECLINED_NUMBER,
    OTHER_ACCOUNT,
    authorize,
    capture,
    card_with,
    id_of,
    increment,
    refund,
    void,
)
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import ACCOUNT, NOW_MS, FrozenClock, make_world, of_account
from tests.doubles.stores import CountingStore
from tests.each_case import each_case

OTHER_CARD = "5555555555554444"
EVERYTHING = Filter()


def ids_of(entries: Any) -> list[str]:
    return [entry.record.id for entry in entries]


def whole(
    world: World, wanted: Filter = EVERYTHING, *, limit: int = 100, account: str = ACCOUNT
) -> list[Entry]:
    """The listing, gone through with the cursor to its end."""
    found: list[Entry] = []
    cursor = None
    for _ in range(10_000):
        page = list_transactions(of_account(world, account), wanted, limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        found += page.items
        if page.next_cursor is None:
            return found
        assert page.next_cursor != cursor
        cursor = page.next_cursor
    raise AssertionError("the listing does not end")


# --- one transaction -----------------------------------------------------------------------------------------------


def test_any_entry_of_a_family_shows_the_whole_family_oldest_first(world: World, clock: FrozenClock) -> None:
    authorization_id = id_of(authorize(world))
    authorize(world, "stranger-in-the-same-account")
    made = [authorization_id]
    operations: list[tuple[Callable[..., Outcome], dict[str, Any]]] = [
        (capture, {"amount": 300}),
        (refund, {"amount": 100}),
        (increment, {}),
        (capture, {"key": "cap-2", "amount": 100, "simulate": "lost_card"}),
        (void, {}),
    ]
    for operation, fields in operations:
        clock.advance(ms=10)
        made.append(id_of(operation(world, authorization_id, **fields)))
    for transaction_id in made:
        family = get_transaction(world, transaction_id)
        assert family.entry.record.id == transaction_id
        assert ids_of(family.members) == made
    assert [member.status for member in family.members] == [
        "captured",
        "succeeded",
        "succeeded",
        "succeeded",
        "declined",
        "succeeded",
    ]


def test_an_authorization_alone_is_a_family_of_one_and_one_read() -> None:
    store = CountingStore()
    world = make_world(store)
    authorization_id = id_of(authorize(world))
    store.calls.clear()
    family = get_transaction(world, authorization_id)
    assert store.calls == ["get"]
    assert ids_of(family.members) == [authorization_id]


def test_a_transaction_is_shown_as_it_stands_now(world: World, clock: FrozenClock) -> None:
    authorization_id = id_of(authorize(world))
    assert get_transaction(world, authorization_id).entry.status == "authorized"
    capture(world, authorization_id, amount=300)
    entry = get_transaction(world, authorization_id).entry
    assert (entry.status, entry.totals) == ("partially_captured", Totals(authorized=1000, captured=300))
    clock.advance(ms=VALIDITY_MS)
    entry = get_transaction(world, authorization_id).entry
    assert (entry.status, entry.capturable) == ("captured", 0)


def test_ids_of_nothing_of_a_stranger_or_of_something_else_are_not_found(
    world: World, store: MemoryStore
) -> None:
    account, new_key = accounts.create_account(world.infrastructure, name=None)
    mine = account.account_id
    theirs = id_of(authorize(world, account=OTHER_ACCOUNT))
    their_capture = id_of(capture(world, theirs, account=OTHER_ACCOUNT))
    for transaction_id in ("auth_nothing", "", theirs, their_capture, mine, new_key.api_key.key_id):
        with pytest.raises(TransactionNotFound) as caught:
            get_transaction(of_account(world, mine), transaction_id)
        assert caught.value.detail == "The account has no transaction of this id."


# --- listing -------------------------------------------------------------------------------------------------------


@pytest.fixture
def history(world: World, clock: FrozenClock) -> list[Record]:
    """What happened in ten days, oldest first; two entries share a moment now and then."""
    made: list[Record] = []

    def note(outcome: Any) -> str:
        made.append(outcome.entry.record)
        return id_of(outcome)

    for day in range(10):
        number = OTHER_CARD if day % 3 == 0 else DECLINED_NUMBER if day % 3 == 1 else "4242424242424242"
        authorization_id = note(authorize(world, f"auth-{day}", card=card_with(number=number)))
        authorize(world, f"auth-{day}", account=OTHER_ACCOUNT, card=card_with(number=number))
        if number != DECLINED_NUMBER:
            if day % 2:
                clock.advance(ms=5)
            note(capture(world, authorization_id, f"cap-{day}", amount=100 + day))
            if day > 5:
                note(
                    refund(world, authorization_id, f"ref-{day}", simulate="lost_card" if day == 6 else None)
                )
            if day == 3:
                note(increment(world, authorization_id, f"inc-{day}"))
                note(void(world, authorization_id, f"void-{day}"))
        clock.advance(ms=DAY_MS)
    return made


def newest_first(records: list[Record]) -> list[str]:
    return [record.id for record in sorted(records, key=lambda r: (r.created_at, r.id), reverse=True)]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_the_feed_holds_every_entry_once_newest_first(
    world: World, history: list[Record], limit: int
) -> None:
    assert len(history) > 20
    assert ids_of(whole(world, limit=limit)) == newest_first(history)


def test_the_last_page_has_no_cursor_even_when_it_is_full(world: World, history: list[Record]) -> None:
    page = list_transactions(world, EVERYTHING, limit=len(history), cursor=None)
    assert (len(page.items), page.next_cursor) == (len(history), None)
    page = list_transactions(world, EVERYTHING, limit=len(history) - 1, cursor=None)
    assert page.next_cursor is not None
    page = list_transactions(world, EVERYTHING, limit=1, cursor=page.next_cursor)
    assert (len(page.items), page.next_cursor) == (1, None)


def test_an_account_without_transactions_has_an_empty_feed(world: World) -> None:
    page = list_transactions(of_account(world, "acct_new"), EVERYTHING, limit=20, cursor=None)
    assert (list(page.items), page.next_cursor) == ([], None)


@pytest.mark.parametrize("limit", [1, 4, 100])
def test_every_combination_of_filters_finds_exactly_what_matches_all_of_them(
    world: World, history: list[Record], clock: FrozenClock, limit: int
) -> None:
    shown = {entry.record.id: entry for entry in whole(world)}
    card_ids = [None, *sorted({str(record.card_id) for record in history})]
    times = [None, history[4].created_at, history[4].created_at + 1]
    for card_id, kind, status, start, end in product(
        card_ids,
        [None, "authorization", "capture", "refund"],
        [None, "captured", "expired", "succeeded", "declined"],
        times,
        [None, history[-3].created_at],
    ):
        expected = [
            entry
            for entry in shown.values()
            if card_id in (None, entry.record.card_id)
            and kind in (None, entry.record.kind)
            and status in (None, entry.status)
            and (start is None or entry.record.created_at >= start)
            and (end is None or entry.record.created_at < end)
        ]
        found = whole(world, Filter(card_id, kind, status, start, end), limit=limit)
        assert found == expected, (card_id, kind, status, start, end)


def test_each_filter_of_the_test_above_tells_some_entries_from_others(
    world: World, history: list[Record]
) -> None:
    everything = len(history)
    card_id = history[0].card_id
    for wanted in (
        Filter(card_id=card_id),
        Filter(type="capture"),
        Filter(status="declined"),
        Filter(status="captured"),
        Filter(created_from=history[4].created_at),
        Filter(created_before=history[4].created_at),
    ):
        assert 0 < len(whole(world, wanted)) < everything, wanted


def test_the_status_that_is_asked_for_is_the_one_of_now(world: World, clock: FrozenClock) -> None:
    authorization_id = id_of(authorize(world))
    assert ids_of(whole(world, Filter(status="authorized"))) == [authorization_id]
    clock.advance(ms=VALIDITY_MS)
    assert whole(world, Filter(status="authorized")) == []
    assert ids_of(whole(world, Filter(status="expired"))) == [authorization_id]


def test_the_beginning_of_a_time_range_belongs_to_it_and_its_end_does_not(
    world: World, clock: FrozenClock
) -> None:
    made = []
    for number in range(3):
        made.append(id_of(authorize(world, f"auth-{number}")))
        clock.advance(ms=1)
    assert ids_of(whole(world, Filter(created_from=NOW_MS + 1))) == [made[2], made[1]]
    assert ids_of(whole(world, Filter(created_before=NOW_MS + 1))) == [made[0]]
    assert ids_of(whole(world, Filter(created_from=NOW_MS + 1, created_before=NOW_MS + 2))) == [made[1]]
    assert whole(world, Filter(created_from=NOW_MS + 1, created_before=NOW_MS + 1)) == []
    assert whole(world, Filter(created_from=NOW_MS + 2, created_before=NOW_MS)) == []
    assert whole(world, Filter(created_before=-62_135_596_800_000)) == []
    assert len(whole(world, Filter(created_from=-62_135_596_800_000))) == 3


def test_a_cursor_goes_on_where_it_was_whatever_comes_in_at_the_top(world: World, clock: FrozenClock) -> None:
    made = [id_of(authorize(world, f"auth-{number}")) for number in range(4)]
    first = list_transactions(world, EVERYTHING, limit=2, cursor=None)
    clock.advance(ms=1)
    authorize(world, "late")
    second = list_transactions(world, EVERYTHING, limit=2, cursor=first.next_cursor)
    assert ids_of([*first.items, *second.items]) == sorted(made, reverse=True)
    assert second.next_cursor is None


def test_a_cursor_and_an_earlier_end_of_the_time_range_do_not_contradict_each_other(
    world: World, clock: FrozenClock
) -> None:
    for number in range(4):
        authorize(world, f"auth-{number}")
        clock.advance(ms=1)
    cursor = list_transactions(world, EVERYTHING, limit=1, cursor=None).next_cursor
    for end, expected in ((NOW_MS + 2, 2), (NOW_MS + 1, 1), (NOW_MS + 4, 3)):
        page = list_transactions(world, Filter(created_before=end), limit=10, cursor=cursor)
        assert len(page.items) == expected


def bulk(store: MemoryStore, world: World, count: int, *, account: str = ACCOUNT) -> None:
    """That many authorizations, without deciding each one."""
    template = authorize(world, "template", account=account).entry.record
    for number in range(count - 1):
        record_id = f"auth_{account}{number:06d}"
        fields = {name: getattr(template, name) for name in Record.__dataclass_fields__}
        created_at = template.created_at + number // 3
        store.records[record_id] = Record(**{**fields, "id": record_id, "created_at": created_at})


def test_a_search_that_finds_little_stops_after_a_while_and_offers_to_go_on(store: MemoryStore) -> None:
    counting = CountingStore(store)
    world = make_world(counting)
    bulk(store, world, SCAN_MAX + 100)
    found_id = id_of(capture(world, id_of(authorize(world, "template")), amount=1))
    # The capture shares its moment with the oldest authorizations: everything else is newer.
    counting.calls.clear()
    first = list_transactions(world, Filter(type="capture"), limit=20, cursor=None)
    assert counting.calls == ["page"] * (SCAN_MAX // SCAN_PAGE)
    assert list(first.items) == []
    assert first.next_cursor is not None
    second = list_transactions(world, Filter(type="capture"), limit=20, cursor=first.next_cursor)
    assert ids_of(second.items) == [found_id]
    assert second.next_cursor is None


def test_a_short_page_keeps_what_it_has_found(store: MemoryStore, clock: FrozenClock) -> None:
    world = make_world(store, clock)
    bulk(store, world, SCAN_MAX + 100)
    oldest = id_of(authorize(world, "template"))
    clock.advance(days=1)
    newest = id_of(capture(world, oldest, amount=1))
    first = list_transactions(world, Filter(type="capture"), limit=20, cursor=None)
    assert ids_of(first.items) == [newest]
    assert first.next_cursor is not None
    assert ids_of(whole(world, Filter(type="capture"))) == [newest]


def test_without_a_filter_a_page_costs_one_read() -> None:
    store = CountingStore()
    world = make_world(store)
    bulk(store.inner, world, 300)  # type: ignore[arg-type]  # it is a MemoryStore
    store.calls.clear()
    list_transactions(world, EVERYTHING, limit=100, cursor=None)
    assert store.calls == ["page"]


# --- cursors -------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**15 - 1), st.from_regex(r"[a-z]{3,4}_[0-9a-f]{26}", fullmatch=True))
def test_a_cursor_is_the_place_that_it_was_made_of(at_ms: int, record_id: str) -> None:
    cursor = encode_cursor(Position(at_ms, record_id))
    assert decode_cursor(cursor) == Position(at_ms, record_id)
    assert len(cursor) <= 128
    assert all(char.isascii() and (char.isalnum() or char in "-_") for char in cursor)


def raw(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


@each_case(
    "cursor",
    [
        "",
        "A",
        "====",
        "nonsense",
        "é",
        "\ud800",
        raw(b""),
        raw(b"1795428000000"),
        raw(b".auth_a"),
        raw(b"-1.auth_a"),
        raw(b"+1.auth_a"),
        raw(b" 1.auth_a"),
        raw(b"01.auth_a"),
        raw(b"1_0.auth_a"),
        raw(b"1e3.auth_a"),
        raw("١.auth_a".encode()),
        raw(b"1234567890123456.auth_a"),
        raw(b"9" * 5000 + b".auth_a"),
        raw(b"1.\xff"),
        raw("1.ü".encode()),
        raw(b"1.auth_a") + "=",
        raw(b"1.auth_a") + "\n",
        " " + raw(b"1.auth_a"),
        # The same bytes under another spelling: padding bits that are not zero, and the other alphabet.
        raw(b"1.auth_a")[:-1] + chr(ord(raw(b"1.auth_a")[-1]) + 1),
        raw(b"1.~~~~~").replace("_", "/").replace("-", "+"),
    ],
)
def test_what_no_listing_gave_is_no_cursor(world: World, cursor: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        list_transactions(world, EVERYTHING, limit=20, cursor=cursor)
    assert caught.value.code == "invalid_request"
    assert caught.value.errors == (
        FieldError("query:cursor", FieldCode.INVALID_CURSOR, "use next_cursor of the page before, unchanged"),
    )


@given(st.text(st.characters(), max_size=60) | st.binary(max_size=40).map(raw))
def test_no_text_makes_a_cursor_fail_in_another_way(cursor: str) -> None:
    try:
        position = decode_cursor(cursor)
    except InvalidRequest:
        return
    assert encode_cursor(position) == cursor


# --- cards ---------------------------------------------------------------------------------------------------------


def test_a_card_is_known_by_its_first_and_its_last_use(world: World, clock: FrozenClock) -> None:
    outcome = authorize(world)
    clock.advance(days=1)
    authorize(world, "auth-2", card=card_with(exp_year=2031, holder_name="Ada Lovelace"))
    card_id = str(outcome.entry.record.card_id)
    card = get_card(world, card_id)
    assert (card.card_id, card.first_used_at, card.last_used_at) == (card_id, NOW_MS, NOW_MS + DAY_MS)
    assert (card.latest.data["card"]["exp_year"], card.latest.data["card"]["holder_name"]) == (
        2031,
        "Ada Lovelace",
    )


def test_a_card_is_described_by_its_latest_authorization_though_an_older_one_is_captured(
    world: World, clock: FrozenClock
) -> None:
    older = authorize(world)
    clock.advance(ms=1)
    newer = authorize(world, "auth-2", card=card_with(exp_year=2031))
    for number in range(99):
        clock.advance(ms=1)
        capture(world, id_of(older), f"cap-{number}", amount=1)
    clock.advance(ms=1)
    for number in range(30):
        clock.advance(ms=1)
        capture(world, id_of(newer), f"cap-newer-{number}", amount=1)
    card = get_card(world, str(older.entry.record.card_id))
    assert card.latest.record.id == id_of(newer)
    assert card.last_used_at == clock.now_ms()


@pytest.mark.parametrize("card_id", ["card_nothing", "", "acct_shop#transaction"])
def test_a_card_that_was_never_used_is_not_found(world: World, card_id: str) -> None:
    authorize(world)
    with pytest.raises(CardNotFound, match=r"^The account has used no card of this id\.$"):
        get_card(world, card_id)


# --- isolation -----------------------------------------------------------------------------------------------------


def test_a_strangers_card_is_not_found_and_lists_nothing(store: MemoryStore) -> None:
    counting = CountingStore(store)
    world = make_world(counting)
    bulk(store, world, SCAN_MAX + 500, account=OTHER_ACCOUNT)
    card_id = str(authorize(world, "template", account=OTHER_ACCOUNT).entry.record.card_id)
    authorize(world)
    with pytest.raises(CardNotFound):
        get_card(world, card_id)
    for wanted in (
        Filter(card_id),
        Filter(card_id, type="authorization"),
        Filter(card_id, status="declined"),
    ):
        counting.calls.clear()
        page = list_transactions(world, wanted, limit=1, cursor=None)
        # A cursor would name one of the stranger's entries.
        assert (list(page.items), page.next_cursor) == ([], None)
        assert counting.calls == ["page"]


def test_the_same_card_number_is_another_card_in_another_account(world: World) -> None:
    mine = authorize(world).entry.record
    theirs = authorize(world, account=OTHER_ACCOUNT).entry.record
    assert mine.card_id != theirs.card_id
    assert ids_of(whole(world)) == [mine.id]
    assert ids_of(whole(world, account=OTHER_ACCOUNT)) == [theirs.id]


def test_a_strangers_cursor_only_names_a_place_in_time(world: World, clock: FrozenClock) -> None:
    for number in range(3):
        authorize(world, f"auth-{number}", account=OTHER_ACCOUNT)
        clock.advance(ms=1)
        authorize(world, f"auth-{number}")
        clock.advance(ms=1)
    cursor = list_transactions(of_account(world, OTHER_ACCOUNT), EVERYTHING, limit=1, cursor=None).next_cursor
    page = list_transactions(world, EVERYTHING, limit=10, cursor=cursor)
    assert {entry.record.account_id for entry in page.items} == {ACCOUNT}
    assert len(page.items) == 2


def test_only_ledger_entries_are_transactions(world: World) -> None:
    account, _ = accounts.create_account(world.infrastructure, name="Shop")
    assert whole(world, account=account.account_id) == []
