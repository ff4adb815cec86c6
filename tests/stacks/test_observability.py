"""The dashboard and the alarms watch what is deployed, and somebody is told."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.stacks.deployed import ACCOUNT, REGION, Deployed, Made, deploy, deploy_stack

TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:payments-sandbox-dev-alarms"


def widgets(deployed: Deployed) -> list[dict[str, Any]]:
    return [each["properties"] for each in deployed.one("Dashboard").document("dashboardBody")["widgets"]]


def alarm(name: str, deployed: Deployed | None = None) -> dict[str, Any]:
    return (deployed or deploy()).one("MetricAlarm", f"observability-{name}").plain


def metrics(deployed: Deployed) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Namespace, name and dimensions of every metric that is drawn or watched."""
    for widget in widgets(deployed):
        for metric in widget["metrics"]:
            if isinstance(metric[0], str):
                pairs = [each for each in metric[2:] if isinstance(each, str)]
                yield metric[0], metric[1], dict(zip(pairs[::2], pairs[1::2], strict=True))
    for made in deployed.of_type("MetricAlarm"):
        if "metricName" in made.plain:
            yield made.plain["namespace"], made.plain["metricName"], made.plain["dimensions"]
        for query in made.plain.get("metricQueries", ()):
            if "metric" in query:
                yield (
                    query["metric"]["namespace"],
                    query["metric"]["metricName"],
                    query["metric"]["dimensions"],
                )


def test_every_metric_is_of_something_that_is_deployed() -> None:
    deployed = deploy()
    known = {
        "ApiName": {deployed.one("RestApi").plain["name"]},
        "Currency": {"USD"},
        "FunctionName": {made.plain["name"] for made in deployed.of_type("Function")},
        "QueueName": {made.plain["name"] for made in deployed.of_type("Queue")},
        "Stage": {deployed.one("Stage").plain["stageName"]},
        "StateMachineArn": {deployed.one("StateMachine").outputs["arn"]},
        "TableName": {deployed.one("Table").plain["name"]},
    }
    watched: dict[str, set[str]] = {}
    for namespace, name, dimensions in metrics(deployed):
        for dimension, value in dimensions.items():
            assert value in known[dimension], f"{namespace} {name}"
            watched.setdefault(dimension, set()).add(value)
    assert watched == known, "something is deployed and not watched"


def test_the_dashboard_shows_what_a_payments_team_asks_for() -> None:
    deployed = deploy()
    drawn = {name for _, name, _ in metrics(deployed)}
    assert {
        "Count",
        "Latency",
        "4XXError",
        "5XXError",
        "Throttles",
        "WriteThrottleEvents",
        "ApproximateAgeOfOldestMessage",
        "ApproximateNumberOfMessagesVisible",
        "EstimatedCharges",
    } <= drawn
    text = json.dumps(widgets(deployed))
    assert "TPS" in text
    assert '"stat": "p95"' in text


def test_charges_are_read_where_aws_keeps_them() -> None:
    regions = {widget["title"]: widget["region"] for widget in widgets(deploy())}
    (billing,) = [region for title, region in regions.items() if "Cost" in title]
    assert billing == "us-east-1"
    assert {region for title, region in regions.items() if "Cost" not in title} == {REGION}


def test_no_metric_is_one_that_costs() -> None:
    assert {namespace.split("/")[0] for namespace, _, _ in metrics(deploy())} == {"AWS"}


def test_widgets_do_not_lie_on_each_other() -> None:
    body = deploy().one("Dashboard").document("dashboardBody")
    places = [(each["x"], each["y"]) for each in body["widgets"]]
    assert len(places) == len(set(places))
    assert all(each["x"] + each["width"] <= 24 for each in body["widgets"])


def test_a_slow_twentieth_of_requests_is_told() -> None:
    made = alarm("latency")
    assert (made["metricName"], made["extendedStatistic"]) == ("Latency", "p95")
    assert (made["comparisonOperator"], made["threshold"]) == ("GreaterThanThreshold", 50)
    assert made["evaluateLowSampleCountPercentiles"] == "ignore"


def test_a_server_error_is_told() -> None:
    made = alarm("server-errors")
    assert (made["metricName"], made["statistic"], made["threshold"]) == ("5XXError", "Sum", 1)


@pytest.mark.parametrize(
    ("requests", "errors", "alarmed"),
    [(0, 0, False), (1000, 0, False), (1000, 1, False), (1000, 2, True), (10, 1, True), (1, 1, True)],
)
def test_availability_under_three_nines_is_told(requests: int, errors: int, alarmed: bool) -> None:
    made = alarm("availability")
    queries = {query["id"]: query for query in made["metricQueries"]}
    assert [name for name, query in queries.items() if query.get("returnData")] == ["availability"]
    assert {queries[name]["metric"]["metricName"] for name in ("requests", "errors")} == {"Count", "5XXError"}
    # CloudWatch's metric math, in Python's words.
    condition, served, unserved = queries["availability"]["expression"].removeprefix("IF(")[:-1].split(", ")
    numbers = {"requests": requests, "errors": errors}
    availability = eval(served if eval(condition, {}, numbers) else unserved, {}, numbers)
    assert made["comparisonOperator"] == "LessThanThreshold"
    assert (availability < made["threshold"]) == alarmed


def test_every_dead_letter_and_a_failed_settlement_are_told() -> None:
    deployed = deploy()
    queues = {alarm(f"dead-letters-{number}")["dimensions"]["QueueName"] for number in (0, 1)}
    assert queues == {
        made.plain["name"] for made in deployed.of_type("Queue") if made.name.endswith("dead-letters")
    }
    assert alarm("settlement")["dimensions"] == {
        "StateMachineArn": deployed.one("StateMachine").outputs["arn"]
    }


def test_all_alarms_go_to_the_topic_and_silence_is_no_alarm() -> None:
    alarms = deploy().of_type("MetricAlarm")
    assert len(alarms) <= 10, "ten are free"
    for made in alarms:
        assert made.plain["alarmActions"] == made.plain["okActions"] == [TOPIC]
        assert made.plain["treatMissingData"] == "notBreaching"
        assert made.plain["alarmDescription"]


def test_somebody_is_told_where_an_address_is_set() -> None:
    def told(deployed: Deployed) -> list[Made]:
        return [made for made in deployed.of_type("TopicSubscription") if made.plain["protocol"] == "email"]

    assert told(deploy()) == []
    (subscription,) = told(deploy(alarm_email="ops@example.com"))
    assert (subscription.plain["topic"], subscription.plain["endpoint"]) == (TOPIC, "ops@example.com")
    assert len(told(deploy_stack("prod"))) == 1


def test_a_budget_tells_at_half_at_four_fifths_at_all_of_it_and_when_the_forecast_is_more() -> None:
    assert not deploy().of_type("Budget")
    budget = deploy(budget_usd=25, budget_email="ops@example.com").one("Budget").plain
    assert (budget["limitAmount"], budget["limitUnit"], budget["timeUnit"]) == ("25", "USD", "MONTHLY")
    assert [
        (each["notificationType"], each["threshold"], each["thresholdType"], each["subscriberEmailAddresses"])
        for each in budget["notifications"]
    ] == [
        ("ACTUAL", 50, "PERCENTAGE", ["ops@example.com"]),
        ("ACTUAL", 80, "PERCENTAGE", ["ops@example.com"]),
        ("ACTUAL", 100, "PERCENTAGE", ["ops@example.com"]),
        ("FORECASTED", 100, "PERCENTAGE", ["ops@example.com"]),
    ]
