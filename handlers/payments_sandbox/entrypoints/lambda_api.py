"""The Lambda function behind API Gateway: the same app, through Mangum.

Everything is built when the module is imported, in the phase that Lambda runs at full speed before the first request.
"""

from contextlib import nullcontext
from typing import Any

from mangum import Mangum
from mangum.adapter import DEFAULT_TEXT_MIME_TYPES

from payments_sandbox.entrypoints.gc_pause import resting_collector
from payments_sandbox.entrypoints.lean_imports import lean_imports
from payments_sandbox.entrypoints.logs import configure_logs
from payments_sandbox.settings import LambdaSettings

TEXT_TYPES = [*DEFAULT_TEXT_MIME_TYPES, "application/problem+json"]
"""What Mangum hands to API Gateway as text; anything else would arrive at the client in base64."""


def build_handler(settings: LambdaSettings) -> Any:
    """The function that Lambda calls with an API Gateway proxy event."""
    configure_logs(settings.log_level)
    # Reading the contract as YAML, without a build, takes some of what a prepared one leaves out.
    with lean_imports() if settings.contract else nullcontext():
        from payments_sandbox.bootstrap import build_lambda

        # Within it too, because it imports boto3.
        app = build_lambda(settings)
    # Without lifespan: Mangum would start and stop the app at every invocation.
    return Mangum(app, lifespan="off", text_mime_types=TEXT_TYPES)  # type: ignore[arg-type]


with resting_collector():
    handler = build_handler(LambdaSettings.from_environment())
