"""The FastAPI and Flask receivers of examples/, each on a real server: good and bad events over HTTP."""

import http.client
import json
import runpy
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from werkzeug.serving import make_server

from webhooks_verifier import Webhook

EXAMPLES = Path(__file__).parents[2] / "examples"
NEW_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
BODY = b'{ "type": "payment.captured", "timestamp": "2023-01-19T00:13:51Z", "data": {"id": "cap_1"} }'


@dataclass(frozen=True)
class Receiver:
    port: int
    inbox: Path

    def post(self, body: bytes, headers: dict[str, str], *more_headers: tuple[str, str]) -> tuple[int, str]:
        """Return the status, and the error's code if there is one."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.putrequest("POST", "/webhooks")
            for name, value in (*headers.items(), *more_headers):
                connection.putheader(name, value)
            connection.putheader("content-type", "application/json")
            connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            content = response.read()
        return response.status, json.loads(content)["code"] if content else ""

    def stored_ids(self) -> list[str]:
        if not self.inbox.exists():
            return []
        with closing(sqlite3.connect(self.inbox)) as inbox:
            return [row[0] for row in inbox.execute("SELECT id FROM events")]


@contextmanager
def serve_fastapi(app: Any) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


@contextmanager
def serve_flask(app: Any) -> Iterator[int]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(
    params=[("fastapi_receiver.py", serve_fastapi), ("flask_receiver.py", serve_flask)],
    ids=["fastapi", "flask"],
)
def receiver(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Receiver]:
    file_name, serve = request.param
    monkeypatch.setenv("WEBHOOK_SECRETS", f"{NEW_SECRET} {OLD_SECRET}")
    monkeypatch.setenv("INBOX", str(tmp_path / "inbox.sqlite"))
    app = runpy.run_path(str(EXAMPLES / file_name))["create_app"]()
    with serve(app) as port:
        yield Receiver(port, tmp_path / "inbox.sqlite")


def signed(event_id: str = "evt_1", *, secret: str = NEW_SECRET, age_seconds: int = 0) -> dict[str, str]:
    return Webhook(secret).sign(event_id, int(time.time()) - age_seconds, BODY)


def test_a_good_event_is_stored_once_however_often_it_is_delivered(receiver: Receiver) -> None:
    for age_seconds in (2, 1, 0):  # each attempt has a timestamp and a signature of its own
        assert receiver.post(BODY, signed("evt_1", age_seconds=age_seconds)) == (204, "")
    assert receiver.post(BODY, signed("evt_2")) == (204, "")
    assert receiver.stored_ids() == ["evt_1", "evt_2"]


def test_an_event_signed_with_either_secret_is_taken_while_rotating(receiver: Receiver) -> None:
    assert receiver.post(BODY, signed("evt_1", secret=OLD_SECRET)) == (204, "")
    assert receiver.post(BODY, signed("evt_2", secret=NEW_SECRET)) == (204, "")


def test_a_bad_event_is_answered_with_400_and_not_stored(receiver: Receiver) -> None:
    without_id = {name: value for name, value in signed().items() if name != "webhook-id"}
    assert receiver.post(BODY, without_id) == (400, "missing_header")
    assert receiver.post(BODY, signed(age_seconds=400)) == (400, "timestamp_too_old")
    assert receiver.post(BODY.replace(b"cap_1", b"cap_2"), signed()) == (400, "no_matching_signature")
    assert receiver.post(BODY.replace(b" ", b""), signed()) == (400, "no_matching_signature")
    assert receiver.post(b"\xff\x00", signed()) == (400, "no_matching_signature")
    assert receiver.post(b"", signed()) == (400, "no_matching_signature")
    status, code = receiver.post(BODY, signed(), ("Webhook-Id", "evt_1"))
    # uvicorn hands both headers on, werkzeug joins them to an id that was never signed.
    assert (status, code) in {(400, "malformed_header"), (400, "no_matching_signature")}
    assert receiver.stored_ids() == []
