"""Logs as one JSON object a line on standard error, for people with `jq` and for CloudWatch alike."""

import logging
import threading
import time
import traceback
from typing import Final, TextIO

import orjson

from handlers.domain.moments import format_moment

FLUSH_S: Final = 0.1
"""How long a line of level info may wait for others; warnings and errors are written at once."""


class JsonFormatter(logging.Formatter):
    """Time, level, logger and message, and whatever the record's `fields` hold."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": format_moment(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return orjson.dumps(line, default=str).decode()


class GatheringHandler(logging.StreamHandler[TextIO]):
    """Writes lines in bundles: one system call for each request's line would be a tenth of what the request costs."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._lines: list[str] = []
        self._waiting = threading.Event()
        threading.Thread(target=self._write_behind, name="logs", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line for the next bundle, or write it now, and all before it, if it is a warning or worse."""
        try:
            self._lines.append(self.format(record) + self.terminator)
        except (TypeError, ValueError):
            # What `logging` does with a record that cannot be formatted: say so on standard error, and go on.
            self.handleError(record)
        if record.levelno >= logging.WARNING:
            self.flush()
        else:
            self._waiting.set()

    def flush(self) -> None:
        """Write what is gathered."""
        with self.lock or threading.RLock():
            lines, self._lines = self._lines, []
            if lines:
                self.stream.write("".join(lines))
            super().flush()

    def _write_behind(self) -> None:
        while True:
            self._waiting.wait()
            self._waiting.clear()
            time.sleep(FLUSH_S)
            self.flush()


def configure_logs(level: str, stream: TextIO | None = None, *, gather: bool = False) -> None:
    """Send the package's logs, and warnings of the libraries below it, to the stream (standard error by default).

    gather: write lines in bundles; for a process that lives on between requests, which a Lambda function does not.
    """
    handler = GatheringHandler(stream) if gather else logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("sandbox").setLevel(level.upper())


def flush_logs() -> None:
    """Write what is gathered; called before the process ends."""
    for handler in logging.getLogger().handlers:
        handler.flush()

