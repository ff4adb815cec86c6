"""What a test needs of a running sandbox, whether it is a local process or the AWS deployment."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import pytest

from tests.e2e.infra.client import Client
from tests.e2e.infra.receiver import Receiver

NewReceiver = Callable[..., Receiver]


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox. new_client: makes a client of its demo account; new_receiver: makes a receiver of webhooks that
    it may send to."""

    url: str
    is_deployed: bool
    new_client: Callable[[], Client]
    new_receiver: NewReceiver


MARKERS: Final = {"local_only": "local", "deployed_only": "deployed"}


def sandboxes_of(marks: Iterable[pytest.Mark]) -> list[str]:
    """The sandboxes that a test with these marks runs on. Raises ValueError for a marker without a reason."""
    found = set()
    for mark in marks:
        if mark.name in MARKERS:
            found.add(MARKERS[mark.name])
            if len(mark.args) != 1 or not str(mark.args[0]).strip():
                raise ValueError(f"{mark.name} needs a reason")
    if len(found) > 1:
        raise ValueError("local_only and deployed_only exclude each other")
    return sorted(found) or ["local", "deployed"]
