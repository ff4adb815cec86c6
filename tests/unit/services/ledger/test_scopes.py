"""Scopes: worlds side by side in one ledger, under the same ids."""

from dataclasses import replace

import pytest

from payments_sandbox.domain.cards import CardDetails
from payments_sandbox.domain.errors import TransactionNotFound
from payments_sandbox.services.accounts.controls import Controls, controlled_world
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ledger import transactions
from payments_sandbox.services.ledger.scopes import ScopedStore, own_record, scope_of, stored_id
from payments_sandbox.services.ledger.transactions import Filter
from payments_sandbox.services.payments import payments
from payments_sandbox.services.payments.payments import Authorize
from payments_sandbox.services.ports import DUE_KEY, Committed, Index, Position, Record, Update
from payments_sandbox.services.world import World, plain_world
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import NOW_MS, make_infrastructure

ACCOUNT = "acct_one"


def record(record_id: str, *, due_at: int | None = None) -> Record:
    feed_key, card_id = f"{ACCOUNT}#transaction", "card_1"
    return Record(record_id, "authorization", ACCOUNT, 1, NOW_MS, {}, feed_key, card_id, due_at)


def scoped(infrastructure: Infrastructure, scope: str) -> World:
    return controlled_world(infrastructure, ACCOUNT, Controls(scope=scope, namespace="same"))


def test_two_worlds_hold_the_same_id_without_meeting() -> None:
    ledger = MemoryStore()
    one, two = ScopedStore(ledger, "one"), ScopedStore(ledger, "two")
    assert one.insert(record("auth_1")) is None
    assert two.get(["auth_1"]) == [None]
    assert two.insert(record("auth_1")) is None
    changed = Update(replace(record("auth_1"), version=2, data={"changed": True}))
    assert isinstance(two.commit([], [changed]), Committed)
    assert one.get(["auth_1"]) == [record("auth_1")]
    for index, key in ((Index.FEED, f"{ACCOUNT}#transaction"), (Index.CARD, "card_1")):
        assert list(one.page(index, key).records) == [record("auth_1")]
        assert ledger.page(index, key).records == []


def test_a_scoped_id_is_found_by_nobody_who_asks_for_it() -> None:
    ledger = MemoryStore()
    ScopedStore(ledger, "one").insert(record("auth_1"))
    for store in (ScopedStore(ledger, "one"), ScopedStore(ledger, "two")):
        assert store.get(["auth_1!one"]) == [None]


def test_what_belongs_to_no_world_is_seen_in_all() -> None:
    ledger = MemoryStore()
    inbox = Record("inbox_1", "inbox", ACCOUNT, 1, NOW_MS, {}, f"{ACCOUNT}#inbox")
    ScopedStore(ledger, "one").insert(inbox)
    for store in (ledger, ScopedStore(ledger, "two")):
        assert store.get(["inbox_1"]) == [inbox]
        assert list(store.page(Index.FEED, f"{ACCOUNT}#inbox").records) == [inbox]


def test_the_due_index_shows_a_world_its_own_page_by_page() -> None:
    ledger = MemoryStore()
    one, two = ScopedStore(ledger, "one"), ScopedStore(ledger, "two")
    for number in range(7):
        one.insert(record(f"auth_{number}", due_at=NOW_MS + number))
        two.insert(record(f"auth_{number}", due_at=NOW_MS + number))
        ledger.insert(record(f"auth_{number}", due_at=NOW_MS + number))
    for key in (DUE_KEY, ACCOUNT):
        seen: list[str] = []
        after: Position | None = None
        while True:
            page = one.page(Index.DUE, key, after=after, limit=2)
            seen += [found.id for found in page.records]
            if page.next is None:
                break
            after = page.next
        assert seen == [f"auth_{number}" for number in range(7)]


def test_an_account_s_ports_lead_to_its_world_and_back_to_the_ledger() -> None:
    infrastructure = make_infrastructure()
    one = scoped(infrastructure, "one")
    assert one.infrastructure.store is infrastructure.store
    # Applied again, as after a change of the controls, one scope replaces the other.
    two = controlled_world(one.infrastructure, ACCOUNT, Controls(scope="two", namespace="same"))
    two.store.insert(record("auth_1"))
    assert [found.id for found in infrastructure.store.get(["auth_1!two"]) if found] == ["auth_1!two"]
    assert stored_id(two, "auth_1") == "auth_1!two"
    assert stored_id(plain_world(infrastructure, ACCOUNT), "auth_1") == "auth_1"


def test_a_stored_record_belongs_to_the_account_s_present_world_or_to_none() -> None:
    infrastructure = make_infrastructure()
    ordinary, one = record("auth_1"), record("auth_1!one")
    key = Record("key_1", "api_key", ACCOUNT, 1, NOW_MS, {})
    assert own_record(plain_world(infrastructure, ACCOUNT), ordinary) == ordinary
    assert own_record(plain_world(infrastructure, ACCOUNT), one) is None
    assert own_record(scoped(infrastructure, "one"), ordinary) is None
    assert own_record(scoped(infrastructure, "two"), one) is None
    own = own_record(scoped(infrastructure, "one"), one)
    assert own is not None
    assert own.id == "auth_1"
    assert own_record(scoped(infrastructure, "one"), key) == key
    assert scope_of("auth_1") == ""
    assert scope_of("auth_1!one") == "one"


def test_payments_are_made_and_read_in_a_world_as_anywhere() -> None:
    infrastructure = make_infrastructure()
    one, two = scoped(infrastructure, "one"), scoped(infrastructure, "two")
    command = Authorize(1051, "EUR", CardDetails("4242424242424242", 12, 2030))
    made = payments.authorize_payment(one, command, idempotency_key="key").entry.record
    card_id = made.card_id
    assert card_id is not None
    page = transactions.list_transactions(one, Filter(card_id=card_id), limit=1, cursor=None)
    assert [entry.record.id for entry in page.items] == [made.id]
    with pytest.raises(TransactionNotFound):
        transactions.get_transaction(two, made.id)
    twin = payments.authorize_payment(two, command, idempotency_key="key")
    assert not twin.replayed
    assert twin.entry.record.id == made.id
    assert transactions.get_card(two, card_id).latest.record.id == made.id
