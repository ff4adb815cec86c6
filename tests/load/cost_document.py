"""`make cost`: simulates the indexes and writes docs/cost.md. The model is in `stacks/cost/`, which knows no handlers."""

from stacks.cost.document import PATH, Simulated, SimulatedIndex, render
from tests.load.feed_simulation import SHARDS, Peaks, simulate


def simulated(peaks: Peaks) -> Simulated:
    """The simulation's result as the document takes it."""
    return Simulated(
        peaks.rate,
        peaks.seconds,
        [SimulatedIndex(index.value, peaks.partitions[index], peaks.writes[index]) for index in SHARDS],
    )


def main() -> None:
    """Simulate, write, say so."""
    PATH.write_text(render(simulated(simulate())), "utf-8")
    print(f"{PATH} is written")


if __name__ == "__main__":
    main()
