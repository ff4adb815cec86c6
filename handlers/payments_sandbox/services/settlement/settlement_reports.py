"""What a settlement reports, line by line, and what of that is wrong on purpose.

The report of a settlement that was asked for discrepancies holds them; the settlement, its payout and the ledger never do.
"""

from dataclasses import dataclass

from payments_sandbox.domain.discrepancies import Misreport, plant
from payments_sandbox.domain.errors import SettlementInProgress
from payments_sandbox.services.settlement.settlement_records import Settlement, read_lines
from payments_sandbox.services.settlement.settlements import get_settlement
from payments_sandbox.services.world import World


@dataclass(frozen=True, slots=True)
class Report:
    """What a settlement's report says, in the order in which the entries were made, and where it is wrong."""

    settlement: Settlement
    misreport: Misreport


def get_report(world: World, settlement_id: str) -> Report:
    """The report of a completed settlement.

    Errors, by precedence: settlement_not_found. settlement_in_progress: lines may still be added to it.
    """
    settlement = get_settlement(world, settlement_id)
    if not settlement.completed:
        raise SettlementInProgress("The settlement is under way; ask again in a moment.")
    lines = read_lines(world, settlement)
    return Report(
        settlement, plant(settlement_id, settlement.batch.discrepancies, lines, settlement.currency)
    )
