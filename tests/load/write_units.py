"""What the services ask of the table: a ledger in memory that counts the units which DynamoDB would bill.

A write costs a unit for each KB begun, of the item before or after, whichever is larger; in an index, one where the record
appears, disappears or is changed in what is projected, and two where it moves. In an atomic write all of them count twice.
A refused write costs what the item does that is there. A strongly consistent read costs a unit for each 4 KB begun.

Source: Amazon DynamoDB developer guide, "Capacity unit consumption for read and write operations" and "Using Global
Secondary Indexes in DynamoDB"; that index writes count twice in atomic writes is the careful reading of it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from payments_sandbox.adapters.dynamodb.items import Item, to_item
from payments_sandbox.adapters.dynamodb.table import PARTITIONS, POSITIONS, TABLE_KEY
from payments_sandbox.services.ports import CommitResult, Committed, Index, Record, Update
from tests.doubles.memory_store import MemoryStore

KB: Final = 1024
TABLE: Final = "table"


class MeteredStore(MemoryStore):
    """units: write units by index name, `table` included. by_partition: by index and partition, since the last `forget`.

    reads: units of reads by id; what pages cost follows from the number of shards.
    """

    def __init__(self, shards: Mapping[Index, int]) -> None:
        super().__init__()
        self._shards = shards
        self.units: Counter[str] = Counter()
        self.by_partition: Counter[tuple[Index, str]] = Counter()
        self.reads = Decimal(0)
        self.largest_bytes = 0

    def forget(self) -> None:
        """Count from nothing."""
        self.units.clear()
        self.by_partition.clear()
        self.reads = Decimal(0)

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        found = super().get(ids)
        self.reads += sum(-(-item_bytes(self._item(each)) // (4 * KB)) if each else 1 for each in found)
        return found

    def insert(self, record: Record) -> Record | None:
        existing = super().insert(record)
        if existing is None:
            self._meter(None, record, times=1)
        else:
            self.units[TABLE] += _units(item_bytes(self._item(existing)))
        return existing

    def commit(self, inserts: Sequence[Record], updates: Sequence[Update]) -> CommitResult:
        before = {update.record.id: self.records.get(update.record.id) for update in updates}
        result = super().commit(inserts, updates)
        if isinstance(result, Committed):
            for record in [*inserts, *(update.record for update in updates)]:
                self._meter(before.get(record.id), record, times=2)
        return result

    def _meter(self, before: Record | None, after: Record, *, times: int) -> None:
        old, new = (self._item(before) if before else {}), self._item(after)
        size = max(item_bytes(old), item_bytes(new))
        self.largest_bytes = max(self.largest_bytes, size)
        self.units[TABLE] += times * _units(size)
        for index in Index:
            for partition in _index_writes(index, old, new):
                self.units[index.value] += times
                self.by_partition[index, partition] += times

    def _item(self, record: Record) -> Item:
        return to_item(record, self._shards)


def item_bytes(item: Mapping[str, Any]) -> int:
    """An item's size as DynamoDB counts it. Source: developer guide, "DynamoDB item sizes and formats"."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _units(size: int) -> int:
    return -(-size // KB)


def _value_bytes(value: Mapping[str, str]) -> int:
    ((kind, content),) = value.items()
    # A number takes a byte for each two digits, and one more.
    return len(content.encode()) if kind == "S" else (len(content) + 1) // 2 + 1


def _index_writes(index: Index, old: Item, new: Item) -> Iterator[str]:
    """The partition of each write of an index: none, one, or a removal and an addition."""
    places = [
        (item[PARTITIONS[index]]["S"], item[POSITIONS[index]]["S"], item[TABLE_KEY]["S"])
        if PARTITIONS[index] in item
        else None
        for item in (old, new)
    ]
    if places[0] != places[1]:
        yield from (place[0] for place in places if place is not None)
