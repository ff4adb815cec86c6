"""Moments are milliseconds inside and RFC 3339 outside, and survive the way there and back."""

import importlib.util
from datetime import UTC, datetime, timedelta, timezone
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_sandbox.domain import timestamps
from payments_sandbox.domain.timestamps import DAY_MS, format_timestamp, parse_timestamp
from tests.each_case import each_case

YEAR_1_MS = -62_135_596_800_000
YEAR_9999_END_MS = 253_402_300_799_999

REFUSALS = ("not an RFC 3339 date-time", "no day of the calendar between the years 0001 and 9999")

in_range = st.integers(YEAR_1_MS, YEAR_9999_END_MS)


@each_case(
    ("at_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (1_764_106_800_123, "2025-11-25T21:40:00.123Z"),
        (1_764_106_800_007, "2025-11-25T21:40:00.007Z"),
        (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
        (YEAR_1_MS, "0001-01-01T00:00:00.000Z"),
        (YEAR_9999_END_MS, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_moment_is_written_in_utc_to_the_millisecond(at_ms: int, text: str) -> None:
    assert format_timestamp(at_ms) == text
    assert parse_timestamp(text) == at_ms


@given(in_range)
def test_a_moment_survives_being_written_and_read(at_ms: int) -> None:
    assert parse_timestamp(format_timestamp(at_ms)) == at_ms


@given(st.lists(in_range | st.integers(0, 5000), min_size=2, max_size=8))
def test_what_was_written_before_leaves_no_trace(many: list[int]) -> None:
    written = [format_timestamp(at_ms) for at_ms in many]
    assert [parse_timestamp(text) for text in written] == many


@each_case("at_ms", [-1, -999, 0, 1])
def test_the_very_first_moment_that_a_process_writes_is_right_too(at_ms: int) -> None:
    assert _loaded_anew().format_timestamp(at_ms) == format_timestamp(at_ms)


def _loaded_anew() -> ModuleType:
    spec = importlib.util.spec_from_file_location("moments_anew", timestamps.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@each_case(
    ("text", "at_ms"),
    [
        ("2025-11-25T21:40:00Z", 1_764_106_800_000),
        ("2025-11-25t21:40:00z", 1_764_106_800_000),
        ("2025-11-25T21:40:00+00:00", 1_764_106_800_000),
        ("2025-11-25T21:40:00-00:00", 1_764_106_800_000),
        ("2025-11-25T22:40:00+01:00", 1_764_106_800_000),
        ("2025-11-25T16:10:00-05:30", 1_764_106_800_000),
        ("2025-11-26T21:39:00+23:59", 1_764_106_800_000),
        ("2025-11-25T21:40:00.1Z", 1_764_106_800_100),
        ("2025-11-25T21:40:00.12Z", 1_764_106_800_120),
        ("2025-11-25T21:40:00.1239Z", 1_764_106_800_123),
        ("2025-11-25T21:40:00.999999999Z", 1_764_106_800_999),
        ("2025-11-25T21:40:00.000000000000001Z", 1_764_106_800_000),
        ("1969-12-31T23:59:59.9999Z", -1),
    ],
)
def test_every_form_of_rfc_3339_is_read(text: str, at_ms: int) -> None:
    assert parse_timestamp(text) == at_ms


@given(
    # A day off each end, so that no offset leads outside the years that there are.
    at_ms=st.integers(YEAR_1_MS + DAY_MS, YEAR_9999_END_MS - DAY_MS),
    offset_minutes=st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
def test_the_offset_does_not_change_the_moment(at_ms: int, offset_minutes: int) -> None:
    there = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    local = there.astimezone(timezone(timedelta(minutes=offset_minutes)))
    assert parse_timestamp(local.isoformat(timespec="milliseconds")) == at_ms


@each_case(
    ("text", "next_second"),
    [
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2016-12-31T23:59:60.250Z", "2017-01-01T00:00:00.250Z"),
        ("1998-12-31T15:59:60-08:00", "1999-01-01T00:00:00Z"),
        ("2015-07-01T05:29:60+05:30", "2015-07-01T00:00:00Z"),
    ],
)
def test_a_leap_second_is_the_second_after_it(text: str, next_second: str) -> None:
    assert parse_timestamp(text) == parse_timestamp(next_second)


@each_case(
    "text",
    [
        "2016-12-31T23:58:60Z",
        "2016-12-31T22:59:60Z",
        "2016-12-31T23:59:60+01:00",
        "2016-12-31T23:59:61Z",
        "9999-12-31T23:59:60Z",
    ],
)
def test_a_second_60_elsewhere_than_at_the_end_of_a_day_in_utc_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(not an RFC 3339 date-time|no day of the calendar)"):
        parse_timestamp(text)


@each_case(
    "text",
    [
        "",
        "2025-11-25",
        "2025-11-25T21:40Z",
        "2025-11-25T21:40:00",
        "2025-11-25 21:40:00Z",
        "2025-11-25T21:40:00.Z",
        "2025-11-25T21:40:00,5Z",
        "2025-11-25T21:40:00+0100",
        "2025-11-25T21:40:00+01",
        "2025-11-25T21:40:00+24:00",
        "2025-11-25T21:40:00+05:60",
        "2025-11-25T21:40:00+01:00:30",
        "2025-11-25T24:00:00Z",
        "2025-11-25T21:60:00Z",
        "20251125T214000Z",
        "2025-W48-2T21:40:00Z",
        "25-11-25T21:40:00Z",
        "12025-11-25T21:40:00Z",
        "+2025-11-25T21:40:00Z",
        " 2025-11-25T21:40:00Z",
        "2025-11-25T21:40:00Z\n",
        "٢٠٢٥-١١-٢٥T٢١:٤٠:٠٠Z",
        "2025-11-25T21:40:00.١Z",
        "２０２５-11-25T21:40:00Z",
        "1764106800123",
    ],
)
def test_what_is_no_rfc_3339_date_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not an RFC 3339 date-time$"):
        parse_timestamp(text)


@each_case(
    "text",
    [
        "2025-00-10T00:00:00Z",
        "2025-13-10T00:00:00Z",
        "2025-11-31T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "0000-06-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
    ],
)
def test_days_that_there_are_not_are_refused_in_words_of_our_own(text: str) -> None:
    with pytest.raises(ValueError, match=r"^no day of the calendar between the years 0001 and 9999$"):
        parse_timestamp(text)


@given(st.text(max_size=40))
def test_no_text_makes_reading_fail_in_another_way(text: str) -> None:
    try:
        at_ms = parse_timestamp(text)
    except ValueError as error:
        assert str(error) in REFUSALS  # noqa: PT017  # either outcome is right
    else:
        assert YEAR_1_MS <= at_ms <= YEAR_9999_END_MS
