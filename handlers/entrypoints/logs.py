"""Logs as one JSON object a line on standard error, for people with `jq` and for CloudWatch alike."""

import logging
import traceback
from typing import TextIO

import orjson

from handlers.domain.moments import format_moment

ACCESS_LOGGER = "sandbox.access"


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


def configure_logs(level: str, stream: TextIO | None = None) -> None:
    """Send the package's logs, and warnings of the libraries below it, to the stream (standard error by default)."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("sandbox").setLevel(level.upper())
