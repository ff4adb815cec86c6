"""What tests say of outcomes, and of what the ledger came to."""

from payments_sandbox.domain.authorization import Totals
from payments_sandbox.domain.errors import (
    SandboxError,
)
from payments_sandbox.services.ledger.representations import render_transaction
from payments_sandbox.services.ledger.transactions import get_transaction
from payments_sandbox.services.payments.payments import Outcome
from payments_sandbox.services.world import World
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import ACCOUNT, of_account


def same_answer(first: Outcome, again: Outcome) -> None:
    """The second is the first, said once more."""
    assert not first.replayed
    assert again.replayed
    assert render_transaction(again.entry) == render_transaction(first.entry)


def pointers(error: SandboxError) -> list[str]:
    """The fields at fault."""
    return [each.pointer for each in error.errors]


def totals_now(world: World, authorization_id: str, account: str = ACCOUNT) -> Totals:
    """The authorization's totals as they stand."""
    return get_transaction(of_account(world, account), authorization_id).entry.totals


def snapshot(store: MemoryStore) -> dict[str, str]:
    """Everything in the ledger, to be compared."""
    return {record_id: repr(record) for record_id, record in store.records.items()}
