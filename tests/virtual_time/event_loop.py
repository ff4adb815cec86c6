"""An event loop whose time passes only when everything waits: hours go by in a moment, and always in the same order."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar
from unittest.mock import patch

from tests.doubles.ports import FrozenClock

T = TypeVar("T")


class NothingLeftToWaitFor(AssertionError):
    """Everything waits, and for nothing that could ever happen."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Sleeps by moving its own time on, and a clock with it.

    It starts at the clock's time. Work takes no time, except what is passed on purpose with `spend`.
    """

    def __init__(self, clock: FrozenClock) -> None:
        self._clock = clock
        # A float of milliseconds since the epoch would have no room left for the fractions that timers differ by.
        self._origin_ms = clock.at_ms
        self._now_s = 0.0
        self._worked_s = 0.0
        super().__init__(_Jumps(self))

    def time(self) -> float:
        return self._now_s

    def worked(self) -> float:
        """The processor's time: what was spent, without what was waited."""
        return self._worked_s

    def spend(self, seconds: float) -> None:
        """Let time pass as if the processor had been busy."""
        self._worked_s += seconds
        self.wait(seconds)

    def wait(self, seconds: float) -> None:
        """Let time pass in which nothing is done."""
        self._now_s += seconds
        self._show()

    def jump(self, ms: int) -> None:
        """Set the clock, and not the loop's time, to another hour."""
        self._origin_ms += ms
        self._show()

    def _show(self) -> None:
        self._clock.at_ms = self._origin_ms + round(self._now_s * 1000)


class _Jumps(selectors.DefaultSelector):
    """Waits for no file: whatever the loop would have waited is spent at once."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise NothingLeftToWaitFor("every task waits, and no timer is set")
        if not ready and timeout:
            self._loop.wait(timeout)
        return ready


def virtual_loop() -> VirtualTimeLoop:
    """The loop that this runs in."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop


def run_virtually(coroutine: Coroutine[Any, Any, T], clock: FrozenClock) -> T:
    """Run to the end in virtual time, which this clock shows; the thread's processor time is as virtual, so that a busy
    machine changes nothing."""
    loop = VirtualTimeLoop(clock)
    with (
        patch("time.thread_time", loop.worked),
        asyncio.Runner(loop_factory=lambda: loop) as runner,
    ):
        return runner.run(coroutine)
