"""Who may do what: no role may do everything to everything, and nothing is open to everybody."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from stacks.policy.resource import UNKNOWN, Resource

# Type to where its documents are. Of roles: what they may do; of resources: who may do something to them.
IDENTITY_POLICIES: Final = {
    "aws:iam/policy:Policy": ("policy",),
    "aws:iam/role:Role": ("inlinePolicies",),
    "aws:iam/rolePolicy:RolePolicy": ("policy",),
}
RESOURCE_POLICIES: Final = {
    "aws:apigateway/restApiPolicy:RestApiPolicy": ("policy",),
    "aws:iam/role:Role": ("assumeRolePolicy",),
    "aws:kms/key:Key": ("policy",),
    "aws:s3/bucketPolicy:BucketPolicy": ("policy",),
    "aws:sns/topic:Topic": ("policy",),
    "aws:sns/topicPolicy:TopicPolicy": ("policy",),
    "aws:sqs/queue:Queue": ("policy",),
    "aws:sqs/queuePolicy:QueuePolicy": ("policy",),
}
WIDE_MANAGED_POLICIES: Final = ("/AdministratorAccess", "/IAMFullAccess", "/PowerUserAccess")
_ATTACHMENT: Final = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
_PERMISSION: Final = "aws:lambda/permission:Permission"


def allows_no_wildcard_on_everything(resource: Resource) -> Iterator[str]:
    """No statement of a role's policy allows actions with a `*` in them, or all but some, on every resource.

    A resource's own policy is another matter: in a key's, `*` means that key.
    """
    for statement in _statements(resource, IDENTITY_POLICIES):
        if statement.get("Effect") == "Allow" and _is_everything(statement):
            wide = [action for action in _listed(statement.get("Action")) if "*" in action]
            if wide:
                yield f"allows {', '.join(wide)} on every resource"
            if "NotAction" in statement:
                yield "allows all actions but some on every resource"
    if resource.type == _ATTACHMENT and str(resource.at("policyArn")).endswith(WIDE_MANAGED_POLICIES):
        yield f"attaches {resource.at('policyArn')}, which allows nearly everything"


def is_open_to_nobody_in_general(resource: Resource) -> Iterator[str]:
    """No policy of a resource lets everybody do something without a condition, and no role can be taken by everybody."""
    for statement in _statements(resource, RESOURCE_POLICIES):
        if statement.get("Effect") == "Allow" and _is_anybody(statement) and not statement.get("Condition"):
            yield f"lets everybody {', '.join(_listed(statement.get('Action')))}"
    if resource.type == _PERMISSION and resource.at("principal") == "*":
        yield "lets everybody invoke the function"


def _statements(resource: Resource, places: Mapping[str, tuple[str, ...]]) -> Iterator[Mapping[str, Any]]:
    for path in places.get(resource.type, ()):
        for document in _documents(resource.at(path)):
            statements = document["Statement"]
            yield from [statements] if isinstance(statements, Mapping) else statements


def _documents(value: Any) -> Iterator[Mapping[str, Any]]:
    """The policy of a text; those of all inline policies in a list; none where there is none, or not known yet."""
    if isinstance(value, str):
        yield json.loads(value)
    elif isinstance(value, list):
        for inline in value:
            yield from _documents(inline["policy"])
    elif value is not None and value is not UNKNOWN:
        raise TypeError(f"a policy is a text, or a list of inline policies, not {type(value).__name__}")


def _is_everything(statement: Mapping[str, Any]) -> bool:
    return "*" in _listed(statement.get("Resource")) or "NotResource" in statement


def _is_anybody(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal")
    if "NotPrincipal" in statement or principal == "*":
        return True
    return isinstance(principal, Mapping) and any("*" in _listed(each) for each in principal.values())


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)
