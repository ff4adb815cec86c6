"""Posts events to a receiver on the developer's machine, with the headers and signatures that webhooks have.

One at a time and in order. A receiver that cannot be reached is tried a few times, which is enough for one that restarts;
while it stays away each further event is tried once. What it answers is reported and never asked again: the sandbox's own
deliveries (`services/webhook_deliveries.py`) are the place to test retries.
"""

import json
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Final, Self

import httpx

from handlers.domain.moments import SECOND_MS
from handlers.domain.webhooks import TIMEOUT_MS, judge
from handlers.entrypoints.api_client import is_loopback, reason_of
from handlers.entrypoints.event_feed import ListedEvent
from handlers.services.ports import Clock
from handlers.services.webhook_deliveries import signed_headers

RETRY_DELAYS_S: Final = (0.5, 1.0, 2.0)
"""After a first attempt that found nobody, and after each further one."""

BODY_MAX: Final = 65_536
"""How much of an answer is read, so that the connection can be used again; nothing is done with it."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What came of it. status: None when there was no answer; then `error` says why. duration_ms: of the last attempt."""

    status: int | None
    duration_ms: int
    attempts: int
    error: str | None = None

    @property
    def delivered(self) -> bool:
        """Whether the sandbox would count it as delivered: any 2xx."""
        return self.status is not None and judge(self.status, None).delivered


class Forwarder:
    """One receiver and one signing secret."""

    def __init__(
        self,
        url: str,
        secret: bytes,
        clock: Clock,
        *,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url
        self._secret = secret
        self._clock = clock
        self._sleep = sleep
        self._away = False
        self._http = httpx.Client(
            timeout=TIMEOUT_MS / SECOND_MS, transport=transport, trust_env=not is_loopback(url)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def forward(self, event: ListedEvent) -> Forwarded:
        """Post the event; whatever the receiver does is an outcome, never an error."""
        delays = () if self._away else RETRY_DELAYS_S
        attempts = 0
        while True:
            attempts += 1
            started = time.monotonic()
            try:
                status = self._post(event, started)
            except httpx.RequestError as error:
                duration_ms = _since_ms(started)
                if isinstance(error, httpx.TimeoutException):
                    return Forwarded(None, duration_ms, attempts, f"no answer in {TIMEOUT_MS // SECOND_MS} s")
                if attempts <= len(delays):
                    self._sleep(delays[attempts - 1])
                    continue
                self._away = True
                return Forwarded(None, duration_ms, attempts, reason_of(error))
            self._away = False
            return Forwarded(status, _since_ms(started), attempts)

    def _post(self, event: ListedEvent, started: float) -> int:
        body = body_of(event)
        headers = signed_headers(event.event_id, self._clock.now_ms() // SECOND_MS, body, [self._secret])
        # Built by hand, so that the client adds nothing of its own beside host and content-length.
        timeout = self._http.timeout.as_dict()
        request = httpx.Request(
            "POST", self.url, headers=headers, content=body, extensions={"timeout": timeout}
        )
        response = self._http.send(request, stream=True, follow_redirects=False)
        # The status has been said; a body that breaks off cannot take it back.
        with closing(response), suppress(httpx.RequestError):
            read = 0
            for chunk in response.iter_raw():
                read += len(chunk)
                # The client's timeout is one of silence; a receiver that dribbles is cut off too.
                if read > BODY_MAX or time.monotonic() - started > TIMEOUT_MS / SECOND_MS:
                    break
        return response.status_code


def body_of(event: ListedEvent) -> bytes:
    """The body of the event's webhook, byte for byte as the sandbox itself sends it."""
    payload = {"type": event.type, "timestamp": event.timestamp, "data": event.data}
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _since_ms(started: float) -> int:
    return int((time.monotonic() - started) * 1_000)
