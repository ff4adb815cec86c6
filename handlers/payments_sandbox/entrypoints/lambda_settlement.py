"""The Lambda function behind the settlement's state machine: runs the task that it is told. See handlers/payments_sandbox/workers/settlement.py.

Everything is built when the module is imported, in the phase that Lambda runs at full speed before the first run.
"""

from collections.abc import Callable
from typing import Any

from payments_sandbox.entrypoints.lean_imports import lean_imports

with lean_imports():
    from payments_sandbox.bootstrap import build_settlement
from payments_sandbox.entrypoints.logs import configure_logs
from payments_sandbox.settings import SettlementSettings


def build_handler(settings: SettlementSettings) -> Callable[[Any, Any], dict[str, Any]]:
    """The function that Lambda calls with a state's `{"task": ...}` and its context; answers the next state's input."""
    configure_logs(settings.log_level)
    tasks = build_settlement(settings)
    return lambda event, context: tasks.run(event, context.get_remaining_time_in_millis)


handler = build_handler(SettlementSettings.from_environment())
