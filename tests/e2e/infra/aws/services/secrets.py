"""What secrets are kept with: KMS keys and SSM parameters."""

from tests.e2e.infra.aws.cloud import Cloud, Created
from tests.e2e.infra.aws.inputs import Inputs


def create_key(cloud: Cloud, inputs: Inputs) -> Created:
    kms = cloud.client("kms")
    request = inputs.pick(
        description="Description",
        keyUsage="KeyUsage",
        customerMasterKeySpec="KeySpec",
        multiRegion="MultiRegion",
    )
    if "policy" in inputs:
        request["Policy"] = inputs.json_text("policy")
    tags = [{"TagKey": key, "TagValue": value} for key, value in cloud.tags(inputs).items()]
    key = kms.create_key(Tags=tags, **request)["KeyMetadata"]
    if inputs.get("enableKeyRotation"):
        kms.enable_key_rotation(
            KeyId=key["KeyId"], **inputs.pick(rotationPeriodInDays="RotationPeriodInDays")
        )
    inputs.set_aside("nothing is ever destroyed here", "deletionWindowInDays")
    outputs = {"keyId": key["KeyId"], "arn": key["Arn"], "tagsAll": cloud.tags(inputs)}
    return Created(
        key["KeyId"], {**outputs, **({"policy": request["Policy"]} if "Policy" in request else {})}
    )


def create_alias(cloud: Cloud, inputs: Inputs) -> Created:
    kms = cloud.client("kms")
    name = inputs.get("name") or f"alias/{inputs.name}"
    kms.create_alias(AliasName=name, TargetKeyId=inputs["targetKeyId"])
    target = kms.describe_key(KeyId=name)["KeyMetadata"]["Arn"]
    return Created(name, {"name": name, "arn": cloud.arn("kms", name), "targetKeyArn": target})


def put_parameter(cloud: Cloud, inputs: Inputs) -> Created:
    name = inputs.physical_name()
    made = cloud.client("ssm").put_parameter(
        Name=name,
        Value=inputs["value"],
        Type=inputs["type"],
        Tags=cloud.tag_list(inputs),
        **inputs.pick(description="Description", keyId="KeyId", tier="Tier", dataType="DataType"),
    )
    arn = cloud.arn("ssm", f"parameter/{name.lstrip('/')}")
    outputs = {"name": name, "arn": arn, "version": made["Version"], "tagsAll": cloud.tags(inputs)}
    return Created(name, {**outputs, "tier": inputs.get("tier", "Standard")})


MAPPINGS = {
    "aws:kms/key:Key": create_key,
    "aws:kms/alias:Alias": create_alias,
    "aws:ssm/parameter:Parameter": put_parameter,
}
