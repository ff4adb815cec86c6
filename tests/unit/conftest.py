"""What most unit tests stand on: an empty ledger in memory, a clock that stands still, and the infrastructure over both."""

import pytest

from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.world import World, plain_world
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import ACCOUNT, FrozenClock, make_infrastructure


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def infrastructure(store: MemoryStore, clock: FrozenClock) -> Infrastructure:
    return make_infrastructure(store, clock)


@pytest.fixture
def world(infrastructure: Infrastructure) -> World:
    """The world of `ACCOUNT`."""
    return plain_world(infrastructure, ACCOUNT)
