"""Signatures, secrets, what an answer means and when to try again: the rules of Standard Webhooks, number by number."""

import re
from base64 import b64decode
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
import standardwebhooks
from hypothesis import example, given
from hypothesis import strategies as st

from payments_sandbox.domain import webhooks
from payments_sandbox.domain.timestamps import DAY_MS, MINUTE_MS, SECOND_MS
from payments_sandbox.domain.webhooks import (
    ATTEMPTS_MAX,
    EVENT_TYPES,
    FAILING_MAX_MS,
    RETRY_AFTER_MAX_MS,
    RETRY_DELAYS_MS,
    ROTATION_MS,
    TEST_EVENT_TYPE,
    TIMEOUT_MS,
    format_secret,
    judge,
    matches,
    read_retry_after,
    retry_delay_ms,
    sign,
)
from tests.doubles.ports import NOW_MS
from tests.doubles.receivers import Webhook
from tests.each_case import each_case

HOUR_MS = 60 * MINUTE_MS
DELIVERY = "del_0123456789abcdef0123456789abcdef"

# --- signatures ------------------------------------------------------------------------------------------------------


def test_the_signature_is_the_one_that_the_specification_shows() -> None:
    """Source: the test of the `standardwebhooks` libraries that is called "sign function works"."""
    secret = b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(
    secret=st.binary(min_size=24, max_size=64),
    message_id=st.text("abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1, max_size=40),
    timestamp_s=st.integers(0, 4_000_000_000),
    body=st.text(max_size=200),
)
def test_both_libraries_sign_the_same(secret: bytes, message_id: str, timestamp_s: int, body: str) -> None:
    ours = sign(secret, message_id, timestamp_s, body.encode())
    text = format_secret(secret)
    assert ours == Webhook(text).sign(message_id, timestamp_s, body)["webhook-signature"]
    moment = datetime.fromtimestamp(timestamp_s, UTC)
    assert ours == standardwebhooks.Webhook(text).sign(message_id, moment, body)


@given(body=st.binary(max_size=100), at=st.integers(0, 99), bit=st.integers(0, 7))
def test_a_signature_covers_every_bit_of_the_body_even_where_it_is_no_text(
    body: bytes, at: int, bit: int
) -> None:
    body += b"\xff"
    at %= len(body)
    changed = body[:at] + bytes([body[at] ^ 1 << bit]) + body[at + 1 :]
    secret = bytes(32)
    assert sign(secret, "evt_1", 1, body) != sign(secret, "evt_1", 1, changed)
    assert sign(secret, "evt_1", 1, body) != sign(secret, "evt_2", 1, body)
    assert sign(secret, "evt_1", 1, body) != sign(secret, "evt_1", 2, body)


def test_a_secret_is_shown_with_its_prefix_in_base64() -> None:
    assert format_secret(bytes(24)) == "whsec_" + "A" * 32


# --- answers ---------------------------------------------------------------------------------------------------------


def test_only_2xx_is_success_and_only_410_disables() -> None:
    for status in range(100, 600):
        verdict = judge(status, None)
        assert verdict.delivered is (200 <= status < 300)
        assert verdict.disables is (status == 410)
        assert verdict.retry_after_ms is None


@each_case("status", [300, 302, 400, 429, 500, 503])
def test_any_failure_may_ask_for_a_pause(status: int) -> None:
    assert judge(status, 7_000).retry_after_ms == 7_000


@pytest.mark.parametrize("status", [200, 410])
def test_what_is_not_tried_again_asks_for_none(status: int) -> None:
    assert judge(status, 7_000).retry_after_ms is None


@each_case(
    ("value", "asked_ms"),
    [
        ("0", 0),
        ("7", 7_000),
        ("007", 7_000),
        ("86400", DAY_MS),
        ("86401", DAY_MS),
        ("9" * 5_000, DAY_MS),
        ("Mon, 23 Nov 2026 10:02:00 GMT", 2 * MINUTE_MS),
        ("Monday, 23-Nov-26 10:02:00 GMT", 2 * MINUTE_MS),
        ("Mon Nov 23 10:02:00 2026", 2 * MINUTE_MS),
        ("Mon, 23 Nov 2026 09:00:00 GMT", 0),
        ("Tue, 24 Nov 2026 10:00:01 GMT", DAY_MS),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DAY_MS),
        ("Mon, 01 Jan 99999 00:00:00 GMT", None),
        ("Mon, 23 Nov 2026 10:02:00 +99999999999999", None),
        ("", None),
        ("-7", None),
        ("1.5", None),
        ("soon", None),
        ("٧", None),
    ],
)
def test_a_pause_is_asked_for_in_seconds_or_until_a_moment(value: str, asked_ms: int | None) -> None:
    """Source: RFC 9110, section 10.2.3, with all three forms of HTTP-date."""
    assert read_retry_after(value, NOW_MS) == asked_ms


@given(st.text(max_size=40))
@example("\x00")
@example("Mon, 23 Nov 2026 10:02:00 -0000")
def test_whatever_is_asked_for_is_none_or_at_most_a_day(value: str) -> None:
    asked_ms = read_retry_after(value, NOW_MS)
    assert asked_ms is None or 0 <= asked_ms <= RETRY_AFTER_MAX_MS


@given(st.integers(-10 * DAY_MS, 10 * DAY_MS))
def test_a_moment_is_the_same_as_the_seconds_until_it(from_now_ms: int) -> None:
    from_now_ms -= from_now_ms % SECOND_MS
    moment = datetime.fromtimestamp((NOW_MS + from_now_ms) / 1000, UTC)
    asked_ms = read_retry_after(format_datetime(moment, usegmt=True), NOW_MS)
    assert asked_ms == max(0, min(from_now_ms, RETRY_AFTER_MAX_MS))


# --- the schedule ----------------------------------------------------------------------------------------------------


def test_the_schedule_is_that_of_the_specification() -> None:
    assert RETRY_DELAYS_MS == (
        5 * SECOND_MS,
        5 * MINUTE_MS,
        30 * MINUTE_MS,
        2 * HOUR_MS,
        5 * HOUR_MS,
        10 * HOUR_MS,
        14 * HOUR_MS,
        20 * HOUR_MS,
        24 * HOUR_MS,
    )
    assert (TIMEOUT_MS, ROTATION_MS, FAILING_MAX_MS) == (15 * SECOND_MS, DAY_MS, 5 * DAY_MS)


@given(delivery_id=st.text(max_size=40), attempts=st.integers(1, ATTEMPTS_MAX - 1))
def test_each_delay_is_up_to_a_tenth_longer_and_always_the_same(delivery_id: str, attempts: int) -> None:
    planned = RETRY_DELAYS_MS[attempts - 1]
    delay = retry_delay_ms(delivery_id, attempts, None)
    assert delay is not None
    assert planned <= delay <= planned * 11 // 10
    assert delay == retry_delay_ms(delivery_id, attempts, None)


def test_deliveries_that_failed_together_come_back_apart() -> None:
    delays = sorted(retry_delay_ms(f"del_{number}", 9, None) or 0 for number in range(200))
    low, high = 24 * HOUR_MS, 24 * HOUR_MS * 11 // 10
    # Spread over the whole tenth, not bunched: each quarter of it has a fair share.
    for quarter in range(4):
        start = low + (high - low) * quarter // 4
        assert 25 <= sum(start <= delay < start + (high - low) // 4 for delay in delays) <= 75


@given(delivery_id=st.text(max_size=40), attempts=st.integers(ATTEMPTS_MAX, ATTEMPTS_MAX + 20))
def test_after_the_last_attempt_there_is_no_other_whatever_is_asked(delivery_id: str, attempts: int) -> None:
    assert retry_delay_ms(delivery_id, attempts, None) is None
    assert retry_delay_ms(delivery_id, attempts, DAY_MS) is None


@given(attempts=st.integers(1, ATTEMPTS_MAX - 1), asked_ms=st.integers(0, RETRY_AFTER_MAX_MS))
def test_a_pause_that_is_asked_for_makes_the_delay_longer_and_never_shorter(
    attempts: int, asked_ms: int
) -> None:
    planned = retry_delay_ms(DELIVERY, attempts, None)
    assert planned is not None
    assert retry_delay_ms(DELIVERY, attempts, asked_ms) == max(planned, asked_ms)


# --- types and filters -----------------------------------------------------------------------------------------------


def test_event_types_are_a_resource_and_a_verb_in_the_past_tense() -> None:
    types = [*EVENT_TYPES.values(), TEST_EVENT_TYPE]
    assert len(set(types)) == len(types)
    for event_type in types:
        assert re.fullmatch(r"[a-z_]+\.([a-z]+_)?[a-z]+ed", event_type), event_type


@each_case(
    ("pattern", "event_type", "covered"),
    [
        ("*", "payment.captured", True),
        ("*", "webhook_endpoint.disabled", True),
        ("payment.*", "payment.captured", True),
        ("payment.*", "payment.authorization_declined", True),
        ("payment.*", "webhook_endpoint.disabled", False),
        ("payment.*", "payments.captured", False),
        ("pay.*", "payment.captured", False),
        ("payment.captured", "payment.captured", True),
        ("payment.captured", "payment.capture_declined", False),
        ("payment.capture", "payment.captured", False),
        ("payment.", "payment.captured", False),
        ("webhook_endpoint.*", "webhook_endpoint.disabled", True),
    ],
)
def test_a_pattern_is_everything_or_a_resource_or_a_type(
    pattern: str, event_type: str, covered: bool
) -> None:
    assert matches([pattern], event_type) is covered
    assert matches(("refund.created", pattern), event_type) is covered
    assert not matches([], event_type)


def test_nothing_of_the_module_asks_for_the_time() -> None:
    assert not {"time", "now"} & set(vars(webhooks))
