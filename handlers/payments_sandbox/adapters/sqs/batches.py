"""Batches of entries as SQS and SNS take them: ten a call, each entry accepted or refused by itself.

A call that succeeds may still have refused entries, and a lost answer may hide accepted ones: what is sent here is sent at
least once. Source: API references of SQS SendMessageBatch and SNS PublishBatch.
"""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

BATCH_MAX: Final = 10
PAUSES_S: Final = (0.1, 0.4)
"""How long refused entries wait before they are sent again; they are given up after the last."""

CALL_ERRORS: Final = (ClientError, BotoConnectionError, HTTPClientError)
"""What a call can raise because of the service, or on the way to it."""

Entry = Mapping[str, Any]
SendBatch = Callable[[Sequence[Any]], Any]
"""Makes the call with these entries, each with an `Id`; answers the service's response."""


def send_entries(
    send_batch: SendBatch, entries: Sequence[Entry], sleep: Callable[[float], None]
) -> dict[int, str]:
    """Send any number of entries, in their order; answers the indexes of those that were not accepted, and why.

    When the service cannot be used, the rest is not tried: each call would take as long to fail. Any other refusal of a
    whole call (a missing permission, no such topic) is raised: this program or its deployment is at fault.
    """
    refused: dict[int, str] = {}
    for start in range(0, len(entries), BATCH_MAX):
        batch = dict(enumerate(entries[start : start + BATCH_MAX], start))
        try:
            refused |= _send_batch(send_batch, batch, sleep)
        except _Outage as outage:
            unsent = range(start + BATCH_MAX, len(entries))
            return refused | dict.fromkeys([*outage.indexes, *unsent], outage.reason)
    return refused


def call_failure(error: Exception) -> str | None:
    """What kind of outage an error of botocore's tells of; None when it tells of none."""
    if not isinstance(error, ClientError):
        return type(error).__name__
    code = error_code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    throttled = "throttl" in code.lower() or status == HTTPStatus.TOO_MANY_REQUESTS
    return code if throttled or status >= HTTPStatus.INTERNAL_SERVER_ERROR else None


def error_code(error: Exception) -> str:
    """The service's own word for the error; empty when the service did not answer."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


class _Outage(Exception):
    """The service cannot be used; indexes: of the entries that it has not accepted so far."""

    def __init__(self, indexes: Sequence[int], reason: str) -> None:
        super().__init__(reason)
        self.indexes = indexes
        self.reason = reason


def _send_batch(
    send_batch: SendBatch, batch: Mapping[int, Entry], sleep: Callable[[float], None]
) -> dict[int, str]:
    """Send one batch, and what is refused of it through no fault of the entry again."""
    hopeless: dict[int, str] = {}
    waiting: dict[int, str] = dict.fromkeys(batch, "")
    for pause_s in (*PAUSES_S, None):
        try:
            response = send_batch([{**batch[index], "Id": str(index)} for index in waiting])
        except CALL_ERRORS as error:
            reason = call_failure(error)
            if reason is None:
                raise
            raise _Outage([*hopeless, *waiting], reason) from error
        told = {int(entry["Id"]): entry for entry in response.get("Failed", ())}
        accepted = {int(entry["Id"]) for entry in response.get("Successful", ())}
        # What an answer does not mention has not been accepted.
        waiting = {
            index: told[index]["Code"] if index in told else "Unanswered"
            for index in waiting
            if index not in accepted
        }
        for index in [index for index in waiting if told.get(index, {}).get("SenderFault")]:
            hopeless[index] = waiting.pop(index)
        if not waiting:
            break
        if pause_s is not None:
            sleep(pause_s)
    return hopeless | waiting
