"""The Lambda function that a schedule calls each minute: sends what is due to the queue. See handlers/payments_sandbox/workers/sweep.py.

Everything is built when the module is imported, in the phase that Lambda runs at full speed before the first run.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from payments_sandbox.entrypoints.lean_imports import lean_imports

with lean_imports():
    from payments_sandbox.bootstrap import build_sweep
from payments_sandbox.entrypoints.logs import configure_logs
from payments_sandbox.settings import SweepSettings


def build_handler(settings: SweepSettings) -> Callable[[Any, Any], dict[str, Any]]:
    """The function that Lambda calls with whatever the schedule sends, and its context; answers the counts."""
    configure_logs(settings.log_level)
    sweeper = build_sweep(settings)
    return lambda _event, context: asdict(sweeper.sweep(context.get_remaining_time_in_millis))


handler = build_handler(SweepSettings.from_environment())
