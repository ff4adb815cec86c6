"""Where a stack is: what names and ARNs are made of, when they have to be known before the resource is.

An ARN that is written down instead of taken from a resource orders nothing: it is for what would otherwise wait in a circle.
"""

from dataclasses import dataclass

PARTITION = "aws"


@dataclass(frozen=True, slots=True)
class Place:
    """prefix: what the names of all resources begin with."""

    account_id: str
    region: str
    prefix: str

    def name(self, part: str) -> str:
        """The physical name of a part."""
        return f"{self.prefix}-{part}"

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource of this account and region."""
        return f"arn:{PARTITION}:{service}:{self.region}:{self.account_id}:{resource}"
