"""The Lambda function on the queue: delivers webhooks. See handlers/payments_sandbox/workers/deliver.py.

Everything is built when the module is imported, in the phase that Lambda runs at full speed before the first batch. Each
batch has an event loop of its own, so that nothing of one is left over in the next. That is well here, and would not be in
the API's function: Mangum needs the loop that its process began with.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from payments_sandbox.entrypoints.lean_imports import lean_imports

with lean_imports():
    from payments_sandbox.bootstrap import build_deliver
from payments_sandbox.entrypoints.logs import configure_logs
from payments_sandbox.settings import DeliverSettings

if TYPE_CHECKING:
    from payments_sandbox.workers.relay import BatchResponse


def build_handler(settings: DeliverSettings) -> "Callable[[Mapping[str, Any], Any], BatchResponse]":
    """The function that Lambda calls with an SQS event and its context."""
    configure_logs(settings.log_level)
    deliver = build_deliver(settings)
    return lambda event, context: asyncio.run(deliver(event["Records"], context.get_remaining_time_in_millis))


handler = build_handler(DeliverSettings.from_environment())
