"""Operations of the tag `events`: what happened, read back."""

from payments_sandbox.http.operations.call import Call, OperationResult
from payments_sandbox.http.operations.webhook_views import render_event
from payments_sandbox.services.events import events


async def list_events(call: Call) -> OperationResult:
    """GET /v1/events"""
    wanted = call.query.get("type")
    page = events.list_events(
        call.world,
        types=[wanted] if wanted is not None else [],
        limit=call.query["limit"],
        cursor=call.query.get("cursor"),
    )
    return OperationResult(200, page.render(render_event))


async def get_event(call: Call) -> OperationResult:
    """GET /v1/events/{event_id}"""
    return OperationResult(200, render_event(events.get_event(call.world, call.path["event_id"])))
