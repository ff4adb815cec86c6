"""Receivers as tests script them, and the two libraries that verify what they are sent."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, tzinfo
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import standardwebhooks

from payments_sandbox.domain.attempt_errors import AttemptError
from payments_sandbox.services.ports import Post, ReceiverResponse

# The library that receivers install, from the checkout, as its own tests have it. It is type-checked on its own.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "webhooks-verifier" / "python" / "src"))
Webhook: Any = import_module("webhooks_verifier").Webhook
WebhookVerificationError: Any = import_module("webhooks_verifier").WebhookVerificationError

Answer = ReceiverResponse | int | str
"""A whole reply, a status, or the word of an error."""

Receiver = Callable[[Post], Answer | Awaitable[Answer]]


def reply(status: int | None = 200, *, error: str | None = None, **headers: str) -> ReceiverResponse:
    """An answer; `retry_after="5"` gives it a header."""
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return ReceiverResponse(status, named, "ok", 7, None if error is None else AttemptError(error))


def as_reply(answer: Answer) -> ReceiverResponse:
    match answer:
        case int():
            return reply(answer)
        case str():
            return reply(None, error=answer)
    return answer


class Script:
    """`Sender` whose receiver gives these answers one after the other, and the last for ever; keeps what was posted."""

    def __init__(self, *answers: Answer) -> None:
        self.answers: list[Answer] = list(answers or [200])
        self.posts: list[Post] = []

    async def send(self, post: Post) -> ReceiverResponse:
        self.posts.append(post)
        return as_reply(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])

    @property
    def post(self) -> Post:
        """The only one."""
        (post,) = self.posts
        return post


class Town:
    """`Sender` to many receivers by URL, each a function; those that are not named answer 200. Counts what is under way."""

    def __init__(self) -> None:
        self.receivers: dict[str, Receiver] = {}
        self.posts: list[Post] = []
        self.running: dict[str, int] = {}
        self.most_running: dict[str, int] = {}
        self.most_in_all = 0

    async def send(self, post: Post) -> ReceiverResponse:
        self.posts.append(post)
        url = post.url
        self.running[url] = self.running.get(url, 0) + 1
        self.most_running[url] = max(self.most_running.get(url, 0), self.running[url])
        self.most_in_all = max(self.most_in_all, sum(self.running.values()))
        try:
            answer = self.receivers[url](post) if url in self.receivers else 200
            if not isinstance(answer, ReceiverResponse | int | str):
                answer = await answer
            return as_reply(answer)
        finally:
            self.running[url] -= 1

    def ids(self, url: str) -> list[str]:
        """The `webhook-id` of each post to this URL, in their order."""
        return [headers_of(post)["webhook-id"] for post in self.posts if post.url == url]


async def hang(post: Post) -> Answer:
    """A receiver that never answers."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


def headers_of(post: Post) -> dict[str, str]:
    """By name; none may come twice."""
    headers = dict(post.headers)
    assert len(headers) == len(post.headers)
    return headers


def body_of(post: Post) -> bytes:
    return b"".join(post.chunks)


def verify(body: bytes, headers: dict[str, str], *secrets: str, at_ms: int) -> Any:
    """The event, verified with these secrets at this time; and each of them alone has to do, with the public package too.

    Raises WebhookVerificationError.
    """
    now_s = at_ms / 1000

    class Now(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Now":
            return cls.fromtimestamp(now_s, tz or UTC)

    for secret in secrets:
        event = Webhook(secret, clock=lambda: now_s).verify(body, headers)
        with patch("standardwebhooks.webhooks.datetime", Now):
            assert standardwebhooks.Webhook(secret).verify(body, headers) == event.payload
    return event


def refused_as(body: bytes, headers: dict[str, str], secrets: str | Sequence[str], *, at_ms: int) -> str:
    """The code with which the verifier refuses this; the public package has to refuse it as well."""
    try:
        Webhook(secrets, clock=lambda: at_ms / 1000).verify(body, headers)
    except WebhookVerificationError as error:
        return str(error.code)
    raise AssertionError("it was accepted")
