"""`payments-sandbox listen`: shows the events of a sandbox as they happen, and forwards them to a local port.

It asks, nobody has to reach it: so it works behind any firewall, and with several listeners at once. Nothing is lost while
the sandbox restarts; what happened is asked for when it answers again.
"""

import base64
import binascii
import hmac
import signal
import time
from argparse import ArgumentTypeError
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import Any, Final

from payments_sandbox.adapters.system.clock import SystemClock
from payments_sandbox.domain.webhooks import SECRET_PREFIX, format_secret, matches
from payments_sandbox.entrypoints.api_client import ApiClient, CallFailed
from payments_sandbox.entrypoints.event_feed import EventFeed, ListedEvent
from payments_sandbox.entrypoints.forwarding import Forwarded, Forwarder
from payments_sandbox.entrypoints.terminal import Terminal, amount_of

SECRET_BYTES_MIN: Final = 24
SECRET_BYTES_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """url: of the sandbox. forward_to: of the receiver; None only shows. events: patterns of types. replay: so many of
    the past events first. secret: what the forwarded events are signed with."""

    url: str
    api_key: str = field(repr=False)
    forward_to: str | None
    events: tuple[str, ...]
    replay: int
    secret: bytes = field(repr=False)


class Listener:
    """What happens to each event."""

    def __init__(
        self, feed: EventFeed, forwarder: Forwarder | None, terminal: Terminal, patterns: tuple[str, ...]
    ) -> None:
        self._feed = feed
        self._forwarder = forwarder
        self._terminal = terminal
        self._patterns = patterns
        self.counts: Counter[str] = Counter()

    def poll(self) -> None:
        """Handle what is new. Raises CallFailed."""
        for event in self._feed.poll():
            if matches(self._patterns, event.type):
                self.handle(event)

    def handle(self, event: ListedEvent) -> None:
        """Forward the event, and say what came of it."""
        outcome = None if self._forwarder is None else self._forwarder.forward(event)
        self.counts["events"] += 1
        self.counts["delivered"] += outcome is not None and outcome.delivered
        self._terminal.say(line_of(event, outcome), good=None if outcome is None else outcome.delivered)
        self._terminal.record(
            {
                "kind": "event",
                "event_id": event.event_id,
                "type": event.type,
                "timestamp": event.timestamp,
                "data": event.data,
                "forwarded": None if outcome is None else {**asdict(outcome), "delivered": outcome.delivered},
            }
        )


def listen(options: ListenOptions, terminal: Terminal) -> int:
    """Listen until interrupted; answers the exit status."""
    # SIGINT too: a script's `payments-sandbox listen &` is started with it ignored.
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, _interrupt)
    with ExitStack() as stack:
        api = stack.enter_context(ApiClient(options.url, options.api_key, tell=terminal.warn))
        forwarder = None
        if options.forward_to is not None:
            forwarder = stack.enter_context(Forwarder(options.forward_to, options.secret, SystemClock()))
        feed = EventFeed(api)
        listener = Listener(feed, forwarder, terminal, options.events)
        try:
            feed.start()
            _announce(options, terminal)
            for event in feed.replay(options.replay, options.events):
                listener.handle(event)
            while True:
                time.sleep(api.pace.before_poll_s(feed.pages))
                listener.poll()
        except KeyboardInterrupt:
            terminal.say(_farewell(listener.counts, forwarder))
            return 0
        except CallFailed as failure:
            terminal.warn(f"error: {failure}")
            return 1


def derive_secret(api_key: str) -> bytes:
    """The signing secret of a listener with this key: the same after every restart, and telling nothing of the key."""
    return hmac.digest(api_key.encode(), b"payments-sandbox listen: signing secret", "sha256")


def parse_secret(text: str) -> bytes:
    """A secret as receivers know it, `whsec_` and base64. Raises ArgumentTypeError, which does not quote it."""
    try:
        secret = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(SECRET_PREFIX) or not SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX:
        raise ArgumentTypeError(
            f"a secret is {SECRET_PREFIX} and the base64 of {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes"
        )
    return secret


def line_of(event: ListedEvent, outcome: Forwarded | None) -> str:
    """An event and its fate, for people."""
    decline = event.data.get("decline")
    reason = f" {decline.get('decline_code')}" if isinstance(decline, dict) else ""
    line = f"{event.timestamp}  {event.type:<30} {amount_of(event.data):>16}  {event.event_id}{reason}"
    return line if outcome is None else f"{line}  -> {_fate(outcome)}"


def _fate(outcome: Forwarded) -> str:
    times = f" at attempt {outcome.attempts}" if outcome.attempts > 1 else ""
    if outcome.status is None:
        tries = f" ({outcome.attempts} attempts)" if outcome.attempts > 1 else ""
        return f"not delivered: {(outcome.error or '').replace('_', ' ')}{tries}"
    return f"{outcome.status} in {outcome.duration_ms} ms{times}"


def _announce(options: ListenOptions, terminal: Terminal) -> None:
    secret = format_secret(options.secret)
    terminal.say(f"Listening to {options.url} for {', '.join(options.events)}; stop with Ctrl-C.")
    if options.forward_to is not None:
        terminal.say(f"Forwarding to {options.forward_to}")
    terminal.say(f"Signing secret: {secret}")
    started: dict[str, Any] = {"url": options.url, "forward_to": options.forward_to}
    terminal.record({"kind": "started", **started, "events": options.events, "signing_secret": secret})


def _farewell(counts: Counter[str], forwarder: Forwarder | None) -> str:
    seen = counts["events"]
    words = f"Stopped after {seen} event{'' if seen == 1 else 's'}"
    return f"{words}." if forwarder is None else f"{words}, {counts['delivered']} delivered."


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """End as by Ctrl-C: what stops a container or a CI job is SIGTERM."""
    raise KeyboardInterrupt
