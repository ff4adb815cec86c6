"""The system clock; nothing else in the package asks the machine for the time."""

import time


class SystemClock:
    """`Clock` by the machine's real time."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000
