"""Operations of the tag `webhooks`: what was sent, and sending it again."""

from payments_sandbox.http.call import Answer, Call
from payments_sandbox.http.webhook_views import render_delivery
from payments_sandbox.services import webhook_deliveries


async def list_webhook_deliveries(call: Call) -> Answer:
    """GET /v1/webhook-deliveries"""
    query = call.query
    page = webhook_deliveries.list_deliveries(
        call.ports,
        call.account_id,
        endpoint_id=query.get("endpoint_id"),
        event_id=query.get("event_id"),
        state=query.get("state"),
        limit=query["limit"],
        cursor=query.get("cursor"),
    )
    return Answer(200, page.render(render_delivery))


async def get_webhook_delivery(call: Call) -> Answer:
    """GET /v1/webhook-deliveries/{delivery_id}"""
    delivery = webhook_deliveries.get_delivery(call.ports, call.account_id, call.path["delivery_id"])
    return Answer(200, render_delivery(delivery))


async def redeliver_webhook(call: Call) -> Answer:
    """POST /v1/webhook-deliveries/{delivery_id}/redeliver"""
    delivery = webhook_deliveries.redeliver(call.ports, call.account_id, call.path["delivery_id"])
    return Answer(202, render_delivery(delivery))
