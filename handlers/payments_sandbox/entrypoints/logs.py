"""Logs as one JSON object a line on standard error, for people with `jq` and for CloudWatch alike."""

import logging
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TextIO

import orjson

from payments_sandbox.adapters.system.clock import SystemClock
from payments_sandbox.domain.timestamps import format_timestamp
from payments_sandbox.http.pipeline.access_log import ACCESS_LOGGER, AccessLog, access_message

FLUSH_S: Final = 0.1
"""How long a line of level info may wait for others; warnings and errors are written at once."""


class JsonFormatter(logging.Formatter):
    """Time, level, logger and message, and whatever the record's `fields` hold."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": format_timestamp(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return orjson.dumps(line, default=str).decode()


class GatheringHandler(logging.StreamHandler[TextIO]):
    """Writes lines in bundles, from a thread of its own.

    One system call for each request's line costs 2 % of an authorization's CPU when standard error is a file.
    Close the handler at the end, or the last lines are lost.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._lines: list[str] = []
        self._clock = SystemClock()
        self._waiting = threading.Event()
        self._closed = False
        self._writer = threading.Thread(target=self._write_behind, name="logs", daemon=True)
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line for the next bundle, or write it now, and all before it, if it is a warning or worse."""
        self._lines.append(self.format(record) + self.terminator)
        if record.levelno >= logging.WARNING:
            self.flush()
        else:
            self._announce()

    def log_access(self, fields: Mapping[str, Any]) -> None:
        """Write the access logger's line without the logging module.

        Through loggers, records and formatters the line costs 20 µs more: 6 % of an authorization's CPU, 20 % of a health
        check's.
        """
        line = {
            "time": format_timestamp(self._clock.now_ms()),
            "level": "info",
            "logger": ACCESS_LOGGER,
            "message": access_message(fields),
            **fields,
        }
        text = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE).decode()
        # As `handle` does around `emit`, or the line may end in a bundle that is being written.
        self.acquire()
        self._lines.append(text)
        self.release()
        self._announce()

    def _announce(self) -> None:
        """Wake the writer, unless somebody has since it last looked."""
        if not self._waiting.is_set():
            self._waiting.set()

    def flush(self) -> None:
        """Write what is gathered."""
        self.acquire()
        try:
            lines, self._lines = self._lines, []
            if lines:
                self.stream.write("".join(lines))
                self.stream.flush()
        finally:
            self.release()

    def close(self) -> None:
        """Write what is gathered, and stop."""
        if not self._closed:
            self._closed = True
            self._waiting.set()
            self._writer.join()
            self.flush()
        super().close()

    def _write_behind(self) -> None:
        while not self._closed:
            self._waiting.wait()
            self._waiting.clear()
            if not self._closed:
                time.sleep(FLUSH_S)
                self.flush()


def configure_logs(level: str) -> None:
    """Send the package's logs, and warnings of the libraries below it, to standard error."""
    _install(logging.StreamHandler(), level)


@contextmanager
def gathered_logs(level: str) -> Iterator[AccessLog | None]:
    """The same in bundles, for a process that lives on between requests, which a Lambda function does not.

    Gives what takes the lines of the access log; None when the level leaves them out.
    """
    # No line says which thread or source line it came from, so nobody has to find out. Source: Python's logging HOWTO.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    handler = GatheringHandler()
    _install(handler, level)
    try:
        yield handler.log_access if logging.getLogger(ACCESS_LOGGER).isEnabledFor(logging.INFO) else None
    finally:
        logging.getLogger().removeHandler(handler)
        logging.getLogger("sandbox").setLevel(logging.NOTSET)
        handler.close()


def _install(handler: logging.Handler, level: str) -> None:
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("sandbox").setLevel(level.upper())
