"""Settlement: which entries are settled, when, and what a line of a settlement says.

Days end at an account's cut-off, by default midnight UTC. What was captured and refunded on a day is settled at its end,
which is the first moment of the next one (T+1), together with everything else of that day and currency.

Pure: `fees.py` knows what it costs, `discrepancies.py` what a report can be made to get wrong, `services/settlement/settlements.py`
does it.
"""

from dataclasses import dataclass
from typing import Final

from payments_sandbox.domain.entry_kinds import ENTRY_KINDS
from payments_sandbox.domain.timestamps import DAY_MS, MINUTE_MS

SETTLED_KINDS: Final = frozenset(kind.name for kind in ENTRY_KINDS.values() if kind.is_settled)
"""The kinds of entries that move what the acquirer owes the merchant, and so are settled unless they were declined."""

FEE_ADJUSTMENT: Final = "fee_adjustment"
"""The type of a line that no entry stands behind: a fee that is charged later."""

DAY_MINUTES: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a settlement. type: the entry's kind, or `FEE_ADJUSTMENT`. gross: what the entry did to what the merchant
    is owed; fee: what the acquirer keeps of it; both in minor units. created_at: of the entry, in milliseconds."""

    transaction_id: str
    authorization_id: str
    type: str
    brand: str
    gross: int
    fee: int
    acquirer_reference: str | None
    merchant_reference: str | None
    created_at: int

    @property
    def net(self) -> int:
        """What is paid out for it."""
        return self.gross - self.fee


def next_cutoff(at_ms: int, cutoff_minutes: int) -> int:
    """The end of the day in which a moment lies: the first cut-off *after* it. cutoff_minutes: after midnight UTC."""
    offset = cutoff_minutes * MINUTE_MS
    return (at_ms - offset) // DAY_MS * DAY_MS + offset + DAY_MS


def format_cutoff(cutoff_minutes: int) -> str:
    """`1050` is `17:30`."""
    hours, minutes = divmod(cutoff_minutes, 60)
    return f"{hours:02d}:{minutes:02d}"


def parse_cutoff(text: str) -> int:
    """Minutes after midnight of a time of the contract's pattern, `HH:MM`."""
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)
