"""One grammar for what is to go wrong with a request on purpose, and when a rule strikes.

    FAULT = "none" / "latency=" MS [ "; " LOSS ] / LOSS
    LOSS  = "error=" STATUS / "lose_response" [ "=504" ] / "drop_connection" / "rate_limit" [ "=" SECONDS ]
          / "store_unavailable"

`latency` holds the request back before anything else happens. `lose_response` is the one that idempotency keys exist for:
the operation is carried out, and the caller never hears of it. Everything else happens instead of the operation, so that
nothing is written. The header `X-Sandbox-Fault` asks for one request, rules (`services/simulation/faults.py`) for many; `none` in the
header spares a request that a rule would strike.

Pure: it decides and describes. `http/pipeline/fault_injection.py` does it to the request.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from payments_sandbox.domain.errors import FieldError, InvalidRequest
from payments_sandbox.domain.field_codes import FieldCode

HEADER: Final = "X-Sandbox-Fault"

LATENCY_MS_MAX: Final = 20_000
"""Well below the 29 seconds after which API Gateway gives up by itself."""

RETRY_AFTER_S: Final = 1
"""What a simulated 429 asks to wait, unless it says otherwise."""

RETRY_AFTER_S_MAX: Final = 3_600

ERROR: Final = "error"
LOSE_RESPONSE: Final = "lose_response"
DROP_CONNECTION: Final = "drop_connection"
RATE_LIMIT: Final = "rate_limit"
STORE_UNAVAILABLE: Final = "store_unavailable"
LATENCY: Final = "latency"
NONE: Final = "none"

TIMEOUT_STATUS: Final = 504

_FAULT: Final = re.compile(
    r"(?:latency=(?P<latency>[1-9][0-9]{0,4}))?(?P<both>; )?"
    r"(?P<loss>error=(?P<status>50[0234])|lose_response(?P<answered>=504)?|drop_connection"
    r"|rate_limit(?:=(?P<seconds>[1-9][0-9]{0,3}))?|store_unavailable)?"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is to happen to a request. text: as it was asked for.

    latency_ms: how long it is held back. loss: `error`, `lose_response`, `drop_connection`, `rate_limit`,
    `store_unavailable`, or None. status: of the error that is answered; for `lose_response` 504 where a lost response is
    to be told instead of the connection being cut. retry_after_s: of a 429.
    """

    text: str
    latency_ms: int = 0
    loss: str | None = None
    status: int | None = None
    retry_after_s: int = RETRY_AFTER_S


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A fault as it is listed. effect: `before` the operation, `instead` of it, or `after` it was carried out."""

    fault: str
    example: str
    effect: str
    description: str


KINDS: Final = (
    FaultKind(
        LATENCY,
        "latency=500",
        "before",
        f"The request is held back for so many milliseconds, at most {LATENCY_MS_MAX}. May be combined with one of the others: "
        "latency=500; error=503.",
    ),
    FaultKind(
        ERROR, "error=503", "instead", "The answer is 500, 502, 503 or 504, and nothing is carried out."
    ),
    FaultKind(
        LOSE_RESPONSE,
        "lose_response",
        "after",
        "The operation is carried out, then the connection is cut before the response. With =504, and on AWS always, a 504 "
        "is answered instead, as a gateway does that has lost patience. Repeat the request with the same idempotency key.",
    ),
    FaultKind(
        DROP_CONNECTION,
        "drop_connection",
        "instead",
        "The connection is cut, and nothing is carried out; on AWS a 504 is answered.",
    ),
    FaultKind(
        RATE_LIMIT,
        "rate_limit=5",
        "instead",
        f"The answer is 429 with Retry-After: so many seconds, or {RETRY_AFTER_S}; at most {RETRY_AFTER_S_MAX}.",
    ),
    FaultKind(
        STORE_UNAVAILABLE,
        "store_unavailable",
        "instead",
        "The answer is the 503 of a ledger that cannot be reached, and nothing is carried out.",
    ),
    FaultKind(NONE, NONE, "before", "Nothing goes wrong, whatever the account's rules say."),
)


def parse_fault(text: str, pointer: str) -> Fault:
    """The fault that a text asks for. Raises InvalidRequest, naming the pointer, when it is not in the grammar."""
    if text == NONE:
        return Fault(text)
    match = _FAULT.fullmatch(text)
    if match is None or not text or bool(match["both"]) != bool(match["latency"] and match["loss"]):
        raise _invalid(pointer, "is not in the grammar; GET /v1/faults lists what can be asked for")
    latency_ms = int(match["latency"] or 0)
    seconds = int(match["seconds"] or RETRY_AFTER_S)
    if latency_ms > LATENCY_MS_MAX or seconds > RETRY_AFTER_S_MAX:
        raise _invalid(pointer, "asks for too long a wait")
    loss = (match["loss"] or "").partition("=")[0] or None
    status = int(match["status"]) if match["status"] else TIMEOUT_STATUS if match["answered"] else None
    return Fault(text, latency_ms, loss, status, seconds)


@dataclass(frozen=True, slots=True)
class Rule:
    """A fault for many requests. operations: ids in the contract; empty for all that can fail.

    when: `every=N` strikes only each n-th request, `percent=P` only so many of a hundred, by chance; None strikes each.
    count: so many times, then never again.
    """

    fault: str
    operations: Sequence[str] = ()
    when: str | None = None
    count: int | None = None

    @property
    def counts(self) -> bool:
        """Whether it has to be known how many requests it has met."""
        return self.when is not None or self.count is not None

    def covers(self, operation_id: str) -> bool:
        """Whether requests for this operation meet the rule."""
        return not self.operations or operation_id in self.operations

    def strikes(self, seen: int, fired: int, seed: str) -> bool:
        """Whether it strikes the request that is the `seen`-th (from 1) to meet it, after it has struck `fired` times.

        seed: chance follows from it, so that the same requests in the same order meet the same faults.
        """
        if self.count is not None and fired >= self.count:
            return False
        if self.when is None:
            return True
        schedule, _, number = self.when.partition("=")
        if schedule == "every":
            return seen % int(number) == 0
        digest = hashlib.sha256(f"fault\0{seed}\0{seen}".encode()).digest()
        return int.from_bytes(digest[:4], "big") * 100 < int(number) << 32


def _invalid(pointer: str, detail: str) -> InvalidRequest:
    return InvalidRequest(
        "The fault cannot be simulated.", errors=[FieldError(pointer, FieldCode.UNKNOWN_FAULT, detail)]
    )
