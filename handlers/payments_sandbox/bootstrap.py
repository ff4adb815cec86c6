"""The one place where ports meet adapters, and the app is put together for each home."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.types import ASGIApp

from payments_sandbox.adapters.apigateway.limiter import GatewayLimiter
from payments_sandbox.adapters.iso8583.packer import Iso8583Packer
from payments_sandbox.adapters.lazy import lazy
from payments_sandbox.adapters.system.clock import SystemClock
from payments_sandbox.adapters.system.limiter import TokenBucketLimiter
from payments_sandbox.adapters.system.principals import TTL_MS as PRINCIPAL_TTL_MS
from payments_sandbox.adapters.system.principals import RecentPrincipals
from payments_sandbox.adapters.system.randomness import SystemRandomness
from payments_sandbox.domain.usage_plans import DEFAULT_PLAN, DEMO_PLAN, PLANS
from payments_sandbox.http.operations.call import Handler
from payments_sandbox.http.pipeline.access_log import AccessLog
from payments_sandbox.http.pipeline.app import HttpOptions, build_app
from payments_sandbox.http.pipeline.lazy_handlers import LazyHandler
from payments_sandbox.http.reading.contract import OperationSpec, load_contract
from payments_sandbox.services.accounts.accounts import authenticate, ensure_demo_account
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ledger.ledger_secret import bind_ledger_secret, is_bound
from payments_sandbox.services.ports import ApiKeyRegistry, SecretBox, Sender, Store
from payments_sandbox.settings import (
    DeliverSettings,
    LambdaSettings,
    LocalSettings,
    RelaySettings,
    SettlementSettings,
    SweepSettings,
    contract_path,
    origins,
)

if TYPE_CHECKING:
    from payments_sandbox.adapters.webhooks.sender import HttpSender
    from payments_sandbox.workers.dispatcher import Dispatcher
    from payments_sandbox.workers.relay import BatchResponse
    from payments_sandbox.workers.settlement import SettlementTasks
    from payments_sandbox.workers.sweep import Sweeper

GATEWAY_BUDGET_S: Final = 20
"""API Gateway gives up on a request after 29 seconds."""


@dataclass(frozen=True, slots=True)
class LocalSandbox:
    """The embedded home. dispatcher: runs beside the server. Then close, in this order, sender and `infrastructure.store`."""

    infrastructure: Infrastructure
    app: ASGIApp
    dispatcher: "Dispatcher"
    sender: "HttpSender"


def build_local(
    settings: LocalSettings, *, public_url: str = "", access_log: AccessLog | None = None
) -> LocalSandbox:
    """The embedded home: SQLite, the key beside it, the demo account, Swagger UI, webhooks from the same process.

    public_url: where the server will be reached. access_log: what takes a line for each request, in place of the logger.

    Raises StoreOpenError, SecretFileError or WrongLedgerSecret when the ledger or its key cannot be used.
    """
    from payments_sandbox.adapters.sqlite.group_commit import SqliteGroupCommit
    from payments_sandbox.adapters.sqlite.store import SqliteStore
    from payments_sandbox.adapters.system.secret_box import FileSecretBox
    from payments_sandbox.adapters.system.secret_file import load_secret
    from payments_sandbox.adapters.webhooks.sender import HttpSender
    from payments_sandbox.workers.dispatcher import ATTEMPTS_MAX, Dispatcher

    db = Path(settings.db)
    store = SqliteStore(db)
    try:
        secret = load_secret(db.with_name(db.name + ".key"), make=not is_bound(store))
        clock = SystemClock()
        # As many connections are kept as there are attempts at once.
        sender = HttpSender(loopback=True, idle_max=ATTEMPTS_MAX)
        infrastructure = Infrastructure(
            store=store,
            clock=clock,
            randomness=SystemRandomness(),
            limiter=TokenBucketLimiter(PLANS),
            principals=RecentPrincipals(clock),
            secret_box=FileSecretBox(secret),
            ledger_secret=secret,
            group=SqliteGroupCommit(store),
            sender=sender,
            loopback_webhooks=True,
            public_url=public_url,
            packer=Iso8583Packer(),
        )
        bind_ledger_secret(infrastructure)
        ensure_demo_account(infrastructure)
        options = HttpOptions(
            docs=True,
            allowed_origins=origins(settings.cors_origins),
            # `make lint` and the tests have validated the contract that is shipped.
            contract_is_valid=True,
            access_log=access_log,
        )
        contract = load_contract(contract_path())
        app = build_app(
            contract, infrastructure, authenticate=authenticate, find_handler=_load, options=options
        )
        return LocalSandbox(infrastructure, app, Dispatcher(infrastructure, store, sender), sender)
    except BaseException:
        store.close()
        raise


def build_lambda(settings: LambdaSettings) -> ASGIApp:
    """The AWS home: DynamoDB; API Gateway counts the requests, so nothing is known of what is left of a quota."""
    from payments_sandbox.adapters.dynamodb.client import create_client
    from payments_sandbox.adapters.dynamodb.store import DynamoDbStore

    store = DynamoDbStore(create_client(), settings.table, feed_shards=settings.feed_shards)
    return build_lambda_app(settings, store)


def build_lambda_infrastructure(settings: LambdaSettings, store: Store) -> Infrastructure:
    """The AWS home's infrastructure on any store. What only webhooks need is imported and connected at its first use, so that the
    start of a function that takes payments does not pay for it."""
    clock = SystemClock()
    return Infrastructure(
        store=store,
        clock=clock,
        randomness=SystemRandomness(),
        limiter=GatewayLimiter(),
        principals=RecentPrincipals(clock),
        secret_box=lazy(partial(_build_secret_box, settings)),
        ledger_secret=settings.secret,
        sender=lazy(_build_public_sender),
        public_url=settings.public_url,
        cache_lag_ms=PRINCIPAL_TTL_MS,
        request_budget_s=GATEWAY_BUDGET_S,
        key_registry=lazy(partial(_build_key_registry, settings)) if settings.default_usage_plan else None,
        demo_api_key=settings.demo_api_key,
        packer=Iso8583Packer(),
    )


def build_lambda_app(settings: LambdaSettings, store: Store) -> ASGIApp:
    """The AWS home's app on any store; what `build_lambda` and the benchmark share."""
    infrastructure = build_lambda_infrastructure(settings, store)
    path = Path(settings.contract) if settings.contract else contract_path()
    options = HttpOptions(allowed_origins=origins(settings.cors_origins), contract_is_valid=True)
    return build_app(
        load_contract(path),
        infrastructure,
        authenticate=authenticate,
        find_handler=_load_payments,
        options=options,
    )


def build_relay(settings: RelaySettings) -> "Callable[[Sequence[Mapping[str, Any]]], BatchResponse]":
    """The AWS home's relay, from the table's stream to the topic; called with the records of a batch."""
    from payments_sandbox.adapters.dynamodb.items import from_item
    from payments_sandbox.adapters.sns.client import create_client
    from payments_sandbox.adapters.sns.publisher import SnsPublisher
    from payments_sandbox.workers.relay import relay_batch

    return partial(relay_batch, SnsPublisher(create_client(), settings.topic_arn), from_item)


def build_deliver(
    settings: DeliverSettings,
) -> "Callable[[Sequence[Mapping[str, Any]], Callable[[], int]], Coroutine[Any, Any, BatchResponse]]":
    """The AWS home's deliverer, from the queue to the receivers; called with the records of a batch, and with what tells
    how many milliseconds are left for it."""
    from payments_sandbox.adapters.kms.client import create_client as create_kms_client
    from payments_sandbox.adapters.kms.secret_box import KmsSecretBox
    from payments_sandbox.adapters.sqs.client import create_client as create_sqs_client
    from payments_sandbox.adapters.sqs.queue import SqsDeliveryQueue
    from payments_sandbox.workers.deliver import deliver_batch

    infrastructure = replace(
        _build_worker_infrastructure(settings.table, settings.feed_shards, settings.secret),
        secret_box=KmsSecretBox(create_kms_client(), settings.kms_key_id),
    )
    queue = SqsDeliveryQueue(create_sqs_client(), settings.queue_url)
    return partial(deliver_batch, infrastructure, _build_public_sender(), queue)


def build_sweep(settings: SweepSettings) -> "Sweeper":
    """The AWS home's sweeper, from the table's due index to the queue, and to the ledger again."""
    from payments_sandbox.adapters.sqs.client import create_client as create_sqs_client
    from payments_sandbox.adapters.sqs.queue import SqsDeliveryQueue
    from payments_sandbox.workers.sweep import Sweeper

    infrastructure = _build_worker_infrastructure(settings.table, settings.feed_shards, settings.secret)
    return Sweeper(infrastructure, SqsDeliveryQueue(create_sqs_client(), settings.queue_url))


def _build_worker_infrastructure(table: str, feed_shards: int, ledger_secret: bytes) -> Infrastructure:
    """The infrastructure of an AWS function that works on the ledger and serves no requests."""
    from payments_sandbox.adapters.dynamodb.client import create_client
    from payments_sandbox.adapters.dynamodb.store import DynamoDbStore

    clock = SystemClock()
    return Infrastructure(
        store=DynamoDbStore(create_client(), table, feed_shards=feed_shards),
        clock=clock,
        randomness=SystemRandomness(),
        limiter=GatewayLimiter(),
        principals=RecentPrincipals(clock),
        ledger_secret=ledger_secret,
    )


def build_settlement(settings: SettlementSettings) -> "SettlementTasks":
    """The AWS home's settlement: its tasks, on the table."""
    from payments_sandbox.workers.settlement import SettlementTasks

    infrastructure = _build_worker_infrastructure(settings.table, settings.feed_shards, settings.secret)
    return SettlementTasks(infrastructure)


def _load(operation: OperationSpec) -> Handler:
    """The handler of an operation, imported at once: a local start may take longer than a first request."""
    return LazyHandler(operation).load()


def _load_payments(operation: OperationSpec) -> Handler:
    """The handler of an operation; a function that starts cold imports at once what takes payments, and no more."""
    handler = LazyHandler(operation)
    return handler.load() if operation.tag == "payments" else handler


def _build_secret_box(settings: LambdaSettings) -> SecretBox:
    from payments_sandbox.adapters.kms.client import create_client
    from payments_sandbox.adapters.kms.secret_box import KmsSecretBox

    return KmsSecretBox(create_client(), settings.kms_key_id)


def _build_key_registry(settings: LambdaSettings) -> ApiKeyRegistry:
    from payments_sandbox.adapters.apigateway.client import create_client
    from payments_sandbox.adapters.apigateway.key_registry import GatewayKeyRegistry

    usage_plans = {DEFAULT_PLAN: settings.default_usage_plan, DEMO_PLAN: settings.demo_usage_plan}
    return GatewayKeyRegistry(create_client(), usage_plans)


def _build_public_sender() -> Sender:
    from payments_sandbox.adapters.webhooks.sender import HttpSender

    return HttpSender(loopback=False)
