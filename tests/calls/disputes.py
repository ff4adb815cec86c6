"""Calls of the dispute services as tests make them, and time that passes with all that falls due in it."""

from typing import Any, Final

from payments_sandbox.services.disputes import disputes
from payments_sandbox.services.disputes.dispute_records import Dispute
from payments_sandbox.services.disputes.disputes import (
    DisputeOutcome,
    EvidenceSubmission,
    OpenDispute,
)
from payments_sandbox.services.world import World
from tests.calls.payments import CARD, authorize, capture, card_with, id_of
from tests.doubles.ports import ACCOUNT, FrozenClock, of_account
from tests.virtual_time.scheduled_work import do_everything_due

FRAUDULENT_NUMBER: Final = "4000000000000259"
NOT_RECEIVED_NUMBER: Final = "4000000000002685"
INQUIRY_NUMBER: Final = "4000000000001976"
WARNING_NUMBER: Final = "4000000000005423"
PENDING_REFUND_NUMBER: Final = "4000000000007726"
FAILING_REFUND_NUMBER: Final = "4000000000005126"


def captured(world: World, key: str = "auth-1", *, amount: int = 1000, number: str | None = None) -> str:
    """The id of an authorization that is captured in full."""
    card = CARD if number is None else card_with(number=number)
    authorization_id = id_of(authorize(world, key, amount=amount, card=card))
    capture(world, authorization_id, f"capture-{key}")
    return authorization_id


def dispute(
    world: World,
    authorization_id: str,
    key: str = "dispute-1",
    *,
    account: str = ACCOUNT,
    reason: str = "fraudulent",
    **fields: Any,
) -> DisputeOutcome:
    """Dispute all that is left, unless given an amount; `inquiry=True` merely asks."""
    command = OpenDispute(authorization_id, reason, **fields)
    return disputes.create_dispute(of_account(world, account), command, idempotency_key=key)


def answer(
    world: World,
    dispute_id: str,
    text: str | None = "winning_evidence",
    key: str = "evidence-1",
    *,
    submit: bool = True,
    account: str = ACCOUNT,
    **evidence: str,
) -> DisputeOutcome:
    """Submit evidence, or save it. text: the one that decides; None leaves it out."""
    texts = evidence if text is None else {"uncategorized_text": text, **evidence}
    return disputes.submit_evidence(
        of_account(world, account), dispute_id, EvidenceSubmission(texts, submit), idempotency_key=key
    )


def accept(world: World, dispute_id: str, key: str = "accept-1", *, account: str = ACCOUNT) -> DisputeOutcome:
    return disputes.accept_dispute(of_account(world, account), dispute_id, idempotency_key=key)


def escalate(
    world: World, dispute_id: str, key: str = "escalate-1", *, account: str = ACCOUNT
) -> DisputeOutcome:
    return disputes.escalate_dispute(of_account(world, account), dispute_id, idempotency_key=key)


def all_disputes(world: World, **wanted: Any) -> list[Dispute]:
    """The account's disputes, newest first."""
    return list(disputes.list_disputes(world, limit=100, cursor=None, **wanted).items)


def only_dispute(world: World) -> Dispute:
    """The account's one dispute."""
    (found,) = all_disputes(world)
    return found


def pass_time(world: World, clock: FrozenClock, *, days: int = 0, ms: int = 0) -> None:
    """Let time pass, and do all that falls due in it, each piece at its own moment."""
    clock.advance(days=days, ms=ms)
    do_everything_due(world.infrastructure, ACCOUNT)
