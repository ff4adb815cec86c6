"""SNS topics and SQS queues."""

import json
from typing import Any

from tests.e2e.infra.aws.cloud import Cloud, Created
from tests.e2e.infra.aws.inputs import Inputs

QUEUE_ATTRIBUTES = {
    "visibilityTimeoutSeconds": "VisibilityTimeout",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "delaySeconds": "DelaySeconds",
    "maxMessageSize": "MaximumMessageSize",
    "redrivePolicy": "RedrivePolicy",
    "redriveAllowPolicy": "RedriveAllowPolicy",
    "policy": "Policy",
    "sqsManagedSseEnabled": "SqsManagedSseEnabled",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "kmsDataKeyReusePeriodSeconds": "KmsDataKeyReusePeriodSeconds",
}


def create_queue(cloud: Cloud, inputs: Inputs) -> Created:
    sqs = cloud.client("sqs")
    name = inputs.physical_name()
    attributes = texts(inputs.pick(**QUEUE_ATTRIBUTES))
    url = sqs.create_queue(QueueName=name, Attributes=attributes, tags=cloud.tags(inputs))["QueueUrl"]
    return Created(
        url, {"name": name, "url": url, "arn": cloud.arn("sqs", name), "tagsAll": cloud.tags(inputs)}
    )


def set_queue_policy(cloud: Cloud, inputs: Inputs) -> Created:
    url, policy = inputs["queueUrl"], inputs.json_text("policy")
    cloud.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return Created(url, {"policy": policy})


def set_redrive_policy(cloud: Cloud, inputs: Inputs) -> Created:
    url, policy = inputs["queueUrl"], inputs.json_text("redrivePolicy")
    cloud.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
    return Created(url, {"redrivePolicy": policy})


def set_redrive_allow_policy(cloud: Cloud, inputs: Inputs) -> Created:
    url, policy = inputs["queueUrl"], inputs.json_text("redriveAllowPolicy")
    cloud.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"RedriveAllowPolicy": policy})
    return Created(url, {"redriveAllowPolicy": policy})


def create_topic(cloud: Cloud, inputs: Inputs) -> Created:
    name = inputs.physical_name()
    attributes = texts(
        inputs.pick(
            displayName="DisplayName",
            kmsMasterKeyId="KmsMasterKeyId",
            policy="Policy",
            deliveryPolicy="DeliveryPolicy",
            tracingConfig="TracingConfig",
        )
    )
    arn = cloud.client("sns").create_topic(Name=name, Attributes=attributes, Tags=cloud.tag_list(inputs))[
        "TopicArn"
    ]
    return Created(arn, {"name": name, "arn": arn, "owner": cloud.account_id, "tagsAll": cloud.tags(inputs)})


def set_topic_policy(cloud: Cloud, inputs: Inputs) -> Created:
    arn, policy = inputs["arn"], inputs.json_text("policy")
    cloud.client("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy)
    return Created(arn, {"policy": policy, "owner": cloud.account_id})


def subscribe(cloud: Cloud, inputs: Inputs) -> Created:
    attributes = texts(
        inputs.pick(
            rawMessageDelivery="RawMessageDelivery",
            filterPolicy="FilterPolicy",
            filterPolicyScope="FilterPolicyScope",
            redrivePolicy="RedrivePolicy",
            deliveryPolicy="DeliveryPolicy",
        )
    )
    arn = cloud.client("sns").subscribe(
        TopicArn=inputs["topic"],
        Protocol=inputs["protocol"],
        Endpoint=inputs["endpoint"],
        Attributes=attributes,
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    return Created(arn, {"arn": arn, "ownerId": cloud.account_id})


def texts(attributes: dict[str, Any]) -> dict[str, str]:
    """Attributes as these services want them: every value is text, and documents are JSON."""
    return {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in attributes.items()
    }


MAPPINGS = {
    "aws:sqs/queue:Queue": create_queue,
    "aws:sqs/queuePolicy:QueuePolicy": set_queue_policy,
    "aws:sqs/redrivePolicy:RedrivePolicy": set_redrive_policy,
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": set_redrive_allow_policy,
    "aws:sns/topic:Topic": create_topic,
    "aws:sns/topicPolicy:TopicPolicy": set_topic_policy,
    "aws:sns/topicSubscription:TopicSubscription": subscribe,
}
