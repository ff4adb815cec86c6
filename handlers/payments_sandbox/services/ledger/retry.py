"""The optimistic retry: read, decide, and write on condition that nothing has moved on; if it has, once more.

Not for a loop that ends without an error when it loses every race (scheduled work stays due and is done later), nor for one
that also counts generations of an idempotency key: these share the limits only.
"""

from collections.abc import Callable
from enum import Enum
from typing import Final, TypeVar

from payments_sandbox.domain.errors import SandboxError

T = TypeVar("T")

RACES_MAX: Final = 64
"""How often one operation may lose a race about a payment, a settlement or a counter. The winner of a race moves the record on,
so the loser succeeds, or meets a conflict of state, long before."""

SETTINGS_RACES_MAX: Final = 16
"""How many races about an account's keys, controls or endpoints, which few requests change at once."""


class LostRace(Enum):
    """What an attempt returns that wrote nothing, because another writer was faster."""

    LOST = "lost"


LOST: Final = LostRace.LOST


def retry_on_conflict(
    attempt: Callable[[], T | LostRace], busy: SandboxError, *, races_max: int = RACES_MAX
) -> T:
    """Return the result of the first attempt that wins its race.

    attempt: reads, decides and writes; each retry reads again. It returns LOST when the write was refused because a record had
        moved on.
    races_max: how many attempts are made. Raises `busy` after the last, and at once whatever an attempt raises.
    """
    for _ in range(races_max):
        result = attempt()
        if not isinstance(result, LostRace):
            return result
    raise busy
