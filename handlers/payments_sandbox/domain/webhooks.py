"""Webhooks as Standard Webhooks 1.0.0 has them: signatures, secrets, which answers count, when to try again.

Source: the Standard Webhooks specification 1.0.0 (headers, signed content, secrets, retry schedule); RFC 9110, section
10.2.3 (Retry-After).
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from payments_sandbox.domain.entry_kinds import ENTRY_KINDS
from payments_sandbox.domain.timestamps import DAY_MS, MINUTE_MS, SECOND_MS

SECRET_PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32

TIMEOUT_MS: Final = 15 * SECOND_MS
"""How long a receiver may take to answer."""

_HOUR_MS: Final = 60 * MINUTE_MS

RETRY_DELAYS_MS: Final = (
    5 * SECOND_MS,
    5 * MINUTE_MS,
    30 * MINUTE_MS,
    2 * _HOUR_MS,
    5 * _HOUR_MS,
    10 * _HOUR_MS,
    14 * _HOUR_MS,
    20 * _HOUR_MS,
    24 * _HOUR_MS,
)
"""After the first attempt, and after each further one that fails; then the delivery has failed."""

ATTEMPTS_MAX: Final = len(RETRY_DELAYS_MS) + 1

JITTER_PERCENT: Final = 10
"""A delay is up to this much longer than the schedule says, so that a receiver that comes back is not run over."""

RETRY_AFTER_MAX_MS: Final = DAY_MS
"""The longest `Retry-After` that is obeyed."""

ROTATION_MS: Final = DAY_MS
"""How long the old secret signs beside the new one."""

FAILING_MAX_MS: Final = 5 * DAY_MS
"""How long an endpoint may fail without one success before it is disabled."""

STALE_BY_S: Final = 600
"""How old a timestamp is made that receivers have to refuse: twice what they tolerate."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_MS: Final = timedelta(milliseconds=1)

EVENT_TYPES: Final = {
    (kind.name, declined): event.name
    for kind in ENTRY_KINDS.values()
    for declined, event in ((False, kind.event), (True, kind.declined_event))
    if event is not None
}
"""Kind of an entry, and whether it was declined, to the type of its event."""

TEST_EVENT_TYPE: Final = "webhook_endpoint.tested"

EVENT_KINDS: Final = frozenset(ENTRY_KINDS)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer means. retry_after_ms: how long the receiver asks to be left alone."""

    delivered: bool
    disables: bool = False
    retry_after_ms: int | None = None


def judge(status: int, retry_after_ms: int | None) -> Verdict:
    """2xx is success, a redirect a failure like any other, 410 a wish never to hear again.

    retry_after_ms: what `read_retry_after` made of the answer's header.
    """
    if 200 <= status <= 299:
        return Verdict(delivered=True)
    if status == 410:
        return Verdict(delivered=False, disables=True)
    return Verdict(delivered=False, retry_after_ms=retry_after_ms)


def read_retry_after(value: str, now_ms: int) -> int | None:
    """How long a `Retry-After` asks to wait, at most `RETRY_AFTER_MAX_MS`: whole seconds, or the moment after which to come.

    None for what is neither. now_ms: what a moment is compared with.
    """
    if value.isascii() and value.isdecimal():
        # More digits than a day has seconds are more than a day.
        asked_ms = int(value) * SECOND_MS if len(value) <= 9 else RETRY_AFTER_MAX_MS
        return min(asked_ms, RETRY_AFTER_MAX_MS)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    at_ms = (moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) // _ONE_MS
    return max(0, min(at_ms - now_ms, RETRY_AFTER_MAX_MS))


def retry_delay_ms(delivery_id: str, attempts: int, retry_after_ms: int | None) -> int | None:
    """How long to wait after this many attempts; None when there are no more.

    The jitter follows from the delivery and the attempt, so that a test can say it. A receiver's `Retry-After` only ever
    lengthens the wait.
    """
    if attempts >= ATTEMPTS_MAX:
        return None
    delay = RETRY_DELAYS_MS[attempts - 1]
    digest = hashlib.sha256(f"{delivery_id}/{attempts}".encode()).digest()
    delay += delay * JITTER_PERCENT * int.from_bytes(digest[:4], "big") // (100 * 2**32)
    return max(delay, retry_after_ms or 0)


def format_secret(secret: bytes) -> str:
    """The secret as receivers are given it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def sign(secret: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    """One signature: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, the very bytes that are sent."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()


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


def matches(patterns: tuple[str, ...] | list[str], event_type: str) -> bool:
    """Whether one of the patterns (`*`, `payment.*`, or a type) covers the event type."""
    return any(
        pattern in ("*", event_type) or (pattern.endswith(".*") and event_type.startswith(pattern[:-1]))
        for pattern in patterns
    )
