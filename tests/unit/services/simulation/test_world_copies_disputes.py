"""Disputes and refunds with a course of their own, in worlds that were copied: each takes the same course in each of them."""

import asyncio

from payments_sandbox.domain.iso8583 import Message
from payments_sandbox.services.accounts.controls import world_of
from payments_sandbox.services.disputes.disputes import list_disputes
from payments_sandbox.services.disputes.representations import render_dispute
from payments_sandbox.services.events.events import list_events
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ledger.representations import render_family
from payments_sandbox.services.ledger.transactions import get_transaction
from payments_sandbox.services.payments.network_messages import get_network_messages
from payments_sandbox.services.simulation.snapshots import fork_snapshot, take_snapshot
from payments_sandbox.services.world import World, plain_world
from tests.calls.disputes import (
    FAILING_REFUND_NUMBER,
    FRAUDULENT_NUMBER,
    WARNING_NUMBER,
    accept,
    answer,
    captured,
    only_dispute,
)
from tests.calls.payments import refund
from tests.doubles.ports import ACCOUNT, FrozenClock, make_infrastructure
from tests.virtual_time.scheduled_work import do_everything_due


def fork(infrastructure: Infrastructure) -> tuple[World, str]:
    snapshot = asyncio.run(take_snapshot(plain_world(infrastructure, ACCOUNT), name=None))
    account, _ = asyncio.run(
        fork_snapshot(plain_world(infrastructure, ACCOUNT), snapshot.snapshot_id, name=None)
    )
    return world_of(infrastructure, account.account_id), account.account_id


def view(world: World, authorization_id: str) -> list[object]:
    disputes = list_disputes(world, limit=100, cursor=None).items
    events = list_events(world, types=[], limit=100, cursor=None).items
    return [
        render_family(get_transaction(world, authorization_id)),
        [render_dispute(dispute) for dispute in disputes],
        [(event.id, event.type, event.data) for event in events],
    ]


def test_a_dispute_goes_on_in_a_fork_as_in_its_origin_and_to_another_end() -> None:
    clock = FrozenClock()
    infrastructure = make_infrastructure(clock=clock)
    authorization_id = captured(plain_world(infrastructure, ACCOUNT), number=FRAUDULENT_NUMBER)
    do_everything_due(infrastructure, ACCOUNT)
    dispute_id = only_dispute(plain_world(infrastructure, ACCOUNT)).dispute_id
    (one, one_id), (two, two_id) = fork(infrastructure), fork(infrastructure)
    before = view(plain_world(infrastructure, ACCOUNT), authorization_id)
    assert view(one, authorization_id) == view(two, authorization_id) == before
    answer(one, dispute_id, account=one_id)
    accept(two, dispute_id, account=two_id)
    answer(plain_world(infrastructure, ACCOUNT), dispute_id)
    clock.advance(days=90)
    for account_id in (one_id, two_id, ACCOUNT):
        do_everything_due(infrastructure, account_id)
    statuses = [
        list_disputes(each, limit=1, cursor=None).items[0].status
        for each, whose in ((one, one_id), (two, two_id))
    ]
    assert statuses == ["won", "lost"]
    # The origin, given the same evidence, got the same ids for the same events.
    assert view(plain_world(infrastructure, ACCOUNT), authorization_id) == view(one, authorization_id)


def test_timers_are_copied_and_run_in_each_world() -> None:
    clock = FrozenClock()
    infrastructure = make_infrastructure(clock=clock)
    failing = captured(plain_world(infrastructure, ACCOUNT), "failing", number=FAILING_REFUND_NUMBER)
    refund(plain_world(infrastructure, ACCOUNT), failing, amount=300)
    warned = captured(plain_world(infrastructure, ACCOUNT), "warned", number=WARNING_NUMBER)
    own, account_id = fork(infrastructure)
    clock.advance(days=30)
    do_everything_due(infrastructure, account_id)
    do_everything_due(infrastructure, ACCOUNT)
    for authorization_id in (failing, warned):
        assert view(own, authorization_id) == view(plain_world(infrastructure, ACCOUNT), authorization_id)
    members = get_transaction(own, failing).members
    assert "refund_failure" in [member.record.kind for member in members]


def messages_of(
    infrastructure: Infrastructure, authorization_id: str, kind: str
) -> tuple[Message, Message, Message]:
    """The original's request, and both messages of the entry of this kind."""
    members = get_transaction(plain_world(infrastructure, ACCOUNT), authorization_id).members
    (entry,) = [member.record for member in members if member.record.kind == kind]
    pair = get_network_messages(plain_world(infrastructure, ACCOUNT), entry.id)
    for message, packed in (pair.request, pair.response):
        assert infrastructure.packer.unpack(packed.octets) == message
    original = entry.data["request"].get("refund_id", authorization_id)
    return (
        get_network_messages(plain_world(infrastructure, ACCOUNT), original).request[0],
        pair.request[0],
        pair.response[0],
    )


def test_a_chargeback_is_the_issuer_s_reversal_advice_of_the_authorization() -> None:
    infrastructure = make_infrastructure()
    authorization_id = captured(plain_world(infrastructure, ACCOUNT), number=FRAUDULENT_NUMBER)
    do_everything_due(infrastructure, ACCOUNT)
    original, request, response = messages_of(infrastructure, authorization_id, "chargeback")
    assert (request.message_type, response.message_type) == ("0422", "0432")
    assert (request.name, response.name) == ("Reversal advice", "Reversal advice response")
    assert request.elements[4] == "000000001000"
    assert request.elements[90].startswith(f"0100{original.elements[11]}{original.elements[7]}")


def test_a_failed_refund_is_a_reversal_advice_of_the_refund() -> None:
    clock = FrozenClock()
    infrastructure = make_infrastructure(clock=clock)
    authorization_id = captured(plain_world(infrastructure, ACCOUNT), number=FAILING_REFUND_NUMBER)
    refund(plain_world(infrastructure, ACCOUNT), authorization_id, amount=300)
    clock.advance(days=30)
    do_everything_due(infrastructure, ACCOUNT)
    original, request, response = messages_of(infrastructure, authorization_id, "refund_failure")
    assert (request.message_type, response.message_type) == ("0420", "0430")
    assert request.elements[3] == "200000"
    assert request.elements[4] == "000000000300"
    assert request.elements[90].startswith(f"0200{original.elements[11]}{original.elements[7]}")
