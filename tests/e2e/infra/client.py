"""A client of the sandbox for tests: one method per operation that they use often, and `send` for everything else.

Every answer is compared with the contract, so that each test is a test of the contract too.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

import httpx

from tests.e2e.infra.contract import load_contract
from tests.e2e.infra.server import DEADLINE_S, LOOPBACK

Json = dict[str, Any]

DEMO_KEY: Final = "sk_test_demo"
VISA: Final = "4242424242424242"
CONNECTIONS_MAX: Final = 64


class Client:
    """One account's view of a sandbox. Threads may share it."""

    dead_url = f"http://{LOOPBACK}:9/"
    """A URL that the sandbox may send webhooks to, and that refuses connections: the discard port."""

    def __init__(self, url: str, *, api_key: str | None = DEMO_KEY, checked: bool = True) -> None:
        """checked: compare every answer with the contract."""
        self.api_key = api_key
        # Here and not at the first answer, which many threads may get at once.
        self._contract = load_contract() if checked else None
        self._http = httpx.Client(
            base_url=url,
            timeout=DEADLINE_S,
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX),
            # No proxy that a shell may have configured.
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        params: Mapping[str, str | int] | None = None,
    ) -> httpx.Response:
        """Any request, with the API key unless there is none."""
        own = {} if self.api_key is None else {"x-api-key": self.api_key}
        response = self._http.request(
            method,
            path,
            json=json,
            content=content,
            headers=[*own.items(), *(headers.items() if isinstance(headers, Mapping) else headers)],
            params=params,
        )
        if self._contract is not None:
            self._contract.check(response)
        return response

    def get(self, path: str, **params: str | int) -> httpx.Response:
        return self.send("GET", path, params=params or None)

    def post(
        self, path: str, body: Json, *, key: str | None = None, simulate: str | None = None
    ) -> httpx.Response:
        """A request that moves money. key: the idempotency key; None makes a new one."""
        headers = {"X-Idempotency-Key": key or new_key()}
        if simulate is not None:
            headers["X-Sandbox-Simulate"] = simulate
        return self.send("POST", path, json=body, headers=headers)

    def authorize(
        self, amount: int = 1000, *, key: str | None = None, simulate: str | None = None, **changes: Any
    ) -> httpx.Response:
        """An authorization; `changes` replaces members of the body."""
        return self.post("/v1/authorize", authorize_body(amount, **changes), key=key, simulate=simulate)

    def capture(self, authorization_id: str, *, key: str | None = None, **body: Any) -> httpx.Response:
        return self.post("/v1/capture", {"authorization_id": authorization_id, **body}, key=key)

    def refund(self, authorization_id: str, *, key: str | None = None, **body: Any) -> httpx.Response:
        return self.post("/v1/refund", {"authorization_id": authorization_id, **body}, key=key)

    def void(self, authorization_id: str, *, key: str | None = None, **body: Any) -> httpx.Response:
        return self.post("/v1/void", {"authorization_id": authorization_id, **body}, key=key)

    def increment(
        self, authorization_id: str, amount: int, *, key: str | None = None, **body: Any
    ) -> httpx.Response:
        body = {"authorization_id": authorization_id, "amount": amount, **body}
        return self.post("/v1/increment", body, key=key)

    def transaction(self, transaction_id: str) -> Json:
        """A transaction that is there, with its family."""
        return accepted(self.get(f"/v1/transactions/{transaction_id}"), 200)

    @contextmanager
    def new_account(self, name: str | None = None) -> Iterator["Client"]:
        """A client of an account that nobody else uses. It may make 100 requests a minute."""
        made = self.create_account({} if name is None else {"name": name})
        with Client(str(self._http.base_url), api_key=made["api_key"]["secret"]) as client:
            yield client

    def create_account(self, body: Json) -> Json:
        """An account with its API key."""
        return accepted(self.send("POST", "/v1/accounts", json=body), 201)


def authorize_body(amount: int = 1000, **changes: Any) -> Json:
    """The body of an authorization that is approved."""
    return {"amount": amount, "currency": "EUR", "card": card(), **changes}


def card(number: str = VISA, **changes: Any) -> Json:
    """A card that does not expire while this test is in use."""
    return {"number": number, "exp_month": 12, "exp_year": 2099, **changes}


def new_key() -> str:
    """An idempotency key that nobody has used."""
    return f"test-{uuid4()}"


def accepted(response: httpx.Response, status: int) -> Json:
    """The body of a response of this status."""
    assert response.status_code == status, f"{response.status_code} instead of {status}: {response.text}"
    body: Json = response.json()
    return body


def refused(response: httpx.Response, status: int, code: str) -> Json:
    """The problem of a response of this status and code."""
    problem = accepted(response, status)
    assert problem["code"] == code, problem
    return problem
