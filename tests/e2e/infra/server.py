"""Sandboxes in processes of their own: started on a ledger file, stopped, killed, started again.

Each listens on a free port of 127.0.0.1 and is ended by whoever started it, by its process id. Waits end when what is
waited for happens; the deadlines are only there so that a broken sandbox fails a test instead of hanging it.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

ROOT = Path(__file__).resolve().parents[3]
LOOPBACK = "127.0.0.1"
DEADLINE_S = 120.0
COMMAND = (sys.executable, "-m", "payments_sandbox.entrypoints.cli")

_API_LINE = re.compile(r"^  API +(http://\S+)/v1$", re.MULTILINE)


class ServerFailed(Exception):
    """The process ended, or did not become ready; with what it said on standard error."""


class Server:
    """A sandbox on the ledger file `db`. As a context manager it is started, and ended whatever happens.

    stdout, stderr: files beside the ledger that collect what all processes of this server wrote.
    """

    def __init__(
        self,
        db: Path,
        *,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = COMMAND,
        name: str = "server",
        cwd: Path = ROOT,
    ) -> None:
        self.db = db
        self.key_file = db.with_name(db.name + ".key")
        self.wal = db.with_name(db.name + "-wal")
        self.stdout = db.with_name(f"{name}.stdout.log")
        self.stderr = db.with_name(f"{name}.stderr.log")
        self.url = ""
        self._command = [*command, "serve", "--port", "0", "--db", str(db), *arguments]
        self._environment = environment or {}
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running process."""
        assert self._process is not None, "the server is not running"
        return self._process

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def start(self) -> Self:
        """Start a process and return once it answers requests. Raises ServerFailed."""
        assert self._process is None, "the server is running"
        written = self.stdout.stat().st_size if self.stdout.exists() else 0
        with self.stdout.open("ab") as output, self.stderr.open("ab") as errors:
            self._process = spawn(
                self._command, self._environment, stdout=output, stderr=errors, cwd=self._cwd
            )
        try:
            for _ in until_deadline("the server is ready"):
                # Before the output is read: what a process that has ended wrote is there in full.
                status = self.process.poll()
                found = _API_LINE.search(self.stdout.read_bytes()[written:].decode())
                if found is not None:
                    self.url = found[1]
                    return self
                if status is not None:
                    raise ServerFailed(f"the server ended with {status}:\n{self.stderr.read_text()}")
        except BaseException:
            self.end()
            raise
        raise AssertionError("until_deadline either goes on or raises")

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """Ask the process to end, wait for it, and answer its exit status."""
        self.process.send_signal(signum)
        return self.wait()

    def kill(self) -> None:
        """kill -9: the process has no time for anything."""
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        """Wait until the process has ended; answers its exit status."""
        status = self.process.wait(DEADLINE_S)
        self._process = None
        return status

    def end(self) -> None:
        """Make sure that the process is gone, asking it first so that it can write what coverage measured."""
        if self._process is None:
            return
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()


def spawn(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdout: IO[bytes] | int,
    stderr: IO[bytes] | int,
    cwd: Path = ROOT,
) -> subprocess.Popen[bytes]:
    """A process that sees no SANDBOX_ variable of the developer's shell, only those given here."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SANDBOX_")}
    return subprocess.Popen(
        command,
        env={**clean, **environment},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
    )


def run_command(
    *arguments: str, environment: Mapping[str, str] | None = None, command: Sequence[str] = COMMAND
) -> subprocess.CompletedProcess[str]:
    """The command line, run to its end."""
    process = spawn([*command, *arguments], environment or {}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        try:
            stdout, stderr = process.communicate(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout.decode(), stderr.decode())


@contextmanager
def taken_port() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        port: int = listener.getsockname()[1]
        yield port


def until_deadline(what: str, *, pause_s: float = 0.02) -> Iterator[None]:
    """`for _ in until_deadline("it is ready"): if ready(): break`. Raises TimeoutError when it never is."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        yield
        time.sleep(pause_s)
    raise TimeoutError(f"waited {DEADLINE_S:.0f} s until {what}")
