"""The AWS home of the payments sandbox: what a stack consists of, and what its parts are told of each other.

What stacks differ in is in `settings.py`, how a part is made in `components/`.
"""

import pulumi
import pulumi_aws as aws

from stacks.components.api import FUNCTION, PaymentsApi, PaymentsApiArgs
from stacks.components.budget import BudgetArgs, MonthlyBudget
from stacks.components.encryption import EncryptionKey, EncryptionKeyArgs
from stacks.components.function import FunctionArgs, FunctionDefaults, SandboxFunction
from stacks.components.ledger import Ledger, LedgerArgs
from stacks.components.observability import Observability, ObservabilityArgs
from stacks.components.settlement import SettlementArgs, SettlementWorkflow, read_definition
from stacks.components.site import Site, SiteArgs
from stacks.components.webhooks import Webhooks, WebhooksArgs
from stacks.dashboard import Watched
from stacks.gateway.document import load_contract
from stacks.place import Place
from stacks.settings import CONTRACT, SETTLEMENT, StackSettings

CONTRACT_IN_BUNDLE = "/var/task/openapi/payments.json"
API_TIMEOUT_S = 29
"""As long as API Gateway waits."""

settings = StackSettings.from_config()
provider = aws.Provider("aws", region=settings.region, default_tags={"tags": settings.tags})
within = pulumi.ResourceOptions(providers=[provider])
account = aws.get_caller_identity(opts=pulumi.InvokeOptions(provider=provider))
place = Place(account_id=account.account_id, region=settings.region, prefix=settings.prefix)

key = EncryptionKey("encryption", EncryptionKeyArgs(place=place, protect=settings.protect), within)

ledger = Ledger(
    "ledger",
    LedgerArgs(
        place=place,
        key=key,
        secret=pulumi.Output.secret(settings.ledger_secret),
        feed_shards=settings.feed_shards,
        protect=settings.protect,
        point_in_time_recovery=settings.point_in_time_recovery,
        write_units_max=settings.table_write_units_max,
        read_units_max=settings.table_read_units_max,
        warm_write_units=settings.table_warm_write_units,
        warm_read_units=settings.table_warm_read_units,
    ),
    within,
)

functions = FunctionDefaults(
    place=place,
    bundle=pulumi.FileArchive(str(settings.bundle_path)),
    key=key,
    log_level=settings.log_level,
    log_retention_days=settings.log_retention_days,
    trace=settings.trace,
)

api = PaymentsApi(
    "api",
    PaymentsApiArgs(
        place=place,
        key=key,
        contract=load_contract(CONTRACT),
        stage_name=settings.stack,
        versioned=settings.snap_start or settings.provisioned_concurrency > 0,
        open_accounts=settings.open_accounts,
        pages_may_call=bool(settings.cors_origins),
        default_plan_requests_per_minute=settings.default_plan_requests_per_minute,
        default_plan_burst=settings.default_plan_burst,
        demo_plan_requests_per_second=settings.demo_plan_requests_per_second,
        demo_plan_burst=settings.demo_plan_burst,
        stage_requests_per_second=settings.stage_requests_per_second,
        stage_burst=settings.stage_burst,
        accounts_per_second=settings.accounts_per_second,
        accounts_burst=settings.accounts_burst,
        access_logs=settings.access_logs,
        gateway_log_role=settings.gateway_log_role,
        log_retention_days=settings.log_retention_days,
        trace=settings.trace,
        domain_name=settings.domain_name,
        certificate_arn=settings.certificate_arn,
        hosted_zone_id=settings.hosted_zone_id,
    ),
    within,
)

api_function = SandboxFunction(
    FUNCTION,
    FunctionArgs(
        defaults=functions,
        entrypoint="lambda_api",
        settings={
            **ledger.settings(),
            **api.settings(),
            "kms_key_id": key.arn,
            "contract": CONTRACT_IN_BUNDLE,
            "cors_origins": ",".join(settings.cors_origins),
        },
        permissions=[*ledger.read_write(), *key.use(), *api.register_keys()],
        memory_mb=settings.api_memory_mb,
        timeout_s=API_TIMEOUT_S,
        reserved_concurrency=settings.concurrency_api,
        snap_start=settings.snap_start,
        provisioned_concurrency=settings.provisioned_concurrency,
    ),
    within,
)
api.serve_with(api_function)

webhooks = Webhooks(
    "webhooks",
    WebhooksArgs(
        defaults=functions,
        ledger=ledger,
        memory_mb=settings.worker_memory_mb,
        concurrency_relay=settings.concurrency_relay,
        concurrency_deliver=settings.concurrency_deliver,
        concurrency_sweep=settings.concurrency_sweep,
    ),
    within,
)

settlement = SettlementWorkflow(
    "settlement",
    SettlementArgs(
        defaults=functions,
        ledger=ledger,
        definition=read_definition(SETTLEMENT),
        schedule=settings.settlement_schedule,
        memory_mb=settings.worker_memory_mb,
        reserved_concurrency=settings.concurrency_settlement,
    ),
    within,
)

observability = Observability(
    "observability",
    ObservabilityArgs(
        place=place,
        key=key,
        watched=Watched(
            region=settings.region,
            api_name=api.rest_api_name,
            stage_name=api.stage_name,
            functions=[
                function.name for function in (api_function, *webhooks.functions, settlement.function)
            ],
            table_name=ledger.table_name,
            queue_name=webhooks.queue.name,
            dead_letter_names=[webhooks.dead_letters.name, settlement.dead_letters.name],
            state_machine_arn=settlement.state_machine_arn,
        ),
        alarm_email=settings.alarm_email,
    ),
    within,
)

if settings.budget_usd:
    MonthlyBudget(
        "budget",
        BudgetArgs(place=place, limit_usd=settings.budget_usd, email=settings.budget_email),
        within,
    )

if settings.site_path:
    site = Site(
        "site",
        SiteArgs(
            place=place,
            directory=settings.site_path,
            api_domain=api.origin_domain,
            api_stage=api.stage_name,
            protect=settings.protect,
        ),
        within,
    )
    pulumi.export("site_url", site.url)
    pulumi.export("site_bucket_name", site.bucket_name)

pulumi.export("api_url", api.url)
pulumi.export("demo_api_key", api.demo_api_key)
pulumi.export("dashboard_url", observability.dashboard_url)
pulumi.export("alarm_topic_arn", observability.alarm_topic_arn)
pulumi.export("table_name", ledger.table_name)
pulumi.export("topic_arn", webhooks.topic.arn)
pulumi.export("queue_url", webhooks.queue.url)
pulumi.export(
    "dead_letter_urls",
    {"webhooks": webhooks.dead_letters.url, "settlement": settlement.dead_letters.url},
)
pulumi.export("state_machine_arn", settlement.state_machine_arn)
pulumi.export(
    "function_names",
    {
        "api": api_function.name,
        "relay": webhooks.relay.name,
        "deliver": webhooks.deliver.name,
        "sweep": webhooks.sweep.name,
        "settlement": settlement.function.name,
    },
)
