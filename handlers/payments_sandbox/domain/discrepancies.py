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
_NEED_NET: Final = frozenset({MISSING_LINE, DOUBLED_LINE})
"""The kinds that change a sum by the net amount of their line, which can be zero: a capture of 25 with a fee of 25."""


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


@dataclass(frozen=True, slots=True)
class Misreport:
    """A report with mistakes.

    lines: as they are reported. planted: the mistakes, in the order in which they were asked for. not_planted: the kinds
    for which no line was left where the mistake would change the sum of the net amounts.
    """

    lines: tuple[Line, ...]
    planted: tuple[Planted, ...]
    not_planted: tuple[str, ...]


def plant(settlement_id: str, kinds: Sequence[str], lines: Sequence[Line], currency: str) -> Misreport:
    """Plant one mistake for each of `kinds`, each on a line of its own and where it changes the sum of the net amounts.

    A missing or doubled line whose net amount is zero changes no sum, so these two kinds choose their lines first.
    """
    untouched = list(range(len(lines)))
    planted: dict[int, tuple[int, Planted]] = {}
    not_planted: list[tuple[int, str]] = []
    for number, kind in sorted(enumerate(kinds), key=lambda asked: asked[1] not in _NEED_NET):
        visible = [place for place in untouched if kind not in _NEED_NET or lines[place].net != 0]
        if not visible:
            not_planted.append((number, kind))
            continue
        chance = _chance(settlement_id, number, kind)
        place = visible[chance % len(visible)]
        untouched.remove(place)
        mistake = Planted(kind, lines[place], _misreport(kind, lines[place], currency, chance))
        planted[place] = (number, mistake)
    reported = [
        shown
        for place, line in enumerate(lines)
        for shown in (planted[place][1].reported if place in planted else (line,))
    ]
    return Misreport(
        lines=tuple(reported),
        planted=tuple(mistake for _, mistake in sorted(planted.values(), key=lambda made: made[0])),
        not_planted=tuple(kind for _, kind in sorted(not_planted)),
    )


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
