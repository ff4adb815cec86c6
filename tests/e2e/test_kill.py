"""kill -9 at any moment loses nothing that was acknowledged, and leaves nothing half done.

Several threads make payments while the process is killed; a new process on the same file then has to know every answer
that was given. A request whose answer never came may or may not have been carried out: repeated with its key it is
answered, and has moved money once.
"""

import json
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import httpx
import pytest

from tests.e2e.infra.client import Client, Json, accepted, authorize_body, new_key
from tests.e2e.infra.server import COMMAND, Server, run_command, until_deadline

pytestmark = [pytest.mark.e2e, pytest.mark.local_only("it kills the server process")]

ROUNDS = 3
THREADS = 4
KINDS = ("authorization", "capture", "refund", "void", "increment")


@dataclass(frozen=True, slots=True)
class Request:
    """What was sent. body: as JSON text, so that nothing changes it afterwards."""

    path: str
    key: str
    body: str

    def send(self, client: Client) -> httpx.Response:
        return client.post(self.path, json.loads(self.body), key=self.key)


@dataclass(slots=True)
class Journal:
    """What the threads sent, and what they were answered; `unanswered` is what was under way when the server died."""

    unanswered: set[Request] = field(default_factory=set)
    answered: dict[Request, Json] = field(default_factory=dict)
    refused: list[httpx.Response] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def post(self, client: Client, path: str, body: Json) -> Json:
        request = Request(path, new_key(), json.dumps(body))
        with self._lock:
            self.unanswered.add(request)
        response = request.send(client)
        with self._lock:
            self.unanswered.remove(request)
            if response.status_code == 201:
                self.answered[request] = response.json()
            else:
                self.refused.append(response)
        return accepted(response, 201)


def pay_until_the_server_dies(client: Client, journal: Journal) -> None:
    """Authorize, capture in two parts, refund a part, again and again."""
    try:
        while True:
            authorized = journal.post(client, "/v1/authorize", authorize_body(1000))
            named = {"authorization_id": authorized["transaction_id"]}
            journal.post(client, "/v1/capture", {**named, "amount": 600})
            journal.post(client, "/v1/refund", {**named, "amount": 250})
            journal.post(client, "/v1/capture", {**named, "amount": 100, "final": True})
    except httpx.TransportError:
        return


def check_answers(client: Client, journal: Journal) -> None:
    """Every answer that was given is given again, word for word."""
    for request, answer in journal.answered.items():
        response = request.send(client)
        assert accepted(response, 201) == answer
        assert response.headers["idempotent-replayed"] == "true"


def settle_unanswered(client: Client, journal: Journal) -> None:
    """Repeat what was under way: it is answered, and from then on with that answer."""
    for request in sorted(journal.unanswered, key=lambda request: request.key):
        journal.answered[request] = accepted(request.send(client), 201)
    journal.unanswered.clear()


def check_families(client: Client, journal: Journal) -> None:
    """Each authorization's totals are those of its entries, each of which was asked for and is there once."""
    answers = {answer["transaction_id"]: answer for answer in journal.answered.values()}
    assert len(answers) == len(journal.answered)
    for authorization_id in [name for name, answer in answers.items() if answer["type"] == "authorization"]:
        shown = client.transaction(authorization_id)
        family = shown["family"]
        expected = {
            name
            for name, answer in answers.items()
            if answer.get("authorization_id", name) == authorization_id
        }
        assert Counter(member["transaction_id"] for member in family) == Counter(expected)
        check_totals(shown["balance"], family)


def check_totals(balance: Json, family: list[Json]) -> None:
    moved = {kind: sum(member["amount"] for member in family if member["type"] == kind) for kind in KINDS}
    assert balance["authorized_amount"] == moved["authorization"] == 1000
    assert balance["captured_amount"] == moved["capture"]
    assert balance["refunded_amount"] == moved["refund"]
    held = 1000 - balance["captured_amount"] - balance["released_amount"]
    assert balance["capturable_amount"] == held
    accounts: Counter[str] = Counter()
    for member in family:
        assert sum(posting["amount"] for posting in member["postings"]) == 0
        for posting in member["postings"]:
            accounts[posting["ledger_account"]] += posting["amount"]
    assert accounts["cardholder_held"] == held
    assert accounts["merchant_receivable"] == balance["captured_amount"] - balance["refunded_amount"]


def stored_entries(server: Server) -> Iterator[dict[str, Any]]:
    """The entries in the ledger file of a server that is stopped."""
    with closing(sqlite3.connect(server.db)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        marks = ", ".join("?" * len(KINDS))
        for name, kind in connection.execute(f"SELECT id, kind FROM records WHERE kind IN ({marks})", KINDS):
            yield {"id": name, "kind": kind}


def test_what_was_acknowledged_survives_kill_9_and_nothing_is_done_twice(own_server: Server) -> None:
    chance = random.Random(7391)
    journals: list[Journal] = []
    own_server.start()
    for _ in range(ROUNDS):
        journal = Journal()
        enough = chance.randint(20, 80)
        with Client(own_server.url, checked=False) as client, ThreadPoolExecutor(THREADS) as pool:
            threads = [pool.submit(pay_until_the_server_dies, client, journal) for _ in range(THREADS)]
            for _ in until_deadline("there is load", pause_s=0.001):
                if len(journal.answered) >= enough or any(thread.done() for thread in threads):
                    break
            own_server.kill()
            for thread in threads:
                thread.result()
        assert journal.refused == []
        assert len(journal.answered) >= enough
        journals.append(journal)

        own_server.start()
        with Client(own_server.url) as client:
            check_answers(client, journal)
            settle_unanswered(client, journal)
            check_families(client, journal)
    with Client(own_server.url, checked=False) as client:
        for journal in journals:
            check_answers(client, journal)
    assert own_server.stop() == 0
    known = {answer["transaction_id"] for journal in journals for answer in journal.answered.values()}
    assert Counter(entry["id"] for entry in stored_entries(own_server)) == Counter(known)


def test_a_ledger_is_not_opened_without_its_key(own_server: Server) -> None:
    with own_server, Client(own_server.url) as client:
        accepted(client.authorize(1000), 201)
        own_server.kill()
        key = own_server.key_file.read_bytes()
        own_server.key_file.unlink()
        refusal = run_command("serve", "--port", "0", "--db", str(own_server.db), command=COMMAND)
        assert refusal.returncode == 1
        assert len(refusal.stderr.splitlines()) == 1
        assert f"{own_server.db}.key" in refusal.stderr
        assert "--reset" in refusal.stderr
        assert refusal.stdout == ""

        own_server.key_file.write_bytes(key)
        own_server.start()
        with Client(own_server.url) as again:
            assert len(accepted(again.get("/v1/transactions"), 200)["data"]) == 1
