"""What the program deploys beside the API and its workers: the site, the alarms, the budget, and tags on everything."""

import json

import pytest

from tests.e2e.infra.aws.sandbox_stack import DeployedSandbox

pytestmark = pytest.mark.e2e


def test_the_sites_files_are_there_as_browsers_should_keep_them(server: DeployedSandbox) -> None:
    s3, bucket = server.cloud.client("s3"), server.output("site_bucket_name")
    kept = {
        key: (answer["ContentType"], answer["CacheControl"])
        for key in ("index.html", "assets/app-5f1c.js")
        for answer in [s3.get_object(Bucket=bucket, Key=key)]
    }
    assert kept["index.html"] == ("text/html", "no-cache")
    assert kept["assets/app-5f1c.js"][0].endswith("javascript")
    assert "immutable" in kept["assets/app-5f1c.js"][1]
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True,
    }


def test_the_sites_address_leads_to_its_files_and_to_the_api(server: DeployedSandbox) -> None:
    distributions = server.cloud.client("cloudfront").list_distributions()["DistributionList"]["Items"]
    (distribution,) = distributions
    assert server.output("site_url") == f"https://{distribution['DomainName']}"
    origins = {origin["Id"]: origin["DomainName"] for origin in distribution["Origins"]["Items"]}
    assert origins["files"].startswith(server.output("site_bucket_name"))
    assert origins["api"] in server.output("api_url")


def test_every_alarm_tells_the_topic_of_alarms(server: DeployedSandbox) -> None:
    alarms = server.cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert alarms
    for alarm in alarms:
        assert server.output("alarm_topic_arn") in alarm["AlarmActions"], alarm["AlarmName"]


def test_the_dashboard_is_one_that_cloudwatch_can_draw(server: DeployedSandbox) -> None:
    cloudwatch = server.cloud.client("cloudwatch")
    (entry,) = cloudwatch.list_dashboards()["DashboardEntries"]
    body = json.loads(cloudwatch.get_dashboard(DashboardName=entry["DashboardName"])["DashboardBody"])
    assert all(widget["type"] and widget["properties"] for widget in body["widgets"])


def test_the_budget_tells_somebody_in_time(server: DeployedSandbox) -> None:
    budgets, account_id = server.cloud.client("budgets"), server.cloud.account_id
    (budget,) = budgets.describe_budgets(AccountId=account_id)["Budgets"]
    found = budgets.describe_notifications_for_budget(AccountId=account_id, BudgetName=budget["BudgetName"])
    told = {(one["NotificationType"], one["Threshold"]) for one in found["Notifications"]}
    assert told == {("ACTUAL", 50), ("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)}


def test_functions_tables_and_queues_carry_the_stacks_tags(server: DeployedSandbox) -> None:
    function = server.cloud.client("lambda").get_function(FunctionName=server.output("function_names")["api"])
    queue = server.cloud.client("sqs").list_queue_tags(QueueUrl=server.output("queue_url"))
    dynamodb = server.cloud.client("dynamodb")
    table = dynamodb.describe_table(TableName=server.output("table_name"))["Table"]
    listed = dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]
    for tags in (function["Tags"], queue["Tags"], {tag["Key"]: tag["Value"] for tag in listed}):
        assert (tags["project"], tags["stack"]) == ("payments-sandbox", "dev")
