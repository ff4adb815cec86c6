"""Points in time: milliseconds since the Unix epoch inside, RFC 3339 in UTC outside."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_MINUTE = r"(?:[01]\d|2[0-3]):[0-5]\d"
_RFC3339 = re.compile(
    rf"(\d{{4}}-\d\d-\d\d)[Tt]({_HOUR_MINUTE}):([0-5]\d|60)(?:\.(\d+))?([Zz]|[+-]{_HOUR_MINUTE})", re.ASCII
)


def format_timestamp(at_ms: int) -> str:
    """`1764106800123` is `2025-11-25T21:40:00.123Z`."""
    return f"{_format_second(at_ms // SECOND_MS)}.{at_ms % SECOND_MS:03d}Z"


@lru_cache(maxsize=256)
def _format_second(second: int) -> str:
    """Kept, because requests of one second share it, and it is the expensive part."""
    text = (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")
    # strftime does not pad years below 1000 on every platform.
    return text.rjust(19, "0")


class Day(NamedTuple):
    """A day in UTC. julian: the year's last digit and the day of the year, `YDDD`, as card messages carry dates."""

    year: int
    month: int
    julian: str


def day_of(at_ms: int) -> Day:
    """The day in which a moment lies."""
    return _day(at_ms // DAY_MS)


@lru_cache(maxsize=16)
def _day(days: int) -> Day:
    date = _EPOCH + timedelta(days=days)
    return Day(date.year, date.month, f"{date.year % 10}{date.timetuple().tm_yday:03d}")


def date_time_of(at_ms: int) -> tuple[int, int, int, int, int, int]:
    """Year, month, day, hour, minute and second of a moment, in UTC."""
    moment = _EPOCH + timedelta(milliseconds=at_ms)
    return moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second


def parse_timestamp(text: str) -> int:
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
