"""What a schema cannot say, told to Schemathesis.

Named by `schemathesis.toml`. Whatever can be configured is configured there. What stands here changes requests, never
checks: it puts in place of made-up values those that only a running sandbox can give, so that requests get beyond 404,
409 and 422. Without it runs pass too, and test less.

The exceptions are `take_card_numbers_out`, without which the sandbox would refuse requests that match the contract,
`take_receiver`, without which it would send webhooks to any URL that is made up, and `tame_faults`, without which it would
cut connections and answer 503.
"""

import base64
import hashlib
import os
import re
import zlib
from collections import deque
from itertools import count
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import schemathesis
from schemathesis import Case, HookContext, Response

from payments_sandbox.domain.errors import InvalidRequest
from payments_sandbox.domain.faults import HEADER as FAULT_HEADER
from payments_sandbox.domain.faults import parse_fault
from payments_sandbox.domain.pan_guard import holds_card_number

AnyCase = Case[Any]

KEY_HEADER: Final = "X-Idempotency-Key"
SIMULATE_HEADER: Final = "X-Sandbox-Simulate"
TAME_FAULT: Final = "latency=1"
EXAMPLE_KEY: Final = "8e03978e-40d5-43e8-bc93-6894a57f9324"
SHORT_KEY: Final = re.compile(r"[!#-~][!-~]{0,2}")
CURSOR: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
EXAMPLE_CURSOR: Final = (
    base64.urlsafe_b64encode(b"1795428008638.auth_a4gbyy22n7u252hjyacniu4l2").decode().rstrip("=")
)
"""A cursor as `handlers/payments_sandbox/services/ledger/listings.py` makes them, for when no listing was long enough to give one."""

MONEY_PATHS: Final = frozenset({"/v1/capture", "/v1/refund", "/v1/void", "/v1/increment"})
DISPUTES_PATH: Final = "/v1/disputes"
TAKING_BACK: Final = frozenset({"/v1/refund", DISPUTES_PATH})
"""What needs a captured payment; all else needs one that holds something."""

OPEN_TO: Final = {
    "/v1/disputes/{dispute_id}/evidence": ("needs_response", "warning_needs_response"),
    "/v1/disputes/{dispute_id}/accept": ("needs_response",),
    "/v1/disputes/{dispute_id}/escalate": ("warning_needs_response", "warning_under_review"),
}
"""Operation to the statuses of the disputes that are open to it."""
PAYMENT_AMOUNT: Final = 800_000
"""In minor units: more than the contract's examples capture and refund, less than the amounts that are triggers."""
YEARS_S: Final = 315_576_000
"""The furthest that one request moves the clock."""

URL_CHARACTERS_MAX: Final = 2048
ID_CHARACTERS_MAX: Final = 64

KEPT: Final = {"/v1/api-keys": 5, "/v1/webhook-endpoints": 3, "/v1/snapshots": 3}
"""How many of the newest of each are kept. An account can have twenty; then only 409 would be tested."""

PATH_IDS: Final = ("endpoint_id", "event_id", "inbox_id", "settlement_id", "snapshot_id")
MADE_IDS: Final = ("key_id", "endpoint_id", "snapshot_id")
DELIVERIES_KEPT: Final = 20

_ids: dict[str, deque[str]] = {name: deque(maxlen=3) for name in PATH_IDS}
_deliveries: dict[str, str] = {}
"""Delivery to endpoint."""
_held: dict[str, None] = {}
_captured: dict[str, None] = {}
_carried_out: set[str] = set()
"""The paths of the operations on a payment that have succeeded."""
_disputes: dict[str, str] = {}
"""Dispute to its status, when it was last heard of."""
_cursors: deque[str] = deque(maxlen=20)
_address: deque[str] = deque(maxlen=1)
"""Of the sandbox, once it has answered."""
_keys = count(1)
_made: dict[str, deque[str]] = {path: deque() for path in KEPT}


@schemathesis.hook
def before_call(_context: HookContext, case: AnyCase, _kwargs: dict[str, Any]) -> None:
    """Put real values in place of made-up ones; Schemathesis looks at the request again afterwards."""
    take_card_numbers_out(case)
    take_receiver(case)
    slow_time(case)
    tame_faults(case)
    take_ids(case)
    restore_the_present(case)
    take_dispute(case)
    name_anew(case)
    take_authorization(case)
    take_cursor(case)


@schemathesis.hook
def after_call(_context: HookContext, case: AnyCase, response: Response) -> None:
    """Remember what the sandbox gave out."""
    url = urlsplit(str(response.request.url))
    # A deployed sandbox has the name of its stage before the contract's paths.
    base_path = url.path.partition("/v1/")[0]
    _address.append(f"{url.scheme}://{url.netloc}{base_path}")
    note_ids(case, response)
    match case.method, case.path, response.status_code:
        case "POST", "/v1/authorize", 201:
            answer = response.json()
            if answer["status"] == "authorized":
                _held[answer["transaction_id"]] = None
        case "POST", path, 201 if path in MONEY_PATHS:
            _carried_out.add(path)
            note_balance(response.json())
        case "POST", path, 409 if path in MONEY_PATHS | TAKING_BACK and isinstance(case.body, dict):
            forget(path, case.body.get("authorization_id"))
        case "POST", path, 200 | 201 if path == DISPUTES_PATH or path in OPEN_TO:
            _carried_out.add(path)
            note_dispute(response.json())
        case "POST", path, 409 if path in OPEN_TO:
            _disputes.pop(str(case.path_parameters.get("dispute_id")), None)
        case "GET", _, 200 if is_json(response):
            note_cursor(response.json())
        case "POST", path, 201 if path in KEPT:
            answer = response.json()
            _made[path].append(next(answer[name] for name in MADE_IDS if name in answer))
            delete_old(path)
        case "POST", "/v1/snapshots/{snapshot_id}/restore", 200:
            # They are not in a snapshot.
            _deliveries.clear()


def take_receiver(case: AnyCase) -> None:
    """Replace every URL that the sandbox might send to by the one receiver that is there for it.

    No pattern tells the URLs that can be sent to; `tests/unit/adapters/webhooks/test_addresses.py` tries them. Values of a wrong
    type or length stay, as they are refused.
    """
    if case.path.startswith("/v1/webhook-endpoints") and isinstance(case.body, dict):
        given = case.body.get("url")
        if isinstance(given, str) and 0 < len(given) <= URL_CHARACTERS_MAX:
            case.body["url"] = os.environ["FUZZ_RECEIVER_URL"]


def take_card_numbers_out(case: AnyCase) -> None:
    """Leave card numbers in `card.number` only: the sandbox refuses them in every other text, which no schema can say.

    The fuzzer remembers the card numbers of the contract and uses them elsewhere, too.
    """
    for values in (case.headers, case.query):
        values.update(without_card_numbers(dict(values)))
    body: Any = case.body
    if isinstance(body, dict | list | str):
        case.body = without_card_numbers(body)
        if isinstance(body, dict) and isinstance(card := body.get("card"), dict) and "number" in card:
            replaced: Any = case.body
            replaced["card"]["number"] = card["number"]


def without_card_numbers(value: Any) -> Any:
    """The value, with an x for each digit of a text that holds a card number, names of members included."""
    match value:
        case dict():
            return {
                without_card_numbers(name): without_card_numbers(member) for name, member in value.items()
            }
        case list():
            return [without_card_numbers(member) for member in value]
        case str() if holds_card_number(value):
            return re.sub(r"\d", "x", value)
    return value


def slow_time(case: AnyCase) -> None:
    """Let the clock go forward by seconds: years on, no authorization would be left to capture, and then none to make."""
    if case.path == "/v1/clock/advance" and isinstance(case.body, dict):
        by, to = case.body.get("by_seconds"), case.body.get("to")
        if isinstance(by, int) and not isinstance(by, bool) and 1 <= by <= YEARS_S:
            case.body["by_seconds"] = by % 60 + 1
        if isinstance(to, str) and re.match(r"(20(2[7-9]|[3-9])|21)", to):
            case.body["to"] = "2026-01-01T00:00:00Z"


def tame_faults(case: AnyCase) -> None:
    """Replace every fault that can be asked for by one that does no more than wait. Those outside the grammar stay, as they
    are refused; `tests/integration/test_http_faults.py` asks for all the others."""
    if is_fault(case.headers.get(FAULT_HEADER)):
        case.headers[FAULT_HEADER] = TAME_FAULT
    rules = case.body.get("rules") if case.path == "/v1/faults" and isinstance(case.body, dict) else None
    if isinstance(rules, list):
        for rule in rules:
            if isinstance(rule, dict) and is_fault(rule.get("fault")):
                rule["fault"] = TAME_FAULT


def is_fault(given: Any) -> bool:
    """Whether the value is in the grammar of faults."""
    if not isinstance(given, str):
        return False
    try:
        parse_fault(given, "")
    except InvalidRequest:
        return False
    return True


def name_anew(case: AnyCase) -> None:
    """Replace idempotency keys that many requests share by one that belongs to this request.

    The contract shows one key, and generated keys shrink to `0`: all but the first request with such a key would be
    refused with 422, and nothing behind that would be tested. Longer keys stay, and meet again now and then. The new key
    comes from the request, so a repeat is a replay: Hypothesis gives up on scenarios that go another way the second time.
    """
    key = case.headers.get(KEY_HEADER)
    if isinstance(key, str) and (key == EXAMPLE_KEY or SHORT_KEY.fullmatch(key)):
        place = (case.path, case.path_parameters.get("dispute_id"))
        request = repr((place, key, case.headers.get(SIMULATE_HEADER), case.body))
        case.headers[KEY_HEADER] = "fuzz-" + hashlib.sha256(request.encode("utf-8", "replace")).hexdigest()


def take_authorization(case: AnyCase) -> None:
    """Replace most made-up authorization ids by one that exists and is open to the operation. The others test 404.

    Not in stateful scenarios, where the links bring real ids along.
    """
    if case.path not in MONEY_PATHS | TAKING_BACK or is_stateful(case):
        return
    if not isinstance(case.body, dict) or "authorization_id" not in case.body:
        return
    taking_back = case.path in TAKING_BACK
    known = _captured if taking_back else _held
    if case.path not in _carried_out and _address:
        # Until the operation has succeeded once, each request gets a payment of its own that is open to it.
        case.body.update(make_payment({KEY_HEADER: f"fuzz-payment-{next(_keys)}"}, captured=taking_back))
    elif known:
        case.body["authorization_id"] = replacement(case.body.get("authorization_id"), list(known))


def take_ids(case: AnyCase) -> None:
    """Replace most made-up ids in paths by one that was given out lately. The others test 404."""
    if is_stateful(case):
        return
    if "delivery_id" in case.path_parameters and not _deliveries and _ids["endpoint_id"]:
        make_delivery()
    if "settlement_id" in case.path_parameters and not _ids["settlement_id"] and _address:
        make_settlement()
    for name, known in {**_ids, "delivery_id": _deliveries}.items():
        if known and name in case.path_parameters:
            case.path_parameters[name] = replacement(case.path_parameters[name], list(known))
    last = list(_ids["endpoint_id"])
    if case.method == "DELETE" and last == [case.path_parameters.get("endpoint_id")]:
        # Without any endpoint there would be nothing to deliver to.
        case.path_parameters["endpoint_id"] = "we_another"


def take_dispute(case: AnyCase) -> None:
    """Replace most made-up ids of disputes by one that is open to the operation. The others test 404."""
    if is_stateful(case) or "dispute_id" not in case.path_parameters:
        return
    statuses = OPEN_TO.get(case.path, tuple(_disputes.values()))
    known = [dispute_id for dispute_id, status in _disputes.items() if status in statuses]
    if not known:
        # Schemathesis asks about disputes before it opens any, and closes them as soon as they are open.
        known = make_dispute(inquiry="warning_under_review" in statuses)
    if known:
        case.path_parameters["dispute_id"] = replacement(case.path_parameters["dispute_id"], known)


def make_dispute(*, inquiry: bool) -> list[str]:
    """Have a payment captured and disputed; answers the dispute's id, unless the sandbox has not answered yet."""
    if not _address:
        return []
    key = {KEY_HEADER: f"fuzz-dispute-{next(_keys)}"}
    body = {**make_payment(key, captured=True), "reason": "general", "inquiry": inquiry}
    dispute = _as_a_caller("POST", DISPUTES_PATH, json=body, headers=key).json()
    note_dispute(dispute)
    return [dispute["dispute_id"]]


def make_delivery() -> None:
    """Have a test event sent to the newest endpoint: Schemathesis asks for deliveries before it makes any."""
    endpoint_id = _ids["endpoint_id"][-1]
    made = _as_a_caller("POST", f"/v1/webhook-endpoints/{endpoint_id}/test")
    if made.status_code == 202:
        _deliveries[made.json()["delivery_id"]] = endpoint_id


def restore_the_present(case: AnyCase) -> None:
    """Have an account go back to a moment ago: what else is known would be gone with all that came after an older one."""
    restores = case.path == "/v1/snapshots/{snapshot_id}/restore" and case.method == "POST"
    if restores and case.path_parameters.get("snapshot_id") in _ids["snapshot_id"]:
        taken = _as_a_caller("POST", "/v1/snapshots", json={})
        if taken.status_code == 201:
            case.path_parameters["snapshot_id"] = taken.json()["snapshot_id"]
            _made["/v1/snapshots"].append(taken.json()["snapshot_id"])
            delete_old("/v1/snapshots")


def make_settlement() -> None:
    """Have a payment settled: most of what Schemathesis captures, it captures after it has asked for settlements."""
    make_payment({KEY_HEADER: "fuzz-settlement"}, captured=True)
    made = _as_a_caller("POST", "/v1/settlements", json={"discrepancies": ["late_fee"]}).json()
    _ids["settlement_id"].extend(settlement["settlement_id"] for settlement in made["data"])


def make_payment(key: dict[str, str], *, captured: bool) -> dict[str, Any]:
    """Authorize a payment under the key, and capture it if so asked; answers what names its authorization."""
    card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2050}
    body: dict[str, Any] = {"amount": PAYMENT_AMOUNT, "currency": "EUR", "card": card}
    paid = _as_a_caller("POST", "/v1/authorize", json=body, headers=key).json()
    about = {"authorization_id": paid["transaction_id"]}
    if captured:
        _as_a_caller("POST", "/v1/capture", json=about, headers=key).raise_for_status()
    (_captured if captured else _held)[about["authorization_id"]] = None
    return about


def replacement(given: Any, known: list[str]) -> Any:
    """One of `known` for three of four made-up ids that match the contract; the same for the same id."""
    if not isinstance(given, str) or not 0 < len(given) <= ID_CHARACTERS_MAX or given in known:
        return given
    place = zlib.crc32(given.encode("utf-8", "surrogatepass"))
    return known[place % len(known)] if place % 4 else given


def take_cursor(case: AnyCase) -> None:
    """Replace made-up cursors by one that a listing gave.

    A cursor is opaque. No pattern tells those of the sandbox from others, which it refuses with 400, as it should.
    """
    cursor = case.query.get("cursor") if case.query else None
    if isinstance(cursor, str) and CURSOR.fullmatch(cursor) and cursor not in _cursors:
        case.query["cursor"] = _cursors[-1] if _cursors else EXAMPLE_CURSOR


def is_stateful(case: AnyCase) -> bool:
    """Whether the case is a step of a scenario."""
    return case.meta is not None and case.meta.phase.name == "stateful"


def is_json(response: Response) -> bool:
    """A settlement's report may be a CSV."""
    return response.headers["content-type"] == ["application/json"]


def note_ids(case: AnyCase, response: Response) -> None:
    """Keep the ids of an answer, or of the entries of a page; forget what is deleted."""
    if case.method == "DELETE" and response.status_code == 204:
        forget_endpoint(case.path_parameters.get("endpoint_id"))
        forget_snapshot(case.path_parameters.get("snapshot_id"))
    elif case.method in ("GET", "POST") and response.status_code in (200, 201, 202) and is_json(response):
        answer = response.json()
        page = answer.get("data")
        for entry in reversed(page) if isinstance(page, list) else [answer]:
            if "delivery_id" in entry:
                # Its endpoint may be gone: that one is no news.
                if entry["endpoint_id"] in _ids["endpoint_id"]:
                    _deliveries[entry["delivery_id"]] = entry["endpoint_id"]
                continue
            for name, known in _ids.items():
                # An entry that is not settled yet has no settlement.
                if entry.get(name) is not None and entry[name] not in known:
                    known.append(entry[name])
        for oldest in list(_deliveries)[:-DELIVERIES_KEPT]:
            del _deliveries[oldest]


def forget_endpoint(endpoint_id: Any) -> None:
    """Leave out an endpoint that is deleted, and its deliveries."""
    if endpoint_id in _ids["endpoint_id"]:
        _ids["endpoint_id"].remove(endpoint_id)
    for delivery_id in [name for name, of in _deliveries.items() if of == endpoint_id]:
        del _deliveries[delivery_id]


def forget_snapshot(snapshot_id: Any) -> None:
    """Leave out a snapshot that is deleted."""
    if snapshot_id in _ids["snapshot_id"]:
        _ids["snapshot_id"].remove(snapshot_id)


def note_dispute(dispute: dict[str, Any]) -> None:
    """Keep a dispute, as what happened to it has left it."""
    _disputes[dispute["dispute_id"]] = dispute["status"]


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
        (_captured if path in TAKING_BACK else _held).pop(authorization_id, None)


def note_cursor(page: dict[str, Any]) -> None:
    """Keep the cursor of a listing's page."""
    cursor = page.get("next_cursor")
    if cursor is not None:
        _cursors.append(cursor)


def delete_old(path: str) -> None:
    """Delete what was made before the newest."""
    while len(_made[path]) > KEPT[path]:
        oldest = _made[path].popleft()
        forget_endpoint(oldest)
        forget_snapshot(oldest)
        _as_a_caller("DELETE", f"{path}/{oldest}")


def _as_a_caller(
    method: str, path: str, *, json: Any = None, headers: dict[str, str] | None = None
) -> requests.Response:
    """A request beside those of Schemathesis."""
    own = {"x-api-key": os.environ["FUZZ_API_KEY"], **(headers or {})}
    return requests.request(method, _address[-1] + path, json=json, headers=own, timeout=30)
