"""Operations of the tag `webhooks`: endpoints with their secrets, tests and grades; deliveries and redelivery."""

from typing import Any

from payments_sandbox.domain.timestamps import SECOND_MS
from payments_sandbox.http.operations.call import Call, OperationResult
from payments_sandbox.http.operations.webhook_views import render_delivery, render_endpoint
from payments_sandbox.services.webhooks import receiver_grader, webhook_deliveries, webhook_endpoints
from payments_sandbox.services.webhooks.webhook_endpoints import Chaos, EndpointChanges


async def create_webhook_endpoint(call: Call) -> OperationResult:
    """POST /v1/webhook-endpoints"""
    body = call.body
    endpoint, secret = webhook_endpoints.create_endpoint(
        call.world,
        url=body["url"],
        events=body.get("events", ["*"]),
        description=body.get("description"),
        enabled=body.get("enabled", True),
        chaos=_chaos(body),
    )
    return OperationResult(201, {**render_endpoint(endpoint), "secret": secret})


async def list_webhook_endpoints(call: Call) -> OperationResult:
    """GET /v1/webhook-endpoints"""
    endpoints = webhook_endpoints.list_endpoints(call.world)
    return OperationResult(200, {"data": [render_endpoint(endpoint) for endpoint in endpoints]})


async def get_webhook_endpoint(call: Call) -> OperationResult:
    """GET /v1/webhook-endpoints/{endpoint_id}"""
    endpoint = webhook_endpoints.get_endpoint(call.world, call.path["endpoint_id"])
    return OperationResult(200, render_endpoint(endpoint))


async def update_webhook_endpoint(call: Call) -> OperationResult:
    """PATCH /v1/webhook-endpoints/{endpoint_id}"""
    body = call.body
    changes = EndpointChanges(
        url=body.get("url"),
        description=body.get("description"),
        events=body.get("events"),
        enabled=body.get("enabled"),
        chaos=_chaos(body),
    )
    endpoint = webhook_endpoints.update_endpoint(call.world, call.path["endpoint_id"], changes)
    return OperationResult(200, render_endpoint(endpoint))


async def delete_webhook_endpoint(call: Call) -> OperationResult:
    """DELETE /v1/webhook-endpoints/{endpoint_id}"""
    endpoint_id = call.path["endpoint_id"]
    webhook_endpoints.delete_endpoint(call.world, endpoint_id)
    webhook_deliveries.cancel_deliveries(call.world, endpoint_id)
    return OperationResult(204)


async def rotate_webhook_secret(call: Call) -> OperationResult:
    """POST /v1/webhook-endpoints/{endpoint_id}/rotate-secret"""
    endpoint, secret = webhook_endpoints.rotate_secret(
        call.world, call.path["endpoint_id"], force=call.body.get("force", False)
    )
    return OperationResult(200, {**render_endpoint(endpoint), "secret": secret})


async def test_webhook_endpoint(call: Call) -> OperationResult:
    """POST /v1/webhook-endpoints/{endpoint_id}/test"""
    endpoint_id = call.path["endpoint_id"]
    event = receiver_grader.make_test_event(call.world, endpoint_id)
    delivery = webhook_deliveries.plan_test(call.world, endpoint_id, event)
    return OperationResult(202, render_delivery(delivery))


async def grade_webhook_endpoint(call: Call) -> OperationResult:
    """POST /v1/webhook-endpoints/{endpoint_id}/grade"""
    endpoint_id = call.path["endpoint_id"]
    grades = await receiver_grader.grade_receiver(call.world, call.sender, endpoint_id)
    probes: list[dict[str, Any]] = [
        {
            "probe": grade.probe,
            "expected": grade.expected,
            "passed": grade.passed,
            "status": grade.reply.status,
            "error": grade.reply.error,
            "duration_ms": grade.reply.duration_ms,
            "why": grade.why,
        }
        for grade in grades
    ]
    passed = sum(grade.passed for grade in grades)
    return OperationResult(200, {"passed": passed, "total": len(grades), "probes": probes})


async def redeliver_webhook_failures(call: Call) -> OperationResult:
    """POST /v1/webhook-endpoints/{endpoint_id}/redeliver"""
    count = webhook_deliveries.redeliver_failures(
        call.world, call.path["endpoint_id"], since_ms=call.moment("/since", call.body["since"])
    )
    return OperationResult(202, {"redelivered": count})


async def list_webhook_deliveries(call: Call) -> OperationResult:
    """GET /v1/webhook-deliveries"""
    query = call.query
    page = webhook_deliveries.list_deliveries(
        call.world,
        endpoint_id=query.get("endpoint_id"),
        event_id=query.get("event_id"),
        state=query.get("state"),
        limit=query["limit"],
        cursor=query.get("cursor"),
    )
    return OperationResult(200, page.render(render_delivery))


async def get_webhook_delivery(call: Call) -> OperationResult:
    """GET /v1/webhook-deliveries/{delivery_id}"""
    delivery = webhook_deliveries.get_delivery(call.world, call.path["delivery_id"])
    return OperationResult(200, render_delivery(delivery))


async def redeliver_webhook(call: Call) -> OperationResult:
    """POST /v1/webhook-deliveries/{delivery_id}/redeliver"""
    delivery = webhook_deliveries.redeliver(call.world, call.path["delivery_id"])
    return OperationResult(202, render_delivery(delivery))


def _chaos(body: dict[str, Any]) -> Chaos | None:
    chaos = body.get("chaos")
    if chaos is None:
        return None
    return Chaos(
        duplicate=chaos.get("duplicate", False),
        reorder=chaos.get("reorder", False),
        delay_ms=chaos.get("delay_seconds", 0) * SECOND_MS,
        drop_first=chaos.get("drop_first", 0),
        signature=chaos.get("signature", "valid"),
    )
