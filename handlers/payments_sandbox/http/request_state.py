"""What is known about a request so far. It travels in the ASGI scope under `REQUEST_STATE`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from payments_sandbox.domain.errors import Quota
from payments_sandbox.services.ports import Principal

REQUEST_STATE: Final = "sandbox.request"


@dataclass(slots=True)
class RequestState:
    """One request; each step of the pipeline fills in its part.

    headers: by lower-case name, the last one where a name is given twice; such names are in `repeated`.
    route: the template, for logs; None until one is found. status: of the response, 0 until it starts.
    body: as it arrived. json: the body, parsed and valid; None for a body that is kept as sent. path, query, header: parameters,
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
    json: Any = None
    path: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    header: Mapping[str, Any] = field(default_factory=dict)
    status: int = 0
    fault: str | None = None
