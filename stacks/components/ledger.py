"""The `PaymentsLedger` table. Its shape is that of `handlers/payments_sandbox/adapters/dynamodb/table.py`, which a test compares.

On demand, so that it costs nothing idle; the maximum throughput bounds what it can cost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from stacks.components.encryption import EncryptionKey
from stacks.permissions import Statement
from stacks.place import Place

KEY = "transaction_id"
INDEXES: Mapping[str, tuple[str, str]] = {
    "feed": ("feed", "created_at"),
    "card_id": ("card_id", "created_at"),
    "due": ("due", "due_at"),
}
"""Each index's partition and sort key."""

INCLUDED: Mapping[str, Sequence[str]] = {"due": ("account_id",)}
"""What an index holds besides keys; the others hold keys only."""

NEW_TABLE_WRITE_UNITS = 4_000
NEW_TABLE_READ_UNITS = 12_000

TTL_ATTRIBUTE = "expires_at"
STREAM_VIEW_TYPE = "NEW_IMAGE"


@dataclass(frozen=True, slots=True)
class LedgerArgs:
    """protect: whether it refuses to be deleted. warm_*: 0 leaves it at what new tables take."""

    place: Place
    key: EncryptionKey
    secret: pulumi.Output[str]
    feed_shards: int
    protect: bool
    point_in_time_recovery: bool
    write_units_max: int
    read_units_max: int
    warm_write_units: int
    warm_read_units: int


class Ledger(pulumi.ComponentResource):
    """The table.

    Outputs: table_name, table_arn, stream_arn.
    Costs: idle 0 but for what is stored ($0.25 a GB and month, and $0.20 more with point-in-time recovery).
    """

    def __init__(self, name: str, args: LedgerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sandbox:ledger:Ledger", name, None, opts)
        keys = {KEY} | {attribute for pair in INDEXES.values() for attribute in pair}
        self._table = aws.dynamodb.Table(
            f"{name}-table",
            name=f"{args.place.prefix}-PaymentsLedger",
            billing_mode="PAY_PER_REQUEST",
            hash_key=KEY,
            attributes=[{"name": attribute, "type": "S"} for attribute in sorted(keys)],
            global_secondary_indexes=[_index(index, args) for index in INDEXES],
            stream_enabled=True,
            stream_view_type=STREAM_VIEW_TYPE,
            ttl={"attribute_name": TTL_ATTRIBUTE, "enabled": True},
            on_demand_throughput={
                "max_write_request_units": args.write_units_max,
                "max_read_request_units": args.read_units_max,
            },
            warm_throughput=_warm_throughput(args),
            point_in_time_recovery={"enabled": args.point_in_time_recovery},
            server_side_encryption={"enabled": True, "kms_key_arn": args.key.arn},
            deletion_protection_enabled=args.protect,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        self.table_name = self._table.name
        self.table_arn = self._table.arn
        self.stream_arn = self._table.stream_arn
        self._secret = args.secret
        self._feed_shards = args.feed_shards
        self.register_outputs(
            {"table_name": self.table_name, "table_arn": self.table_arn, "stream_arn": self.stream_arn}
        )

    def settings(self) -> dict[str, pulumi.Input[str]]:
        """What a function is told that writes to the ledger: the fields that its settings class has for it."""
        return {
            "table": self.table_name,
            "ledger_secret": self._secret,
            "feed_shards": str(self._feed_shards),
        }

    def read(self) -> Sequence[Statement]:
        """To read by id and by index."""
        indexes = pulumi.Output.concat(self.table_arn, "/index/*")
        return [
            Statement("ReadLedger", ["dynamodb:BatchGetItem", "dynamodb:GetItem"], [self.table_arn]),
            Statement("ReadIndexes", ["dynamodb:Query"], [indexes]),
        ]

    def read_write(self) -> Sequence[Statement]:
        """To read, and to put records. Nothing deletes, and nothing updates in place: a record is put over the version
        before it."""
        return [*self.read(), Statement("WriteLedger", ["dynamodb:PutItem"], [self.table_arn])]

    def follow(self) -> Sequence[Statement]:
        """To follow the stream of changes."""
        streams = pulumi.Output.concat(self.table_arn, "/stream/*")
        actions = ["DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"]
        return [Statement("FollowLedger", [f"dynamodb:{action}" for action in actions], [streams])]


def _index(index: str, args: LedgerArgs) -> aws.dynamodb.TableGlobalSecondaryIndexArgsDict:
    partition, position = INDEXES[index]
    made: aws.dynamodb.TableGlobalSecondaryIndexArgsDict = {
        "name": index,
        "hash_key": partition,
        "range_key": position,
        "projection_type": "INCLUDE" if index in INCLUDED else "KEYS_ONLY",
        "on_demand_throughput": {
            "max_write_request_units": args.write_units_max,
            "max_read_request_units": args.read_units_max,
        },
    }
    if index in INCLUDED:
        made["non_key_attributes"] = list(INCLUDED[index])
    if warm := _warm_throughput(args):
        made["warm_throughput"] = warm
    return made


def _warm_throughput(args: LedgerArgs) -> aws.dynamodb.TableWarmThroughputArgsDict | None:
    if not (args.warm_write_units or args.warm_read_units):
        return None
    # What is not asked for is what every new table takes.
    return {
        "write_units_per_second": args.warm_write_units or NEW_TABLE_WRITE_UNITS,
        "read_units_per_second": args.warm_read_units or NEW_TABLE_READ_UNITS,
    }
