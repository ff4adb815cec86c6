"""Inboxes: throw-away receivers inside the sandbox, so that webhooks can be tried with nothing else running.

Whoever knows an inbox's id may post to it, as to any receiver; what arrives is kept as it came, with the verdict of the
signature check against the secrets of the account's endpoints that send there.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from payments_sandbox.domain.errors import InboxLimitReached, InboxNotFound
from payments_sandbox.domain.timestamps import DAY_MS, MINUTE_MS, SECOND_MS
from payments_sandbox.domain.webhooks import sign
from payments_sandbox.services.accounts.controls import world_of
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ledger.listings import ListingPage, walk
from payments_sandbox.services.ports import Committed, Index, Record, Update
from payments_sandbox.services.webhooks.webhook_endpoints import list_records, signing_secrets
from payments_sandbox.services.world import World

KIND: Final = "inbox"
MESSAGE_KIND: Final = "inbox_message"
INBOXES_MAX: Final = 20
MESSAGES_MAX: Final = 1_000
"""How many messages an inbox takes; what comes after is refused with 409, like a receiver that is full."""

LIFETIME_MS: Final = 7 * DAY_MS
TOLERANCE_S: Final = 5 * MINUTE_MS // SECOND_MS


@dataclass(frozen=True, slots=True)
class Inbox:
    """An inbox. Times in milliseconds since the epoch; messages: how many it has taken."""

    inbox_id: str
    created_at: int
    expires_at: int
    messages: int


@dataclass(frozen=True, slots=True)
class InboxMessage:
    """What arrived. verdict: `verified`, or why not: `missing_header`, `malformed_timestamp`, `timestamp_out_of_range`,
    `no_matching_signature`, `no_endpoint` (none of the account's endpoints sends here)."""

    message_id: str
    received_at: int
    headers: Mapping[str, str]
    body: str
    verdict: str


def create_inbox(world: World) -> Inbox:
    """Open an inbox for seven days. Errors: inbox_limit_reached."""
    now_ms = world.wall_clock.now_ms()
    page = world.store.page(Index.FEED, _feed_key(world.account_id), limit=200, newest_first=True)
    live = [record for record in page.records if record.created_at + LIFETIME_MS > now_ms]
    if len(live) >= INBOXES_MAX:
        raise InboxLimitReached(
            f"An account can have {INBOXES_MAX} inboxes at a time; each lives for seven days."
        )
    record = Record(
        id="inbox_" + world.infrastructure.randomness.token(24),
        kind=KIND,
        account_id=world.account_id,
        version=1,
        created_at=now_ms,
        data={"messages": 0},
        feed_key=_feed_key(world.account_id),
    )
    world.store.insert(record)
    return _inbox_of(record)


def get_inbox(world: World, inbox_id: str) -> Inbox:
    """An inbox of the account. Errors: inbox_not_found."""
    record = _read(world.infrastructure, inbox_id)
    if record.account_id != world.account_id:
        raise InboxNotFound("The account has no inbox of this id.")
    return _inbox_of(record)


def receive(
    infrastructure: Infrastructure, inbox_id: str, headers: Mapping[str, str], body: bytes, url_suffix: str
) -> InboxMessage:
    """Keep what arrived. headers: the three of Standard Webhooks, by lower-case name, where they were sent.

    body: UTF-8, kept byte for byte. url_suffix: what the URL of an endpoint that sends here ends with, up to its query string.
    Errors: inbox_not_found. inbox_limit_reached: it is full.
    """
    inbox = _read(infrastructure, inbox_id)
    while True:
        if inbox.data["messages"] >= MESSAGES_MAX:
            raise InboxLimitReached(f"An inbox takes {MESSAGES_MAX} messages; open another.")
        number = inbox.data["messages"] + 1
        message = Record(
            # Padded, as messages of one millisecond are listed in the order of their ids.
            id=f"msg_{inbox_id.removeprefix('inbox_')}_{number:04}",
            kind=MESSAGE_KIND,
            account_id=inbox.account_id,
            version=1,
            created_at=infrastructure.clock.now_ms(),
            data={
                "headers": dict(headers),
                "body": body.decode(),
                "verdict": _verdict(world_of(infrastructure, inbox.account_id), headers, body, url_suffix),
            },
            feed_key=f"{inbox_id}#{MESSAGE_KIND}",
        )
        counted = replace(inbox, version=inbox.version + 1, data={"messages": number})
        if isinstance(infrastructure.store.commit([message], [Update(counted)]), Committed):
            return _message_of(message)
        inbox = _read(infrastructure, inbox_id)


def list_messages(
    world: World, inbox_id: str, *, limit: int, cursor: str | None
) -> ListingPage[InboxMessage]:
    """What arrived, newest first. Errors: inbox_not_found. invalid_request: the cursor."""
    get_inbox(world, inbox_id)
    page = walk(
        world.store,
        Index.FEED,
        f"{inbox_id}#{MESSAGE_KIND}",
        lambda record: True,
        limit=limit,
        cursor=cursor,
        selective=False,
    )
    return ListingPage([_message_of(record) for record in page.items], page.next_cursor)


def _verdict(world: World, headers: Mapping[str, str], body: bytes, url_suffix: str) -> str:
    """What a receiver that verifies would say. Source: Standard Webhooks 1.0.0."""
    message_id, timestamp, signatures = (
        headers.get(name) for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    )
    if not message_id or not timestamp or not signatures:
        return "missing_header"
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        return "malformed_timestamp"
    if abs(world.wall_clock.now_ms() // SECOND_MS - int(timestamp)) > TOLERANCE_S:
        return "timestamp_out_of_range"
    endpoints = [
        record for record in list_records(world) if record.data["url"].partition("?")[0].endswith(url_suffix)
    ]
    if not endpoints:
        return "no_endpoint"
    expected = [
        sign(secret, message_id, int(timestamp), body).encode()
        for record in endpoints
        for secret in signing_secrets(world, record)
    ]
    given = [signature.encode() for signature in signatures.split(" ")]
    fits = [hmac.compare_digest(one, other) for one in given for other in expected]
    return "verified" if any(fits) else "no_matching_signature"


def _read(infrastructure: Infrastructure, inbox_id: str) -> Record:
    (record,) = infrastructure.store.get([inbox_id])
    if (
        record is None
        or record.kind != KIND
        or record.created_at + LIFETIME_MS <= infrastructure.clock.now_ms()
    ):
        raise InboxNotFound("There is no inbox of this id.")
    return record


def _inbox_of(record: Record) -> Inbox:
    return Inbox(record.id, record.created_at, record.created_at + LIFETIME_MS, record.data["messages"])


def _message_of(record: Record) -> InboxMessage:
    data = record.data
    return InboxMessage(record.id, record.created_at, data["headers"], data["body"], data["verdict"])


def _feed_key(account_id: str) -> str:
    return f"{account_id}#{KIND}"
