"""The README's quick start runs, and its table of errors is that of the code."""

import re
import time
from pathlib import Path
from typing import Any

import pytest

from webhooks_verifier import ERROR_CODES, Webhook

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"type":"payment.captured","timestamp":"2023-01-19T00:13:51Z","data":{}}'


def test_the_quick_start_accepts_a_good_event_and_refuses_a_bad_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    quick_start: dict[str, Any] = {}
    exec(README.split("```python\n")[1].split("```")[0], quick_start)
    headers = Webhook(SECRET).sign("evt_1", int(time.time()), BODY)
    assert quick_start["receive"](BODY, headers) == 204
    assert quick_start["receive"](BODY + b" ", headers) == 400
    assert capsys.readouterr().out == "evt_1 payment.captured {}\nrefused: no_matching_signature\n"


def test_the_table_of_errors_lists_every_code_in_order() -> None:
    assert re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE) == list(ERROR_CODES)
