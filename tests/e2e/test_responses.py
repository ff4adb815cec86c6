"""What every response has in common, whichever operation it answers, and the documents beside the API."""

import json
from collections.abc import Iterator, Mapping

import httpx
import pytest
import yaml

from tests.e2e.infra.client import Client, authorize_body, new_key, refused
from tests.e2e.infra.contract import load_contract
from tests.e2e.infra.sandbox import Sandbox

pytestmark = pytest.mark.e2e

ALLOWED_ORIGIN = "http://localhost:5173"
FOREIGN_ORIGIN = "https://elsewhere.example"
NO_DOCUMENTS = "the AWS deployment serves no documents"


def every_kind_of_response(shop: Client) -> Iterator[httpx.Response]:
    yield shop.authorize(1000)
    yield shop.authorize(0)
    yield shop.get("/v1/account")
    yield shop.get("/v1/transactions/auth_unknown")
    yield shop.get("/v1/health")
    yield shop.get("/v1/nowhere")
    yield shop.get("/nowhere")
    yield shop.send("PATCH", "/v1/authorize")
    yield shop.send("OPTIONS", "/v1/authorize")
    yield shop.send("HEAD", "/v1/account")
    yield shop.send("POST", "/v1/authorize", content=b"amount=1", headers={"Content-Type": "text/plain"})
    yield shop.send(
        "POST", "/v1/authorize", content=b"{" * 20_000, headers={"Content-Type": "application/json"}
    )
    yield shop.send("GET", "/docs")


def test_every_response_carries_its_id_and_is_not_cached(shop: Client) -> None:
    ids = set()
    for response in every_kind_of_response(shop):
        request_id = response.headers["x-request-id"]
        assert request_id not in ids
        ids.add(request_id)
        assert response.headers["cache-control"] == "no-store"
        assert "server" not in response.headers
        if response.status_code >= 400:
            assert response.headers["content-type"] == "application/problem+json"
            assert response.json()["request_id"] == request_id
            assert response.json()["status"] == response.status_code


@pytest.mark.local_only("the gateway makes request ids of another form; test_gateway.py")
def test_a_callers_request_id_is_kept_when_it_is_harmless(shop: Client) -> None:
    kept = shop.send("GET", "/v1/account", headers={"X-Request-Id": "my-request.1"})
    assert kept.headers["x-request-id"] == "my-request.1"
    for strange in ("two words", "4242424242424242", "x" * 65, "a<b>"):
        response = shop.send("GET", "/v1/account", headers={"X-Request-Id": strange})
        assert response.headers["x-request-id"].startswith("req_")


def test_unknown_paths_and_methods_are_told_apart(demo: Client) -> None:
    for path in ("/v1/nowhere", "/v1/authorize/", "/v1", "/nowhere", "/v1/transactions/a/b"):
        refused(demo.get(path), 404, "route_not_found")
    response = demo.send("DELETE", "/v1/api-keys")
    refused(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize("path", ["/v1/transactions/{}", "/v1/cards/{}"])
@pytest.mark.parametrize(
    "identifier", ["a%0Ab", "a%0A", "%0A", "a%0Db", "a%00b", "%C3%A9", "%E2%80%A8", "a;b", "%25"]
)
def test_ids_of_strange_characters_are_not_found(demo: Client, path: str, identifier: str) -> None:
    """A line feed once led to a 500."""
    assert demo.get(path.format(identifier)).status_code == 404


def test_only_json_is_read(demo: Client) -> None:
    body = json.dumps(authorize_body()).encode()
    statuses: Mapping[str, int] = {
        "application/json": 201,
        "Application/JSON; charset=utf-8": 201,
        "text/plain": 415,
        "application/x-www-form-urlencoded": 415,
        "application/json; charset=latin-1": 400,
    }
    for media_type, status in statuses.items():
        headers = {"Content-Type": media_type, "X-Idempotency-Key": new_key()}
        response = demo.send("POST", "/v1/authorize", content=body, headers=headers)
        assert response.status_code == status, media_type
    response = demo.send("POST", "/v1/authorize", content=body, headers={"X-Idempotency-Key": new_key()})
    refused(response, 415, "unsupported_media_type")


# CORS and documents


def test_pages_of_an_allowed_origin_may_call_the_api(demo: Client) -> None:
    preflight = demo.send(
        "OPTIONS",
        "/v1/authorize",
        headers={
            "Origin": ALLOWED_ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-api-key, x-idempotency-key, content-type",
        },
    )
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
    assert "POST" in preflight.headers["access-control-allow-methods"]
    allowed = {name.strip() for name in preflight.headers["access-control-allow-headers"].lower().split(",")}
    assert {"x-api-key", "x-idempotency-key", "content-type", "x-request-id", "x-sandbox-simulate"} <= allowed
    response = demo.send("GET", "/v1/account", headers={"Origin": ALLOWED_ORIGIN})
    assert response.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
    exposed = {name.strip() for name in response.headers["access-control-expose-headers"].lower().split(",")}
    assert {"x-request-id", "ratelimit", "ratelimit-policy", "retry-after", "idempotent-replayed"} <= exposed
    assert "origin" in response.headers["vary"].lower()


@pytest.mark.local_only("pages of any origin may read the gateway's own errors; test_gateway.py")
def test_errors_can_be_read_by_pages_of_an_allowed_origin(sandbox: Sandbox) -> None:
    with Client(sandbox.url, api_key=None) as anonymous:
        for path in ("/v1/account", "/v1/nowhere"):
            response = anonymous.send("GET", path, headers={"Origin": ALLOWED_ORIGIN})
            assert response.headers["access-control-allow-origin"] == ALLOWED_ORIGIN


@pytest.mark.parametrize("origin", [FOREIGN_ORIGIN, "null", ALLOWED_ORIGIN + ".elsewhere.example"])
def test_pages_of_a_foreign_origin_may_not(demo: Client, origin: str) -> None:
    preflight = demo.send(
        "OPTIONS", "/v1/authorize", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
    )
    response = demo.send("GET", "/v1/account", headers={"Origin": origin})
    for answer in (preflight, response):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert "origin" in answer.headers["vary"].lower()


@pytest.mark.local_only(NO_DOCUMENTS)
def test_the_contract_is_served_in_both_forms(demo: Client) -> None:
    document = json.loads(json.dumps(load_contract().document, default=str))
    as_json = demo.get("/openapi.json")
    as_yaml = demo.get("/openapi.yaml")
    assert as_json.headers["content-type"] == "application/json"
    assert as_json.json() == yaml.safe_load(as_yaml.text)
    assert as_json.json()["paths"].keys() == document["paths"].keys()
    assert as_json.json()["components"]["schemas"] == document["components"]["schemas"]


@pytest.mark.local_only(NO_DOCUMENTS)
def test_the_documentation_page_and_all_that_it_needs_come_from_the_sandbox(demo: Client) -> None:
    root = demo.get("/")
    assert (root.status_code, root.headers["location"]) == (307, "/docs")
    page = demo.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text
    assert "https://" not in page.text
    files = [part.split('"')[0] for part in page.text.replace("'", '"').split('="/')[1:]]
    assert files
    for file in files:
        assert demo.get(f"/{file}").status_code == 200, file
