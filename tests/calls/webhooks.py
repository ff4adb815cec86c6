"""A shop with webhooks, for the tests of deliveries, attempts and leases."""

import asyncio
from typing import Any

from payments_sandbox.adapters.system.secret_box import FileSecretBox
from payments_sandbox.services.events.events import Event, event_of, list_events
from payments_sandbox.services.ports import Sender
from payments_sandbox.services.webhooks.webhook_attempts import attempt_delivery
from payments_sandbox.services.webhooks.webhook_deliveries import get_delivery, plan_deliveries
from payments_sandbox.services.webhooks.webhook_delivery_records import Delivery
from payments_sandbox.services.webhooks.webhook_endpoints import (
    Endpoint,
    EndpointChanges,
    create_endpoint,
    get_endpoint,
    update_endpoint,
)
from tests.calls.payments import authorize
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import ACCOUNT, LEDGER_SECRET, FrozenClock, make_world
from tests.doubles.receivers import Answer, Script

URL = "https://shop.example/hook?shop=7&x=%2F"


class Shop:
    """An account with an endpoint, unless told otherwise, and a clock that stands still."""

    def __init__(self, **endpoint: Any) -> None:
        self.store = MemoryStore()
        self.clock = FrozenClock()
        self.world = make_world(self.store, self.clock, secret_box=FileSecretBox(LEDGER_SECRET))
        self.endpoint, self.secret = self.register(**endpoint)
        self._payments = 0

    def register(self, **fields: Any) -> tuple[Endpoint, str]:
        self.clock.advance(ms=1)
        return create_endpoint(self.world, **{"url": URL, **fields})

    def change(self, **fields: Any) -> None:
        update_endpoint(self.world, self.endpoint.endpoint_id, EndpointChanges(**fields))

    def happen(self, account: str = ACCOUNT) -> Event:
        """Something to tell of."""
        self._payments += 1
        return event_of(authorize(self.world, f"key-{self._payments}", account=account).entry.record)

    def plan(self) -> str:
        """A delivery of something that happened, to the only endpoint."""
        (delivery_id,) = plan_deliveries(self.world, self.happen())
        return delivery_id

    def attempt(self, delivery_id: str, sender: Sender) -> Delivery | None:
        return asyncio.run(attempt_delivery(self.world.infrastructure, sender, delivery_id))

    def deliver(self, delivery_id: str, *answers: Answer) -> Delivery:
        """One attempt, which has to be due."""
        delivery = self.attempt(delivery_id, Script(*answers))
        assert delivery is not None
        return delivery

    def read(self, delivery_id: str) -> Delivery:
        return get_delivery(self.world, delivery_id)

    def wait_until_due(self, delivery_id: str) -> None:
        due_at = self.read(delivery_id).next_attempt_at
        assert due_at is not None
        self.clock.at_ms = max(self.clock.at_ms, due_at)

    @property
    def now(self) -> Endpoint:
        return get_endpoint(self.world, self.endpoint.endpoint_id)

    def disabled_events(self) -> list[Event]:
        page = list_events(self.world, types=["webhook_endpoint.disabled"], limit=100, cursor=None)
        return list(page.items)
