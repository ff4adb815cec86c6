"""The emulator of AWS, ministack, in a process of its own on a free port of 127.0.0.1.

Everything it writes lands in one folder, and the functions that it runs are its children: ending it ends them. Nothing
here knows what is deployed: see `apply.py`.
"""

import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx

from tests.e2e.infra.server import DEADLINE_S, LOOPBACK, ROOT, until_deadline

PYTHON: Final = ROOT / ".venv" / "emulator" / "bin" / "python"
LAUNCHER: Final = Path(__file__).with_name("launcher.py")

ACCOUNT_ID: Final = "000000000000"
REGION: Final = "eu-central-1"
ROOT_KEY: Final = "test"
"""Access key and secret of the account's root user, who deploys and may do anything."""


class EmulatorFailed(Exception):
    """The process is not there, ended, or did not become ready; with what it wrote."""


class Emulator:
    """As a context manager it runs until the end of the block.

    folder: an empty folder of its own. authorize: judge every call by the policies of the caller's role, as AWS does.
    environment: what the functions are to find in theirs, besides what their configuration says. log: what it wrote.
    """

    def __init__(
        self, folder: Path, *, authorize: bool = True, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.log = folder / "emulator.log"
        self.url = ""
        self._authorize = authorize
        self._environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if not PYTHON.exists():
            raise EmulatorFailed("the emulator is not installed: run `make environment-emulator`")
        port = free_port()
        self.url = f"http://{LOOPBACK}:{port}"
        with self.log.open("ab") as log:
            # A group of its own, so that the functions can be ended with it.
            self._process = subprocess.Popen(
                [PYTHON, LAUNCHER],
                env=self._variables(port),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._await_ready()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def reset(self) -> None:
        """Forget everything that was deployed, and end the functions."""
        httpx.post(f"{self.url}/_ministack/reset", timeout=DEADLINE_S, trust_env=False).raise_for_status()

    def tracebacks(self) -> str:
        """What functions have logged of errors that were their own; the end of it, when there is much."""
        lines = [
            line
            for line in self.log.read_text().splitlines()
            if '"level":"error"' in line or "[ERROR]" in line
        ]
        return "\n".join(lines[-20:])

    def _variables(self, port: int) -> dict[str, str]:
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "TMPDIR": str(temporary),
            "STATE_DIR": str(self.folder / "state"),
            "S3_DATA_DIR": str(self.folder / "s3"),
            "GATEWAY_PORT": str(port),
            "BIND_HOST": LOOPBACK,
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "AUTH": str(self._authorize).lower(),
            "LOG_LEVEL": "INFO",
            "MINISTACK_ACCOUNT_ID": ACCOUNT_ID,
            "MINISTACK_REGION": REGION,
            # Where the functions' AWS clients find AWS.
            "AWS_ENDPOINT_URL": self.url,
            # Waits of a state machine end at once.
            "SFN_WAIT_SCALE": "0",
            **self._environment,
        }

    def _await_ready(self) -> None:
        assert self._process is not None
        for _ in until_deadline("the emulator is ready"):
            if self._process.poll() is not None:
                raise EmulatorFailed(f"the emulator ended:\n{self.log.read_text()}")
            with suppress(httpx.TransportError):
                answer = httpx.get(f"{self.url}/_ministack/health", timeout=DEADLINE_S, trust_env=False)
                if answer.is_success:
                    return

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(DEADLINE_S)
        finally:
            # Functions that outlive it, and itself if it hangs.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    """A port that nobody listens on. The emulator cannot choose one itself, as its functions are told of it beforehand."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
