"""Grades a webhook receiver: sends it what the rules allow and what an attacker might try, and says how it did.

The probes are signed with the endpoint's own secrets and are of type `webhook_endpoint.tested`; none of them is a
delivery, and none is retried.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from payments_sandbox.domain.timestamps import SECOND_MS
from payments_sandbox.domain.webhooks import STALE_BY_S, TEST_EVENT_TYPE, sign, signed_headers
from payments_sandbox.services.events.events import EVENT_PREFIX, Event
from payments_sandbox.services.ports import Post, ReceiverResponse, Sender
from payments_sandbox.services.webhooks.webhook_endpoints import read_endpoint, signing_secrets
from payments_sandbox.services.world import World

PROBE_TIMEOUT_MS: Final = 3 * SECOND_MS
"""Shorter than a delivery's: eight probes have to end within the 29 seconds that API Gateway waits."""

ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Grade:
    """How the receiver did in one probe. expected: `accepted` (2xx) or `refused` (4xx)."""

    probe: str
    expected: str
    passed: bool
    why: str
    reply: ReceiverResponse


@dataclass(frozen=True, slots=True)
class _Probe:
    name: str
    expected: str
    why: str
    headers: Headers
    chunks: Sequence[bytes]
    pause_ms: int = 0


async def grade_receiver(world: World, sender: Sender, endpoint_id: str) -> list[Grade]:
    """Send the probes one after the other, and judge the answers.

    Errors: webhook_endpoint_not_found.
    """
    record = read_endpoint(world, endpoint_id)
    grades = []
    for probe in _probes(world, endpoint_id, signing_secrets(world, record)):
        post = Post(record.data["url"], probe.headers, probe.chunks, PROBE_TIMEOUT_MS, probe.pause_ms)
        reply = await sender.send(post)
        grades.append(Grade(probe.name, probe.expected, _passes(probe.expected, reply), probe.why, reply))
    return grades


def make_test_event(world: World, endpoint_id: str) -> Event:
    """An event that no ledger entry tells of, for one endpoint."""
    now_ms = world.clock.now_ms()
    event_id = f"{EVENT_PREFIX}test_{world.infrastructure.randomness.token(20)}"
    return Event(event_id, TEST_EVENT_TYPE, world.account_id, now_ms, {"endpoint_id": endpoint_id})


def _probes(world: World, endpoint_id: str, secrets: list[bytes]) -> list[_Probe]:
    now_s = world.wall_clock.now_ms() // SECOND_MS
    event = make_test_event(world, endpoint_id)
    body = json.dumps(event.payload, separators=(",", ":")).encode()
    # Other bytes that mean the same. Signed is not what is sent, but all that parsing it and writing it anew can give: so a
    # receiver that checks the signature over that takes it, and shows itself.
    rewritten = [
        body,
        json.dumps(event.payload).encode(),
        json.dumps(event.payload, separators=(",", ":"), sort_keys=True).encode(),
        json.dumps(event.payload, sort_keys=True).encode(),
    ]
    changed = json.dumps(event.payload, indent=1).encode()
    wrong = hashlib.sha256(b"wrong" + secrets[0]).digest()
    good = signed_headers(event.id, now_s, body, secrets)

    def other(name: str) -> str:
        return f"{event.id}_{name}"

    half = len(body) // 2
    return [
        _Probe("good", ACCEPTED, "A correctly signed event has to be taken with a 2xx.", good, [body]),
        _Probe(
            "duplicate",
            ACCEPTED,
            "Delivery is at least once: an event whose webhook-id was seen is acknowledged again, and not acted upon.",
            good,
            [body],
        ),
        _Probe(
            "wrong_signature",
            REFUSED,
            "Anybody can post to a URL: without checking the signature the receiver believes them all.",
            signed_headers(other("wrong"), now_s, body, [wrong]),
            [body],
        ),
        _Probe(
            "changed_body",
            REFUSED,
            "The signature covers the exact bytes: it has to be checked over the raw body, before parsing.",
            _signed_over(other("changed"), now_s, rewritten, secrets),
            [changed],
        ),
        _Probe(
            "replay",
            REFUSED,
            "An old message with a good signature may have been recorded: timestamps over five minutes old are refused.",
            signed_headers(other("replay"), now_s - STALE_BY_S, body, secrets),
            [body],
        ),
        _Probe(
            "missing_signature",
            REFUSED,
            "A message without a signature is as good as one with a wrong one.",
            [header for header in good if header[0] != "webhook-signature"],
            [body],
        ),
        _Probe(
            "rotated_secret",
            ACCEPTED,
            "During a rotation webhook-signature holds several signatures, and one that fits is enough.",
            signed_headers(other("rotated"), now_s, body, [wrong, *secrets]),
            [body],
        ),
        _Probe(
            "slow_body",
            ACCEPTED,
            "A body may arrive in pieces; it has to be read to its end before it is verified.",
            signed_headers(other("slow"), now_s, body, secrets),
            [body[:half], body[half:]],
            pause_ms=SECOND_MS,
        ),
    ]


def _signed_over(event_id: str, timestamp_s: int, bodies: Sequence[bytes], secrets: list[bytes]) -> Headers:
    """Headers with the signatures of all these bodies."""
    signatures = [sign(secret, event_id, timestamp_s, body) for body in bodies for secret in secrets]
    return [
        (name, " ".join(signatures) if name == "webhook-signature" else value)
        for name, value in signed_headers(event_id, timestamp_s, bodies[0], secrets)
    ]


def _passes(expected: str, reply: ReceiverResponse) -> bool:
    if reply.status is None:
        return False
    if expected == ACCEPTED:
        return 200 <= reply.status <= 299
    return 400 <= reply.status <= 499
