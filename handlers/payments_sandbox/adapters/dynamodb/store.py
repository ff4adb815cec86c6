"""`Store` on one DynamoDB table: the ledger of the AWS home.

Reads by id are strongly consistent; the indexes follow writes by milliseconds, as all global secondary indexes do. It
creates no table (`table.py` describes it) and makes no client (`client.py` does).
"""

import heapq
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

from payments_sandbox.adapters.dynamodb.items import (
    Item,
    from_item,
    item_key,
    partition,
    sort_key_bound,
    to_item,
    to_position,
)
from payments_sandbox.adapters.dynamodb.table import (
    PARTITIONS,
    POSITIONS,
    TABLE_KEY,
    TABLE_NAME,
)
from payments_sandbox.domain.errors import StoreUnavailable
from payments_sandbox.services.ports import (
    DUE_KEY,
    AlreadyExists,
    CommitResult,
    Committed,
    Index,
    Page,
    Position,
    Record,
    Stale,
    Update,
    index_position,
    is_listed,
    require_ids,
    require_page_limit,
    require_writes,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BATCH_MAX: Final = 100
"""Keys in one BatchGetItem."""

SHARDS_MAX: Final = 99
READERS: Final = 8
"""Threads that read an index's shards; fewer than the connections that a client keeps."""
KEYS_PER_READ: Final = 40
"""Index entries that fit into the 8 KB of one eventually consistent read unit, the least that a query costs."""

UNPROCESSED_PAUSES_S: Final = (0.02, 0.05, 0.1, 0.2, 0.4)
TWIN_PAUSES_S: Final = (0.02, 0.05, 0.1)
PING_ID: Final = "ping"

_NEW: Final = f"attribute_not_exists({TABLE_KEY})"
_CONDITION_FAILED: Final = "ConditionalCheckFailed"
_CONFLICT: Final = "TransactionConflict"
_THROTTLED_REASONS: Final = frozenset({"ProvisionedThroughputExceeded", "ThrottlingError"})
_OUTAGES: Final = frozenset(
    {
        "InternalServerError",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ThrottlingException",
        "TransactionInProgressException",
    }
)
"""Error codes that say something about the service. The others are this program's or its deployment's fault."""


class DynamoDbStore:
    """The ledger in the table `table_name`.

    feed_shards, card_shards, due_shards: over how many partitions each key of an index is spread, at 1,000 writes a
        second each. They may be raised while there are records, never lowered: the shards above would not be read.
        An account's whole load, and one test card's, meet under one key; the due index has a single key for everything.
    sleep: takes seconds; what the store waits with before it asks again.
    Threads may share it.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        table_name: str = TABLE_NAME,
        *,
        feed_shards: int = 16,
        card_shards: int = 16,
        due_shards: int = 8,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._shards = {Index.FEED: feed_shards, Index.CARD: card_shards, Index.DUE: due_shards}
        if not all(1 <= count <= SHARDS_MAX for count in self._shards.values()):
            raise ValueError(f"1 to {SHARDS_MAX} shards")
        self._client = client
        self._table_name = table_name
        self._sleep = sleep
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="dynamodb-reader")

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """See the port."""
        require_ids(ids)
        found = self._fetch(list(dict.fromkeys(ids)))
        return [found.get(record_id) for record_id in ids]

    def insert(self, record: Record) -> Record | None:
        """See the port. One PutItem and no read: a refused put answers with the item that is there.

        When botocore repeats a put whose answer was lost, that may be this very record.
        """
        try:
            with _OUTAGES_TRANSLATED:
                self._client.put_item(
                    TableName=self._table_name,
                    Item=to_item(record, self._shards),
                    ConditionExpression=_NEW,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ClientError as error:
            code = _code(error)
            if code == "ConditionalCheckFailedException":
                return from_item(_response(error)["Item"])
            if code == "TransactionConflictException":
                return self._await_holder(record.id, error)
            raise
        return None

    def commit(self, inserts: Sequence[Record], updates: Sequence[Update]) -> CommitResult:
        """See the port. botocore adds a request token, so that its own retries do not write twice."""
        require_writes(inserts, updates)
        if not inserts and not updates:
            return Committed()
        writes: list[Any] = [*map(self._put_new, inserts), *map(self._put_next, updates)]
        try:
            with _OUTAGES_TRANSLATED:
                self._client.transact_write_items(TransactItems=writes)
        except ClientError as error:
            if _code(error) != "TransactionCanceledException":
                raise
            return self._why_cancelled(inserts, error)
        return Committed()

    def page(
        self,
        index: Index,
        key: str,
        *,
        after: Position | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> Page:
        """See the port.

        The index lists where records were a moment ago; what has moved since is left out, and the page filled up.
        """
        require_page_limit(limit)
        listed = self._listed(index, key, after, limit + 1, newest_first)
        records: list[Record] = []
        last: Position | None = None
        while len(records) < limit:
            candidates = list(islice(listed, limit - len(records)))
            if not candidates:
                return Page(records, None)
            records += self._still_there(index, key, candidates)
            last = candidates[-1]
        return Page(records, last if next(listed, None) else None)

    def ping(self) -> None:
        """See the port. Reads one key: describing the table is limited to a few calls a second."""
        with _OUTAGES_TRANSLATED:
            self._client.get_item(TableName=self._table_name, Key=item_key(PING_ID))

    def close(self) -> None:
        """See the port. The client belongs to whoever made it."""
        self._readers.shutdown()

    # Writing

    def _put_new(self, record: Record) -> dict[str, Any]:
        return {
            "Put": {
                "TableName": self._table_name,
                "Item": to_item(record, self._shards),
                "ConditionExpression": _NEW,
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    def _put_next(self, update: Update) -> dict[str, Any]:
        return {
            "Put": {
                "TableName": self._table_name,
                "Item": to_item(update.record, self._shards),
                "ConditionExpression": "#version = :expected",
                "ExpressionAttributeNames": {"#version": "version"},
                "ExpressionAttributeValues": {":expected": {"N": str(update.record.version - 1)}},
            }
        }

    def _why_cancelled(self, inserts: Sequence[Record], error: ClientError) -> AlreadyExists | Stale:
        """Read the reasons, which come one per write and in their order, the inserts first."""
        reasons = _response(error)["CancellationReasons"]
        of_inserts = reasons[: len(inserts)]
        for reason in of_inserts:
            if reason["Code"] == _CONDITION_FAILED:
                return AlreadyExists(from_item(reason["Item"]))
        codes = {reason["Code"] for reason in reasons} - {"None", _CONDITION_FAILED, _CONFLICT}
        if codes - _THROTTLED_REASONS:
            raise error
        if codes:
            raise _unavailable(", ".join(sorted(codes))) from error
        contested = any(reason["Code"] == _CONFLICT for reason in of_inserts)
        existing = self._find_twin([record.id for record in inserts], TWIN_PAUSES_S if contested else ())
        return AlreadyExists(existing) if existing else Stale()

    def _await_holder(self, record_id: str, error: ClientError) -> Record:
        """The record that an atomic write under way keeps an insert from."""
        existing = self._find_twin([record_id], TWIN_PAUSES_S)
        if existing is None:
            raise _unavailable(_code(error)) from error
        return existing

    def _find_twin(self, ids: Sequence[str], pauses_s: Sequence[float]) -> Record | None:
        """Look for the inserts of a write that lost: they may be there, written by the same request sent twice.

        The reasons alone do not say so for certain: DynamoDB does not promise to judge every item of a write that
        fails, and judges none that another write holds. One such as ours is worth waiting for.
        """
        for pause_s in (0.0, *pauses_s):
            if pause_s:
                self._sleep(pause_s)
            found = self._fetch(ids)
            if found:
                return next(iter(found.values()))
        return None

    # Reading by id

    def _fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        """The records that exist among these ids, which are distinct."""
        if len(ids) == 1:
            items = self._get_one(ids[0])
        else:
            batches = [ids[start : start + BATCH_MAX] for start in range(0, len(ids), BATCH_MAX)]
            read = self._readers.map if len(batches) > 1 else map
            items = [item for batch in read(self._get_batch, batches) for item in batch]
        return {record.id: record for record in map(from_item, items)}

    def _get_one(self, record_id: str) -> list[Item]:
        with _OUTAGES_TRANSLATED:
            response = self._client.get_item(
                TableName=self._table_name, Key=item_key(record_id), ConsistentRead=True
            )
        return [response["Item"]] if "Item" in response else []

    def _get_batch(self, ids: Sequence[str]) -> list[Item]:
        """BatchGetItem answers what it can; the rest is asked for again, after a growing pause."""
        items: list[Item] = []
        keys: Sequence[Any] = [item_key(record_id) for record_id in ids]
        for pause_s in (*UNPROCESSED_PAUSES_S, None):
            with _OUTAGES_TRANSLATED:
                response = self._client.batch_get_item(
                    RequestItems={self._table_name: {"Keys": keys, "ConsistentRead": True}}
                )
            items += response["Responses"].get(self._table_name, [])
            rest = response.get("UnprocessedKeys", {}).get(self._table_name)
            if not rest:
                return items
            keys = rest["Keys"]
            if pause_s is not None:
                self._sleep(pause_s)
        raise _unavailable("UnprocessedKeys")

    # Reading by index

    def _listed(
        self, index: Index, key: str, after: Position | None, count: int, newest_first: bool
    ) -> Iterator[Position]:
        """Positions that the index lists under `key`, in the direction asked for, merged from all shards as they are needed.

        count: how many are likely to be needed.
        """
        shard_count = self._shards[index]
        # Twice a shard's fair share, so that few need a second query; what one read unit holds costs no more.
        chunk = min(count, max(KEYS_PER_READ, 2 * count // shard_count))
        query = self._query_arguments(index, after, chunk, newest_first)
        if index is Index.DUE and key != DUE_KEY:
            # One account's are among those of all, and picked out of them by the service.
            query = _of_account(query, key)
            key = DUE_KEY
        queries = [_for_partition(query, partition(key, shard)) for shard in range(shard_count)]
        first_pages = [self._readers.submit(self._query, query) for query in queries]
        positions = [
            self._positions(index, query, page) for query, page in zip(queries, first_pages, strict=True)
        ]
        return heapq.merge(*positions, reverse=newest_first)

    def _query_arguments(
        self, index: Index, after: Position | None, limit: int, newest_first: bool
    ) -> dict[str, Any]:
        """Arguments of Query for one shard, but for its partition."""
        names = {"#partition": PARTITIONS[index]}
        values: Item = {}
        condition = "#partition = :partition"
        if after is not None:
            names["#position"] = POSITIONS[index]
            values[":after"] = {"S": sort_key_bound(after)}
            condition += f" AND #position {'<' if newest_first else '>'} :after"
        return {
            "TableName": self._table_name,
            "IndexName": PARTITIONS[index],
            "KeyConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ScanIndexForward": not newest_first,
            "Limit": limit,
        }

    def _query(self, query: dict[str, Any]) -> Mapping[str, Any]:
        with _OUTAGES_TRANSLATED:
            return self._client.query(**query)

    def _positions(
        self, index: Index, query: dict[str, Any], first_page: Future[Mapping[str, Any]]
    ) -> Iterator[Position]:
        """One shard's positions; its next page is read when the one before is used up."""
        page = first_page.result()
        while True:
            for item in page["Items"]:
                yield to_position(item[POSITIONS[index]]["S"])
            if "LastEvaluatedKey" not in page:
                return
            page = self._query({**query, "ExclusiveStartKey": page["LastEvaluatedKey"]})

    def _still_there(self, index: Index, key: str, candidates: Sequence[Position]) -> list[Record]:
        """The candidates' records, in their order, without those that the index lists elsewhere by now."""
        found = self._fetch(list(dict.fromkeys(candidate.id for candidate in candidates)))
        return [
            record
            for candidate in candidates
            if (record := found.get(candidate.id))
            and is_listed(index, key, record)
            and index_position(index, record) == candidate
        ]


class _OutagesTranslated:
    """Turns throttling, server errors, timeouts and lost connections into StoreUnavailable, and nothing else.

    Every request enters it. As a class it costs 0.2 µs each time, as a generator function it would cost 1 µs.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ClientError):
            status = _response(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if _code(error) in _OUTAGES or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise _unavailable(_code(error)) from error
        elif isinstance(error, BotoConnectionError | HTTPClientError):
            raise _unavailable(type(error).__name__) from error


_OUTAGES_TRANSLATED: Final = _OutagesTranslated()


def _for_partition(query: dict[str, Any], name: str) -> dict[str, Any]:
    values = query["ExpressionAttributeValues"]
    return {**query, "ExpressionAttributeValues": {**values, ":partition": {"S": name}}}


def _of_account(query: dict[str, Any], account_id: str) -> dict[str, Any]:
    """The query, answered with one account's positions only. `Limit` counts what is read, so it is left to the service."""
    return {
        **{name: value for name, value in query.items() if name != "Limit"},
        "FilterExpression": "#account = :account",
        "ExpressionAttributeNames": {**query["ExpressionAttributeNames"], "#account": "account_id"},
        "ExpressionAttributeValues": {**query["ExpressionAttributeValues"], ":account": {"S": account_id}},
    }


def _response(error: ClientError) -> Mapping[str, Any]:
    """The whole answer; its type in boto3 leaves out what only some errors have."""
    return error.response


def _code(error: ClientError) -> str:
    return str(_response(error)["Error"]["Code"])


def _unavailable(reason: str) -> StoreUnavailable:
    return StoreUnavailable(f"The ledger's table cannot be used: {reason}.")
