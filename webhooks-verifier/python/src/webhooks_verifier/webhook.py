"""Signs and verifies: secrets, headers, time and signatures.

The order of the checks is the order of `Webhook.verify`. Nothing of the body is parsed before a signature
matched; that part is in event.py.
"""

import base64
import hmac
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from webhooks_verifier.errors import WebhookVerificationError
from webhooks_verifier.event import WebhookEvent, parse_event

SECRET_PREFIX = "whsec_"
SECRET_BYTES_MIN = 24
SECRET_BYTES_MAX = 64
TOLERANCE_SECONDS = 5 * 60

# The id has no full stop: it would blur where the id ends in `id.timestamp.body`.
_HEADER_FORMS = {
    "webhook-id": re.compile(r"[!-\-/-~]+"),
    "webhook-timestamp": re.compile(r"0|[1-9][0-9]{0,14}"),
    "webhook-signature": re.compile(r"[ -~]+"),
}


class Headers(Protocol):
    """A dict, or the headers of FastAPI, Flask, Django and http.server: whatever lists its items."""

    def items(self) -> Iterable[tuple[object, object]]: ...


class Webhook:
    """Verifies the webhooks of one endpoint.

    secrets: the endpoint's secret; while it is rotated, the new one and the old one.
    tolerance_seconds: how far the sender's clock may be from ours, in the past and in the future.
    clock: the present time in seconds since 1970. Fix it in tests.

    A secret that cannot be one is a ValueError here, at start-up; its message never quotes the secret.
    """

    def __init__(
        self,
        secrets: str | Sequence[str],
        *,
        tolerance_seconds: int = TOLERANCE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if type(tolerance_seconds) is not int or tolerance_seconds < 0:
            raise ValueError("tolerance_seconds must be a whole number, 0 or more")
        self._keys = _decode_secrets(secrets)
        self._tolerance_seconds = tolerance_seconds
        self._clock = clock

    def __repr__(self) -> str:
        return f"<Webhook with {len(self._keys)} secret(s), tolerance_seconds={self._tolerance_seconds}>"

    def verify(self, body: bytes | str, headers: Headers) -> WebhookEvent:
        """Return the event, if it was signed with one of the secrets within the tolerance.

        body: exactly as received. Text stands for its UTF-8 bytes.
        headers: all of the request's headers; names in any case.
        Errors: always a WebhookVerificationError; its codes, by precedence:
            body_not_raw: the body is neither bytes nor text with a UTF-8 form.
            missing_header: one of the three webhook headers is absent or empty.
            malformed_header: it appears twice, or is not text of the form that the standard gives it.
            timestamp_too_old, timestamp_too_new: it is outside of the tolerance: a replay, or a wrong clock.
            no_matching_signature: no `v1` signature is that of any secret.
            malformed_payload: authentic, but not `{type, timestamp, data}` in interoperable JSON.
        Source: Standard Webhooks 1.0.0, "Verifying signatures".
        """
        raw = _raw_bytes(body)
        if raw is None:
            raise WebhookVerificationError(
                "body_not_raw", "pass the body as received: bytes, not parsed JSON"
            )
        event_id = _read_header(headers, "webhook-id")
        timestamp = _read_header(headers, "webhook-timestamp")
        candidates = _read_header(headers, "webhook-signature").encode("ascii").split(b" ")
        self._check_timestamp(int(timestamp))
        signed_content = _signed_content(event_id, timestamp, raw)

        matched = False
        for key in self._keys:
            expected = _signature(key, signed_content)
            for candidate in candidates:
                # All with all, each in constant time: the time taken tells nothing of a match or a near miss.
                matched |= hmac.compare_digest(expected, candidate)
        if not matched:
            raise WebhookVerificationError("no_matching_signature", "no v1 signature matches any secret")
        return parse_event(event_id, raw)

    def sign(self, event_id: str, timestamp: int, body: bytes | str) -> dict[str, str]:
        """Return the headers of this event, signed with every secret, to test a receiver.

        What `verify` could never accept is a ValueError.
        """
        raw = _raw_bytes(body)
        if raw is None:
            raise ValueError("the body must be bytes, or text with a UTF-8 form")
        headers = {"webhook-id": event_id, "webhook-timestamp": str(timestamp)}
        for name, value in headers.items():
            if not _HEADER_FORMS[name].fullmatch(value):
                raise ValueError(f"this value cannot be a {name}")
        signed_content = _signed_content(event_id, str(timestamp), raw)
        signatures = [_signature(key, signed_content).decode("ascii") for key in self._keys]
        return headers | {"webhook-signature": " ".join(signatures)}

    def _check_timestamp(self, timestamp: int) -> None:
        age_seconds = self._clock() - timestamp
        # Written so that a clock that says NaN refuses everything.
        if not age_seconds <= self._tolerance_seconds:
            raise WebhookVerificationError("timestamp_too_old", "the webhook was sent too long ago")
        if not age_seconds >= -self._tolerance_seconds:
            raise WebhookVerificationError("timestamp_too_new", "the webhook was sent in the future")


def _decode_secrets(secrets: object) -> list[bytes]:
    given: Sequence[object] = [secrets]
    if isinstance(secrets, Sequence) and not isinstance(secrets, str | bytes):
        given = secrets
    if not given:
        raise ValueError("no secret was given")
    return [
        _decode_secret(secret, f"secret {number} of {len(given)}") for number, secret in enumerate(given, 1)
    ]


def _decode_secret(secret: object, which: str) -> bytes:
    if not isinstance(secret, str) or not secret.startswith(SECRET_PREFIX):
        raise ValueError(f"{which} is not text that starts with {SECRET_PREFIX!r}")
    encoded = secret.removeprefix(SECRET_PREFIX)
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = None
    if key is None or base64.b64encode(key).decode("ascii") != encoded:
        raise ValueError(f"{which} is not standard base64, with its padding, after {SECRET_PREFIX!r}")
    if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise ValueError(f"{which} has {len(key)} bytes, not {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}")
    return key


def _raw_bytes(body: object) -> bytes | None:
    if isinstance(body, str):
        try:
            return body.encode("utf-8")
        except UnicodeEncodeError:  # lone surrogates: nobody sent this text
            return None
    return body if isinstance(body, bytes) else None


def _read_header(headers: object, name: str) -> str:
    form = _HEADER_FORMS[name]
    match [value for key, value in _pairs(headers) if isinstance(key, str) and key.lower() == name]:
        case [] | [None] | [str("")]:
            raise WebhookVerificationError("missing_header", f"{name} is missing")
        case [str(value)] if form.fullmatch(value):
            return value
    raise WebhookVerificationError("malformed_header", f"{name} is malformed or appears twice")


def _pairs(headers: object) -> list[tuple[object, object]]:
    try:
        # What is no mapping fails in its own way, and so does a mapping that fails when it is read.
        return [(key, value) for key, value in headers.items()]  # type: ignore[attr-defined]
    except Exception as error:
        raise WebhookVerificationError(
            "malformed_header", "the headers are not a mapping of names to values"
        ) from error


def _signed_content(event_id: str, timestamp: str, body: bytes) -> bytes:
    return b"%b.%b.%b" % (event_id.encode("ascii"), timestamp.encode("ascii"), body)


def _signature(key: bytes, signed_content: bytes) -> bytes:
    return b"v1," + base64.b64encode(hmac.digest(key, signed_content, "sha256"))
