"""An account's clock once more, on the deployed sandbox."""

from collections.abc import Callable
from typing import Final

import pytest

from tests.e2e import test_clock as embedded
from tests.e2e.infra.homes import once_more
from tests.e2e.infra.receiver import Receiver

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("aws")]

NOT_HERE: Final = {
    "test_an_account_s_time_survives_a_restart_and_what_fell_due_meanwhile_is_done": (
        "it restarts the embedded home's process"
    ),
}

globals().update(once_more(embedded, but=NOT_HERE))


@pytest.fixture(autouse=True)
def receivers_at_https(monkeypatch: pytest.MonkeyPatch, new_receiver: Callable[..., Receiver]) -> None:
    """Some tests make receivers themselves."""
    monkeypatch.setattr(embedded, "Receiver", new_receiver)
