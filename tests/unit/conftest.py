"""What most unit tests stand on: an empty ledger in memory, a clock that stands still, and the ports over both."""

import pytest

from payments_sandbox.services.ports import Ports
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import FrozenClock, make_ports


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def ports(store: MemoryStore, clock: FrozenClock) -> Ports:
    return make_ports(store, clock)
