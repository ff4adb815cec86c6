"""Operations of the tag `snapshots`: worlds to go back to, and to begin from."""

from typing import Any

from payments_sandbox.domain.timestamps import format_timestamp
from payments_sandbox.http.operations.call import Call, OperationResult
from payments_sandbox.services.accounts.representations import render_account, render_new_api_key
from payments_sandbox.services.simulation import snapshots
from payments_sandbox.services.simulation.snapshots import Snapshot


async def create_snapshot(call: Call) -> OperationResult:
    """POST /v1/snapshots"""
    snapshot = await snapshots.take_snapshot(call.world, name=call.body.get("name"))
    return OperationResult(201, _render(snapshot))


async def list_snapshots(call: Call) -> OperationResult:
    """GET /v1/snapshots"""
    listed = snapshots.list_snapshots(call.world)
    return OperationResult(200, {"data": [_render(snapshot) for snapshot in listed]})


async def get_snapshot(call: Call) -> OperationResult:
    """GET /v1/snapshots/{snapshot_id}"""
    snapshot = snapshots.get_snapshot(call.world, call.path["snapshot_id"])
    return OperationResult(200, _render(snapshot))


async def delete_snapshot(call: Call) -> OperationResult:
    """DELETE /v1/snapshots/{snapshot_id}"""
    snapshots.delete_snapshot(call.world, call.path["snapshot_id"])
    return OperationResult(204)


async def restore_snapshot(call: Call) -> OperationResult:
    """POST /v1/snapshots/{snapshot_id}/restore"""
    snapshot, first = await snapshots.restore_snapshot(call.world, call.path["snapshot_id"])
    await call.settle_controls(first=first)
    return OperationResult(200, _render(snapshot))


async def fork_snapshot(call: Call) -> OperationResult:
    """POST /v1/snapshots/{snapshot_id}/fork"""
    account, api_key = await snapshots.fork_snapshot(
        call.world, call.path["snapshot_id"], name=call.body.get("name")
    )
    return OperationResult(201, {"account": render_account(account), "api_key": render_new_api_key(api_key)})


def _render(snapshot: Snapshot) -> dict[str, Any]:
    """The contract's `Snapshot`."""
    return {
        "snapshot_id": snapshot.snapshot_id,
        "name": snapshot.name,
        "created_at": format_timestamp(snapshot.created_at),
        "clock_at": format_timestamp(snapshot.clock_at),
        "records": snapshot.records,
    }
