"""The REST API: what is imported from the deploy document, its stage, usage plans, the demo account's key, and its address.

It knows the function that serves it by name only, because the function is told the API's address and plans: the name is
what opens the circle. `serve_with` closes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from stacks.components.encryption import EncryptionKey
from stacks.components.function import LIVE, SandboxFunction
from stacks.gateway.document import DocumentArgs, deploy_document, document_hash, document_text
from stacks.permissions import Statement, trust_policy
from stacks.place import PARTITION, Place

FUNCTION = "api"
"""The name of the function that serves the API."""

ACCOUNT_CREATION = "v1/accounts/POST"
"""The method that makes accounts, as API Gateway's settings name methods."""

ACCESS_LOG = {
    "request_id": "$context.requestId",
    "time": "$context.requestTimeEpoch",
    "method": "$context.httpMethod",
    "route": "$context.resourcePath",
    "status": "$context.status",
    "error": "$context.error.responseType",
    "latency_ms": "$context.responseLatency",
    "integration_ms": "$context.integrationLatency",
    "api_key_id": "$context.identity.apiKeyId",
}
"""What is logged of a request: its route and never its path, which holds ids; the key's id, and never the key."""


@dataclass(frozen=True, slots=True)
class PaymentsApiArgs:
    """versioned: whether requests go to the function's alias. open_accounts: whether accounts are made without a key.

    domain_name, certificate_arn, hosted_zone_id: empty for none. gateway_log_role: whether this stack gives API Gateway the
    role that logs need.
    """

    place: Place
    key: EncryptionKey
    contract: Mapping[str, Any]
    stage_name: str
    versioned: bool
    open_accounts: bool
    pages_may_call: bool
    default_plan_requests_per_minute: int
    default_plan_burst: int
    demo_plan_requests_per_second: int
    demo_plan_burst: int
    stage_requests_per_second: int
    stage_burst: int
    accounts_per_second: int
    accounts_burst: int
    access_logs: bool
    gateway_log_role: bool
    log_retention_days: int
    trace: bool
    domain_name: str = ""
    certificate_arn: str = ""
    hosted_zone_id: str = ""


class PaymentsApi(pulumi.ComponentResource):
    """The API, without the function behind it.

    Outputs: url, of which paths such as /v1/health are parts; rest_api_name, stage_name; demo_api_key, a secret.
    Costs: idle 0; $3.50 per million requests.
    """

    def __init__(self, name: str, args: PaymentsApiArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sandbox:api:PaymentsApi", name, None, opts)
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self._function_arn = args.place.arn("lambda", f"function:{args.place.name(FUNCTION)}")
        self._api, self._stage = self._import()
        self._limit_stage()
        # API Gateway counts by the second.
        rate = round(args.default_plan_requests_per_minute / 60, 3)
        self._default_plan = self._plan("default", rate, args.default_plan_burst)
        self._demo_plan = self._plan("demo", args.demo_plan_requests_per_second, args.demo_plan_burst)
        self.demo_api_key = self._demo_key()
        self.origin_domain = pulumi.Output.format(
            "{0}.execute-api.{1}.amazonaws.com", self._api.id, args.place.region
        )
        self.url = pulumi.Output.format("https://{0}/{1}", self.origin_domain, args.stage_name)
        if args.domain_name:
            self.url = self._use_domain()
        self.rest_api_name = self._api.name
        self.stage_name = self._stage.stage_name
        self.register_outputs({"url": self.url, "stage_name": self.stage_name})

    def settings(self) -> dict[str, pulumi.Input[str]]:
        """What the function is told of the API: the fields that its settings class has for it."""
        return {
            "public_url": self.url,
            "default_usage_plan": self._default_plan.id,
            "demo_usage_plan": self._demo_plan.id,
            "demo_api_key": self.demo_api_key,
        }

    def register_keys(self) -> Sequence[Statement]:
        """To make the keys of accounts known to the gateway, and unknown again. API Gateway gives keys ids at random and has
        no narrower name for those of one API."""
        root = f"arn:{PARTITION}:apigateway:{self._args.place.region}::"
        plans = [
            pulumi.Output.concat(root, "/usageplans/", plan.id, "/keys")
            for plan in (self._default_plan, self._demo_plan)
        ]
        return [
            Statement("MakeKeys", ["apigateway:POST"], [f"{root}/apikeys", *plans]),
            Statement("DeleteKeys", ["apigateway:DELETE"], [f"{root}/apikeys/*"]),
        ]

    def serve_with(self, function: SandboxFunction) -> None:
        """Let the API call the function, which has to be named `FUNCTION`."""
        aws.lambda_.Permission(
            f"{self._name}-permission",
            action="lambda:InvokeFunction",
            function=function.name,
            qualifier=function.qualifier,
            principal="apigateway.amazonaws.com",
            source_arn=pulumi.Output.concat(self._api.execution_arn, "/", self._args.stage_name, "/*"),
            opts=self._child,
        )

    def _import(self) -> tuple[aws.apigateway.RestApi, aws.apigateway.Stage]:
        args = self._args
        document = deploy_document(
            args.contract,
            DocumentArgs(
                name=args.place.prefix,
                region=args.place.region,
                function_arn=self._function_arn + (f":{LIVE}" if args.versioned else ""),
                pages_may_call=args.pages_may_call,
                closed=() if args.open_accounts else ("create_account",),
            ),
        )
        api = aws.apigateway.RestApi(
            f"{self._name}-rest",
            name=args.place.prefix,
            description="The payments sandbox",
            body=document_text(document),
            put_rest_api_mode="overwrite",
            endpoint_configuration={"types": "REGIONAL"},
            opts=self._child,
        )
        deployment = aws.apigateway.Deployment(
            f"{self._name}-deployment",
            rest_api=api.id,
            triggers={"document": document_hash(document)},
            opts=self._child,
        )
        stage = aws.apigateway.Stage(
            f"{self._name}-stage",
            rest_api=api.id,
            deployment=deployment.id,
            stage_name=args.stage_name,
            xray_tracing_enabled=args.trace,
            **self._access_logs(),
        )
        return api, stage

    def _access_logs(self) -> dict[str, Any]:
        """The stage's log settings and options: API Gateway refuses the former before it has its role."""
        args = self._args
        if not args.access_logs:
            return {"opts": self._child}
        log_group = aws.cloudwatch.LogGroup(
            f"{self._name}-access-logs",
            name=f"/aws/apigateway/{args.place.prefix}",
            retention_in_days=args.log_retention_days,
            kms_key_id=args.key.arn,
            opts=self._child,
        )
        before = [self._log_role()] if args.gateway_log_role else []
        return {
            "access_log_settings": {
                "destination_arn": log_group.arn,
                "format": pulumi.Output.json_dumps(ACCESS_LOG),
            },
            "opts": pulumi.ResourceOptions(parent=self, depends_on=before),
        }

    def _log_role(self) -> aws.apigateway.Account:
        role = aws.iam.Role(
            f"{self._name}-log-role",
            name=self._args.place.name("gateway-logs"),
            assume_role_policy=trust_policy("apigateway.amazonaws.com"),
            opts=self._child,
        )
        attached = aws.iam.RolePolicyAttachment(
            f"{self._name}-log-policy",
            role=role.name,
            policy_arn=f"arn:{PARTITION}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs",
            opts=self._child,
        )
        return aws.apigateway.Account(
            f"{self._name}-account",
            cloudwatch_role_arn=role.arn,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[attached]),
        )

    def _limit_stage(self) -> None:
        """All callers together; and those who make accounts."""
        args = self._args
        limits = {
            "*/*": (args.stage_requests_per_second, args.stage_burst),
            ACCOUNT_CREATION: (args.accounts_per_second, args.accounts_burst),
        }
        for number, (path, (rate, burst)) in enumerate(limits.items()):
            aws.apigateway.MethodSettings(
                f"{self._name}-limits-{number}",
                rest_api=self._api.id,
                stage_name=self._stage.stage_name,
                method_path=path,
                settings={
                    "throttling_rate_limit": rate,
                    "throttling_burst_limit": burst,
                    # Metrics by method cost money, and execution logs hold requests.
                    "metrics_enabled": False,
                    "logging_level": "OFF",
                    "data_trace_enabled": False,
                },
                opts=self._child,
            )

    def _plan(self, plan: str, rate: float, burst: int) -> aws.apigateway.UsagePlan:
        return aws.apigateway.UsagePlan(
            f"{self._name}-plan-{plan}",
            name=self._args.place.name(plan),
            api_stages=[{"api_id": self._api.id, "stage": self._stage.stage_name}],
            throttle_settings={"rate_limit": rate, "burst_limit": burst},
            opts=self._child,
        )

    def _demo_key(self) -> pulumi.Output[str]:
        """A key that API Gateway makes up; the function makes the demo account with it."""
        key = aws.apigateway.ApiKey(
            f"{self._name}-demo-key",
            name=self._args.place.name("demo"),
            description="The demo account's key",
            opts=self._child,
        )
        aws.apigateway.UsagePlanKey(
            f"{self._name}-demo-plan-key",
            key_id=key.id,
            key_type="API_KEY",
            usage_plan_id=self._demo_plan.id,
            opts=self._child,
        )
        value: pulumi.Output[str] = pulumi.Output.secret(key.value)
        aws.ssm.Parameter(
            f"{self._name}-demo-key-parameter",
            name=f"/{self._args.place.prefix}/demo-api-key",
            description="The demo account's key, for whoever may read it and does not deploy",
            type="SecureString",
            key_id=self._args.key.arn,
            value=value,
            opts=self._child,
        )
        return value

    def _use_domain(self) -> pulumi.Output[str]:
        args = self._args
        domain = aws.apigateway.DomainName(
            f"{self._name}-domain",
            domain_name=args.domain_name,
            regional_certificate_arn=args.certificate_arn,
            endpoint_configuration={"types": "REGIONAL"},
            security_policy="TLS_1_2",
            opts=self._child,
        )
        aws.apigateway.BasePathMapping(
            f"{self._name}-domain-mapping",
            rest_api=self._api.id,
            stage_name=self._stage.stage_name,
            domain_name=domain.domain_name,
            opts=self._child,
        )
        if args.hosted_zone_id:
            aws.route53.Record(
                f"{self._name}-domain-record",
                zone_id=args.hosted_zone_id,
                name=args.domain_name,
                type="A",
                aliases=[
                    {
                        "name": domain.regional_domain_name,
                        "zone_id": domain.regional_zone_id,
                        "evaluate_target_health": False,
                    }
                ],
                opts=self._child,
            )
        return pulumi.Output.concat("https://", domain.domain_name)
