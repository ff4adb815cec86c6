"""`payments-sandbox trigger`: makes an event happen by the operations that lead to it, through the API alone.

Nothing is faked: every event is an entry of the ledger. What no operation of the API makes (an expiry, an endpoint that was
disabled) cannot be triggered here.
"""

import re
from argparse import ArgumentTypeError
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from handlers.adapters.system.randomness import SystemRandomness
from handlers.domain.money import AMOUNT_MAX
from handlers.domain.triggers import HEADER, decline_for_amount
from handlers.domain.webhooks import EVENT_TYPES
from handlers.entrypoints.api_client import ApiClient, CallFailed, Json, Refused
from handlers.entrypoints.terminal import Terminal, amount_of
from handlers.services.events import EVENT_PREFIX
from handlers.services.ports import Randomness

DECLINE_DEFAULT: Final = "generic_decline"
AMOUNT_DEFAULT: Final = 1051
INCREMENT_DEFAULT: Final = 500
CARD_DEFAULT: Final = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2099, "cvc": "123"}

INTEGER_FIELDS: Final = frozenset({"amount", "card.exp_month", "card.exp_year"})
BOOLEAN_FIELDS: Final = frozenset({"final"})
"""Fields of the contract's requests that are not texts; a test compares them with it."""

PATHS: Final = {
    "authorization": "/v1/authorize",
    "capture": "/v1/capture",
    "refund": "/v1/refund",
    "void": "/v1/void",
    "increment": "/v1/increment",
}
"""Kind of an entry to the operation that makes it."""

RECIPES: Final = {event: kind for kind, event in EVENT_TYPES.items() if kind[0] in PATHS}
"""Type of an event to the kind of its entry, and whether it is declined."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """`--set a.b=value`."""

    field: str
    value: str | int | bool

    @property
    def of_card_or_currency(self) -> bool:
        """Whether it is about what only an authorization can be told."""
        return self.field == "currency" or self.field.startswith("card.")


class UsageError(Exception):
    """The words of the command do not go together; the message is one line."""


class _Declined(Exception):
    """A step on the way was declined, so there is nothing to go on with."""


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
    currency go to the authorization that is made for it. simulate: the last operation's X-Sandbox-Simulate.
    Raises UsageError when this cannot be asked for.
    """
    run = _Run(api, terminal, randomness or SystemRandomness())
    kind, declined = RECIPES[event_type]
    if on is not None and kind == "authorization":
        raise UsageError(f"{event_type} makes a new authorization: --on does not go with it")
    problem, event_id, made = None, None, None
    try:
        last = _prepare(run, kind, on, assignments)
        entry = run.do(kind, last, simulate or _simulation(kind, declined, assignments))
        event_id = EVENT_PREFIX + entry["transaction_id"]
        made = EVENT_TYPES[entry["type"], entry["decline"] is not None]
    except Refused as failure:
        problem = failure.problem
        terminal.warn(f"error: {failure}")
    except (CallFailed, _Declined) as failure:
        code = "declined" if isinstance(failure, _Declined) else "no_answer"
        problem = {"code": code, "detail": str(failure)}
        terminal.warn(f"error: {failure}")
    else:
        terminal.say(f"{made}  {event_id}", good=made == event_type)
        if made != event_type:
            problem = {"code": "other_event", "detail": f"that was {made}, not {event_type}"}
            terminal.warn(f"error: {problem['detail']}")
    terminal.record({"event_id": event_id, "type": made, "steps": run.steps, "error": problem})
    return 0 if problem is None else 1


def list_recipes(terminal: Terminal) -> int:
    """Say what can be triggered, and by which operations."""
    for event_type, (kind, declined) in RECIPES.items():
        operations = [PATHS[step].removeprefix("/v1/") for step in (*_way_to(kind), kind)]
        note = f"  (declined: {DECLINE_DEFAULT}, or --simulate)" if declined else ""
        terminal.say(f"{event_type:<32} {', '.join(operations)}{note}")
        terminal.record({"type": event_type, "operations": operations})
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


def set_fields(body: Json, assignments: Sequence[Assignment]) -> Json:
    """The body with the fields set. Raises UsageError when one path goes through the value of another."""
    changed = dict(body)
    for assignment in assignments:
        *parents, name = assignment.field.split(".")
        place = changed
        for parent in parents:
            child = place.get(parent, {})
            if not isinstance(child, dict):
                raise UsageError(f"{assignment.field} cannot be set: {parent} is a value of its own")
            place[parent] = dict(child)
            place = place[parent]
        place[name] = assignment.value
    return changed


class _Run:
    """The operations of one trigger, told as they are done."""

    def __init__(self, api: ApiClient, terminal: Terminal, randomness: Randomness) -> None:
        self._api = api
        self._terminal = terminal
        self._randomness = randomness
        self.steps: list[Json] = []

    def transaction(self, transaction_id: str) -> Json:
        """Raises CallFailed."""
        return _checked(self._api.get(f"/v1/transactions/{quote(transaction_id, safe='')}"))

    def do(self, kind: str, body: Json, simulate: str | None = None) -> Json:
        """Raises CallFailed."""
        headers = {"X-Idempotency-Key": "trigger-" + self._randomness.token(24)}
        if simulate is not None:
            headers[HEADER] = simulate
        entry = _checked(self._api.post(PATHS[kind], body, headers))
        operation = PATHS[kind].removeprefix("/v1/")
        self.steps.append({"operation": operation, "transaction": entry})
        decline = entry["decline"]
        reason = (
            "" if decline is None else f" ({decline['decline_code']}: {entry['simulation']['explanation']})"
        )
        self._terminal.say(
            f"{operation:<10} {entry['transaction_id']}  {amount_of(entry):>14}  {entry['status']}{reason}"
        )
        return entry

    def do_first(self, kind: str, body: Json) -> Json:
        """As `do`, for an operation that others need. Raises CallFailed, _Declined."""
        entry = self.do(kind, body)
        if entry["decline"] is not None:
            raise _Declined(f"the {kind} was declined, so there is nothing to go on with")
        return entry


def _checked(entry: Json) -> Json:
    needed = {"transaction_id", "type", "status", "decline", "simulation", "balance"}
    if not needed <= entry.keys():
        raise CallFailed("the answer is not one of a payments sandbox", transient=False)
    return entry


def _prepare(run: _Run, kind: str, on: str | None, assignments: Sequence[Assignment]) -> Json:
    """Do what has to come first; answers the body of the last operation."""
    if kind == "authorization":
        return set_fields(_authorization(AMOUNT_DEFAULT), assignments)
    own = assignments
    if on is None:
        own = [each for each in assignments if not each.of_card_or_currency]
        cards = [each for each in assignments if each.of_card_or_currency]
        body = set_fields({}, own)
        first = run.do_first("authorization", set_fields(_authorization(_enough_for(kind, body)), cards))
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


def _authorization(amount: int) -> Json:
    return {"amount": amount, "currency": "EUR", "card": CARD_DEFAULT}


def _enough_for(kind: str, body: Json) -> int:
    """What to authorize so that the last operation's amount fits in."""
    wanted = body.get("amount")
    if kind in ("capture", "refund") and isinstance(wanted, int) and AMOUNT_DEFAULT < wanted <= AMOUNT_MAX:
        # 900051 would be declined where it is authorized; what comes after has no such trigger.
        return wanted if decline_for_amount(wanted) is None else wanted + 100
    return AMOUNT_DEFAULT


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
