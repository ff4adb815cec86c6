"""`trigger` of what comes of a payment: the operations that lead to it, and the event that is found afterwards."""

import json
from typing import Any

import httpx
import pytest

from payments_sandbox.entrypoints.trigger_disputes import DISPUTE_RECIPES
from payments_sandbox.entrypoints.trigger_run import UsageError
from tests.unit.entrypoints.cli_fakes import FakePayments, Json, Session


class FakeDisputes(FakePayments):
    """Opens and answers disputes too, and tells of events about the payment and about another one."""

    def __init__(self) -> None:
        super().__init__()
        self.told = ["auth_other", "auth_1"]
        self.bodies: list[Json | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/v1/events":
            self.requests.append((path, dict(request.url.params), None))
            data = [
                {"event_id": f"evt_{number}", "data": {"authorization_id": authorization_id}}
                for number, authorization_id in enumerate(self.told)
            ]
            return httpx.Response(200, json={"data": data})
        if not path.startswith("/v1/disputes"):
            return super().__call__(request)
        body = json.loads(request.content) if request.content else None
        self.requests.append((path, body or {}, None))
        self.bodies.append(body)
        self.keys.append(request.headers["x-idempotency-key"])
        dispute = {"dispute_id": "dsp_1", "status": "needs_response", "amount": 1051, "currency": "EUR"}
        return httpx.Response(200, json=dispute)


@pytest.fixture
def session() -> Session:
    made = Session()
    made.payments = FakeDisputes()
    return made


@pytest.mark.parametrize(
    ("event", "operations"),
    [
        ("dispute.opened", ["disputes"]),
        ("payment.chargeback_created", ["disputes"]),
        ("dispute.updated", ["disputes", "disputes/dsp_1/evidence"]),
        ("dispute.escalated", ["disputes", "disputes/dsp_1/escalate"]),
        ("dispute.closed", ["disputes", "disputes/dsp_1/accept"]),
        ("early_fraud_warning.created", []),
        ("early_fraud_warning.closed", ["refund"]),
        ("payment.refund_initiated", ["refund"]),
    ],
)
def test_the_operations_that_lead_to_an_event_are_done_and_the_event_is_found(
    session: Session, event: str, operations: list[str]
) -> None:
    assert session.trigger(event) == 0
    assert session.paths == ["authorize", "capture", *operations, "events"]
    assert session.payments.requests[-1][1]["type"] == event
    *steps, result = session.out.getvalue().splitlines()
    assert [step.split()[0] for step in steps] == DISPUTE_RECIPES[event].operations
    assert result == f"{event}  evt_1"
    assert len(set(session.payments.keys)) == len(steps)


def test_what_has_no_body_is_sent_without_one(session: Session) -> None:
    session.trigger("dispute.closed")
    assert isinstance(session.payments, FakeDisputes)
    assert session.payments.bodies == [{"authorization_id": "auth_1", "reason": "fraudulent"}, None]


def test_fields_are_those_of_the_operation_that_opens_it_save_for_card_and_currency(session: Session) -> None:
    fields = ("amount=5000", "reason=duplicate", "currency=JPY", "card.exp_month=7")
    assert session.trigger("dispute.escalated", *fields) == 0
    (_, authorize, _), (_, capture, _), (_, opened, _) = session.payments.requests[:3]
    assert (authorize["amount"], authorize["currency"], authorize["card"]["exp_month"]) == (5000, "JPY", 7)
    assert capture == {"authorization_id": "auth_1"}
    assert opened == {
        "authorization_id": "auth_1",
        "reason": "duplicate",
        "inquiry": True,
        "amount": 5000,
    }


def test_a_test_card_is_taken_where_one_is_needed(session: Session) -> None:
    session.trigger("early_fraud_warning.created")
    assert session.payments.requests[0][1]["card"]["number"] == "4000000000005423"


@pytest.mark.parametrize(
    ("balance", "operations"),
    [
        ({"refundable_amount": 5, "capturable_amount": 5}, ["disputes"]),
        ({"refundable_amount": 0, "capturable_amount": 5}, ["capture", "disputes"]),
    ],
)
def test_an_existing_authorization_is_captured_if_need_be(
    session: Session, balance: dict[str, int], operations: list[str]
) -> None:
    session.payments.balance = balance
    assert isinstance(session.payments, FakeDisputes)
    session.payments.told = ["auth_mine"]
    assert session.trigger("dispute.opened", on="auth_mine") == 0
    assert session.paths == ["transactions/auth_mine", *operations, "events"]


@pytest.mark.parametrize(
    ("event", "options"),
    [
        ("early_fraud_warning.created", {"on": "auth_mine"}),
        ("payment.refund_initiated", {"on": "auth_mine"}),
        ("dispute.opened", {"simulate": "lost_card"}),
    ],
)
def test_words_that_do_not_go_together_do_nothing(
    session: Session, event: str, options: dict[str, Any]
) -> None:
    with pytest.raises(UsageError):
        session.trigger(event, **options)
    assert session.paths == []


def test_an_event_that_is_not_there_is_a_failure(session: Session) -> None:
    assert isinstance(session.payments, FakeDisputes)
    session.payments.told = ["auth_other"]
    assert session.trigger("dispute.opened") == 1
    assert "has not made an event dispute.opened" in session.err.getvalue()


def test_a_declined_refund_ends_it(session: Session) -> None:
    session.payments.refused_path = "/v1/refund"
    session.payments.refusal = httpx.Response(
        201,
        json={
            "transaction_id": "ref_1",
            "type": "refund",
            "status": "declined",
            "amount": 1,
            "currency": "EUR",
            "balance": {},
            "decline": {"decline_code": "do_not_honor"},
            "simulation": {"explanation": "Because."},
        },
    )
    assert session.trigger("early_fraud_warning.closed") == 1
    assert "the refund was declined" in session.err.getvalue()
