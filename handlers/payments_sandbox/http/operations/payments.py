"""Operations of the tag `payments`: authorize, capture, refund, void, increment."""

from typing import Any

from payments_sandbox.domain.cards import CardDetails
from payments_sandbox.domain.ids import TransactionId
from payments_sandbox.http.operations.call import Call, OperationResult
from payments_sandbox.services.ledger.representations import render_transaction
from payments_sandbox.services.payments import payments
from payments_sandbox.services.payments.payments import Authorize, Outcome, PaymentOperation

_SIMULATE = "x-sandbox-simulate"
_REPLAYED = {"Idempotent-Replayed": "true"}


async def authorize_payment(call: Call) -> OperationResult:
    """POST /v1/authorize"""
    body = call.body
    command = Authorize(
        amount=body["amount"],
        currency=body["currency"],
        card=_card_details(body["card"]),
        merchant_reference=body.get("merchant_reference"),
        metadata=body.get("metadata"),
        simulate=call.headers.get(_SIMULATE),
    )
    outcome = payments.authorize_payment(call.world, command, idempotency_key=call.idempotency_key)
    return _answer(outcome)


async def capture_payment(call: Call) -> OperationResult:
    """POST /v1/capture"""
    return _answer(
        payments.capture_payment(call.world, _operation(call), idempotency_key=call.idempotency_key)
    )


async def refund_payment(call: Call) -> OperationResult:
    """POST /v1/refund"""
    return _answer(
        payments.refund_payment(call.world, _operation(call), idempotency_key=call.idempotency_key)
    )


async def void_payment(call: Call) -> OperationResult:
    """POST /v1/void"""
    return _answer(payments.void_payment(call.world, _operation(call), idempotency_key=call.idempotency_key))


async def increment_payment(call: Call) -> OperationResult:
    """POST /v1/increment"""
    return _answer(
        payments.increment_payment(call.world, _operation(call), idempotency_key=call.idempotency_key)
    )


def _card_details(card: dict[str, Any]) -> CardDetails:
    return CardDetails(
        number=card["number"],
        exp_month=card["exp_month"],
        exp_year=card["exp_year"],
        cvc=card.get("cvc"),
        holder_name=card.get("holder_name"),
        billing_address=card.get("billing_address"),
    )


def _operation(call: Call) -> PaymentOperation:
    body = call.body
    return PaymentOperation(
        authorization_id=TransactionId(body["authorization_id"]),
        amount=body.get("amount"),
        final=body.get("final", False),
        merchant_reference=body.get("merchant_reference"),
        metadata=body.get("metadata"),
        simulate=call.headers.get(_SIMULATE),
    )


def _answer(outcome: Outcome) -> OperationResult:
    return OperationResult(201, render_transaction(outcome.entry), _REPLAYED if outcome.replayed else {})
