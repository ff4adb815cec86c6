"""Running Hypothesis's state machines over stores: what the machines of `tests/integration` share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import cast

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from moto import mock_aws

from payments_sandbox.adapters.dynamodb.client import create_client
from payments_sandbox.adapters.dynamodb.store import DynamoDbStore
from payments_sandbox.adapters.dynamodb.table import create_table
from payments_sandbox.services.ports import Store

OpenStore = Callable[[], Store]


def run_machine(
    machine: Callable[[OpenStore], RuleBasedStateMachine], open_store: OpenStore, *, examples: int, steps: int
) -> None:
    """Run random histories, each of them over a store of its own."""
    run_state_machine_as_test(
        # Any factory will do, whatever the types say.
        cast(type[RuleBasedStateMachine], lambda: machine(open_store)),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )


@contextmanager
def dynamodb_tables() -> Iterator[OpenStore]:
    """Opens a new table for each history, as moto reads a whole table for every query."""
    with mock_aws():
        client = create_client(region_name="eu-central-1")
        tables = count(1)

        def open_table() -> Store:
            name = f"PaymentsLedger-{next(tables)}"
            create_table(client, name)
            return DynamoDbStore(client, name, feed_shards=2, card_shards=2, due_shards=1)

        yield open_table
