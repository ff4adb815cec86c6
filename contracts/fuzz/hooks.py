"""What a schema cannot say, told to Schemathesis.

Named by `schemathesis.toml`. Whatever can be configured is configured there. What stands here changes requests, never
checks: it puts in place of made-up values those that only a running sandbox can give, so that requests get beyond 404,
409 and 422. Without it runs pass too, and test less.
"""

import base64
import hashlib
import re
from collections import deque
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import schemathesis
from schemathesis import Case, HookContext, Response

KEY_HEADER: Final = "X-Idempotency-Key"
SIMULATE_HEADER: Final = "X-Sandbox-Simulate"
EXAMPLE_KEY: Final = "8e03978e-40d5-43e8-bc93-6894a57f9324"
SHORT_KEY: Final = re.compile(r"[!#-~][!-~]{0,2}")
CURSOR: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
GENUINE_CURSOR: Final = re.compile(rb"[0-9]{1,15}\..*", re.DOTALL)

API_KEYS_KEPT: Final = 5

MONEY_PATHS: Final = frozenset({"/v1/capture", "/v1/refund", "/v1/void", "/v1/increment"})

_held: dict[str, None] = {}
_captured: dict[str, None] = {}
_cursors: deque[str] = deque(maxlen=20)
_api_keys: deque[str] = deque()


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Put real values in place of made-up ones; Schemathesis looks at the request again afterwards."""
    name_anew(case)
    take_authorization(case)
    take_cursor(case)


@schemathesis.hook
def after_call(context: HookContext, case: Case, response: Response) -> None:
    """Remember what the sandbox gave out."""
    match case.method, case.path, response.status_code:
        case "POST", "/v1/authorize", 201:
            answer = response.json()
            if answer["status"] == "authorized":
                _held[answer["transaction_id"]] = None
        case "POST", path, 201 if path in MONEY_PATHS:
            note_balance(response.json())
        case "POST", path, 409 if path in MONEY_PATHS and isinstance(case.body, dict):
            forget(path, case.body.get("authorization_id"))
        case "GET", "/v1/transactions", 200:
            cursor = response.json()["next_cursor"]
            if cursor is not None:
                _cursors.append(cursor)
        case "POST", "/v1/api-keys", 201:
            _api_keys.append(response.json()["key_id"])
            revoke_old_api_keys(response)


def name_anew(case: Case) -> None:
    """Replace idempotency keys that many requests share by one that belongs to this request.

    The contract shows one key, and generated keys shrink to `0`: all but the first request with such a key would be
    refused with 422, and nothing behind that would be tested. Longer keys stay, and meet again now and then. The new key
    comes from the request, so a repeat is a replay: Hypothesis gives up on scenarios that go another way the second time.
    """
    key = case.headers.get(KEY_HEADER)
    if isinstance(key, str) and (key == EXAMPLE_KEY or SHORT_KEY.fullmatch(key)):
        request = repr((case.path, key, case.headers.get(SIMULATE_HEADER), case.body))
        case.headers[KEY_HEADER] = "fuzz-" + hashlib.sha256(request.encode("utf-8", "replace")).hexdigest()


def take_authorization(case: Case) -> None:
    """Replace most made-up authorization ids by one that exists and is open to the operation. The others test 404.

    Not in stateful scenarios, where the links bring real ids along.
    """
    known = _captured if case.path == "/v1/refund" else _held
    if case.path not in MONEY_PATHS or not isinstance(case.body, dict) or not known or is_stateful(case):
        return
    given = case.body.get("authorization_id")
    if isinstance(given, str) and 0 < len(given) <= 64 and given not in _held and given not in _captured:
        place = sum(given.encode("utf-8", "surrogatepass"))
        if place % 4:
            case.body["authorization_id"] = list(known)[place % len(known)]


def is_stateful(case: Case) -> bool:
    """Whether the case is a step of a scenario."""
    return case.meta is not None and case.meta.phase.name == "stateful"


def note_balance(answer: dict[str, Any]) -> None:
    """Sort the answer's authorization by what can still be done with it."""
    authorization_id = answer["authorization_id"]
    for known, amount in ((_held, "capturable_amount"), (_captured, "refundable_amount")):
        known.pop(authorization_id, None)
        if answer["balance"][amount]:
            known[authorization_id] = None


def forget(path: str, authorization_id: object) -> None:
    """Leave out an authorization whose state has forbidden the operation once."""
    if isinstance(authorization_id, str):
        (_captured if path == "/v1/refund" else _held).pop(authorization_id, None)


def take_cursor(case: Case) -> None:
    """Replace made-up cursors by one that a listing gave.

    A cursor is opaque. No pattern tells those of the sandbox from others, which it refuses with 400, as it should.
    """
    cursor = case.query.get("cursor") if case.query else None
    if isinstance(cursor, str) and CURSOR.fullmatch(cursor) and not is_genuine(cursor):
        case.query["cursor"] = _cursors[-1] if _cursors else make_cursor()


def make_cursor() -> str:
    """A cursor as `handlers/services/listings.py` makes them, for when no listing was long enough to give one."""
    return base64.urlsafe_b64encode(b"1795428008638.auth_a4gbyy22n7u252hjyacniu4l2").decode().rstrip("=")


def is_genuine(cursor: str) -> bool:
    """Whether the sandbox could have made the cursor."""
    return cursor in _cursors or cursor == make_cursor()


def revoke_old_api_keys(response: Response) -> None:
    """Keep an account from having all the keys it can have, after which only 409 would be tested."""
    url = urlsplit(response.request.url)
    while len(_api_keys) > API_KEYS_KEPT:
        requests.delete(
            f"{url.scheme}://{url.netloc}/v1/api-keys/{_api_keys.popleft()}",
            headers={"x-api-key": response.request.headers["x-api-key"]},
            timeout=30,
        )
