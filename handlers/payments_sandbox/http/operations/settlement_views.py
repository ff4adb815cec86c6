"""How a settlement's report looks: JSON, the CSV that a reconciliation tool takes, and the answer sheet."""

import csv
import io
from typing import Any, Final

from payments_sandbox.domain.discrepancies import EXPLANATIONS
from payments_sandbox.domain.settlement import Line
from payments_sandbox.domain.timestamps import format_timestamp
from payments_sandbox.services.settlement.settlement_reports import Report

Json = dict[str, Any]

COLUMNS: Final = (
    "settlement_id",
    "payout_id",
    "transaction_id",
    "authorization_id",
    "type",
    "brand",
    "gross_amount",
    "fee_amount",
    "net_amount",
    "currency",
    "acquirer_reference",
    "merchant_reference",
    "created_at",
    "settled_at",
)
"""The columns of the CSV, in their order; later ones are only ever added at the end."""


def render_report(report: Report) -> Json:
    """The contract's `SettlementReport`. Its totals are the payout's, whatever its lines add up to."""
    settlement = report.settlement
    return {
        "settlement_id": settlement.settlement_id,
        "payout_id": settlement.payout_id,
        "currency": settlement.currency,
        "settled_at": format_timestamp(settlement.batch.settled_at),
        "gross_amount": settlement.gross,
        "fee_amount": settlement.fees,
        "net_amount": settlement.net,
        "lines": [_line(line) for line in report.misreport.lines],
    }


def write_csv(report: Report) -> bytes:
    """The report as CSV (RFC 4180, UTF-8): a header, and a line for each of its lines. Amounts are in minor units."""
    settlement = report.settlement
    shared = {
        "settlement_id": settlement.settlement_id,
        "payout_id": settlement.payout_id,
        "currency": settlement.currency,
        "settled_at": format_timestamp(settlement.batch.settled_at),
    }
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows({**shared, **_line(line)} for line in report.misreport.lines)
    return text.getvalue().encode()


def render_answers(report: Report) -> Json:
    """The contract's `SettlementAnswers`."""
    settlement = report.settlement
    return {
        "settlement_id": settlement.settlement_id,
        "currency": settlement.currency,
        "payout_amount": settlement.net,
        "reported_amount": sum(line.net for line in report.misreport.lines),
        "discrepancies": [
            {
                "type": planted.kind,
                "transaction_id": planted.line.transaction_id,
                "explanation": EXPLANATIONS[planted.kind],
                "difference": planted.difference,
                "settled": _line(planted.line),
                "reported": [_line(line) for line in planted.reported],
            }
            for planted in report.misreport.planted
        ],
        "not_planted": list(report.misreport.not_planted),
    }


def _line(line: Line) -> Json:
    return {
        "transaction_id": line.transaction_id,
        "authorization_id": line.authorization_id,
        "type": line.type,
        "brand": line.brand,
        "gross_amount": line.gross,
        "fee_amount": line.fee,
        "net_amount": line.net,
        "acquirer_reference": line.acquirer_reference,
        "merchant_reference": line.merchant_reference,
        "created_at": format_timestamp(line.created_at),
    }
