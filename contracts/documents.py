"""Writes the tables of docs/disputes.md from the code: `python -m contracts.documents`, after a change to the rules.

What can happen to a dispute is decided by one table of `handlers/payments_sandbox/domain/disputes.py`. People read it in the document; so it is
written from the code, between two comments, and a test compares what is committed with what would be written now.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from payments_sandbox.domain.disputes import CAUSES, DEADLINES_MS, REASONS, TRANSITIONS, DisputeStatus, Money
from payments_sandbox.domain.timestamps import DAY_MS

DISPUTES: Final = Path(__file__).parents[1] / "docs" / "disputes.md"

_MONEY: Final = {
    Money.NONE: "",
    Money.CHARGEBACK: "`chargeback`",
    Money.REVERSAL: "`chargeback_reversal`",
}


def render_tables() -> dict[str, str]:
    """The tables by the names of their places in the document."""
    return {
        "transitions": _table(("from", "what happens", "to", "event", "entry of the ledger"), _transitions()),
        "deadlines": _table(("status", "time moves it on after"), _deadlines()),
        "reasons": _table(("reason", "meaning", "Visa", "Mastercard"), _reasons()),
    }


def render(document: str) -> str:
    """The document with its tables as they should be."""
    for name, table in render_tables().items():
        start, end = f"<!-- {name}: python -m contracts.documents -->\n", f"<!-- end of {name} -->\n"
        before, found, rest = document.partition(start)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"the document has no place for the table of {name}")
        document = f"{before}{start}\n{table}\n{end}{after}"
    return document


def main() -> None:
    """Write the document anew."""
    DISPUTES.write_text(render(DISPUTES.read_text("utf-8")), "utf-8")


def _transitions() -> Iterable[Sequence[str]]:
    for each in TRANSITIONS:
        source = "(none yet)" if each.source is None else f"`{each.source}`"
        yield source, CAUSES[each.cause], f"`{each.target}`", f"`{each.event}`", _MONEY[each.money]


def _deadlines() -> Iterable[Sequence[str]]:
    for status in DisputeStatus:
        duration_ms = DEADLINES_MS.get(status)
        yield f"`{status}`", "never: it is final" if duration_ms is None else f"{duration_ms // DAY_MS} days"


def _reasons() -> Iterable[Sequence[str]]:
    for name, reason in REASONS.items():
        visa, mastercard = (
            code + (" †" if network in reason.chosen else "")
            for network, code in (("visa", reason.visa), ("mastercard", reason.mastercard))
        )
        yield f"`{name}`", reason.description, visa, mastercard


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    main()
