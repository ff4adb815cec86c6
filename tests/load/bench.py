"""The benchmark: `make bench`, or `python -m tests.load.bench [--quick] [--only embedded|lambda|cold|webhooks]`.

Measures ours beside what people would otherwise use, both sides in turn in one run, and compares the ratios with the
targets; and how fast webhooks leave, by itself. A whole run rewrites the tables in docs/performance.md, and so does
`--only webhooks` with its own; any other partial run, and a quick one, only prints. Ends with 1 when a
target is missed, with 2 when something could not be measured. Everything stays on 127.0.0.1, ends by itself, and ends
only the processes that it started.
"""

import argparse
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from tests.load import cold_start, embedded, lambda_path, webhooks
from tests.load.figures import (
    WEBHOOKS_BEGIN,
    WEBHOOKS_END,
    FigureSection,
    Section,
    missed_targets,
    report_of,
    table_of,
    write_report,
)
from tests.load.processes import ROOT, BenchFailed

DOCUMENT = ROOT / "docs/performance.md"
QUIET_LOAD = 1.0

PARTS: dict[str, Callable[[bool], Section | FigureSection]] = {
    "embedded": lambda quick: embedded.measure(embedded.QUICK if quick else embedded.FULL),
    "lambda": lambda quick: lambda_path.measure(lambda_path.QUICK if quick else lambda_path.FULL),
    "cold": lambda quick: cold_start.measure(cold_start.QUICK if quick else cold_start.FULL),
    "webhooks": lambda quick: webhooks.measure(webhooks.QUICK if quick else webhooks.FULL),
}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; the exit status."""
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds; writes no document")
    parser.add_argument("--only", choices=list(PARTS), help="one part; only webhooks writes its table")
    chosen = parser.parse_args(arguments)
    if os.getloadavg()[0] > QUIET_LOAD:
        print("bench: the machine is busy: requests a second and latencies will tell little", file=sys.stderr)
    sections = []
    try:
        for name, measure in PARTS.items():
            if chosen.only in (None, name):
                print(f"{name}:", flush=True)
                sections.append(measure(chosen.quick))
    except BenchFailed as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    for section in sections:
        print("\n" + table_of(section))
    if not chosen.quick and chosen.only in (None, "webhooks"):
        _write(sections)
    missed = [name for section in sections for name in missed_targets(section)]
    if missed:
        print(f"bench: {len(missed)} targets missed: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


def _write(sections: list[Section | FigureSection]) -> None:
    """Each kind of section between marks of its own, so that one can be measured again without the other."""
    now = datetime.now(UTC)
    compared = [section for section in sections if isinstance(section, Section)]
    told = [section for section in sections if isinstance(section, FigureSection)]
    if compared:
        write_report(DOCUMENT, report_of(compared, at=now))
    write_report(DOCUMENT, report_of(told, at=now), begin_mark=WEBHOOKS_BEGIN, end_mark=WEBHOOKS_END)
    print(f"wrote {DOCUMENT.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
