"""The program's AWS provider. Which account and region it names does not matter here; its tags are on every resource."""

import json
from typing import Any, Final

from tests.e2e.infra.aws.cloud import Cloud, Created
from tests.e2e.infra.aws.inputs import Inputs

PROVIDER: Final = "pulumi:providers:aws"


def configure_provider(cloud: Cloud, inputs: Inputs) -> Created:
    """Providers get whatever is not text as JSON."""
    tags = parsed(inputs.get("defaultTags", default={}))
    cloud.default_tags = {str(key): str(value) for key, value in tags.get("tags", {}).items()}
    inputs.set_aside("there is one account and one region", "region", "allowedAccountIds", "profile")
    inputs.set_aside("there is nothing to skip", "skipCredentialsValidation", "skipMetadataApiCheck",
                     "skipRegionValidation", "skipRequestingAccountId")  # fmt: skip
    return Created(f"{inputs.name}-id")


def parsed(value: Any) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(value) if isinstance(value, str) else value
    return members
