"""The `PaymentsLedger` table as plain data: what tests create, and what the deployed table is compared with.

Write units, per record of at most 1 KB: one for the table and one for each index that lists it, as KEYS_ONLY entries
are small. An update costs an index nothing unless it moves the record there.
"""

from typing import TYPE_CHECKING, Any, Final

from payments_sandbox.services.ports import Index

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE_NAME: Final = "PaymentsLedger"
TABLE_KEY: Final = "transaction_id"

TTL_ATTRIBUTE: Final = "expires_at"
"""Seconds since the epoch, for kinds of records that may vanish; ledger entries never have it."""

STREAM_VIEW_TYPE: Final = "NEW_IMAGE"
"""The change feed is about new entries. What they replaced is never asked for, and would double the stream's bytes."""

PARTITIONS: Final = {Index.FEED: "feed", Index.CARD: "card_id", Index.DUE: "due"}
"""Each index's name, which is also the attribute it is partitioned by. That holds `key#shard`: one partition of an
index takes 1,000 writes a second, so that each key is spread over several."""

POSITIONS: Final = {Index.FEED: "created_at", Index.CARD: "created_at", Index.DUE: "due_at"}
"""The attribute that each index is sorted by. It holds `time#id`, the time in fixed width, so that it sorts as
`Position` does. It is the only place where an item has this time: every byte counts towards the write units."""


def table_definition(table_name: str = TABLE_NAME) -> dict[str, Any]:
    """The arguments of CreateTable."""
    key_attributes = {TABLE_KEY, *PARTITIONS.values(), *POSITIONS.values()}
    return {
        "TableName": table_name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": "S"} for name in sorted(key_attributes)
        ],
        "KeySchema": [{"AttributeName": TABLE_KEY, "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [_index_definition(index) for index in Index],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": STREAM_VIEW_TYPE},
    }


def create_table(client: "DynamoDBClient", table_name: str = TABLE_NAME) -> None:
    """Create the table and switch its time to live on; for tests, as stacks are deployed by the Pulumi program."""
    client.create_table(**table_definition(table_name))
    client.get_waiter("table_exists").wait(TableName=table_name)
    client.update_time_to_live(
        TableName=table_name,
        TimeToLiveSpecification={"Enabled": True, "AttributeName": TTL_ATTRIBUTE},
    )


def _index_definition(index: Index) -> dict[str, Any]:
    return {
        "IndexName": PARTITIONS[index],
        "KeySchema": [
            {"AttributeName": PARTITIONS[index], "KeyType": "HASH"},
            {"AttributeName": POSITIONS[index], "KeyType": "RANGE"},
        ],
        "Projection": _projection(index),
    }


def _projection(index: Index) -> dict[str, Any]:
    """Keys only; in the due index also whose a record is, so that what is due in one account can be asked for."""
    if index is Index.DUE:
        return {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["account_id"]}
    return {"ProjectionType": "KEYS_ONLY"}
