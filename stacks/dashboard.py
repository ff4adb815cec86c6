"""The dashboard's body: what is drawn of which metric, as CloudWatch writes it. Only metrics that AWS keeps for nothing.

Plain data, in which Outputs may stand: whoever makes the dashboard renders it with `Output.json_dumps`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

WIDTH = 8
HEIGHT = 6
COLUMNS = 3
PERIOD_S = 60
BILLING_REGION = "us-east-1"
"""The only region that has AWS's charges, whatever the region of what is charged for."""

Text = pulumi.Input[str]


@dataclass(frozen=True, slots=True)
class Watched:
    """The names that metrics are kept under."""

    region: str
    api_name: Text
    stage_name: Text
    functions: Sequence[Text]
    table_name: Text
    queue_name: Text
    dead_letter_names: Sequence[Text]
    state_machine_arn: Text


def dashboard_body(watched: Watched) -> dict[str, Any]:
    """The body, three widgets a row."""
    widgets = _widgets(watched)
    return {
        "widgets": [
            {
                "type": "metric",
                "x": WIDTH * (number % COLUMNS),
                "y": HEIGHT * (number // COLUMNS),
                "width": WIDTH,
                "height": HEIGHT,
                "properties": widget,
            }
            for number, widget in enumerate(widgets)
        ]
    }


def _widgets(watched: Watched) -> list[dict[str, Any]]:
    region = watched.region
    api = ["ApiName", watched.api_name, "Stage", watched.stage_name]
    table = ["TableName", watched.table_name]
    machine = ["StateMachineArn", watched.state_machine_arn]
    gateway, ledger = "AWS/ApiGateway", "AWS/DynamoDB"
    return [
        _graph(
            region,
            "Requests a second (TPS)",
            [
                [gateway, "Count", *api, {"id": "count", "stat": "Sum", "visible": False}],
                [{"expression": "count / PERIOD(count)", "label": "TPS", "id": "tps"}],
            ],
        ),
        _graph(
            region,
            "Latency (ms): the goal is a P95 of 50",
            [[gateway, "Latency", *api, {"stat": stat, "label": stat}] for stat in ("p50", "p95", "p99")],
            annotations={"horizontal": [{"label": "goal", "value": 50}]},
        ),
        _graph(
            region,
            "Errors",
            [[gateway, metric, *api, {"stat": "Sum"}] for metric in ("4XXError", "5XXError")],
        ),
        _graph(
            region,
            "Throttles",
            [
                *(
                    ["AWS/Lambda", "Throttles", "FunctionName", name, {"stat": "Sum"}]
                    for name in watched.functions
                ),
                *(
                    [ledger, metric, *table, {"stat": "Sum"}]
                    for metric in ("WriteThrottleEvents", "ReadThrottleEvents")
                ),
            ],
        ),
        _graph(
            region,
            "Webhooks: age of the oldest message (s)",
            [
                [
                    "AWS/SQS",
                    "ApproximateAgeOfOldestMessage",
                    "QueueName",
                    watched.queue_name,
                    {"stat": "Maximum"},
                ]
            ],
        ),
        _graph(
            region,
            "Dead letters",
            [
                ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", name, {"stat": "Maximum"}]
                for name in watched.dead_letter_names
            ],
        ),
        _graph(
            region,
            "Functions at once",
            [
                ["AWS/Lambda", "ConcurrentExecutions", "FunctionName", name, {"stat": "Maximum"}]
                for name in watched.functions
            ],
        ),
        _graph(
            region,
            "Ledger units a minute",
            [
                [ledger, metric, *table, {"stat": "Sum"}]
                for metric in ("ConsumedWriteCapacityUnits", "ConsumedReadCapacityUnits")
            ],
        ),
        _graph(
            region,
            "Settlements",
            [
                ["AWS/States", metric, *machine, {"stat": "Sum"}]
                for metric in ("ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut")
            ],
        ),
        _graph(
            BILLING_REGION,
            "Cost of the account this month (USD)",
            [["AWS/Billing", "EstimatedCharges", "Currency", "USD", {"stat": "Maximum"}]],
            period=6 * 3600,
        ),
    ]


def _graph(
    region: str,
    title: str,
    metrics: Sequence[Any],
    *,
    period: int = PERIOD_S,
    annotations: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    graph: dict[str, Any] = {
        "title": title,
        "view": "timeSeries",
        "region": region,
        "period": period,
        "metrics": list(metrics),
    }
    if annotations:
        graph["annotations"] = dict(annotations)
    return graph
