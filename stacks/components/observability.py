"""What people look at, and what wakes them: a dashboard, alarms, and the topic that alarms go to.

Each alarm costs ten cents a month, so there are those only that somebody has to act on; docs/operations.md says how.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from stacks.components.encryption import EncryptionKey
from stacks.dashboard import Watched, dashboard_body
from stacks.place import Place

LATENCY_P95_MAX_MS = 50
AVAILABILITY_MIN_PERCENT = 99.9
FIVE_MINUTES_S = 300
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class ObservabilityArgs:
    """alarm_email: who is told; empty tells nobody."""

    place: Place
    key: EncryptionKey
    watched: Watched
    alarm_email: str


class Observability(pulumi.ComponentResource):
    """Dashboard, alarms and their topic.

    Outputs: dashboard_url, alarm_topic_arn. Costs: alarms $0.10 each a month; an account's first three dashboards nothing.
    """

    def __init__(
        self, name: str, args: ObservabilityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("sandbox:observability:Observability", name, None, opts)
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        place = args.place
        dashboard = aws.cloudwatch.Dashboard(
            f"{name}-dashboard",
            dashboard_name=place.prefix,
            dashboard_body=pulumi.Output.json_dumps(dashboard_body(args.watched)),
            opts=self._child,
        )
        self._topic = aws.sns.Topic(
            f"{name}-alarms",
            name=place.name("alarms"),
            kms_master_key_id=args.key.arn,
            opts=self._child,
        )
        if args.alarm_email:
            aws.sns.TopicSubscription(
                f"{name}-alarm-mail",
                topic=self._topic.arn,
                protocol="email",
                endpoint=args.alarm_email,
                opts=self._child,
            )
        self._watch_api()
        self._watch_workers()
        self.alarm_topic_arn = self._topic.arn
        self.dashboard_url = pulumi.Output.format(
            "https://{0}.console.aws.amazon.com/cloudwatch/home?region={0}#dashboards/dashboard/{1}",
            place.region,
            dashboard.dashboard_name,
        )
        self.register_outputs({"dashboard_url": self.dashboard_url, "alarm_topic_arn": self.alarm_topic_arn})

    def _watch_api(self) -> None:
        api = {"ApiName": self._args.watched.api_name, "Stage": self._args.watched.stage_name}
        self._alarm(
            "latency",
            f"The slowest twentieth of requests took more than {LATENCY_P95_MAX_MS} ms for a quarter of an hour",
            namespace="AWS/ApiGateway",
            metric_name="Latency",
            dimensions=api,
            extended_statistic="p95",
            # A handful of requests after a quiet night are cold starts, not a trend.
            evaluate_low_sample_count_percentiles="ignore",
            period=FIVE_MINUTES_S,
            evaluation_periods=3,
            comparison_operator="GreaterThanThreshold",
            threshold=LATENCY_P95_MAX_MS,
        )
        self._alarm(
            "server-errors",
            "A request was answered with 5xx",
            namespace="AWS/ApiGateway",
            metric_name="5XXError",
            dimensions=api,
            statistic="Sum",
            period=FIVE_MINUTES_S,
            evaluation_periods=1,
            comparison_operator="GreaterThanOrEqualToThreshold",
            threshold=1,
        )
        self._alarm(
            "availability",
            f"Less than {AVAILABILITY_MIN_PERCENT} % of an hour's requests were served",
            metric_queries=[
                _query("requests", "Count", api),
                _query("errors", "5XXError", api),
                {
                    "id": "availability",
                    "label": "availability",
                    "expression": "IF(requests > 0, 100 * (1 - errors / requests), 100)",
                    "return_data": True,
                },
            ],
            evaluation_periods=1,
            comparison_operator="LessThanThreshold",
            threshold=AVAILABILITY_MIN_PERCENT,
        )

    def _watch_workers(self) -> None:
        for number, queue in enumerate(self._args.watched.dead_letter_names):
            self._alarm(
                f"dead-letters-{number}",
                "Something was given up on: see the queue",
                namespace="AWS/SQS",
                metric_name="ApproximateNumberOfMessagesVisible",
                dimensions={"QueueName": queue},
                statistic="Maximum",
                period=FIVE_MINUTES_S,
                evaluation_periods=1,
                comparison_operator="GreaterThanOrEqualToThreshold",
                threshold=1,
            )
        self._alarm(
            "settlement",
            "A settlement failed",
            namespace="AWS/States",
            metric_name="ExecutionsFailed",
            dimensions={"StateMachineArn": self._args.watched.state_machine_arn},
            statistic="Sum",
            period=FIVE_MINUTES_S,
            evaluation_periods=1,
            comparison_operator="GreaterThanOrEqualToThreshold",
            threshold=1,
        )

    def _alarm(self, what: str, description: str, **condition: Any) -> None:
        """An alarm that tells the topic, and tells it again when all is well; silence is no news."""
        aws.cloudwatch.MetricAlarm(
            f"{self._name}-{what}",
            name=self._args.place.name(what),
            alarm_description=description,
            treat_missing_data="notBreaching",
            alarm_actions=[self._topic.arn],
            ok_actions=[self._topic.arn],
            opts=self._child,
            **condition,
        )


def _query(query_id: str, metric_name: str, dimensions: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": query_id,
        "metric": {
            "namespace": "AWS/ApiGateway",
            "metric_name": metric_name,
            "dimensions": dict(dimensions),
            "stat": "Sum",
            "period": HOUR_S,
        },
    }
