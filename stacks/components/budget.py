"""The month's budget. It caps nothing, and knows of spending hours later: reserved concurrency and the table's maximum
throughput are what bounds a bill.

It counts the whole AWS account, because a budget by tags sees nothing before somebody has activated the tags for billing.
"""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from stacks.place import Place

ACTUAL_PERCENT = (50, 80, 100)
FORECAST_PERCENT = 100


@dataclass(frozen=True, slots=True)
class BudgetArgs:
    """limit_usd: a month. email: who is told."""

    place: Place
    limit_usd: int
    email: str


class MonthlyBudget(pulumi.ComponentResource):
    """The budget with its notifications. Costs: 0."""

    def __init__(self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sandbox:budget:MonthlyBudget", name, None, opts)
        thresholds = [("ACTUAL", percent) for percent in ACTUAL_PERCENT] + [("FORECASTED", FORECAST_PERCENT)]
        budget = aws.budgets.Budget(
            f"{name}-month",
            name=args.place.name("month"),
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(args.limit_usd),
            limit_unit="USD",
            notifications=[
                {
                    "notification_type": kind,
                    "comparison_operator": "GREATER_THAN",
                    "threshold": percent,
                    "threshold_type": "PERCENTAGE",
                    "subscriber_email_addresses": [args.email],
                }
                for kind, percent in thresholds
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.name = budget.name
        self.register_outputs({"name": self.name})
