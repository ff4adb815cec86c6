"""From the ledger's stream to the topic: each new entry that tells of something is announced once, or more than once.

What is announced is the entry's id, account and event type, and no more: whoever is told reads the entry. So nothing
about a payment lies about in a topic or a queue, and a notice is small however large the entry is.

It delivers nothing and writes nothing, so that a shard of the stream is held up by neither a receiver nor the ledger. The
event source mapping has to report batch item failures, to bisect, and to give up after a finite number of tries into a
failure destination: by default one unreadable record blocks its shard until it leaves the stream, a day later. Next:
`deliver.py`.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypedDict

from payments_sandbox.domain.webhooks import EVENT_KINDS
from payments_sandbox.services.events.events import event_type_of, is_news
from payments_sandbox.services.ports import Record

_logger = logging.getLogger("sandbox.webhooks")

INSERTED: Final = "INSERT"
"""Changed records are MODIFY, and what time to live removes is REMOVE: neither is a new entry."""

Notice = tuple[str, Mapping[str, str]]
"""A message's body, and the attributes that subscriptions may filter by."""

ReadImage = Callable[[Mapping[str, Any]], Record]
"""Makes a record of an item in the wire's notation."""


class BatchItemFailure(TypedDict):
    """Names what is to be handed over again: a stream record's sequence number, or a message's id."""

    itemIdentifier: str


class BatchResponse(TypedDict):
    """Lambda's answer under `ReportBatchItemFailures`. Anything of another shape would count as complete success."""

    batchItemFailures: list[BatchItemFailure]


class Publisher(Protocol):
    """A topic."""

    def publish(self, notices: Sequence[Notice]) -> Mapping[int, str]:
        """Publish any number of notices; answers the indexes of those that were not taken, and why."""
        ...


class UnreadableRecord(Exception):
    """A stream record that is not an item which this program has written."""


def relay_batch(
    publisher: Publisher, read_image: ReadImage, records: Sequence[Mapping[str, Any]]
) -> BatchResponse:
    """Announce the new entries among the stream's records, in their order.

    Answers the lowest sequence number that failed, for Lambda hands over that record and all after it again. An unreadable
    record does not keep those after it from being announced, although they will be once more: a mapping that gives up on
    such a record may give up on the rest of its batch too.

    Source: AWS Lambda developer guide, "Configuring partial batch response with DynamoDB and Lambda".
    """
    failed: dict[str, str] = {}
    sequences: list[str] = []
    notices: list[Notice] = []
    for record in records:
        # Without a sequence number nothing can be reported but the batch as a whole: that is what a KeyError does.
        sequence = record["dynamodb"]["SequenceNumber"]
        try:
            notice = _notice_of(record, read_image)
        except UnreadableRecord as error:
            failed[sequence] = "unreadable"
            # The error's kind only: its message could quote the item.
            cause = type(error.__cause__).__name__
            _logger.error(
                "a stream record is unreadable",
                extra={"fields": {"sequence_number": sequence, "cause": cause}},
            )
            continue
        if notice is not None:
            sequences.append(sequence)
            notices.append(notice)
    for index, reason in publisher.publish(notices).items() if notices else ():
        failed[sequences[index]] = reason
    _log(len(records), len(notices), failed)
    return {"batchItemFailures": [{"itemIdentifier": min(failed, key=int)}] if failed else []}


def _notice_of(record: Mapping[str, Any], read_image: ReadImage) -> Notice | None:
    """The notice of a stream record; None when it tells of nothing, or of what came with a copied world. Raises UnreadableRecord."""
    try:
        if record["eventName"] != INSERTED:
            return None
        image = record["dynamodb"]["NewImage"]
        if image["kind"]["S"] not in EVENT_KINDS:
            return None
        entry = read_image(image)
        if not is_news(entry):
            return None
        event_type = event_type_of(entry)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise UnreadableRecord from error
    told = {"entry_id": entry.id, "account_id": entry.account_id, "type": event_type}
    return json.dumps(told, separators=(",", ":")), {"type": event_type, "account_id": entry.account_id}


def _log(record_count: int, notice_count: int, failed: Mapping[str, str]) -> None:
    fields: dict[str, Any] = {"records": record_count, "notices": notice_count, "failed": len(failed)}
    if failed:
        fields["reasons"] = sorted(set(failed.values()))
    _logger.log(logging.WARNING if failed else logging.INFO, "stream relayed", extra={"fields": fields})
