"""The API as the commands call it: a key that is never shown, failures as one line, patience, and a pace.

Knows no operation: `event_feed.py` and `trigger.py` do. Follows no redirect, which would carry the key elsewhere.
"""

import re
import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Self

import httpx

from payments_sandbox.domain.ids import API_KEY_PATTERN
from payments_sandbox.domain.version import VERSION
from payments_sandbox.domain.webhook_urls import UrlFault, is_this_machine, split_url
from payments_sandbox.entrypoints.pace import Pace
from payments_sandbox.services.accounts.accounts import DEMO_API_KEY
from payments_sandbox.settings import ClientSettings, SettingsError

Json = dict[str, Any]

TIMEOUT_S: Final = 30
"""How long a call may take: a deployed sandbox may have to start first."""

TRIES_MAX: Final = 4
"""How often an impatient caller tries a call that the API answers with 429 or 5xx."""

IMPATIENT_WAIT_MAX_S: Final = 30

BACKOFF_FIRST_S: Final = 0.25
BACKOFF_MAX_S: Final = 5.0
RETRY_AFTER_MAX_S: Final = 3_600
WAIT_TOLD_S: Final = 10
"""Waits for the plan that are shorter are not worth a word."""

_KEY: Final = re.compile(API_KEY_PATTERN)


class CallFailed(Exception):
    """A call that came to nothing; the message is one line. transient: the same call may succeed later."""

    def __init__(self, message: str, *, transient: bool, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.transient = transient
        self.retry_after_s = retry_after_s


class Unreachable(CallFailed):
    """There was no answer."""


class Refused(CallFailed):
    """An answer that is none of the sandbox's results. problem: what it said, with `code` and `detail` at least."""

    def __init__(self, status: int, problem: Json, retry_after_s: int | None) -> None:
        super().__init__(
            describe_problem(problem), transient=status == 429 or status >= 500, retry_after_s=retry_after_s
        )
        self.status = status
        self.problem = problem


class ApiClient:
    """One sandbox and one key.

    tell: hears of an outage, and of its end; given, transient failures are waited out, however long they last, and else
    only answers that ask to try again are, a few times.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        tell: Callable[[str], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url
        self.pace = Pace()
        self._tell = tell
        self._sleep = sleep
        self._http = httpx.Client(
            headers={"x-api-key": api_key, "user-agent": f"payments-sandbox/{VERSION}"},
            timeout=TIMEOUT_S,
            transport=transport,
            # A proxy for the internet knows nothing of this machine's own ports.
            trust_env=not is_loopback(url),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Json:
        """Read. Raises CallFailed."""
        return self._call(lambda: self._http.get(self.url + path, params=query))

    def post(self, path: str, body: Json | None, headers: Mapping[str, str]) -> Json:
        """Do; the headers hold an idempotency key, under which it may be tried again. Raises CallFailed."""
        return self._call(lambda: self._http.post(self.url + path, json=body, headers=headers))

    def _call(self, send: Callable[[], httpx.Response]) -> Json:
        failures, told = 0, False
        while True:
            try:
                answer = self._once(send)
            except CallFailed as failure:
                failures += 1
                if not self._worth_waiting(failure, failures):
                    raise
                wait_s = max(_backoff_s(failures), failure.retry_after_s or 0)
                if self._tell is not None and not told and _worth_telling(failure, failures, wait_s):
                    self._tell(f"{failure}; waiting until it answers")
                    told = True
                self._sleep(wait_s)
            else:
                if told and self._tell is not None:
                    self._tell(f"{self.url} answers again")
                return answer

    def _worth_waiting(self, failure: CallFailed, failures: int) -> bool:
        if self._tell is not None:
            return failure.transient
        asked_s = failure.retry_after_s or 0
        answered = isinstance(failure, Refused) and failure.transient
        return answered and failures < TRIES_MAX and asked_s <= IMPATIENT_WAIT_MAX_S

    def _once(self, send: Callable[[], httpx.Response]) -> Json:
        try:
            response = send()
        except httpx.RequestError as error:
            hint = "; `payments-sandbox serve` starts one" if is_loopback(self.url) else ""
            message = f"cannot reach a sandbox at {self.url}: {reason_of(error)}{hint}"
            raise Unreachable(message, transient=True) from error
        self.pace.observe(response.headers)
        try:
            body = response.json()
        except ValueError:
            body = None
        if response.is_success and isinstance(body, dict):
            return body
        raise Refused(response.status_code, _problem(response, body), _retry_after_s(response))


def describe_problem(problem: Json) -> str:
    """Code, detail and the fields at fault, in one line."""
    fields = [
        f"{error.get('pointer')}: {error.get('detail')}"
        for error in problem.get("errors") or []
        if isinstance(error, dict)
    ]
    request = f" [{problem['request_id']}]" if problem.get("request_id") else ""
    return (
        f"{problem['code']}: {problem['detail']}{' (' + '; '.join(fields) + ')' if fields else ''}{request}"
    )


def parse_url(text: str) -> str:
    """Where a sandbox is: `http://` may be left out, `/v1` and a slash at the end are not needed. Raises
    ArgumentTypeError."""
    url = with_scheme(text)
    if "?" in url:
        raise ArgumentTypeError("the sandbox's URL has no query")
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def with_scheme(text: str) -> str:
    """A URL as people type it, with `http://` before it where there is no scheme. Raises ArgumentTypeError."""
    url = text if "://" in text else f"http://{text}"
    try:
        split_url(url)
    except UrlFault as fault:
        raise ArgumentTypeError(f"no URL that can be used: {fault}") from fault
    return url


def is_loopback(url: str) -> bool:
    """Whether the URL is one of this machine's own ports."""
    return is_this_machine(split_url(url).host)


def choose_api_key(settings: ClientSettings, url: str) -> str:
    """The key of the environment; for a sandbox on this machine the demo account's will do. Raises SettingsError."""
    key = settings.api_key.strip()
    if not key and is_loopback(url):
        return DEMO_API_KEY
    if _KEY.fullmatch(key) is None:
        fault = "does not hold an API key" if key else "is not set"
        raise SettingsError(f"SANDBOX_API_KEY {fault}: export the key of the account at {url}")
    return key


def reason_of(error: BaseException) -> str:
    """Why a connection came to nothing, in the operating system's words where there are any."""
    for cause in causes_of(error):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return str(error) or type(error).__name__


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """The error, and what led to it."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _backoff_s(failures: int) -> float:
    return min(BACKOFF_MAX_S, BACKOFF_FIRST_S * (1 << min(failures - 1, 10)))


def _worth_telling(failure: CallFailed, failures: int, wait_s: float) -> bool:
    """Not the short waits that a plan asks for, nor a kept connection that the other side had just closed."""
    if isinstance(failure, Refused) and failure.status == 429:
        return wait_s >= WAIT_TOLD_S
    return failures > 1


def _retry_after_s(response: httpx.Response) -> int | None:
    text = response.headers.get("retry-after", "")
    return min(int(text), RETRY_AFTER_MAX_S) if re.fullmatch("[0-9]{1,9}", text) else None


def _problem(response: httpx.Response, body: object) -> Json:
    """What the answer says of itself: a problem of the sandbox, or whatever stands between it and here."""
    known = body if isinstance(body, dict) else {}
    if isinstance(known.get("code"), str) and isinstance(known.get("detail"), str):
        return known
    said = known.get("message") or response.reason_phrase or "no reason given"
    detail = f"{response.url.host} answered {response.status_code} {said}"
    if response.status_code < 500:
        detail += "; is it the URL of a payments sandbox, and the key one of its accounts'?"
    return {"code": "unexpected_answer", "detail": detail, "errors": [], "status": response.status_code}
