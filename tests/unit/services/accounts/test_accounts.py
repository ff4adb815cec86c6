"""Accounts and their keys: a secret is shown once and never kept, and an account cannot lock itself out."""

import json
import re
from dataclasses import asdict

import pytest

from payments_sandbox.adapters.system.principals import TTL_MS
from payments_sandbox.domain.errors import (
    AccountBusy,
    ApiKeyInvalid,
    ApiKeyLimitReached,
    ApiKeyNotFound,
    OwnApiKey,
)
from payments_sandbox.domain.ids import identify_api_key
from payments_sandbox.services.accounts.accounts import (
    API_KEYS_MAX,
    DEMO_ACCOUNT,
    DEMO_API_KEY,
    NewApiKey,
    authenticate,
    create_account,
    create_api_key,
    ensure_demo_account,
    get_account,
    list_api_keys,
    revoke_api_key,
)
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ports import Principal, Record
from payments_sandbox.services.world import plain_world
from tests.calls.payments import authorize as authorize_payment
from tests.calls.payments import id_of
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import NOW_MS, FrozenClock, make_infrastructure
from tests.doubles.stores import CountingStore, RacingStore

ATTEMPTS_MAX = 16


def elsewhere(infrastructure: Infrastructure) -> Infrastructure:
    """The same ledger as another process sees it, which remembers nobody."""
    return make_infrastructure(
        infrastructure.store, infrastructure.clock if isinstance(infrastructure.clock, FrozenClock) else None
    )


def new_account(
    infrastructure: Infrastructure, name: str | None = "Shop"
) -> tuple[str, Principal, NewApiKey]:
    account, api_key = create_account(infrastructure, name=name)
    return account.account_id, authenticate(infrastructure, api_key.secret), api_key


# --- accounts ------------------------------------------------------------------------------------------------------


def test_a_new_account_is_on_the_default_plan_and_has_one_key(infrastructure: Infrastructure) -> None:
    account, new = create_account(infrastructure, name="Shop")
    assert re.fullmatch(r"acct_[0-9A-Za-z]{20}", account.account_id)
    assert (account.name, account.plan, account.created_at) == ("Shop", "default", NOW_MS)
    assert get_account(infrastructure, account.account_id) == account
    assert re.fullmatch(r"sk_test_[0-9A-Za-z]{32}", new.secret)
    assert list_api_keys(infrastructure, account.account_id) == [new.api_key]
    assert (new.api_key.label, new.api_key.last4) == (None, new.secret[-4:])
    assert (new.api_key.created_at, new.api_key.revoked_at) == (NOW_MS, None)
    assert create_account(infrastructure, name=None)[0].account_id != account.account_id


def test_an_account_and_its_first_key_are_one_atomic_write() -> None:
    store = CountingStore()
    create_account(make_infrastructure(store), name=None)
    assert store.calls == ["commit"]


def test_the_demo_account_is_made_once_with_its_public_key(
    infrastructure: Infrastructure, store: MemoryStore
) -> None:
    ensure_demo_account(infrastructure)
    principal = authenticate(infrastructure, DEMO_API_KEY)
    assert (principal.account_id, principal.plan) == ("acct_demo", "demo")
    assert DEMO_API_KEY == "sk_test_demo"
    create_api_key(infrastructure, DEMO_ACCOUNT, label="mine")
    before = dict(store.records)
    ensure_demo_account(infrastructure)
    assert store.records == before


def test_two_processes_may_make_the_demo_account_at_once() -> None:
    store = RacingStore()
    infrastructure = make_infrastructure(store)
    store.first = lambda: ensure_demo_account(make_infrastructure(store))
    ensure_demo_account(infrastructure)
    assert len(list_api_keys(infrastructure, DEMO_ACCOUNT)) == 1
    assert authenticate(infrastructure, DEMO_API_KEY).account_id == DEMO_ACCOUNT


# --- who is calling ------------------------------------------------------------------------------------------------


def test_a_key_names_its_account_and_plan(infrastructure: Infrastructure) -> None:
    account, new = create_account(infrastructure, name=None)
    principal = authenticate(infrastructure, new.secret)
    assert principal == Principal(account.account_id, new.api_key.key_id, "default")
    assert principal.key_id == identify_api_key(new.secret)


@pytest.mark.parametrize("secret", ["", "sk_test_nobody", "sk_test_demo"])
def test_nobodys_key_is_refused_without_being_repeated(infrastructure: Infrastructure, secret: str) -> None:
    with pytest.raises(ApiKeyInvalid) as caught:
        authenticate(infrastructure, secret)
    assert caught.value.detail == "The key in x-api-key is unknown or was revoked."
    assert caught.value.errors == ()


def test_neither_a_keys_id_nor_its_hash_opens_anything(infrastructure: Infrastructure) -> None:
    _, new = create_account(infrastructure, name=None)
    for secret in (
        new.api_key.key_id,
        new.api_key.key_id.removeprefix("key_"),
        new.secret[:-1],
        new.secret.upper(),
    ):
        with pytest.raises(ApiKeyInvalid):
            authenticate(infrastructure, secret)


def test_only_the_record_of_a_key_opens_an_account(infrastructure: Infrastructure) -> None:
    secret = "sk_test_made_up"
    data = {"plan": "default", "revoked_at": None}
    infrastructure.store.insert(Record(identify_api_key(secret), "capture", "acct_a", 1, NOW_MS, data))
    with pytest.raises(ApiKeyInvalid):
        authenticate(infrastructure, secret)


def test_a_key_costs_one_read_in_five_seconds(clock: FrozenClock) -> None:
    store = CountingStore()
    infrastructure = make_infrastructure(store, clock)
    _, new = create_account(infrastructure, name=None)
    store.calls.clear()
    for _ in range(5):
        authenticate(infrastructure, new.secret)
        clock.advance(ms=TTL_MS // 5)
    assert store.calls == ["get"]
    authenticate(infrastructure, new.secret)
    assert store.calls == ["get", "get"]


def test_an_unknown_key_is_asked_for_every_time() -> None:
    store = CountingStore()
    infrastructure = make_infrastructure(store)
    for _ in range(2):
        with pytest.raises(ApiKeyInvalid):
            authenticate(infrastructure, "sk_test_nobody")
    assert store.calls == ["get", "get"]


# --- secrets -------------------------------------------------------------------------------------------------------


def test_no_record_holds_a_secret(
    infrastructure: Infrastructure, store: MemoryStore, clock: FrozenClock
) -> None:
    account_id, principal, first = new_account(infrastructure)
    second = create_api_key(infrastructure, account_id, label="ci")
    revoke_api_key(infrastructure, principal, second.api_key.key_id)
    for record in store.records.values():
        for text in (repr(record), json.dumps(asdict(record))):
            for new in (first, second):
                assert new.secret not in text
                assert new.secret.removeprefix("sk_test_") not in text
                assert new.secret.removeprefix("sk_test_")[:28] not in text
    assert first.api_key.key_id in store.records


def test_listed_keys_do_not_show_a_secret(infrastructure: Infrastructure) -> None:
    account_id, _, new = new_account(infrastructure)
    assert new.secret not in repr(list_api_keys(infrastructure, account_id))


# --- more keys -----------------------------------------------------------------------------------------------------


def test_keys_are_listed_oldest_first_with_their_labels(
    infrastructure: Infrastructure, clock: FrozenClock
) -> None:
    account_id, _, _ = new_account(infrastructure)
    for label in ("ci", None, "laptop"):
        clock.advance(ms=1)
        create_api_key(infrastructure, account_id, label=label)
    keys = list_api_keys(infrastructure, account_id)
    assert [key.label for key in keys] == [None, "ci", None, "laptop"]
    assert [key.created_at - NOW_MS for key in keys] == [0, 1, 2, 3]


def test_every_key_of_an_account_opens_the_same_account(infrastructure: Infrastructure) -> None:
    account_id, principal, _ = new_account(infrastructure)
    second = authenticate(infrastructure, create_api_key(infrastructure, account_id, label=None).secret)
    assert second.account_id == principal.account_id
    assert second.key_id != principal.key_id


def test_a_key_has_the_plan_of_its_account(infrastructure: Infrastructure) -> None:
    ensure_demo_account(infrastructure)
    assert (
        authenticate(infrastructure, create_api_key(infrastructure, DEMO_ACCOUNT, label=None).secret).plan
        == "demo"
    )


def test_an_account_can_have_twenty_usable_keys(infrastructure: Infrastructure, clock: FrozenClock) -> None:
    account_id, principal, _ = new_account(infrastructure)
    made = [
        create_api_key(infrastructure, account_id, label=f"{number}") for number in range(API_KEYS_MAX - 1)
    ]
    with pytest.raises(ApiKeyLimitReached, match="20"):
        create_api_key(infrastructure, account_id, label="one more")
    assert len(list_api_keys(infrastructure, account_id)) == API_KEYS_MAX == 20
    revoke_api_key(infrastructure, principal, made[0].api_key.key_id)
    clock.advance(ms=1)
    assert create_api_key(infrastructure, account_id, label="one more").api_key.label == "one more"
    with pytest.raises(ApiKeyLimitReached):
        create_api_key(infrastructure, account_id, label="and another")


def test_a_key_that_is_refused_for_the_limit_does_not_exist(
    infrastructure: Infrastructure, store: MemoryStore
) -> None:
    account_id, _, _ = new_account(infrastructure)
    for _ in range(API_KEYS_MAX - 1):
        create_api_key(infrastructure, account_id, label=None)
    before = dict(store.records)
    with pytest.raises(ApiKeyLimitReached):
        create_api_key(infrastructure, account_id, label=None)
    assert store.records == before


def test_revoked_keys_are_listed_for_the_record_but_not_without_end(
    infrastructure: Infrastructure, clock: FrozenClock
) -> None:
    account_id, principal, first = new_account(infrastructure)
    revoked = []
    for number in range(50):
        clock.advance(ms=1)
        key = create_api_key(infrastructure, account_id, label=f"{number}")
        revoke_api_key(infrastructure, principal, key.api_key.key_id)
        revoked.append(key)
    clock.advance(ms=1)
    create_api_key(infrastructure, account_id, label="last")
    keys = list_api_keys(infrastructure, account_id)
    assert keys[0] == first.api_key
    assert [key.label for key in keys[1:]] == [*(f"{number}" for number in range(30, 50)), "last"]
    assert keys == sorted(keys, key=lambda key: key.created_at)
    # Those that are not listed any more stay revoked.
    for key in revoked:
        with pytest.raises(ApiKeyInvalid):
            authenticate(elsewhere(infrastructure), key.secret)


# --- revoking ------------------------------------------------------------------------------------------------------


def test_a_revoked_key_is_refused_at_once_here_and_after_five_seconds_elsewhere(
    infrastructure: Infrastructure, clock: FrozenClock
) -> None:
    account_id, principal, _ = new_account(infrastructure)
    second = create_api_key(infrastructure, account_id, label=None)
    there = elsewhere(infrastructure)
    authenticate(infrastructure, second.secret)
    authenticate(there, second.secret)
    revoke_api_key(infrastructure, principal, second.api_key.key_id)
    with pytest.raises(ApiKeyInvalid):
        authenticate(infrastructure, second.secret)
    assert authenticate(there, second.secret).account_id == account_id
    clock.advance(ms=TTL_MS)
    with pytest.raises(ApiKeyInvalid):
        authenticate(there, second.secret)


def test_a_revoked_key_stays_listed_with_the_time_of_its_first_revocation(
    infrastructure: Infrastructure, clock: FrozenClock
) -> None:
    account_id, principal, first = new_account(infrastructure)
    second = create_api_key(infrastructure, account_id, label=None)
    clock.advance(ms=7)
    revoke_api_key(infrastructure, principal, second.api_key.key_id)
    clock.advance(ms=7)
    revoke_api_key(infrastructure, principal, second.api_key.key_id)
    revoked_at = {key.key_id: key.revoked_at for key in list_api_keys(infrastructure, account_id)}
    assert revoked_at == {first.api_key.key_id: None, second.api_key.key_id: NOW_MS + 7}


def test_an_account_cannot_lock_itself_out(infrastructure: Infrastructure) -> None:
    account_id, principal, first = new_account(infrastructure)
    second = create_api_key(infrastructure, account_id, label=None)
    with pytest.raises(OwnApiKey):
        revoke_api_key(infrastructure, principal, principal.key_id)
    other = authenticate(infrastructure, second.secret)
    revoke_api_key(infrastructure, other, principal.key_id)
    with pytest.raises(ApiKeyInvalid):
        authenticate(infrastructure, first.secret)
    with pytest.raises(OwnApiKey):
        revoke_api_key(infrastructure, other, other.key_id)


def test_keys_of_nobody_of_strangers_and_other_ids_are_not_found(
    infrastructure: Infrastructure, store: MemoryStore
) -> None:
    account_id, principal, _ = new_account(infrastructure)
    stranger_id, _, strangers = new_account(infrastructure, "Stranger")
    transaction_id = id_of(authorize_payment(plain_world(infrastructure, account_id)))
    before = dict(store.records)
    for key_id in ("", "key_nobody", strangers.api_key.key_id, account_id, stranger_id, transaction_id):
        with pytest.raises(ApiKeyNotFound, match=r"^The account has no API key of this id\.$"):
            revoke_api_key(infrastructure, principal, key_id)
    assert store.records == before
    assert authenticate(elsewhere(infrastructure), strangers.secret).account_id == stranger_id


# --- at once -------------------------------------------------------------------------------------------------------


def test_keys_that_are_made_at_once_are_both_listed() -> None:
    store = RacingStore()
    infrastructure = make_infrastructure(store)
    account_id, _, first = new_account(infrastructure)
    made: list[NewApiKey] = []
    store.first = lambda: made.append(create_api_key(infrastructure, account_id, label="winner"))
    made.append(create_api_key(infrastructure, account_id, label="loser"))
    listed = list_api_keys(infrastructure, account_id)
    assert {key.key_id for key in listed} == {first.api_key.key_id, *(new.api_key.key_id for new in made)}
    for new in made:
        assert authenticate(infrastructure, new.secret).account_id == account_id


def test_the_limit_holds_when_the_last_two_keys_are_made_at_once() -> None:
    store = RacingStore()
    infrastructure = make_infrastructure(store)
    account_id, _, _ = new_account(infrastructure)
    for _ in range(API_KEYS_MAX - 2):
        create_api_key(infrastructure, account_id, label=None)
    store.first = lambda: create_api_key(infrastructure, account_id, label="winner")
    with pytest.raises(ApiKeyLimitReached):
        create_api_key(infrastructure, account_id, label="loser")
    assert len(list_api_keys(infrastructure, account_id)) == API_KEYS_MAX


def test_two_keys_that_revoke_each_other_at_once_leave_a_ledger_that_says_so() -> None:
    store = RacingStore()
    infrastructure = make_infrastructure(store)
    account_id, one, _ = new_account(infrastructure)
    other = authenticate(infrastructure, create_api_key(infrastructure, account_id, label=None).secret)
    store.first = lambda: revoke_api_key(infrastructure, other, one.key_id)
    revoke_api_key(infrastructure, one, other.key_id)
    assert all(key.revoked_at is not None for key in list_api_keys(infrastructure, account_id))


def test_a_key_that_another_revokes_first_is_revoked_once() -> None:
    store = RacingStore()
    clock = FrozenClock()
    infrastructure = make_infrastructure(store, clock)
    account_id, principal, _ = new_account(infrastructure)
    key_id = create_api_key(infrastructure, account_id, label=None).api_key.key_id

    def winner() -> None:
        revoke_api_key(infrastructure, principal, key_id)
        clock.advance(ms=9)

    store.first = winner
    revoke_api_key(infrastructure, principal, key_id)
    assert list_api_keys(infrastructure, account_id)[1].revoked_at == NOW_MS


@pytest.mark.parametrize("what", ["create", "revoke"])
def test_who_loses_every_race_for_an_account_may_repeat(what: str) -> None:
    store = RacingStore()
    infrastructure = make_infrastructure(store)
    account_id, principal, _ = new_account(infrastructure)
    key_id = create_api_key(infrastructure, account_id, label=None).api_key.key_id

    def change() -> None:
        if what == "create":
            create_api_key(infrastructure, account_id, label="new")
        else:
            revoke_api_key(infrastructure, principal, key_id)

    store.lose = ATTEMPTS_MAX
    with pytest.raises(AccountBusy) as caught:
        change()
    assert caught.value.retryable
    assert store.lose == 0
    assert [key.label for key in list_api_keys(infrastructure, account_id)] == [None, None]
    store.lose = ATTEMPTS_MAX - 1
    change()
