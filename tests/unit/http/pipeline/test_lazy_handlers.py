"""Handlers are found by their names in the contract, and imported when they are called."""

import asyncio
import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from payments_sandbox.http import operations
from payments_sandbox.http.operations.call import Call, OperationResult
from payments_sandbox.http.pipeline.lazy_handlers import LazyHandler
from payments_sandbox.http.reading.contract import (
    ContractError,
    OperationSpec,
    load_contract,
    read_operations,
)
from payments_sandbox.settings import contract_path
from tests.doubles.ports import make_infrastructure

OPERATIONS = read_operations(load_contract(contract_path()))


def operation(operation_id: str, tag: str) -> OperationSpec:
    return OperationSpec(operation_id, "GET", "/", False, (), None, False, tag=tag)


def test_the_operations_of_the_contract_are_the_coroutines_of_the_modules() -> None:
    for each in OPERATIONS:
        handler = LazyHandler(each).load()
        assert inspect.iscoroutinefunction(handler)
        assert handler.__name__ == each.operation_id
    found = set()
    for path in Path(operations.__path__[0]).glob("*.py"):
        module = import_module(f"{operations.__name__}.{path.stem}")
        functions: Any = inspect.getmembers(module, inspect.iscoroutinefunction)
        found |= {name for name, function in functions if function.__module__ == module.__name__}
    assert len(found) > 50
    assert found == {each.operation_id for each in OPERATIONS}


def test_a_lazy_handler_answers_what_the_handler_does() -> None:
    handler = LazyHandler(operation("get_health", "system"))
    call = Call(infrastructure=make_infrastructure(), operation_id="get_health", request_id="req_1")
    answers = [asyncio.run(handler(call)) for _ in range(2)]
    assert [type(answer) for answer in answers] == [OperationResult, OperationResult]
    assert answers[0].status == 200


@pytest.mark.parametrize(("name", "tag"), [("get_wealth", "system"), ("get_health", "no-such-tag")])
def test_an_operation_without_a_function_is_an_error_when_it_is_loaded(name: str, tag: str) -> None:
    with pytest.raises(ContractError, match=f"the operation {name} has no handler"):
        LazyHandler(operation(name, tag)).load()
