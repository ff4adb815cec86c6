"""The tests of webhooks once more, on the deployed sandbox: stream, relay, topic, queue, deliver, and a receiver at https."""

from collections.abc import Callable
from typing import Final

import pytest

from tests.e2e import test_webhooks as embedded
from tests.e2e.infra.receiver import Receiver

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("aws")]

NOT_HERE: Final[dict[str, str]] = {}

globals().update(
    {name: test for name, test in vars(embedded).items() if name.startswith("test_") and name not in NOT_HERE}
)


@pytest.fixture(autouse=True)
def receivers_at_https(monkeypatch: pytest.MonkeyPatch, new_receiver: Callable[..., Receiver]) -> None:
    """Some tests make receivers themselves."""
    monkeypatch.setattr(embedded, "Receiver", new_receiver)
