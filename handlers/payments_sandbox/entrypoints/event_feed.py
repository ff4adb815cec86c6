"""Follows the events of a sandbox by its newest-first listing: each event once, none left out, the oldest first.

An event can appear in the listing below one that was seen before it: two of one millisecond sort by id, and a deployed
sandbox writes from many machines. So it does not stop at the last event that it saw, but remembers the newest ones, at
least `KEPT_MIN` of them and at least `OVERLAP_MS` back, and whatever appears among them is new.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from payments_sandbox.domain.timestamps import parse_timestamp
from payments_sandbox.domain.webhooks import matches
from payments_sandbox.entrypoints.api_client import ApiClient, CallFailed, Json

PAGE: Final = 100
KEPT_MIN: Final = 50
"""Half a page, so that a quiet account is followed with one page each time."""

OVERLAP_MS: Final = 5_000


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """An event as the API shows it. at_ms: its timestamp, in milliseconds since the epoch."""

    event_id: str
    type: str
    timestamp: str
    at_ms: int
    data: dict[str, Any]


class EventFeed:
    """Call `start` once, then `poll` for ever. All three raise CallFailed; a poll that failed may be repeated."""

    def __init__(self, api: ApiClient, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._api = api
        self._sleep = sleep
        self._kept: dict[str, int] = {}
        self._floor_ms = 0
        self.pages = 0
        """How many pages the last walk took."""

    def start(self) -> None:
        """Take all that has happened so far as known."""
        walked: list[ListedEvent] = []
        for event in self._newest_first():
            walked.append(event)
            if len(walked) > KEPT_MIN and event.at_ms < walked[0].at_ms - OVERLAP_MS:
                break
        self._keep(walked)

    def replay(self, count: int, patterns: tuple[str, ...]) -> list[ListedEvent]:
        """The last so many events that were known at the start and match, the oldest first."""
        found: list[ListedEvent] = []
        if not count:
            return found
        single = patterns[0] if len(patterns) == 1 and "*" not in patterns[0] else None
        for event in self._newest_first(single):
            if not self._is_new(event) and matches(patterns, event.type):
                found.append(event)
                if len(found) == count:
                    break
        return found[::-1]

    def poll(self) -> list[ListedEvent]:
        """What is new since the start or the last poll, the oldest first."""
        walked: list[ListedEvent] = []
        for event in self._newest_first():
            if event.at_ms < self._floor_ms:
                if walked:
                    break
                # All that was known is gone: another ledger, whose clock may be behind that of the old one.
                self._kept, self._floor_ms = {}, 0
            walked.append(event)
        # The same event twice: it was at the end of one page when a page was asked for again.
        new = {event.event_id: event for event in walked if self._is_new(event)}
        self._keep(walked)
        return list(new.values())[::-1]

    def _is_new(self, event: ListedEvent) -> bool:
        return event.at_ms >= self._floor_ms and event.event_id not in self._kept

    def _keep(self, walked: list[ListedEvent]) -> None:
        """Remember the newest; whatever is as old as one that is forgotten counts as known."""
        self._kept.update((event.event_id, event.at_ms) for event in walked)
        newest = sorted(self._kept.items(), key=lambda item: item[1], reverse=True)
        if not newest:
            return
        recent_ms = newest[0][1] - OVERLAP_MS
        for rank, (event_id, at_ms) in enumerate(newest):
            if rank >= KEPT_MIN and at_ms < recent_ms:
                self._floor_ms = max(self._floor_ms, at_ms + 1)
                del self._kept[event_id]

    def _newest_first(self, event_type: str | None = None) -> Iterator[ListedEvent]:
        query: dict[str, str | int] = {"limit": PAGE}
        if event_type is not None:
            query["type"] = event_type
        self.pages = 0
        while True:
            page = self._api.get("/v1/events", query)
            self.pages += 1
            yield from _events_of(page)
            if not page.get("next_cursor"):
                return
            query["cursor"] = page["next_cursor"]
            self._sleep(self._api.pace.between_pages_s())


def _events_of(page: Json) -> list[ListedEvent]:
    try:
        return [
            ListedEvent(
                item["event_id"],
                item["type"],
                item["timestamp"],
                parse_timestamp(item["timestamp"]),
                item["data"],
            )
            for item in page["data"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise CallFailed("the listing of events is not one of a payments sandbox", transient=False) from error
