"""The relay: which stream records are announced, and from where the stream is to be handed over again."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from payments_sandbox.adapters.dynamodb.items import from_item, to_item
from payments_sandbox.domain.webhooks import EVENT_KINDS
from payments_sandbox.services.ports import Index, Record
from payments_sandbox.workers.relay import BatchResponse, Notice, relay_batch
from tests.doubles.ports import NOW_MS
from tests.each_case import each_case

ACCOUNT = "acct_shop"
SHARDS = dict.fromkeys(Index, 2)

StreamRecord = dict[str, Any]


class Topic:
    """`Publisher` that refuses the notices of these indexes."""

    def __init__(self, refused: Mapping[int, str] | None = None) -> None:
        self.refused = refused or {}
        self.published: list[Notice] = []
        self.calls = 0

    def publish(self, notices: Sequence[Notice]) -> Mapping[int, str]:
        self.calls += 1
        self.published += notices
        return self.refused

    @property
    def entry_ids(self) -> list[str]:
        return [json.loads(body)["entry_id"] for body, _ in self.published]


def entry(record_id: str = "auth_1", kind: str = "authorization", decline: list[str] | None = None) -> Record:
    return Record(
        id=record_id,
        kind=kind,
        account_id=ACCOUNT,
        version=1,
        created_at=NOW_MS,
        data={"decline": decline, "card": {"last4": "4242"}},
        feed_key=f"{ACCOUNT}#transaction",
        due_at=NOW_MS,
    )


def stream_record(record: Record, sequence: int, name: str = "INSERT") -> StreamRecord:
    """As Lambda hands it over. Source: AWS Lambda developer guide, "Example DynamoDB Streams record event"."""
    image = to_item(record, SHARDS)
    change = {
        "ApproximateCreationDateTime": NOW_MS // 1000,
        "Keys": {"transaction_id": image["transaction_id"]},
        "SequenceNumber": str(sequence),
        "SizeBytes": 500,
        "StreamViewType": "NEW_IMAGE",
    }
    if name != "REMOVE":
        change["NewImage"] = image
    return {"eventID": str(sequence), "eventName": name, "eventSource": "aws:dynamodb", "dynamodb": change}


def entries(*sequences: int) -> list[StreamRecord]:
    return [stream_record(entry(f"auth_{sequence}"), sequence) for sequence in sequences]


def relay(topic: Topic, records: Sequence[Mapping[str, Any]]) -> BatchResponse:
    return relay_batch(topic, from_item, records)


def failed_from(sequence: int) -> BatchResponse:
    return {"batchItemFailures": [{"itemIdentifier": str(sequence)}]}


NOTHING_FAILED: BatchResponse = {"batchItemFailures": []}


def test_a_new_entry_is_announced_by_its_id_account_and_event_type_alone() -> None:
    topic = Topic()
    assert relay(topic, [stream_record(entry(), 1)]) == NOTHING_FAILED
    ((body, attributes),) = topic.published
    assert json.loads(body) == {"entry_id": "auth_1", "account_id": ACCOUNT, "type": "payment.authorized"}
    assert attributes == {"type": "payment.authorized", "account_id": ACCOUNT}


def test_a_declined_entry_is_announced_as_what_it_is() -> None:
    topic = Topic()
    relay(topic, [stream_record(entry(decline=["lost_card", "41"]), 1)])
    assert topic.published[0][1]["type"] == "payment.authorization_declined"


@each_case("kind", sorted(EVENT_KINDS))
def test_every_kind_of_entry_that_is_an_event_is_announced(kind: str) -> None:
    topic = Topic()
    assert relay(topic, [stream_record(entry(kind=kind), 1)]) == NOTHING_FAILED
    assert topic.entry_ids == ["auth_1"]


@each_case("kind", ["account", "api_key", "webhook_endpoint", "webhook_delivery", "meta"])
def test_what_is_no_event_is_passed_over(kind: str) -> None:
    topic = Topic()
    assert relay(topic, [stream_record(entry(kind=kind), 1)]) == NOTHING_FAILED
    assert topic.published == []


@pytest.mark.parametrize("name", ["MODIFY", "REMOVE"])
def test_changed_and_expired_records_are_passed_over(name: str) -> None:
    topic = Topic()
    assert relay(topic, [stream_record(entry(), 1, name)]) == NOTHING_FAILED
    assert topic.published == []


def test_an_item_removed_by_time_to_live_is_passed_over() -> None:
    topic = Topic()
    removed = stream_record(entry(), 1, "REMOVE")
    removed["userIdentity"] = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    assert relay(topic, [removed]) == NOTHING_FAILED
    assert topic.published == []


def test_a_batch_that_tells_of_nothing_does_not_call_the_topic() -> None:
    topic = Topic()
    relay(topic, [stream_record(entry(kind="meta"), 1)])
    relay(topic, [])
    assert topic.calls == 0


def test_entries_are_announced_in_the_order_of_the_stream() -> None:
    topic = Topic()
    relay(topic, entries(5, 6, 7))
    assert topic.entry_ids == ["auth_5", "auth_6", "auth_7"]


def test_the_stream_is_handed_over_again_from_the_first_notice_that_the_topic_refused() -> None:
    records = [stream_record(entry(kind="meta"), 10), *entries(11, 12, 13, 14)]
    # The indexes count notices, of which the first record has none.
    assert relay(Topic({3: "InternalError", 1: "InternalError"}), records) == failed_from(12)


def test_the_lowest_sequence_number_is_a_number_not_a_text() -> None:
    assert relay(Topic({0: "InternalError", 1: "InternalError"}), entries(9, 10)) == failed_from(9)


def test_records_out_of_order_are_handed_over_again_from_the_lowest_that_failed() -> None:
    assert relay(Topic({0: "InternalError", 2: "InternalError"}), entries(30, 10, 20)) == failed_from(20)


POISON: list[StreamRecord] = [
    {"eventName": "INSERT", "dynamodb": {"SequenceNumber": "2"}},
    {"dynamodb": {"SequenceNumber": "2", "NewImage": {"kind": {"S": "capture"}}}},
    {"eventName": "INSERT", "dynamodb": {"SequenceNumber": "2", "NewImage": {}}},
    {"eventName": "INSERT", "dynamodb": {"SequenceNumber": "2", "NewImage": {"kind": "capture"}}},
    {"eventName": "INSERT", "dynamodb": {"SequenceNumber": "2", "NewImage": None}},
    {"eventName": "INSERT", "dynamodb": {"SequenceNumber": "2", "NewImage": {"kind": {"S": "capture"}}}},
]


def with_data(data: str, kind: str = "capture") -> StreamRecord:
    poisoned = stream_record(entry(kind=kind), 2)
    poisoned["dynamodb"]["NewImage"]["data"]["S"] = data
    return poisoned


@each_case(
    "poison", [*POISON, with_data("{"), with_data("[]"), with_data('{"decline": ["x", "y"]}', kind="void")]
)
def test_an_unreadable_record_is_reported_and_those_after_it_are_announced_all_the_same(
    poison: StreamRecord,
) -> None:
    topic = Topic()
    assert relay(topic, [*entries(1), poison, *entries(3)]) == failed_from(2)
    assert topic.entry_ids == ["auth_1", "auth_3"]


def test_an_unreadable_record_before_a_refused_notice_is_where_the_stream_goes_on() -> None:
    poison = POISON[0]
    assert relay(Topic({1: "InternalError"}), [*entries(1), poison, *entries(3)]) == failed_from(2)
    assert relay(Topic({0: "InternalError"}), [*entries(1), poison, *entries(3)]) == failed_from(1)


def test_an_unreadable_record_is_logged_without_what_it_holds(caplog: pytest.LogCaptureFixture) -> None:
    relay(Topic(), [with_data('{"number": "4242424242424242"')])
    (logged,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert vars(logged)["fields"] == {"sequence_number": "2", "cause": "JSONDecodeError"}
    assert logged.exc_info is None
    assert "4242424242424242" not in caplog.text


def test_without_a_sequence_number_the_batch_fails_as_a_whole() -> None:
    nameless = stream_record(entry(), 1)
    del nameless["dynamodb"]["SequenceNumber"]
    with pytest.raises(KeyError):
        relay(Topic(), [nameless])
