"""Seeds: the same calls give the same ids and codes, in any ledger and twice in one."""

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from payments_sandbox.domain.cards import CardDetails
from payments_sandbox.domain.errors import InvalidRequest
from payments_sandbox.domain.faults import Rule
from payments_sandbox.domain.ids import TransactionId
from payments_sandbox.services.accounts import accounts
from payments_sandbox.services.accounts.accounts import authenticate
from payments_sandbox.services.accounts.controls import get_controls, world_of
from payments_sandbox.services.accounts.representations import render_account
from payments_sandbox.services.events.events import event_of
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ledger.representations import render_transaction
from payments_sandbox.services.payments import payments
from payments_sandbox.services.payments.payments import Authorize, PaymentOperation
from payments_sandbox.services.simulation import faults, world_copies
from payments_sandbox.services.webhooks import webhook_endpoints
from payments_sandbox.services.webhooks.webhook_deliveries import plan_deliveries
from payments_sandbox.services.world import World
from tests.doubles.ports import LEDGER_SECRET, FrozenClock, SeededRandomness, make_infrastructure

VISA = "4242424242424242"
SEED = "checkout-tests-1"


def seeded(infrastructure: Infrastructure, seed: str = SEED) -> tuple[World, str]:
    """The world of a new account of this seed, and its id."""
    account, _ = world_copies.create_seeded_account(infrastructure, name=None, seed=seed)
    return world_of(infrastructure, account.account_id), account.account_id


def other_machine() -> Infrastructure:
    """A ledger with another secret and other chance."""
    return replace(make_infrastructure(), ledger_secret=LEDGER_SECRET[::-1], randomness=SeededRandomness(99))


def play(world: World) -> list[Any]:
    """A payment's life, and everything in it that an id, a code or jitter is in."""
    card = CardDetails(VISA, 12, 2030, "123")
    endpoints = [
        webhook_endpoints.create_endpoint(world, url="http://127.0.0.1:3000/hooks")[0] for _ in range(2)
    ]
    webhook_endpoints.delete_endpoint(world, endpoints[0].endpoint_id)
    endpoints.append(webhook_endpoints.create_endpoint(world, url="http://127.0.0.1:3000/hooks")[0])
    authorization = payments.authorize_payment(world, Authorize(1000, "EUR", card), idempotency_key="order")
    operation = PaymentOperation(TransactionId(authorization.entry.record.id), amount=400)
    capture = payments.capture_payment(world, operation, idempotency_key="order")
    deliveries = plan_deliveries(world, event_of(capture.entry.record))
    faults.set_rules(world, [Rule("error=503", when="percent=30")])
    struck = [
        faults.next_fault(world, get_controls(world.infrastructure, world.account_id), "get_card") is not None
        for _ in range(50)
    ]
    return [
        [endpoint.endpoint_id for endpoint in endpoints],
        render_transaction(authorization.entry),
        render_transaction(capture.entry),
        deliveries,
        struck,
    ]


def test_the_same_calls_give_the_same_answers_in_one_ledger_and_in_another() -> None:
    here = make_infrastructure()
    first, second = seeded(here), seeded(here)
    assert first[1] != second[1]
    answers = play(first[0])
    assert play(second[0]) == answers
    assert play(seeded(other_machine())[0]) == answers
    assert len(set(answers[0])) == 3
    assert True in answers[4]


def test_another_seed_gives_other_ids() -> None:
    answers, others = (
        play(seeded(make_infrastructure())[0]),
        play(seeded(make_infrastructure(), "another")[0]),
    )
    assert answers[1]["transaction_id"] != others[1]["transaction_id"]
    assert answers[1]["network"]["stan"] != others[1]["network"]["stan"]
    assert not set(answers[0]) & set(others[0])
    assert answers[4] != others[4]


def test_secrets_are_not_what_a_seed_decides() -> None:
    one, two = make_infrastructure(), other_machine()
    made = []
    for infrastructure in (one, two):
        account, key = world_copies.create_seeded_account(infrastructure, name=None, seed=SEED)
        own = world_of(infrastructure, account.account_id)
        url = "http://127.0.0.1:3000/hooks"
        _, secret = webhook_endpoints.create_endpoint(own, url=url)
        made.append((account.account_id, key.secret, secret))
    assert not set(made[0]) & set(made[1])


def test_a_seeded_account_is_controlled_from_its_first_request_and_shows_its_seed() -> None:
    infrastructure = make_infrastructure()
    account, key = world_copies.create_seeded_account(infrastructure, name="Tests", seed=SEED)
    assert authenticate(infrastructure, key.secret).controlled
    assert render_account(accounts.get_account(infrastructure, account.account_id))["seed"] == SEED
    another = accounts.create_api_key(infrastructure, account.account_id, label=None)
    assert authenticate(infrastructure, another.secret).controlled


def test_a_seeded_account_takes_test_cards_only() -> None:
    world, _ = seeded(make_infrastructure())
    command = Authorize(1000, "EUR", CardDetails("4111111111111111", 12, 2030))
    with pytest.raises(InvalidRequest) as refusal:
        payments.authorize_payment(world, command, idempotency_key="order")
    assert [(error.pointer, error.code) for error in refusal.value.errors] == [
        ("/card/number", "not_a_test_card")
    ]
    declined = Authorize(1000, "EUR", CardDetails("4242424242424241", 12, 2030))
    assert not payments.authorize_payment(world, declined, idempotency_key="order").replayed


def test_what_carries_the_time_still_does() -> None:
    clock = FrozenClock()
    world, _ = seeded(make_infrastructure(clock=clock))
    command = Authorize(1000, "EUR", CardDetails(VISA, 12, 2030))
    first = payments.authorize_payment(world, command, idempotency_key="one").entry.record
    clock.advance(days=1)
    world, _ = seeded(make_infrastructure(clock=clock))
    second = payments.authorize_payment(world, command, idempotency_key="one").entry.record
    assert first.id == second.id
    assert first.data["network"]["stan"] == second.data["network"]["stan"]
    assert first.data["network"]["rrn"] != second.data["network"]["rrn"]


def test_every_id_of_a_world_is_derived_from_its_owner() -> None:
    """A service that gave `identify_...` the account's own id would find nothing in a fork, and make everything twice."""
    services = Path(payments.__file__).parents[1]
    calls = [
        (path.name, node)
        for path in sorted(services.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id.startswith("identify_")
        and node.func.id != "identify_api_key"
    ]
    assert len(calls) >= 4
    for name, call in calls:
        owner = ast.unparse(call.args[1])
        assert owner in {"owner", "world.owner", "self._world.owner"}, f"{name}: {ast.unparse(call)}"
