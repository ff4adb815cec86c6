"""The grader: a receiver that verifies passes everything, and each fault shows in the probe that was made for it."""

import asyncio
import hmac
import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import pytest

from payments_sandbox.domain.attempt_errors import AttemptError
from payments_sandbox.domain.errors import WebhookEndpointNotFound
from payments_sandbox.domain.timestamps import SECOND_MS
from payments_sandbox.services.ports import Post, ReceiverResponse
from payments_sandbox.services.webhooks.receiver_grader import PROBE_TIMEOUT_MS, Grade, grade_receiver
from payments_sandbox.services.webhooks.webhook_endpoints import (
    Chaos,
    EndpointChanges,
    create_endpoint,
    delete_endpoint,
    rotate_secret,
    update_endpoint,
)
from payments_sandbox.services.world import World
from tests.calls.payments import OTHER_ACCOUNT
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import FrozenClock, make_world, of_account
from tests.doubles.receivers import Webhook, WebhookVerificationError, body_of, headers_of, reply

URL = "https://shop.example/hook?a=b"
PROBES = [
    "good",
    "duplicate",
    "wrong_signature",
    "changed_body",
    "replay",
    "missing_signature",
    "rotated_secret",
    "slow_body",
]

Check = Callable[[str, int, bytes, Mapping[str, str]], bool]
"""Whether a receiver takes what came: its secret, its time in seconds, body and headers."""


def properly(
    secret: str, now_s: int, body: bytes, headers: Mapping[str, str], *, tolerance_seconds: int = 300
) -> bool:
    webhook = Webhook(secret, clock=lambda: now_s, tolerance_seconds=tolerance_seconds)
    try:
        webhook.verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


def not_at_all(secret: str, now_s: int, body: bytes, headers: Mapping[str, str]) -> bool:
    return True


def over_json(
    write: Callable[[object], str], secret: str, now_s: int, body: bytes, headers: Mapping[str, str]
) -> bool:
    """Over what the framework parsed, written anew."""
    return properly(secret, now_s, write(json.loads(body)).encode(), headers)


def without_timestamp(secret: str, now_s: int, body: bytes, headers: Mapping[str, str]) -> bool:
    return properly(secret, now_s, body, headers, tolerance_seconds=10**9)


def first_signature_only(secret: str, now_s: int, body: bytes, headers: Mapping[str, str]) -> bool:
    first = headers.get("webhook-signature", "").split(" ")[0]
    return properly(secret, now_s, body, {**headers, "webhook-signature": first})


def if_signed(secret: str, now_s: int, body: bytes, headers: Mapping[str, str]) -> bool:
    return "webhook-signature" not in headers or properly(secret, now_s, body, headers)


def id_and_time_only(secret: str, now_s: int, body: bytes, headers: Mapping[str, str]) -> bool:
    """Looks whether it is signed, never by whom or over what."""
    fresh = abs(int(headers["webhook-timestamp"]) - now_s) <= 300
    return fresh and headers.get("webhook-signature", "").startswith("v1,")


def secret_as_text(secret: str, now_s: int, body: bytes, headers: Mapping[str, str]) -> bool:
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = "v1," + b64encode(hmac.digest(secret.encode(), signed, "sha256")).decode()
    return expected in headers.get("webhook-signature", "").split(" ")


@dataclass
class Receiver:
    """`Sender` to a receiver that checks in its own way."""

    secret: str
    clock: FrozenClock
    check: Check = properly
    refusal: int = 400
    once: int | None = None
    reads_all: bool = True
    posts: list[Post] = field(default_factory=list)

    async def send(self, post: Post) -> ReceiverResponse:
        self.posts.append(post)
        headers = headers_of(post)
        body = body_of(post) if self.reads_all else post.chunks[0]
        if not self.check(self.secret, self.clock.now_ms() // SECOND_MS, body, headers):
            return reply(self.refusal)
        seen = {headers_of(before)["webhook-id"] for before in self.posts[:-1]}
        return reply(self.once if self.once and headers["webhook-id"] in seen else 204)


class Shop:
    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.store = MemoryStore()
        self.world: World = make_world(self.store, self.clock)
        endpoint, self.secret = create_endpoint(self.world, url=URL)
        self.endpoint_id = endpoint.endpoint_id

    def grade(self, receiver: Receiver) -> list[Grade]:
        return asyncio.run(grade_receiver(self.world, receiver, self.endpoint_id))

    def failed(self, check: Check = properly, **fields: int | bool) -> set[str]:
        """The probes that a receiver with this check fails."""
        receiver = Receiver(self.secret, self.clock, check, **fields)  # type: ignore[arg-type]
        return {grade.probe for grade in self.grade(receiver) if not grade.passed}


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_a_receiver_that_verifies_passes_all_eight(shop: Shop) -> None:
    receiver = Receiver(shop.secret, shop.clock)
    grades = shop.grade(receiver)
    assert [grade.probe for grade in grades] == PROBES
    assert all(grade.passed for grade in grades)
    assert all(grade.why for grade in grades)
    assert {post.url for post in receiver.posts} == {URL}
    expected = {grade.probe: grade.expected for grade in grades}
    assert {name for name, each in expected.items() if each == "accepted"} == {
        "good",
        "duplicate",
        "rotated_secret",
        "slow_body",
    }


REFUSED = {"wrong_signature", "changed_body", "replay", "missing_signature"}
ACCEPTED = set(PROBES) - REFUSED


def as_python_writes(value: object) -> str:
    return json.dumps(value)


def as_javascript_writes(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize(
    ("check", "failed"),
    [
        pytest.param(not_at_all, REFUSED, id="no verification"),
        pytest.param(without_timestamp, {"replay"}, id="ignores the timestamp"),
        pytest.param(first_signature_only, {"rotated_secret"}, id="only the first signature"),
        pytest.param(if_signed, {"missing_signature"}, id="only if it is signed"),
        pytest.param(id_and_time_only, {"wrong_signature", "changed_body"}, id="signed by anybody"),
        pytest.param(partial(over_json, as_javascript_writes), {"changed_body"}, id="over JSON, JavaScript"),
        pytest.param(
            partial(over_json, partial(json.dumps, separators=(",", ":"), sort_keys=True)),
            {"changed_body"} | ACCEPTED,
            id="over JSON, sorted",
        ),
        pytest.param(
            partial(over_json, as_python_writes), {"changed_body"} | ACCEPTED, id="over JSON, Python"
        ),
        pytest.param(secret_as_text, ACCEPTED, id="the secret's text as the key"),
    ],
)
def test_each_fault_shows_in_its_probe(shop: Shop, check: Check, failed: set[str]) -> None:
    assert shop.failed(check) == failed


def test_a_body_that_is_not_read_to_its_end_shows(shop: Shop) -> None:
    assert shop.failed(reads_all=False) == {"slow_body"}


def test_refusing_with_a_server_error_is_no_refusal(shop: Shop) -> None:
    assert shop.failed(refusal=500) == REFUSED
    assert shop.failed(refusal=302) == REFUSED
    assert shop.failed(refusal=401) == set()


def test_a_duplicate_that_is_answered_with_a_conflict_shows(shop: Shop) -> None:
    assert shop.failed(once=409) == {"duplicate"}


def test_a_receiver_that_does_not_answer_fails_everything_within_the_gateways_patience(shop: Shop) -> None:
    class Hanging(Receiver):
        async def send(self, post: Post) -> ReceiverResponse:
            self.posts.append(post)
            return ReceiverResponse(None, [], "", post.timeout_ms, AttemptError.TIMEOUT)

    receiver = Hanging(shop.secret, shop.clock)
    grades = shop.grade(receiver)
    assert not any(grade.passed for grade in grades)
    assert {grade.reply.error for grade in grades} == {"timeout"}
    assert sum(post.timeout_ms for post in receiver.posts) == len(PROBES) * PROBE_TIMEOUT_MS < 29_000


def test_during_a_rotation_either_secret_passes(shop: Shop) -> None:
    _, new = rotate_secret(shop.world, shop.endpoint_id, force=False)
    for secret in (new, shop.secret):
        assert all(grade.passed for grade in shop.grade(Receiver(secret, shop.clock)))


def test_chaos_does_not_touch_the_probes_and_a_disabled_endpoint_can_be_graded(shop: Shop) -> None:
    chaos = Chaos(duplicate=True, delay_ms=1_000, drop_first=3, signature="wrong")
    update_endpoint(shop.world, shop.endpoint_id, EndpointChanges(chaos=chaos, enabled=False))
    receiver = Receiver(shop.secret, shop.clock)
    assert all(grade.passed for grade in shop.grade(receiver))
    assert len(receiver.posts) == len(PROBES)


def test_probes_are_test_events_and_leave_nothing_behind(shop: Shop) -> None:
    before = dict(shop.store.records)
    receiver = Receiver(shop.secret, shop.clock)
    shop.grade(receiver)
    assert shop.store.records == before
    for post in receiver.posts:
        payload = json.loads(body_of(post))
        assert payload["type"] == "webhook_endpoint.tested"
        assert payload["data"] == {"endpoint_id": shop.endpoint_id}
        assert headers_of(post)["webhook-id"].startswith("evt_test_")


def test_only_the_duplicate_and_what_has_no_signature_repeat_an_id(shop: Shop) -> None:
    receiver = Receiver(shop.secret, shop.clock)
    shop.grade(receiver)
    ids = [headers_of(post)["webhook-id"] for post in receiver.posts]
    assert ids[1] == ids[0] == ids[5]
    assert len(set(ids)) == len(ids) - 2
    # Another grade is not taken for a repetition of this one.
    shop.grade(receiver)
    assert headers_of(receiver.posts[8])["webhook-id"] not in ids


def test_the_slow_body_comes_in_two_pieces_with_a_pause(shop: Shop) -> None:
    receiver = Receiver(shop.secret, shop.clock)
    shop.grade(receiver)
    assert [len(post.chunks) for post in receiver.posts] == [1] * 7 + [2]
    assert [post.pause_ms for post in receiver.posts] == [0] * 7 + [SECOND_MS]


def test_another_accounts_receiver_cannot_be_graded(shop: Shop) -> None:
    receiver = Receiver(shop.secret, shop.clock)
    with pytest.raises(WebhookEndpointNotFound):
        asyncio.run(grade_receiver(of_account(shop.world, OTHER_ACCOUNT), receiver, shop.endpoint_id))
    delete_endpoint(shop.world, shop.endpoint_id)
    with pytest.raises(WebhookEndpointNotFound):
        shop.grade(receiver)
    assert receiver.posts == []
