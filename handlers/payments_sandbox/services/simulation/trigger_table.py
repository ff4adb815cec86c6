"""The published table of triggers: every way to ask for an outcome, with a request that shows it.

What a row expects is what the trigger grammar decides for the row's own request, so the table cannot drift from it;
the tests send every row to a running sandbox.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from payments_sandbox.domain.cards import CardDetails
from payments_sandbox.domain.money import format_amount
from payments_sandbox.domain.network import DECLINE_CODES, RESPONSE_CODES
from payments_sandbox.domain.triggers import (
    AMOUNT_BASE,
    HEADER,
    NAME_PREFIX,
    TEST_CARDS,
    Decision,
    decide_authorization,
)

PRECEDENCE: Final = ("request_header", "cardholder_name", "card_number", "amount")

_NUMBER: Final = "4242424242424242"
_ADDRESS: Final = {"line1": "1 Main Street", "postal_code": "10115", "country": "DE"}
_AMOUNT: Final = 1051
_CURRENCY: Final = "EUR"
_EXAMPLES: Final = (
    "approve; cvc=N",
    "approve; avs=N",
    "approve; risk=highest",
    "approve; capture=generic_decline",
)


@dataclass(frozen=True, slots=True)
class TriggerRow:
    """One trigger. value: what to send. body, headers: a request that pulls it. decision: what that request answers."""

    trigger: str
    value: str
    rule: str
    description: str
    body: dict[str, Any]
    decision: Decision
    headers: dict[str, str] = field(default_factory=dict)


def list_triggers() -> list[TriggerRow]:
    """Every trigger, in order of precedence; among the card numbers those that are simply approved come first."""
    return [*_header_rows(), *_name_rows(), *_card_rows(), *_amount_rows()]


def _header_rows() -> Iterator[TriggerRow]:
    for value, description in _instructions():
        yield _row("request_header", value, f"{HEADER}: {value}. {description}", simulate=value)


def _name_rows() -> Iterator[TriggerRow]:
    for value, description in _instructions():
        name = NAME_PREFIX.upper() + value
        yield _row("cardholder_name", name, f"Cardholder name {name!r}. {description}", holder_name=name)


def _card_rows() -> Iterator[TriggerRow]:
    for card in TEST_CARDS.values():
        cvc = "1234" if card.number.startswith("3") and len(card.number) == 15 else "123"
        yield _row("card_number", card.number, card.description, number=card.number, cvc=cvc)


def _amount_rows() -> Iterator[TriggerRow]:
    for code, (decline_code, name) in RESPONSE_CODES.items():
        if code.isdecimal():
            amount = AMOUNT_BASE + int(code)
            description = f"{format_amount(amount, _CURRENCY)}: declined with {code}, {decline_code}: {name}."
            yield _row("amount", str(amount), description, amount=amount)


def _instructions() -> Iterator[tuple[str, str]]:
    yield "approve", "Approved, whatever the other triggers say."
    for code, (response_code, message) in DECLINE_CODES.items():
        yield code, f"Declined with {response_code}: {message}"
    for code, (_, name) in RESPONSE_CODES.items():
        yield f"response_code={code}", f"Declined with {code}: {name}."
    for value in _EXAMPLES:
        yield value, "Checks, risk and later captures can be set besides the outcome."


def _row(
    trigger: str,
    value: str,
    description: str,
    *,
    number: str = _NUMBER,
    cvc: str = "123",
    amount: int = _AMOUNT,
    holder_name: str | None = None,
    simulate: str | None = None,
) -> TriggerRow:
    card: dict[str, Any] = {
        "number": number,
        "exp_month": 12,
        "exp_year": 2099,
        "cvc": cvc,
        "billing_address": dict(_ADDRESS),
    }
    if holder_name is not None:
        card["holder_name"] = holder_name
    # The rows' cards are valid to the end of 2099, so today does not matter.
    decision = decide_authorization(CardDetails(**card), amount, simulate, year=2000, month=1)
    return TriggerRow(
        trigger=trigger,
        value=value,
        rule=decision.simulation.rule,
        description=description,
        body={"amount": amount, "currency": _CURRENCY, "card": card},
        decision=decision,
        headers={} if simulate is None else {HEADER: simulate},
    )
