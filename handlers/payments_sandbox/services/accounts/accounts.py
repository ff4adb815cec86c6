"""Accounts, API keys, and who is calling.

An API key is shown once, when it is made, and kept only as the id that its hash gives it: `api_key` records are found by
that id. The account's own record lists its keys for people; the two are written together.

Where a gateway has to know keys too, it is told before the ledger, so that no key is handed out that opens nothing, and
of a revocation after the ledger, which is what decides.
"""

import hmac
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from payments_sandbox.domain.errors import (
    AccountBusy,
    ApiKeyInvalid,
    ApiKeyLimitReached,
    ApiKeyNotFound,
    OwnApiKey,
)
from payments_sandbox.domain.ids import AccountId, identify_api_key
from payments_sandbox.domain.usage_plans import DEFAULT_PLAN, DEMO_PLAN
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ledger.retry import LOST, SETTINGS_RACES_MAX, LostRace, retry_on_conflict
from payments_sandbox.services.ports import Committed, Principal, Record, Update

DEMO_ACCOUNT: Final = AccountId("acct_demo")
DEMO_API_KEY: Final = "sk_test_demo"
"""The demo account's key. It is public, so only the embedded home, on the developer's own machine, has it; on AWS the
deployment makes up another."""

API_KEYS_MAX: Final = 20
"""How many usable keys an account can have."""

_KEY_LENGTH: Final = 32


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is listed. created_at, revoked_at: milliseconds since the epoch; last4: of the secret."""

    key_id: str
    label: str | None
    last4: str
    created_at: int
    revoked_at: int | None


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key that was just made; `secret` is never shown again."""

    api_key: ApiKey
    secret: str


@dataclass(frozen=True, slots=True)
class Account:
    """An account. created_at: milliseconds since the epoch. seed: what its ids follow from, if it has one."""

    account_id: str
    name: str | None
    plan: str
    created_at: int
    seed: str | None = None


def authenticate(infrastructure: Infrastructure, secret: str) -> Principal:
    """Whose API key this is. Raises ApiKeyInvalid when it is nobody's, or was revoked."""
    key_id = identify_api_key(secret)
    known = infrastructure.principals.get(key_id)
    if known is not None:
        return known
    (record,) = infrastructure.store.get([key_id])
    if record is None and _is_demo_key(infrastructure, secret):
        ensure_demo_account(infrastructure, secret)
        (record,) = infrastructure.store.get([key_id])
    if record is None or record.kind != "api_key" or record.data["revoked_at"] is not None:
        raise ApiKeyInvalid("The key in x-api-key is unknown or was revoked.")
    controlled = record.data.get("controlled", False)
    principal = Principal(record.account_id, key_id, record.data["plan"], controlled)
    infrastructure.principals.put(principal)
    return principal


def create_account(infrastructure: Infrastructure, *, name: str | None) -> tuple[Account, NewApiKey]:
    """Make an account on the default plan, with its first API key."""
    account_id = new_account_id(infrastructure)
    secret = _new_secret(infrastructure)
    with _known_to_gateway(infrastructure, secret, DEFAULT_PLAN) as gateway_key_id:
        return _write_account(infrastructure, account_id, name, DEFAULT_PLAN, secret, gateway_key_id)


def new_account_id(infrastructure: Infrastructure) -> AccountId:
    """An id that no account has."""
    return AccountId("acct_" + infrastructure.randomness.token(20))


def create_controlled_account(
    infrastructure: Infrastructure,
    account_id: AccountId,
    *,
    name: str | None,
    seed: str | None,
    inserts: Sequence[Record] = (),
    updates: Sequence[Update] = (),
) -> tuple[Account, NewApiKey]:
    """Make an account that has controls from its beginning. inserts, updates: its controls, written together with it, which
    nobody else may write."""
    secret = _new_secret(infrastructure)
    with _known_to_gateway(infrastructure, secret, DEFAULT_PLAN) as gateway_key_id:
        made = _make_account(
            infrastructure,
            account_id,
            name,
            DEFAULT_PLAN,
            secret,
            gateway_key_id,
            {"controlled": True, "seed": seed},
        )
        result = infrastructure.store.commit([*made.records, *inserts], updates)
        assert isinstance(result, Committed), "nobody else knows of the account"
    return made.account, made.api_key


def ensure_demo_account(infrastructure: Infrastructure, secret: str = DEMO_API_KEY) -> None:
    """Make the demo account with this key, unless it is there; give it this key, unless it has it, or had it revoked.

    Where there is a gateway, whoever chose the key has told it.
    """
    key_id = identify_api_key(secret)
    for _ in range(SETTINGS_RACES_MAX):
        account, key = infrastructure.store.get([DEMO_ACCOUNT, key_id])
        if account is not None and key is not None:
            return
        if account is None:
            _write_account(infrastructure, DEMO_ACCOUNT, "Demo account", DEMO_PLAN, secret)
        else:
            _add_key(infrastructure, account, _describe(secret, None, infrastructure.clock.now_ms()))
    raise _busy()


def get_account(infrastructure: Infrastructure, account_id: str) -> Account:
    """The account of this id, which a principal names and so exists."""
    return _account_of(_read_account(infrastructure, account_id))


def list_api_keys(infrastructure: Infrastructure, account_id: str) -> list[ApiKey]:
    """The account's keys, oldest first, the revoked ones included."""
    return _keys_of(_read_account(infrastructure, account_id))


def create_api_key(infrastructure: Infrastructure, account_id: str, *, label: str | None) -> NewApiKey:
    """Make another key for the account.

    Errors: api_key_limit_reached: revoke one first.
    """
    secret = _new_secret(infrastructure)
    account = _read_account(infrastructure, account_id)
    _check_limit(account)
    with _known_to_gateway(infrastructure, secret, account.data["plan"]) as gateway_key_id:
        for _ in range(SETTINGS_RACES_MAX):
            api_key = _describe(secret, label, infrastructure.clock.now_ms())
            if _add_key(infrastructure, account, api_key, gateway_key_id):
                return NewApiKey(api_key, secret)
            account = _read_account(infrastructure, account_id)
            _check_limit(account)
        raise _busy()


def revoke_api_key(infrastructure: Infrastructure, principal: Principal, key_id: str) -> None:
    """Make a key unusable, for good; a key that was revoked before stays so.

    Errors, by precedence: own_api_key: it is the principal's own, so an account never locks itself out.
    api_key_not_found: the account has no key of this id.
    """
    if key_id == principal.key_id:
        raise OwnApiKey("Use another key of the account to revoke this one.")

    def attempt() -> LostRace | None:
        account = _read_account(infrastructure, principal.account_id)
        keys = _keys_of(account)
        (record,) = infrastructure.store.get([key_id])
        listed = next((key for key in keys if key.key_id == key_id), None)
        if listed is None or record is None:
            raise ApiKeyNotFound("The account has no API key of this id.")
        if listed.revoked_at is not None:
            # The gateway may not have heard of it the first time.
            _withdraw(infrastructure, record)
            return None
        now_ms = infrastructure.clock.now_ms()
        changed = [replace(key, revoked_at=now_ms) if key.key_id == key_id else key for key in keys]
        revoked = replace(record, version=record.version + 1, data={**record.data, "revoked_at": now_ms})
        updates = [Update(revoked), Update(_with_keys(account, changed))]
        if not isinstance(infrastructure.store.commit([], updates), Committed):
            return LOST
        infrastructure.principals.forget(key_id)
        _withdraw(infrastructure, record)
        return None

    retry_on_conflict(attempt, _busy(), races_max=SETTINGS_RACES_MAX)


def mark_controlled(infrastructure: Infrastructure, account_id: str, controls: Record) -> bool:
    """Write the account's first controls, and mark the account and its keys, so that every request asks for them.

    Answers False when another change got there first.
    """
    account = _read_account(infrastructure, account_id)
    key_ids = [key.key_id for key in _keys_of(account) if key.revoked_at is None]
    marked = [
        replace(record, version=record.version + 1, data={**record.data, "controlled": True})
        for record in [account, *infrastructure.store.get(key_ids)]
        if record is not None
    ]
    if not isinstance(
        infrastructure.store.commit([controls], [Update(record) for record in marked]), Committed
    ):
        return False
    for key_id in key_ids:
        infrastructure.principals.forget(key_id)
    return True


def _is_demo_key(infrastructure: Infrastructure, secret: str) -> bool:
    return bool(infrastructure.demo_api_key) and hmac.compare_digest(
        secret.encode(), infrastructure.demo_api_key.encode()
    )


@contextmanager
def _known_to_gateway(infrastructure: Infrastructure, secret: str, plan: str) -> Iterator[str | None]:
    """Where a gateway has to know keys, it knows this one, unless what is done meanwhile fails; gives the gateway's name
    for it."""
    if infrastructure.key_registry is None:
        yield None
        return
    gateway_key_id = infrastructure.key_registry.register(identify_api_key(secret), secret, plan)
    try:
        yield gateway_key_id
    except BaseException:
        infrastructure.key_registry.withdraw(gateway_key_id)
        raise


def _withdraw(infrastructure: Infrastructure, key: Record) -> None:
    gateway_key_id = key.data.get("gateway_key_id")
    if infrastructure.key_registry is not None and gateway_key_id is not None:
        infrastructure.key_registry.withdraw(gateway_key_id)


def _check_limit(account: Record) -> None:
    if sum(key.revoked_at is None for key in _keys_of(account)) >= API_KEYS_MAX:
        raise ApiKeyLimitReached(f"An account can have {API_KEYS_MAX} usable API keys; revoke one first.")


def _add_key(
    infrastructure: Infrastructure, account: Record, api_key: ApiKey, gateway_key_id: str | None = None
) -> bool:
    """Write the key, and the account that lists it; answers whether the account had not moved on."""
    keys = _keys_of(account)
    # Revoked keys are listed for the record, but not without end.
    kept = [key for key in keys if key.revoked_at is None]
    kept += [key for key in keys if key.revoked_at][-API_KEYS_MAX:]
    kept.sort(key=lambda key: (key.created_at, key.key_id))
    record = _key_record(account, api_key, gateway_key_id)
    update = Update(_with_keys(account, [*kept, api_key]))
    return isinstance(infrastructure.store.commit([record], [update]), Committed)


@dataclass(frozen=True, slots=True)
class _NewAccount:
    records: Sequence[Record]
    account: Account
    api_key: NewApiKey


def _write_account(
    infrastructure: Infrastructure,
    account_id: AccountId,
    name: str | None,
    plan: str,
    secret: str,
    gateway_key_id: str | None = None,
) -> tuple[Account, NewApiKey]:
    made = _make_account(infrastructure, account_id, name, plan, secret, gateway_key_id, {})
    infrastructure.store.commit(made.records, [])
    return made.account, made.api_key


def _make_account(
    infrastructure: Infrastructure,
    account_id: AccountId,
    name: str | None,
    plan: str,
    secret: str,
    gateway_key_id: str | None,
    more: Mapping[str, Any],
) -> _NewAccount:
    now_ms = infrastructure.clock.now_ms()
    api_key = _describe(secret, None, now_ms)
    empty = Record(
        id=account_id,
        kind="account",
        account_id=account_id,
        version=0,
        created_at=now_ms,
        data={"name": name, "plan": plan, **more},
    )
    record = _with_keys(empty, [api_key])
    return _NewAccount(
        [record, _key_record(record, api_key, gateway_key_id)],
        _account_of(record),
        NewApiKey(api_key, secret),
    )


def _read_account(infrastructure: Infrastructure, account_id: str) -> Record:
    (record,) = infrastructure.store.get([account_id])
    assert record is not None, "accounts are never deleted"
    return record


def _account_of(record: Record) -> Account:
    data = record.data
    return Account(record.account_id, data["name"], data["plan"], record.created_at, data.get("seed"))


def _keys_of(account: Record) -> list[ApiKey]:
    return [ApiKey(**key) for key in account.data["api_keys"]]


def _with_keys(account: Record, keys: list[ApiKey]) -> Record:
    listed = [_key_data(key) for key in keys]
    return replace(account, version=account.version + 1, data={**account.data, "api_keys": listed})


def _key_data(key: ApiKey) -> Mapping[str, Any]:
    return {
        "key_id": key.key_id,
        "label": key.label,
        "last4": key.last4,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }


def _key_record(account: Record, key: ApiKey, gateway_key_id: str | None) -> Record:
    data: dict[str, Any] = {"plan": account.data["plan"], "revoked_at": None}
    if account.data.get("controlled"):
        data["controlled"] = True
    if gateway_key_id is not None:
        data["gateway_key_id"] = gateway_key_id
    return Record(
        id=key.key_id,
        kind="api_key",
        account_id=account.account_id,
        version=1,
        created_at=key.created_at,
        data=data,
    )


def _describe(secret: str, label: str | None, now_ms: int) -> ApiKey:
    return ApiKey(identify_api_key(secret), label, secret[-4:], now_ms, None)


def _new_secret(infrastructure: Infrastructure) -> str:
    return "sk_test_" + infrastructure.randomness.token(_KEY_LENGTH)


def _busy() -> AccountBusy:
    return AccountBusy("Other changes to the account's keys got there first; repeat the request.")
