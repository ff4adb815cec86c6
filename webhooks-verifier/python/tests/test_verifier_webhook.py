"""What the vectors cannot say: construction, the clock, what is never shown, how signatures are compared."""

import copy
import hmac
import math
import pickle
import time
from http.client import HTTPMessage
from typing import Any

import pytest

from webhooks_verifier import Webhook, WebhookVerificationError

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
NOW = 1_674_087_231
BODY = b'{"type":"payment.captured","timestamp":"2023-01-19T00:13:51Z","data":{}}'


def test_the_default_clock_is_the_present() -> None:
    webhook = Webhook(SECRET)
    assert webhook.verify(BODY, webhook.sign("evt_1", int(time.time()), BODY)).id == "evt_1"
    with pytest.raises(WebhookVerificationError, match="timestamp_too_old"):
        webhook.verify(BODY, webhook.sign("evt_1", NOW, BODY))


def test_the_tolerance_counts_fractions_of_a_second() -> None:
    headers = Webhook(SECRET).sign("evt_1", NOW, BODY)
    Webhook(SECRET, clock=lambda: NOW + 300.0).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError, match="timestamp_too_old"):
        Webhook(SECRET, clock=lambda: NOW + 300.001).verify(BODY, headers)


def test_a_clock_that_does_not_know_refuses_everything() -> None:
    webhook = Webhook(SECRET, clock=lambda: math.nan)
    with pytest.raises(WebhookVerificationError, match="timestamp_too_old"):
        webhook.verify(BODY, webhook.sign("evt_1", NOW, BODY))


@pytest.mark.parametrize("tolerance_seconds", [-1, 1.5, math.inf, math.nan, True, None, "300"])
def test_a_tolerance_that_is_not_a_whole_number_is_refused(tolerance_seconds: Any) -> None:
    with pytest.raises(ValueError, match="tolerance_seconds"):
        Webhook(SECRET, tolerance_seconds=tolerance_seconds)


def test_the_secret_shows_neither_in_the_repr_nor_in_an_error() -> None:
    assert repr(Webhook([SECRET, OTHER_SECRET])) == "<Webhook with 2 secret(s), tolerance_seconds=300>"
    with pytest.raises(ValueError, match="secret 2 of 2") as refusal:
        Webhook([SECRET, OTHER_SECRET + "!"])
    for text in (str(refusal.value), repr(refusal.value.__cause__), repr(refusal.value.__context__)):
        assert SECRET[6:12] not in text
        assert OTHER_SECRET[6:12] not in text


class Unreadable:
    """Headers that fail when they are read."""

    def __init__(self, items: Any) -> None:
        self.items = items


def _fail() -> None:
    raise RuntimeError("the connection is gone")


@pytest.mark.parametrize("items", [None, 5, _fail, lambda: 5, lambda: [1], lambda: [("a", "b", "c")]])
def test_headers_that_cannot_be_read_are_malformed(items: Any) -> None:
    with pytest.raises(WebhookVerificationError) as refusal:
        Webhook(SECRET).verify(BODY, Unreadable(items))
    assert refusal.value.code == "malformed_header"


def test_signing_uses_every_secret_as_a_sender_does_while_rotating() -> None:
    headers = Webhook([SECRET, OTHER_SECRET]).sign("evt_1", NOW, BODY)
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (SECRET, OTHER_SECRET):
        assert Webhook(secret, clock=lambda: NOW).verify(BODY, headers).id == "evt_1"


@pytest.mark.parametrize(
    ("event_id", "timestamp", "body"),
    [
        ("", NOW, BODY),
        ("evt.1", NOW, BODY),
        ("évt", NOW, BODY),
        ("evt_1", -1, BODY),
        ("evt_1", 10**15, BODY),
        ("evt_1", 1.5, BODY),
        ("evt_1", True, BODY),
        ("evt_1", NOW, "\ud800"),
        ("evt_1", NOW, {}),
    ],
)
def test_signing_refuses_what_could_never_verify(event_id: str, timestamp: Any, body: Any) -> None:
    with pytest.raises(ValueError, match=r"cannot be a webhook-|body must be"):
        Webhook(SECRET).sign(event_id, timestamp, body)


def test_every_signature_is_compared_with_every_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    compare_digest = hmac.compare_digest

    def compare_and_note(expected: bytes, candidate: bytes) -> bool:
        compared.append((expected, candidate))
        return compare_digest(expected, candidate)

    webhook = Webhook([SECRET, OTHER_SECRET], clock=lambda: NOW)
    headers = webhook.sign("evt_1", NOW, BODY)
    headers["webhook-signature"] += " v1,AAAA"
    monkeypatch.setattr(hmac, "compare_digest", compare_and_note)
    webhook.verify(BODY, headers)
    assert len(compared) == len(set(compared)) == 2 * 3


def test_headers_that_a_server_kept_twice_are_refused() -> None:
    webhook = Webhook(SECRET, clock=lambda: NOW)
    headers = HTTPMessage()
    for name, value in webhook.sign("evt_1", NOW, BODY).items():
        headers[name] = value
    assert webhook.verify(BODY, headers).id == "evt_1"
    headers["Webhook-Id"] = "evt_1"  # adds a second one
    with pytest.raises(WebhookVerificationError, match="malformed_header"):
        webhook.verify(BODY, headers)


def test_the_event_cannot_be_reassigned() -> None:
    webhook = Webhook(SECRET, clock=lambda: NOW)
    event = webhook.verify(BODY, webhook.sign("evt_1", NOW, BODY))
    with pytest.raises(AttributeError):
        event.id = "evt_2"  # type: ignore[misc]


def test_the_error_survives_copying_and_pickling_with_its_code() -> None:
    error = WebhookVerificationError("missing_header", "webhook-id is missing")
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (twin.code, str(twin)) == ("missing_header", "webhook-id is missing (missing_header)")
