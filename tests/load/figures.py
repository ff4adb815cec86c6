"""The benchmark's arithmetic: medians of interleaved rounds, ratios against targets, and the table they are shown in.

Ratios are what the benchmark promises: both sides are measured in turn on one machine in one run, so what the machine
is doing besides weighs on both. Absolute figures are shown for orientation and hold for that machine only.
"""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

BEGIN = "<!-- bench:begin -->"
END = "<!-- bench:end -->"
WEBHOOKS_BEGIN = "<!-- webhooks:begin -->"
WEBHOOKS_END = "<!-- webhooks:end -->"


@dataclass(frozen=True)
class Comparison:
    """One thing measured on both sides.

    rounds: what a round measured of ours and of theirs.
    target: what ours / theirs must reach; None where nothing is promised.
    at_most: whether the target is a ceiling, or a floor.
    """

    name: str
    unit: str
    rounds: Sequence[tuple[float, float]]
    target: float | None
    at_most: bool = True

    @property
    def ours(self) -> float:
        """The median of our rounds."""
        return median(ours for ours, _ in self.rounds)

    @property
    def theirs(self) -> float:
        """The median of their rounds."""
        return median(theirs for _, theirs in self.rounds)

    @property
    def ratio(self) -> float:
        """Median of ours to median of theirs."""
        return self.ours / self.theirs

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and highest ratio of a single round."""
        ratios = [ours / theirs for ours, theirs in self.rounds]
        return min(ratios), max(ratios)

    @property
    def met(self) -> bool:
        """Whether the ratio reaches the target."""
        if self.target is None:
            return True
        return self.ratio <= self.target if self.at_most else self.ratio >= self.target

    @property
    def row(self) -> tuple[str, ...]:
        """The cells of the table."""
        low, high = self.spread
        return (
            self.name,
            f"{_figure(self.ours)} {self.unit}".strip(),
            f"{_figure(self.theirs)} {self.unit}".strip(),
            f"**{self.ratio:.2f}** ({low:.2f} to {high:.2f})",
            "" if self.target is None else f"{'≤' if self.at_most else '≥'} {self.target}",
            "" if self.target is None else "met" if self.met else "missed",
        )


@dataclass(frozen=True)
class Section:
    """A set of comparisons made in one way, and how."""

    title: str
    method: str
    comparisons: Sequence[Comparison]


@dataclass(frozen=True)
class Figure:
    """One thing measured by itself. target: at most this; None for a figure that is only told."""

    name: str
    value: float
    unit: str
    target: float | None = None

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.target is None or self.value <= self.target

    @property
    def row(self) -> tuple[str, ...]:
        """The cells of the table."""
        return (
            self.name,
            f"{_figure(self.value)} {self.unit}".strip(),
            "" if self.target is None else f"≤ {self.target:g}",
            "" if self.target is None else "met" if self.met else "missed",
        )


@dataclass(frozen=True)
class FigureSection:
    """Figures of our own, with nothing beside them, and how they were measured."""

    title: str
    method: str
    figures: Sequence[Figure]


FIGURE_HEADINGS = ("", "measured", "target", "")
HEADINGS = ("", "ours", "theirs", "ratio (single rounds)", "target", "")


def _figure(value: float) -> str:
    """Three digits, or all of a larger number."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table_of(section: Section | FigureSection) -> str:
    """The section as Markdown."""
    headings, measured = (
        (HEADINGS, [each.row for each in section.comparisons])
        if isinstance(section, Section)
        else (FIGURE_HEADINGS, [each.row for each in section.figures])
    )
    rows = [headings, ("---",) * len(headings), *measured]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([f"### {section.title}", "", section.method, "", *lines, ""])


def missed_targets(section: Section | FigureSection) -> list[str]:
    """The names of what missed its target."""
    measured = section.comparisons if isinstance(section, Section) else section.figures
    return [each.name for each in measured if not each.met]


def report_of(sections: Sequence[Section | FigureSection], *, at: datetime) -> str:
    """Everything that stands between the markers of the document: no name of the machine, and no path of it."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    machine = f"{os.cpu_count()} shared cores ({platform.machine()}), {platform.system()}, {python}"
    head = f"Measured on {at.astimezone(UTC):%Y-%m-%d} with `make bench` on {machine}."
    return "\n".join([head, "", *(table_of(section) for section in sections)])


def replace_between_markers(
    document: str, report: str, *, begin_mark: str = BEGIN, end_mark: str = END
) -> str:
    """The document with the report between its two markers; they are added at its end where there are none."""
    block = f"{begin_mark}\n{report.rstrip()}\n{end_mark}"
    before, begin, rest = document.partition(begin_mark)
    _, end, after = rest.partition(end_mark)
    if begin and end:
        return before + block + after
    return (document.rstrip() + "\n\n" if document.strip() else "") + block + "\n"


def write_report(path: Path, report: str, *, begin_mark: str = BEGIN, end_mark: str = END) -> None:
    """Put the report into the document."""
    document = path.read_text("utf-8") if path.exists() else "# Performance\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    replaced = replace_between_markers(document, report, begin_mark=begin_mark, end_mark=end_mark)
    path.write_text(replaced, "utf-8")
