"""Webhooks from a real server to real receivers: what arrives, what becomes of it, and what the API says about it.

Everything that is received is verified with the library that receivers install and with the public one, and compared
with the JSON Schema of its event.
"""

import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft202012Validator

from contracts.events.generate import DIRECTORY
from payments_sandbox.domain.timestamps import parse_timestamp
from payments_sandbox.domain.webhooks import EVENT_TYPES, TEST_EVENT_TYPE
from tests.doubles.receivers import Webhook, WebhookVerificationError, refused_as, verify
from tests.e2e.infra.client import Client, Json, accepted, card, new_key, refused
from tests.e2e.infra.receiver import CUT, Answer, Received, Receiver
from tests.e2e.infra.sandbox import NewReceiver
from tests.e2e.infra.server import DEADLINE_S, Server, until_deadline

pytestmark = pytest.mark.e2e

DECLINED = "4000000000009995"
CAPTURE_DECLINED = "4000000000000341"
WARNED = "4000000000005423"
SCHEMAS = {file.stem: Draft202012Validator(json.loads(file.read_text())) for file in DIRECTORY.glob("*.json")}

HOUR_S = 3_600
FAILS_FOR_AN_HOUR = Answer(500, {"retry-after": str(HOUR_S)})

POLL_S = 0.25
"""Between two questions to the API: an account may ask a hundred a minute."""


@dataclass
class Hook:
    """An endpoint of an account."""

    client: Client
    endpoint_id: str
    secret: str

    @property
    def path(self) -> str:
        return f"/v1/webhook-endpoints/{self.endpoint_id}"

    def read(self) -> Json:
        return accepted(self.client.get(self.path), 200)

    def change(self, **fields: Any) -> Json:
        return accepted(self.client.send("PATCH", self.path, json=fields), 200)

    def deliveries(self, **wanted: str) -> list[Json]:
        """Newest first, all pages."""
        found: list[Json] = []
        cursor: dict[str, str] = {}
        while True:
            query = {"endpoint_id": self.endpoint_id, **wanted, **cursor}
            page = accepted(self.client.get("/v1/webhook-deliveries", limit=100, **query), 200)
            found += page["data"]
            if not page["has_more"]:
                return found
            cursor = {"cursor": page["next_cursor"]}

    def delivery(self, until: Callable[[Json], bool] = lambda delivery: bool(delivery["attempts"])) -> Json:
        """The only delivery, once this is so of it; by default, once it was attempted."""
        for _ in until_deadline("the delivery is as expected", pause_s=POLL_S):
            found = self.deliveries()
            if len(found) == 1 and until(found[0]):
                return found[0]
        raise AssertionError

    def check(self, request: Received) -> Any:
        """Verify a request, and compare its payload with its schema; answers the event."""
        event = verify(request.body, dict(request.headers), self.secret, at_ms=request.at_ms)
        faults = [error.message for error in SCHEMAS[event.type].iter_errors(event.payload)]
        assert faults == [], event.type
        return event


def hook(client: Client, url: str, **fields: Any) -> Hook:
    """Register an endpoint."""
    made = accepted(client.send("POST", "/v1/webhook-endpoints", json={"url": url, **fields}), 201)
    return Hook(client, made["endpoint_id"], made["secret"])


def pay(client: Client, **changes: Any) -> str:
    """Authorize; answers the id."""
    transaction_id: str = accepted(client.authorize(**changes), 201)["transaction_id"]
    return transaction_id


def advance(client: Client, seconds: int) -> None:
    accepted(client.send("POST", "/v1/clock/advance", json={"by_seconds": seconds}), 200)


# --- what arrives ----------------------------------------------------------------------------------------------------


def test_every_type_of_event_arrives_signed_and_is_valid_against_its_schema(
    shop: Client, receiver: Receiver, new_receiver: NewReceiver, stack: ExitStack
) -> None:
    gone = stack.enter_context(new_receiver(Answer(410)))
    everything = hook(shop, receiver.url)
    made = [pay(shop, merchant_reference="Größe 42 – 東京", metadata={"cart": "c-77"})]
    first = made[0]
    pay(shop, card=card(DECLINED))
    for response in (
        shop.increment(first, 500),
        shop.post("/v1/increment", {"authorization_id": first, "amount": 1}, simulate="insufficient_funds"),
        shop.capture(first, amount=1000),
        shop.capture(pay(shop, card=card(CAPTURE_DECLINED))),
        shop.refund(first, amount=300),
        shop.post("/v1/refund", {"authorization_id": first}, simulate="response_code=91"),
        shop.void(first),
    ):
        made.append(accepted(response, 201)["transaction_id"])
    accepted(shop.send("POST", f"{everything.path}/test"), 202)
    # An endpoint that is gone is disabled at once; the others hear of it.
    leaving = hook(shop, gone.url)
    accepted(shop.send("POST", f"{leaving.path}/test"), 202)
    # On the AWS deployment, test events wait for the sweeper's next minute, or for the clock to move.
    accepted(shop.send("POST", "/v1/clock/advance", json={"by_seconds": 1}), 200)
    receiver.wait_for_types("webhook_endpoint.disabled")
    # The cardholder asks, insists, and is proved wrong; another payment is said to be fraud before anybody disputes it.
    about = {"authorization_id": first, "reason": "unrecognized", "inquiry": True, "amount": 100}
    path = f"/v1/disputes/{accepted(shop.post('/v1/disputes', about), 201)['dispute_id']}"
    accepted(shop.send("POST", f"{path}/escalate", headers={"X-Idempotency-Key": "escalate"}), 200)
    answer = {"evidence": {"uncategorized_text": "winning_evidence"}, "submit": True}
    accepted(shop.post(f"{path}/evidence", answer), 200)
    # The first is warned of, and refunded in full; the others' refunds are pending, and then succeed and fail.
    for number in (WARNED, "4000000000007726", "4000000000005126"):
        authorization_id = pay(shop, card=card(number))
        accepted(shop.capture(authorization_id, final=True), 201)
        accepted(shop.refund(authorization_id), 201)
    # What was captured is settled in the night, what is still held expires in a week, the dispute is decided in a month.
    accepted(shop.send("POST", "/v1/clock/advance", json={"by_seconds": 30 * 86_400}), 200)

    requests = receiver.wait_for_types(*EVENT_TYPES.values(), TEST_EVENT_TYPE)
    events = {event.id: event for event in map(everything.check, requests)}
    # What is delivered a second time is the same.
    assert len({(request.id, request.body) for request in requests}) == len(events)
    assert {event.type for event in events.values()} == {*EVENT_TYPES.values(), TEST_EVENT_TYPE}
    assert {"evt_" + transaction_id for transaction_id in made} <= set(events)
    assert events["evt_" + first].data["merchant_reference"] == "Größe 42 – 東京"
    # The API shows the same events.
    listed = accepted(shop.get("/v1/events", limit=100), 200)["data"]
    for shown in listed:
        assert events[shown["event_id"]].payload == {
            name: value for name, value in shown.items() if name != "event_id"
        }
    (told,) = [event for event in events.values() if event.type == "webhook_endpoint.disabled"]
    assert (told.data["endpoint_id"], told.data["reason"]) == (leaving.endpoint_id, "gone")
    assert leaving.read()["disabled_reason"] == "gone"


def test_the_url_is_used_byte_for_byte(shop: Client, receiver: Receiver) -> None:
    target = "/a/../b//%2F%2f;x=1?shop=7&shop=8&e=&&=%20+[1]|{2}"
    hook(shop, receiver.origin + target)
    pay(shop)
    (request,) = receiver.wait_for(1)
    assert request.target == target
    assert request.headers["host"] == urlsplit(receiver.origin).netloc
    assert request.headers["content-type"] == "application/json"
    assert int(request.headers["content-length"]) == len(request.body)


def test_the_largest_payment_arrives_whole(shop: Client, receiver: Receiver) -> None:
    sender = hook(shop, receiver.url)
    metadata = {f"{number:03}": "\U0001f4b3" * 200 for number in range(18)}
    pay(shop, merchant_reference="\U0001f4b3" * 100, metadata={**metadata, "x" * 1000: "y" * 100})
    (request,) = receiver.wait_for(1)
    assert 16_384 < len(request.body) < 20_000
    assert sender.check(request).data["metadata"] == {**metadata, "x" * 1000: "y" * 100}


def test_what_an_attempt_was_is_told_by_the_api(shop: Client, receiver: Receiver) -> None:
    receiver.answer = Answer(200, {"x-trace": "7", "content-type": "text/plain"}, "dänke".encode())
    sender = hook(shop, receiver.url)
    authorization_id = pay(shop)
    delivery = sender.delivery()
    assert (delivery["state"], delivery["attempt_count"], delivery["next_attempt_at"]) == (
        "succeeded",
        1,
        None,
    )
    assert (delivery["event_id"], delivery["event_type"]) == ("evt_" + authorization_id, "payment.authorized")
    (attempt,) = delivery["attempts"]
    sent_at = attempt["request_headers"]["webhook-timestamp"]
    request = next(each for each in receiver.requests if each.headers["webhook-timestamp"] == sent_at)
    assert delivery["request_body"].encode() == request.body
    for name, value in attempt["request_headers"].items():
        assert request.headers[name] == value
    assert (attempt["response_status"], attempt["error"]) == (200, None)
    assert attempt["response_headers"]["x-trace"] == "7"
    assert attempt["response_body_start"] == "dänke"
    assert attempt["duration_ms"] >= 0
    assert parse_timestamp(attempt["attempted_at"]) <= request.at_ms
    read = accepted(shop.get(f"/v1/webhook-deliveries/{delivery['delivery_id']}"), 200)
    assert read == delivery


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.local_only("it reads the files of the server process")
def test_a_secret_is_shown_once_and_is_nowhere_in_the_ledger_or_the_logs(
    own_server: Server, receiver: Receiver
) -> None:
    with own_server, Client(own_server.url) as client:
        sender = hook(client, receiver.url)
        new = accepted(client.send("POST", f"{sender.path}/rotate-secret", json={}), 200)["secret"]
        pay(client)
        sender.delivery()
        shown = json.dumps([sender.read(), sender.change(description="x"), sender.deliveries()])
        listed = client.get("/v1/webhook-endpoints").text
        with closing(sqlite3.connect(own_server.db)) as ledger:
            rows = ledger.execute("SELECT * FROM records").fetchall()
    files = [file.read_bytes() for file in own_server.db.parent.iterdir() if file != own_server.key_file]
    for secret in (sender.secret, new):
        text = secret.removeprefix("whsec_")
        assert text not in shown + listed
        for form in (text.encode(), _key_of(secret)):
            assert not any(form in content for content in files)
            assert not any(form in bytes(str(row), "utf-8") for row in rows)


def _key_of(secret: str) -> bytes:
    (key,) = Webhook(secret)._keys
    return bytes(key)


def test_during_a_rotation_both_secrets_sign_and_a_second_one_has_to_be_forced(
    shop: Client, receiver: Receiver
) -> None:
    sender = hook(shop, receiver.url)
    rotated = accepted(shop.send("POST", f"{sender.path}/rotate-secret", json={}), 200)
    pay(shop)
    (request,) = receiver.wait_for(1)
    verify(request.body, dict(request.headers), sender.secret, rotated["secret"], at_ms=request.at_ms)
    problem = refused(
        shop.send("POST", f"{sender.path}/rotate-secret", json={}), 409, "secret_rotation_in_progress"
    )
    assert problem["old_secret_expires_at"] == rotated["old_secret_expires_at"]

    forced = accepted(shop.send("POST", f"{sender.path}/rotate-secret", json={"force": True}), 200)
    pay(shop)
    request = receiver.wait_for(2)[1]
    headers = dict(request.headers)
    verify(request.body, headers, rotated["secret"], forced["secret"], at_ms=request.at_ms)
    assert refused_as(request.body, headers, sender.secret, at_ms=request.at_ms) == "no_matching_signature"


# --- receivers that misbehave ----------------------------------------------------------------------------------------


def failure(sender: Hook) -> tuple[int | None, str | None, int]:
    """Status and error of the first attempt, and how long until the next (milliseconds)."""
    delivery = sender.delivery()
    assert delivery["state"] == "pending"
    attempt, *later = delivery["attempts"]
    following = later[0]["attempted_at"] if later else delivery["next_attempt_at"]
    waited = parse_timestamp(following) - parse_timestamp(attempt["attempted_at"])
    assert sender.read()["failing_since"] is not None
    return attempt["response_status"], attempt["error"], waited - attempt["duration_ms"]


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        (Answer(500, body=b"sorry"), 500, None),
        (Answer(404), 404, None),
        (Answer(304), 304, None),
        (CUT, None, "connection_closed"),
        (Answer(raw=b"HTTP/1.1 200"), None, "connection_closed"),
        (Answer(raw=b"SSH-2.0-OpenSSH_9.6\r\n"), None, "malformed_response"),
        (Answer(raw=b"HTTP/1.1 abc\r\n\r\n"), None, "malformed_response"),
    ],
)
def test_a_failure_is_recorded_and_tried_again_in_five_seconds(
    shop: Client, receiver: Receiver, answer: Answer, status: int | None, error: str | None
) -> None:
    receiver.answer = answer
    sender = hook(shop, receiver.url)
    pay(shop)
    found, word, waited = failure(sender)
    assert (found, word) == (status, error)
    # The next but one waits for minutes.
    assert 5_000 <= waited < 60_000
    assert len(set(receiver.ids)) == 1


def test_a_receiver_that_is_down_is_recorded_as_such(shop: Client) -> None:
    sender = hook(shop, shop.dead_url)
    pay(shop)
    assert failure(sender)[:2] == (None, "connection_refused")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_not_followed(
    shop: Client, receiver: Receiver, new_receiver: NewReceiver, status: int
) -> None:
    with new_receiver() as elsewhere:
        receiver.answer = Answer(status, {"location": elsewhere.url})
        sender = hook(shop, receiver.url)
        pay(shop)
        assert failure(sender)[:2] == (status, None)
        assert elsewhere.requests == []


def test_a_receiver_that_asks_for_a_pause_is_given_it(
    shop: Client, receiver: Receiver, new_receiver: NewReceiver
) -> None:
    receiver.answer = Answer(429, {"retry-after": "120"})
    sender = hook(shop, receiver.url)
    with new_receiver() as other:
        until = int(time.time()) + 3_600
        date = format_datetime(datetime.fromtimestamp(until, UTC), usegmt=True)
        other.answer = Answer(503, {"Retry-After": date})
        dated = hook(shop, other.url)
        pay(shop)
        status, _, waited = failure(sender)
        assert status == 429
        assert 120_000 <= waited < 180_000
        assert parse_timestamp(dated.delivery()["next_attempt_at"]) == until * 1000


def test_gone_disables_the_endpoint_and_cancels_what_comes_after(shop: Client, receiver: Receiver) -> None:
    receiver.answer = FAILS_FOR_AN_HOUR
    sender = hook(shop, receiver.url)
    pay(shop)
    sender.delivery()
    receiver.answer = Answer(410)
    pay(shop)
    for _ in until_deadline("the endpoint is disabled", pause_s=POLL_S):
        if not (endpoint := sender.read())["enabled"]:
            break
    assert endpoint["disabled_reason"] == "gone"
    refused(shop.send("POST", f"{sender.path}/test"), 409, "webhook_endpoint_disabled")
    advance(shop, HOUR_S)
    for _ in until_deadline("the first is cancelled", pause_s=POLL_S):
        states = [delivery["state"] for delivery in sender.deliveries()]
        if states == ["failed", "cancelled"]:
            break
    assert len(set(receiver.ids)) == 2


def test_while_a_receiver_hangs_the_others_are_told(
    shop: Client, receiver: Receiver, new_receiver: NewReceiver
) -> None:
    released = threading.Event()

    def hang(_: Received) -> Answer:
        released.wait(DEADLINE_S)
        return Answer()

    with new_receiver(hang) as hanging:
        well, never = hook(shop, receiver.url), hook(shop, hanging.url)
        pay(shop)
        hanging.wait_for(1)
        receiver.wait_for(1)
        pay(shop)
        receiver.wait_for(2)
        for _ in until_deadline("both are recorded", pause_s=POLL_S):
            if [each["state"] for each in well.deliveries()] == ["succeeded", "succeeded"]:
                break
        released.set()
        for _ in until_deadline("the other receiver has answered", pause_s=POLL_S):
            if [each["state"] for each in never.deliveries()] == ["succeeded", "succeeded"]:
                break
        # The first could only be answered once the others had been told.
        first = never.deliveries()[-1]["attempts"][-1]
        told = [attempt for each in well.deliveries() for attempt in each["attempts"]]
        assert ended_ms(first) >= max(parse_timestamp(attempt["attempted_at"]) for attempt in told)


def ended_ms(attempt: Json) -> int:
    return parse_timestamp(attempt["attempted_at"]) + int(attempt["duration_ms"])


def test_a_flapping_receiver_gets_the_same_event_until_it_takes_it(shop: Client, receiver: Receiver) -> None:
    receiver.answer = lambda request: Answer(500 if receiver.ids.count(request.id) == 1 else 200)
    sender = hook(shop, receiver.url)
    pay(shop)
    sender.delivery()
    advance(shop, 10)
    first, second = receiver.wait_for_requests(2)[:2]
    assert first.id == second.id
    assert first.body == second.body
    for request in (first, second):
        sender.check(request)
    delivery = sender.delivery(lambda each: each["state"] == "succeeded")
    failed, succeeded = delivery["attempts"]
    assert (failed["response_status"], succeeded["response_status"]) == (500, 200)
    assert parse_timestamp(succeeded["attempted_at"]) - parse_timestamp(failed["attempted_at"]) >= 5_000
    assert sender.read()["failing_since"] is None


# --- filters, disabling, deleting ------------------------------------------------------------------------------------


def test_an_endpoint_hears_what_it_asked_for_while_it_is_enabled(
    shop: Client, receiver: Receiver, new_receiver: NewReceiver, stack: ExitStack
) -> None:
    captures, payments, never = (stack.enter_context(new_receiver()) for _ in range(3))
    hook(shop, receiver.url)
    hook(shop, captures.url, events=["payment.captured"])
    hook(shop, payments.url, events=["payment.*"])
    hook(shop, never.url, events=["webhook_endpoint.*"])
    off = hook(shop, never.url, enabled=False)
    authorization_id = pay(shop)
    captured = accepted(shop.capture(authorization_id), 201)["transaction_id"]
    ids = ["evt_" + authorization_id, "evt_" + captured]
    assert sorted(request.id for request in receiver.wait_for(2)) == sorted(ids)
    assert sorted(request.id for request in payments.wait_for(2)) == sorted(ids)
    assert [request.id for request in captures.wait_for(1)] == ids[1:]
    assert never.requests == []
    assert off.deliveries() == []
    off.change(enabled=True)
    pay(shop)
    assert [request.type for request in never.wait_for(1)] == ["payment.authorized"]


def test_deleting_an_endpoint_cancels_what_is_pending(shop: Client, receiver: Receiver) -> None:
    receiver.answer = FAILS_FOR_AN_HOUR
    sender = hook(shop, receiver.url)
    pay(shop)
    delivery = sender.delivery()
    assert shop.send("DELETE", sender.path).status_code == 204
    refused(shop.get(sender.path), 404, "webhook_endpoint_not_found")
    path = f"/v1/webhook-deliveries/{delivery['delivery_id']}"
    cancelled = accepted(shop.get(path), 200)
    assert (cancelled["state"], cancelled["next_attempt_at"]) == ("cancelled", None)
    refused(shop.send("POST", f"{path}/redeliver"), 404, "webhook_endpoint_not_found")
    hook(shop, receiver.url + "/another")
    pay(shop)
    receiver.wait_for(2)
    assert {request.id for request in receiver.requests if request.target == "/hooks"} == {
        delivery["event_id"]
    }


def test_an_account_has_at_most_twenty_endpoints(shop: Client, receiver: Receiver) -> None:
    made = [hook(shop, f"{receiver.url}/{number}") for number in range(20)]
    response = shop.send("POST", "/v1/webhook-endpoints", json={"url": receiver.url})
    refused(response, 409, "webhook_endpoint_limit_reached")
    listed = accepted(shop.get("/v1/webhook-endpoints"), 200)["data"]
    assert [each["endpoint_id"] for each in listed] == [each.endpoint_id for each in made]
    # One event, twenty deliveries.
    pay(shop)
    for _ in until_deadline("all endpoints are told"):
        if len({request.target for request in receiver.requests}) == 20:
            break
    assert {request.target for request in receiver.requests} == {f"/hooks/{number}" for number in range(20)}
    assert len(set(receiver.ids)) == 1


# --- redelivery and listing ------------------------------------------------------------------------------------------


@pytest.mark.local_only("the AWS deployment plans delayed deliveries once a minute")
def test_a_delivery_and_all_failures_since_can_be_redelivered(shop: Client, receiver: Receiver) -> None:
    sender = hook(shop, receiver.url)
    first = pay(shop)
    delivery = sender.delivery()
    again = accepted(shop.send("POST", f"/v1/webhook-deliveries/{delivery['delivery_id']}/redeliver"), 202)
    assert (again["state"], again["attempt_count"], len(again["attempts"])) == ("pending", 0, 1)
    assert {request.id for request in receiver.wait_for_requests(2)} == {"evt_" + first}
    # Its state is recorded a moment after it has arrived.
    sender.delivery(lambda each: each["state"] == "succeeded")

    since = datetime.now(UTC).isoformat()
    sender.change(enabled=False)
    sender.change(enabled=True, chaos={"delay_seconds": 1})
    failing = {"evt_" + pay(shop) for _ in range(3)}
    for _ in until_deadline("three are planned", pause_s=POLL_S):
        if len(sender.deliveries(state="pending")) == 3:
            break
    sender.change(enabled=False, chaos={})
    for _ in until_deadline("three are cancelled", pause_s=POLL_S):
        if len(sender.deliveries(state="cancelled")) == 3:
            break
    body = {"since": since}
    refused(shop.send("POST", f"{sender.path}/redeliver", json=body), 409, "webhook_endpoint_disabled")
    sender.change(enabled=True)
    late = {"since": datetime.fromtimestamp(time.time() + 60, UTC).isoformat()}
    assert accepted(shop.send("POST", f"{sender.path}/redeliver", json=late), 202) == {"redelivered": 0}
    assert accepted(shop.send("POST", f"{sender.path}/redeliver", json=body), 202) == {"redelivered": 3}
    assert {request.id for request in receiver.wait_for(4)} == {"evt_" + first, *failing}


def test_deliveries_are_listed_by_endpoint_event_and_state_a_page_at_a_time(
    shop: Client, receiver: Receiver, new_receiver: NewReceiver
) -> None:
    with new_receiver(FAILS_FOR_AN_HOUR) as failing:
        good, bad = hook(shop, receiver.url), hook(shop, failing.url)
        events = ["evt_" + pay(shop) for _ in range(5)]
        receiver.wait_for(5)
        failing.wait_for(5)
        for _ in until_deadline("all are recorded", pause_s=POLL_S):
            found = [*good.deliveries(state="succeeded"), *bad.deliveries(state="pending")]
            if len(found) == 10 and all(each["attempts"] for each in found):
                break
        listed = good.deliveries()
        assert {each["event_id"] for each in listed} == set(events)
        created = [each["created_at"] for each in listed]
        assert created == sorted(created, reverse=True)
        for query, count in (({}, 10), ({"event_id": events[2]}, 2), ({"state": "succeeded"}, 5)):
            seen: list[str] = []
            cursor: dict[str, str] = {}
            while True:
                page = accepted(shop.get("/v1/webhook-deliveries", limit=3, **query, **cursor), 200)
                seen += [each["delivery_id"] for each in page["data"]]
                if not page["has_more"]:
                    break
                cursor = {"cursor": page["next_cursor"]}
            assert len(seen) == len(set(seen)) == count


def test_another_account_sees_nothing_and_can_do_nothing(
    shop: Client, demo: Client, receiver: Receiver, new_receiver: NewReceiver
) -> None:
    sender = hook(shop, receiver.url)
    pay(shop)
    delivery = sender.delivery()
    delivery_path = f"/v1/webhook-deliveries/{delivery['delivery_id']}"
    with demo.new_account("Stranger") as stranger:
        for method, path, body in (
            ("GET", sender.path, None),
            ("PATCH", sender.path, {"url": "http://127.0.0.1:1/"}),
            ("DELETE", sender.path, None),
            ("POST", f"{sender.path}/rotate-secret", {}),
            ("POST", f"{sender.path}/test", None),
            ("POST", f"{sender.path}/grade", None),
            ("POST", f"{sender.path}/redeliver", {"since": "2026-01-01T00:00:00Z"}),
        ):
            refused(stranger.send(method, path, json=body), 404, "webhook_endpoint_not_found")
        refused(stranger.get(delivery_path), 404, "webhook_delivery_not_found")
        refused(stranger.send("POST", f"{delivery_path}/redeliver"), 404, "webhook_delivery_not_found")
        refused(stranger.get(f"/v1/events/{delivery['event_id']}"), 404, "event_not_found")
        for path in ("/v1/webhook-endpoints", "/v1/webhook-deliveries", "/v1/events"):
            assert accepted(stranger.get(path), 200)["data"] == []
        mine = stranger.get("/v1/webhook-deliveries", endpoint_id=sender.endpoint_id)
        assert accepted(mine, 200)["data"] == []
        with new_receiver() as theirs:
            hook(stranger, theirs.url)
            pay(shop)
            receiver.wait_for(2)
            own = pay(stranger)
            theirs.wait_for(1)
            assert set(theirs.ids) == {"evt_" + own}


# --- chaos -----------------------------------------------------------------------------------------------------------


def test_each_kind_of_chaos_is_seen_at_a_receiver(
    shop: Client, new_receiver: NewReceiver, stack: ExitStack
) -> None:
    kinds: dict[str, Json] = {
        "duplicate": {"duplicate": True},
        "reorder": {"reorder": True},
        "delay": {"delay_seconds": 1},
        "drop": {"drop_first": 1},
        "wrong": {"signature": "wrong"},
        "stale": {"signature": "stale_timestamp"},
        "old": {"signature": "old_secret"},
    }
    receivers = {name: stack.enter_context(new_receiver()) for name in kinds}
    hooks = {name: hook(shop, receivers[name].url, chaos=chaos) for name, chaos in kinds.items()}
    events = ["evt_" + pay(shop) for _ in range(8)]

    for _ in until_deadline("each event is there twice", pause_s=POLL_S):
        arrived = Counter(receivers["duplicate"].ids)
        if set(arrived) == set(events) and min(arrived.values()) >= 2:
            break
    for request in receivers["duplicate"].requests:
        hooks["duplicate"].check(request)
    for name, code in (
        ("wrong", "no_matching_signature"),
        ("stale", "timestamp_too_old"),
        ("old", "no_matching_signature"),
    ):
        for request in receivers[name].wait_for(8):
            secret = hooks[name].secret
            assert refused_as(request.body, dict(request.headers), secret, at_ms=request.at_ms) == code
    held_back = receivers["delay"].wait_for(8)
    assert all(
        request.at_ms - parse_timestamp(request.payload["timestamp"]) >= 1_000 for request in held_back
    )
    mixed = receivers["reorder"].wait_for(8)
    assert sorted(request.id for request in mixed) == sorted(events)
    assert [request.id for request in mixed] != events
    for _ in until_deadline("all first attempts are dropped", pause_s=POLL_S):
        if sum(bool(each["attempts"]) for each in hooks["drop"].deliveries()) == 8:
            break
    advance(shop, 10)
    dropped = receivers["drop"].wait_for(8)
    assert sorted(request.id for request in dropped) == sorted(events)
    for request in dropped:
        hooks["drop"].check(request)
    for _ in until_deadline("all second attempts are recorded", pause_s=POLL_S):
        if len(hooks["drop"].deliveries(state="succeeded")) == 8:
            break
    for delivery in hooks["drop"].deliveries():
        first, second = delivery["attempts"]
        assert (first["error"], first["request_headers"]) == ("dropped_by_chaos", {})
        assert parse_timestamp(second["attempted_at"]) - parse_timestamp(first["attempted_at"]) >= 5_000


# --- the grader ------------------------------------------------------------------------------------------------------


def taking(check: Callable[[Received], bool]) -> Callable[[Received], Answer]:
    """A receiver that answers 400 to what it does not take."""
    return lambda request: Answer(204 if check(request) else 400)


@pytest.mark.parametrize(
    ("fault", "failed"),
    [
        ("none", set()),
        ("no verification", {"wrong_signature", "changed_body", "replay", "missing_signature"}),
        ("over JSON", {"changed_body"}),
        ("ignores the timestamp", {"replay"}),
        ("only the first signature", {"rotated_secret"}),
    ],
)
def test_the_grader_finds_the_fault(shop: Client, receiver: Receiver, fault: str, failed: set[str]) -> None:
    sender = hook(shop, receiver.url)

    def verified(request: Received) -> bool:
        tolerance = 10**9 if fault == "ignores the timestamp" else 300
        headers, body = dict(request.headers), request.body
        if fault == "only the first signature" and "webhook-signature" in headers:
            headers["webhook-signature"] = headers["webhook-signature"].split(" ")[0]
        if fault == "over JSON":
            body = json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode()
        try:
            Webhook(sender.secret, tolerance_seconds=tolerance).verify(body, headers)
        except WebhookVerificationError:
            return False
        return True

    receiver.answer = taking(verified) if fault != "no verification" else Answer()
    report = accepted(shop.send("POST", f"{sender.path}/grade"), 200)
    assert {probe["probe"] for probe in report["probes"] if not probe["passed"]} == failed
    assert (report["passed"], report["total"]) == (8 - len(failed), 8)
    assert len(receiver.requests) == 8
    assert sender.deliveries() == []


# --- inboxes ---------------------------------------------------------------------------------------------------------


@pytest.mark.local_only("the inbox's URL is the gateway's, which no name server knows here")
def test_an_inbox_keeps_what_arrives_with_its_verdict(shop: Client, demo: Client, server: Server) -> None:
    inbox = accepted(shop.send("POST", "/v1/inbox"), 201)
    assert inbox["url"].startswith(server.url)
    sender = hook(shop, inbox["url"], chaos={"signature": "valid"})
    path = f"/v1/inbox/{inbox['inbox_id']}"
    authorization_id = pay(shop)
    for _ in until_deadline("the event is in the inbox", pause_s=POLL_S):
        messages = accepted(shop.get(f"{path}/messages"), 200)["data"]
        if messages:
            break
    (message,) = messages
    assert message["verdict"] == "verified"
    assert message["headers"]["webhook-id"] == "evt_" + authorization_id
    verify(
        message["body"].encode(),
        message["headers"],
        sender.secret,
        at_ms=parse_timestamp(message["received_at"]),
    )

    # Anybody may post, without a key; only the account may read.
    with Client(server.url, api_key=None) as anybody:
        body = message["body"].encode()
        kind = {"content-type": "application/json"}
        headers = {**message["headers"], **kind}
        for change, verdict in (
            ({}, "verified"),
            ({"webhook-signature": "v1,AAAA"}, "no_matching_signature"),
            ({"webhook-timestamp": "1"}, "timestamp_out_of_range"),
            ({"webhook-timestamp": "soon"}, "malformed_timestamp"),
            ({"webhook-id": ""}, "missing_header"),
        ):
            posted = anybody.send("POST", f"{path}/hook", content=body, headers={**headers, **change})
            assert posted.status_code == 204
            latest = accepted(shop.get(f"{path}/messages", limit=1), 200)["data"][0]
            assert latest["verdict"] == verdict
        refused(
            anybody.send("POST", "/v1/inbox/inbox_x/hook", content=body, headers=kind), 404, "inbox_not_found"
        )
        assert anybody.get(f"{path}/messages").status_code == 401
    for response in (demo.get(path), demo.get(f"{path}/messages")):
        refused(response, 404, "inbox_not_found")
    assert accepted(shop.get(path), 200)["message_count"] == 6
    assert shop.send("DELETE", sender.path).status_code == 204
    accepted(shop.authorize(key=new_key()), 201)
