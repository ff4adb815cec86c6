"""The functions of the AWS provider that a program may call while it runs."""

import json
from typing import Any

from tests.e2e.infra.aws.cloud import Cloud
from tests.e2e.infra.aws.inputs import InputsFailed

Json = dict[str, Any]


def answer(cloud: Cloud, token: str, arguments: Json) -> Json:
    """What the provider would answer. Raises InputsFailed for a function that is not known here."""
    match token:
        case "aws:index/getCallerIdentity:getCallerIdentity":
            identity = cloud.client("sts").get_caller_identity()
            return {
                "id": identity["Account"],
                "accountId": identity["Account"],
                "arn": identity["Arn"],
                "userId": identity["UserId"],
            }
        case "aws:index/getRegion:getRegion":
            names = dict.fromkeys(("id", "name", "region"), cloud.region)
            endpoint = f"ec2.{cloud.region}.amazonaws.com"
            return {**names, "description": cloud.region, "endpoint": endpoint}
        case "aws:index/getPartition:getPartition":
            return {
                "id": "aws",
                "partition": "aws",
                "dnsSuffix": "amazonaws.com",
                "reverseDnsPrefix": "com.amazonaws",
            }
        case "aws:iam/getPolicyDocument:getPolicyDocument":
            text = json.dumps(policy_document(arguments))
            return {"id": "policy", "json": text, "minifiedJson": text}
    raise InputsFailed(f"nothing answers the function {token}")


def policy_document(arguments: Json) -> Json:
    """The document that a list of statements makes."""
    statements = [statement(one) for one in arguments.get("statements", [])]
    return {"Version": arguments.get("version", "2012-10-17"), "Statement": statements}


def statement(given: Json) -> Json:
    made: Json = {"Effect": given.get("effect", "Allow")}
    for ours, theirs in (
        ("sid", "Sid"),
        ("actions", "Action"),
        ("notActions", "NotAction"),
        ("resources", "Resource"),
        ("notResources", "NotResource"),
    ):
        if ours in given:
            made[theirs] = given[ours]
    for ours, theirs in (("principals", "Principal"), ("notPrincipals", "NotPrincipal")):
        if ours in given:
            everybody = given[ours] == [{"type": "*", "identifiers": ["*"]}]
            made[theirs] = "*" if everybody else {one["type"]: one["identifiers"] for one in given[ours]}
    conditions: dict[str, Json] = {}
    for condition in given.get("conditions", []):
        conditions.setdefault(condition["test"], {})[condition["variable"]] = condition["values"]
    if conditions:
        made["Condition"] = conditions
    return made
