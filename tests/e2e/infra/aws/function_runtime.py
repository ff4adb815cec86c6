"""What runs a function: AWS's own runtime client, with nothing else on the path but the function's package. Put beside the
bundle's files by `function_package.py`; its only argument is the folder of the client.

Three things differ from AWS. The package does not lie in /var/task, so variables that name a file there are changed.
Receivers of webhooks are on this machine: every name resolves to 127.0.0.1, and webhooks may be sent to that address. So no
test, and no fuzzing, ever sends anything to the network. And an API key is trusted without a read for one second instead of
five, as the first change of an account's clock or faults waits that long.
"""

import os
import sys

if __name__ == "__main__":
    sys.path[:0] = [os.environ["LAMBDA_TASK_ROOT"], sys.argv[1]]
    for _name, _value in os.environ.items():
        if _value.startswith("/var/task/"):
            os.environ[_name] = os.environ["LAMBDA_TASK_ROOT"] + _value.removeprefix("/var/task")

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

from awslambdaric import bootstrap  # type: ignore[import-untyped]
from awslambdaric.lambda_runtime_client import LambdaRuntimeClient  # type: ignore[import-untyped]

from payments_sandbox.adapters.system import principals
from payments_sandbox.adapters.webhooks import addresses
from payments_sandbox.domain.webhook_urls import is_loopback


async def look_up_here(host: str, port: int, lookup: addresses.Lookup) -> Sequence[str]:
    """In place of `addresses._look_up`."""
    return ["127.0.0.1"]


def allows_here(self: addresses.AddressPolicy, address: IPv4Address | IPv6Address) -> bool:
    """In place of `AddressPolicy.allows`."""
    return is_loopback(address)


class ReportingClient(LambdaRuntimeClient):  # type: ignore[misc]  # awslambdaric has no types
    """Writes the line that Lambda writes to a function's log. The emulator waits 50 ms for a function that says nothing."""

    def wait_next_invocation(self) -> object:
        request = super().wait_next_invocation()
        sys.stderr.write(f"START RequestId: {request.invoke_id} Version: $LATEST\n")
        return request


def main() -> None:
    """Answer invocations until the emulator ends this process."""
    principals.TTL_MS = 1_000
    addresses._look_up = look_up_here
    addresses.AddressPolicy.allows = allows_here  # type: ignore[method-assign]
    bootstrap.run(os.environ["_HANDLER"], ReportingClient(os.environ["AWS_LAMBDA_RUNTIME_API"]))


if __name__ == "__main__":
    main()
