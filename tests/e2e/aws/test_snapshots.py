"""Snapshots and seeds once more, on the deployed sandbox."""

from typing import Final

import pytest

from tests.e2e import test_snapshots as embedded
from tests.e2e.infra.homes import once_more

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("aws")]

NOT_HERE: Final = {
    "test_accounts_of_one_seed_answer_alike_here_and_in_another_sandbox": (
        "its receiver is at http, which is refused"
    ),
    "test_a_fork_s_webhooks_are_its_own": (
        "the inbox's URL is the gateway's, which no name server knows here"
    ),
    "test_a_restored_world_survives_kill_9": ("it kills the embedded home's process"),
}

globals().update(once_more(embedded, but=NOT_HERE))
