"""Random histories of payments, told to the sandbox and to a plain model at once: the two never disagree.

The sandbox runs at the level of its services, on each store; the model is `tests/model/ledger.py`. After every step,
every authorization is read back and held against the model and against the arithmetic of double entry.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from payments_sandbox.adapters.sqlite.store import SqliteStore
from payments_sandbox.domain.authorization import VALIDITY_MS
from payments_sandbox.domain.errors import SandboxError, StoreUnavailable, TransactionNotFound
from payments_sandbox.domain.ids import PREFIXES, identify_card
from payments_sandbox.domain.money import AMOUNT_MAX
from payments_sandbox.domain.postings import MERCHANT_BANK, MERCHANT_PAYABLE, MERCHANT_RECEIVABLE, balance_of
from payments_sandbox.domain.settlement import SETTLED_KINDS
from payments_sandbox.domain.timestamps import DAY_MS, format_timestamp
from payments_sandbox.services.ledger.entries import KEY_RETENTION_MS, as_created
from payments_sandbox.services.ledger.representations import render_transaction
from payments_sandbox.services.ledger.transactions import Filter, get_transaction, list_transactions
from payments_sandbox.services.payments.payments import Outcome
from payments_sandbox.services.ports import DUE_KEY, Index, Record, Store
from payments_sandbox.services.settlement.settlement_records import read_lines
from payments_sandbox.services.settlement.settlements import list_settlements, settle_on_demand
from payments_sandbox.services.time.scheduled_work import do_scheduled_work
from payments_sandbox.services.world import plain_world
from tests.calls.payments import OPERATION_KINDS, authorize, card_with, operate
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import ACCOUNT, LEDGER_SECRET, FrozenClock, make_infrastructure
from tests.doubles.stores import FailingStore
from tests.model.ledger import Entry, Family, ModelLedger, Refused, Request
from tests.model.machines import dynamodb_tables, run_machine

pytestmark = pytest.mark.explored

Json = dict[str, Any]
Share = tuple[int, int] | None

_run_numbers = count(1)

APPROVED = ["4242424242424242", "5555555555554444"]
NOT_SO_PLAIN = [
    "4000000000000341",  # captures are declined
    "4000000000009995",  # declined
    "4242424242424243",  # fails the Luhn check
]

# A key of its own, as callers should, or one of a few that get used for everything.
keys = st.sampled_from([None, None, None, "a", "b"])
headers = st.sampled_from([None, None, None, None, "lost_card", "response_code=91", "approve"])
metadata = st.sampled_from([None, None, {}, {"x": "1"}, {"x": "2", "y": "1"}])
# Quarters of what is left and so many minor units more; None leaves the amount out.
# Which payment: see `LedgerMachine.pick`.
whiches = st.integers(0, 7)
shares = st.sampled_from([None, (1, 0), (1, 0), (1, 1), (2, 0), (3, 0), (4, -1), (4, 0), (4, 1)])


@dataclass(frozen=True)
class Attempt:
    """A call that was made. family: what its authorization_id names; None for nothing of the account."""

    account: str
    kind: str
    key: str
    request: Request
    family: Family | None


class LedgerMachine(RuleBasedStateMachine):
    """Two accounts, their clock, and everything that can be done to payments."""

    def __init__(self, open_store: Callable[[], Store]) -> None:
        super().__init__()
        run = next(_run_numbers)
        self.accounts = [f"acct_{run}_shop", f"acct_{run}_stranger"]
        self.clock = FrozenClock()
        self.store = open_store()
        self.failing = FailingStore(self.store)
        self.infrastructure = make_infrastructure(self.failing, self.clock)
        self.next_failure: Literal["before", "after"] | None = None
        self.model = ModelLedger()
        self.ids: dict[Entry, str] = {}
        self.first_responses: dict[str, Json] = {}
        self.key_numbers = count(1)
        self.attempts: list[Attempt] = []

    def teardown(self) -> None:
        self.store.close()

    # --- what can happen ---

    @initialize(account=st.integers(0, 1), amount=st.integers(4, 1500))
    def begins_with_a_payment(self, account: int, amount: int) -> None:
        request = {"number": APPROVED[0], "amount": amount, "currency": "EUR"}
        self.make(Attempt(self.accounts[account], "authorization", self.fresh(None), request, None))

    @rule(account=st.integers(0, 1), amount=st.integers(4, 1500), share=shares)
    def pays_and_captures(self, account: int, amount: int, share: Share) -> None:
        """As most do; without it, a random history is mostly about payments that are over."""
        self.begins_with_a_payment(account, amount)
        self.captures(0, None, share)

    @rule(
        account=st.integers(0, 1),
        key=keys,
        number=st.sampled_from([*APPROVED, *APPROVED, *NOT_SO_PLAIN]),
        amount=st.integers(1, 1500) | st.just(AMOUNT_MAX - 100),
        currency=st.sampled_from(["EUR", "JPY"]),
        simulate=headers,
        metadata=metadata,
    )
    def authorizes(self, account: int, key: str | None, **fields: Any) -> None:
        request = without_none(fields)
        self.make(Attempt(self.accounts[account], "authorization", self.fresh(key), request, None))

    @rule(
        which=whiches,
        key=keys,
        share=shares,
        final=st.sampled_from([None, None, True]),
        simulate=headers,
        metadata=metadata,
    )
    def captures(self, which: int, key: str | None, share: Share, **fields: Any) -> None:
        family = self.pick(which, self.is_open)
        amount = part_of(family.held(self.clock.now_ms()), share)
        self.operates(family, "capture", key, amount=amount, **fields)

    @rule(which=whiches, key=keys, share=shares, simulate=headers, metadata=metadata)
    def refunds(self, which: int, key: str | None, share: Share, **fields: Any) -> None:
        family = self.pick(which, lambda family: family.captured > family.refunded)
        amount = part_of(family.captured - family.refunded, share)
        self.operates(family, "refund", key, amount=amount, **fields)

    @rule(
        which=whiches,
        key=keys,
        amount=st.sampled_from([1, 99, 500, AMOUNT_MAX]),
        simulate=headers,
        metadata=metadata,
    )
    def increments(self, which: int, key: str | None, **fields: Any) -> None:
        self.operates(self.pick(which, self.is_open), "increment", key, **fields)

    @rule(which=whiches, key=keys, metadata=metadata)
    def voids(self, which: int, key: str | None, **fields: Any) -> None:
        self.operates(self.pick(which, self.is_open), "void", key, **fields)

    @rule(
        which=whiches,
        kind=st.sampled_from(OPERATION_KINDS),
        key=keys,
        mistake=st.sampled_from(["an unknown id", "the last entry of a family", "another account's"]),
    )
    def names_no_authorization_of_the_account(
        self, which: int, kind: str, key: str | None, mistake: str
    ) -> None:
        family = self.pick(which)
        account = family.account
        authorization_id = "auth_unknown"
        if mistake == "another account's":
            account = self.other(account)
            authorization_id = self.ids[family.entries[0]]
        elif mistake != "an unknown id" and len(family.entries) > 1:
            authorization_id = self.ids[family.entries[-1]]
        request = {"authorization_id": authorization_id, **({} if kind == "void" else {"amount": 1})}
        self.make(Attempt(account, kind, self.fresh(key), request, None))

    @rule(ago=st.integers(0, 40))
    def repeats(self, ago: int) -> None:
        self.make(self.attempt_made(ago))

    @rule(when=st.sampled_from(["before", "after", "after"]))
    def loses_its_ledger_for_a_moment(self, when: Literal["before", "after"]) -> None:
        """The next request fails at its write, or is carried out and its answer lost; it is sent again with its key."""
        self.next_failure = when

    @rule(
        ago=st.integers(0, 40),
        field=st.sampled_from(["amount", "metadata", "simulate", "final"]),
        which=whiches,
    )
    def reuses_a_key(self, ago: int, field: str, which: int) -> None:
        """Another request under the same key; whether that is refused depends on whether the first was."""
        attempt, family = self.attempt_made(ago), self.pick(which)
        request = dict(attempt.request)
        if field == "amount" and attempt.kind != "void":
            request["amount"] = request.get("amount", 1000) % 1500 + 1
        elif field == "simulate" and attempt.kind != "void":
            request["simulate"] = "lost_card" if request.get("simulate") != "lost_card" else "approve"
        elif field == "final" and attempt.kind == "capture":
            request["final"] = True
        elif attempt.kind != "authorization" and family.account == attempt.account:
            request["authorization_id"] = self.ids[family.entries[0]]
            self.make(replace(attempt, request=request, family=family))
            return
        else:
            request["metadata"] = {"x": "3"}
        self.make(replace(attempt, request=request))

    @rule(
        ms=st.sampled_from(
            [1, 1, 999, 999, DAY_MS, 3 * DAY_MS, VALIDITY_MS - 1, VALIDITY_MS, KEY_RETENTION_MS]
        )
    )
    def waits(self, ms: int) -> None:
        self.clock.advance(ms=ms)

    @rule()
    def does_what_is_due(self) -> None:
        """As a scheduler would, long after the moment perhaps."""
        now = self.clock.now_ms()
        roots = {self.ids[entry]: entry for entry in self.model.entries if entry.kind == "authorization"}
        for record in self.store.page(Index.DUE, DUE_KEY, limit=1_000).records:
            if record.due_at is None or record.due_at > now:
                break
            if record.kind in SETTLED_KINDS and record.account_id in self.accounts:
                self.settles_a_day(record)
                continue
            if record.id not in roots:
                continue  # of an earlier history in the same ledger
            do_scheduled_work(plain_world(self.infrastructure, record.account_id), record)
            (after,) = self.store.get([record.id])
            assert after is not None
            entry = self.model.expire(roots[record.id].family)
            (made,) = self.store.get(after.data["entries"][-1:])
            assert made is not None
            self.ids[entry] = made.id
            self.first_responses[made.id] = render_transaction(as_created(made))
            # Done again, it changes nothing.
            do_scheduled_work(plain_world(self.infrastructure, record.account_id), record)
            assert self.store.get([record.id]) == [after]

    def settles_a_day(self, record: Record) -> None:
        """What one entry's being due brings about: its whole day is settled, as of the day's end."""
        moment = record.due_at
        assert moment is not None
        do_scheduled_work(plain_world(self.infrastructure, record.account_id), record)
        for entry in self.model.unsettled(record.account_id):
            if entry.day_ends <= moment:
                entry.settled_at = moment

    @rule(account=st.integers(0, 1), share=st.sampled_from([None, None, 0, 1]))
    def settles(self, account: int, share: int | None) -> None:
        """All of it; or up to the first or the last moment at which something was made that is not settled."""
        owner, now = self.accounts[account], self.clock.now_ms()
        waiting = self.model.unsettled(owner)
        up_to = waiting[-share].created_at if waiting and share is not None else None
        made = settle_on_demand(
            plain_world(self.infrastructure, owner), up_to=up_to, discrepancies=["missing_line"]
        )
        taken = [entry for entry in waiting if up_to is None or entry.created_at <= up_to]
        assert sum(settlement.count for settlement in made) == len(taken)
        for entry in taken:
            entry.settled_at = now

    @rule(
        account=st.integers(0, 1),
        kind=st.sampled_from([None, "authorization", "capture", "refund"]),
        status=st.sampled_from([None, "authorized", "captured", "expired", "succeeded", "declined"]),
        number=st.sampled_from([None, *APPROVED, *NOT_SO_PLAIN]),
        since=st.none() | st.integers(0, 9),
        until=st.none() | st.integers(0, 9),
        limit=st.integers(1, 4),
    )
    def lists(
        self,
        account: int,
        kind: str | None,
        status: str | None,
        number: str | None,
        since: int | None,
        until: int | None,
        limit: int,
    ) -> None:
        times = sorted({entry.created_at for entry in self.model.entries}) or [self.clock.now_ms()]
        created_from = None if since is None else times[since % len(times)]
        created_before = None if until is None else times[until % len(times)]
        owner = self.accounts[account]
        wanted = Filter(
            card_id=None if number is None else identify_card(LEDGER_SECRET, owner, number),
            type=kind,
            status=status,
            created_from=created_from,
            created_before=created_before,
        )
        expected = self.model.listed(
            owner,
            self.clock.now_ms(),
            **without_none(
                {
                    "kind": kind,
                    "status": status,
                    "number": number,
                    "created_from": created_from,
                    "created_before": created_before,
                }
            ),
        )
        assert self.walk(owner, wanted, limit) == self.newest_first(expected)

    @rule(which=whiches, stranger=st.booleans())
    def reads_what_is_not_there(self, which: int, stranger: bool) -> None:
        family = self.pick(which)
        transaction_id = self.ids[family.entries[-1]] if stranger else "cap_unknown"
        account = self.other(family.account)
        with pytest.raises(TransactionNotFound):
            get_transaction(plain_world(self.infrastructure, account), transaction_id)

    # --- what always holds ---

    @invariant()
    def every_family_is_what_the_model_says(self) -> None:
        now = self.clock.now_ms()
        for root in self.model.entries:
            if root.kind != "authorization":
                continue
            family = root.family
            found = get_transaction(plain_world(self.infrastructure, family.account), self.ids[root])
            members = [render_transaction(member) for member in found.members]
            assert [member["transaction_id"] for member in members] == [
                self.ids[entry] for entry in family.entries
            ]
            for entry, member in zip(family.entries, members, strict=True):
                assert shown_of(member) == self.model.shown_now(entry, now)
                first = self.first_responses[self.ids[entry]]
                moving = ("status", "balance") if entry is root else ("settlement_id", "settled_at")
                assert {**member, **{name: first[name] for name in moving if name in first}} == first
                if entry.kind in SETTLED_KINDS:
                    settled_at = None if entry.settled_at is None else format_timestamp(entry.settled_at)
                    assert member["settled_at"] == settled_at
            assert render_transaction(found.entry) == members[0]
            check_arithmetic(members, held=family.authorized - family.captured - family.released)
            assert 0 <= family.refunded <= family.captured
            assert 0 <= family.captured + family.released <= family.authorized

    @invariant()
    def every_entry_is_in_the_feed_of_its_account_exactly_once(self) -> None:
        for account in self.accounts:
            expected = self.newest_first(self.model.listed(account, self.clock.now_ms()))
            assert self.walk(account, Filter(), 100) == expected

    @invariant()
    def what_is_settled_is_on_one_line_and_leaves_nothing_owed(self) -> None:
        for account in self.accounts:
            settled = {self.ids[entry]: entry for entry in self.model.entries if entry.settled_at is not None}
            settled = {name: entry for name, entry in settled.items() if entry.account == account}
            lines: list[str] = []
            for settlement in list_settlements(
                plain_world(self.infrastructure, account), limit=100, cursor=None
            ).items:
                assert settlement.completed
                held = read_lines(plain_world(self.infrastructure, account), settlement)
                lines += [line.transaction_id for line in held]
                owed = 0
                for line in held:
                    entry = settled[line.transaction_id]
                    owed += entry.shown["amount"] if entry.kind == "capture" else -entry.shown["amount"]
                assert settlement.gross == sum(line.gross for line in held) == owed
                assert settlement.net == owed - sum(line.fee for line in held)
                postings = [*settlement.postings, *settlement.payout_postings]
                assert sum(amount for _, amount in postings) == 0
                assert balance_of(postings, MERCHANT_RECEIVABLE) == -owed
                assert balance_of(postings, MERCHANT_PAYABLE) == 0
                assert balance_of(postings, MERCHANT_BANK) == settlement.net
            assert sorted(lines) == sorted(settled)

    # --- how it is told to both ---

    def fresh(self, key: str | None) -> str:
        return key or f"key-{next(self.key_numbers)}"

    def other(self, account: str) -> str:
        return self.accounts[account == self.accounts[0]]

    def is_open(self, family: Family) -> bool:
        return family.held(self.clock.now_ms()) > 0

    def pick(self, which: int, able: Callable[[Family], bool] = lambda family: True) -> Family:
        """Mostly one of the newest payments with which this can be done; now and then one with which it cannot."""
        everything = [entry.family for entry in self.model.entries if entry.kind == "authorization"]
        able_ones = [family for family in everything if able(family)]
        chosen = able_ones if able_ones and which < 6 else everything
        return chosen[-1 - which % len(chosen)]

    def operates(self, family: Family, kind: str, key: str | None, **fields: Any) -> None:
        request = {"authorization_id": self.ids[family.entries[0]], **without_none(fields)}
        self.make(Attempt(family.account, kind, self.fresh(key), request, family))

    def attempt_made(self, ago: int) -> Attempt:
        return self.attempts[-1 - ago % len(self.attempts)]

    def make(self, attempt: Attempt) -> None:
        """Ask the model, ask the sandbox, compare."""
        self.attempts.append(attempt)
        expected: tuple[Entry, bool] | Refused
        now = self.clock.now_ms()
        try:
            if attempt.kind == "authorization":
                expected = self.model.authorize(attempt.account, attempt.key, attempt.request, now)
            else:
                expected = self.model.operate(
                    attempt.account, attempt.kind, attempt.key, attempt.family, attempt.request, now
                )
        except Refused as refusal:
            expected = refusal
        failure, self.next_failure = self.next_failure, None
        self.failing.failure = failure
        outcome = self.ask_sandbox(attempt)
        lost = isinstance(outcome, StoreUnavailable)
        # Refused before it came to a write, it fails as it would have anyway.
        assert lost == (failure is not None and self.failing.failure is None)
        self.failing.failure = None
        if lost:
            outcome = self.ask_sandbox(attempt)
        if isinstance(expected, Refused) or isinstance(outcome, SandboxError):
            self.compare_refusals(outcome, expected)
            return
        entry, replayed = expected
        rendered = render_transaction(outcome.entry)
        assert outcome.replayed == (replayed or (lost and failure == "after"))
        if replayed:
            assert rendered == self.first_responses[self.ids[entry]]
        else:
            assert rendered["transaction_id"] not in self.first_responses
            self.ids[entry] = rendered["transaction_id"]
            self.first_responses[self.ids[entry]] = rendered
        assert shown_of(rendered) == entry.shown
        assert rendered["created_at"] == format_timestamp(entry.created_at)

    def ask_sandbox(self, attempt: Attempt) -> Outcome | SandboxError:
        fields = {**attempt.request, "account": attempt.account}
        try:
            if attempt.kind == "authorization":
                card = card_with(number=fields.pop("number"))
                return authorize(plain_world(self.infrastructure, ACCOUNT), attempt.key, card=card, **fields)
            return operate(plain_world(self.infrastructure, ACCOUNT), attempt.kind, key=attempt.key, **fields)
        except SandboxError as error:
            return error

    def compare_refusals(self, error: Outcome | SandboxError, expected: tuple[Entry, bool] | Refused) -> None:
        assert isinstance(error, SandboxError), f"done, but the model says {expected}"
        assert isinstance(expected, Refused), f"{error.code}, but the model agrees"
        assert error.code == expected.code
        facts = dict(expected.facts)
        if error.code == "idempotency_key_reused":
            made: Entry = facts.pop("made")
            assert [each.pointer for each in error.errors] == facts.pop("pointers")
            facts = {"first_used_at": format_timestamp(made.created_at), "transaction_id": self.ids[made]}
        assert error.facts == facts

    def walk(self, account: str, wanted: Filter, limit: int) -> list[str]:
        """The ids of a listing, gone through with the cursor to its end."""
        found: list[str] = []
        cursor = None
        while True:
            page = list_transactions(
                plain_world(self.infrastructure, account), wanted, limit=limit, cursor=cursor
            )
            found += [entry.record.id for entry in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return found

    def newest_first(self, entries: list[Entry]) -> list[str]:
        order = sorted(((entry.created_at, self.ids[entry]) for entry in entries), reverse=True)
        return [transaction_id for _, transaction_id in order]


def part_of(left: int, share: Share) -> int | None:
    """The amount to ask for when so much is left; at least the smallest that the contract allows."""
    return None if share is None else max(1, left * share[0] // 4 + share[1])


def without_none(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


def shown_of(rendered: Json) -> Json:
    """What the model knows of a transaction."""
    decline = rendered["decline"]
    response_code = rendered["network"]["response_code"]
    assert response_code == ("00" if decline is None else decline["response_code"])
    assert (rendered["status"] == "declined") == (decline is not None)
    shown = {name: rendered[name] for name in ("type", "status", "amount", "balance", "metadata")}
    return {**shown, "response_code": response_code}


def check_arithmetic(members: list[Json], *, held: int) -> None:
    """Double entry: what each ledger account has is what the totals say, and what the entries add up to."""
    accounts = {"cardholder_available": 0, "cardholder_held": 0, "merchant_receivable": 0}
    moved = dict.fromkeys(PREFIXES, 0)
    for member in members:
        assert sum(posting["amount"] for posting in member["postings"]) == 0
        assert bool(member["postings"]) == (member["decline"] is None)
        for posting in member["postings"]:
            accounts[posting["ledger_account"]] += posting["amount"]
        if member["decline"] is None:
            moved[member["type"]] += member["amount"]
    balance = members[0]["balance"]
    assert accounts["cardholder_held"] == held
    assert accounts["merchant_receivable"] == balance["captured_amount"] - balance["refunded_amount"]
    assert accounts["merchant_receivable"] == balance["refundable_amount"]
    assert moved["authorization"] + moved["increment"] == balance["authorized_amount"]
    assert moved["capture"] == balance["captured_amount"]
    assert moved["refund"] == balance["refunded_amount"]
    assert moved["void"] + moved["expiry"] <= balance["released_amount"]
    assert balance["capturable_amount"] in (held, 0)


def test_a_key_that_is_forgotten_makes_a_new_payment_though_its_answer_is_lost() -> None:
    """Exploring drew this history: the first insert finds the old entry, and only the second one writes."""
    machine = LedgerMachine(MemoryStore)
    machine.begins_with_a_payment(account=0, amount=4)
    machine.loses_its_ledger_for_a_moment(when="after")
    machine.waits(ms=KEY_RETENTION_MS)
    machine.repeats(ago=0)
    machine.every_entry_is_in_the_feed_of_its_account_exactly_once()
    machine.every_family_is_what_the_model_says()
    machine.teardown()


def test_the_sandbox_agrees_with_the_model_in_memory() -> None:
    run_machine(LedgerMachine, MemoryStore, examples=80, steps=40)


def test_the_sandbox_agrees_with_the_model_on_sqlite(tmp_path: Path) -> None:
    files = count(1)
    run_machine(LedgerMachine, lambda: SqliteStore(tmp_path / f"{next(files)}.db"), examples=30, steps=30)


@pytest.mark.slow
def test_the_sandbox_agrees_with_the_model_on_dynamodb() -> None:
    with dynamodb_tables() as open_table:
        run_machine(LedgerMachine, open_table, examples=4, steps=20)
