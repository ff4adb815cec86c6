"""`payments-sandbox trigger`: makes an event happen by the operations that lead to it, through the API alone.

Nothing is faked: every event is an entry of the ledger. What no operation on a payment makes (an expiry, a settlement, an
endpoint that was disabled) cannot be triggered here: `POST /v1/settlements` settles, an advanced clock lets time do the rest.
The ways to disputes and their like are in `trigger_disputes.py`.
"""

import re
from argparse import ArgumentTypeError
from collections.abc import Sequence
from typing import Final

from payments_sandbox.adapters.system.randomness import SystemRandomness
from payments_sandbox.domain.refund_courses import PENDING
from payments_sandbox.domain.triggers import decline_for_amount
from payments_sandbox.domain.webhooks import EVENT_TYPES
from payments_sandbox.entrypoints.api_client import ApiClient, CallFailed, Json, Refused
from payments_sandbox.entrypoints.terminal import Terminal
from payments_sandbox.entrypoints.trigger_disputes import DISPUTE_RECIPES, bring_about
from payments_sandbox.entrypoints.trigger_run import (
    AMOUNT_DEFAULT,
    PATHS,
    Assignment,
    Declined,
    Run,
    UsageError,
    authorization_body,
    enough_for,
    set_fields,
)
from payments_sandbox.services.events.events import EVENT_PREFIX
from payments_sandbox.services.ports import Randomness

DECLINE_DEFAULT: Final = "generic_decline"
INCREMENT_DEFAULT: Final = 500

INTEGER_FIELDS: Final = frozenset({"amount", "card.exp_month", "card.exp_year"})
BOOLEAN_FIELDS: Final = frozenset({"final", "inquiry"})
"""Fields of the contract's requests that are not texts; a test compares them with it."""

RECIPES: Final = {event: kind for kind, event in EVENT_TYPES.items() if kind[0] in PATHS}
"""Type of an event to the kind of its entry, and whether it is declined."""

EVENTS: Final = (*RECIPES, *DISPUTE_RECIPES)
"""Everything that can be triggered."""


def trigger(
    event_type: str,
    api: ApiClient,
    terminal: Terminal,
    *,
    on: str | None = None,
    assignments: Sequence[Assignment] = (),
    simulate: str | None = None,
    randomness: Randomness | None = None,
) -> int:
    """Make the event happen; answers the exit status.

    on: an authorization to use instead of a new one. assignments: fields of the last operation; those of card and
    currency go to the authorization that is made for it; of a dispute, those of the operation that opens it. simulate: the
    last operation's X-Sandbox-Simulate.
    Raises UsageError when this cannot be asked for.
    """
    run = Run(api, terminal, randomness or SystemRandomness())
    if event_type in DISPUTE_RECIPES and simulate is not None:
        raise UsageError(f"{event_type} is not an issuer's answer: --simulate does not go with it")
    problem, event_id, made = None, None, None
    try:
        if event_type in DISPUTE_RECIPES:
            event_id, made = bring_about(run, event_type, on, assignments), event_type
        else:
            event_id, made = _pay(run, event_type, on, assignments, simulate)
    except Refused as failure:
        problem = failure.problem
        terminal.warn(f"error: {failure}")
    except (CallFailed, Declined) as failure:
        code = "declined" if isinstance(failure, Declined) else "no_answer"
        problem = {"code": code, "detail": str(failure)}
        terminal.warn(f"error: {failure}")
    else:
        terminal.say(f"{made}  {event_id}", good=made == event_type)
        if made != event_type:
            problem = {"code": "other_event", "detail": f"that was {made}, not {event_type}"}
            terminal.warn(f"error: {problem['detail']}")
    terminal.record({"event_id": event_id, "type": made, "steps": run.steps, "error": problem})
    return 0 if problem is None else 1


def _pay(
    run: Run, event_type: str, on: str | None, assignments: Sequence[Assignment], simulate: str | None
) -> tuple[str, str]:
    """Do the operations of a payment that lead to the event; answers the id and type of what was made."""
    kind, declined = RECIPES[event_type]
    if on is not None and kind == "authorization":
        raise UsageError(f"{event_type} makes a new authorization: --on does not go with it")
    last = _prepare(run, kind, on, assignments)
    entry = run.do(kind, last, simulate or _simulation(kind, declined, assignments))
    made = "refund_initiated" if entry["status"] == PENDING else entry["type"]
    return EVENT_PREFIX + entry["transaction_id"], EVENT_TYPES[made, entry["decline"] is not None]


def list_recipes(terminal: Terminal) -> int:
    """Say what can be triggered, and by which operations."""
    for event_type, (kind, declined) in RECIPES.items():
        operations = [PATHS[step].removeprefix("/v1/") for step in (*_way_to(kind), kind)]
        note = f"  (declined: {DECLINE_DEFAULT}, or --simulate)" if declined else ""
        terminal.say(f"{event_type:<32} {', '.join(operations)}{note}")
        terminal.record({"type": event_type, "operations": operations})
    for event_type, recipe in DISPUTE_RECIPES.items():
        note = "" if recipe.card is None else f"  (card {recipe.card})"
        terminal.say(f"{event_type:<32} {', '.join(recipe.operations)}{note}")
        terminal.record({"type": event_type, "operations": recipe.operations})
    return 0


def parse_assignment(text: str) -> Assignment:
    """`card.exp_month=12`: integers and booleans where the contract has them, texts elsewhere. Raises ArgumentTypeError."""
    name, separator, value = text.partition("=")
    if not separator or not all(name.split(".")):
        raise ArgumentTypeError("a field is set by KEY=VALUE, where KEY may be a path such as card.number")
    if name in INTEGER_FIELDS and re.fullmatch("-?[0-9]{1,15}", value):
        return Assignment(name, int(value))
    if name in BOOLEAN_FIELDS and value in ("true", "false"):
        return Assignment(name, value == "true")
    # What is no number here is for the API to refuse, in its own words.
    return Assignment(name, value)


def _prepare(run: Run, kind: str, on: str | None, assignments: Sequence[Assignment]) -> Json:
    """Do what has to come first; answers the body of the last operation."""
    if kind == "authorization":
        return set_fields(authorization_body(AMOUNT_DEFAULT), assignments)
    own = assignments
    if on is None:
        own = [each for each in assignments if not each.of_card_or_currency]
        cards = [each for each in assignments if each.of_card_or_currency]
        body = set_fields({}, own)
        first = run.do_first("authorization", set_fields(authorization_body(enough_for(kind, body)), cards))
        on = first["transaction_id"]
        balance = first["balance"]
    elif kind == "refund":
        balance = run.transaction(on)["balance"]
    last: Json = {"authorization_id": on}
    if kind == "increment":
        last["amount"] = INCREMENT_DEFAULT
    last = set_fields(last, own)
    if kind == "refund" and not balance["refundable_amount"] and balance["capturable_amount"]:
        run.do_first("capture", {"authorization_id": on})
    return last


def _simulation(kind: str, declined: bool, assignments: Sequence[Assignment]) -> str | None:
    """What to ask the issuer for; nothing when the request has a trigger of its own, which the header would override."""
    if not declined:
        return None
    triggers = any(
        each.field in ("card.number", "card.holder_name")
        or (each.field == "amount" and isinstance(each.value, int) and decline_for_amount(each.value))
        for each in assignments
    )
    return None if kind == "authorization" and triggers else DECLINE_DEFAULT


def _way_to(kind: str) -> tuple[str, ...]:
    """The kinds of entries that an entry of this kind needs before it."""
    if kind == "authorization":
        return ()
    return ("authorization", "capture") if kind == "refund" else ("authorization",)
