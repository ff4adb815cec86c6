"""The embedded home's access log is the one that the logging module would write."""

import io
import json
import logging
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from payments_sandbox.entrypoints.logs import GatheringHandler, JsonFormatter, gathered_logs
from payments_sandbox.http.pipeline.access_log import ACCESS_LOGGER, access_message

FIELDS: Mapping[str, Any] = {
    "method": "POST",
    "route": "/v1/authorize",
    "status": 201,
    "duration_ms": 0.512,
    "request_id": "req_abcx1",
    "account_id": "acct_demo",
}


@pytest.fixture(autouse=True)
def logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """`gathered_logs` has the whole process for itself; here it must give back what it took."""
    for name in ("logThreads", "logProcesses", "logMultiprocessing", "_srcfile"):
        monkeypatch.setattr(logging, name, getattr(logging, name))


def test_a_line_is_the_same_by_both_ways() -> None:
    stream = io.StringIO()
    handler = GatheringHandler(stream)
    handler.setFormatter(JsonFormatter())
    record = logging.makeLogRecord(
        {"name": ACCESS_LOGGER, "levelno": logging.INFO, "levelname": "INFO", "msg": access_message(FIELDS)}
    )
    record.fields = FIELDS
    handler.emit(record)
    handler.log_access(FIELDS)
    handler.close()
    logged, quick = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert list(quick) == list(logged)
    assert logged.pop("time")[:16] <= quick.pop("time")[:16]
    assert quick == logged
    assert quick["message"] == "POST /v1/authorize 201"


def test_lines_come_in_the_order_of_their_requests_and_none_is_lost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with gathered_logs("info") as access_log:
        assert access_log is not None
        for number in range(100):
            access_log({**FIELDS, "request_id": f"req_{number}"})
            if number == 50:
                logging.getLogger("sandbox.http").warning("in between")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["request_id"] for line in lines if line["logger"] == ACCESS_LOGGER] == [
        f"req_{number}" for number in range(100)
    ]
    assert lines[51]["message"] == "in between"


def test_a_line_waits_while_a_bundle_is_being_written() -> None:
    stream = io.StringIO()
    handler = GatheringHandler(stream)
    handler.acquire()
    request = threading.Thread(target=handler.log_access, args=(FIELDS,))
    request.start()
    request.join(0.2)
    assert request.is_alive()
    handler.release()
    request.join()
    handler.close()
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize("level", ["warning", "error"])
def test_a_level_above_info_leaves_the_access_log_out(level: str) -> None:
    with gathered_logs(level) as access_log:
        assert access_log is None
