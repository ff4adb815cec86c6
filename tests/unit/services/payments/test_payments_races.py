"""Operations on one authorization that get in each other's way."""

from typing import Any

import pytest

from payments_sandbox.domain.authorization import VALIDITY_MS, Totals
from payments_sandbox.domain.errors import (
    AmountExceedsCaptured,
    AuthorizationBusy,
    AuthorizationNotCapturable,
    AuthorizationNotIncrementable,
    AuthorizationNotVoidable,
    IdempotencyKeyReused,
    StateConflict,
)
from payments_sandbox.services.ledger.retry import RACES_MAX
from payments_sandbox.services.ledger.transactions import get_transaction
from payments_sandbox.services.payments.payments import Outcome
from tests.calls.outcomes import same_answer, snapshot, totals_now
from tests.calls.payments import (
    OPERATION_KINDS,
    authorize,
    capture,
    id_of,
    operate,
    refund,
)
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import FrozenClock, make_world
from tests.doubles.stores import RacingStore

# --- lost races ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("losses", [1, 2, RACES_MAX - 1])
def test_an_operation_that_loses_races_decides_again(losses: int) -> None:
    store = RacingStore()
    world = make_world(store)
    authorization_id = id_of(authorize(world))
    store.lose = losses
    store.calls.clear()
    assert capture(world, authorization_id, amount=400).entry.totals.captured == 400
    assert store.calls == ["get", "commit"] * (losses + 1)


@pytest.mark.parametrize("kind", OPERATION_KINDS)
def test_an_operation_that_loses_every_race_gives_up_and_may_be_repeated(kind: str) -> None:
    inner = MemoryStore()
    store = RacingStore(inner)
    world = make_world(store)
    authorization_id = id_of(authorize(world))
    capture(world, authorization_id, "cap-0", amount=500)
    before = snapshot(inner)
    store.lose = RACES_MAX
    with pytest.raises(AuthorizationBusy) as caught:
        operate(world, kind, authorization_id, amount=1)
    assert caught.value.retryable
    assert caught.value.code == "authorization_busy"
    assert store.lose == 0
    assert snapshot(inner) == before
    assert not operate(world, kind, authorization_id, amount=1).replayed


def test_the_loser_of_a_race_takes_what_the_winner_left() -> None:
    store = RacingStore()
    world = make_world(store)
    authorization_id = id_of(authorize(world))
    store.first = lambda: capture(world, authorization_id, "winner", amount=700)
    loser = capture(world, authorization_id, "loser")
    assert loser.entry.data["amount"] == 300
    assert loser.entry.totals == Totals(authorized=1000, captured=1000)
    members = get_transaction(world, authorization_id).members
    assert [member.data["amount"] for member in members] == [1000, 700, 300]


@pytest.mark.parametrize(
    ("winner", "loser", "error"),
    [
        ("void", "capture", AuthorizationNotCapturable),
        ("capture", "void", AuthorizationNotVoidable),
        ("void", "increment", AuthorizationNotIncrementable),
        ("void", "void", AuthorizationNotVoidable),
        ("capture", "capture", AuthorizationNotCapturable),
    ],
)
def test_the_loser_of_a_race_meets_the_state_that_the_winner_left(
    winner: str, loser: str, error: type[StateConflict]
) -> None:
    store = RacingStore()
    world = make_world(store)
    authorization_id = id_of(authorize(world))
    store.first = lambda: operate(world, winner, authorization_id, "winner")
    with pytest.raises(error):
        operate(world, loser, authorization_id, "loser", amount=1 if loser != "void" else None)
    assert len(get_transaction(world, authorization_id).members) == 2


def test_two_refunds_at_once_never_give_back_more_than_was_captured() -> None:
    store = RacingStore()
    world = make_world(store)
    authorization_id = id_of(authorize(world))
    capture(world, authorization_id, amount=500)
    store.first = lambda: refund(world, authorization_id, "winner", amount=300)
    with pytest.raises(AmountExceedsCaptured) as caught:
        refund(world, authorization_id, "loser", amount=300)
    assert caught.value.facts == {"refundable_amount": 200}
    assert totals_now(world, authorization_id).refunded == 300


@pytest.mark.parametrize("fields", [{"amount": 400}, {}])
def test_a_retry_that_overtakes_its_first_attempt_is_answered_once(fields: dict[str, Any]) -> None:
    store = RacingStore()
    world = make_world(store)
    authorization_id = id_of(authorize(world))
    retried: list[Outcome] = []
    store.first = lambda: retried.append(capture(world, authorization_id, "key", **fields))
    first = capture(world, authorization_id, "key", **fields)
    same_answer(retried[0], first)
    assert len(get_transaction(world, authorization_id).members) == 2


def test_a_different_request_that_overtakes_under_the_same_key_wins_the_key() -> None:
    store = RacingStore()
    world = make_world(store)
    authorization_id = id_of(authorize(world))
    store.first = lambda: capture(world, authorization_id, "key", amount=1)
    with pytest.raises(IdempotencyKeyReused):
        capture(world, authorization_id, "key", amount=2)
    assert totals_now(world, authorization_id).captured == 1


def test_each_attempt_reads_the_clock_anew() -> None:
    store = RacingStore()
    clock = FrozenClock()
    world = make_world(store, clock)
    authorization_id = id_of(authorize(world))
    store.lose = 1
    store.first = lambda: clock.advance(ms=VALIDITY_MS)
    with pytest.raises(AuthorizationNotCapturable) as caught:
        capture(world, authorization_id)
    assert caught.value.facts == {"authorization_status": "expired"}
