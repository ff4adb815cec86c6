"""What roles may do, as statements of IAM policies. The owner of a resource says which actions on it belong together
(`ledger.read_write()`); whoever makes a role collects statements.

No statement allows every action, or anything on every resource, but where an action knows no narrower one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi


@dataclass(frozen=True, slots=True)
class Statement:
    """Allows actions on resources (ARNs), under a condition as IAM writes it. sid: says what for, in CamelCase."""

    sid: str
    actions: Sequence[str]
    resources: Sequence[pulumi.Input[str]]
    condition: Mapping[str, Any] | None = None


def role_policy(statements: Sequence[Statement]) -> pulumi.Output[str]:
    """The JSON of a role's policy."""
    return pulumi.Output.json_dumps(
        {"Version": "2012-10-17", "Statement": [_render(statement) for statement in statements]}
    )


def trust_policy(service: str, *, account_id: str | None = None) -> str:
    """The JSON of the policy that lets an AWS service take a role; account_id: only on behalf of this account."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    if account_id:
        statement["Condition"] = {"StringEquals": {"aws:SourceAccount": account_id}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _render(statement: Statement) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "Sid": statement.sid,
        "Effect": "Allow",
        "Action": list(statement.actions),
        "Resource": list(statement.resources),
    }
    if statement.condition:
        rendered["Condition"] = dict(statement.condition)
    return rendered
