"""`Publisher` on an SNS topic."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from payments_sandbox.adapters.sqs.batches import send_entries

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


class SnsPublisher:
    """The topic `topic_arn`. sleep: takes seconds; what it waits with before it repeats."""

    def __init__(
        self, client: "SNSClient", topic_arn: str, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self._topic_arn = topic_arn
        self._sleep = sleep

    def publish(self, notices: Sequence[tuple[str, Mapping[str, str]]]) -> dict[int, str]:
        """See the port."""
        entries = [
            {
                "Message": body,
                "MessageAttributes": {
                    name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
                },
            }
            for body, attributes in notices
        ]
        return send_entries(
            lambda batch: self._client.publish_batch(
                TopicArn=self._topic_arn, PublishBatchRequestEntries=batch
            ),
            entries,
            self._sleep,
        )
