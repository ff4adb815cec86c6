"""IAM roles and the policies on them."""

from tests.e2e.infra.aws.cloud import Cloud, Created
from tests.e2e.infra.aws.inputs import Inputs


def create_role(cloud: Cloud, inputs: Inputs) -> Created:
    iam = cloud.client("iam")
    name = inputs.physical_name()
    trust = inputs.json_text("assumeRolePolicy")
    role = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=trust,
        Tags=cloud.tag_list(inputs),
        **inputs.pick(
            description="Description",
            path="Path",
            maxSessionDuration="MaxSessionDuration",
            permissionsBoundary="PermissionsBoundary",
        ),
    )["Role"]
    for policy in inputs.blocks("inlinePolicies"):
        iam.put_role_policy(
            RoleName=name, PolicyName=policy["name"], PolicyDocument=policy.json_text("policy")
        )
    for arn in inputs.get("managedPolicyArns", default=[]):
        iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    return Created(
        name,
        {
            "name": name,
            "arn": role["Arn"],
            "uniqueId": role["RoleId"],
            "assumeRolePolicy": trust,
            "tagsAll": cloud.tags(inputs),
        },
    )


def create_role_policy(cloud: Cloud, inputs: Inputs) -> Created:
    name = inputs.physical_name()
    role, policy = inputs["role"], inputs.json_text("policy")
    cloud.client("iam").put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=policy)
    return Created(f"{role}:{name}", {"name": name, "policy": policy})


def create_policy(cloud: Cloud, inputs: Inputs) -> Created:
    name, document = inputs.physical_name(), inputs.json_text("policy")
    policy = cloud.client("iam").create_policy(
        PolicyName=name,
        PolicyDocument=document,
        Tags=cloud.tag_list(inputs),
        **inputs.pick(description="Description", path="Path"),
    )["Policy"]
    outputs = {"name": name, "arn": policy["Arn"], "policyId": policy["PolicyId"], "policy": document}
    return Created(policy["Arn"], {**outputs, "tagsAll": cloud.tags(inputs)})


def attach_role_policy(cloud: Cloud, inputs: Inputs) -> Created:
    role, arn = inputs["role"], inputs["policyArn"]
    cloud.client("iam").attach_role_policy(RoleName=role, PolicyArn=arn)
    return Created(f"{role}/{arn}")


MAPPINGS = {
    "aws:iam/role:Role": create_role,
    "aws:iam/rolePolicy:RolePolicy": create_role_policy,
    "aws:iam/policy:Policy": create_policy,
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": attach_role_policy,
}
