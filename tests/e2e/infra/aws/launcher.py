"""Starts ministack as `python -m ministack` does. Run by the emulator's own interpreter, see `emulator.py`.

Two things are put right. The emulator hands events to functions, and takes their answers, by a small HTTP server that
writes headers and body in two packets: with Nagle's algorithm on, each would wait for the other's acknowledgement, 40 ms at a
time. And AWS authorizes a batch of messages as the single message: the emulator asks for actions that AWS does not know.

Source: Service Authorization Reference, actions of Amazon SNS and Amazon SQS.
"""

# Nothing of this is seen by the tests' own interpreter.
# mypy: disable-error-code="import-not-found"

from socketserver import StreamRequestHandler
from typing import Any

SINGLE = {
    "sns:PublishBatch": "sns:Publish",
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}


def main() -> None:
    """Serve until this process is ended."""
    StreamRequestHandler.disable_nagle_algorithm = True

    from ministack import app
    from ministack.core import iam_actions

    as_called = iam_actions.extract_iam_action

    def as_authorized(*arguments: Any) -> str | None:
        action: str | None = as_called(*arguments)
        return None if action is None else SINGLE.get(action, action)

    iam_actions.extract_iam_action = as_authorized
    app.main()


if __name__ == "__main__":
    main()
