"""The Lambda function on the table's stream: announces new entries to the topic. See handlers/payments_sandbox/workers/relay.py.

Everything is built when the module is imported, in the phase that Lambda runs at full speed before the first batch.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from payments_sandbox.entrypoints.lean_imports import lean_imports

with lean_imports():
    from payments_sandbox.bootstrap import build_relay
from payments_sandbox.entrypoints.logs import configure_logs
from payments_sandbox.settings import RelaySettings

if TYPE_CHECKING:
    from payments_sandbox.workers.relay import BatchResponse


def build_handler(settings: RelaySettings) -> "Callable[[Mapping[str, Any], Any], BatchResponse]":
    """The function that Lambda calls with a DynamoDB stream event and its context."""
    configure_logs(settings.log_level)
    relay = build_relay(settings)
    return lambda event, _context: relay(event["Records"])


handler = build_handler(RelaySettings.from_environment())
