"""Operations of the tag `accounts`: accounts and their API keys."""

from payments_sandbox.http.operations.call import Answer, Call
from payments_sandbox.services import accounts, worlds
from payments_sandbox.services.account_representations import (
    render_account,
    render_api_key,
    render_new_api_key,
)


async def get_account(call: Call) -> Answer:
    """GET /v1/account"""
    return Answer(200, render_account(accounts.get_account(call.ports, call.account_id)))


async def create_account(call: Call) -> Answer:
    """POST /v1/accounts"""
    name, seed = call.body.get("name"), call.body.get("seed")
    if seed is None:
        account, api_key = accounts.create_account(call.ports, name=name)
    else:
        account, api_key = worlds.create_seeded_account(call.ports, name=name, seed=seed)
    return Answer(201, {"account": render_account(account), "api_key": render_new_api_key(api_key)})


async def list_api_keys(call: Call) -> Answer:
    """GET /v1/api-keys"""
    keys = accounts.list_api_keys(call.ports, call.account_id)
    return Answer(200, {"data": [render_api_key(key) for key in keys]})


async def create_api_key(call: Call) -> Answer:
    """POST /v1/api-keys"""
    created = accounts.create_api_key(call.ports, call.account_id, label=call.body.get("label"))
    return Answer(201, render_new_api_key(created))


async def revoke_api_key(call: Call) -> Answer:
    """DELETE /v1/api-keys/{key_id}"""
    accounts.revoke_api_key(call.ports, call.caller, call.path["key_id"])
    return Answer(204)
