"""`payments-sandbox trigger` against a real sandbox: every event type, and how a failure ends."""

import io
import json

import pytest

from payments_sandbox.entrypoints.api_client import ApiClient
from payments_sandbox.entrypoints.terminal import Terminal
from payments_sandbox.entrypoints.trigger import EVENTS, trigger
from tests.e2e.infra.client import Client, accepted
from tests.e2e.infra.server import Server, run_command

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.local_only(
        "the command runs against a local sandbox; what it sends is tested on both by the other files"
    ),
]


@pytest.fixture
def environment(server: Server, shop: Client) -> dict[str, str]:
    """Where the command finds the sandbox and the account."""
    return {"SANDBOX_URL": server.url, "SANDBOX_API_KEY": shop.api_key or ""}


def test_every_event_type_happens(server: Server, shop: Client) -> None:
    with ApiClient(server.url, shop.api_key or "") as api:
        for event_type in EVENTS:
            out, err = io.StringIO(), io.StringIO()
            assert trigger(event_type, api, Terminal(out, err, as_json=True)) == 0, err.getvalue()
            event_id = json.loads(out.getvalue())["event_id"]
            assert accepted(shop.get(f"/v1/events/{event_id}"), 200)["type"] == event_type


def test_steps_and_event_are_printed_for_people(shop: Client, environment: dict[str, str]) -> None:
    done = run_command(
        *("trigger", "payment.captured", "--set", "amount=1200", "--set", "currency=JPY"),
        *("--set", "card.number=5555555555554444", "--set", "metadata.order=7"),
        environment=environment,
    )
    assert (done.returncode, done.stderr) == (0, "")
    authorize, capture, event = done.stdout.splitlines()
    assert authorize.split()[0] == "authorize"
    assert capture.split()[0] == "capture"
    assert authorize.endswith("1200 JPY  authorized")
    assert capture.endswith("1200 JPY  succeeded")
    event_type, event_id = event.split()
    assert event_type == "payment.captured"
    data = accepted(shop.get(f"/v1/events/{event_id}"), 200)["data"]
    assert (data["amount"], data["currency"], data["card"]["brand"], data["metadata"]) == (
        1200,
        "JPY",
        "mastercard",
        {"order": "7"},
    )


def test_an_existing_authorization_is_refunded_after_it_was_captured(
    shop: Client, environment: dict[str, str]
) -> None:
    authorization = accepted(shop.authorize(2000), 201)["transaction_id"]
    for steps in (["capture", "refund"], ["refund"]):
        done = run_command(
            *("trigger", "payment.refunded", "--on", authorization, "--set", "amount=300", "--json"),
            environment=environment,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert [step["operation"] for step in json.loads(done.stdout)["steps"]] == steps
    assert shop.transaction(authorization)["balance"]["refunded_amount"] == 600


def test_the_api_says_what_is_wrong(environment: dict[str, str]) -> None:
    done = run_command("trigger", "payment.captured", "--set", "amout=7", environment=environment)
    assert done.returncode == 1
    assert done.stderr.startswith("payments-sandbox: error: invalid_request: ")
    assert "(/amout: " in done.stderr
    assert done.stderr.count("\n") == 1
    done = run_command("trigger", "payment.voided", "--on", "auth_none", environment=environment)
    assert done.returncode == 1
    assert "transaction_not_found" in done.stderr


def test_a_wrong_key_and_a_sandbox_that_is_not_there_are_said_in_one_line(server: Server) -> None:
    wrong = {"SANDBOX_URL": server.url, "SANDBOX_API_KEY": "sk_test_wrong"}
    # Port 9 is the discard service's, which nobody runs.
    absent = {"SANDBOX_URL": "http://127.0.0.1:9"}
    for environment, said in ((wrong, "api_key_invalid"), (absent, "connection refused")):
        done = run_command("trigger", "payment.authorized", environment=environment)
        assert done.returncode == 1
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
        assert "sk_test_wrong" not in done.stderr
