"""What only the DynamoDB store promises: what an operation costs, and what it makes of DynamoDB's errors."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from math import ceil
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from botocore.stub import ANY, Stubber

from contracts.store.samples import CARD_ID, FEED_KEY, NOW_MS, listed_ids, make_record, updated
from payments_sandbox.adapters.dynamodb.client import create_client
from payments_sandbox.adapters.dynamodb.items import from_item, sort_key, to_item
from payments_sandbox.adapters.dynamodb.store import UNPROCESSED_PAUSES_S, DynamoDbStore
from payments_sandbox.adapters.dynamodb.table import (
    PARTITIONS,
    POSITIONS,
    TABLE_KEY,
    TTL_ATTRIBUTE,
    table_definition,
)
from payments_sandbox.domain.cards import CardDetails
from payments_sandbox.domain.errors import StoreUnavailable
from payments_sandbox.services.payments.payments import Authorize, authorize_payment
from payments_sandbox.services.ports import (
    DUE_KEY,
    AlreadyExists,
    Committed,
    Index,
    Page,
    Position,
    Record,
    Stale,
    Update,
)
from payments_sandbox.services.world import plain_world
from tests.doubles.ports import make_infrastructure

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KIB = 1024
SHARDS = {Index.FEED: 16, Index.CARD: 16, Index.DUE: 8}


@pytest.fixture
def client(dynamodb_client: "DynamoDBClient") -> "DynamoDBClient":
    """A client of this test's own, so that what it listens to or stubs ends with it."""
    del dynamodb_client  # moto is up while it is
    return create_client(region_name="eu-central-1")


@pytest.fixture
def pauses() -> list[float]:
    """What the store has waited for, in seconds."""
    return []


@pytest.fixture
def store(client: "DynamoDBClient", dynamodb_table: str, pauses: list[float]) -> Iterator[DynamoDbStore]:
    """A store as it is deployed, which waits in no time."""
    opened = DynamoDbStore(client, dynamodb_table, sleep=pauses.append)
    yield opened
    opened.close()


@pytest.fixture
def calls(client: "DynamoDBClient", store: DynamoDbStore) -> Counter[str]:
    """How often each API operation has been called."""
    counted: Counter[str] = Counter()
    client.meta.events.register("before-call.dynamodb.*", lambda model, **_: counted.update([model.name]))
    return counted


@pytest.fixture
def stub(client: "DynamoDBClient") -> Iterator[Stubber]:
    """Answers in DynamoDB's place, and checks what is asked."""
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


# What operations cost


def test_an_insert_is_one_put_and_nothing_else_replay_included(
    store: DynamoDbStore, calls: Counter[str]
) -> None:
    assert store.insert(make_record("auth_1")) is None
    assert calls == {"PutItem": 1}
    assert store.insert(make_record("auth_1", data={})) == make_record("auth_1")
    assert calls == {"PutItem": 2}


def test_a_commit_is_one_transaction_replay_included(store: DynamoDbStore, calls: Counter[str]) -> None:
    authorization = make_record("auth_1")
    store.commit([authorization], [])
    store.commit([make_record("cap_1")], [updated(authorization)])
    store.commit([make_record("cap_1")], [updated(authorization)])
    assert calls == {"TransactWriteItems": 3}


def test_an_empty_commit_costs_nothing(store: DynamoDbStore, calls: Counter[str]) -> None:
    store.commit([], [])
    assert not calls


def test_a_get_is_one_read(store: DynamoDbStore, calls: Counter[str]) -> None:
    store.get(["auth_1"])
    assert calls == {"GetItem": 1}
    store.get([f"auth_{number}" for number in range(100)])
    assert calls == {"GetItem": 1, "BatchGetItem": 1}
    store.get([])
    assert calls.total() == 2


def test_a_page_is_one_query_per_shard_and_one_read(store: DynamoDbStore, calls: Counter[str]) -> None:
    ids = [f"auth_{number:02d}" for number in range(60)]
    for record_id in ids:
        store.insert(make_record(record_id, feed_key=FEED_KEY, due_at=NOW_MS))
    calls.clear()
    assert [record.id for record in store.page(Index.FEED, FEED_KEY, limit=50).records] == ids[:50]
    assert calls == {"Query": 16, "BatchGetItem": 1}
    calls.clear()
    assert [record.id for record in store.page(Index.DUE, DUE_KEY, limit=50).records] == ids[:50]
    assert calls == {"Query": 8, "BatchGetItem": 1}


def test_records_spread_evenly_over_the_shards(store: DynamoDbStore) -> None:
    """5,000 authorizations a second on one account, one card: no partition may take 1,000."""
    count = 4000
    for index in Index:
        partitions = Counter(
            to_item(typical_record(number), SHARDS)[PARTITIONS[index]]["S"] for number in range(count)
        )
        assert len(partitions) == SHARDS[index]
        assert max(partitions.values()) / count * 5000 < 1000


def test_the_shard_of_an_id_is_the_same_in_every_process() -> None:
    """Else each update would move its record in every index, and pay for that."""
    items = [to_item(make_record(f"auth_{number}", feed_key="a"), SHARDS) for number in range(4)]
    assert [item["feed"]["S"] for item in items] == ["a#7", "a#1", "a#11", "a#13"]


def test_a_store_reads_what_was_written_with_fewer_shards(
    client: "DynamoDBClient", dynamodb_table: str
) -> None:
    few = DynamoDbStore(client, dynamodb_table, feed_shards=2)
    more = DynamoDbStore(client, dynamodb_table, feed_shards=5)
    ids = [f"auth_{number:02d}" for number in range(20)]
    for number, record_id in enumerate(ids):
        (few if number % 2 else more).insert(make_record(record_id, feed_key=FEED_KEY))
    assert listed_ids(more, Index.FEED, FEED_KEY) == ids
    few.close()
    more.close()


def test_a_number_of_shards_that_cannot_be_is_refused(client: "DynamoDBClient") -> None:
    for count in (0, 100):
        with pytest.raises(ValueError, match="shards"):
            pytest.fail(f"{count}: {DynamoDbStore(client, feed_shards=count)}")


def typical_record(number: int) -> Record:
    """An authorization's keys; the ids have the length and the alphabet of real ones."""
    return make_record(
        f"auth_{number:025d}", feed_key=FEED_KEY, card_id=CARD_ID, due_at=NOW_MS, created_at=NOW_MS + number
    )


def attribute_bytes(name: str, value: dict[str, Any]) -> int:
    """What DynamoDB charges for an attribute: its name, and the text's bytes or about half the number's digits."""
    ((kind, text),) = value.items()
    return len(name.encode()) + {"S": len(text.encode()), "N": ceil(len(text) / 2) + 1}[kind]


def item_bytes(item: dict[str, Any]) -> int:
    return sum(attribute_bytes(name, value) for name, value in item.items())


def index_entry_bytes(item: dict[str, Any], index: Index) -> int:
    keys = (TABLE_KEY, PARTITIONS[index], POSITIONS[index])
    return sum(attribute_bytes(name, item[name]) for name in keys)


def test_a_typical_authorization_is_a_kilobyte_and_four_write_units_at_most(store: DynamoDbStore) -> None:
    infrastructure = make_infrastructure(store)
    command = Authorize(
        amount=12_345,
        currency="EUR",
        card=CardDetails("4242424242424242", 12, 2030, cvc="123", holder_name="Jane Doe"),
        merchant_reference="order-10042",
    )
    outcome = authorize_payment(
        plain_world(infrastructure, "acct_h5mq2tzk7wd4v3ya"), command, idempotency_key="k-1"
    )
    item = to_item(outcome.entry.record, SHARDS)
    assert item_bytes(item) <= KIB
    entries = [index_entry_bytes(item, index) for index in Index]
    assert ceil(item_bytes(item) / KIB) + sum(ceil(size / KIB) for size in entries) == 4


def test_the_adapter_leaves_720_bytes_of_a_kilobyte_to_the_data() -> None:
    item = to_item(typical_record(1), SHARDS)
    item["data"] = {"S": "x" * 720}
    assert item_bytes(item) <= KIB


def test_data_is_one_string_of_json() -> None:
    item = to_item(make_record(data={"amount": 2**53 + 1}), SHARDS)
    assert item["data"] == {"S": '{"amount":9007199254740993}'}


def test_a_record_without_index_keys_is_in_no_index() -> None:
    item = to_item(make_record(), SHARDS)
    assert set(item) == {TABLE_KEY, "kind", "account_id", "version", "created_at", "data"}


def test_a_page_shows_only_what_the_index_still_lists_there(client: "DynamoDBClient", stub: Stubber) -> None:
    """The index follows the table: it may list a record that has moved, or list it twice."""
    store = DynamoDbStore(client, "ledger", due_shards=1)
    kept = make_record("auth_1", due_at=10)
    moved = make_record("auth_2", due_at=20)
    gone = make_record("auth_3", due_at=25)
    moved_on = updated(moved, due_at=40).record
    late = make_record("auth_4", due_at=50)
    listed = [kept, moved, gone, moved_on, late]
    stub.add_response("query", {"Items": [index_entry(Index.DUE, record) for record in listed]})
    items = [to_item(record, SHARDS) for record in (moved_on, kept, updated(gone, due_at=None).record)]
    stub.add_response(
        "batch_get_item",
        {"Responses": {"ledger": items}},
        {"RequestItems": {"ledger": batch("auth_1", "auth_2", "auth_3")}},
    )
    stub.add_response("get_item", {"Item": to_item(late, SHARDS)})
    assert store.page(Index.DUE, DUE_KEY, limit=4) == Page([kept, moved_on, late], None)
    store.close()


def test_a_record_that_moved_to_another_key_is_not_shown_under_the_old(
    client: "DynamoDBClient", stub: Stubber
) -> None:
    store = DynamoDbStore(client, "ledger", feed_shards=1)
    before = make_record("auth_1", feed_key="a")
    stub.add_response("query", {"Items": [index_entry(Index.FEED, before)]})
    stub.add_response("get_item", {"Item": to_item(updated(before, feed_key="b").record, SHARDS)})
    assert store.page(Index.FEED, "a") == Page([], None)
    store.close()


def test_a_shard_is_read_on_when_its_first_page_is_used_up(client: "DynamoDBClient", stub: Stubber) -> None:
    store = DynamoDbStore(client, "ledger", feed_shards=1)
    records = [make_record(f"auth_{number}", feed_key=FEED_KEY, created_at=number) for number in range(3)]
    entries = [index_entry(Index.FEED, record) for record in records]
    asked = {
        "TableName": "ledger",
        "IndexName": "feed",
        "KeyConditionExpression": "#partition = :partition AND #position > :after",
        "ExpressionAttributeNames": {"#partition": "feed", "#position": "created_at"},
        "ExpressionAttributeValues": {
            ":after": {"S": "000000000000000#auth"},
            ":partition": {"S": f"{FEED_KEY}#0"},
        },
        "ScanIndexForward": True,
        "Limit": 3,
    }
    stub.add_response("query", {"Items": entries[:1], "LastEvaluatedKey": entries[0]}, asked)
    stub.add_response("query", {"Items": entries[1:]}, {**asked, "ExclusiveStartKey": entries[0]})
    stub.add_response(
        "batch_get_item", {"Responses": {"ledger": [to_item(record, SHARDS) for record in records[:2]]}}
    )
    page = store.page(Index.FEED, FEED_KEY, after=Position(0, "auth"), limit=2)
    assert page == Page(records[:2], Position(1, "auth_1"))
    store.close()


def index_entry(index: Index, record: Record) -> dict[str, Any]:
    """What a query of the index answers for a record."""
    item = to_item(record, SHARDS)
    return {name: item[name] for name in (TABLE_KEY, PARTITIONS[index], POSITIONS[index])}


def test_sort_keys_have_one_width() -> None:
    assert sort_key(Position(7, "auth_1")) == "000000000000007#auth_1"
    assert sort_key(Position(10**15 - 1, "auth_1")) == "999999999999999#auth_1"


# What becomes of errors

OUTAGES = [
    ("ProvisionedThroughputExceededException", 400),
    ("ThrottlingException", 400),
    ("RequestLimitExceeded", 400),
    ("TransactionInProgressException", 400),
    ("InternalServerError", 500),
    ("ServiceUnavailable", 503),
    ("SomethingNew", 500),
]
MISTAKES = [
    ("ValidationException", 400),
    ("AccessDeniedException", 400),
    ("ResourceNotFoundException", 400),
    ("UnrecognizedClientException", 400),
    ("ExpiredTokenException", 400),
]
LOST_CONNECTIONS = [
    EndpointConnectionError(endpoint_url="https://example.com"),
    ConnectTimeoutError(endpoint_url="https://example.com"),
    ReadTimeoutError(endpoint_url="https://example.com"),
    ConnectionClosedError(endpoint_url="https://example.com"),
]
Operation = Callable[[DynamoDbStore], object]
OPERATIONS: list[tuple[str, Operation]] = [
    ("put_item", lambda store: store.insert(make_record())),
    ("transact_write_items", lambda store: store.commit([make_record()], [])),
    ("get_item", lambda store: store.get(["auth_1"])),
    ("batch_get_item", lambda store: store.get(["auth_1", "auth_2"])),
    ("query", lambda store: store.page(Index.FEED, FEED_KEY)),
    ("get_item", DynamoDbStore.ping),
]


@pytest.fixture
def one_shard(client: "DynamoDBClient", pauses: list[float]) -> Iterator[DynamoDbStore]:
    """A store whose calls come in a known order."""
    opened = DynamoDbStore(client, "ledger", feed_shards=1, card_shards=1, due_shards=1, sleep=pauses.append)
    yield opened
    opened.close()


def error_of(operate: Operation, store: DynamoDbStore) -> Exception | None:
    """The error with which the operation fails."""
    try:
        operate(store)
    except (StoreUnavailable, ClientError) as error:
        return error
    return None


def test_throttling_and_server_errors_are_outages(one_shard: DynamoDbStore, stub: Stubber) -> None:
    for method, operate in OPERATIONS:
        for code, status in OUTAGES:
            stub.add_client_error(method, code, "no", status)
            error = error_of(operate, one_shard)
            case = f"{method}, {code}: {error!r}"
            assert isinstance(error, StoreUnavailable), case
            assert code in str(error), case
            assert isinstance(error.__cause__, ClientError), case


def test_mistakes_are_not_disguised_as_outages(one_shard: DynamoDbStore, stub: Stubber) -> None:
    for method, operate in OPERATIONS:
        for code, status in MISTAKES:
            stub.add_client_error(method, code, "no", status)
            error = error_of(operate, one_shard)
            assert isinstance(error, ClientError), f"{method}, {code}: {error!r}"
            assert code in str(error), f"{method}, {code}: {error!r}"


def test_timeouts_and_lost_connections_are_outages(
    one_shard: DynamoDbStore, client: "DynamoDBClient"
) -> None:
    failures = iter([failure for failure in LOST_CONNECTIONS for _ in OPERATIONS])

    def fail(**_: object) -> None:
        raise next(failures)

    client.meta.events.register("before-call.dynamodb.*", fail)
    for failure in LOST_CONNECTIONS:
        for method, operate in OPERATIONS:
            error = error_of(operate, one_shard)
            case = f"{method}, {failure!r}: {error!r}"
            assert isinstance(error, StoreUnavailable), case
            assert type(failure).__name__ in str(error), case


def test_missing_credentials_are_not_disguised_as_an_outage(
    one_shard: DynamoDbStore, client: "DynamoDBClient"
) -> None:
    def fail(**_: object) -> None:
        raise NoCredentialsError

    client.meta.events.register("before-call.dynamodb.*", fail)
    with pytest.raises(NoCredentialsError):
        one_shard.insert(make_record())


def reason(code: str, item: Record | None = None) -> dict[str, Any]:
    """One write's part in a cancelled transaction."""
    return {"Code": code} | ({"Item": to_item(item, SHARDS)} if item else {})


NONE, FAILED, CONFLICT = reason("None"), reason("ConditionalCheckFailed"), reason("TransactionConflict")
HOLDER = make_record("cap_1", data={"first": True})
TAKEN = reason("ConditionalCheckFailed", HOLDER)


def cancel(stub: Stubber, *reasons: dict[str, Any]) -> None:
    stub.add_client_error(
        "transact_write_items",
        "TransactionCanceledException",
        "cancelled",
        400,
        modeled_fields={"CancellationReasons": list(reasons)},
    )


def answer_get(stub: Stubber, record: Record | None) -> None:
    stub.add_response(
        "get_item",
        {"Item": to_item(record, SHARDS)} if record else {},
        {"TableName": "ledger", "Key": ANY, "ConsistentRead": True},
    )


def commit_capture(store: DynamoDbStore) -> object:
    return store.commit([make_record("cap_1")], [Update(make_record("auth_1", version=2))])


def test_a_taken_id_wins_whatever_became_of_the_update(one_shard: DynamoDbStore, stub: Stubber) -> None:
    for of_update in (NONE, FAILED, CONFLICT, reason("ThrottlingError")):
        cancel(stub, TAKEN, of_update)
        assert commit_capture(one_shard) == AlreadyExists(HOLDER), of_update


def test_a_lost_race_is_stale_once_the_id_is_known_to_be_free(
    one_shard: DynamoDbStore, stub: Stubber, pauses: list[float]
) -> None:
    for of_update in (FAILED, CONFLICT):
        cancel(stub, NONE, of_update)
        answer_get(stub, None)
        assert commit_capture(one_shard) == Stale(), of_update
        assert pauses == [], of_update


def test_an_id_that_was_not_judged_but_is_taken_wins_over_a_lost_race(
    one_shard: DynamoDbStore, stub: Stubber
) -> None:
    cancel(stub, NONE, FAILED)
    answer_get(stub, HOLDER)
    assert commit_capture(one_shard) == AlreadyExists(HOLDER)


def test_the_same_write_under_way_elsewhere_is_waited_for(
    one_shard: DynamoDbStore, stub: Stubber, pauses: list[float]
) -> None:
    for of_update in (NONE, FAILED, CONFLICT):
        cancel(stub, CONFLICT, of_update)
        answer_get(stub, None)
        answer_get(stub, None)
        answer_get(stub, HOLDER)
        assert commit_capture(one_shard) == AlreadyExists(HOLDER), of_update
        assert len(pauses) == 2, of_update
        pauses.clear()


def test_the_same_write_under_way_elsewhere_is_not_waited_for_for_ever(
    one_shard: DynamoDbStore, stub: Stubber, pauses: list[float]
) -> None:
    cancel(stub, CONFLICT, CONFLICT)
    for _ in range(4):
        answer_get(stub, None)
    assert commit_capture(one_shard) == Stale()
    assert 0 < sum(pauses) < 0.5


def test_an_update_that_another_write_holds_is_stale_without_a_read(
    one_shard: DynamoDbStore, stub: Stubber
) -> None:
    cancel(stub, CONFLICT)
    assert one_shard.commit([], [Update(make_record("auth_1", version=2))]) == Stale()


def test_a_commit_that_is_throttled_in_part_is_an_outage(one_shard: DynamoDbStore, stub: Stubber) -> None:
    for code in ("ProvisionedThroughputExceeded", "ThrottlingError"):
        cancel(stub, NONE, reason(code))
        with pytest.raises(StoreUnavailable, match=code):
            pytest.fail(f"{code}: {commit_capture(one_shard)}")


def test_a_commit_that_is_wrong_in_part_is_not_disguised(one_shard: DynamoDbStore, stub: Stubber) -> None:
    for other in (NONE, FAILED, reason("ThrottlingError")):
        cancel(stub, reason("ValidationError"), other)
        with pytest.raises(ClientError, match="TransactionCanceledException"):
            pytest.fail(f"{other}: {commit_capture(one_shard)}")


def test_an_insert_of_a_record_that_an_atomic_write_holds_answers_with_it(
    one_shard: DynamoDbStore, stub: Stubber, pauses: list[float]
) -> None:
    stub.add_client_error("put_item", "TransactionConflictException", "busy", 400)
    answer_get(stub, None)
    answer_get(stub, HOLDER)
    assert one_shard.insert(make_record("cap_1")) == HOLDER
    assert len(pauses) == 1


def test_an_insert_whose_id_stays_held_is_an_outage(one_shard: DynamoDbStore, stub: Stubber) -> None:
    stub.add_client_error("put_item", "TransactionConflictException", "busy", 400)
    for _ in range(4):
        answer_get(stub, None)
    with pytest.raises(StoreUnavailable, match="TransactionConflict"):
        one_shard.insert(make_record("cap_1"))


def batch(*ids: str) -> dict[str, Any]:
    return {"Keys": [{TABLE_KEY: {"S": record_id}} for record_id in ids], "ConsistentRead": True}


def test_keys_that_were_left_unprocessed_are_asked_for_again(
    one_shard: DynamoDbStore, stub: Stubber, pauses: list[float]
) -> None:
    records = [make_record(f"auth_{number}") for number in range(3)]
    items = [to_item(record, SHARDS) for record in records]
    stub.add_response(
        "batch_get_item",
        {"Responses": {"ledger": items[1:2]}, "UnprocessedKeys": {"ledger": batch("auth_0", "auth_2")}},
        {"RequestItems": {"ledger": batch("auth_0", "auth_1", "auth_2")}},
    )
    stub.add_response(
        "batch_get_item",
        {"Responses": {}, "UnprocessedKeys": {"ledger": batch("auth_0", "auth_2")}},
        {"RequestItems": {"ledger": batch("auth_0", "auth_2")}},
    )
    stub.add_response(
        "batch_get_item",
        {"Responses": {"ledger": [items[2], items[0]]}, "UnprocessedKeys": {}},
        {"RequestItems": {"ledger": batch("auth_0", "auth_2")}},
    )
    assert one_shard.get(["auth_0", "auth_1", "auth_2"]) == records
    assert 0 < pauses[0] < pauses[1]


def test_keys_that_stay_unprocessed_are_an_outage(
    one_shard: DynamoDbStore, stub: Stubber, pauses: list[float]
) -> None:
    for _ in range(len(UNPROCESSED_PAUSES_S) + 1):
        stub.add_response(
            "batch_get_item",
            {"Responses": {}, "UnprocessedKeys": {"ledger": batch("auth_0", "auth_1")}},
        )
    with pytest.raises(StoreUnavailable, match="UnprocessedKeys"):
        one_shard.get(["auth_0", "auth_1"])
    assert 0 < sum(pauses) < 1


# The table and the client


def test_the_table_is_what_the_architecture_says(client: "DynamoDBClient", dynamodb_table: str) -> None:
    table = client.describe_table(TableName=dynamodb_table)["Table"]
    assert table["KeySchema"] == [{"AttributeName": "transaction_id", "KeyType": "HASH"}]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    assert {index["IndexName"] for index in table["GlobalSecondaryIndexes"]} == {"feed", "card_id", "due"}
    assert {index["IndexName"]: index["Projection"] for index in table["GlobalSecondaryIndexes"]} == {
        "feed": {"ProjectionType": "KEYS_ONLY"},
        "card_id": {"ProjectionType": "KEYS_ONLY"},
        "due": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["account_id"]},
    }
    time_to_live = client.describe_time_to_live(TableName=dynamodb_table)["TimeToLiveDescription"]
    assert time_to_live == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}


def test_every_index_key_is_an_attribute_that_items_have() -> None:
    definition = table_definition()
    item = to_item(typical_record(1), SHARDS)
    declared = {attribute["AttributeName"] for attribute in definition["AttributeDefinitions"]}
    used = {key["AttributeName"] for key in definition["KeySchema"]}
    for index in definition["GlobalSecondaryIndexes"]:
        used |= {key["AttributeName"] for key in index["KeySchema"]}
    assert declared == used
    assert used <= set(item)
    assert TTL_ATTRIBUTE not in item
    assert set(PARTITIONS) == set(POSITIONS) == set(Index)


def test_an_item_is_read_back_as_the_record_that_it_was() -> None:
    record = typical_record(1)
    assert from_item(to_item(record, SHARDS)) == record


def test_the_client_gives_up_soon_and_says_little() -> None:
    config: Any = create_client(region_name="eu-central-1").meta.config
    assert (config.connect_timeout, config.read_timeout) == (1, 2)
    assert config.retries == {"mode": "standard", "total_max_attempts": 3}
    assert config.tcp_keepalive is True
    assert config.user_agent.startswith("payments-sandbox")
    assert len(config.user_agent) < 50


def test_the_client_does_not_check_parameters_that_the_service_checks(client: "DynamoDBClient") -> None:
    class Sent(Exception):
        pass

    def stop(**_: object) -> None:
        raise Sent

    client.meta.events.register("before-call.dynamodb.GetItem", stop)
    with pytest.raises(Sent):
        client.get_item()  # type: ignore[call-arg]


def test_a_retried_commit_carries_one_request_token(client: "DynamoDBClient", store: DynamoDbStore) -> None:
    """botocore adds it, even though it does not check parameters; without it, a retry could write a second time."""
    bodies: list[str] = []
    client.meta.events.register(
        "before-call.dynamodb.TransactWriteItems", lambda params, **_: bodies.append(params["body"])
    )
    assert store.commit([make_record()], []) == Committed()
    assert "ClientRequestToken" in str(bodies[0])


def test_the_package_costs_embedded_users_nothing() -> None:
    code = (
        "import sys, payments_sandbox.adapters.dynamodb, payments_sandbox.adapters.dynamodb.client, "
        "payments_sandbox.adapters.dynamodb.table; "
        "sys.exit('botocore' in sys.modules or 'boto3' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
