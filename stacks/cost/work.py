"""What things ask of AWS: per authorization, per event, per night, and in a month in which nothing happens.

The write and read units of the ledger are what the services really do, held to it by `tests/load/test_cost.py`. What a
function takes and how large a log line is are assumptions, on the safe side: an authorization takes the 50 ms that the
alarm on P95 allows, while measured ones take a few (docs/performance.md).
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

MONTH_S: Final = 730 * 3600
MONTH_MINUTES: Final = MONTH_S // 60
MONTH_DAYS: Final = Decimal(730) / 24


@dataclass(frozen=True, slots=True)
class LedgerWork:
    """Of one operation. table_writes, index_writes: units per index. due_writes are among them, for they meet in one key."""

    table_writes: int
    feed_writes: int
    card_writes: int
    due_writes: int
    reads: Decimal = Decimal(0)

    @property
    def writes(self) -> int:
        """All write units."""
        return self.table_writes + self.feed_writes + self.card_writes + self.due_writes


AUTHORIZE: Final = LedgerWork(table_writes=1, feed_writes=1, card_writes=1, due_writes=1)
CAPTURE: Final = LedgerWork(table_writes=4, feed_writes=2, card_writes=2, due_writes=4, reads=Decimal(1))
"""Of all that is left: the authorization is due no more, and the capture is due to be settled."""
REFUND: Final = LedgerWork(table_writes=4, feed_writes=2, card_writes=2, due_writes=4, reads=Decimal(2))
DELIVERY: Final = LedgerWork(table_writes=10, feed_writes=1, card_writes=0, due_writes=7, reads=Decimal(3))
"""Of one event to one endpoint that takes it at the first attempt: planned, leased, settled."""
SETTLE: Final = LedgerWork(table_writes=3, feed_writes=1, card_writes=0, due_writes=3, reads=Decimal(2))
"""Of one capture or refund, among ten of an account's night."""

FEED_SHARDS: Final = 16
DUE_SHARDS: Final = 8
LISTING_READS: Final = Decimal(FEED_SHARDS) / 2
"""The endpoints of an account, or another short listing of a feed: half a unit for each shard, however little it holds."""
SWEEP_READS: Final = Decimal(DUE_SHARDS) / 2

API_MB: Final = 1769
WORKER_MB: Final = 512
API_S: Final = Decimal("0.050")
RELAY_S: Final = Decimal("0.200")
"""A hundred records: ten publishes, one after the other."""
DELIVER_S: Final = Decimal("0.500")
"""With webhooks to send: receivers take their time."""
DELIVER_NOTHING_S: Final = Decimal("0.040")
"""Ten events that no endpoint wants: one listing."""
SWEEP_S: Final = Decimal("0.200")
SETTLE_TASK_S: Final = Decimal(5)

RELAY_BATCH: Final = 100
MESSAGE_BATCH: Final = 10
REQUESTS_PER_BATCH: Final = 2
"""Lambda receives a batch, and deletes it."""

REQUEST_LOG_KB: Final = Decimal("1.5")
"""What API Gateway and the function write about a request."""
RUN_LOG_KB: Final = Decimal("0.8")
"""What Lambda and the function write about any other invocation."""
AUTHORIZATION_KB: Final = Decimal("0.9")
DELIVERY_KB: Final = Decimal("2.0")

ALARM_METRICS: Final = 7
"""Alarms are paid by the metrics that they look at; availability looks at two."""
DASHBOARDS_BEYOND_FREE: Final = 0
"""The stack has one, and an account has three for nothing."""
POLLERS: Final = 5
"""What Lambda polls a quiet queue with, each for 20 s at a time. Source: Lambda developer guide, "Using Lambda with SQS"."""
POLL_S: Final = 20
DATA_KEYS_PER_HOUR: Final = 5 * 12
"""Table, queues and topics each ask for a data key every five minutes at most."""
SETTLEMENT_TRANSITIONS: Final = 10
SETTLEMENT_TASKS: Final = 4
