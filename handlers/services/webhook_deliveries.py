"""Delivering events: one delivery for each event and endpoint, attempted until a receiver takes it or the schedule ends.

At least once, in no promised order. A delivery is a record that is due (`due_at`) until it is settled, so nothing is lost
when a process dies: planned twice it is the same record, and an attempt that was under way is due again when its lease
ends. Two processes never attempt one delivery at the same time, because each takes the lease at the version it read, and
keeps it for as long as the attempt lasts.
"""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from handlers.domain.errors import StoreUnavailable, WebhookDeliveryNotFound, WebhookEndpointDisabled
from handlers.domain.moments import SECOND_MS
from handlers.domain.webhooks import (
    FAILING_MAX_MS,
    TIMEOUT_MS,
    Verdict,
    judge,
    read_retry_after,
    retry_delay_ms,
    sign,
)
from handlers.services import entries
from handlers.services.events import Event
from handlers.services.listings import ListingPage, walk
from handlers.services.ports import (
    Committed,
    Index,
    Ports,
    Post,
    Record,
    Reply,
    Sender,
    Update,
)
from handlers.services.webhook_endpoints import Chaos, list_records, read_endpoint, signing_secrets, wants

KIND: Final = "webhook_delivery"

PENDING: Final = "pending"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"

LEASE_MS: Final = 2 * TIMEOUT_MS + 10 * SECOND_MS
"""How long an attempt may take, a duplicate included, before another process may think it died; unless it is given a
shorter lease, which is renewed while it lasts."""

ATTEMPTS_KEPT: Final = 20
"""How many attempts a delivery shows; redeliveries can make more, of which the oldest are dropped."""

REORDER_MAX_MS: Final = 3 * SECOND_MS
STALE_BY_S: Final = 600

DROPPED: Final = "dropped_by_chaos"

CANCELLED_AT_ONCE: Final = 1_000

_RACES_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class Attempt:
    """One POST that was made, or held back by chaos. at_ms: milliseconds since the epoch; reply as it came."""

    at_ms: int
    request_headers: Sequence[tuple[str, str]]
    reply: Reply


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as it is shown. state: `pending`, `succeeded`, `failed` or `cancelled` (the endpoint was disabled or
    deleted). next_attempt_at: milliseconds since the epoch; None when it is settled. attempts: the oldest first, at most
    `ATTEMPTS_KEPT`; attempt_count: how many there were since it was last made pending."""

    delivery_id: str
    event_id: str
    event_type: str
    endpoint_id: str
    state: str
    created_at: int
    next_attempt_at: int | None
    attempt_count: int
    body: str
    attempts: Sequence[Attempt]


def plan_deliveries(ports: Ports, event: Event, endpoints: Sequence[Record] | None = None) -> list[str]:
    """Make a delivery of the event for each endpoint that wants it; answers the ids of all of them.

    endpoints: the account's, where they have been read already since the event was seen.
    Planned again, the same deliveries are found and left as they are.
    """
    if endpoints is None:
        endpoints = list_records(ports, event.account_id)
    wanting = [record for record in endpoints if wants(record, event.type)]
    body = _body_of(event) if wanting else ""
    planned = []
    for endpoint in wanting:
        record = _new_delivery(ports, event, endpoint, body)
        ports.store.insert(record)
        planned.append(record.id)
    return planned


def plan_test(ports: Ports, account_id: str, endpoint_id: str, event: Event) -> Delivery:
    """Make a delivery of an event that no ledger entry tells of, to this endpoint alone.

    Errors, by precedence: webhook_endpoint_not_found. webhook_endpoint_disabled.
    """
    endpoint = read_endpoint(ports, account_id, endpoint_id)
    if not endpoint.data["enabled"]:
        raise WebhookEndpointDisabled("Enable the endpoint before you test it.")
    record = _new_delivery(ports, event, endpoint, _body_of(event))
    ports.store.insert(record)
    return delivery_of(record)


async def attempt_delivery(
    ports: Ports, sender: Sender, delivery_id: str, *, lease_ms: int = LEASE_MS
) -> Delivery | None:
    """Attempt a delivery that is due, and record what came of it.

    lease_ms: after how long another process may take this one for dead. The lease is renewed at half of that, which is a
        write more: a short one suits where writes are cheap, and processes are killed.
    Answers None when there was nothing to do: it is settled, not yet due, or another process is at it.
    Raises StoreUnavailable; the delivery is then due again when its lease ends. Cancelled, it is due again at once.
    """
    (record,) = ports.store.get([delivery_id])
    now_ms = ports.clock.now_ms()
    if record is None or record.due_at is None or record.due_at > now_ms:
        return None
    (endpoint,) = ports.store.get([record.data["endpoint_id"]])
    if endpoint is None or not endpoint.data["enabled"]:
        return _settle_cancelled(ports, record)
    lease = _Lease(ports, record, lease_ms)
    if not lease.take():
        return None
    try:
        attempts = await _send(ports, sender, record, endpoint)
    except asyncio.CancelledError:
        lease.give_back()
        raise
    finally:
        lease.end()
    return _record_outcome(ports, lease.record, endpoint, attempts)


def cancel_deliveries(ports: Ports, account_id: str, endpoint_id: str) -> None:
    """Cancel what is pending for an endpoint that was deleted, the newest thousand; older ones are when they fall due."""

    def pending(record: Record) -> bool:
        return bool(record.data["endpoint_id"] == endpoint_id and record.data["state"] == PENDING)

    page = walk(ports, Index.FEED, _feed_key(account_id), pending, limit=CANCELLED_AT_ONCE, cursor=None)
    for record in page.items:
        _settle_cancelled(ports, record)


def get_delivery(ports: Ports, account_id: str, delivery_id: str) -> Delivery:
    """A delivery of the account. Errors: webhook_delivery_not_found."""
    return delivery_of(_read(ports, account_id, delivery_id))


def list_deliveries(
    ports: Ports,
    account_id: str,
    *,
    endpoint_id: str | None = None,
    event_id: str | None = None,
    state: str | None = None,
    limit: int,
    cursor: str | None,
) -> ListingPage[Delivery]:
    """The account's deliveries, newest first. Errors: invalid_request: the cursor is not one that a listing gave."""

    def wanted(record: Record) -> bool:
        data = record.data
        return (
            (endpoint_id is None or data["endpoint_id"] == endpoint_id)
            and (event_id is None or data["event_id"] == event_id)
            and (state is None or data["state"] == state)
        )

    selective = endpoint_id is not None or event_id is not None or state is not None
    page = walk(
        ports, Index.FEED, _feed_key(account_id), wanted, limit=limit, cursor=cursor, selective=selective
    )
    return ListingPage([delivery_of(record) for record in page.items], page.next_cursor)


def redeliver(ports: Ports, account_id: str, delivery_id: str) -> Delivery:
    """Make a delivery due now, with the whole schedule before it; its earlier attempts stay on record.

    Errors, by precedence: webhook_delivery_not_found. webhook_endpoint_not_found, webhook_endpoint_disabled: there is
    nowhere to deliver to.
    """
    record = _read(ports, account_id, delivery_id)
    endpoint = read_endpoint(ports, account_id, record.data["endpoint_id"])
    if not endpoint.data["enabled"]:
        raise WebhookEndpointDisabled("Enable the endpoint before you redeliver to it.")
    return delivery_of(_change(ports, record, _make_pending(ports)))


def redeliver_failures(
    ports: Ports, account_id: str, endpoint_id: str, *, since_ms: int, limit: int = 1_000
) -> int:
    """Make the endpoint's failed and cancelled deliveries since then due again; answers how many (at most `limit`: call
    again for more).

    Errors, by precedence: webhook_endpoint_not_found. webhook_endpoint_disabled.
    """
    endpoint = read_endpoint(ports, account_id, endpoint_id)
    if not endpoint.data["enabled"]:
        raise WebhookEndpointDisabled("Enable the endpoint before you redeliver to it.")

    def failed(record: Record) -> bool:
        return record.data["endpoint_id"] == endpoint_id and record.data["state"] in (FAILED, CANCELLED)

    count, cursor = 0, None
    while count < limit:
        page = walk(
            ports,
            Index.FEED,
            _feed_key(account_id),
            failed,
            limit=min(100, limit - count),
            cursor=cursor,
            created_from=since_ms,
        )
        for record in page.items:
            _change(ports, record, _make_pending(ports))
            count += 1
        cursor = page.next_cursor
        if cursor is None:
            break
    return count


def delivery_of(record: Record) -> Delivery:
    """A delivery's record as the services see it."""
    data = record.data
    return Delivery(
        delivery_id=record.id,
        event_id=data["event_id"],
        event_type=data["event_type"],
        endpoint_id=data["endpoint_id"],
        state=data["state"],
        created_at=record.created_at,
        next_attempt_at=record.due_at,
        attempt_count=data["attempt_count"],
        body=data["body"],
        attempts=[_attempt_of(attempt) for attempt in data["attempts"]],
    )


def signed_headers(
    event_id: str, timestamp_s: int, body: bytes, secrets: Sequence[bytes]
) -> list[tuple[str, str]]:
    """The headers of a webhook, signed with each of the secrets. Source: Standard Webhooks 1.0.0."""
    return [
        ("content-type", "application/json"),
        ("webhook-id", event_id),
        ("webhook-timestamp", str(timestamp_s)),
        ("webhook-signature", " ".join(sign(secret, event_id, timestamp_s, body) for secret in secrets)),
    ]


class _Lease:
    """Keeps a delivery for whoever attempts it, by moving its due time on before it comes.

    record: as it stands while the lease is held, once it was taken.
    """

    def __init__(self, ports: Ports, record: Record, lease_ms: int) -> None:
        self._ports = ports
        self._lease_ms = lease_ms
        self._timer: asyncio.TimerHandle | None = None
        self.record = record

    def take(self) -> bool:
        """Whether nobody else was faster."""
        if not self._prolong(self._lease_ms):
            return False
        self._set_timer()
        return True

    def end(self) -> None:
        """Let it run out."""
        if self._timer is not None:
            self._timer.cancel()

    def give_back(self) -> None:
        """Make the delivery due again at once, if the ledger can be written."""
        with suppress(StoreUnavailable):
            self._prolong(0)

    def _renew(self) -> None:
        try:
            # When it is lost, whoever has it, or has settled or redelivered the delivery meanwhile, is in the right.
            held = self._prolong(self._lease_ms)
        except StoreUnavailable:
            held = True
        if held:
            self._set_timer()

    def _prolong(self, by_ms: int) -> bool:
        now_ms = self._ports.clock.now_ms()
        prolonged = replace(self.record, version=self.record.version + 1, due_at=now_ms + by_ms)
        if not isinstance(self._ports.store.commit([], [Update(prolonged)]), Committed):
            return False
        self.record = prolonged
        return True

    def _set_timer(self) -> None:
        half_s = self._lease_ms // (2 * SECOND_MS)
        self._timer = asyncio.get_running_loop().call_later(half_s, self._renew)


def _body_of(event: Event) -> str:
    return json.dumps(event.payload, ensure_ascii=False, separators=(",", ":"))


def _new_delivery(ports: Ports, event: Event, endpoint: Record, body: str) -> Record:
    digest = hmac.digest(ports.ledger_secret, f"delivery\0{event.id}\0{endpoint.id}".encode(), "sha256")
    delivery_id = "del_" + digest.hex()[:32]
    now_ms = ports.clock.now_ms()
    chaos = Chaos(**endpoint.data["chaos"])
    held_back = chaos.delay_ms
    if chaos.reorder:
        held_back += int.from_bytes(digest[:4], "big") % REORDER_MAX_MS
    return Record(
        id=delivery_id,
        kind=KIND,
        account_id=event.account_id,
        version=1,
        created_at=now_ms,
        data={
            "event_id": event.id,
            "event_type": event.type,
            "endpoint_id": endpoint.id,
            "state": PENDING,
            "attempt_count": 0,
            "body": body,
            "attempts": [],
        },
        feed_key=_feed_key(event.account_id),
        due_at=now_ms + held_back,
    )


async def _send(ports: Ports, sender: Sender, record: Record, endpoint: Record) -> list[Attempt]:
    """One attempt, or two where chaos asks for a duplicate, or none that leaves the house."""
    chaos = Chaos(**endpoint.data["chaos"])
    at_ms = ports.clock.now_ms()
    if record.data["attempt_count"] < chaos.drop_first:
        return [Attempt(at_ms, [], Reply(None, [], "", 0, DROPPED))]
    body = record.data["body"].encode()
    attempts = []
    for _ in range(2 if chaos.duplicate else 1):
        at_ms = ports.clock.now_ms()
        headers = _headers(ports, record, endpoint, chaos, at_ms, body)
        reply = await sender.send(Post(endpoint.data["url"], headers, [body], TIMEOUT_MS))
        attempts.append(Attempt(at_ms, headers, reply))
    return attempts


def _headers(
    ports: Ports, record: Record, endpoint: Record, chaos: Chaos, at_ms: int, body: bytes
) -> list[tuple[str, str]]:
    timestamp_s = at_ms // SECOND_MS
    secrets = signing_secrets(ports, endpoint)
    match chaos.signature:
        case "wrong":
            secrets = [hashlib.sha256(b"wrong" + secrets[0]).digest()]
        case "old_secret":
            secrets = [hashlib.sha256(b"old" + secrets[0]).digest()]
        case "stale_timestamp":
            timestamp_s -= STALE_BY_S
    return signed_headers(record.data["event_id"], timestamp_s, body, secrets)


def _record_outcome(ports: Ports, leased: Record, endpoint: Record, attempts: list[Attempt]) -> Delivery:
    # Of a duplicate the last answer counts.
    reply = attempts[-1].reply
    now_ms = ports.clock.now_ms()
    verdict = _verdict(reply, now_ms)

    def change(data: Mapping[str, Any]) -> tuple[dict[str, Any], int | None]:
        count = data["attempt_count"] + 1
        delay = retry_delay_ms(leased.id, count, verdict.retry_after_ms)
        settled = verdict.delivered or verdict.disables or delay is None
        kept = [*data["attempts"], *(_attempt_data(attempt) for attempt in attempts)][-ATTEMPTS_KEPT:]
        state = SUCCEEDED if verdict.delivered else FAILED if settled else PENDING
        due_at = None if settled or delay is None else now_ms + delay
        if data["state"] != PENDING and not verdict.delivered:
            # It was settled meanwhile, by another process that thought us dead, or as its endpoint is gone.
            state, due_at = data["state"], None
        return {**data, "attempt_count": count, "attempts": kept, "state": state}, due_at

    record = _change(ports, leased, change)
    if attempts[-1].reply.error != DROPPED:
        _note_endpoint_health(ports, endpoint, verdict, now_ms)
    return delivery_of(record)


def _verdict(reply: Reply, now_ms: int) -> Verdict:
    if reply.status is None:
        return Verdict(delivered=False)
    retry_after = dict(reply.headers).get("retry-after")
    return judge(reply.status, None if retry_after is None else read_retry_after(retry_after, now_ms))


def _note_endpoint_health(ports: Ports, endpoint: Record, verdict: Verdict, now_ms: int) -> None:
    """Remember since when an endpoint has been failing, and disable it when it is gone or has failed for too long.

    Written only when something changes, so that a healthy endpoint costs nothing.
    """
    for _ in range(_RACES_MAX):
        data = endpoint.data
        failing_since = data["failing_since"]
        if verdict.delivered:
            changed = {**data, "failing_since": None}
        elif verdict.disables:
            changed = {**data, "enabled": False, "disabled_reason": "gone"}
        elif failing_since is None:
            changed = {**data, "failing_since": now_ms}
        elif now_ms - failing_since >= FAILING_MAX_MS:
            changed = {**data, "enabled": False, "disabled_reason": "failing"}
        else:
            return
        if changed == data or not data["enabled"]:
            return
        update = Update(replace(endpoint, version=endpoint.version + 1, data=changed))
        inserts = [] if changed["enabled"] else [_disabled_entry(ports, endpoint, changed, now_ms)]
        if isinstance(ports.store.commit(inserts, [update]), Committed):
            return
        (fresh,) = ports.store.get([endpoint.id])
        assert fresh is not None, "endpoints are never deleted from the store"
        endpoint = fresh


def _disabled_entry(ports: Ports, endpoint: Record, data: Mapping[str, Any], now_ms: int) -> Record:
    """The entry that tells of it, written together with the change; it is the event `webhook_endpoint.disabled`."""
    return Record(
        id="wed_" + ports.randomness.token(24),
        kind="endpoint_disabled",
        account_id=endpoint.account_id,
        version=1,
        created_at=now_ms,
        data={
            "endpoint_id": endpoint.id,
            "url": data["url"],
            "reason": data["disabled_reason"],
            "failing_since": data["failing_since"],
        },
        feed_key=entries.feed_key(endpoint.account_id),
    )


def _settle_cancelled(ports: Ports, record: Record) -> Delivery:
    def cancel(data: Mapping[str, Any]) -> tuple[dict[str, Any], int | None] | None:
        return ({**data, "state": CANCELLED}, None) if data["state"] == PENDING else None

    return delivery_of(_change(ports, record, cancel))


_Change = Callable[[Mapping[str, Any]], tuple[dict[str, Any], int | None] | None]
"""From a delivery's data to what it becomes, and when it is due; None leaves it as it is."""


def _make_pending(ports: Ports) -> _Change:
    now_ms = ports.clock.now_ms()
    return lambda data: ({**data, "state": PENDING, "attempt_count": 0}, now_ms)


def _change(ports: Ports, record: Record, change: _Change) -> Record:
    """Apply a change to the delivery as it stands; when another process was faster, to what it made of it."""
    while True:
        decided = change(record.data)
        if decided is None:
            return record
        data, due_at = decided
        changed = replace(record, version=record.version + 1, data=data, due_at=due_at)
        if isinstance(ports.store.commit([], [Update(changed)]), Committed):
            return changed
        (fresh,) = ports.store.get([record.id])
        assert fresh is not None, "deliveries are never deleted"
        record = fresh


def _read(ports: Ports, account_id: str, delivery_id: str) -> Record:
    (record,) = ports.store.get([delivery_id])
    if record is None or record.kind != KIND or record.account_id != account_id:
        raise WebhookDeliveryNotFound("The account has no webhook delivery of this id.")
    return record


def _feed_key(account_id: str) -> str:
    return f"{account_id}#{KIND}"


def _attempt_data(attempt: Attempt) -> dict[str, Any]:
    reply = attempt.reply
    return {
        "at": attempt.at_ms,
        "request_headers": [list(header) for header in attempt.request_headers],
        "status": reply.status,
        "headers": [list(header) for header in reply.headers],
        "body_start": reply.body_start,
        "duration_ms": reply.duration_ms,
        "error": reply.error,
    }


def _attempt_of(data: Mapping[str, Any]) -> Attempt:
    return Attempt(
        data["at"],
        [(name, value) for name, value in data["request_headers"]],
        Reply(
            data["status"],
            [(name, value) for name, value in data["headers"]],
            data["body_start"],
            data["duration_ms"],
            data["error"],
        ),
    )
