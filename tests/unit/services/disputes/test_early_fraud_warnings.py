"""Early fraud warnings: one test card brings one about, no money moves, and a full refund closes it."""

from typing import Any

import pytest

from payments_sandbox.services.disputes.early_fraud_warnings import list_early_fraud_warnings
from payments_sandbox.services.disputes.representations import render_early_fraud_warning
from payments_sandbox.services.events.events import list_events
from payments_sandbox.services.ledger.representations import render_transaction
from payments_sandbox.services.ledger.transactions import get_transaction
from payments_sandbox.services.world import World
from tests.calls.disputes import WARNING_NUMBER, all_disputes, captured, dispute
from tests.calls.payments import OTHER_ACCOUNT, authorize, capture, card_with, id_of, refund
from tests.doubles.ports import ACCOUNT, FrozenClock, make_world, of_account

Json = dict[str, Any]


@pytest.fixture
def world() -> World:
    return make_world(clock=FrozenClock())


def warnings(world: World, *, account: str = ACCOUNT, authorization_id: str | None = None) -> list[Json]:
    page = list_early_fraud_warnings(
        of_account(world, account), authorization_id=authorization_id, limit=10, cursor=None
    )
    return [render_early_fraud_warning(warning) for warning in page.items]


def events(world: World) -> list[str]:
    page = list_events(world, types=[], limit=100, cursor=None)
    return [event.type for event in page.items if event.type.startswith("early")]


def test_the_first_capture_is_reported_and_no_money_moves(world: World) -> None:
    authorization_id = captured(world, number=WARNING_NUMBER)
    (warning,) = warnings(world)
    assert warning == {
        "early_fraud_warning_id": warning["early_fraud_warning_id"],
        "authorization_id": authorization_id,
        "fraud_type": "card_not_present_fraud",
        "amount": 1000,
        "currency": "EUR",
        "actionable": True,
        "created_at": "2026-11-23T10:00:00.000Z",
        "closed_at": None,
    }
    shown = render_transaction(get_transaction(world, authorization_id).entry)
    assert shown["balance"]["refundable_amount"] == 1000
    assert all_disputes(world) == []
    assert events(world) == ["early_fraud_warning.created"]


def test_only_the_first_capture_is_reported(world: World) -> None:
    authorization_id = id_of(authorize(world, card=card_with(number=WARNING_NUMBER)))
    capture(world, authorization_id, "c-1", amount=100)
    capture(world, authorization_id, "c-2", amount=100)
    assert [warning["amount"] for warning in warnings(world)] == [100]


def test_a_refund_in_full_closes_it_and_no_other_does(world: World) -> None:
    authorization_id = captured(world, number=WARNING_NUMBER)
    refund(world, authorization_id, "r-declined", simulate="do_not_honor")
    refund(world, authorization_id, "r-1", amount=999)
    assert [warning["actionable"] for warning in warnings(world)] == [True]
    refund(world, authorization_id, "r-2")
    (warning,) = warnings(world)
    assert (warning["actionable"], warning["closed_at"]) == (False, "2026-11-23T10:00:00.000Z")
    assert sorted(events(world)) == ["early_fraud_warning.closed", "early_fraud_warning.created"]


def test_a_dispute_of_all_that_is_left_closes_it(world: World) -> None:
    authorization_id = captured(world, number=WARNING_NUMBER)
    dispute(world, authorization_id, "d-1", amount=400)
    assert warnings(world)[0]["actionable"]
    dispute(world, authorization_id, "d-2")
    assert not warnings(world)[0]["actionable"]


def test_warnings_are_listed_by_payment_and_to_their_account_only(world: World) -> None:
    one, two = captured(world, "a", number=WARNING_NUMBER), captured(world, "b", number=WARNING_NUMBER)
    assert {warning["authorization_id"] for warning in warnings(world)} == {one, two}
    assert [warning["authorization_id"] for warning in warnings(world, authorization_id=two)] == [two]
    assert warnings(world, account=OTHER_ACCOUNT) == []
