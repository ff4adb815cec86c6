"""The benchmark: `make bench`, or `python -m tests.load.bench [--quick] [--only embedded|lambda|cold]`.

Measures ours beside what people would otherwise use, both sides in turn in one run, and compares the ratios with the
targets. A whole run rewrites the table in docs/performance.md; a quick or partial one only prints. Ends with 1 when a
target is missed, with 2 when something could not be measured. Everything stays on 127.0.0.1, ends by itself, and ends
only the processes that it started.
"""

import argparse
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from tests.load import cold_start, embedded, lambda_path
from tests.load.figures import Section, report_of, table_of, write_report
from tests.load.processes import ROOT, BenchFailed

DOCUMENT = ROOT / "docs/performance.md"
QUIET_LOAD = 1.0

PARTS: dict[str, Callable[[bool], Section]] = {
    "embedded": lambda quick: embedded.measure(embedded.QUICK if quick else embedded.FULL),
    "lambda": lambda quick: lambda_path.measure(lambda_path.QUICK if quick else lambda_path.FULL),
    "cold": lambda quick: cold_start.measure(cold_start.QUICK if quick else cold_start.FULL),
}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; the exit status."""
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds; writes no document")
    parser.add_argument("--only", choices=list(PARTS), help="one part; writes no document")
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
    if not chosen.quick and chosen.only is None:
        write_report(DOCUMENT, report_of(sections, at=datetime.now(UTC)))
        print(f"wrote {DOCUMENT.relative_to(ROOT)}")
    missed = [each.name for section in sections for each in section.comparisons if not each.met]
    if missed:
        print(f"bench: {len(missed)} targets missed: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
