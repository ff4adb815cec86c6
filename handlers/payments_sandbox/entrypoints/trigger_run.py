"""The operations of one trigger, done one after the other and told as they are done; and the bodies that they are given.

It decides on no way to an event: `trigger.py` does for payments, `trigger_disputes.py` for what comes of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from payments_sandbox.domain.money import AMOUNT_MAX
from payments_sandbox.domain.triggers import HEADER, decline_for_amount
from payments_sandbox.entrypoints.api_client import ApiClient, CallFailed, Json
from payments_sandbox.entrypoints.terminal import Terminal, amount_of
from payments_sandbox.services.ports import Randomness

AMOUNT_DEFAULT: Final = 1051
CARD_DEFAULT: Final = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2099, "cvc": "123"}

PATHS: Final = {
    "authorization": "/v1/authorize",
    "capture": "/v1/capture",
    "refund": "/v1/refund",
    "void": "/v1/void",
    "increment": "/v1/increment",
}
"""Kind of an entry to the operation that makes it."""


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


class Declined(Exception):
    """A step on the way was declined, so there is nothing to go on with."""


_TRANSACTION: Final = frozenset({"transaction_id", "type", "status", "decline", "simulation", "balance"})
_DISPUTE: Final = frozenset({"dispute_id", "status", "amount", "currency"})


class Run:
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
        headers = self._new_key()
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
        """As `do`, for an operation that others need. Raises CallFailed, Declined."""
        entry = self.do(kind, body)
        if entry["decline"] is not None:
            raise Declined(f"the {kind} was declined, so there is nothing to go on with")
        return entry

    def dispute(self, operation: str, path: str, body: Json | None) -> Json:
        """Open or answer a dispute. Raises CallFailed."""
        dispute = _checked(self._api.post(path, body, self._new_key()), _DISPUTE)
        self.steps.append({"operation": operation, "dispute": dispute})
        told = f"{dispute['dispute_id']}  {amount_of(dispute):>14}  {dispute['status']}"
        self._terminal.say(f"{operation:<10} {told}")
        return dispute

    def events(self, event_type: str, limit: int) -> list[Json]:
        """The newest events of a type. Raises CallFailed."""
        page = _checked(
            self._api.get("/v1/events", {"type": event_type, "limit": limit}), frozenset({"data"})
        )
        events: list[Json] = page["data"]
        return events

    def _new_key(self) -> dict[str, str]:
        return {"X-Idempotency-Key": "trigger-" + self._randomness.token(24)}


def _checked(answer: Json, needed: frozenset[str] = _TRANSACTION) -> Json:
    if not needed <= answer.keys():
        raise CallFailed("the answer is not one of a payments sandbox", transient=False)
    return answer


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


def authorization_body(amount: int) -> Json:
    """The body of an authorization that is approved."""
    return {"amount": amount, "currency": "EUR", "card": CARD_DEFAULT}


def enough_for(kind: str, body: Json) -> int:
    """What to authorize so that the last operation's amount fits in."""
    wanted = body.get("amount")
    if kind in ("capture", "refund") and isinstance(wanted, int) and AMOUNT_DEFAULT < wanted <= AMOUNT_MAX:
        # 900051 would be declined where it is authorized; what comes after has no such trigger.
        return wanted if decline_for_amount(wanted) is None else wanted + 100
    return AMOUNT_DEFAULT
