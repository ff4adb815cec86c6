"""Early fraud warnings: one test card brings one about, no money moves, and a full refund closes it."""

from typing import Any

import pytest

from payments_sandbox.services.disputes.early_fraud_warnings import list_early_fraud_warnings
from payments_sandbox.services.disputes.representations import render_early_fraud_warning
from payments_sandbox.services.events.events import list_events
from payments_sandbox.services.ledger.representations import render_transaction
from payments_sandbox.services.ledger.transactions import get_transaction
from payments_sandbox.services.ports import Ports
from tests.calls.disputes import WARNING_NUMBER, all_disputes, captured, dispute
from tests.calls.payments import ACCOUNT, OTHER_ACCOUNT, authorize, capture, card_with, id_of, refund
from tests.doubles.ports import FrozenClock, make_ports

Json = dict[str, Any]


@pytest.fixture
def ports() -> Ports:
    return make_ports(clock=FrozenClock())


def warnings(ports: Ports, *, account: str = ACCOUNT, authorization_id: str | None = None) -> list[Json]:
    page = list_early_fraud_warnings(ports, account, authorization_id=authorization_id, limit=10, cursor=None)
    return [render_early_fraud_warning(warning) for warning in page.items]


def events(ports: Ports) -> list[str]:
    page = list_events(ports, ACCOUNT, types=[], limit=100, cursor=None)
    return [event.type for event in page.items if event.type.startswith("early")]


def test_the_first_capture_is_reported_and_no_money_moves(ports: Ports) -> None:
    authorization_id = captured(ports, number=WARNING_NUMBER)
    (warning,) = warnings(ports)
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
    shown = render_transaction(get_transaction(ports, ACCOUNT, authorization_id).entry)
    assert shown["balance"]["refundable_amount"] == 1000
    assert all_disputes(ports) == []
    assert events(ports) == ["early_fraud_warning.created"]


def test_only_the_first_capture_is_reported(ports: Ports) -> None:
    authorization_id = id_of(authorize(ports, card=card_with(number=WARNING_NUMBER)))
    capture(ports, authorization_id, "c-1", amount=100)
    capture(ports, authorization_id, "c-2", amount=100)
    assert [warning["amount"] for warning in warnings(ports)] == [100]


def test_a_refund_in_full_closes_it_and_no_other_does(ports: Ports) -> None:
    authorization_id = captured(ports, number=WARNING_NUMBER)
    refund(ports, authorization_id, "r-declined", simulate="do_not_honor")
    refund(ports, authorization_id, "r-1", amount=999)
    assert [warning["actionable"] for warning in warnings(ports)] == [True]
    refund(ports, authorization_id, "r-2")
    (warning,) = warnings(ports)
    assert (warning["actionable"], warning["closed_at"]) == (False, "2026-11-23T10:00:00.000Z")
    assert sorted(events(ports)) == ["early_fraud_warning.closed", "early_fraud_warning.created"]


def test_a_dispute_of_all_that_is_left_closes_it(ports: Ports) -> None:
    authorization_id = captured(ports, number=WARNING_NUMBER)
    dispute(ports, authorization_id, "d-1", amount=400)
    assert warnings(ports)[0]["actionable"]
    dispute(ports, authorization_id, "d-2")
    assert not warnings(ports)[0]["actionable"]


def test_warnings_are_listed_by_payment_and_to_their_account_only(ports: Ports) -> None:
    one, two = captured(ports, "a", number=WARNING_NUMBER), captured(ports, "b", number=WARNING_NUMBER)
    assert {warning["authorization_id"] for warning in warnings(ports)} == {one, two}
    assert [warning["authorization_id"] for warning in warnings(ports, authorization_id=two)] == [two]
    assert warnings(ports, account=OTHER_ACCOUNT) == []
