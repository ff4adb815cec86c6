"""Operations of the tag `cards`."""

from payments_sandbox.http.operations.call import Answer, Call
from payments_sandbox.services import transactions
from payments_sandbox.services.representations import render_card_summary


async def get_card(call: Call) -> Answer:
    """GET /v1/cards/{card_id}"""
    card = transactions.get_card(call.ports, call.account_id, call.path["card_id"])
    return Answer(200, render_card_summary(card))
