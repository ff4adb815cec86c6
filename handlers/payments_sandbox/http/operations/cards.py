"""Operations of the tag `cards`."""

from payments_sandbox.http.operations.call import Call, OperationResult
from payments_sandbox.services.ledger import transactions
from payments_sandbox.services.ledger.representations import render_card_summary


async def get_card(call: Call) -> OperationResult:
    """GET /v1/cards/{card_id}"""
    card = transactions.get_card(call.world, call.path["card_id"])
    return OperationResult(200, render_card_summary(card))
