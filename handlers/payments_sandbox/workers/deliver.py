"""From the queue to the receivers: plans the deliveries of an announced entry and attempts them, or attempts one again.

Two kinds of messages come in: the relay's notices, through the topic, in SNS's envelope or without it; and
`{"delivery_id": ...}`, from this module for a retry that is due soon, or from `sweep.py`. Both may come twice, late or in
any order: a delivery is a record that has to be leased, and what is not due is left alone.

A message is done when the ledger knows all that it asked for, whether or not the receiver took the webhook: further
attempts are the ledger's business (`due_at`), and a message for one is only the fast way to it. So a message fails when
the ledger cannot be used, or when it is no message at all, and comes back until the queue puts it aside as dead.

The queue's visibility timeout has to be six times the function's timeout, which has to be longer than `TIME_NEEDED_MS`.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from payments_sandbox.domain.errors import StoreUnavailable
from payments_sandbox.domain.timestamps import SECOND_MS
from payments_sandbox.services.accounts.controls import world_of
from payments_sandbox.services.events.events import event_of, is_event
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ledger.scopes import own_record, stored_id
from payments_sandbox.services.ports import Record, Sender
from payments_sandbox.services.webhooks.webhook_attempts import LEASE_MS, attempt_delivery
from payments_sandbox.services.webhooks.webhook_deliveries import plan_deliveries
from payments_sandbox.services.webhooks.webhook_delivery_records import PENDING, Delivery, delivery_of
from payments_sandbox.services.webhooks.webhook_endpoints import list_records, wants
from payments_sandbox.services.world import World
from payments_sandbox.workers.relay import BatchResponse

_logger = logging.getLogger("sandbox.webhooks")

ATTEMPTS_MAX: Final = 256
"""How many attempts of a batch are under way at once: each holds a socket. More than ten messages, an event for each of
an account's twenty endpoints, so that in a batch of ten nothing waits for a receiver that hangs."""

TIME_NEEDED_MS: Final = LEASE_MS
"""What has to be left of the invocation for an attempt to begin: what its lease allows for."""

QUEUE_DELAY_MAX_S: Final = 900
"""The longest that SQS keeps a message back. Source: SQS quotas, message timers."""

HELD_BACK_FIRST_S: Final = 5
"""How long a message stays away after its first failure; twice as long after each further one."""


class DeliveryQueue(Protocol):
    """The queue that messages come from, and retries go to."""

    def send(self, messages: Sequence[tuple[str, int]]) -> Mapping[int, str]:
        """Send any number of messages, each a body and a delay (seconds, at most 900); answers the indexes of those that
        were not taken, and why."""
        ...

    def hold_back(self, receipt_handle: str, delay_s: int) -> str | None:
        """Keep a message that was received away for so many seconds from now; answers why it could not, or None."""
        ...


@dataclass(frozen=True, slots=True)
class EntryMessage:
    """An entry was made; type: of the event that it is."""

    entry_id: str
    account_id: str
    type: str


@dataclass(frozen=True, slots=True)
class DeliveryMessage:
    """A delivery is due."""

    delivery_id: str


class MalformedMessage(Exception):
    """A message that nothing here sends, or about something that the ledger does not have. Coming back does not help it."""


class OutOfTime(Exception):
    """The invocation ends too soon for this message to be begun."""


async def deliver_batch(
    infrastructure: Infrastructure,
    sender: Sender,
    queue: DeliveryQueue,
    records: Sequence[Mapping[str, Any]],
    remaining_ms: Callable[[], int],
    *,
    attempts_max: int = ATTEMPTS_MAX,
) -> BatchResponse:
    """Do what the messages ask for, all at once; answers those that are to come back.

    records: `Records` of Lambda's SQS event. remaining_ms: how long the invocation may still take.
    Source: AWS Lambda developer guide, "Implementing partial batch responses" for SQS.
    """
    batch = _Batch(infrastructure, sender, queue, remaining_ms, attempts_max)
    outcomes = await asyncio.gather(*map(batch.handle, records), return_exceptions=True)
    failed = [
        (record, outcome)
        for record, outcome in zip(records, outcomes, strict=True)
        if isinstance(outcome, BaseException)
    ]
    for record, error in failed:
        _log_failure(record["messageId"], error)
    fields = {"messages": len(records), "attempts": batch.attempt_count, "failed": len(failed)}
    _logger.info("batch delivered", extra={"fields": fields})
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record, _ in failed]}


def read_message(body: str) -> EntryMessage | DeliveryMessage:
    """The message that a body holds, SNS's envelope opened. Raises MalformedMessage."""
    fields = _json_object(body)
    if fields.get("Type") == "Notification":
        fields = _json_object(fields.get("Message"))
    # Unknown fields are let pass: an older version may read what a newer one sends while both are deployed.
    match fields:
        case {"delivery_id": str(delivery_id)}:
            return DeliveryMessage(delivery_id)
        case {"entry_id": str(entry_id), "account_id": str(account_id), "type": str(event_type)}:
            return EntryMessage(entry_id, account_id, event_type)
    raise MalformedMessage("neither an entry nor a delivery")


def delivery_message(delivery_id: str) -> str:
    """The body of the message that says that a delivery is due."""
    return json.dumps({"delivery_id": delivery_id}, separators=(",", ":"))


def queue_delay_s(due_at: int, now_ms: int) -> int | None:
    """How long SQS has to keep a message back for something due then (milliseconds); None when it is longer than it can.

    Rounded up: a message that comes too early finds nothing to do, and its delivery waits for the sweeper.
    """
    delay_s = max(0, -((now_ms - due_at) // SECOND_MS))
    return delay_s if delay_s <= QUEUE_DELAY_MAX_S else None


def held_back_s(message_id: str, receive_count: int) -> int:
    """How long a message stays away that was received so many times, and failed.

    Half of it is jitter, which follows from the message, so that a test can say it.
    """
    # A shift, as the type of `2 ** n` depends on the sign of n; bounded, as messages may come many times.
    longest_s = min(QUEUE_DELAY_MAX_S, HELD_BACK_FIRST_S << min(receive_count - 1, 16))
    digest = hashlib.sha256(f"{message_id}/{receive_count}".encode()).digest()
    return longest_s - (longest_s // 2) * int.from_bytes(digest[:4], "big") // 2**32


class _Batch:
    """One invocation's messages."""

    def __init__(
        self,
        infrastructure: Infrastructure,
        sender: Sender,
        queue: DeliveryQueue,
        remaining_ms: Callable[[], int],
        attempts_max: int,
    ) -> None:
        self._infrastructure = infrastructure
        self._sender = sender
        self._queue = queue
        self._remaining_ms = remaining_ms
        self._attempts = asyncio.Semaphore(attempts_max)
        # Planning reads an index with all the store's readers, so two at a time would only wait for each other.
        self._planning = asyncio.Lock()
        self._endpoints: dict[str, Sequence[Record]] = {}
        self._accounts: dict[str, World] = {}
        self.attempt_count = 0

    async def handle(self, record: Mapping[str, Any]) -> None:
        """Do what one message asks for. Raises whatever keeps it from being done."""
        try:
            message = read_message(record["body"])
            if isinstance(message, DeliveryMessage):
                await self._attempt(message.delivery_id)
            else:
                await self._attempt_all(await self._plan(message))
        except (StoreUnavailable, OutOfTime):
            await self._hold_back(record)
            raise

    async def _plan(self, message: EntryMessage) -> list[str]:
        """Plan the event's deliveries, in a thread: attempts under way are not to wait for it."""
        async with self._planning:
            if self._remaining_ms() < TIME_NEEDED_MS:
                raise OutOfTime
            return await asyncio.to_thread(self._plan_now, message)

    def _plan_now(self, message: EntryMessage) -> list[str]:
        # Most accounts have no endpoint, and a load test makes thousands of entries a second: ask once per account and
        # batch, and read no entry that nobody wants to hear of.
        account_id = message.account_id
        world = self._world_of(account_id)
        if account_id not in self._endpoints:
            self._endpoints[account_id] = list_records(world)
        endpoints = self._endpoints[account_id]
        if not any(wants(endpoint, message.type) for endpoint in endpoints):
            return []
        (entry,) = self._infrastructure.store.get([message.entry_id])
        if entry is None or entry.account_id != account_id or not is_event(entry):
            raise MalformedMessage("the account has no entry of this id that is an event")
        own = own_record(world, entry)
        # The account may have left the world in which it happened.
        planned = [] if own is None else plan_deliveries(world, event_of(own), endpoints)
        return [stored_id(world, delivery_id) for delivery_id in planned]

    def _world_of(self, account_id: str) -> World:
        """The account's world, asked for once per batch."""
        if account_id not in self._accounts:
            self._accounts[account_id] = world_of(self._infrastructure, account_id)
        return self._accounts[account_id]

    async def _attempt_all(self, delivery_ids: Sequence[str]) -> None:
        """Attempt all; one that fails keeps none of the others from its end."""
        outcomes = await asyncio.gather(
            *(self._attempt(delivery_id, fresh=True) for delivery_id in delivery_ids), return_exceptions=True
        )
        errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if errors:
            # A fault of this program's own is what has to be seen; an outage passes.
            raise min(errors, key=lambda error: isinstance(error, StoreUnavailable))

    async def _attempt(self, delivery_id: str, *, fresh: bool = False) -> None:
        """Attempt a delivery and see to its next attempt. fresh: it was planned just now, perhaps for later."""
        async with self._attempts:
            if self._remaining_ms() < TIME_NEEDED_MS:
                # It is due in the ledger: the sweeper finds it within a minute.
                _logger.warning("no time for an attempt", extra={"fields": {"delivery_id": delivery_id}})
                return
            delivery = await attempt_delivery(
                self._infrastructure, self._sender, delivery_id, known_world=self._world_of
            )
        if delivery is not None:
            self.attempt_count += 1
            _log_attempt(delivery)
        elif fresh:
            delivery = self._held_back_by_chaos(delivery_id)
        if delivery is not None and delivery.state == PENDING:
            await self._send_retry(delivery)

    def _held_back_by_chaos(self, delivery_id: str) -> Delivery | None:
        """The delivery, if it has not been touched since it was planned for a moment to come.

        One that was is another process's, which sees to the next attempt.
        """
        (record,) = self._infrastructure.store.get([delivery_id])
        if record is None or record.version != 1:
            return None
        own = own_record(self._world_of(record.account_id), record)
        return None if own is None else delivery_of(own)

    async def _send_retry(self, delivery: Delivery) -> None:
        """Let the next attempt ride on the queue, if it is near. Sent now, not at the batch's end: another receiver may
        take long to answer, and this retry may be due before."""
        assert delivery.next_attempt_at is not None, "what is pending is due some time"
        world = self._world_of(delivery.account_id)
        now_ms = world.clock.now_ms()
        delay_s = queue_delay_s(delivery.next_attempt_at, now_ms)
        if delay_s is None:
            return
        message = (delivery_message(stored_id(world, delivery.delivery_id)), delay_s)
        refused = await asyncio.to_thread(self._queue.send, [message])
        if refused:
            # The delivery is due in the ledger all the same: it will be late by a minute at most.
            fields = {"delivery_id": delivery.delivery_id, "reason": refused[0]}
            _logger.warning("a retry was left to the sweeper", extra={"fields": fields})

    async def _hold_back(self, record: Mapping[str, Any]) -> None:
        """Keep the message away for a while, longer each time, so that a ledger in trouble is not asked at full rate."""
        delay_s = held_back_s(record["messageId"], int(record["attributes"]["ApproximateReceiveCount"]))
        reason = await asyncio.to_thread(self._queue.hold_back, record["receiptHandle"], delay_s)
        if reason is not None:
            # It comes back all the same, when the queue's own visibility timeout ends.
            fields = {"message_id": record["messageId"], "reason": reason}
            _logger.warning("a message could not be held back", extra={"fields": fields})


def _json_object(text: object) -> dict[str, Any]:
    if not isinstance(text, str):
        raise MalformedMessage("not a JSON text")
    try:
        value = json.loads(text)
    except ValueError as error:
        raise MalformedMessage("not JSON") from error
    if not isinstance(value, dict):
        raise MalformedMessage("not a JSON object")
    return value


def _log_failure(message_id: str, error: BaseException) -> None:
    fields = {"message_id": message_id, "reason": str(error) or type(error).__name__}
    match error:
        case StoreUnavailable() | OutOfTime():
            _logger.warning("a message has to come back", extra={"fields": fields})
        case MalformedMessage():
            _logger.error("a message is malformed", extra={"fields": fields})
        case _:
            _logger.error("a message failed in the sandbox itself", extra={"fields": fields}, exc_info=error)


def _log_attempt(delivery: Delivery) -> None:
    reply = delivery.attempts[-1].reply if delivery.attempts else None
    fields = {
        "delivery_id": delivery.delivery_id,
        "event_type": delivery.event_type,
        "state": delivery.state,
        "status": reply.status if reply else None,
        "error": reply.error if reply else None,
        "duration_ms": reply.duration_ms if reply else None,
    }
    _logger.debug("webhook attempted", extra={"fields": fields})
