"""What a handler is given and what it gives back.

A handler is `async def name(call: Call) -> Answer`, where `name` is the operation's id in the contract. It translates
the call, calls one service, and translates the result; errors are raised, never returned.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from typing import Any

from payments_sandbox.domain.errors import FieldError, InvalidRequest
from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.domain.timestamps import SECOND_MS, parse_timestamp
from payments_sandbox.domain.value import value_type
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ports import Principal, Sender
from payments_sandbox.services.world import World


@value_type
class Call:
    """One request that has passed routing, security and validation.

    body: the parsed JSON body, valid against the operation's schema; None where the operation has none, or keeps it as
        sent.
    raw_body: the body's very bytes.
    path, query: parameters by their names in the contract, converted to the schema's type; absent ones are missing,
        except those with a default, which is filled in.
    headers: header parameters *declared in the contract for this operation*, by their lowercase names.
    principal, own_world: who is calling, and the world of its account; None only for operations without security.
    """

    infrastructure: Infrastructure
    operation_id: str
    request_id: str
    principal: Principal | None = None
    own_world: World | None = None
    body: Any = field(default=None, repr=False)
    raw_body: bytes = field(default=b"", repr=False)
    path: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def caller(self) -> Principal:
        """The principal of an operation with security."""
        assert self.principal is not None, f"{self.operation_id} has no security in the contract"
        return self.principal

    @property
    def sender(self) -> Sender:
        """What posts to receivers, where the deployment lets a request wait for them."""
        assert self.infrastructure.sender is not None, "this deployment was built without a sender"
        return self.infrastructure.sender

    @property
    def world(self) -> World:
        """The world of the caller's account."""
        assert self.own_world is not None, f"{self.operation_id} has no security in the contract"
        return self.own_world

    @property
    def account_id(self) -> str:
        """The caller's account."""
        return self.caller.account_id

    @property
    def idempotency_key(self) -> str:
        """The key of an operation that declares `X-Idempotency-Key`, unquoted."""
        return self.headers["x-idempotency-key"]

    async def settle_controls(self, *, first: bool) -> None:
        """Answer an account's first change of its controls only once every process knows of it."""
        if first and self.infrastructure.cache_lag_ms:
            await asyncio.sleep(self.infrastructure.cache_lag_ms / SECOND_MS)

    def moment(self, pointer: str, text: str) -> int:
        """A date-time of the request in milliseconds since the epoch. Raises InvalidRequest, naming the pointer."""
        try:
            return parse_timestamp(text)
        except ValueError as error:
            raise InvalidRequest(
                f"{pointer} is {error}.", errors=[FieldError(pointer, FieldCode.FORMAT, f"is {error}")]
            ) from error


@value_type
class OperationResult:
    """A successful response. body: a JSON value, or None for an empty one (204); with a content_type, bytes of that type."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None


Handler = Callable[[Call], Awaitable[OperationResult]]
"""Carries out one operation."""
