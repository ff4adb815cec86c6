"""DynamoDB tables."""

from typing import Any

from tests.e2e.infra.aws.cloud import Cloud, Created
from tests.e2e.infra.aws.inputs import Inputs

THROUGHPUT = {"maxReadRequestUnits": "MaxReadRequestUnits", "maxWriteRequestUnits": "MaxWriteRequestUnits"}


def create_table(cloud: Cloud, inputs: Inputs) -> Created:
    dynamodb = cloud.client("dynamodb")
    name = inputs.physical_name()
    request: dict[str, Any] = {
        "TableName": name,
        "AttributeDefinitions": [
            attribute.pick(name="AttributeName", type="AttributeType")
            for attribute in inputs.blocks("attributes")
        ],
        "KeySchema": key_schema(inputs),
        "Tags": cloud.tag_list(inputs),
        **inputs.pick(
            billingMode="BillingMode",
            tableClass="TableClass",
            deletionProtectionEnabled="DeletionProtectionEnabled",
        ),
    }
    indexes = [global_index(index) for index in inputs.blocks("globalSecondaryIndexes")]
    if indexes:
        request["GlobalSecondaryIndexes"] = indexes
    if inputs.get("streamEnabled"):
        request["StreamSpecification"] = {
            "StreamEnabled": True,
            **inputs.pick(streamViewType="StreamViewType"),
        }
    maximum = inputs.block("onDemandThroughput")
    if maximum is not None:
        request["OnDemandThroughput"] = maximum.pick(**THROUGHPUT)
    warm = inputs.block("warmThroughput")
    if warm is not None:
        request["WarmThroughput"] = warm.pick(
            readUnitsPerSecond="ReadUnitsPerSecond", writeUnitsPerSecond="WriteUnitsPerSecond"
        )
    encryption = inputs.block("serverSideEncryption")
    if encryption is not None:
        request["SSESpecification"] = {
            **encryption.pick(enabled="Enabled", kmsKeyArn="KMSMasterKeyId"),
            **({"SSEType": "KMS"} if encryption.get("enabled") else {}),
        }
    table = dynamodb.create_table(**request)["TableDescription"]
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    switch_on_time_to_live(dynamodb, name, inputs)
    switch_on_recovery(dynamodb, name, inputs)
    outputs = {"name": name, "arn": table["TableArn"], "tagsAll": cloud.tags(inputs)}
    if "LatestStreamArn" in table:
        outputs |= {"streamArn": table["LatestStreamArn"], "streamLabel": table["LatestStreamLabel"]}
    return Created(name, outputs)


def key_schema(inputs: Inputs) -> list[dict[str, str]]:
    """The partition key, and the sort key where there is one."""
    keys = [{"AttributeName": inputs["hashKey"], "KeyType": "HASH"}]
    if "rangeKey" in inputs:
        keys.append({"AttributeName": inputs["rangeKey"], "KeyType": "RANGE"})
    return keys


def global_index(index: Inputs) -> dict[str, Any]:
    """One of the table's indexes, its keys given in either of the two ways there are."""
    given = [key.pick(attributeName="AttributeName", keyType="KeyType") for key in index.blocks("keySchemas")]
    request: dict[str, Any] = {
        "IndexName": index["name"],
        "KeySchema": given or key_schema(index),
        "Projection": index.pick(projectionType="ProjectionType", nonKeyAttributes="NonKeyAttributes"),
    }
    maximum = index.block("onDemandThroughput")
    if maximum is not None:
        request["OnDemandThroughput"] = maximum.pick(**THROUGHPUT)
    warm = index.block("warmThroughput")
    if warm is not None:
        request["WarmThroughput"] = warm.pick(
            readUnitsPerSecond="ReadUnitsPerSecond", writeUnitsPerSecond="WriteUnitsPerSecond"
        )
    return request


def switch_on_time_to_live(dynamodb: Any, table_name: str, inputs: Inputs) -> None:
    ttl = inputs.block("ttl")
    if ttl is not None:
        specification = ttl.pick(attributeName="AttributeName", enabled="Enabled")
        dynamodb.update_time_to_live(TableName=table_name, TimeToLiveSpecification=specification)


def switch_on_recovery(dynamodb: Any, table_name: str, inputs: Inputs) -> None:
    recovery = inputs.block("pointInTimeRecovery")
    if recovery is not None and recovery["enabled"]:
        dynamodb.update_continuous_backups(
            TableName=table_name,
            PointInTimeRecoverySpecification={
                "PointInTimeRecoveryEnabled": True,
                **recovery.pick(recoveryPeriodInDays="RecoveryPeriodInDays"),
            },
        )


MAPPINGS = {"aws:dynamodb/table:Table": create_table}
