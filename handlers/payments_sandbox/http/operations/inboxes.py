"""Operations of the tag `inboxes`: receivers inside the sandbox."""

from payments_sandbox.http.operations.call import Call, OperationResult
from payments_sandbox.http.operations.webhook_views import render_inbox, render_message
from payments_sandbox.services.webhooks import inboxes
from payments_sandbox.services.webhooks.inboxes import Inbox

_WEBHOOK_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


async def create_inbox(call: Call) -> OperationResult:
    """POST /v1/inbox"""
    inbox = inboxes.create_inbox(call.world)
    return OperationResult(201, render_inbox(inbox, _url(call, inbox)))


async def get_inbox(call: Call) -> OperationResult:
    """GET /v1/inbox/{inbox_id}"""
    inbox = inboxes.get_inbox(call.world, call.path["inbox_id"])
    return OperationResult(200, render_inbox(inbox, _url(call, inbox)))


async def post_to_inbox(call: Call) -> OperationResult:
    """POST /v1/inbox/{inbox_id}/hook"""
    inbox_id = call.path["inbox_id"]
    headers = {name: call.headers[name] for name in _WEBHOOK_HEADERS if name in call.headers}
    inboxes.receive(call.infrastructure, inbox_id, headers, call.raw_body, _path(inbox_id))
    return OperationResult(204)


async def list_inbox_messages(call: Call) -> OperationResult:
    """GET /v1/inbox/{inbox_id}/messages"""
    page = inboxes.list_messages(
        call.world,
        call.path["inbox_id"],
        limit=call.query["limit"],
        cursor=call.query.get("cursor"),
    )
    return OperationResult(200, page.render(render_message))


def _path(inbox_id: str) -> str:
    return f"/v1/inbox/{inbox_id}/hook"


def _url(call: Call, inbox: Inbox) -> str:
    return call.infrastructure.public_url + _path(inbox.inbox_id)
