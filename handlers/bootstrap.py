"""The one place where ports meet adapters, and the app is put together for each home."""

from pathlib import Path
from typing import Final

from starlette.types import ASGIApp

from handlers.adapters.system.clock import SystemClock
from handlers.adapters.system.limiter import TokenBucketLimiter
from handlers.adapters.system.principals import RecentPrincipals
from handlers.adapters.system.randomness import SystemRandomness
from handlers.domain.plans import PLANS
from handlers.http import accounts, cards, health, payments, test_cards, transactions
from handlers.http.app import HttpOptions, build_app
from handlers.http.contract import load_contract
from handlers.http.exchange import Handler
from handlers.services.accounts import authenticate, ensure_demo_account
from handlers.services.ledger_secret import bind_ledger_secret
from handlers.services.ports import Ports, RateLimiter, Store
from handlers.settings import LambdaSettings, LocalSettings, contract_path, origins

BODY_BYTES_MAX: Final = 16_384
"""What a request may hold: with it an entry, and the event that it becomes, stays under 20 kB."""

HANDLERS: Final[dict[str, Handler]] = {
    handler.__name__: handler
    for handler in (
        payments.authorize_payment,
        payments.capture_payment,
        payments.refund_payment,
        payments.void_payment,
        payments.increment_payment,
        transactions.list_transactions,
        transactions.get_transaction,
        cards.get_card,
        test_cards.list_test_cards,
        accounts.get_account,
        accounts.create_account,
        accounts.list_api_keys,
        accounts.create_api_key,
        accounts.revoke_api_key,
        health.get_health,
    )
}
"""Operation id to handler; the app refuses to be built when it is not exactly the contract's operations."""


def build_local(settings: LocalSettings, *, fast_path: bool = True) -> tuple[Ports, ASGIApp]:
    """The embedded home: SQLite, the key beside it, the demo account, Swagger UI. Close `ports.store` at the end.

    Raises StoreOpenError, SecretFileError or WrongLedgerSecret when the ledger or its key cannot be used.
    """
    from handlers.adapters.sqlite.store import SqliteStore
    from handlers.adapters.system.secret_file import load_secret

    db = Path(settings.db)
    store = SqliteStore(db)
    try:
        ports = _ports(store, load_secret(db.with_name(db.name + ".key")), TokenBucketLimiter(PLANS))
        bind_ledger_secret(ports)
        ensure_demo_account(ports)
        options = HttpOptions(
            docs=True,
            fast_path=fast_path,
            allowed_origins=origins(settings.cors_origins),
            body_bytes_max=BODY_BYTES_MAX,
            # `make lint` and the tests have validated the contract that is shipped.
            contract_is_valid=True,
        )
        return ports, build_app(
            load_contract(contract_path()), HANDLERS, ports, authenticate=authenticate, options=options
        )
    except BaseException:
        store.close()
        raise


def build_lambda(settings: LambdaSettings) -> ASGIApp:
    """The AWS home: DynamoDB; API Gateway counts the requests, so nothing is known of what is left of a quota."""
    from handlers.adapters.dynamodb.client import create_client
    from handlers.adapters.dynamodb.store import DynamoDbStore

    store = DynamoDbStore(create_client(), settings.table, feed_shards=settings.feed_shards)
    return build_lambda_app(settings, store)


def build_lambda_app(settings: LambdaSettings, store: Store) -> ASGIApp:
    """The AWS home's app on any store; what `build_lambda` and the benchmark share."""
    ports = _ports(store, settings.secret, GatewayLimiter())
    path = Path(settings.contract) if settings.contract else contract_path()
    options = HttpOptions(
        allowed_origins=origins(settings.cors_origins),
        body_bytes_max=BODY_BYTES_MAX,
        contract_is_valid=True,
    )
    return build_app(load_contract(path), HANDLERS, ports, authenticate=authenticate, options=options)


class GatewayLimiter:
    """`RateLimiter` where API Gateway's usage plans count: it cannot know what is left, so it says nothing."""

    def take(self, key_id: str, plan: str) -> None:
        return None


def _ports(store: Store, secret: bytes, limiter: RateLimiter) -> Ports:
    clock = SystemClock()
    return Ports(
        store=store,
        clock=clock,
        randomness=SystemRandomness(),
        limiter=limiter,
        principals=RecentPrincipals(clock),
        ledger_secret=secret,
    )
