"""Sending in batches of ten: SQS and SNS accept and refuse each entry by itself, or fail as a whole."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from payments_sandbox.adapters.sns.publisher import SnsPublisher
from payments_sandbox.adapters.sqs.batches import PAUSES_S, send_entries
from payments_sandbox.adapters.sqs.queue import SqsDeliveryQueue

Response = dict[str, Any]
Answer = Callable[[list[str]], Response]


def accept(*refused: str, fault: bool = False, code: str = "InternalError") -> Answer:
    """Accepts all entries but those of these ids."""
    return lambda ids: {
        "Successful": [{"Id": entry_id} for entry_id in ids if entry_id not in refused],
        "Failed": [
            {"Id": entry_id, "Code": code, "SenderFault": fault} for entry_id in ids if entry_id in refused
        ],
    }


def fail(error: Exception) -> Answer:
    def answer(_ids: list[str]) -> Response:
        raise error

    return answer


def client_error(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "SendMessageBatch",
    )


class Service:
    """Answers call after call by the script, then accepts everything."""

    def __init__(self, *script: Answer) -> None:
        self.script = list(script)
        self.calls: list[list[str]] = []
        self.sent: list[Mapping[str, Any]] = []
        self.pauses_s: list[float] = []

    def __call__(self, entries: Sequence[Mapping[str, Any]]) -> Response:
        ids = [entry["Id"] for entry in entries]
        self.calls.append(ids)
        self.sent += entries
        return (self.script.pop(0) if self.script else accept())(ids)

    def send(self, count: int) -> dict[int, str]:
        return send_entries(self, [{"Body": index} for index in range(count)], self.pauses_s.append)


def ids(*numbers: int) -> list[str]:
    return [str(number) for number in numbers]


def test_nothing_to_send_is_no_call() -> None:
    service = Service()
    assert service.send(0) == {}
    assert service.calls == []


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (10, [10]), (11, [10, 1]), (25, [10, 10, 5])])
def test_entries_go_ten_a_call_in_their_order(count: int, sizes: list[int]) -> None:
    service = Service()
    assert service.send(count) == {}
    assert [len(call) for call in service.calls] == sizes
    assert [entry["Body"] for entry in service.sent] == list(range(count))


def test_refused_entries_are_sent_again_and_no_others() -> None:
    service = Service(accept(), accept("11", "13"))
    assert service.send(15) == {}
    assert service.calls == [ids(*range(10)), ids(*range(10, 15)), ids(11, 13)]
    assert service.pauses_s == [PAUSES_S[0]]


def test_entries_refused_to_the_end_are_answered_and_the_next_batch_is_sent_all_the_same() -> None:
    service = Service(*[accept("3")] * 3)
    assert service.send(12) == {3: "InternalError"}
    assert service.calls == [ids(*range(10)), ids(3), ids(3), ids(10, 11)]
    assert service.pauses_s == list(PAUSES_S)


def test_an_entry_at_fault_itself_is_not_sent_again() -> None:
    service = Service(accept("2", fault=True, code="InvalidMessageContents"))
    assert service.send(4) == {2: "InvalidMessageContents"}
    assert len(service.calls) == 1


def test_an_entry_that_the_answer_does_not_mention_was_not_accepted() -> None:
    silent: Answer = lambda _ids: {"Successful": [{"Id": "0"}]}  # noqa: E731
    service = Service(*[silent] * 3)
    assert service.send(2) == {1: "Unanswered"}
    assert service.calls == [ids(0, 1), ids(1), ids(1)]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (client_error("Throttling"), "Throttling"),
        (client_error("ThrottledException", 429), "ThrottledException"),
        (client_error("RequestThrottled", 403), "RequestThrottled"),
        (client_error("InternalError", 500), "InternalError"),
        (client_error("ServiceUnavailable", 503), "ServiceUnavailable"),
        (EndpointConnectionError(endpoint_url="https://sqs"), "EndpointConnectionError"),
        (ReadTimeoutError(endpoint_url="https://sqs"), "ReadTimeoutError"),
    ],
)
def test_after_an_outage_the_rest_is_not_tried(error: Exception, reason: str) -> None:
    service = Service(accept(), fail(error))
    assert service.send(30) == dict.fromkeys(range(10, 30), reason)
    assert len(service.calls) == 2


def test_an_outage_while_refused_entries_are_sent_again_leaves_those_that_were_accepted_alone() -> None:
    service = Service(accept("1", "4"), fail(client_error("InternalError", 500)))
    assert service.send(12) == dict.fromkeys([1, 4, 10, 11], "InternalError")


@pytest.mark.parametrize("code", ["AccessDenied", "NotFound", "AWS.SimpleQueueService.NonExistentQueue"])
def test_what_the_deployment_is_at_fault_for_is_raised(code: str) -> None:
    with pytest.raises(ClientError, match=code):
        Service(fail(client_error(code, 403))).send(1)


class Client:
    """Of boto3's clients what the adapters call; keeps the arguments."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.arguments: list[dict[str, Any]] = []

    def publish_batch(self, **arguments: Any) -> Response:
        self.arguments.append(arguments)
        return accept()([entry["Id"] for entry in arguments["PublishBatchRequestEntries"]])

    def send_message_batch(self, **arguments: Any) -> Response:
        self.arguments.append(arguments)
        return accept()([entry["Id"] for entry in arguments["Entries"]])

    def change_message_visibility(self, **arguments: Any) -> None:
        self.arguments.append(arguments)
        if self.error is not None:
            raise self.error


def test_a_notice_is_published_with_its_attributes_as_texts() -> None:
    client: Any = Client()
    assert SnsPublisher(client, "topic").publish([("body", {"type": "payment.captured"})]) == {}
    assert client.arguments == [
        {
            "TopicArn": "topic",
            "PublishBatchRequestEntries": [
                {
                    "Id": "0",
                    "Message": "body",
                    "MessageAttributes": {"type": {"DataType": "String", "StringValue": "payment.captured"}},
                }
            ],
        }
    ]


def test_a_message_is_sent_with_its_delay_in_seconds() -> None:
    client: Any = Client()
    assert SqsDeliveryQueue(client, "url").send([("body", 330)]) == {}
    assert client.arguments == [
        {"QueueUrl": "url", "Entries": [{"Id": "0", "MessageBody": "body", "DelaySeconds": 330}]}
    ]


def test_a_message_is_held_back_by_its_visibility() -> None:
    client: Any = Client()
    assert SqsDeliveryQueue(client, "url").hold_back("handle", 40) is None
    assert client.arguments == [{"QueueUrl": "url", "ReceiptHandle": "handle", "VisibilityTimeout": 40}]


@pytest.mark.parametrize(
    "error",
    [
        client_error("ReceiptHandleIsInvalid", 404),
        client_error("AWS.SimpleQueueService.MessageNotInflight"),
        client_error("RequestThrottled", 403),
        EndpointConnectionError(endpoint_url="https://sqs"),
    ],
)
def test_a_message_that_cannot_be_held_back_is_no_error(error: Exception) -> None:
    client: Any = Client(error)
    assert SqsDeliveryQueue(client, "url").hold_back("handle", 40)


def test_a_missing_permission_to_hold_back_is_raised() -> None:
    client: Any = Client(client_error("AccessDenied", 403))
    with pytest.raises(ClientError, match="AccessDenied"):
        SqsDeliveryQueue(client, "url").hold_back("handle", 40)
