"""An account's clock once more, on the deployed sandbox."""

from typing import Final

import pytest

from tests.e2e import test_clock as embedded
from tests.e2e.infra.client import Client, accepted
from tests.e2e.infra.homes import once_more
from tests.e2e.infra.receiver import Answer, Receiver
from tests.e2e.infra.server import until_deadline

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("aws")]

NOT_HERE: Final = {
    "test_an_account_s_time_survives_a_restart_and_what_fell_due_meanwhile_is_done": (
        "it restarts the embedded home's process"
    ),
    "test_retries_of_days_reach_the_receiver_in_one_request": (
        "an advance may miss what was written a moment before; here the first attempt is waited for"
    ),
}

globals().update(once_more(embedded, but=NOT_HERE))


def test_retries_of_days_reach_the_receiver_in_one_request(shop: Client, receiver: Receiver) -> None:
    receiver.answer = Answer(500)
    accepted(shop.send("POST", "/v1/webhook-endpoints", json={"url": receiver.url}), 201)
    accepted(shop.authorize(1051), 201)
    for _ in until_deadline("the first attempt is recorded", pause_s=0.25):
        deliveries = accepted(shop.get("/v1/webhook-deliveries"), 200)["data"]
        if deliveries and deliveries[0]["attempt_count"] > 0:
            break
    advance = accepted(shop.send("POST", "/v1/clock/advance", json={"by_seconds": 4 * 24 * 3600}), 200)
    assert len([ran for ran in advance["ran"] if ran["work"] == "webhook_attempt"]) >= 8
    (delivery,) = accepted(shop.get("/v1/webhook-deliveries"), 200)["data"]
    assert (delivery["state"], delivery["attempt_count"]) == ("failed", 10)
