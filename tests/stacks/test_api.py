"""The API component: what is imported, who is let in and how often, where it is reached."""

import json
from typing import Any

import pytest

from payments_sandbox.domain.usage_plans import DEFAULT_PLAN, PLANS
from stacks.gateway.document import document_hash
from tests.stacks.deployed import ACCOUNT, DEMO_KEY, REGION, Deployed, Secret, deploy

DOMAIN: dict[str, Any] = {
    "domain_name": "api.example.com",
    "certificate_arn": f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/1",
}


def imported(deployed: Deployed) -> dict[str, Any]:
    return deployed.one("RestApi").document("body")


def limits(deployed: Deployed) -> dict[str, tuple[float, float]]:
    return {
        made.plain["methodPath"]: (
            made.plain["settings"]["throttlingRateLimit"],
            made.plain["settings"]["throttlingBurstLimit"],
        )
        for made in deployed.of_type("MethodSettings")
    }


def test_the_api_is_the_deploy_document_and_nothing_beside_it() -> None:
    deployed = deploy()
    api = deployed.one("RestApi").plain
    assert api["putRestApiMode"] == "overwrite", "what is no longer in the contract has to go"
    assert api["endpointConfiguration"] == {"types": "REGIONAL"}
    assert "/v1/authorize" in imported(deployed)["paths"]


def test_the_document_names_the_function_that_is_deployed() -> None:
    deployed = deploy()
    arn = deployed.one("Function", "api-function").outputs["arn"]
    assert f"functions/{arn}/invocations" in deployed.one("RestApi").plain["body"]


def test_a_changed_document_is_deployed_anew() -> None:
    first, second = deploy(), deploy(open_accounts=False)
    triggers = [each.one("Deployment").plain["triggers"]["document"] for each in (first, second)]
    assert triggers == [document_hash(imported(each)) for each in (first, second)]
    assert triggers[0] != triggers[1]


def test_a_deployment_serves_under_the_stage() -> None:
    deployed = deploy()
    stage = deployed.one("Stage").plain
    assert (stage["stageName"], stage["deployment"]) == ("dev", "api-deployment-id")


def test_the_gateway_may_call_the_function_for_this_stage_only() -> None:
    permission = deploy().one("Permission").plain
    assert permission["principal"] == "apigateway.amazonaws.com"
    assert permission["function"] == "payments-sandbox-dev-api"
    assert permission["sourceArn"] == f"arn:aws:execute-api:{REGION}:{ACCOUNT}:api-rest-id/dev/*"


def test_nothing_waits_in_a_circle() -> None:
    """The function is told the API's address, and the API names the function: one of them has to be made first."""
    deployed = deploy()
    assert "api-function" not in deployed.one("RestApi").after
    assert "api-function" not in deployed.one("Stage").after
    assert "api-rest" in deployed.one("Function", "api-function").after


# --- plans ---------------------------------------------------------------------------------------------------------


def test_the_default_plan_lets_through_what_the_embedded_home_does() -> None:
    plan = deploy().one("UsagePlan", "api-plan-default").plain
    embedded = PLANS[DEFAULT_PLAN]
    per_window = plan["throttleSettings"]["rateLimit"] * embedded.window_s
    assert per_window == pytest.approx(embedded.requests, abs=0.1)
    assert plan["throttleSettings"]["burstLimit"] == 20


def test_plans_are_those_that_accounts_can_have() -> None:
    deployed = deploy()
    assert {made.plain["name"] for made in deployed.of_type("UsagePlan")} == {
        f"payments-sandbox-dev-{plan}" for plan in PLANS
    }
    for made in deployed.of_type("UsagePlan"):
        assert made.plain["apiStages"] == [{"apiId": "api-rest-id", "stage": "dev"}]


def test_plans_and_the_stage_have_the_limits_that_are_set() -> None:
    deployed = deploy(
        default_plan_requests_per_minute=600,
        default_plan_burst=7,
        demo_plan_requests_per_second=9,
        demo_plan_burst=11,
        stage_requests_per_second=13,
        stage_burst=17,
        accounts_per_second=2,
        accounts_burst=3,
    )
    throttles = {made.name: made.plain["throttleSettings"] for made in deployed.of_type("UsagePlan")}
    assert throttles == {
        "api-plan-default": {"rateLimit": 10, "burstLimit": 7},
        "api-plan-demo": {"rateLimit": 9, "burstLimit": 11},
    }
    assert limits(deployed) == {"*/*": (13, 17), "v1/accounts/POST": (2, 3)}


def test_the_method_that_makes_accounts_is_one_of_the_contracts() -> None:
    """A limit on a method that does not exist would limit nothing."""
    deployed = deploy()
    for path in limits(deployed):
        if path != "*/*":
            route, method = path.rsplit("/", 1)
            assert method.lower() in imported(deployed)["paths"][f"/{route}"]


def test_methods_keep_no_metrics_that_cost_and_no_logs_that_hold_requests() -> None:
    for made in deploy().of_type("MethodSettings"):
        settings = made.plain["settings"]
        assert (settings["metricsEnabled"], settings["loggingLevel"], settings["dataTraceEnabled"]) == (
            False,
            "OFF",
            False,
        )


def test_accounts_can_be_closed() -> None:
    assert "security" not in imported(deploy())["paths"]["/v1/accounts"]["post"]
    assert imported(deploy(open_accounts=False))["paths"]["/v1/accounts"]["post"]["security"] == [
        {"ApiKey": []}
    ]


def test_pages_read_the_gateways_errors_where_pages_may_call() -> None:
    def allowed(deployed: Deployed) -> bool:
        throttled = imported(deployed)["x-amazon-apigateway-gateway-responses"]["THROTTLED"]
        return "gatewayresponse.header.Access-Control-Allow-Origin" in throttled["responseParameters"]

    assert allowed(deploy(cors_origins=["https://example.com"]))
    assert not allowed(deploy())


# --- the demo account's key ----------------------------------------------------------------------------------------


def test_the_demo_key_is_made_up_by_the_gateway_and_stands_under_the_demo_plan() -> None:
    deployed = deploy()
    assert "value" not in deployed.one("ApiKey").inputs
    (under,) = deployed.of_type("UsagePlanKey")
    assert (under.plain["keyId"], under.plain["usagePlanId"]) == ("api-demo-key-id", "api-plan-demo-id")


def test_the_demo_key_is_kept_in_parameter_store_under_the_key() -> None:
    parameter = deploy().one("Parameter")
    assert parameter.inputs["value"] == Secret(DEMO_KEY)
    assert (parameter.plain["type"], parameter.plain["keyId"]) == (
        "SecureString",
        f"arn:aws:kms:{REGION}:{ACCOUNT}:key/k1",
    )
    assert parameter.plain["name"] == "/payments-sandbox-dev/demo-api-key"


# --- access logs ---------------------------------------------------------------------------------------------------


def test_the_access_log_holds_routes_and_key_ids_and_neither_paths_nor_keys() -> None:
    settings = deploy().one("Stage").plain["accessLogSettings"]
    assert settings["destinationArn"].endswith(":log-group:/aws/apigateway/payments-sandbox-dev")
    logged = set(json.loads(settings["format"]).values())
    assert {"$context.requestId", "$context.resourcePath", "$context.status"} <= logged
    for told_nothing in (
        "$context.path",
        "$context.identity.apiKey",
        "$context.identity.sourceIp",
        "$input.body",
    ):
        assert told_nothing not in logged


def test_the_stage_waits_for_the_role_that_its_log_needs() -> None:
    deployed = deploy()
    assert "api-account" in deployed.one("Stage").after
    assert "api-log-policy" in deployed.one("Account").after
    attached = deployed.one("RolePolicyAttachment").plain
    assert attached["role"] == deployed.one("Role", "api-log-role").plain["name"]
    assert (
        attached["policyArn"] == "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
    )


def test_another_stack_may_keep_the_regions_log_role() -> None:
    deployed = deploy(gateway_log_role=False)
    assert not deployed.of_type("Account")
    assert "accessLogSettings" in deployed.one("Stage").plain


def test_access_logs_can_be_left_out() -> None:
    deployed = deploy(access_logs=False)
    assert not deployed.of_type("Account")
    assert "accessLogSettings" not in deployed.one("Stage").plain
    assert "/aws/apigateway/payments-sandbox-dev" not in {
        made.plain["name"] for made in deployed.of_type("LogGroup")
    }


# --- a domain of one's own -----------------------------------------------------------------------------------------


def test_without_a_domain_the_api_has_the_address_that_aws_gives_it() -> None:
    deployed = deploy()
    assert not deployed.of_type("DomainName")
    assert deployed.outputs["api_url"] == f"https://api-rest-id.execute-api.{REGION}.amazonaws.com/dev"


def test_a_domain_is_the_address_that_functions_and_people_are_told() -> None:
    deployed = deploy(**DOMAIN)
    domain = deployed.one("DomainName").plain
    assert (domain["domainName"], domain["securityPolicy"]) == ("api.example.com", "TLS_1_2")
    assert domain["regionalCertificateArn"] == DOMAIN["certificate_arn"]
    mapping = deployed.one("BasePathMapping").plain
    assert (mapping["restApi"], mapping["stageName"]) == ("api-rest-id", "dev")
    assert deployed.outputs["api_url"] == "https://api.example.com"
    environment = deployed.one("Function", "api-function").plain["environment"]["variables"]
    assert environment["SANDBOX_PUBLIC_URL"] == "https://api.example.com"
    assert not deployed.of_type("Record")


def test_a_zone_gets_the_domains_record() -> None:
    record = deploy(**DOMAIN, hosted_zone_id="Z9").one("Record").plain
    assert (record["zoneId"], record["name"], record["type"]) == ("Z9", "api.example.com", "A")
    assert record["aliases"] == [
        {
            "name": f"d-api-domain.execute-api.{REGION}.amazonaws.com",
            "zoneId": "Z1",
            "evaluateTargetHealth": False,
        }
    ]
