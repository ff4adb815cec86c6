"""Operations of the tag `accounts`: accounts and their API keys."""

from payments_sandbox.http.operations.call import Call, OperationResult
from payments_sandbox.services.accounts import accounts
from payments_sandbox.services.accounts.representations import (
    render_account,
    render_api_key,
    render_new_api_key,
)
from payments_sandbox.services.simulation import world_copies


async def get_account(call: Call) -> OperationResult:
    """GET /v1/account"""
    return OperationResult(200, render_account(accounts.get_account(call.infrastructure, call.account_id)))


async def create_account(call: Call) -> OperationResult:
    """POST /v1/accounts"""
    name, seed = call.body.get("name"), call.body.get("seed")
    if seed is None:
        account, api_key = accounts.create_account(call.infrastructure, name=name)
    else:
        account, api_key = world_copies.create_seeded_account(call.infrastructure, name=name, seed=seed)
    return OperationResult(201, {"account": render_account(account), "api_key": render_new_api_key(api_key)})


async def list_api_keys(call: Call) -> OperationResult:
    """GET /v1/api-keys"""
    keys = accounts.list_api_keys(call.infrastructure, call.account_id)
    return OperationResult(200, {"data": [render_api_key(key) for key in keys]})


async def create_api_key(call: Call) -> OperationResult:
    """POST /v1/api-keys"""
    created = accounts.create_api_key(call.infrastructure, call.account_id, label=call.body.get("label"))
    return OperationResult(201, render_new_api_key(created))


async def revoke_api_key(call: Call) -> OperationResult:
    """DELETE /v1/api-keys/{key_id}"""
    accounts.revoke_api_key(call.infrastructure, call.caller, call.path["key_id"])
    return OperationResult(204)
