"""Why an attempt to deliver a webhook had no HTTP answer.

Clients branch on these words, so they are the enum of `error` in the contract's `WebhookAttempt`; a test compares the two
both ways.
"""

from enum import StrEnum


class AttemptError(StrEnum):
    """One member for each reason that the sandbox tells apart."""

    TIMEOUT = "timeout"
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_CLOSED = "connection_closed"
    NAME_NOT_RESOLVED = "name_not_resolved"
    ADDRESS_REFUSED = "address_refused"
    TLS_FAILED = "tls_failed"
    MALFORMED_RESPONSE = "malformed_response"
    CONNECTION_FAILED = "connection_failed"
    DROPPED_BY_CHAOS = "dropped_by_chaos"
    """Nothing was sent: the endpoint's chaos settings dropped the attempt."""
