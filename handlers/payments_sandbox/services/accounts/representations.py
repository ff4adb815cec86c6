"""How accounts and API keys look to clients: the contract's schemas."""

from typing import Any

from payments_sandbox.domain.timestamps import format_timestamp
from payments_sandbox.domain.usage_plans import PLANS
from payments_sandbox.services.accounts.accounts import Account, ApiKey, NewApiKey

Json = dict[str, Any]


def render_account(account: Account) -> Json:
    """The contract's `Account`."""
    plan = PLANS[account.plan]
    return {
        "account_id": account.account_id,
        "name": account.name,
        "plan": {"name": plan.name, "requests": plan.requests, "window_seconds": plan.window_s},
        "seed": account.seed,
        "created_at": format_timestamp(account.created_at),
    }


def render_api_key(key: ApiKey) -> Json:
    """The contract's `ApiKey`."""
    return {
        "key_id": key.key_id,
        "label": key.label,
        "last4": key.last4,
        "created_at": format_timestamp(key.created_at),
        "revoked_at": None if key.revoked_at is None else format_timestamp(key.revoked_at),
    }


def render_new_api_key(new: NewApiKey) -> Json:
    """The contract's `NewApiKey`: the one time that the secret is shown."""
    return {**render_api_key(new.api_key), "secret": new.secret}
