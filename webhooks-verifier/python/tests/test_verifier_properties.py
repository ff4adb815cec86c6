"""What holds for any input: one error type, and agreement with the public package."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import standardwebhooks
from hypothesis import example, given
from hypothesis import strategies as st

from webhooks_verifier import ERROR_CODES, Webhook, WebhookEvent, WebhookVerificationError

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_674_087_231
OUTCOMES = {"WebhookEvent", *ERROR_CODES}
NAMES = ("webhook-id", "webhook-timestamp", "webhook-signature")
BODY = b'{"type":"payment.captured","timestamp":"2023-01-19T00:13:51Z","data":{"amount_minor":1050}}'

frozen = Webhook(SECRET, clock=lambda: NOW)
live = Webhook(SECRET)
public = standardwebhooks.Webhook(SECRET)

any_text = st.text(st.characters())  # lone surrogates included
scalars = st.none() | st.booleans() | st.integers() | st.floats() | any_text | st.binary()
garbage = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(scalars, inner),
    max_leaves=5,
)
likely_names = st.sampled_from([*NAMES, *(name.title() for name in NAMES), b"webhook-id"])
likely_values = st.sampled_from(["evt_1", str(NOW), "9" * 5000, *frozen.sign("evt_1", NOW, BODY).values()])
any_headers = st.dictionaries(likely_names | scalars, likely_values | garbage) | garbage
ids = st.from_regex(r"[A-Za-z0-9_:,=/+-]{1,40}", fullmatch=True)

json_numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e15, 1e15)
json_text = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | json_numbers | json_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(json_text, inner, max_size=3),
    max_leaves=10,
)
payloads = st.fixed_dictionaries(
    {"type": json_text.filter(bool), "timestamp": json_text, "data": st.dictionaries(json_text, json_values)}
)


def outcome(webhook: Webhook, body: Any, headers: Any) -> str:
    """`WebhookEvent`, or the code of the one error; whatever else is raised fails the test."""
    try:
        event = webhook.verify(body, headers)
    except WebhookVerificationError as refusal:
        return refusal.code
    return type(event).__name__


@given(body=st.binary() | any_text | garbage, headers=any_headers)
@example(body=BODY, headers=frozen.sign("evt_1", NOW, BODY))
def test_any_body_and_headers_give_an_event_or_the_one_error(body: object, headers: object) -> None:
    assert outcome(frozen, body, headers) in OUTCOMES


@given(headers=st.fixed_dictionaries(dict.fromkeys(NAMES, likely_values | any_text)))
def test_any_header_text_gives_an_event_or_the_one_error(headers: dict[str, str]) -> None:
    assert outcome(frozen, BODY, headers) in OUTCOMES


@given(body=st.binary() | json_values.map(json.dumps))
@example(body=b"[" * 100_000)
@example(body=b'{"a":' * 100_000)
@example(body=b'{"n":' + b"9" * 100_000 + b"}")
def test_any_authentic_body_is_an_event_or_a_malformed_payload(body: bytes | str) -> None:
    assert outcome(frozen, body, frozen.sign("evt_1", NOW, body)) in {"WebhookEvent", "malformed_payload"}


@given(index=st.integers(0, len(BODY) - 1), byte=st.integers(0, 255))
def test_a_body_changed_by_one_byte_is_refused(index: int, byte: int) -> None:
    changed = BODY[:index] + bytes([byte]) + BODY[index + 1 :]
    expected = "WebhookEvent" if changed == BODY else "no_matching_signature"
    assert outcome(frozen, changed, frozen.sign("evt_1", NOW, BODY)) == expected


@given(name=st.sampled_from(NAMES), position=st.integers(0, 60), character=st.characters())
def test_a_header_changed_by_one_character_is_refused(name: str, position: int, character: str) -> None:
    headers = frozen.sign("evt_1", NOW, BODY)
    value = headers[name]
    position %= len(value)
    changed = value[:position] + character + value[position + 1 :]
    accepted = changed == value
    assert (outcome(frozen, BODY, headers | {name: changed}) == "WebhookEvent") is accepted


@given(event_id=ids, payload=payloads, indent=st.sampled_from([None, 2]), as_text=st.booleans())
def test_what_we_sign_we_and_the_public_package_accept(
    event_id: str, payload: dict[str, Any], indent: int | None, as_text: bool
) -> None:
    text = json.dumps(payload, ensure_ascii=False, indent=indent)
    body = text if as_text else text.encode()
    headers = live.sign(event_id, int(time.time()), body)
    assert live.verify(body, headers) == WebhookEvent(event_id, **payload, payload=payload)
    assert public.verify(body, headers) == payload


@given(event_id=ids, payload=payloads)
def test_what_the_public_package_signs_we_accept(event_id: str, payload: dict[str, Any]) -> None:
    body = json.dumps(payload)
    now = datetime.now(UTC).replace(microsecond=0)
    headers = {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": public.sign(event_id, now, body),
    }
    assert live.verify(body, headers).payload == payload


@given(secret=scalars | any_text.map("whsec_".__add__) | st.lists(any_text))
def test_any_secret_that_is_refused_is_a_value_error_without_the_secret(secret: Any) -> None:
    with pytest.raises(ValueError, match=r"^(secret \d+ of \d+ (is not|has)|no secret was given)"):
        Webhook(secret)
