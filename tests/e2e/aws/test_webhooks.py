"""The tests of webhooks once more, through stream, relay, topic, queue and deliver to receivers at https.

Some wait for what the sweeper finds each minute. What is left out here waits for little else, or is the embedded home's.
"""

from collections.abc import Callable
from typing import Final

import pytest

from tests.e2e import test_webhooks as embedded
from tests.e2e.infra.homes import once_more
from tests.e2e.infra.receiver import Receiver

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("aws")]

NOT_HERE: Final = {
    "test_a_receiver_that_is_down_is_recorded_as_such": "its receiver is at http, which is refused",
    "test_a_secret_is_shown_once_and_is_nowhere_in_the_ledger_or_the_logs": "it reads the embedded home's files",
    "test_an_inbox_keeps_what_arrives_with_its_verdict": (
        "the inbox's URL is the gateway's, which no name server knows here"
    ),
    "test_a_delivery_and_all_failures_since_can_be_redelivered": "it waits a minute for the sweeper",
}

globals().update(once_more(embedded, but=NOT_HERE))


@pytest.fixture(autouse=True)
def receivers_at_https(monkeypatch: pytest.MonkeyPatch, new_receiver: Callable[..., Receiver]) -> None:
    """Some tests make receivers themselves."""
    monkeypatch.setattr(embedded, "Receiver", new_receiver)
