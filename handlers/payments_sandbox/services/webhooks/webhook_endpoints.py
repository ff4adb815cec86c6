"""Webhook endpoints: where an account's events are sent, what signs them, and what is done to them on purpose.

A signing secret is shown once, when it is made, and kept sealed. After a rotation the old one signs beside the new one for
a day, so that a receiver can change over without losing an event.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final

from payments_sandbox.domain.errors import (
    AccountBusy,
    FieldError,
    InvalidRequest,
    SecretRotationInProgress,
    WebhookEndpointLimitReached,
    WebhookEndpointNotFound,
)
from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.domain.timestamps import format_timestamp
from payments_sandbox.domain.webhook_urls import url_fault
from payments_sandbox.domain.webhooks import ROTATION_MS, SECRET_BYTES, format_secret, matches
from payments_sandbox.services.ledger.retry import LOST, SETTINGS_RACES_MAX, LostRace, retry_on_conflict
from payments_sandbox.services.ports import Committed, Index, Record, Update
from payments_sandbox.services.world import World

KIND: Final = "webhook_endpoint"
ENDPOINTS_MAX: Final = 20
"""How many endpoints an account can have: one read lists them all."""

_Changer = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Chaos:
    """What is done to an endpoint's webhooks on purpose; all of it is within what the rules of webhooks allow, or what an
    attacker might try.

    duplicate: each is sent twice. reorder: they are held back by up to three seconds each, by chance. delay_ms: they
    are all held back. drop_first: so many first attempts of each are not sent at all. signature: `valid`, `wrong`
    (made with another key), `stale_timestamp` (ten minutes old) or `old_secret` (made with the one before the
    last rotation alone, even after it has expired; where there was no rotation, with one that it might have been).
    """

    duplicate: bool = False
    reorder: bool = False
    delay_ms: int = 0
    drop_first: int = 0
    signature: str = "valid"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint. Times in milliseconds since the epoch.

    events: patterns (`*`, `payment.*`, a type). failing_since: the first failure since the last success.
    old_secret_expires_at: until when the secret before this one signs too. disabled_reason: `by_request`,
    `gone` (the receiver answered 410) or `failing` (for five days).
    """

    endpoint_id: str
    url: str
    description: str | None
    events: tuple[str, ...]
    enabled: bool
    disabled_reason: str | None
    chaos: Chaos
    created_at: int
    failing_since: int | None
    old_secret_expires_at: int | None


@dataclass(frozen=True, slots=True)
class EndpointChanges:
    """What an update changes; None leaves a field as it is."""

    url: str | None = None
    description: str | None = None
    events: Sequence[str] | None = None
    enabled: bool | None = None
    chaos: Chaos | None = None


def create_endpoint(
    world: World,
    *,
    url: str,
    events: Sequence[str] = ("*",),
    description: str | None = None,
    enabled: bool = True,
    chaos: Chaos | None = None,
) -> tuple[Endpoint, str]:
    """Register an endpoint; answers it and its signing secret (`whsec_...`), which is not shown again.

    Errors, by precedence: invalid_request: webhooks cannot be sent to this URL, and why.
    webhook_endpoint_limit_reached.
    """
    _require_sendable(world, url)
    if len(list_records(world)) >= ENDPOINTS_MAX:
        raise WebhookEndpointLimitReached(f"An account can have {ENDPOINTS_MAX} endpoints; delete one first.")
    secret = _new_secret(world)
    record = Record(
        id="",
        kind=KIND,
        account_id=world.account_id,
        version=1,
        created_at=world.clock.now_ms(),
        data={
            "url": url,
            "description": description,
            "events": list(events),
            "enabled": enabled,
            "disabled_reason": None if enabled else "by_request",
            "chaos": _chaos_data(chaos or Chaos()),
            "failing_since": None,
            "secrets": [{"sealed": world.infrastructure.secret_box.seal(secret), "expires_at": None}],
        },
        feed_key=feed_key(world.account_id),
    )
    for number in count():
        # Chance needs one number; where ids follow from a seed, an earlier endpoint for the same URL may have the first.
        record = replace(record, id="we_" + world.token(24, KIND, url, str(number)))
        if world.store.insert(record) is None:
            break
    return endpoint_of(record), format_secret(secret)


def get_endpoint(world: World, endpoint_id: str) -> Endpoint:
    """An endpoint of the account. Errors: webhook_endpoint_not_found."""
    return endpoint_of(read_endpoint(world, endpoint_id))


def list_endpoints(world: World) -> list[Endpoint]:
    """The account's endpoints, oldest first."""
    return [endpoint_of(record) for record in list_records(world)]


def update_endpoint(world: World, endpoint_id: str, changes: EndpointChanges) -> Endpoint:
    """Change an endpoint. Enabling it forgets its failures.

    Errors, by precedence: webhook_endpoint_not_found. invalid_request: webhooks cannot be sent to this URL, and why.
    """

    def change(data: Mapping[str, Any]) -> dict[str, Any]:
        changed = dict(data)
        if changes.url is not None:
            _require_sendable(world, changes.url)
            changed["url"] = changes.url
        if changes.description is not None:
            changed["description"] = changes.description
        if changes.events is not None:
            changed["events"] = list(changes.events)
        if changes.chaos is not None:
            changed["chaos"] = _chaos_data(changes.chaos)
        if changes.enabled is not None:
            changed["enabled"] = changes.enabled
            changed["disabled_reason"] = None if changes.enabled else "by_request"
            changed["failing_since"] = None
        return changed

    return endpoint_of(_change(world, endpoint_id, change))


def delete_endpoint(world: World, endpoint_id: str) -> None:
    """Take an endpoint away; what was still to be delivered to it is not. Errors: webhook_endpoint_not_found."""
    _change(world, endpoint_id, lambda data: {**data, "enabled": False, "deleted": True})


def rotate_secret(world: World, endpoint_id: str, *, force: bool) -> tuple[Endpoint, str]:
    """Give an endpoint a new secret; the old one signs beside it for 24 hours.

    force: rotate although the last rotation's old secret still signs, and drop that one.
    Errors, by precedence: webhook_endpoint_not_found. secret_rotation_in_progress: unless forced.
    """
    secret = _new_secret(world)
    sealed = world.infrastructure.secret_box.seal(secret)

    def change(data: Mapping[str, Any]) -> dict[str, Any]:
        now_ms = world.clock.now_ms()
        current = data["secrets"][0]
        old = _live_old_secrets(data, now_ms)
        if old and not force:
            until = format_timestamp(old[0]["expires_at"])
            raise SecretRotationInProgress(
                f"The secret before this one signs until {until}; set force to drop it now.",
                facts={"old_secret_expires_at": until},
            )
        return {
            **data,
            "secrets": [
                {"sealed": sealed, "expires_at": None},
                {"sealed": current["sealed"], "expires_at": now_ms + ROTATION_MS},
            ],
        }

    return endpoint_of(_change(world, endpoint_id, change)), format_secret(secret)


def read_endpoint(world: World, endpoint_id: str) -> Record:
    """The endpoint's record. Errors: webhook_endpoint_not_found."""
    (record,) = world.store.get([endpoint_id])
    if (
        record is None
        or record.kind != KIND
        or record.account_id != world.account_id
        or record.data.get("deleted", False)
    ):
        raise WebhookEndpointNotFound("The account has no webhook endpoint of this id.")
    return record


def list_records(world: World) -> Sequence[Record]:
    """The records of the account's endpoints, oldest first."""
    # A few more than there may be: two requests can pass the limit's check at the same moment.
    return world.store.page(Index.FEED, feed_key(world.account_id), limit=ENDPOINTS_MAX * 2).records


def endpoint_of(record: Record) -> Endpoint:
    """An endpoint's record as the services see it."""
    data = record.data
    old = data["secrets"][1:]
    return Endpoint(
        endpoint_id=record.id,
        url=data["url"],
        description=data["description"],
        events=tuple(data["events"]),
        enabled=data["enabled"],
        disabled_reason=data["disabled_reason"],
        chaos=Chaos(**data["chaos"]),
        created_at=record.created_at,
        failing_since=data["failing_since"],
        old_secret_expires_at=old[0]["expires_at"] if old else None,
    )


def signing_secrets(world: World, record: Record) -> list[bytes]:
    """The secrets that sign now, the newest first."""
    data = record.data
    live = [data["secrets"][0], *_live_old_secrets(data, world.clock.now_ms())]
    return [world.infrastructure.secret_box.open(secret["sealed"]) for secret in live]


def old_secret(world: World, record: Record) -> bytes | None:
    """The secret before the last rotation, expired or not; None where there was no rotation."""
    old = record.data["secrets"][1:]
    return world.infrastructure.secret_box.open(old[0]["sealed"]) if old else None


def wants(record: Record, event_type: str) -> bool:
    """Whether events of this type go to the endpoint."""
    return record.data["enabled"] and matches(record.data["events"], event_type)


def _live_old_secrets(data: Mapping[str, Any], now_ms: int) -> list[Mapping[str, Any]]:
    return [secret for secret in data["secrets"][1:] if secret["expires_at"] > now_ms]


def _change(world: World, endpoint_id: str, change: _Changer) -> Record:
    def attempt() -> Record | LostRace:
        record = read_endpoint(world, endpoint_id)
        data = change(record.data)
        changed = replace(
            record,
            version=record.version + 1,
            data=data,
            feed_key=None if data.get("deleted") else record.feed_key,
        )
        return changed if isinstance(world.store.commit([], [Update(changed)]), Committed) else LOST

    busy = AccountBusy("Other changes to the endpoint got there first; repeat the request.")
    return retry_on_conflict(attempt, busy, races_max=SETTINGS_RACES_MAX)


def _require_sendable(world: World, url: str) -> None:
    fault = url_fault(url, loopback=world.infrastructure.loopback_webhooks)
    if fault is not None:
        raise InvalidRequest(
            f"Webhooks cannot be sent to this URL: {fault}.",
            errors=[FieldError("/url", FieldCode.URL_REFUSED, fault)],
        )


def _new_secret(world: World) -> bytes:
    return world.infrastructure.randomness.token(SECRET_BYTES).encode()


def feed_key(account_id: str) -> str:
    """Where the FEED index lists an account's endpoints."""
    return f"{account_id}#{KIND}"


def _chaos_data(chaos: Chaos) -> dict[str, Any]:
    return {
        "duplicate": chaos.duplicate,
        "reorder": chaos.reorder,
        "delay_ms": chaos.delay_ms,
        "drop_first": chaos.drop_first,
        "signature": chaos.signature,
    }
