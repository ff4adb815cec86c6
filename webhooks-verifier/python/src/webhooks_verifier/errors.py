"""The one error that `Webhook.verify` raises, and its codes.

Codes are stable and the same in the TypeScript library; messages are for people and may change.
No message quotes the request: it is not trusted, and it may be on its way to a log.
"""

from typing import Literal, get_args

ErrorCode = Literal[
    "body_not_raw",
    "missing_header",
    "malformed_header",
    "timestamp_too_old",
    "timestamp_too_new",
    "no_matching_signature",
    "malformed_payload",
]
ERROR_CODES: tuple[ErrorCode, ...] = get_args(ErrorCode)


class WebhookVerificationError(Exception):
    """This request is not a webhook to act upon. Answer 400; `code` says which check failed."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(code, message)
        self.code: ErrorCode = code

    def __str__(self) -> str:
        return f"{self.args[1]} ({self.code})"
