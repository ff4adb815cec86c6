"""One scenario, sent to several homes of the sandbox, and their answers made comparable.

What two runs can never have in common is replaced: ids by numbers in the order of their appearance, so that what refers to
the same still does; times, secrets and cursors by words. Everything else of a body, and the headers of `HEADERS`, has to be
the same. Rate limits are left out: only the embedded home counts requests itself.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
import yaml

from tests.e2e.infra.client import Client
from tests.e2e.infra.server import ROOT

SCENARIO: Final = ROOT / "contracts" / "parity" / "scenario.yaml"

HEADERS: Final = ("content-type", "allow", "cache-control", "idempotent-replayed", "location", "vary",
                  "access-control-allow-origin", "access-control-allow-methods")  # fmt: skip

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")
_SECRET: Final = re.compile(r"(?:sk_test|whsec)_[A-Za-z0-9+/=]+")
_ID: Final = re.compile(r"\b(?:evt_)?([a-z]{2,6})_[A-Za-z0-9]{16,}(?:_\d+)?\b")
_WORDS: Final = {
    "request_id": "<request id>",
    "next_cursor": "<cursor>",
    "acquirer_reference": "<reference>",
    "authorization_code": "<code>",
    "rrn": "<number>",
    "stan": "<number>",
    "ahead_milliseconds": "<milliseconds>",
}
"""Members that are made up, or follow from secrets and times."""


@dataclass(frozen=True, slots=True)
class Step:
    """A request. caller: `the account`, `nobody` or `a stranger`. differs: why the answers need not be the same."""

    name: str
    method: str
    path: str
    caller: str
    headers: Mapping[str, str]
    body: bytes | None
    keep: Mapping[str, str]
    differs: str | None
    may_have_another_status: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What a home answered, made comparable."""

    status: int
    headers: Mapping[str, str]
    body: Any


def read_scenario() -> list[Step]:
    """The steps, in their order."""
    return [step_of(described) for described in yaml.safe_load(SCENARIO.read_text("utf-8"))]


def step_of(described: Mapping[str, Any]) -> Step:
    method, path = described["send"].split(" ", 1)
    headers = dict(described.get("headers", {}))
    body: bytes | None = None
    if "body" in described:
        body = json.dumps(described["body"]).encode()
    elif "text" in described:
        body = described["text"].encode()
    elif "bytes" in described:
        body = bytes.fromhex(described["bytes"])
    if body is not None:
        headers["Content-Type"] = described.get("type", "application/json")
    if "key" in described:
        headers["X-Idempotency-Key"] = described["key"]
    return Step(
        name=described["step"],
        method=method,
        path=path,
        caller=described.get("as", "the account"),
        headers=headers,
        body=body,
        keep=described.get("keep", {}),
        differs=described.get("differs"),
        may_have_another_status=described.get("also status", False),
    )


def walk(account: Client, url: str) -> Iterator[Answer]:
    """Send the scenario as this account. url: of the home. The contract is compared with every answer on the way."""
    kept: dict[str, str] = {}
    comparable = Comparable(url)
    with Client(url, api_key=None) as nobody, Client(url, api_key="sk_test_unknown") as stranger:
        callers = {"the account": account, "nobody": nobody, "a stranger": stranger}
        for step in read_scenario():
            response = callers[step.caller].send(
                step.method,
                filled(step.path, kept),
                content=None
                if step.body is None
                else filled(step.body.decode("latin-1"), kept).encode("latin-1"),
                headers=step.headers,
            )
            kept |= {name: str(member(response.json(), path)) for name, path in step.keep.items()}
            yield comparable.answer(response)


def filled(text: str, kept: Mapping[str, str]) -> str:
    """The text with what was kept in place of its {name}."""
    for name, value in kept.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def member(body: Any, path: str) -> Any:
    for part in path.split("."):
        body = body[int(part)] if isinstance(body, list) else body[part]
    return body


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Where two values are not the same, and what stands there."""
    match ours, theirs:
        case dict(), dict():
            for name in ours.keys() | theirs.keys():
                yield from differences(ours.get(name), theirs.get(name), f"{path}/{name}")
        case list(), list() if len(ours) == len(theirs):
            for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
                yield from differences(one, other, f"{path}/{index}")
        case _ if ours != theirs:
            yield f"{path}: {ours!r} and {theirs!r}"


class Comparable:
    """Makes the answers of one home comparable. url: where it says that it is reached is replaced too."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers: dict[str, dict[str, int]] = defaultdict(dict)

    def answer(self, response: httpx.Response) -> Answer:
        headers = {name: response.headers[name] for name in HEADERS if name in response.headers}
        if "vary" in headers:
            headers["vary"] = headers["vary"].lower()
        if not response.content:
            # API Gateway gives a type to nothing, too.
            headers.pop("content-type", None)
        is_json = "json" in headers.get("content-type", "")
        return Answer(
            response.status_code, headers, self._value(response.json()) if is_json else response.text
        )

    def _value(self, value: Any) -> Any:
        match value:
            case dict():
                return {name: self._member(value, name, each) for name, each in value.items()}
            case list():
                return [self._value(each) for each in value]
            case str():
                return self._text(value)
            case _:
                return value

    def _member(self, owner: Mapping[str, Any], name: str, value: Any) -> Any:
        if value is not None and (name in _WORDS or (name == "last4" and "key_id" in owner)):
            return _WORDS.get(name, "<last four>")
        if name == "url" and "inbox_id" in owner:
            return "<url>" + self._text(value[value.index("/v1/") :])
        return self._value(value)

    def _text(self, text: str) -> str:
        text = _SECRET.sub("<secret>", _TIME.sub("<time>", text))
        return _ID.sub(lambda found: self._number(found[0], found[1]), text)

    def _number(self, identifier: str, prefix: str) -> str:
        known = self._numbers[prefix]
        return f"<{prefix} {known.setdefault(identifier, len(known) + 1)}>"
