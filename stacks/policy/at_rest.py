"""What is kept: encrypted, in no public place, logs for a limited time, and production's ledger not to be lost."""

from collections.abc import Iterator, Sequence
from typing import Final

from stacks.policy.resource import UNKNOWN, Resource

BUCKET: Final = "aws:s3/bucket:Bucket"
PUBLIC_ACCESS_BLOCK: Final = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
FUNCTION: Final = "aws:lambda/function:Function"
LOG_GROUP: Final = "aws:cloudwatch/logGroup:LogGroup"
TABLE: Final = "aws:dynamodb/table:Table"

# Type to the properties of which one has to be set.
ENCRYPTED_BY: Final = {
    "aws:cloudwatch/logGroup:LogGroup": ("kmsKeyId",),
    "aws:dynamodb/table:Table": ("serverSideEncryption.enabled",),
    "aws:sns/topic:Topic": ("kmsMasterKeyId",),
    "aws:sqs/queue:Queue": ("kmsMasterKeyId", "sqsManagedSseEnabled"),
}
SECRET_PARAMETER: Final = "SecureString"
_PARAMETER: Final = "aws:ssm/parameter:Parameter"
_BLOCKS: Final = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


def is_encrypted_at_rest(resource: Resource) -> Iterator[str]:
    """Tables, queues, topics and logs are encrypted by a key, parameters are secure strings. Buckets always are, since 2023."""
    wanted = ENCRYPTED_BY.get(resource.type, ())
    if wanted and not any(resource.at(path) for path in wanted):
        yield f"is not encrypted at rest: set {' or '.join(wanted)}"
    if resource.type == _PARAMETER and resource.at("type") not in (SECRET_PARAMETER, UNKNOWN):
        yield f"keeps its value in the clear: type has to be {SECRET_PARAMETER}"


def keeps_logs_for_a_limited_time(resource: Resource) -> Iterator[str]:
    """Log groups say how long; without, they keep everything for ever, and are paid for it."""
    if resource.type == LOG_GROUP and not resource.at("retentionInDays"):
        yield "keeps logs for ever: set retentionInDays"


def functions_have_log_groups(resources: Sequence[Resource]) -> Iterator[tuple[Resource, str]]:
    """A function without a log group gets one from Lambda, which keeps everything for ever."""
    groups = {each.at("name") for each in resources if each.type == LOG_GROUP}
    for each in resources:
        if each.type == FUNCTION and UNKNOWN not in groups:
            group = each.at("loggingConfig.logGroup") or f"/aws/lambda/{each.at('name')}"
            if group is not UNKNOWN and group not in groups:
                yield each, f"has no log group {group}: Lambda would make one that keeps everything for ever"


def is_no_public_bucket(resource: Resource) -> Iterator[str]:
    """No access list opens a bucket, and what blocks public access blocks all of it. Policies: see access.py."""
    if resource.type in (BUCKET, "aws:s3/bucketAcl:BucketAcl"):
        acl = resource.at("acl")
        if acl is not UNKNOWN and str(acl).startswith(("public-", "authenticated-")):
            yield f"is open to everybody: acl is {acl}"
    if resource.type == PUBLIC_ACCESS_BLOCK:
        for name in _BLOCKS:
            if not resource.at(name):
                yield f"does not block all public access: {name} is not true"


def buckets_block_public_access(resources: Sequence[Resource]) -> Iterator[tuple[Resource, str]]:
    """Each bucket has a block of public access."""
    blocked = {each.at("bucket") for each in resources if each.type == PUBLIC_ACCESS_BLOCK}
    for each in resources:
        if each.type == BUCKET and UNKNOWN not in blocked and each.at("bucket") not in blocked:
            yield each, "has no BucketPublicAccessBlock"


def is_protected_in_production(resource: Resource) -> Iterator[str]:
    """Production's table is deleted neither by Pulumi nor by hand, and can be restored."""
    if resource.type == TABLE and resource.in_production:
        if not resource.protected:
            yield "is not protected: Pulumi would delete it with the stack"
        if not resource.at("deletionProtectionEnabled"):
            yield "can be deleted: set deletionProtectionEnabled"
        if not resource.at("pointInTimeRecovery.enabled"):
            yield "cannot be restored to a point in time: set pointInTimeRecovery.enabled"
