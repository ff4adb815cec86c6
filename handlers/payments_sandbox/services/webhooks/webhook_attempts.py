"""Attempting a webhook delivery that is due: what is sent, what chaos makes of it, what came of it and what follows.

Two processes never attempt one delivery at the same time, because each takes the lease at the version it read, and keeps
it for as long as the attempt lasts; an attempt whose process died is due again when its lease ends. How an HTTP answer is
judged is in `domain/webhooks.py`, the sending itself in `adapters/webhooks/`.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from payments_sandbox.domain.attempt_errors import AttemptError
from payments_sandbox.domain.timestamps import SECOND_MS
from payments_sandbox.domain.webhooks import (
    STALE_BY_S,
    TIMEOUT_MS,
    Verdict,
    judge,
    read_retry_after,
    retry_delay_ms,
    signed_headers,
)
from payments_sandbox.services.accounts.controls import retire, world_of
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ledger.scopes import own_record
from payments_sandbox.services.ports import Post, ReceiverResponse, Record, Sender
from payments_sandbox.services.webhooks.webhook_delivery_records import (
    ATTEMPTS_KEPT,
    FAILED,
    PENDING,
    SUCCEEDED,
    Attempt,
    Delivery,
    apply_change,
    attempt_data,
    cancel,
    delivery_of,
)
from payments_sandbox.services.webhooks.webhook_endpoint_health import note_endpoint_health
from payments_sandbox.services.webhooks.webhook_endpoints import Chaos, old_secret, signing_secrets
from payments_sandbox.services.webhooks.webhook_leases import Lease
from payments_sandbox.services.world import World

LEASE_MS: Final = 2 * TIMEOUT_MS + 10 * SECOND_MS
"""How long an attempt may take, a duplicate included, before another process may think it died; unless it is given a
shorter lease, which is renewed while it lasts."""


async def attempt_delivery(
    infrastructure: Infrastructure,
    sender: Sender,
    delivery_id: str,
    *,
    known_world: Callable[[str], World] | None = None,
    lease_ms: int = LEASE_MS,
) -> Delivery | None:
    """Attempt a delivery that is due by its account's clock, and record what came of it.

    delivery_id: as the ledger has it (`scopes.stored_id`). known_world: the world of an account, where the caller knows it;
        otherwise its controls are read.
    lease_ms: after how long another process may assume that this one died. The lease is renewed at half of that, which is a
        write more: a short one suits where writes are cheap, and processes are killed.
    Answers None when there was nothing to do: it is settled, not yet due, or another process is at it.
    Raises StoreUnavailable; the delivery is then due again when its lease ends. Cancelled, it is due again at once.
    """
    (record,) = infrastructure.store.get([delivery_id])
    if record is None or record.due_at is None:
        return None
    world = (known_world or partial(world_of, infrastructure))(record.account_id)
    own = own_record(world, record)
    if own is None:
        retire(infrastructure, record)
        return None
    return await attempt_record(world, sender, own, lease_ms=lease_ms)


async def attempt_record(
    world: World, sender: Sender, record: Record, *, lease_ms: int = LEASE_MS
) -> Delivery | None:
    """As `attempt_delivery`, for a delivery that has been read."""
    if record.due_at is None or record.due_at > world.clock.now_ms():
        return None
    (endpoint,) = world.store.get([record.data["endpoint_id"]])
    if endpoint is None or not endpoint.data["enabled"]:
        return cancel(world, record)
    lease = Lease(world, record, lease_ms)
    if not lease.take():
        return None
    try:
        attempts = await _send(world, sender, record, endpoint)
    except asyncio.CancelledError:
        lease.give_back()
        raise
    finally:
        lease.end()
    return _record_outcome(world, lease.record, endpoint, attempts)


async def _send(world: World, sender: Sender, record: Record, endpoint: Record) -> list[Attempt]:
    """One attempt, or two where chaos asks for a duplicate, or none that leaves the house."""
    chaos = Chaos(**endpoint.data["chaos"])
    if record.data["attempt_count"] < chaos.drop_first:
        return [
            Attempt(
                world.clock.now_ms(), [], ReceiverResponse(None, [], "", 0, AttemptError.DROPPED_BY_CHAOS)
            )
        ]
    body = record.data["body"].encode()
    attempts = []
    for _ in range(2 if chaos.duplicate else 1):
        at_ms = world.clock.now_ms()
        headers = _headers(world, record, endpoint, chaos, body)
        reply = await sender.send(Post(endpoint.data["url"], headers, [body], TIMEOUT_MS))
        attempts.append(Attempt(at_ms, headers, reply))
    return attempts


def _headers(
    world: World, record: Record, endpoint: Record, chaos: Chaos, body: bytes
) -> list[tuple[str, str]]:
    # Real time, whatever the account's clock says: receivers compare it with theirs.
    timestamp_s = world.wall_clock.now_ms() // SECOND_MS
    secrets = signing_secrets(world, endpoint)
    match chaos.signature:
        case "wrong":
            secrets = [hashlib.sha256(b"wrong" + secrets[0]).digest()]
        case "old_secret":
            secrets = [old_secret(world, endpoint) or hashlib.sha256(b"old" + secrets[0]).digest()]
        case "stale_timestamp":
            timestamp_s -= STALE_BY_S
    return signed_headers(record.data["event_id"], timestamp_s, body, secrets)


def _record_outcome(world: World, leased: Record, endpoint: Record, attempts: list[Attempt]) -> Delivery:
    # Of a duplicate the last answer counts.
    reply = attempts[-1].reply
    now_ms = world.clock.now_ms()
    verdict = _verdict(reply, world.wall_clock.now_ms())

    def change(data: Mapping[str, Any]) -> tuple[dict[str, Any], int | None]:
        count = data["attempt_count"] + 1
        delay = retry_delay_ms(leased.id, count, verdict.retry_after_ms)
        settled = verdict.delivered or verdict.disables or delay is None
        kept = [*data["attempts"], *(attempt_data(attempt) for attempt in attempts)][-ATTEMPTS_KEPT:]
        state = SUCCEEDED if verdict.delivered else FAILED if settled else PENDING
        due_at = None if settled or delay is None else now_ms + delay
        if data["state"] != PENDING and not verdict.delivered:
            # It was settled meanwhile, by another process that thought us dead, or as its endpoint is gone.
            state, due_at = data["state"], None
        return {**data, "attempt_count": count, "attempts": kept, "state": state}, due_at

    record = apply_change(world, leased, change)
    if attempts[-1].reply.error != AttemptError.DROPPED_BY_CHAOS:
        note_endpoint_health(world, endpoint, verdict, now_ms)
    return delivery_of(record)


def _verdict(reply: ReceiverResponse, real_ms: int) -> Verdict:
    if reply.status is None:
        return Verdict(delivered=False)
    retry_after = dict(reply.headers).get("retry-after")
    return judge(reply.status, None if retry_after is None else read_retry_after(retry_after, real_ms))
