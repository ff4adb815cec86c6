"""The worst case for the sharded indexes: one account and one card, thousands of authorizations a second.

Real authorizations by the real service, written as the real items; only the table is a stand-in that counts which
partition each write meets (`write_units.py`). A partition of an index takes 1,000 writes a second.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from payments_sandbox.domain.timestamps import SECOND_MS
from payments_sandbox.services.ports import Index
from payments_sandbox.services.world import plain_world
from tests.calls.payments import authorize
from tests.doubles.ports import ACCOUNT, FrozenClock, make_infrastructure
from tests.load.write_units import MeteredStore

PARTITION_WRITES_MAX: Final = 1_000
"""A second. Source: Amazon DynamoDB developer guide, "Partitions and data distribution"."""

SHARDS: Final = {Index.FEED: 16, Index.CARD: 16, Index.DUE: 8}
"""What `DynamoDbStore` spreads the indexes over unless it is told otherwise."""

RATE: Final = 5_000
SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Peaks:
    """The most writes that a partition met in any second, and how many partitions there are, by index."""

    rate: int
    seconds: int
    writes: Mapping[Index, int]
    partitions: Mapping[Index, int]


def simulate(rate: int = RATE, seconds: int = SECONDS, shards: Mapping[Index, int] = SHARDS) -> Peaks:
    """Authorize so many times a second, and look at each second. Ids follow from keys, so every run gives the same."""
    clock = FrozenClock()
    store = MeteredStore(shards)
    infrastructure = make_infrastructure(store, clock)
    peaks: Counter[Index] = Counter()
    partitions: dict[Index, set[str]] = {index: set() for index in Index}
    for second in range(seconds):
        store.forget()
        for number in range(rate):
            authorize(plain_world(infrastructure, ACCOUNT), f"simulated-{second}-{number}")
        clock.advance(ms=SECOND_MS)
        for (index, partition), writes in store.by_partition.items():
            peaks[index] = max(peaks[index], writes)
            partitions[index].add(partition)
        # A second's records are not looked at again, and millions would fill the memory.
        store.records.clear()
    return Peaks(rate, seconds, dict(peaks), {index: len(names) for index, names in partitions.items()})
