"""Faults of a running sandbox: real connections are cut, and a lost response is found again under the same key."""

import socket
import time
from urllib.parse import urlsplit

import httpx
import pytest

from tests.e2e.infra.client import Client, accepted, authorize_body, new_key, refused
from tests.e2e.infra.server import DEADLINE_S, Server

pytestmark = pytest.mark.e2e

FAULT = "X-Sandbox-Fault"
NO_CUT = "no connection can be cut behind API Gateway"
CUT = (httpx.RemoteProtocolError, httpx.ReadError)


def authorize(client: Client, key: str, fault: str) -> httpx.Response:
    headers = {"X-Idempotency-Key": key, FAULT: fault}
    return client.send("POST", "/v1/authorize", json=authorize_body(1051), headers=headers)


@pytest.mark.local_only(NO_CUT)
def test_a_payment_whose_response_was_lost_is_found_again_under_its_key(shop: Client) -> None:
    key = new_key()
    with pytest.raises(CUT):
        authorize(shop, key, "lose_response")
    (written,) = accepted(shop.get("/v1/transactions"), 200)["data"]
    replay = shop.authorize(1051, key=key)
    assert accepted(replay, 201)["transaction_id"] == written["transaction_id"]
    assert replay.headers["Idempotent-Replayed"] == "true"
    assert len(accepted(shop.get("/v1/transactions"), 200)["data"]) == 1


@pytest.mark.local_only(NO_CUT)
def test_a_capture_is_not_made_twice_although_its_response_was_lost(shop: Client) -> None:
    authorization = accepted(shop.authorize(1000), 201)["transaction_id"]
    rules = {"rules": [{"fault": "lose_response", "operations": ["capture_payment"], "count": 1}]}
    accepted(shop.send("PUT", "/v1/faults", json=rules), 200)
    key = new_key()
    with pytest.raises(CUT):
        shop.capture(authorization, amount=400, key=key)
    assert accepted(shop.capture(authorization, amount=400, key=key), 201)["amount"] == 400
    assert shop.transaction(authorization)["balance"]["captured_amount"] == 400
    assert accepted(shop.get("/v1/faults"), 200)["rules"][0]["fired"] == 1


@pytest.mark.local_only(NO_CUT)
def test_a_dropped_connection_leaves_nothing(shop: Client) -> None:
    key = new_key()
    with pytest.raises(CUT):
        authorize(shop, key, "drop_connection")
    assert accepted(shop.get("/v1/transactions"), 200)["data"] == []
    response = shop.authorize(1051, key=key)
    accepted(response, 201)
    assert "Idempotent-Replayed" not in response.headers


@pytest.mark.local_only(NO_CUT)
def test_a_cut_connection_ends_without_a_byte(server: Server, shop: Client) -> None:
    address = urlsplit(server.url)
    request = (
        f"GET /v1/transactions HTTP/1.1\r\nhost: {address.netloc}\r\nx-api-key: {shop.api_key}\r\n"
        "x-sandbox-fault: drop_connection\r\n\r\n"
    )
    with socket.create_connection(
        (address.hostname or "", address.port or 0), timeout=DEADLINE_S
    ) as connection:
        connection.sendall(request.encode())
        assert connection.recv(1024) == b""


@pytest.mark.local_only("it reads the log of the server process")
def test_the_server_logs_no_error_when_it_cuts_a_connection(own_server: Server) -> None:
    with own_server, Client(own_server.url) as client:
        for fault in ("lose_response", "drop_connection"):
            with pytest.raises(CUT):
                authorize(client, new_key(), fault)
        accepted(client.get("/v1/transactions"), 200)
        own_server.stop()
        logged = own_server.stderr.read_text()
    assert '"fault": "lose_response"' in logged or '"fault":"lose_response"' in logged
    assert "Traceback" not in logged
    assert '"error"' not in logged


def test_latency_is_added(shop: Client) -> None:
    started = time.monotonic()
    response = authorize(shop, new_key(), "latency=300")
    assert accepted(response, 201)["status"] == "authorized"
    assert time.monotonic() - started >= 0.3
    assert response.headers[FAULT] == "latency=300"


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("error=502", 502, "bad_gateway"),
        ("lose_response=504", 504, "gateway_timeout"),
        ("rate_limit=3", 429, "rate_limit_exceeded"),
        ("store_unavailable", 503, "store_unavailable"),
    ],
)
def test_errors_are_those_of_the_contract(shop: Client, fault: str, status: int, code: str) -> None:
    response = authorize(shop, new_key(), fault)
    refused(response, status, code)
    assert response.headers[FAULT] == fault
    if status in (429, 503):
        assert int(response.headers["Retry-After"]) >= 1


def test_rules_are_an_account_s_own_and_gone_once_deleted(shop: Client, demo: Client) -> None:
    accepted(shop.send("PUT", "/v1/faults", json={"rules": [{"fault": "error=503"}]}), 200)
    refused(shop.get("/v1/transactions"), 503, "service_unavailable")
    accepted(demo.get("/v1/transactions", limit=1), 200)
    assert shop.send("DELETE", "/v1/faults").status_code == 204
    accepted(shop.get("/v1/transactions"), 200)
