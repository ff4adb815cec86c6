"""The Lambda function behind API Gateway: the same app, through Mangum.

Everything is built when the module is imported, in the phase that Lambda runs at full speed before the first request.
"""

from typing import Any

# isort: off
from handlers.entrypoints import lean_imports  # noqa: F401 - before Connexion, which would import what is left out

# isort: on
from mangum import Mangum
from mangum.adapter import DEFAULT_TEXT_MIME_TYPES

from handlers.bootstrap import build_lambda
from handlers.entrypoints.logs import configure_logs
from handlers.settings import LambdaSettings

TEXT_TYPES = [*DEFAULT_TEXT_MIME_TYPES, "application/problem+json"]
"""What Mangum hands to API Gateway as text; anything else would arrive at the client in base64."""


def build_handler(settings: LambdaSettings) -> Any:
    """The function that Lambda calls with an API Gateway proxy event."""
    configure_logs(settings.log_level)
    # Without lifespan: Mangum would start and stop the app at every invocation.
    return Mangum(build_lambda(settings), lifespan="off", text_mime_types=TEXT_TYPES)


handler = build_handler(LambdaSettings.from_environment())
