"""From authentic bytes to a typed event.

Called only after the signature matched. It refuses what Python and JavaScript would read differently, so
that two receivers never disagree about one event: RFC 7493 (I-JSON) strings and numbers, a limit on depth.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

from webhooks_verifier.errors import WebhookVerificationError

INTEGER_MAX = 2**53 - 1
DEPTH_MAX = 64

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """An authentic event.

    id: the `webhook-id`, the same in every delivery of this event. Do each id once.
    type: what happened, as `resource.past_verb`.
    timestamp: when it happened (not when it was sent), as the sender wrote it: RFC 3339.
    data: the `data` object of the payload.
    payload: the whole body, parsed.
    """

    id: str
    type: str
    timestamp: str
    data: dict[str, Any]
    payload: dict[str, Any] = field(repr=False)


def parse_event(event_id: str, body: bytes) -> WebhookEvent:
    """Read the body as an event, or raise `malformed_payload`."""
    try:
        # json.loads(bytes) would also take UTF-16 and UTF-32.
        payload = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _malformed("the body is not JSON in UTF-8") from error
    if not _is_interoperable(payload):
        raise _malformed("the body has a number, a string or a depth that not every JSON reader can hold")
    match payload:
        case {"type": str(event_type), "timestamp": str(timestamp), "data": dict(data)} if event_type:
            return WebhookEvent(event_id, event_type, timestamp, data, payload)
    raise _malformed("the body is not an object with a type, a timestamp and a data object")


def _is_interoperable(payload: object) -> bool:
    level = [payload]
    for _ in range(DEPTH_MAX):
        deeper: list[object] = []
        for value in level:
            match value:
                case str() if _SURROGATE.search(value):
                    return False
                case int() | float() if abs(value) > INTEGER_MAX:
                    return False
                case dict():
                    deeper.extend(value.keys())
                    deeper.extend(value.values())
                case list():
                    deeper.extend(value)
        if not deeper:
            return True
        level = deeper
    return False


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _malformed(message: str) -> WebhookVerificationError:
    return WebhookVerificationError("malformed_payload", message)
