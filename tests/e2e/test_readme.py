"""The README keeps its word: its commands are run as they stand there, but for the address, and its tables are tried.

What is taken out of the README by its form (code blocks with curl, rows of the trigger table) has to be found: a test
that finds nothing fails.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.infra.client import Client, Json, accepted, authorize_body, card, refused
from tests.e2e.infra.server import DEADLINE_S, ROOT, Server

pytestmark = [pytest.mark.e2e, pytest.mark.local_only("the README starts a local sandbox")]

README = (ROOT / "README.md").read_text()
ADDRESS = "http://127.0.0.1:8080"
CURL_BLOCKS = [block for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if "curl" in block]


@pytest.fixture(scope="module")
def payment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, list[Json]]]:
    """A sandbox that nobody used before, and what the README's commands printed against it."""
    assert shutil.which("curl"), "the README's commands need curl"
    folder = tmp_path_factory.mktemp("readme")
    with Server(folder / "ledger.db") as server, Client(server.url) as client:
        printed = [answer for block in CURL_BLOCKS for answer in run_block(block, server.url, folder)]
        yield client, printed


def run_block(block: str, url: str, folder: Path) -> list[Json]:
    """Run a block of shell commands; answers the JSON documents that it printed."""
    assert ADDRESS in block
    script = block.replace(ADDRESS, url).replace("/tmp/", f"{folder}/")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    return list(documents(done.stdout))


def documents(text: str) -> Iterator[Json]:
    """The JSON documents that stand one behind the other."""
    decoder = json.JSONDecoder()
    at = 0
    while at < len(text):
        document, at = decoder.raw_decode(text, at)
        yield document
        at += len(text[at:]) - len(text[at:].lstrip())


def test_the_commands_make_a_payment_capture_and_refund(payment: tuple[Client, list[Json]]) -> None:
    _, (authorization, capture, refund, advance) = payment
    assert (authorization["status"], authorization["amount"]) == ("authorized", 1051)
    assert (capture["status"], capture["amount"], capture["final"]) == ("succeeded", 1000, True)
    assert (refund["status"], refund["amount"]) == ("succeeded", 200)
    assert refund["balance"]["refundable_amount"] == 800
    assert (advance["complete"], advance["ran_count"]) == (True, 1)
    assert advance["ran"][0]["work"] == "settlement"


def test_sent_again_the_first_command_gets_the_first_answer(payment: tuple[Client, list[Json]]) -> None:
    client, printed = payment
    body = authorize_body(1051, card=card(exp_year=2030, cvc="123"))
    again = client.post("/v1/authorize", body, key="order-1001")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert accepted(again, 201) == printed[0]
    changed = client.post("/v1/authorize", {**body, "amount": 1052}, key="order-1001")
    assert [e["pointer"] for e in refused(changed, 422, "idempotency_key_reused")["errors"]] == ["/amount"]


def test_the_family_is_shown_with_its_postings(payment: tuple[Client, list[Json]]) -> None:
    client, printed = payment
    family = client.transaction(printed[0]["transaction_id"])["family"]
    assert [member["type"] for member in family] == ["authorization", "capture", "refund"]
    assert all(member["postings"] for member in family)


def trigger_rows() -> dict[str, tuple[str, str]]:
    """The trigger table: trigger to example and promise."""
    section = README.partition("## Any outcome, on demand")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| `(.+?)`.*? \| (.+?) \|$", section, re.MULTILINE)
    return {trigger: (example, promise) for trigger, example, promise in rows}


def test_the_trigger_table_says_what_happens(demo: Client) -> None:
    rows = trigger_rows()
    assert list(rows) == ["request header", "cardholder name", "card number", "amount"]

    header, value = rows["request header"][0].split(": ")
    by_header = demo.send(
        "POST",
        "/v1/authorize",
        json=authorize_body(),
        headers={"X-Idempotency-Key": "readme-header", header: value},
    )
    name = json.loads(f"{{{rows['cardholder name'][0]}}}")
    answers = {
        "request header": by_header,
        "cardholder name": demo.authorize(card=card(**name, cvc="123")),
        "card number": demo.authorize(card=card(rows["card number"][0])),
        "amount": demo.authorize(int(rows["amount"][0])),
    }
    for trigger, response in answers.items():
        answer = accepted(response, 201)
        promise = rows[trigger][1]
        if declined := re.match(r"declined with (\d\d)", promise):
            assert answer["status"] == "declined"
            assert answer["decline"]["response_code"] == declined[1]
        else:
            assert promise == "approved, the CVC does not match"
            assert (answer["status"], answer["checks"]["cvc_result"]) == ("authorized", "N")
        assert answer["simulation"]["trigger"] == trigger.replace(" ", "_")


def test_the_rows_stand_in_the_order_of_precedence(demo: Client) -> None:
    precedence = accepted(demo.get("/v1/test-cards"), 200)["precedence"]
    assert [trigger.replace(" ", "_") for trigger in trigger_rows()] == precedence


def test_every_path_in_the_text_is_one_of_the_sandbox(demo: Client) -> None:
    paths = set(re.findall(r"`(?:GET |POST )?(/v1/[a-z/-]+)", README))
    assert paths
    for path in paths:
        # 405 for those that take another method; but never 404.
        assert (
            demo.send("OPTIONS", path.rstrip("/") + ("/x" if path.endswith("/") else "")).status_code == 204
        ), path
