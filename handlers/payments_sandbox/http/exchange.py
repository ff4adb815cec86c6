"""One request under way, and what is prepared once for every request of its operation.

The exchange travels in the ASGI scope under `EXCHANGE`, so that plain Connexion and the fast path, which call the same
checks from different places, find and leave what they learn in the same place.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from payments_sandbox.domain.errors import Quota
from payments_sandbox.http.call import Answer, Call
from payments_sandbox.http.contract import Operation
from payments_sandbox.services.ports import Ports, Principal

if TYPE_CHECKING:
    from payments_sandbox.http.validation import RequestReader

EXCHANGE: Final = "sandbox.exchange"

Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Plan:
    """An operation with everything that serving it takes. can_fail: it takes the header that asks for a fault."""

    operation: Operation
    reader: "RequestReader"
    handler: Handler
    can_fail: bool = False


@dataclass(slots=True)
class Exchange:
    """What is known about one request so far; each step fills in its part.

    headers: by lower-case name, the last one where a name is given twice; such names are in `repeated`.
    route: the template, for logs; None until one is found. status: of the response, 0 until it starts.
    body: as it arrived. document: parsed and valid; None for a body that is kept as sent. path, query, header: parameters,
    converted. fault: what was done to the request on purpose, in the words that asked for it.
    """

    request_id: str
    headers: Mapping[bytes, bytes]
    repeated: frozenset[bytes] = frozenset()
    route: str | None = None
    is_head: bool = False
    body: bytes = b""
    principal: Principal | None = None
    quota: Quota | None = None
    document: Any = None
    path: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    header: Mapping[str, Any] = field(default_factory=dict)
    status: int = 0
    fault: str | None = None

    def to_call(self, ports: Ports, plan: Plan) -> Call:
        """What the handler is given. ports: as the caller's account sees them."""
        return Call(
            ports=ports,
            operation_id=plan.operation.operation_id,
            request_id=self.request_id,
            principal=self.principal,
            body=self.document,
            raw_body=self.body,
            path=self.path,
            query=self.query,
            headers=self.header,
        )
