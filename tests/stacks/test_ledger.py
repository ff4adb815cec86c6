"""The deployed table is the one that the program of the functions describes, bounded, encrypted and kept as it is set."""

from typing import Any

import pytest

from payments_sandbox.adapters.dynamodb.table import TABLE_NAME, TTL_ATTRIBUTE, table_definition
from tests.stacks.deployed import ACCOUNT, REGION, deploy


def table(**settings: Any) -> dict[str, Any]:
    return deploy(**settings).one("Table").plain


def as_created(made: dict[str, Any]) -> dict[str, Any]:
    """The deployed table as the arguments of CreateTable."""
    return {
        "TableName": made["name"],
        "BillingMode": made["billingMode"],
        "AttributeDefinitions": [
            {"AttributeName": each["name"], "AttributeType": each["type"]} for each in made["attributes"]
        ],
        "KeySchema": [{"AttributeName": made["hashKey"], "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": each["name"],
                "KeySchema": [
                    {"AttributeName": each["hashKey"], "KeyType": "HASH"},
                    {"AttributeName": each["rangeKey"], "KeyType": "RANGE"},
                ],
                "Projection": {
                    "ProjectionType": each["projectionType"],
                    **({"NonKeyAttributes": each["nonKeyAttributes"]} if "nonKeyAttributes" in each else {}),
                },
            }
            for each in made["globalSecondaryIndexes"]
        ],
        "StreamSpecification": {
            "StreamEnabled": made["streamEnabled"],
            "StreamViewType": made["streamViewType"],
        },
    }


def test_the_table_has_the_shape_that_the_adapter_reads_and_writes() -> None:
    made = table()
    assert made["name"] == f"payments-sandbox-dev-{TABLE_NAME}"
    assert as_created(made) == table_definition(made["name"])
    assert "rangeKey" not in made
    assert made["ttl"] == {"attributeName": TTL_ATTRIBUTE, "enabled": True}


def test_what_the_table_takes_is_bounded_and_so_are_its_indexes() -> None:
    made = table(table_write_units_max=300, table_read_units_max=400)
    bound = {"maxWriteRequestUnits": 300, "maxReadRequestUnits": 400}
    assert made["onDemandThroughput"] == bound
    assert [each["onDemandThroughput"] for each in made["globalSecondaryIndexes"]] == [bound] * 3


@pytest.mark.parametrize(
    ("settings", "warm"),
    [
        ({"table_warm_write_units": 24_000}, {"writeUnitsPerSecond": 24_000, "readUnitsPerSecond": 12_000}),
        ({"table_warm_read_units": 15_000}, {"writeUnitsPerSecond": 4_000, "readUnitsPerSecond": 15_000}),
    ],
)
def test_a_table_is_warmed_with_its_indexes(settings: dict[str, int], warm: dict[str, int]) -> None:
    made = table(**settings)
    assert made["warmThroughput"] == warm
    assert [each["warmThroughput"] for each in made["globalSecondaryIndexes"]] == [warm] * 3


def test_a_table_that_is_not_warmed_is_left_as_aws_makes_it() -> None:
    made = table()
    assert "warmThroughput" not in made
    assert not any("warmThroughput" in each for each in made["globalSecondaryIndexes"])


def test_the_table_is_encrypted_under_the_stacks_key() -> None:
    assert table()["serverSideEncryption"] == {
        "enabled": True,
        "kmsKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/k1",
    }


@pytest.mark.parametrize("kept", [True, False])
def test_the_table_is_kept_where_it_is_set_so(kept: bool) -> None:
    deployed = deploy(protect=kept, point_in_time_recovery=kept)
    made = deployed.one("Table")
    assert made.protect == kept
    assert made.plain["deletionProtectionEnabled"] == kept
    assert made.plain["pointInTimeRecovery"] == {"enabled": kept}
    key = deployed.one("Key")
    assert key.protect == kept, "without its key, a kept table is lost"
    assert key.plain["deletionWindowInDays"] == (30 if kept else 7)
