"""How webhook endpoints, deliveries and inboxes look: the contract's response schemas, built from the services'."""

from typing import Any

from payments_sandbox.domain.timestamps import SECOND_MS, format_timestamp
from payments_sandbox.services.events.events import Event
from payments_sandbox.services.webhooks.inboxes import Inbox, InboxMessage
from payments_sandbox.services.webhooks.webhook_delivery_records import Attempt, Delivery
from payments_sandbox.services.webhooks.webhook_endpoints import Endpoint

Json = dict[str, Any]


def render_endpoint(endpoint: Endpoint) -> Json:
    """The contract's `WebhookEndpoint`."""
    chaos = endpoint.chaos
    return {
        "endpoint_id": endpoint.endpoint_id,
        "url": endpoint.url,
        "description": endpoint.description,
        "events": list(endpoint.events),
        "enabled": endpoint.enabled,
        "disabled_reason": endpoint.disabled_reason,
        "chaos": {
            "duplicate": chaos.duplicate,
            "reorder": chaos.reorder,
            "delay_seconds": chaos.delay_ms // SECOND_MS,
            "drop_first": chaos.drop_first,
            "signature": chaos.signature,
        },
        "created_at": format_timestamp(endpoint.created_at),
        "failing_since": _moment(endpoint.failing_since),
        "old_secret_expires_at": _moment(endpoint.old_secret_expires_at),
    }


def render_delivery(delivery: Delivery) -> Json:
    """The contract's `WebhookDelivery`."""
    return {
        "delivery_id": delivery.delivery_id,
        "event_id": delivery.event_id,
        "event_type": delivery.event_type,
        "endpoint_id": delivery.endpoint_id,
        "state": delivery.state,
        "created_at": format_timestamp(delivery.created_at),
        "next_attempt_at": _moment(delivery.next_attempt_at),
        "attempt_count": delivery.attempt_count,
        "request_body": delivery.body,
        "attempts": [_attempt(attempt) for attempt in delivery.attempts],
    }


def _attempt(attempt: Attempt) -> Json:
    reply = attempt.reply
    return {
        "attempted_at": format_timestamp(attempt.at_ms),
        "request_headers": dict(attempt.request_headers),
        "response_status": reply.status,
        "response_headers": dict(reply.headers),
        "response_body_start": reply.body_start,
        "duration_ms": reply.duration_ms,
        "error": reply.error,
    }


def _moment(at_ms: int | None) -> str | None:
    return None if at_ms is None else format_timestamp(at_ms)


def render_event(event: Event) -> Json:
    """The contract's `Event`: its payload and its id."""
    return {"event_id": event.id, **event.payload}


def render_inbox(inbox: Inbox, url: str) -> Json:
    """The contract's `Inbox`. url: where webhooks for it are posted."""
    return {
        "inbox_id": inbox.inbox_id,
        "url": url,
        "created_at": format_timestamp(inbox.created_at),
        "expires_at": format_timestamp(inbox.expires_at),
        "message_count": inbox.messages,
    }


def render_message(message: InboxMessage) -> Json:
    """The contract's `InboxMessage`."""
    return {
        "message_id": message.message_id,
        "received_at": format_timestamp(message.received_at),
        "headers": dict(message.headers),
        "body": message.body,
        "verdict": message.verdict,
    }
