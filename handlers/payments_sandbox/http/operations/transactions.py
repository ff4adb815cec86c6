"""Operations of the tag `transactions`: the ledger, read back."""

from payments_sandbox.http.operations.call import Call, OperationResult
from payments_sandbox.services.ledger import transactions
from payments_sandbox.services.ledger.representations import render_family, render_transaction
from payments_sandbox.services.ledger.transactions import Filter
from payments_sandbox.services.payments import network_messages
from payments_sandbox.services.payments.network_messages import render_network_messages


async def get_transaction(call: Call) -> OperationResult:
    """GET /v1/transactions/{transaction_id}"""
    family = transactions.get_transaction(call.world, call.path["transaction_id"])
    return OperationResult(200, render_family(family))


async def get_network_messages(call: Call) -> OperationResult:
    """GET /v1/transactions/{transaction_id}/iso8583"""
    messages = network_messages.get_network_messages(call.world, call.path["transaction_id"])
    return OperationResult(200, render_network_messages(messages))


async def list_transactions(call: Call) -> OperationResult:
    """GET /v1/transactions"""
    query = call.query
    wanted = Filter(
        card_id=query.get("card_id"),
        type=query.get("type"),
        status=query.get("status"),
        created_from=_moment(call, "created_from"),
        created_before=_moment(call, "created_before"),
    )
    listing = transactions.list_transactions(
        call.world, wanted, limit=query["limit"], cursor=query.get("cursor")
    )
    return OperationResult(200, listing.render(render_transaction))


def _moment(call: Call, name: str) -> int | None:
    text = call.query.get(name)
    return None if text is None else call.moment(f"query:{name}", text)
