"""Deliveries of events: one for each event and endpoint that wants it, to be seen, redelivered and cancelled.

At least once, in no promised order. A delivery is a record that is due (`due_at`) until it is settled, so nothing is lost
when a process dies: planned twice it is the same record. What happens when one is due is in `webhook_attempts.py`.
"""

import hmac
import json
from collections.abc import Sequence
from typing import Final

from payments_sandbox.domain.errors import WebhookDeliveryNotFound, WebhookEndpointDisabled
from payments_sandbox.domain.timestamps import SECOND_MS
from payments_sandbox.services.events.events import Event
from payments_sandbox.services.ledger.listings import ListingPage, walk
from payments_sandbox.services.ports import Index, Record
from payments_sandbox.services.webhooks.webhook_delivery_records import (
    CANCELLED,
    FAILED,
    KIND,
    PENDING,
    Delivery,
    DeliveryChange,
    apply_change,
    cancel,
    delivery_of,
    feed_key,
)
from payments_sandbox.services.webhooks.webhook_endpoints import Chaos, list_records, read_endpoint, wants
from payments_sandbox.services.world import World

REORDER_MAX_MS: Final = 3 * SECOND_MS

CANCELLED_AT_ONCE: Final = 1_000


def plan_deliveries(world: World, event: Event, endpoints: Sequence[Record] | None = None) -> list[str]:
    """Make a delivery of the event for each endpoint that wants it; answers the ids of all of them.

    endpoints: the account's, where they have been read already since the event was seen.
    Planned again, the same deliveries are found and left as they are.
    """
    if endpoints is None:
        endpoints = list_records(world)
    wanting = [record for record in endpoints if wants(record, event.type)]
    body = _body_of(event) if wanting else ""
    planned = []
    for endpoint in wanting:
        record = _new_delivery(world, event, endpoint, body)
        world.store.insert(record)
        planned.append(record.id)
    return planned


def plan_test(world: World, endpoint_id: str, event: Event) -> Delivery:
    """Make a delivery of an event that no ledger entry tells of, to this endpoint alone.

    Errors, by precedence: webhook_endpoint_not_found. webhook_endpoint_disabled.
    """
    endpoint = read_endpoint(world, endpoint_id)
    if not endpoint.data["enabled"]:
        raise WebhookEndpointDisabled("Enable the endpoint before you test it.")
    record = _new_delivery(world, event, endpoint, _body_of(event))
    world.store.insert(record)
    return delivery_of(record)


def cancel_deliveries(world: World, endpoint_id: str, *, at_once: int = CANCELLED_AT_ONCE) -> None:
    """Cancel what is pending for an endpoint that was deleted, the newest thousand; older ones are when they fall due."""

    def pending(record: Record) -> bool:
        return bool(record.data["endpoint_id"] == endpoint_id and record.data["state"] == PENDING)

    page = walk(world.store, Index.FEED, feed_key(world.account_id), pending, limit=at_once, cursor=None)
    for record in page.items:
        cancel(world, record)


def get_delivery(world: World, delivery_id: str) -> Delivery:
    """A delivery of the account. Errors: webhook_delivery_not_found."""
    return delivery_of(_read(world, delivery_id))


def list_deliveries(
    world: World,
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
        world.store,
        Index.FEED,
        feed_key(world.account_id),
        wanted,
        limit=limit,
        cursor=cursor,
        selective=selective,
    )
    return ListingPage([delivery_of(record) for record in page.items], page.next_cursor)


def redeliver(world: World, delivery_id: str) -> Delivery:
    """Make a delivery due now, with the whole schedule before it; its earlier attempts stay on record.

    Errors, by precedence: webhook_delivery_not_found. webhook_endpoint_not_found, webhook_endpoint_disabled: there is
    nowhere to deliver to.
    """
    record = _read(world, delivery_id)
    endpoint = read_endpoint(world, record.data["endpoint_id"])
    if not endpoint.data["enabled"]:
        raise WebhookEndpointDisabled("Enable the endpoint before you redeliver to it.")
    return delivery_of(apply_change(world, record, _make_pending(world)))


def redeliver_failures(world: World, endpoint_id: str, *, since_ms: int, limit: int = 1_000) -> int:
    """Make the endpoint's failed and cancelled deliveries since then due again; answers how many (at most `limit`: call
    again for more).

    Errors, by precedence: webhook_endpoint_not_found. webhook_endpoint_disabled.
    """
    endpoint = read_endpoint(world, endpoint_id)
    if not endpoint.data["enabled"]:
        raise WebhookEndpointDisabled("Enable the endpoint before you redeliver to it.")

    def failed(record: Record) -> bool:
        return record.data["endpoint_id"] == endpoint_id and record.data["state"] in (FAILED, CANCELLED)

    count, cursor = 0, None
    while count < limit:
        page = walk(
            world.store,
            Index.FEED,
            feed_key(world.account_id),
            failed,
            limit=min(100, limit - count),
            cursor=cursor,
            created_from=since_ms,
        )
        for record in page.items:
            apply_change(world, record, _make_pending(world))
            count += 1
        cursor = page.next_cursor
        if cursor is None:
            break
    return count


def _body_of(event: Event) -> str:
    return json.dumps(event.payload, ensure_ascii=False, separators=(",", ":"))


def _new_delivery(world: World, event: Event, endpoint: Record, body: str) -> Record:
    digest = hmac.digest(world.secret, f"delivery\0{event.id}\0{endpoint.id}".encode(), "sha256")
    delivery_id = "del_" + digest.hex()[:32]
    now_ms = world.clock.now_ms()
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
        feed_key=feed_key(event.account_id),
        due_at=now_ms + held_back,
    )


def _make_pending(world: World) -> DeliveryChange:
    now_ms = world.clock.now_ms()
    return lambda data: ({**data, "state": PENDING, "attempt_count": 0}, now_ms)


def _read(world: World, delivery_id: str) -> Record:
    (record,) = world.store.get([delivery_id])
    if record is None or record.kind != KIND or record.account_id != world.account_id:
        raise WebhookDeliveryNotFound("The account has no webhook delivery of this id.")
    return record
