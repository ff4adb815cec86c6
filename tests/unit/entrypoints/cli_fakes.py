"""A sandbox's API and a receiver, both without a network, for the tests of the command line."""

import io
import json
from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpx

from payments_sandbox.domain.timestamps import format_timestamp
from payments_sandbox.entrypoints.api_client import ApiClient
from payments_sandbox.entrypoints.event_feed import EventFeed
from payments_sandbox.entrypoints.forwarding import Forwarder
from payments_sandbox.entrypoints.terminal import Terminal
from payments_sandbox.entrypoints.trigger import parse_assignment, trigger
from payments_sandbox.entrypoints.trigger_run import PATHS
from tests.doubles.ports import NOW_MS, FrozenClock, SeededRandomness

Json = dict[str, Any]
URL = "http://sandbox.test"
SECRET = bytes(range(32))


class FakeApi:
    """`GET /v1/events` over a list. troubles: answers, or errors, that come first, one for each call."""

    def __init__(self) -> None:
        self.events: list[tuple[int, str, str]] = []
        self.calls: list[httpx.QueryParams] = []
        self.troubles: list[httpx.Response | Exception] = []
        self.headers: dict[str, str] = {"ratelimit-policy": '"demo";q=6000000;w=60'}
        self.while_paging: Callable[[], None] = lambda: None

    def add(self, event_id: str, at_ms: int = NOW_MS, event_type: str = "payment.authorized") -> str:
        insort(self.events, (at_ms, event_id, event_type))
        return event_id

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["x-api-key"] == "sk_test_1"
        self.calls.append(request.url.params)
        if self.troubles:
            trouble = self.troubles.pop(0)
            if isinstance(trouble, Exception):
                raise trouble
            return trouble
        query = request.url.params
        newest_first = self.events[::-1]
        if "type" in query:
            newest_first = [event for event in newest_first if event[2] == query["type"]]
        if "cursor" in query:
            self.while_paging()
            at_ms, _, event_id = query["cursor"].partition("-")
            newest_first = [event for event in newest_first if event[:2] < (int(at_ms), event_id)]
        limit = int(query["limit"])
        page = newest_first[:limit]
        more = len(newest_first) > limit
        body = {
            "data": [rendered(*event) for event in page],
            "has_more": more,
            "next_cursor": f"{page[-1][0]}-{page[-1][1]}" if more else None,
        }
        return httpx.Response(200, json=body, headers=self.headers)


def rendered(at_ms: int, event_id: str, event_type: str) -> dict[str, Any]:
    data = {"transaction_id": event_id[4:], "amount": 1051, "currency": "EUR", "decline": None}
    return {"event_id": event_id, "type": event_type, "timestamp": format_timestamp(at_ms), "data": data}


class Naps:
    """Remembers how long it was to sleep."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


class World:
    """A feed over a fake API; what it told, and how it slept."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.naps = Naps()
        self.told: list[str] = []
        self.client = ApiClient(
            URL, "sk_test_1", tell=self.told.append, sleep=self.naps, transport=httpx.MockTransport(self.api)
        )
        self.feed = EventFeed(self.client, sleep=self.naps)

    def poll(self) -> list[str]:
        return [event.event_id for event in self.feed.poll()]


class Body(httpx.SyncByteStream):
    """A body that arrives piece by piece, as from a network."""

    def __init__(self, pieces: Iterable[bytes | Exception] = ()) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


class Receiver:
    """answers: a status, a body after 200, or an error for each request; the last for all that follow."""

    def __init__(self, *answers: int | Body | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Body):
            return httpx.Response(200, stream=answer)
        return httpx.Response(answer, stream=Body(), headers={"location": "http://elsewhere.test"})


def forwarder_to(receiver: Receiver, naps: Naps, url: str = "http://localhost:3000/hooks") -> Forwarder:
    clock = FrozenClock()
    return Forwarder(url, SECRET, clock, sleep=naps, transport=httpx.MockTransport(receiver))


KINDS = {path: kind for kind, path in PATHS.items()}
PREFIXES = {"authorization": "auth", "capture": "cap", "refund": "ref", "void": "void", "increment": "inc"}


class FakePayments:
    """Says yes to every operation, and no where the header X-Sandbox-Simulate or a card asks for it."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Json, str | None]] = []
        self.keys: list[str] = []
        self.balance = {"refundable_amount": 0, "capturable_amount": 1051}
        self.refusal: httpx.Response | Exception | None = None
        self.refused_path = "/v1/capture"

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == self.refused_path and self.refusal is not None:
            if isinstance(self.refusal, Exception):
                raise self.refusal
            return self.refusal
        if request.method == "GET":
            self.requests.append((path, {}, None))
            return httpx.Response(200, json=self._entry("authorization", {"amount": 1051}, None))
        body = json.loads(request.content)
        simulate = request.headers.get("x-sandbox-simulate")
        self.requests.append((path, body, simulate))
        self.keys.append(request.headers["x-idempotency-key"])
        if body.get("card", {}).get("number") == "4000000000009995":
            simulate = simulate or "insufficient_funds"
        return httpx.Response(201, json=self._entry(KINDS[path], body, simulate))

    def _entry(self, kind: str, body: Json, decline: str | None) -> Json:
        return {
            "transaction_id": f"{PREFIXES[kind]}_{len(self.requests)}",
            "type": kind,
            "status": "declined" if decline else "succeeded",
            "amount": body.get("amount", 1051),
            "currency": body.get("currency", "EUR"),
            "balance": self.balance,
            "decline": {"decline_code": decline} if decline else None,
            "simulation": {"explanation": "Because."},
        }


class Session:
    """`trigger` over a fake API; what it printed."""

    def __init__(self) -> None:
        self.payments = FakePayments()
        self.out, self.err = io.StringIO(), io.StringIO()

    def trigger(self, event: str, *fields: str, as_json: bool = False, **options: Any) -> int:
        terminal = Terminal(self.out, self.err, as_json=as_json)
        transport = httpx.MockTransport(self.payments)
        with ApiClient("http://sandbox.test", "sk_test_1", sleep=lambda _: None, transport=transport) as api:
            return trigger(
                event,
                api,
                terminal,
                assignments=[parse_assignment(text) for text in fields],
                randomness=SeededRandomness(),
                **options,
            )

    @property
    def paths(self) -> list[str]:
        return [path.removeprefix("/v1/") for path, _, _ in self.payments.requests]
