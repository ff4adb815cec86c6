"""Handlers by name: the module is the contract's tag, the function is the operation id.

A module is imported at the first request for one of its operations: a cold start of the Lambda function that takes payments
is mostly imports, of which settlements, webhooks and the rest are half.
"""

from importlib import import_module

from payments_sandbox.http.operations.call import Call, Handler, OperationResult
from payments_sandbox.http.reading.contract import ContractError, OperationSpec


class LazyHandler:
    """The handler of an operation, in a module that may not be imported yet."""

    def __init__(self, operation: OperationSpec) -> None:
        self._module = f"payments_sandbox.http.operations.{operation.tag.replace('-', '_')}"
        self._handler: Handler | None = None
        self.__name__ = operation.operation_id

    async def __call__(self, call: Call) -> OperationResult:
        return await self.load()(call)

    def load(self) -> Handler:
        """The function itself. Raises ContractError when there is none."""
        if self._handler is None:
            try:
                self._handler = getattr(import_module(self._module), self.__name__)
            except (AttributeError, ModuleNotFoundError) as error:
                raise ContractError(f"the operation {self.__name__} has no handler: {error}") from error
        return self._handler
