"""Verifies signed webhooks: Standard Webhooks 1.0.0, with the standard library only.

It checks that a request was signed with your secret, now, over these exact bytes, and only then parses it.
It refuses to guess: a header that appears twice, a body that a framework has already parsed, and JSON that
two languages would read differently are errors. It does not remember ids: doing an event once is the
receiver's part (see the examples). Start at `Webhook.verify`.
"""

from webhooks_verifier.errors import ERROR_CODES, ErrorCode, WebhookVerificationError
from webhooks_verifier.event import WebhookEvent
from webhooks_verifier.webhook import Headers, Webhook

__all__ = ["ERROR_CODES", "ErrorCode", "Headers", "Webhook", "WebhookEvent", "WebhookVerificationError"]
