"""Points in time: milliseconds since the Unix epoch inside, RFC 3339 in UTC outside."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
DAY_MS: Final = 24 * 60 * MINUTE_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_MINUTE = r"(?:[01]\d|2[0-3]):[0-5]\d"
_RFC3339 = re.compile(
    rf"(\d{{4}}-\d\d-\d\d)[Tt]({_HOUR_MINUTE}):([0-5]\d|60)(?:\.(\d+))?([Zz]|[+-]{_HOUR_MINUTE})", re.ASCII
)
_last: tuple[int, str] = (0, "1970-01-01T00:00:00")


def format_moment(at_ms: int) -> str:
    """`1764106800123` is `2025-11-25T21:40:00.123Z`."""
    # Requests of one second share the expensive part, so it is kept.
    global _last
    second, milli = divmod(at_ms, SECOND_MS)
    kept_second, text = _last
    if kept_second != second:
        text = (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")
        # strftime does not pad years below 1000 on every platform.
        text = text.rjust(19, "0")
        _last = (second, text)
    return f"{text}.{milli:03d}Z"


def parse_moment(text: str) -> int:
    """Milliseconds since the epoch of an RFC 3339 date-time; digits past the millisecond are cut off.

    A leap second, 23:59:60 in UTC, is the second after it, as in all of Unix time.
    Raises ValueError when the text is not one, or lies outside the years 0001 to 9999. Source: RFC 3339, section 5.6.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 date-time")
    date, hour_minute, second, fraction, offset = match.groups()
    zone = "+00:00" if offset in "Zz" else offset
    leap = second == "60"
    try:
        moment = datetime.fromisoformat(f"{date}T{hour_minute}:{59 if leap else second}{zone}").astimezone(
            UTC
        )
        ends_day = (moment.hour, moment.minute) == (23, 59)
        moment += timedelta(seconds=leap)
    except (ValueError, OverflowError) as error:
        # Python's own words differ from version to version, and may hold the value.
        raise ValueError("no day of the calendar between the years 0001 and 9999") from error
    if leap and not ends_day:
        raise ValueError("not an RFC 3339 date-time")
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    return seconds * SECOND_MS + int((fraction or "0").ljust(3, "0")[:3])
