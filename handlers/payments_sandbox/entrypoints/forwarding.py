"""Posts events to a receiver on the developer's machine, with the headers and signatures that webhooks have.

One at a time and in order. A receiver that cannot be reached is tried a few times, which is enough for one that restarts;
while it stays away each further event is tried once. What it answers is reported and never asked again: the sandbox's own
deliveries (`services/webhooks/webhook_attempts.py`) are the place to test retries.
"""

import json
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Final, Self

import httpx

from payments_sandbox.adapters.webhooks.exchange import USER_AGENT
from payments_sandbox.domain.attempt_errors import AttemptError
from payments_sandbox.domain.timestamps import SECOND_MS
from payments_sandbox.domain.webhook_urls import split_url
from payments_sandbox.domain.webhooks import TIMEOUT_MS, judge, signed_headers
from payments_sandbox.entrypoints.api_client import causes_of
from payments_sandbox.entrypoints.event_feed import ListedEvent
from payments_sandbox.services.ports import Clock

TIMEOUT_S: Final = TIMEOUT_MS // SECOND_MS

RETRY_DELAYS_S: Final = (0.5, 1.0, 2.0)
"""After a first attempt that found nobody, and after each further one."""

NO_LISTENER: Final = (
    AttemptError.CONNECTION_REFUSED,
    AttemptError.CONNECTION_CLOSED,
    AttemptError.CONNECTION_FAILED,
    AttemptError.NAME_NOT_RESOLVED,
)
"""What a receiver that restarts looks like."""

BODY_MAX: Final = 65_536
"""How much of an answer is read, so that the connection can be used again; nothing is done with it."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What came of it. status: None when there was no answer; then `error` says why.
    duration_ms: of the last attempt."""

    status: int | None
    duration_ms: int
    attempts: int
    error: AttemptError | None = None

    @property
    def delivered(self) -> bool:
        """Whether the sandbox would count it as delivered: any 2xx."""
        return self.status is not None and judge(self.status, None).delivered


class Forwarder:
    """One receiver and one signing secret.

    Not `adapters/webhooks`: that guards a shared sandbox, and refuses the addresses of private networks, where the
    receivers of this one often are (another container).
    """

    def __init__(
        self,
        url: str,
        secret: bytes,
        clock: Clock,
        *,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._url = url
        # Sent as it was given; the client would put the path together anew.
        self._extensions = {
            "target": split_url(url).target.encode(),
            "timeout": httpx.Timeout(TIMEOUT_S).as_dict(),
        }
        self._secret = secret
        self._clock = clock
        self._sleep = sleep
        self._away = False
        self._http = httpx.Client(transport=transport, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def forward(self, event: ListedEvent) -> Forwarded:
        """Post the event; whatever the receiver does is an outcome, never an error."""
        delays = iter(() if self._away else RETRY_DELAYS_S)
        attempts = 0
        while True:
            attempts += 1
            started = time.monotonic()
            status, error = self._post(event, started)
            duration_ms = int((time.monotonic() - started) * SECOND_MS)
            self._away = error in NO_LISTENER
            delay_s = next(delays, None) if self._away else None
            if delay_s is None:
                return Forwarded(status, duration_ms, attempts, error)
            self._sleep(delay_s)

    def _post(self, event: ListedEvent, started: float) -> tuple[int, None] | tuple[None, AttemptError]:
        """One attempt: the status, or a word for why there is none."""
        body = body_of(event)
        signed = signed_headers(event.event_id, self._clock.now_ms() // SECOND_MS, body, [self._secret])
        # Built by hand, so that the client adds nothing of its own beside host and content-length.
        request = httpx.Request(
            "POST",
            self._url,
            headers=[("user-agent", USER_AGENT), *signed],
            content=body,
            extensions=self._extensions,
        )
        try:
            response = self._http.send(request, stream=True, follow_redirects=False)
        except httpx.RequestError as error:
            return None, _attempt_error(error)
        # The status has been said; a body that breaks off cannot take it back.
        with closing(response), suppress(httpx.RequestError):
            read = 0
            for chunk in response.iter_raw():
                read += len(chunk)
                # The client's timeout is one of silence; a receiver that dribbles is cut off too.
                if read > BODY_MAX or time.monotonic() - started > TIMEOUT_S:
                    break
        return response.status_code, None


def body_of(event: ListedEvent) -> bytes:
    """The body of the event's webhook, byte for byte as the sandbox itself sends it."""
    payload = {"type": event.type, "timestamp": event.timestamp, "data": event.data}
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _attempt_error(error: httpx.RequestError) -> AttemptError:
    if isinstance(error, httpx.TimeoutException):
        return AttemptError.TIMEOUT
    for cause in causes_of(error):
        match cause:
            case socket.gaierror():
                return AttemptError.NAME_NOT_RESOLVED
            case ssl.SSLError():
                return AttemptError.TLS_FAILED
            case ConnectionRefusedError():
                return AttemptError.CONNECTION_REFUSED
            case ConnectionError():
                return AttemptError.CONNECTION_CLOSED
    if isinstance(error, httpx.RemoteProtocolError):
        return (
            AttemptError.CONNECTION_CLOSED
            if "disconnected" in str(error)
            else AttemptError.MALFORMED_RESPONSE
        )
    return AttemptError.CONNECTION_FAILED
