"""Every way in which the sandbox says no, as one tree.

    SandboxError
    ├── InvalidRequest                     the request breaks the contract; names each field
    │   ├── IdempotencyKeyMissing
    │   └── InvalidSimulation              a trigger that the grammar does not know
    ├── NotAuthenticated
    │   ├── ApiKeyMissing
    │   └── ApiKeyInvalid
    ├── NotFound                           also what another account's id looks like
    │   ├── TransactionNotFound
    │   ├── CardNotFound
    │   ├── ApiKeyNotFound
    │   ├── SettlementNotFound, DisputeNotFound, SnapshotNotFound
    │   └── WebhookEndpointNotFound, WebhookDeliveryNotFound, EventNotFound, InboxNotFound
    ├── StateConflict                      the request is well formed, the object's state refuses it
    │   ├── AuthorizationNotCapturable, ...Voidable, ...Refundable, ...Incrementable
    │   ├── AmountExceedsAuthorized, AmountExceedsCaptured, AmountTooLarge
    │   ├── EntryLimitReached
    │   ├── ClockNotAhead
    │   ├── AuthorizationNotDisputable, AmountExceedsDisputable, PaymentDisputed
    │   ├── DisputeNotAnswerable, DisputeNotAcceptable, DisputeNotEscalatable
    │   ├── AuthorizationBusy, AccountBusy lost too many races; the conflicts worth retrying
    │   ├── SettlementInProgress
    │   ├── ApiKeyLimitReached, OwnApiKey
    │   ├── WebhookEndpointLimitReached, InboxLimitReached, WebhookEndpointDisabled
    │   └── SecretRotationInProgress
    ├── IdempotencyKeyReused               one key, two different requests
    ├── RateLimitExceeded
    └── StoreUnavailable

Each class has a stable `code` (the contract's `ProblemCode` enum, compared both ways by a test) and says whether the
same request may succeed later (`retryable`). Nothing here knows HTTP: `handlers/payments_sandbox/http/problems.py` maps codes to statuses
and adds the errors that only HTTP has. Messages never hold a value that the caller sent, so that no card number can
reach a log through one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.domain.value import value_type


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field.

    pointer: where it is. A JSON pointer into the body (`/card/number`, `` for the whole body), or `header:NAME`,
        `query:NAME`, `path:NAME` for a parameter.
    code: what kind of fault it is; part of the public contract.
    detail: one sentence for a person; never holds the value that was sent.
    """

    pointer: str
    code: FieldCode
    detail: str


class SandboxError(Exception):
    """Base of all refusals.

    code: stable identifier, part of the public contract.
    title: short summary of the kind of error, the same for every occurrence.
    retryable: whether the same request can succeed later without being changed.
    """

    code: ClassVar[str]
    title: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """detail: what happened this time; errors: the fields at fault; facts: what the caller needs to go on,
        rendered as members of the problem (for example `capturable_amount`)."""
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.facts = dict(facts or {})


class InvalidRequest(SandboxError):
    """The request breaks the contract; `errors` names each field at fault."""

    code = "invalid_request"
    title = "The request is not valid"


class IdempotencyKeyMissing(InvalidRequest):
    code = "idempotency_key_missing"
    title = "An idempotency key is required"


class InvalidSimulation(InvalidRequest):
    code = "invalid_simulation"
    title = "The simulation instruction is not known"


class NotAuthenticated(SandboxError):
    """Base of the refusals for want of a usable API key."""


class ApiKeyMissing(NotAuthenticated):
    code = "api_key_missing"
    title = "An API key is required"


class ApiKeyInvalid(NotAuthenticated):
    code = "api_key_invalid"
    title = "The API key is not valid"


class NotFound(SandboxError):
    """Base of the refusals for an id that this account does not have."""


class TransactionNotFound(NotFound):
    code = "transaction_not_found"
    title = "No such transaction"


class CardNotFound(NotFound):
    code = "card_not_found"
    title = "No such card"


class ApiKeyNotFound(NotFound):
    code = "api_key_not_found"
    title = "No such API key"


class SettlementNotFound(NotFound):
    code = "settlement_not_found"
    title = "No such settlement"


class WebhookEndpointNotFound(NotFound):
    code = "webhook_endpoint_not_found"
    title = "No such webhook endpoint"


class WebhookDeliveryNotFound(NotFound):
    code = "webhook_delivery_not_found"
    title = "No such webhook delivery"


class EventNotFound(NotFound):
    code = "event_not_found"
    title = "No such event"


class InboxNotFound(NotFound):
    code = "inbox_not_found"
    title = "No such inbox"


class SnapshotNotFound(NotFound):
    code = "snapshot_not_found"
    title = "No such snapshot"


class DisputeNotFound(NotFound):
    code = "dispute_not_found"
    title = "No such dispute"


class StateConflict(SandboxError):
    """Base of the refusals that follow from the state that the object is in."""


class AuthorizationNotCapturable(StateConflict):
    code = "authorization_not_capturable"
    title = "The authorization cannot be captured"


class AuthorizationNotVoidable(StateConflict):
    code = "authorization_not_voidable"
    title = "The authorization cannot be voided"


class AuthorizationNotRefundable(StateConflict):
    code = "authorization_not_refundable"
    title = "The authorization cannot be refunded"


class AuthorizationNotIncrementable(StateConflict):
    code = "authorization_not_incrementable"
    title = "The authorization cannot be incremented"


class AmountExceedsAuthorized(StateConflict):
    code = "amount_exceeds_authorized"
    title = "The amount is more than what is left to capture"


class AmountExceedsCaptured(StateConflict):
    code = "amount_exceeds_captured"
    title = "The amount is more than what is left to refund"


class AmountTooLarge(StateConflict):
    code = "amount_too_large"
    title = "The authorization would exceed the largest amount"


class EntryLimitReached(StateConflict):
    code = "entry_limit_reached"
    title = "The authorization has as many entries as it can hold"


class ClockNotAhead(StateConflict):
    code = "clock_not_ahead"
    title = "The account's clock is past that time"


class AuthorizationNotDisputable(StateConflict):
    code = "authorization_not_disputable"
    title = "The authorization cannot be disputed"


class AmountExceedsDisputable(StateConflict):
    code = "amount_exceeds_disputable"
    title = "The amount is more than what is left to dispute"


class PaymentDisputed(StateConflict):
    code = "payment_disputed"
    title = "The amount has been charged back"


class DisputeNotAnswerable(StateConflict):
    code = "dispute_not_answerable"
    title = "The dispute takes no evidence"


class DisputeNotAcceptable(StateConflict):
    code = "dispute_not_acceptable"
    title = "The dispute cannot be accepted"


class DisputeNotEscalatable(StateConflict):
    code = "dispute_not_escalatable"
    title = "The dispute cannot be escalated"


class AuthorizationBusy(StateConflict):
    code = "authorization_busy"
    title = "Other operations on the authorization got there first"
    retryable = True


class AccountBusy(StateConflict):
    code = "account_busy"
    title = "Other changes to the account got there first"
    retryable = True


class SettlementInProgress(StateConflict):
    code = "settlement_in_progress"
    title = "The settlement is not complete yet"
    retryable = True


class ApiKeyLimitReached(StateConflict):
    code = "api_key_limit_reached"
    title = "The account has as many API keys as it can hold"


class OwnApiKey(StateConflict):
    code = "own_api_key"
    title = "A key cannot revoke itself"


class WebhookEndpointLimitReached(StateConflict):
    code = "webhook_endpoint_limit_reached"
    title = "The account has as many webhook endpoints as it can hold"


class WebhookEndpointDisabled(StateConflict):
    code = "webhook_endpoint_disabled"
    title = "The webhook endpoint is disabled"


class SecretRotationInProgress(StateConflict):
    code = "secret_rotation_in_progress"
    title = "The last rotation's old secret still signs"


class InboxLimitReached(StateConflict):
    code = "inbox_limit_reached"
    title = "The account has as many inboxes as it can hold"


class SnapshotLimitReached(StateConflict):
    code = "snapshot_limit_reached"
    title = "The account has as many snapshots as it can hold"


class SnapshotTooLarge(StateConflict):
    code = "snapshot_too_large"
    title = "The account holds more than a snapshot can"


class IdempotencyKeyReused(SandboxError):
    """The key belongs to a different request. `errors` names the fields that differ; `facts` holds `first_used_at`
    and the `transaction_id` that the key made."""

    code = "idempotency_key_reused"
    title = "The idempotency key was used for another request"


@value_type
class Quota:
    """What a rate limiter knows about one key after one request.

    policy: the plan's name. limit: requests per window. window_s: the window's length in seconds.
    remaining: requests left now. reset_s: seconds, rounded up, until the quota is whole again (or, when refused,
    until one request fits).
    """

    policy: str
    limit: int
    window_s: int
    remaining: int
    reset_s: int
    allowed: bool = field(default=True)


class RateLimitExceeded(SandboxError):
    code = "rate_limit_exceeded"
    title = "The plan's request quota is used up"
    retryable = True

    def __init__(self, quota: Quota) -> None:
        super().__init__(
            f"The plan allows {quota.limit} requests in {quota.window_s} seconds; try again in {quota.reset_s} s.",
            facts={"violated-policies": [quota.policy]},
        )
        self.quota = quota


class StoreUnavailable(SandboxError):
    """The ledger could not be reached or was throttled. Whether the write took place is unknown: repeat the request
    with the same idempotency key."""

    code = "store_unavailable"
    title = "The ledger is not available"
    retryable = True
