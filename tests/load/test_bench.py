"""The benchmark's own arithmetic, and that the comparison does what it is compared for. The benchmark itself is not run:
that is `make bench`."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest

from tests.load.figures import (
    BEGIN,
    END,
    WEBHOOKS_BEGIN,
    WEBHOOKS_END,
    Comparison,
    Figure,
    FigureSection,
    Section,
    missed_targets,
    replace_between_markers,
    report_of,
    table_of,
)
from tests.load.lambda_homes import Handler, load_handler
from tests.load.lambda_path import table, worker
from tests.load.processes import LOOPBACK, ROOT, cpu_seconds, free_port, stop
from tests.load.samples import ACCEPTED, ALSO_ACCEPTED, REFUSED, LambdaContext, gateway_event

FAST = Comparison("CPU", "ms", [(1.0, 4.0), (2.0, 4.0), (9.0, 5.0)], target=0.5)


@pytest.fixture(autouse=True)
def event_loop() -> Iterator[None]:
    """Mangum makes the thread an event loop where it has none, and never closes it."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


def _answer(side: str, body: Any, **changes: Any) -> dict[str, Any]:
    event = gateway_event(body, "key-1", **changes)
    return _handler(side)(event, LambdaContext())


@cache
def _handler(side: str) -> Handler:
    return load_handler(side, "none")


def test_the_ratio_is_that_of_the_medians() -> None:
    assert (FAST.ours, FAST.theirs, FAST.ratio) == (2.0, 4.0, 0.5)
    assert FAST.spread == (0.25, 1.8)


@pytest.mark.parametrize(
    ("target", "at_most", "met"),
    [(0.5, True, True), (0.49, True, False), (0.5, False, True), (0.51, False, False), (None, True, True)],
)
def test_a_target_is_a_ceiling_or_a_floor(target: float | None, at_most: bool, met: bool) -> None:
    comparison = Comparison("CPU", "ms", FAST.rounds, target, at_most)
    assert comparison.met is met
    assert comparison.row[-1] == ("" if target is None else "met" if met else "missed")


def test_the_report_names_no_machine() -> None:
    report = report_of([Section("CPU", "By hand.", [FAST])], at=datetime(2026, 11, 23, tzinfo=UTC))
    assert "2026-11-23" in report
    assert "**0.50** (0.25 to 1.80) | ≤ 0.5 | met |" in report
    assert os.uname().nodename not in report
    assert str(ROOT) not in report


def test_the_report_replaces_the_one_before_and_nothing_else() -> None:
    first = replace_between_markers("# Performance\n\nText.\n", "one")
    assert first == f"# Performance\n\nText.\n\n{BEGIN}\none\n{END}\n"
    assert replace_between_markers(first + "\nAfter.\n", "two") == first.replace("one", "two") + "\nAfter.\n"


def test_a_figure_by_itself_has_a_ceiling_or_none() -> None:
    figures = [
        Figure("average", 12.34, "ms", 200),
        Figure("peak", 300.0, "MiB", 256),
        Figure("rate", 953.4, "/s"),
    ]
    section = FigureSection("Webhooks", "By hand.", figures)
    assert table_of(section).splitlines()[-3:] == [
        "| average | 12.3 ms | ≤ 200 | met |",
        "| peak | 300 MiB | ≤ 256 | missed |",
        "| rate | 953 /s |  |  |",
    ]
    assert missed_targets(section) == ["peak"]
    assert missed_targets(Section("CPU", "By hand.", [FAST])) == []


def test_the_webhooks_report_stands_beside_the_other_and_leaves_it_alone() -> None:
    document = replace_between_markers("# Performance\n", "one")
    for report in ("two", "three"):
        document = replace_between_markers(document, report, begin_mark=WEBHOOKS_BEGIN, end_mark=WEBHOOKS_END)
    assert document == (f"# Performance\n\n{BEGIN}\none\n{END}\n\n{WEBHOOKS_BEGIN}\nthree\n{WEBHOOKS_END}\n")


def test_cpu_time_counts_a_process_with_its_children() -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy!r}])\nprint(1, flush=True)\ninput()"
    process = subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert 0.25 <= cpu_seconds(process.pid) < 5
    finally:
        stop(process)


def test_stopping_ends_even_a_process_that_ignores_sigterm() -> None:
    deaf = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(1, flush=True)\ntime.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    stop(process, timeout_s=0.2)
    assert process.returncode == -9


@pytest.mark.slow
@pytest.mark.parametrize("side", ["ours", "fastapi"])
class TestBothSides:
    """What both sides of the Lambda comparison must do alike."""

    @pytest.mark.parametrize("body", [ACCEPTED, *ALSO_ACCEPTED.values()], ids=["the sample", *ALSO_ACCEPTED])
    def test_accepts(self, side: str, body: dict[str, Any]) -> None:
        answer = _answer(side, body)
        assert answer["statusCode"] == 201
        shown = json.loads(answer["body"])
        assert (shown["type"], shown["status"]) == ("authorization", "authorized")
        assert (shown["amount"], shown["currency"]) == (body["amount"], body["currency"])
        assert shown["transaction_id"].startswith("auth_")
        assert shown["card"]["last4"] == body["card"]["number"][-4:]

    @pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
    def test_refuses(self, side: str, body: Any) -> None:
        assert _answer(side, body)["statusCode"] in (400, 422)

    def test_refuses_without_a_known_key(self, side: str) -> None:
        assert _answer(side, ACCEPTED, api_key="sk_test_nobody")["statusCode"] == 401

    def test_declines_a_number_with_a_wrong_check_digit_and_a_card_that_has_expired(self, side: str) -> None:
        for card in ({"number": "4000000000000003"}, {"exp_year": 2020}):
            answer = _answer(side, {**ACCEPTED, "card": {**ACCEPTED["card"], **card}})
            assert (answer["statusCode"], json.loads(answer["body"])["status"]) == (201, "declined")

    def test_derives_the_id_from_the_idempotency_key(self, side: str) -> None:
        ids = {
            json.loads(_handler(side)(gateway_event(ACCEPTED, key), LambdaContext())["body"])[
                "transaction_id"
            ]
            for key in ("key-1", "key-1", "key-2")
        }
        assert len(ids) == 2

    def test_puts_one_item(self, side: str) -> None:
        with table() as port, worker(side, "dynamodb", port) as running:
            assert running.microseconds(20) > 0


@pytest.mark.slow
def test_both_sides_answer_with_the_same_members() -> None:
    def members(value: Any) -> Any:
        return {name: members(each) for name, each in value.items()} if isinstance(value, dict) else None

    shown = [json.loads(_answer(side, ACCEPTED)["body"]) for side in ("ours", "fastapi")]
    assert members(shown[0]) == members(shown[1])


def test_a_free_port_is_one_that_can_be_listened_on() -> None:
    with socket.socket() as server:
        server.bind((LOOPBACK, free_port()))
