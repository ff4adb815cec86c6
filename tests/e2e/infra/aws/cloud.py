"""What a mapping works with: clients of the emulated AWS, and what holds for the whole stack."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config

from tests.e2e.infra.aws.emulator import ACCOUNT_ID, REGION, ROOT_KEY
from tests.e2e.infra.aws.inputs import Inputs


@dataclass(frozen=True, slots=True)
class Created:
    """A resource that is there now. id: as Pulumi knows it; outputs: what is not simply the inputs again."""

    id: str
    outputs: Mapping[str, Any] = field(default_factory=dict)


class Cloud:
    """One account of the emulator at `url`, seen by its root user. Threads may share it.

    default_tags: as the program's provider has them.
    """

    account_id = ACCOUNT_ID
    region = REGION

    def __init__(self, url: str) -> None:
        self.url = url
        self.default_tags: dict[str, str] = {}
        # Untyped: the stubs know a client only by the literal name of its service.
        self._session: Any = boto3.Session(
            aws_access_key_id=ROOT_KEY, aws_secret_access_key=ROOT_KEY, region_name=REGION
        )
        self._clients: dict[str, Any] = {}
        self._making = threading.Lock()

    def client(self, service: str) -> Any:
        """A boto3 client. Clients may be shared between threads, but not made by two of them at once."""
        with self._making:
            if service not in self._clients:
                self._clients[service] = self._session.client(
                    service,
                    endpoint_url=self.url,
                    config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
                )
            return self._clients[service]

    def arn(self, service: str, resource: str, *, region: str | None = None) -> str:
        """The ARN of a resource. region: empty for global services."""
        return f"arn:aws:{service}:{self.region if region is None else region}:{self.account_id}:{resource}"

    def tags(self, inputs: Inputs) -> dict[str, str]:
        """The resource's own tags over the provider's."""
        return {**self.default_tags, **inputs.get("tags", default={})}

    def tag_list(self, inputs: Inputs) -> list[dict[str, str]]:
        """The same as most services want them."""
        return [{"Key": key, "Value": value} for key, value in self.tags(inputs).items()]
