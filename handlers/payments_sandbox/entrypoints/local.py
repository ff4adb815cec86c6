"""The embedded home: one process with the API, its documentation and the ledger."""

import asyncio
import logging
import signal
import socket
import sys
from pathlib import Path
from typing import Final

import uvicorn

from payments_sandbox.adapters.sqlite.store import StoreOpenError
from payments_sandbox.adapters.system.secret_file import SecretFileError
from payments_sandbox.bootstrap import LocalSandbox, build_local
from payments_sandbox.entrypoints.connection_cutting import CuttableHttpProtocol
from payments_sandbox.entrypoints.logs import gathered_logs
from payments_sandbox.http.pipeline.access_log import AccessLog
from payments_sandbox.services.accounts.accounts import DEMO_API_KEY
from payments_sandbox.services.ledger.ledger_secret import WrongLedgerSecret
from payments_sandbox.settings import LocalSettings

_logger = logging.getLogger("sandbox.local")

SHUTDOWN_S: Final = 5
"""How long requests that are under way may take once the server is told to stop."""

_BANNER = """\
Payments Sandbox is ready.

  API         {url}/v1
  Swagger UI  {url}/docs
  Contract    {url}/openapi.yaml
  API key     {key}  (header x-api-key)
  Ledger      {db}

Stop with Ctrl-C.
"""


class ServeError(Exception):
    """The server cannot start; the message is one line that says why and what to do."""


class _Server(uvicorn.Server):
    """Runs the dispatcher beside the server, and says where everything is once requests are answered, not before."""

    banner: str = ""

    def __init__(self, config: uvicorn.Config, sandbox: LocalSandbox) -> None:
        super().__init__(config)
        self._sandbox = sandbox
        self._dispatching: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._dispatching = asyncio.create_task(self._sandbox.dispatcher.run())
            self._dispatching.add_done_callback(self._dispatching_ended)
            print(self.banner, flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self._dispatching is not None:
            self._dispatching.cancel()
            await asyncio.wait([self._dispatching])
        await self._sandbox.sender.aclose()

    def _dispatching_ended(self, task: asyncio.Task[None]) -> None:
        """A defect in the dispatcher must not leave a server that takes payments and tells nobody."""
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.error("webhooks failed; stopping", exc_info=error)
            self.should_exit = True


def serve(settings: LocalSettings, *, reset: bool = False) -> None:
    """Serve until SIGINT or SIGTERM. reset: delete the ledger and its key first.

    Raises ServeError when the port is taken, or the ledger or its key cannot be used.
    """
    with (
        gathered_logs(settings.log_level) as access_log,
        _listen(settings.host, settings.port) as listener,
    ):
        sandbox = _open(settings, listener, access_log, reset=reset)
        try:
            _run(settings, listener, sandbox)
        finally:
            sandbox.infrastructure.store.close()
        _logger.info("stopped")


def _open(
    settings: LocalSettings, listener: socket.socket, access_log: AccessLog | None, *, reset: bool
) -> LocalSandbox:
    try:
        if reset:
            _delete_ledger(Path(settings.db))
        return build_local(settings, public_url=_url_of(listener), access_log=access_log)
    except (StoreOpenError, SecretFileError) as error:
        raise ServeError(str(error)) from error
    except WrongLedgerSecret as error:
        raise ServeError(
            f"The key file {settings.db}.key does not belong to {settings.db}: restore it, or start anew with --reset."
        ) from error


def _run(settings: LocalSettings, listener: socket.socket, sandbox: LocalSandbox) -> None:
    config = uvicorn.Config(
        sandbox.app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        http=CuttableHttpProtocol,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    url = _url_of(listener)
    server = _Server(config, sandbox)
    server.banner = _BANNER.format(url=url, key=DEMO_API_KEY, db=Path(settings.db).absolute())
    # After its own shutdown uvicorn raises the signal again; by then it has been obeyed.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: None)

    server.run(sockets=[listener])


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ServeError(f"The address {host} cannot be used: {error.strerror}.") from error
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise ServeError(
            f"Port {port} on {host} cannot be used: {(error.strerror or 'unknown').lower()}; choose another with --port."
        ) from error
    return listener


def _delete_ledger(path: Path) -> None:
    """Delete the ledger's files, but only if they are a ledger's: --db may name something dear by mistake."""
    from payments_sandbox.adapters.sqlite.store import SqliteStore

    if path.exists():
        SqliteStore(path).close()
    for suffix in ("", "-wal", "-shm", ".key"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
