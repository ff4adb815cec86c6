"""Handlers that are imported late are those that the contract names, and are there when they are called."""

import asyncio
import inspect
from typing import Any

import pytest

from payments_sandbox.bootstrap import HANDLERS
from payments_sandbox.http import late
from payments_sandbox.http.call import Answer, Call
from payments_sandbox.http.late import LateHandler, load_handlers
from tests.doubles.ports import make_ports


def test_every_handler_can_be_loaded_and_has_the_name_of_its_operation() -> None:
    loaded = load_handlers(HANDLERS)
    assert list(loaded) == list(HANDLERS)
    for name, handler in loaded.items():
        assert inspect.iscoroutinefunction(handler), name
        assert handler.__name__ == name
    assert any(isinstance(handler, LateHandler) for handler in HANDLERS.values())


def test_a_late_handler_answers_what_the_handler_does() -> None:
    late_module: Any = late
    call = Call(ports=make_ports(), operation_id="get_health", request_id="req_1")
    answers = [asyncio.run(late_module.health.get_health(call)) for _ in range(2)]
    assert [type(answer) for answer in answers] == [Answer, Answer]
    assert answers[0].status == 200


def test_a_handler_that_is_not_there_is_an_error_when_it_is_loaded() -> None:
    late_module: Any = late
    with pytest.raises(AttributeError, match="get_wealth"):
        load_handlers({"get_wealth": late_module.health.get_wealth})
    with pytest.raises(ModuleNotFoundError, match="wealth"):
        load_handlers({"get_health": late_module.wealth.get_health})
