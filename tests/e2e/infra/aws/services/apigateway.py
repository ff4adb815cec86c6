"""API Gateway: REST APIs from a document, their stages, and the keys and plans of their callers."""

import json
from typing import Any

from tests.e2e.infra.aws.cloud import Cloud, Created
from tests.e2e.infra.aws.inputs import Inputs
from tests.e2e.infra.aws.rest_api_document import import_document, settings_of

METHOD_SETTINGS = {
    "metricsEnabled": "metrics/enabled",
    "loggingLevel": "logging/loglevel",
    "dataTraceEnabled": "logging/dataTrace",
    "throttlingRateLimit": "throttling/rateLimit",
    "throttlingBurstLimit": "throttling/burstLimit",
    "cachingEnabled": "caching/enabled",
}


def create_rest_api(cloud: Cloud, inputs: Inputs) -> Created:
    client = cloud.client("apigateway")
    body = inputs.json_text("body")
    document = json.loads(body)
    settings = settings_of(document)
    settings |= inputs.pick(
        name="name",
        description="description",
        apiKeySource="apiKeySource",
        binaryMediaTypes="binaryMediaTypes",
        minimumCompressionSize="minimumCompressionSize",
        disableExecuteApiEndpoint="disableExecuteApiEndpoint",
        policy="policy",
    )
    if "minimumCompressionSize" in settings:
        settings["minimumCompressionSize"] = int(settings["minimumCompressionSize"])
    endpoint = inputs.block("endpointConfiguration")
    if endpoint is not None:
        settings["endpointConfiguration"] = {
            **endpoint.pick(vpcEndpointIds="vpcEndpointIds", ipAddressType="ipAddressType"),
            "types": [endpoint["types"]] if isinstance(endpoint["types"], str) else endpoint["types"],
        }
    inputs.set_aside("the document is translated, so there are no warnings of an import", "failOnWarnings")
    inputs.set_aside("an API is only ever imported anew", "putRestApiMode")
    api = client.create_rest_api(tags=cloud.tags(inputs), **settings)
    api_id = api["id"]
    import_document(client, api_id, document)
    return Created(
        api_id,
        {
            "name": api["name"],
            "body": body,
            "arn": f"arn:aws:apigateway:{cloud.region}::/restapis/{api_id}",
            "executionArn": cloud.arn("execute-api", api_id),
            "rootResourceId": client.get_resources(restApiId=api_id)["items"][0]["id"],
            "tagsAll": cloud.tags(inputs),
        },
    )


def create_deployment(cloud: Cloud, inputs: Inputs) -> Created:
    inputs.set_aside("nothing is deployed twice", "triggers")
    made = cloud.client("apigateway").create_deployment(
        restApiId=inputs["restApi"], **inputs.pick(description="description", variables="variables")
    )
    return Created(made["id"], {"createdDate": made["createdDate"].isoformat()})


def create_stage(cloud: Cloud, inputs: Inputs) -> Created:
    client = cloud.client("apigateway")
    api_id, name = inputs["restApi"], inputs["stageName"]
    client.create_stage(
        restApiId=api_id,
        stageName=name,
        deploymentId=inputs["deployment"],
        tags=cloud.tags(inputs),
        **inputs.pick(description="description", variables="variables", xrayTracingEnabled="tracingEnabled"),
    )
    logs = inputs.block("accessLogSettings")
    if logs is not None:
        patch(client.update_stage, api_id, name, {
            "/accessLogSettings/destinationArn": logs["destinationArn"],
            "/accessLogSettings/format": logs["format"],
        })  # fmt: skip
    return Created(
        f"{api_id}-{name}",
        {
            "arn": f"arn:aws:apigateway:{cloud.region}::/restapis/{api_id}/stages/{name}",
            "executionArn": cloud.arn("execute-api", f"{api_id}/{name}"),
            "invokeUrl": f"{cloud.url}/_aws/execute-api/{api_id}/{name}",
            "tagsAll": cloud.tags(inputs),
        },
    )


def set_method_settings(cloud: Cloud, inputs: Inputs) -> Created:
    api_id, stage, path = inputs["restApi"], inputs["stageName"], inputs["methodPath"]
    settings = inputs.block("settings")
    assert settings is not None, "it is required"
    changes = {
        f"/{path}/{theirs}": settings.get(ours)
        for ours, theirs in METHOD_SETTINGS.items()
        if ours in settings
    }
    patch(cloud.client("apigateway").update_stage, api_id, stage, changes)
    return Created(f"{api_id}-{stage}-{path}")


def patch(update: Any, api_id: str, stage: str, changes: dict[str, Any]) -> None:
    """Change a stage. Booleans are written as JSON has them."""
    operations = [
        {"op": "replace", "path": path, "value": value if isinstance(value, str) else json.dumps(value)}
        for path, value in changes.items()
    ]
    update(restApiId=api_id, stageName=stage, patchOperations=operations)


def set_account(cloud: Cloud, inputs: Inputs) -> Created:
    role = inputs["cloudwatchRoleArn"]
    operation = {"op": "replace", "path": "/cloudwatchRoleArn", "value": role}
    cloud.client("apigateway").update_account(patchOperations=[operation])
    return Created("api-gateway-account")


def put_gateway_response(cloud: Cloud, inputs: Inputs) -> Created:
    api_id, kind = inputs["restApiId"], inputs["responseType"]
    cloud.client("apigateway").put_gateway_response(
        restApiId=api_id,
        responseType=kind,
        **inputs.pick(
            statusCode="statusCode",
            responseParameters="responseParameters",
            responseTemplates="responseTemplates",
        ),
    )
    return Created(f"aggr-{api_id}-{kind}")


def create_api_key(cloud: Cloud, inputs: Inputs) -> Created:
    made = cloud.client("apigateway").create_api_key(
        name=inputs.physical_name(),
        enabled=inputs.get("enabled", default=True),
        tags=cloud.tags(inputs),
        **inputs.pick(value="value", description="description", customerId="customerId"),
    )
    arn = f"arn:aws:apigateway:{cloud.region}::/apikeys/{made['id']}"
    outputs = {"name": made["name"], "value": made["value"], "arn": arn}
    return Created(made["id"], {**outputs, "tagsAll": cloud.tags(inputs)})


def create_usage_plan(cloud: Cloud, inputs: Inputs) -> Created:
    request: dict[str, Any] = {"name": inputs.physical_name(), **inputs.pick(description="description")}
    request["apiStages"] = [stage_of_plan(stage) for stage in inputs.blocks("apiStages")]
    throttle, quota = inputs.block("throttleSettings"), inputs.block("quotaSettings")
    if throttle is not None:
        request["throttle"] = throttle.pick(rateLimit="rateLimit", burstLimit="burstLimit")
    if quota is not None:
        request["quota"] = quota.pick(limit="limit", offset="offset", period="period")
    made = cloud.client("apigateway").create_usage_plan(tags=cloud.tags(inputs), **request)
    arn = f"arn:aws:apigateway:{cloud.region}::/usageplans/{made['id']}"
    return Created(made["id"], {"name": made["name"], "arn": arn, "tagsAll": cloud.tags(inputs)})


def stage_of_plan(stage: Inputs) -> dict[str, Any]:
    throttles = {
        method["path"]: method.pick(rateLimit="rateLimit", burstLimit="burstLimit")
        for method in stage.blocks("throttles")
    }
    return {**stage.pick(apiId="apiId", stage="stage"), **({"throttle": throttles} if throttles else {})}


def add_key_to_plan(cloud: Cloud, inputs: Inputs) -> Created:
    made = cloud.client("apigateway").create_usage_plan_key(
        usagePlanId=inputs["usagePlanId"], keyId=inputs["keyId"], keyType=inputs["keyType"]
    )
    return Created(made["id"], {"name": made.get("name", ""), "value": made.get("value", "")})


def create_domain_name(cloud: Cloud, inputs: Inputs) -> Created:
    request: dict[str, Any] = inputs.pick(
        domainName="domainName",
        regionalCertificateArn="regionalCertificateArn",
        certificateArn="certificateArn",
        securityPolicy="securityPolicy",
    )
    endpoint = inputs.block("endpointConfiguration")
    if endpoint is not None:
        types = endpoint["types"]
        request["endpointConfiguration"] = {"types": [types] if isinstance(types, str) else types}
    made = cloud.client("apigateway").create_domain_name(tags=cloud.tags(inputs), **request)
    name = made["domainName"]
    return Created(
        name,
        {
            "arn": f"arn:aws:apigateway:{cloud.region}::/domainnames/{name}",
            "regionalDomainName": made.get("regionalDomainName", name),
            "regionalZoneId": made.get("regionalHostedZoneId", "Z1"),
            "tagsAll": cloud.tags(inputs),
        },
    )


def map_base_path(cloud: Cloud, inputs: Inputs) -> Created:
    domain, path = inputs["domainName"], inputs.get("basePath", "")
    cloud.client("apigateway").create_base_path_mapping(
        domainName=domain,
        restApiId=inputs["restApi"],
        **({"basePath": path} if path else {}),
        **inputs.pick(stageName="stage"),
    )
    return Created(f"{domain}/{path}")


MAPPINGS = {
    "aws:apigateway/restApi:RestApi": create_rest_api,
    "aws:apigateway/deployment:Deployment": create_deployment,
    "aws:apigateway/stage:Stage": create_stage,
    "aws:apigateway/methodSettings:MethodSettings": set_method_settings,
    "aws:apigateway/account:Account": set_account,
    "aws:apigateway/response:Response": put_gateway_response,
    "aws:apigateway/apiKey:ApiKey": create_api_key,
    "aws:apigateway/usagePlan:UsagePlan": create_usage_plan,
    "aws:apigateway/usagePlanKey:UsagePlanKey": add_key_to_plan,
    "aws:apigateway/domainName:DomainName": create_domain_name,
    "aws:apigateway/basePathMapping:BasePathMapping": map_base_path,
}
