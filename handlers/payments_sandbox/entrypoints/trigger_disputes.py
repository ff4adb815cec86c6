"""`payments-sandbox trigger` for what comes of a payment: disputes, early fraud warnings, refunds that take their time.

As with payments, nothing is faked: test cards and operations of the API lead to each event. What only time brings about (a
dispute that is won, a refund that fails) cannot be triggered: advance the account's clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from payments_sandbox.entrypoints.api_client import CallFailed, Json
from payments_sandbox.entrypoints.trigger_run import (
    Assignment,
    Run,
    UsageError,
    authorization_body,
    enough_for,
    set_fields,
)

EVENTS_LOOKED_AT: Final = 20
"""Among how many of the newest events of its type the one that was made is looked for."""


@dataclass(frozen=True, slots=True)
class DisputeRecipe:
    """steps: the operations that follow a capture. card: the test card that it takes."""

    steps: tuple[str, ...] = ()
    card: str | None = None

    @property
    def operations(self) -> list[str]:
        """Every operation, as it is listed."""
        return ["authorize", "capture", *self.steps]


DISPUTE_RECIPES: Final[Mapping[str, DisputeRecipe]] = {
    "payment.refund_initiated": DisputeRecipe(("refund",), card="4000000000007726"),
    "payment.chargeback_created": DisputeRecipe(("dispute",)),
    "dispute.opened": DisputeRecipe(("dispute",)),
    "dispute.updated": DisputeRecipe(("dispute", "evidence")),
    "dispute.escalated": DisputeRecipe(("inquiry", "escalate")),
    "dispute.closed": DisputeRecipe(("dispute", "accept")),
    "early_fraud_warning.created": DisputeRecipe(card="4000000000005423"),
    "early_fraud_warning.closed": DisputeRecipe(("refund",), card="4000000000005423"),
}
"""Type of an event to the way that leads to it."""

_OPENING: Final[Mapping[str, Json]] = {
    "dispute": {"reason": "fraudulent"},
    "inquiry": {"reason": "fraudulent", "inquiry": True},
}

_ANSWERS: Final[Mapping[str, Json | None]] = {
    "evidence": {"evidence": {"uncategorized_text": "winning_evidence"}, "submit": True},
    "accept": None,
    "escalate": None,
}


def bring_about(run: Run, event_type: str, on: str | None, assignments: Sequence[Assignment]) -> str:
    """Do what leads to the event; answers its id.

    on: an authorization to use instead of a new one. assignments: fields of the operation that comes after the capture;
    those of card and currency go to the authorization that is made for it.
    Raises UsageError, CallFailed, Declined.
    """
    recipe = DISPUTE_RECIPES[event_type]
    if on is not None and recipe.card is not None:
        raise UsageError(f"{event_type} takes a test card of its own: --on does not go with it")
    own = [each for each in assignments if on is not None or not each.of_card_or_currency]
    set_fields({}, own)
    authorization_id = _captured(run, recipe, on, assignments)
    dispute_id = ""
    for step in recipe.steps:
        if step == "refund":
            run.do_first("refund", set_fields({"authorization_id": authorization_id}, own))
        elif step in _OPENING:
            body = set_fields({"authorization_id": authorization_id, **_OPENING[step]}, own)
            dispute_id = run.dispute(step, "/v1/disputes", body)["dispute_id"]
        else:
            path = f"/v1/disputes/{quote(dispute_id, safe='')}/{step}"
            run.dispute(step, path, _ANSWERS[step])
    return _find_event(run, event_type, authorization_id)


def _captured(run: Run, recipe: DisputeRecipe, on: str | None, assignments: Sequence[Assignment]) -> str:
    """The id of an authorization of which something is captured."""
    if on is not None:
        balance = run.transaction(on)["balance"]
        if not balance["refundable_amount"] and balance["capturable_amount"]:
            run.do_first("capture", {"authorization_id": on})
        return on
    own = set_fields({}, [each for each in assignments if not each.of_card_or_currency])
    body = authorization_body(enough_for("capture", own))
    if recipe.card is not None:
        body["card"] = {**body["card"], "number": recipe.card}
    body = set_fields(body, [each for each in assignments if each.of_card_or_currency])
    authorization_id: str = run.do_first("authorization", body)["transaction_id"]
    run.do_first("capture", {"authorization_id": authorization_id})
    return authorization_id


def _find_event(run: Run, event_type: str, authorization_id: str) -> str:
    """The newest event of the type that is about this payment: the ids of such events follow from nothing that is told."""
    for event in run.events(event_type, EVENTS_LOOKED_AT):
        if event["data"].get("authorization_id") == authorization_id:
            event_id: str = event["event_id"]
            return event_id
    raise CallFailed(f"what was done has not made an event {event_type}", transient=False)
