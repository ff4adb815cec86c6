"""The KMS key that everything at rest is under: the ledger, queues, the topics, logs, webhook secrets and the functions'
environment.

One key, as each costs a dollar a month. Who may use it is said by the key's policy for services, and by roles' policies
for functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from stacks.permissions import Statement
from stacks.place import PARTITION, Place

DELETION_WINDOW_DAYS = 7
DELETION_WINDOW_PROTECTED_DAYS = 30


@dataclass(frozen=True, slots=True)
class EncryptionKeyArgs:
    """protect: whether it refuses to be deleted, as the ledger under it does."""

    place: Place
    protect: bool


class EncryptionKey(pulumi.ComponentResource):
    """The key, with an alias.

    Outputs: arn. Costs: $1 a month; a data key lasts minutes, so that requests cost nothing.
    """

    def __init__(
        self, name: str, args: EncryptionKeyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("sandbox:encryption:EncryptionKey", name, None, opts)
        key = aws.kms.Key(
            f"{name}-key",
            description=f"What {args.place.prefix} keeps at rest",
            enable_key_rotation=True,
            deletion_window_in_days=DELETION_WINDOW_PROTECTED_DAYS if args.protect else DELETION_WINDOW_DAYS,
            policy=pulumi.Output.json_dumps(_key_policy(args.place)),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        aws.kms.Alias(
            f"{name}-alias",
            name=f"alias/{args.place.prefix}",
            target_key_id=key.key_id,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn = key.arn
        self.register_outputs({"arn": self.arn})

    def use(self) -> Sequence[Statement]:
        """To seal and to open: what a function needs that sends to an encrypted queue or topic, or seals secrets."""
        return [Statement("UseKey", ["kms:Decrypt", "kms:GenerateDataKey"], [self.arn])]

    def decrypt(self) -> Sequence[Statement]:
        """To open only: what every function needs, to read its environment."""
        return [Statement("UseKey", ["kms:Decrypt"], [self.arn])]


def _key_policy(place: Place) -> dict[str, Any]:
    """The account decides by its roles' policies; services may use the key on the account's behalf, each for what it keeps."""
    account = f"arn:{PARTITION}:iam::{place.account_id}:root"
    of_account = {"StringEquals": {"aws:SourceAccount": place.account_id}}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "AccountDecidesByRolePolicies",
                "Effect": "Allow",
                "Principal": {"AWS": account},
                "Action": "kms:*",
                "Resource": "*",
            },
            {
                "Sid": "LedgerThroughDynamoDb",
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Action": [
                    "kms:Encrypt",
                    "kms:Decrypt",
                    "kms:ReEncrypt*",
                    "kms:GenerateDataKey*",
                    "kms:CreateGrant",
                    "kms:DescribeKey",
                ],
                "Resource": "*",
                "Condition": {
                    "StringEquals": {
                        "kms:CallerAccount": place.account_id,
                        "kms:ViaService": f"dynamodb.{place.region}.amazonaws.com",
                    }
                },
            },
            {
                "Sid": "NoticesAndAlarms",
                "Effect": "Allow",
                "Principal": {"Service": ["sns.amazonaws.com", "cloudwatch.amazonaws.com"]},
                "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
                "Resource": "*",
                "Condition": of_account,
            },
            {
                "Sid": "Logs",
                "Effect": "Allow",
                "Principal": {"Service": f"logs.{place.region}.amazonaws.com"},
                "Action": [
                    "kms:Encrypt",
                    "kms:Decrypt",
                    "kms:ReEncrypt*",
                    "kms:GenerateDataKey*",
                    "kms:DescribeKey",
                ],
                "Resource": "*",
                "Condition": {
                    "ArnLike": {"kms:EncryptionContext:aws:logs:arn": place.arn("logs", "log-group:*")}
                },
            },
        ],
    }
