"""Accounts where a gateway has to know keys: it knows those that the ledger knows, and the demo account makes itself."""

from dataclasses import replace

import pytest

from payments_sandbox.domain.errors import AccountBusy, ApiKeyInvalid, ApiKeyLimitReached, StoreUnavailable
from payments_sandbox.domain.ids import identify_api_key
from payments_sandbox.services.accounts.accounts import (
    API_KEYS_MAX,
    DEMO_ACCOUNT,
    authenticate,
    create_account,
    create_api_key,
    list_api_keys,
    revoke_api_key,
)
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ports import CommitResult, Stale
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import make_infrastructure
from tests.doubles.stores import CountingStore
from tests.each_case import each_case

DEMO = "demo" * 10


class MemoryGateway:
    """`ApiKeyRegistry` that keeps what it is told: name to (key id, secret, plan)."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[str, str, str]] = {}
        self.is_down = False
        self._count = 0

    def register(self, key_id: str, secret: str, plan: str) -> str:
        self._answer()
        self._count += 1
        name = f"gw{self._count}"
        self.known[name] = (key_id, secret, plan)
        return name

    def withdraw(self, gateway_key_id: str) -> None:
        self._answer()
        self.known.pop(gateway_key_id, None)

    def _answer(self) -> None:
        if self.is_down:
            raise StoreUnavailable("The gateway is down.")


class BrokenStore(MemoryStore):
    """Reads, and writes nothing. outcome: what a write answers; None raises."""

    outcome: CommitResult | None = None

    def commit(self, inserts: object, updates: object) -> CommitResult:
        if self.outcome is None:
            raise StoreUnavailable("The ledger is down.")
        return self.outcome


@pytest.fixture
def gateway() -> MemoryGateway:
    return MemoryGateway()


@pytest.fixture
def infrastructure(gateway: MemoryGateway) -> Infrastructure:
    return replace(make_infrastructure(), key_registry=gateway)


def test_the_gateway_knows_an_accounts_first_key_under_its_plan(
    infrastructure: Infrastructure, gateway: MemoryGateway
) -> None:
    account, key = create_account(infrastructure, name=None)
    assert list(gateway.known.values()) == [(key.api_key.key_id, key.secret, "default")]
    assert authenticate(infrastructure, key.secret).account_id == account.account_id


def test_the_gateway_knows_a_further_key_under_the_accounts_plan(
    infrastructure: Infrastructure, gateway: MemoryGateway
) -> None:
    demo = replace(infrastructure, demo_api_key=DEMO)
    authenticate(demo, DEMO)
    key = create_api_key(demo, DEMO_ACCOUNT, label="ci")
    assert list(gateway.known.values()) == [(key.api_key.key_id, key.secret, "demo")]


def test_no_key_is_handed_out_that_the_gateway_does_not_know(
    infrastructure: Infrastructure, gateway: MemoryGateway
) -> None:
    account, _ = create_account(infrastructure, name=None)
    gateway.is_down = True
    with pytest.raises(StoreUnavailable):
        create_account(infrastructure, name=None)
    with pytest.raises(StoreUnavailable):
        create_api_key(infrastructure, account.account_id, label=None)
    assert len(list_api_keys(infrastructure, account.account_id)) == 1


def test_a_key_that_the_ledger_does_not_take_is_withdrawn_from_the_gateway(gateway: MemoryGateway) -> None:
    infrastructure = replace(make_infrastructure(BrokenStore()), key_registry=gateway)
    with pytest.raises(StoreUnavailable):
        create_account(infrastructure, name=None)
    assert gateway.known == {}


def test_a_key_that_loses_every_race_is_withdrawn_from_the_gateway(
    infrastructure: Infrastructure, gateway: MemoryGateway
) -> None:
    account, _ = create_account(infrastructure, name=None)
    store = BrokenStore()
    assert isinstance(infrastructure.store, MemoryStore)
    store.records = infrastructure.store.records
    store.outcome = Stale()
    known = dict(gateway.known)
    with pytest.raises(AccountBusy):
        create_api_key(replace(infrastructure, store=store), account.account_id, label=None)
    assert gateway.known == known


def test_the_gateway_is_not_asked_for_a_key_beyond_the_limit(
    infrastructure: Infrastructure, gateway: MemoryGateway
) -> None:
    account, _ = create_account(infrastructure, name=None)
    for _ in range(API_KEYS_MAX - 1):
        create_api_key(infrastructure, account.account_id, label=None)
    gateway.is_down = True
    with pytest.raises(ApiKeyLimitReached):
        create_api_key(infrastructure, account.account_id, label=None)
    assert len(gateway.known) == API_KEYS_MAX


def test_a_revoked_key_is_withdrawn_from_the_gateway(
    infrastructure: Infrastructure, gateway: MemoryGateway
) -> None:
    account, key = create_account(infrastructure, name=None)
    other = create_api_key(infrastructure, account.account_id, label=None)
    revoke_api_key(infrastructure, authenticate(infrastructure, key.secret), other.api_key.key_id)
    assert [secret for _, secret, _ in gateway.known.values()] == [key.secret]


def test_a_revocation_holds_though_the_gateway_is_down_and_repeating_it_tells_the_gateway(
    infrastructure: Infrastructure, gateway: MemoryGateway
) -> None:
    account, key = create_account(infrastructure, name=None)
    other = create_api_key(infrastructure, account.account_id, label=None)
    principal = authenticate(infrastructure, key.secret)
    gateway.is_down = True
    with pytest.raises(StoreUnavailable):
        revoke_api_key(infrastructure, principal, other.api_key.key_id)
    with pytest.raises(ApiKeyInvalid):
        authenticate(infrastructure, other.secret)
    gateway.is_down = False
    revoke_api_key(infrastructure, principal, other.api_key.key_id)
    assert [secret for _, secret, _ in gateway.known.values()] == [key.secret]


def test_the_gateways_name_of_a_key_is_not_listed(infrastructure: Infrastructure) -> None:
    account, key = create_account(infrastructure, name=None)
    (record,) = infrastructure.store.get([key.api_key.key_id])
    assert record is not None
    assert record.data["gateway_key_id"] == "gw1"
    assert "gw1" not in str(list_api_keys(infrastructure, account.account_id))


# --- the demo account ----------------------------------------------------------------------------------------------


def test_the_demo_account_is_made_when_its_key_is_first_used(gateway: MemoryGateway) -> None:
    store = CountingStore()
    infrastructure = replace(make_infrastructure(store), key_registry=gateway, demo_api_key=DEMO)
    principal = authenticate(infrastructure, DEMO)
    assert (principal.account_id, principal.plan) == (DEMO_ACCOUNT, "demo")
    assert gateway.known == {}, "who chose the key has told the gateway"
    store.calls.clear()
    infrastructure.principals.forget(principal.key_id)
    authenticate(infrastructure, DEMO)
    assert store.calls == ["get"], "and afterwards costs what every key costs"


@each_case("secret", ["", "sk_test_demo", DEMO + "x", DEMO[:-1], "dëmo"])
def test_no_other_key_makes_the_demo_account(secret: str) -> None:
    for chosen in (DEMO, ""):
        infrastructure = replace(make_infrastructure(), demo_api_key=chosen)
        with pytest.raises(ApiKeyInvalid):
            authenticate(infrastructure, secret)
        assert infrastructure.store.get([DEMO_ACCOUNT]) == [None]


def test_a_new_demo_key_opens_the_same_demo_account() -> None:
    infrastructure = replace(make_infrastructure(), demo_api_key=DEMO)
    authenticate(infrastructure, DEMO)
    renewed = replace(infrastructure, demo_api_key=DEMO[::-1])
    assert authenticate(renewed, DEMO[::-1]).account_id == DEMO_ACCOUNT
    assert len(list_api_keys(infrastructure, DEMO_ACCOUNT)) == 2


def test_a_revoked_demo_key_stays_revoked() -> None:
    infrastructure = replace(make_infrastructure(), demo_api_key=DEMO)
    authenticate(infrastructure, DEMO)
    other = create_api_key(infrastructure, DEMO_ACCOUNT, label=None)
    revoke_api_key(infrastructure, authenticate(infrastructure, other.secret), identify_api_key(DEMO))
    with pytest.raises(ApiKeyInvalid):
        authenticate(infrastructure, DEMO)


def test_the_demo_key_is_not_shown_where_ports_are() -> None:
    assert DEMO not in repr(replace(make_infrastructure(), demo_api_key=DEMO))
