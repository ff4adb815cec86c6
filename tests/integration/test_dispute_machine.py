"""Payments that are captured, refunded, disputed and left alone in any order, while time passes: what always holds.

No model of each operation's answer, as `test_ledger_machine.py` has for payments, but the laws of the money and of the table
of transitions, looked at after every step; and that a repeated request answers what was answered first, also when that answer
was lost.
"""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from payments_sandbox.adapters.sqlite.store import SqliteStore
from payments_sandbox.domain.disputes import DEADLINES_MS, TRANSITIONS, DisputeStatus
from payments_sandbox.domain.errors import StateConflict, StoreUnavailable
from payments_sandbox.services.disputes.early_fraud_warnings import list_early_fraud_warnings
from payments_sandbox.services.disputes.representations import render_dispute
from payments_sandbox.services.events.events import list_events
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ledger.representations import render_transaction
from payments_sandbox.services.ledger.transactions import get_transaction
from payments_sandbox.services.ports import Store
from payments_sandbox.services.world import plain_world
from tests.calls.disputes import (
    FAILING_REFUND_NUMBER,
    FRAUDULENT_NUMBER,
    INQUIRY_NUMBER,
    PENDING_REFUND_NUMBER,
    WARNING_NUMBER,
    accept,
    all_disputes,
    answer,
    dispute,
    escalate,
    pass_time,
)
from tests.calls.payments import APPROVED_NUMBER, authorize, capture, card_with, id_of, refund
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import ACCOUNT, FrozenClock, make_infrastructure
from tests.doubles.stores import FailingStore
from tests.model.machines import dynamodb_tables, run_machine

pytestmark = pytest.mark.explored

Json = dict[str, Any]

AMOUNT = 1000
NUMBERS = (
    APPROVED_NUMBER,
    FRAUDULENT_NUMBER,
    INQUIRY_NUMBER,
    WARNING_NUMBER,
    PENDING_REFUND_NUMBER,
    FAILING_REFUND_NUMBER,
)
TAKEN = (DisputeStatus.NEEDS_RESPONSE, DisputeStatus.UNDER_REVIEW, DisputeStatus.LOST)
"""The statuses of a dispute whose money is with the cardholder."""

whiches = st.integers(0, 7)
amounts = st.none() | st.sampled_from([1, 100, 400, 1000])
texts = st.sampled_from(["winning_evidence", "losing_evidence", "a letter"])
hours = st.sampled_from([0, 1, 24, 24 * 7, 24 * 14, 24 * 31])


def reachable() -> dict[DisputeStatus, set[DisputeStatus]]:
    """Status to those that a dispute can be in later, itself included."""
    found = {status: {status} for status in DisputeStatus}
    for _ in DisputeStatus:
        for transition in TRANSITIONS:
            if transition.source is not None:
                found[transition.source] |= found[transition.target]
    return found


REACHABLE = reachable()


class DisputeMachine(RuleBasedStateMachine):
    """One account."""

    def __init__(self, open_store: Callable[[], Store]) -> None:
        super().__init__()
        self.store = open_store()
        self.clock = FrozenClock()
        self.failing = FailingStore(self.store)
        self.infrastructure: Infrastructure = make_infrastructure(self.failing, self.clock)
        self.next_failure: Literal["before", "after"] | None = None
        self.keys = count(1)
        self.families: list[str] = []
        self.statuses: dict[str, DisputeStatus] = {}
        self.answered: list[tuple[Callable[[], Any], Json]] = []

    def teardown(self) -> None:
        self.store.close()

    @initialize(number=st.sampled_from(NUMBERS))
    def begins(self, number: str) -> None:
        self.pays(number, None)

    # --- what clients do ---

    @rule(number=st.sampled_from(NUMBERS), amount=amounts)
    def pays(self, number: str, amount: int | None) -> None:
        key = self.fresh()
        authorization_id = id_of(
            authorize(
                plain_world(self.infrastructure, ACCOUNT), key, amount=AMOUNT, card=card_with(number=number)
            )
        )
        self.families.append(authorization_id)
        self.attempt(
            lambda: capture(plain_world(self.infrastructure, ACCOUNT), authorization_id, key, amount=amount)
        )

    @rule(which=whiches, amount=amounts)
    def captures(self, which: int, amount: int | None) -> None:
        authorization_id, key = self.family(which), self.fresh()
        self.attempt(
            lambda: capture(plain_world(self.infrastructure, ACCOUNT), authorization_id, key, amount=amount)
        )

    @rule(which=whiches, amount=amounts)
    def refunds(self, which: int, amount: int | None) -> None:
        authorization_id, key = self.family(which), self.fresh()
        self.attempt(
            lambda: refund(plain_world(self.infrastructure, ACCOUNT), authorization_id, key, amount=amount)
        )

    @rule(which=whiches, amount=amounts, inquiry=st.booleans())
    def disputes(self, which: int, amount: int | None, inquiry: bool) -> None:
        authorization_id, key = self.family(which), self.fresh()
        self.attempt(
            lambda: dispute(
                plain_world(self.infrastructure, ACCOUNT),
                authorization_id,
                key,
                amount=amount,
                inquiry=inquiry,
            )
        )

    @rule(which=whiches, text=texts, submit=st.booleans())
    def answers(self, which: int, text: str, submit: bool) -> None:
        self.about_a_dispute(which, lambda *args: answer(args[0], args[1], text, args[2], submit=submit))

    @rule(which=whiches)
    def accepts(self, which: int) -> None:
        self.about_a_dispute(which, accept)

    @rule(which=whiches)
    def escalates(self, which: int) -> None:
        self.about_a_dispute(which, escalate)

    @rule(ago=whiches)
    def repeats(self, ago: int) -> None:
        if self.answered:
            call, first = self.answered[-1 - ago % len(self.answered)]
            outcome = call()
            assert outcome.replayed
            assert shown(outcome) == first

    @rule(when=st.sampled_from(["before", "after", "after"]))
    def loses_its_ledger_for_a_moment(self, when: Literal["before", "after"]) -> None:
        """The next request fails at its write, or is carried out and its answer lost; it is sent again with its key."""
        self.next_failure = when

    @rule(hours=hours)
    def time_passes(self, hours: int) -> None:
        pass_time(plain_world(self.infrastructure, ACCOUNT), self.clock, ms=hours * 3_600_000)
        # Keys are forgotten after 30 days; what would be repeated is then made anew.
        self.answered.clear()

    # --- what always holds ---

    @invariant()
    def the_money_adds_up(self) -> None:
        disputes = [render_dispute(each) for each in all_disputes(plain_world(self.infrastructure, ACCOUNT))]
        for authorization_id in self.families:
            members = [
                render_transaction(entry)
                for entry in get_transaction(
                    plain_world(self.infrastructure, ACCOUNT), authorization_id
                ).members
            ]
            own = [each for each in disputes if each["authorization_id"] == authorization_id]
            check_balance(members)
            check_ledger_accounts(members)
            taken = sum(each["amount"] for each in own if each["status"] in TAKEN)
            assert taken == members[0]["balance"]["disputed_amount"]
            chargebacks = {entry["dispute_id"] for entry in members if entry["type"] == "chargeback"}
            assert chargebacks == {each["dispute_id"] for each in own if each["chargeback_id"]}
            if not members[0]["balance"]["refundable_amount"]:
                open_inquiries = ("warning_needs_response", "warning_under_review")
                assert not any(each["status"] in open_inquiries for each in own)
                assert not any(warning.closed_at is None for warning in self.warnings(authorization_id))

    @invariant()
    def disputes_move_by_the_table_alone_and_tell_of_it(self) -> None:
        told: dict[str, list[str]] = {}
        for event in list_events(
            plain_world(self.infrastructure, ACCOUNT), types=[], limit=500, cursor=None
        ).items:
            if event.type.startswith("dispute."):
                told.setdefault(event.data["dispute_id"], []).append(event.type)
        for each in all_disputes(plain_world(self.infrastructure, ACCOUNT)):
            before = self.statuses.get(each.dispute_id)
            assert before is None or each.status in REACHABLE[before]
            self.statuses[each.dispute_id] = each.status
            final = each.status not in DEADLINES_MS
            assert (each.data["due_at"] is None) == final
            assert (each.data["closed_at"] is not None) == final
            (record,) = self.store.get([each.dispute_id])
            assert record is not None
            assert record.due_at == each.data["due_at"]
            # Events can be listed for thirty days.
            if each.created_at > self.clock.now_ms() - 29 * 86_400_000:
                types = told[each.dispute_id]
                assert types.count("dispute.opened") == 1
                assert types.count("dispute.closed") == final

    # --- how ---

    def fresh(self) -> str:
        return f"key-{next(self.keys)}"

    def family(self, which: int) -> str:
        return self.families[-1 - which % len(self.families)]

    def warnings(self, authorization_id: str) -> Any:
        return list_early_fraud_warnings(
            plain_world(self.infrastructure, ACCOUNT),
            authorization_id=authorization_id,
            limit=10,
            cursor=None,
        ).items

    def about_a_dispute(self, which: int, call: Callable[..., Any]) -> None:
        known = all_disputes(plain_world(self.infrastructure, ACCOUNT))
        if known:
            dispute_id, key = known[which % len(known)].dispute_id, self.fresh()
            self.attempt(lambda: call(plain_world(self.infrastructure, ACCOUNT), dispute_id, key))

    def attempt(self, call: Callable[[], Any]) -> None:
        """Do it, unless the state refuses it; a request whose answer is lost is sent again."""
        failure, self.next_failure = self.next_failure, None
        self.failing.failure = failure
        try:
            outcome = call()
        except StateConflict:
            return
        except StoreUnavailable:
            outcome = call()
            assert outcome.replayed == (failure == "after")
        else:
            assert not outcome.replayed
        finally:
            self.failing.failure = None
        self.answered.append((call, shown(outcome)))


def shown(outcome: Any) -> Json:
    if hasattr(outcome, "dispute"):
        return render_dispute(outcome.dispute)
    return render_transaction(outcome.entry)


def moved(members: list[Json], kind: str) -> int:
    return sum(entry["amount"] for entry in members if entry["type"] == kind and entry["decline"] is None)


def check_balance(members: list[Json]) -> None:
    balance = members[0]["balance"]
    assert all(amount >= 0 for amount in balance.values())
    assert balance["captured_amount"] == moved(members, "capture")
    assert balance["refunded_amount"] == moved(members, "refund") - moved(members, "refund_failure")
    assert balance["disputed_amount"] == moved(members, "chargeback") - moved(members, "chargeback_reversal")
    assert balance["refundable_amount"] == (
        balance["captured_amount"] - balance["refunded_amount"] - balance["disputed_amount"]
    )
    failed = sum(entry["amount"] for entry in members if entry["status"] == "failed")
    assert failed == moved(members, "refund_failure")


def check_ledger_accounts(members: list[Json]) -> None:
    accounts: dict[str, int] = {}
    for entry in members:
        assert sum(posting["amount"] for posting in entry["postings"]) == 0
        for posting in entry["postings"]:
            accounts[posting["ledger_account"]] = (
                accounts.get(posting["ledger_account"], 0) + posting["amount"]
            )
    assert accounts.get("merchant_receivable", 0) == members[0]["balance"]["refundable_amount"]
    fees = [entry["fee_amount"] for entry in members if entry["type"].startswith("chargeback")]
    assert set(fees) <= {1500}


def test_the_laws_hold_in_memory() -> None:
    run_machine(DisputeMachine, MemoryStore, examples=70, steps=40)


def test_the_laws_hold_on_sqlite(tmp_path: Path) -> None:
    files = count(1)
    run_machine(DisputeMachine, lambda: SqliteStore(tmp_path / f"{next(files)}.db"), examples=20, steps=25)


@pytest.mark.slow
def test_the_laws_hold_on_dynamodb() -> None:
    with dynamodb_tables() as open_table:
        run_machine(DisputeMachine, open_table, examples=3, steps=15)
