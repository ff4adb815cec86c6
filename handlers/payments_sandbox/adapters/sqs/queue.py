"""`DeliveryQueue` on an SQS queue: sends messages with a delay, and keeps received ones away for a while.

It receives and deletes nothing: Lambda's event source mapping does.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from payments_sandbox.adapters.sqs.batches import CALL_ERRORS, call_failure, error_code, send_entries

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_GONE: Final = frozenset(
    {
        "AWS.SimpleQueueService.MessageNotInflight",
        "InvalidParameterValue",
        "MessageNotInflight",
        "ReceiptHandleIsInvalid",
    }
)
"""A message that has come back already, was deleted, or has been held back for the twelve hours that SQS allows."""


class SqsDeliveryQueue:
    """The queue at `queue_url`. sleep: takes seconds; what it waits with before it repeats. Threads may share it."""

    def __init__(
        self, client: "SQSClient", queue_url: str, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self._queue_url = queue_url
        self._sleep = sleep

    def send(self, messages: Sequence[tuple[str, int]]) -> dict[int, str]:
        """See the port."""
        entries = [{"MessageBody": body, "DelaySeconds": delay_s} for body, delay_s in messages]
        return send_entries(
            lambda batch: self._client.send_message_batch(QueueUrl=self._queue_url, Entries=batch),
            entries,
            self._sleep,
        )

    def hold_back(self, receipt_handle: str, delay_s: int) -> str | None:
        """See the port."""
        try:
            self._client.change_message_visibility(
                QueueUrl=self._queue_url, ReceiptHandle=receipt_handle, VisibilityTimeout=delay_s
            )
        except CALL_ERRORS as error:
            code = error_code(error)
            reason = code if code in _GONE else call_failure(error)
            if reason is None:
                raise
            return reason
        return None
