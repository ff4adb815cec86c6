"""Records as DynamoDB items, and positions as its sort keys.

`data` is one JSON string: one call of orjson each way, and integers stay integers. DynamoDB's own maps would store about
150 bytes less of an authorization, but wrap and unwrap every value. What indexes and people at the console look at
stands beside it as attributes.
"""

from collections.abc import Mapping
from typing import Any, Final
from zlib import crc32

import orjson

from payments_sandbox.adapters.dynamodb.table import PARTITIONS, TABLE_KEY
from payments_sandbox.services.ports import Index, Position, Record, index_key, require_data_size

Item = dict[str, Any]
"""An item in the wire's notation, `{"version": {"N": "1"}}`."""

TIME_DIGITS: Final = 15
"""Enough milliseconds for 31,000 years."""

_AFTER_ALL: Final = "~"


def item_key(record_id: str) -> Item:
    """The primary key of the record with this id."""
    return {TABLE_KEY: {"S": record_id}}


def to_item(record: Record, shards: Mapping[Index, int]) -> Item:
    """The record as an item. shards: over how many partitions each index is spread."""
    data = orjson.dumps(record.data)
    require_data_size(data)
    item: Item = {
        TABLE_KEY: {"S": record.id},
        "kind": {"S": record.kind},
        "account_id": {"S": record.account_id},
        "version": {"N": str(record.version)},
        "created_at": {"S": sort_key(Position(record.created_at, record.id))},
        "data": {"S": data.decode()},
    }
    if record.due_at is not None:
        item["due_at"] = {"S": sort_key(Position(record.due_at, record.id))}
    hashed = crc32(record.id.encode())
    for index in Index:
        key = index_key(index, record)
        if key is not None:
            item[PARTITIONS[index]] = {"S": partition(key, hashed % shards[index])}
    return item


def from_item(item: Mapping[str, Any]) -> Record:
    """The record that `to_item` made this item of."""
    return Record(
        id=item[TABLE_KEY]["S"],
        kind=item["kind"]["S"],
        account_id=item["account_id"]["S"],
        version=int(item["version"]["N"]),
        created_at=to_position(item["created_at"]["S"]).at_ms,
        data=orjson.loads(item["data"]["S"]),
        feed_key=_partition_key(item, Index.FEED),
        card_id=_partition_key(item, Index.CARD),
        due_at=to_position(item["due_at"]["S"]).at_ms if "due_at" in item else None,
    )


def partition(key: str, shard: int) -> str:
    """The index partition of a key's shard. Two keys never share one: what follows the last `#` is the shard."""
    return f"{key}#{shard}"


def sort_key(position: Position) -> str:
    """The position as text that sorts as positions do."""
    return f"{position.at_ms:0{TIME_DIGITS}d}#{position.id}"


def to_position(sort_key: str) -> Position:
    """The position that a sort key stands for."""
    return Position(int(sort_key[:TIME_DIGITS]), sort_key[TIME_DIGITS + 1 :])


def sort_key_bound(position: Position) -> str:
    """What sorts among an index's sort keys as the position does, times that no record has included.

    Negative times need nothing: their sign sorts before all digits.
    """
    if position.at_ms >= 10**TIME_DIGITS:
        return _AFTER_ALL
    return sort_key(position)


def _partition_key(item: Mapping[str, Any], index: Index) -> str | None:
    attribute = item.get(PARTITIONS[index])
    return None if attribute is None else str(attribute["S"]).rpartition("#")[0]
