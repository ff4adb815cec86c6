"""A listener in a process of its own, and a receiver that keeps what it is sent."""

import importlib
import json
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.e2e.infra.server import COMMAND, DEADLINE_S, LOOPBACK, ROOT, spawn, until_deadline

sys.path.insert(0, str(ROOT / "webhooks-verifier" / "python" / "src"))
Webhook: Any = importlib.import_module("webhooks_verifier").Webhook

Json = dict[str, Any]


class Listening:
    """`payments-sandbox listen --json` in a process of its own; it has started when this returns."""

    def __init__(self, folder: Path, url: str, *arguments: str, api_key: str | None = None) -> None:
        self._output = folder / "listen.stdout"
        self._errors = folder / "listen.stderr"
        environment = {"SANDBOX_URL": url, **({"SANDBOX_API_KEY": api_key} if api_key else {})}
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            command = [*COMMAND, "listen", "--json", *arguments]
            self._process = spawn(command, environment, stdout=output, stderr=errors)
        for _ in until_deadline("the listener has started"):
            assert self._process.poll() is None, self.errors
            if self.lines:
                break
        self.secret = self.lines[0]["signing_secret"]

    @property
    def lines(self) -> list[Json]:
        """What it printed so far."""
        *whole, _ = self._output.read_text("utf-8").split("\n")
        return [json.loads(line) for line in whole]

    @property
    def events(self) -> list[Json]:
        return [line for line in self.lines if line["kind"] == "event"]

    @property
    def errors(self) -> str:
        return self._errors.read_text("utf-8")

    def wait_for(self, count: int) -> list[Json]:
        """The events, once there are so many."""
        for _ in until_deadline(f"the listener has told of {count} events"):
            if len(self.events) >= count:
                break
        return self.events

    def stop(self, signum: signal.Signals = signal.SIGINT) -> int:
        self._process.send_signal(signum)
        return self._process.wait(DEADLINE_S)

    def end(self) -> None:
        if self._process.poll() is None:
            try:
                self.stop(signal.SIGTERM)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class Receiver:
    """Keeps every request. answers: a status, or an event to wait for first, for each request; then 204."""

    def __init__(self, *answers: int | threading.Event, port: int = 0) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        receiver, left = self, list(answers)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.requests.append((self.path, headers, body))
                answer = left.pop(0) if left else 204
                if isinstance(answer, threading.Event):
                    answer.wait(DEADLINE_S)
                    answer = 200
                self.send_response(answer)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((LOOPBACK, port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{LOOPBACK}:{self._server.server_port}/hooks?from=test"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def verified(self, secret: str) -> list[Any]:
        """The events that were received, each authentic."""
        webhook = Webhook(secret)
        return [webhook.verify(body, headers) for _, headers, body in self.requests]
