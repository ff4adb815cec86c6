"""The state machine of an authorization: what may be captured, refunded, voided or added, and what that leaves.

Invariant, under any order of operations: authorized >= captured + released, captured >= refunded + disputed, all >= 0.

    declined                              (nothing was ever held)
    authorized --increment--> authorized
    authorized --capture----> partially_captured --capture--> captured
    authorized --void-------> voided       partially_captured --void, final capture--> captured
    authorized --7 days-----> expired      partially_captured --7 days--> captured
    captured money --refund-> the status stays; `refunded` grows, and shrinks again when a refund fails
    captured money --chargeback-> the status stays; `disputed` grows, and shrinks again when it is reversed

Nothing here reads a clock or a store: functions take the authorization and the time, and answer the new totals or raise
the conflict.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from payments_sandbox.domain.errors import (
    AmountExceedsAuthorized,
    AmountExceedsCaptured,
    AmountExceedsDisputable,
    AmountTooLarge,
    AuthorizationNotCapturable,
    AuthorizationNotDisputable,
    AuthorizationNotIncrementable,
    AuthorizationNotRefundable,
    AuthorizationNotVoidable,
    EntryLimitReached,
    PaymentDisputed,
    StateConflict,
)
from payments_sandbox.domain.money import AMOUNT_MAX, format_amount
from payments_sandbox.domain.timestamps import DAY_MS
from payments_sandbox.domain.value import value_type

VALIDITY_MS: Final = 7 * DAY_MS
"""How long a card-not-present authorization can be captured. Source: Visa and Mastercard processing rules."""

ENTRIES_MAX: Final = 99
"""From how many entries on clients can add no more to an authorization: with it, as many as one read of the ledger
fetches. What time and the network add is not held up by that."""


DISPUTES_MAX: Final = 20
"""How often an authorization can be disputed, inquiries included: with all that a refund then closes, one atomic write."""


class AuthorizationStatus(StrEnum):
    """Where an authorization stands."""

    DECLINED = "declined"
    AUTHORIZED = "authorized"
    PARTIALLY_CAPTURED = "partially_captured"
    CAPTURED = "captured"
    VOIDED = "voided"
    EXPIRED = "expired"


@value_type
class Totals:
    """Running totals in minor units. released: held once, given back uncaptured by a void, a final capture or
    an expiry. disputed: charged back, and not given back by a reversal."""

    authorized: int = 0
    captured: int = 0
    refunded: int = 0
    released: int = 0
    disputed: int = 0

    @property
    def held(self) -> int:
        """What the issuer still holds."""
        return self.authorized - self.captured - self.released

    @property
    def refundable(self) -> int:
        """What can still be refunded; and disputed, which takes it just the same."""
        return self.captured - self.refunded - self.disputed


@dataclass(frozen=True, slots=True)
class Authorization:
    """As much of an authorization as decisions need. expires_at: milliseconds since the epoch. expired: what was held
    then has been given back."""

    currency: str
    approved: bool
    expires_at: int
    totals: Totals
    entry_count: int = 0
    expired: bool = False
    dispute_count: int = 0

    def lapsed(self, now_ms: int) -> bool:
        """Whether its validity has ended; what is held then can no longer be captured."""
        return now_ms >= self.expires_at

    def capturable(self, now_ms: int) -> int:
        """What can be captured now."""
        return 0 if self.lapsed(now_ms) else self.totals.held

    def status(self, now_ms: int) -> AuthorizationStatus:
        """The status at this time."""
        if not self.approved:
            return AuthorizationStatus.DECLINED
        if self.totals.captured:
            return (
                AuthorizationStatus.PARTIALLY_CAPTURED
                if self.capturable(now_ms)
                else AuthorizationStatus.CAPTURED
            )
        if self.expired:
            return AuthorizationStatus.EXPIRED
        if not self.totals.held:
            return AuthorizationStatus.VOIDED
        return AuthorizationStatus.EXPIRED if self.lapsed(now_ms) else AuthorizationStatus.AUTHORIZED


@dataclass(frozen=True, slots=True)
class Movement:
    """What an operation does. amount: what it moves; released: what it gives back besides; totals: what it leaves."""

    amount: int
    totals: Totals
    released: int = 0


def plan_capture(authorization: Authorization, amount: int | None, *, final: bool, now_ms: int) -> Movement:
    """Capture `amount`, or all that is left; a final capture releases the rest.

    Raises, by precedence: AuthorizationNotCapturable (declined, voided, expired, wholly captured), EntryLimitReached,
    AmountExceedsAuthorized.
    """
    capturable = authorization.capturable(now_ms)
    _require(authorization, capturable > 0, AuthorizationNotCapturable, "captured", now_ms)
    if amount is None:
        amount = capturable
    if amount > capturable:
        left = format_amount(capturable, authorization.currency)
        raise AmountExceedsAuthorized(
            f"At most {left} can still be captured.", facts={"capturable_amount": capturable}
        )
    released = capturable - amount if final else 0
    totals = authorization.totals
    return Movement(
        amount,
        replace(totals, captured=totals.captured + amount, released=totals.released + released),
        released,
    )


def plan_refund(authorization: Authorization, amount: int | None, *, now_ms: int) -> Movement:
    """Refund `amount` of what was captured, or all that is left of it.

    Raises, by precedence: PaymentDisputed (all that is left was charged back), AuthorizationNotRefundable (nothing
    captured, or all refunded), EntryLimitReached, PaymentDisputed (so much is left only with what was charged back),
    AmountExceedsCaptured.
    """
    totals = authorization.totals
    refundable = totals.refundable
    if totals.disputed and not refundable:
        raise _disputed(authorization)
    _require(authorization, refundable > 0, AuthorizationNotRefundable, "refunded", now_ms)
    if amount is None:
        amount = refundable
    if refundable < amount <= refundable + totals.disputed:
        raise _disputed(authorization)
    if amount > refundable:
        left = format_amount(refundable, authorization.currency)
        raise AmountExceedsCaptured(
            f"At most {left} can still be refunded.", facts={"refundable_amount": refundable}
        )
    return Movement(amount, replace(totals, refunded=totals.refunded + amount))


def plan_refund_failure(authorization: Authorization, amount: int) -> Movement:
    """Take back a refund that failed."""
    totals = authorization.totals
    return Movement(amount, replace(totals, refunded=totals.refunded - amount))


def plan_dispute(authorization: Authorization, amount: int | None, *, now_ms: int) -> int:
    """What a new dispute, or inquiry, is about: `amount`, or all that was captured and is left.

    Raises, by precedence: AuthorizationNotDisputable (nothing captured, or all refunded or charged back),
    EntryLimitReached, AmountExceedsDisputable.
    """
    disputable = authorization.totals.refundable
    _require(authorization, disputable > 0, AuthorizationNotDisputable, "disputed", now_ms)
    if authorization.dispute_count >= DISPUTES_MAX:
        raise EntryLimitReached(f"An authorization can be disputed at most {DISPUTES_MAX} times.")
    if amount is None:
        return disputable
    if amount > disputable:
        left = format_amount(disputable, authorization.currency)
        raise AmountExceedsDisputable(
            f"At most {left} can be disputed.", facts={"disputable_amount": disputable}
        )
    return amount


def plan_chargeback(authorization: Authorization, amount: int) -> Movement | None:
    """Charge back `amount`, or what is left of it; None when nothing is."""
    totals = authorization.totals
    amount = min(amount, totals.refundable)
    return Movement(amount, replace(totals, disputed=totals.disputed + amount)) if amount else None


def plan_chargeback_reversal(authorization: Authorization, amount: int) -> Movement:
    """Give back what was charged back."""
    totals = authorization.totals
    return Movement(amount, replace(totals, disputed=totals.disputed - amount))


def plan_void(authorization: Authorization, *, now_ms: int) -> Movement:
    """Give back all that is still held.

    Raises, by precedence: AuthorizationNotVoidable (declined, voided, expired, wholly captured), EntryLimitReached.
    """
    held = authorization.capturable(now_ms)
    _require(authorization, held > 0, AuthorizationNotVoidable, "voided", now_ms)
    totals = authorization.totals
    return Movement(held, replace(totals, released=totals.released + held), held)


def plan_expiry(authorization: Authorization, *, now_ms: int) -> Movement | None:
    """Give back all that is held, as the validity has ended; None when it has not, or nothing is held."""
    held = authorization.totals.held
    if not held or not authorization.lapsed(now_ms):
        return None
    totals = authorization.totals
    return Movement(held, replace(totals, released=totals.released + held), held)


def plan_increment(authorization: Authorization, amount: int, *, now_ms: int) -> Movement:
    """Hold `amount` more. The validity does not start anew.

    Raises, by precedence: AuthorizationNotIncrementable (nothing is held any more), EntryLimitReached, AmountTooLarge.
    """
    held = authorization.capturable(now_ms)
    _require(authorization, held > 0, AuthorizationNotIncrementable, "incremented", now_ms)
    totals = authorization.totals
    if totals.authorized + amount > AMOUNT_MAX:
        most = AMOUNT_MAX - totals.authorized
        raise AmountTooLarge(
            f"At most {format_amount(most, authorization.currency)} can be added.",
            facts={"incrementable_amount": most},
        )
    return Movement(amount, replace(totals, authorized=totals.authorized + amount))


def _disputed(authorization: Authorization) -> PaymentDisputed:
    totals = authorization.totals
    taken = format_amount(totals.disputed, authorization.currency)
    return PaymentDisputed(
        f"{taken} of the payment have been charged back, which refunds them already.",
        facts={"refundable_amount": totals.refundable, "disputed_amount": totals.disputed},
    )


def _require(
    authorization: Authorization, possible: bool, error: type[StateConflict], verb: str, now_ms: int
) -> None:
    """Refuse what the state forbids, and say what the state is."""
    if not possible:
        status = authorization.status(now_ms)
        raise error(
            f"The authorization is {status.replace('_', ' ')}; nothing is left to be {verb}.",
            facts={"authorization_status": status.value},
        )
    if authorization.entry_count >= ENTRIES_MAX:
        raise EntryLimitReached(
            f"An authorization holds at most {ENTRIES_MAX} captures, refunds, voids and increments."
        )
