"""What the stack is watched with: log groups, alarms, dashboards, budgets."""

import json
from typing import Any

from tests.e2e.infra.aws.cloud import Cloud, Created
from tests.e2e.infra.aws.inputs import Inputs


def create_log_group(cloud: Cloud, inputs: Inputs) -> Created:
    logs = cloud.client("logs")
    name = inputs.physical_name()
    logs.create_log_group(
        logGroupName=name,
        tags=cloud.tags(inputs),
        **inputs.pick(kmsKeyId="kmsKeyId", logGroupClass="logGroupClass"),
    )
    if inputs.get("retentionInDays"):
        logs.put_retention_policy(logGroupName=name, retentionInDays=inputs["retentionInDays"])
    inputs.set_aside("nothing is ever destroyed here", "skipDestroy")
    return Created(
        name, {"name": name, "arn": cloud.arn("logs", f"log-group:{name}"), "tagsAll": cloud.tags(inputs)}
    )


def create_metric_alarm(cloud: Cloud, inputs: Inputs) -> Created:
    name = inputs.physical_name()
    request: dict[str, Any] = inputs.pick(
        alarmDescription="AlarmDescription",
        comparisonOperator="ComparisonOperator",
        evaluationPeriods="EvaluationPeriods",
        datapointsToAlarm="DatapointsToAlarm",
        threshold="Threshold",
        metricName="MetricName",
        namespace="Namespace",
        period="Period",
        statistic="Statistic",
        extendedStatistic="ExtendedStatistic",
        unit="Unit",
        treatMissingData="TreatMissingData",
        evaluateLowSampleCountPercentiles="EvaluateLowSampleCountPercentile",
        actionsEnabled="ActionsEnabled",
        alarmActions="AlarmActions",
        okActions="OKActions",
        insufficientDataActions="InsufficientDataActions",
    )
    if "dimensions" in inputs:
        request["Dimensions"] = dimensions(inputs)
    queries = [metric_query(query) for query in inputs.blocks("metricQueries")]
    if queries:
        request["Metrics"] = queries
    cloud.client("cloudwatch").put_metric_alarm(AlarmName=name, Tags=cloud.tag_list(inputs), **request)
    arn = cloud.arn("cloudwatch", f"alarm:{name}")
    return Created(name, {"name": name, "arn": arn, "tagsAll": cloud.tags(inputs)})


def metric_query(query: Inputs) -> dict[str, Any]:
    request: dict[str, Any] = query.pick(
        id="Id", expression="Expression", label="Label", returnData="ReturnData", period="Period"
    )
    metric = query.block("metric")
    if metric is not None:
        request["MetricStat"] = {
            "Metric": {
                **metric.pick(metricName="MetricName", namespace="Namespace"),
                "Dimensions": dimensions(metric),
            },
            **metric.pick(period="Period", stat="Stat", unit="Unit"),
        }
    return request


def dimensions(inputs: Inputs) -> list[dict[str, str]]:
    return [{"Name": key, "Value": value} for key, value in inputs.get("dimensions", default={}).items()]


def create_composite_alarm(cloud: Cloud, inputs: Inputs) -> Created:
    name = inputs["alarmName"]
    cloud.client("cloudwatch").put_composite_alarm(
        AlarmName=name,
        AlarmRule=inputs["alarmRule"],
        Tags=cloud.tag_list(inputs),
        **inputs.pick(
            alarmDescription="AlarmDescription", alarmActions="AlarmActions", okActions="OKActions"
        ),
    )
    return Created(name, {"arn": cloud.arn("cloudwatch", f"alarm:{name}"), "tagsAll": cloud.tags(inputs)})


def put_dashboard(cloud: Cloud, inputs: Inputs) -> Created:
    name, body = inputs["dashboardName"], inputs.json_text("dashboardBody")
    json.loads(body)
    cloud.client("cloudwatch").put_dashboard(DashboardName=name, DashboardBody=body)
    arn = cloud.arn("cloudwatch", f"dashboard/{name}", region="")
    return Created(name, {"dashboardArn": arn, "dashboardBody": body})


def create_budget(cloud: Cloud, inputs: Inputs) -> Created:
    name = inputs.physical_name()
    budget: dict[str, Any] = {
        "BudgetName": name,
        "BudgetLimit": {"Amount": str(inputs["limitAmount"]), "Unit": inputs["limitUnit"]},
        **inputs.pick(budgetType="BudgetType", timeUnit="TimeUnit"),
    }
    filters = inputs.blocks("costFilters")
    if filters:
        budget["CostFilters"] = {one["name"]: one["values"] for one in filters}
    notifications = [notification(one) for one in inputs.blocks("notifications")]
    inputs.set_aside("the emulator's budgets take no tags", "tags")
    cloud.client("budgets").create_budget(
        AccountId=cloud.account_id, Budget=budget, NotificationsWithSubscribers=notifications
    )
    arn = cloud.arn("budgets", f"budget/{name}", region="")
    return Created(f"{cloud.account_id}:{name}", {"name": name, "arn": arn, "accountId": cloud.account_id})


def notification(one: Inputs) -> dict[str, Any]:
    subscribers = [
        {"SubscriptionType": kind, "Address": address}
        for kind, key in (("EMAIL", "subscriberEmailAddresses"), ("SNS", "subscriberSnsTopicArns"))
        for address in one.get(key, default=[])
    ]
    kind = one.pick(
        comparisonOperator="ComparisonOperator",
        notificationType="NotificationType",
        threshold="Threshold",
        thresholdType="ThresholdType",
    )
    return {"Notification": kind, "Subscribers": subscribers}


MAPPINGS = {
    "aws:cloudwatch/logGroup:LogGroup": create_log_group,
    "aws:cloudwatch/metricAlarm:MetricAlarm": create_metric_alarm,
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": create_composite_alarm,
    "aws:cloudwatch/dashboard:Dashboard": put_dashboard,
    "aws:budgets/budget:Budget": create_budget,
}
