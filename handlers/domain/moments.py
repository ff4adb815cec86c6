"""Points in time: milliseconds since the Unix epoch inside, RFC 3339 in UTC outside."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
DAY_MS: Final = 24 * 60 * MINUTE_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_last: tuple[int, str] = (-1, "")


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

    Raises ValueError when the text is not one, or lies outside the years 0001 to 9999. Source: RFC 3339, section 5.6.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 date-time")
    date, time, fraction, offset = match.groups()
    zone = "+00:00" if offset in "Zz" else offset
    try:
        moment = datetime.fromisoformat(f"{date}T{time}{zone}").astimezone(UTC)
    except OverflowError as error:
        raise ValueError("outside the years 0001 to 9999") from error
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    return seconds * SECOND_MS + int((fraction or "0").ljust(3, "0")[:3])
