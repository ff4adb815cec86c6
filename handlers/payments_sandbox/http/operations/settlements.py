"""Operations of the tag `settlements`: settling, the settlements, their reports, and when days end."""

from typing import Any

from payments_sandbox.domain.settlement import format_cutoff, parse_cutoff
from payments_sandbox.domain.timestamps import format_timestamp
from payments_sandbox.http.operations.call import Call, OperationResult
from payments_sandbox.http.operations.settlement_views import render_answers, render_report, write_csv
from payments_sandbox.services.settlement import settlement_reports, settlement_schedule, settlements
from payments_sandbox.services.settlement.representations import render_settlement
from payments_sandbox.services.settlement.settlement_schedule import Schedule

_CSV_TYPE = "text/csv; charset=utf-8"


async def create_settlements(call: Call) -> OperationResult:
    """POST /v1/settlements"""
    up_to = call.body.get("up_to")
    made = settlements.settle_on_demand(
        call.world,
        up_to=None if up_to is None else call.moment("/up_to", up_to),
        discrepancies=call.body.get("discrepancies", []),
    )
    return OperationResult(200, {"data": [render_settlement(settlement) for settlement in made]})


async def list_settlements(call: Call) -> OperationResult:
    """GET /v1/settlements"""
    page = settlements.list_settlements(
        call.world, limit=call.query["limit"], cursor=call.query.get("cursor")
    )
    return OperationResult(200, page.render(render_settlement))


async def get_settlement(call: Call) -> OperationResult:
    """GET /v1/settlements/{settlement_id}"""
    settlement = settlements.get_settlement(call.world, call.path["settlement_id"])
    return OperationResult(200, render_settlement(settlement))


async def get_settlement_report(call: Call) -> OperationResult:
    """GET /v1/settlements/{settlement_id}/report"""
    report = settlement_reports.get_report(call.world, call.path["settlement_id"])
    if call.query["format"] == "json":
        return OperationResult(200, render_report(report))
    disposition = f'attachment; filename="{report.settlement.settlement_id}.csv"'
    return OperationResult(
        200, write_csv(report), {"Content-Disposition": disposition}, content_type=_CSV_TYPE
    )


async def get_settlement_answers(call: Call) -> OperationResult:
    """GET /v1/settlements/{settlement_id}/report/answers"""
    report = settlement_reports.get_report(call.world, call.path["settlement_id"])
    return OperationResult(200, render_answers(report))


async def get_settlement_schedule(call: Call) -> OperationResult:
    """GET /v1/settlement-schedule"""
    return OperationResult(200, _render_schedule(settlement_schedule.get_schedule(call.world)))


async def update_settlement_schedule(call: Call) -> OperationResult:
    """PUT /v1/settlement-schedule"""
    schedule, first = settlement_schedule.change_schedule(call.world, parse_cutoff(call.body["cutoff"]))
    await call.settle_controls(first=first)
    return OperationResult(200, _render_schedule(schedule))


def _render_schedule(schedule: Schedule) -> dict[str, Any]:
    return {
        "cutoff": format_cutoff(schedule.cutoff_minutes),
        "next_settlement_at": format_timestamp(schedule.next_at),
    }
