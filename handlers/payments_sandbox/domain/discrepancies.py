"""Reconciliation practice: mistakes that a settlement report can be asked to make, and the answer sheet.

A mistake is planted in what is reported, never in what was paid. Which lines are hit follows from the settlement's id, so
that a report is the same whenever it is read, and no two mistakes hit one line.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from payments_sandbox.domain.fees import fixed_fee
from payments_sandbox.domain.settlement import FEE_ADJUSTMENT, Line

MISSING_LINE: Final = "missing_line"
DOUBLED_LINE: Final = "doubled_line"
WRONG_AMOUNT: Final = "wrong_amount"
LATE_FEE: Final = "late_fee"

EXPLANATIONS: Final[Mapping[str, str]] = {
    MISSING_LINE: "The entry was settled, but the report has no line for it.",
    DOUBLED_LINE: "The entry was settled once, but the report has two lines for it.",
    WRONG_AMOUNT: "The line's gross amount is not what the entry moved.",
    LATE_FEE: "The report charges a fee for the entry that was not taken from the payout.",
}
"""Kind of a discrepancy to what is wrong."""

_OFF_BY_MAX: Final = 99


@dataclass(frozen=True, slots=True)
class Planted:
    """One mistake. line: the truth. reported: what stands in the report instead of that line; none to several lines."""

    kind: str
    line: Line
    reported: tuple[Line, ...]

    @property
    def difference(self) -> int:
        """By how much it makes the sum of the report's net amounts differ from the payout, in minor units."""
        return sum(line.net for line in self.reported) - self.line.net


def plant(
    settlement_id: str, kinds: Sequence[str], lines: Sequence[Line], currency: str
) -> tuple[list[Line], list[Planted]]:
    """The lines as they are reported, and what is wrong with them; one mistake for each of `kinds`, as long as there are
    lines left to get wrong."""
    untouched = list(range(len(lines)))
    planted: dict[int, Planted] = {}
    for number, kind in enumerate(kinds):
        if not untouched:
            break
        chance = _chance(settlement_id, number, kind)
        place = untouched.pop(chance % len(untouched))
        line = lines[place]
        planted[place] = Planted(kind, line, _misreport(kind, line, currency, chance))
    reported = [
        shown
        for place, line in enumerate(lines)
        for shown in (planted[place].reported if place in planted else (line,))
    ]
    return reported, list(planted.values())


def _misreport(kind: str, line: Line, currency: str, chance: int) -> tuple[Line, ...]:
    if kind == MISSING_LINE:
        return ()
    if kind == DOUBLED_LINE:
        return (line, line)
    if kind == WRONG_AMOUNT:
        off = 1 + chance % _OFF_BY_MAX
        return (replace(line, gross=line.gross + (off if line.gross > 0 else -off)),)
    assert kind == LATE_FEE, kind
    return (line, replace(line, type=FEE_ADJUSTMENT, gross=0, fee=fixed_fee(line.brand, currency)))


def _chance(settlement_id: str, number: int, kind: str) -> int:
    digest = hashlib.sha256(f"{settlement_id}/{number}/{kind}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
