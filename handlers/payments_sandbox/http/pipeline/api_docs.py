"""What the server says about itself: the contract as `/openapi.json` and `/openapi.yaml`, and Swagger UI at `/docs`,
to which `/` leads.

Not Connexion's own Swagger UI: that one copies and validates the whole contract at each request for it, and brings
Jinja along. Imported only where it is switched on, which is never in Lambda.
"""

from collections.abc import Iterator, Mapping
from functools import cache, partial
from typing import Any, Final

import orjson
import swagger_ui_bundle  # type: ignore[import-untyped]
import yaml
from starlette.types import ASGIApp, Receive, Scope, Send

from payments_sandbox.http.replies import HttpResponse, send_reply
from payments_sandbox.services.accounts.accounts import DEMO_API_KEY

DOCS_PATH: Final = "/docs"

_FILES: Final = {
    "swagger-ui.css": b"text/css; charset=utf-8",
    "swagger-ui-bundle.js": b"text/javascript; charset=utf-8",
    "favicon-32x32.png": b"image/png",
}
_POLICY: Final = b"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
_PAGE: Final = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Payments sandbox: API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
"""
# The demo account's key is filled in: who opens the page can try a payment at once.
_START: Final = f"""const ui = SwaggerUIBundle({{
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  tryItOutEnabled: true,
  validatorUrl: null,
  onComplete: () => ui.preauthorizeApiKey("ApiKey", "{DEMO_API_KEY}"),
}});
""".encode()


class ApiDocs:
    """The documents, by path. Each is made when it is first asked for, and then kept."""

    def __init__(self, contract: Mapping[str, Any]) -> None:
        self._contract = contract
        names = [*_FILES, "start.js"]
        self._paths = ["/", "/openapi.json", "/openapi.yaml", DOCS_PATH, f"{DOCS_PATH}/"]
        self._paths += [f"{DOCS_PATH}/{name}" for name in names]
        self._get = cache(self._make)

    def apps(self) -> Iterator[tuple[str, ASGIApp]]:
        """Each path, and what serves it."""
        for path in self._paths:
            yield path, partial(self._serve, path)

    async def _serve(self, path: str, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send_reply(send, self._get(path))

    def _make(self, path: str) -> HttpResponse:
        if path == "/":
            return HttpResponse(307, [(b"location", DOCS_PATH.encode()), (b"content-length", b"0")], b"")
        if path == "/openapi.json":
            return _reply(b"application/json", orjson.dumps(self._contract))
        if path == "/openapi.yaml":
            text = yaml.dump(self._contract, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
            return _reply(b"application/yaml", text.encode())
        name = path.removeprefix(DOCS_PATH).removeprefix("/")
        if name in _FILES:
            return _reply(_FILES[name], (swagger_ui_bundle.swagger_ui_path / name).read_bytes())
        if name == "start.js":
            return _reply(_FILES["swagger-ui-bundle.js"], _START)
        return _reply(b"text/html; charset=utf-8", _PAGE, (b"content-security-policy", _POLICY))


def _reply(content_type: bytes, body: bytes, *headers: tuple[bytes, bytes]) -> HttpResponse:
    length = str(len(body)).encode()
    return HttpResponse(200, [(b"content-type", content_type), (b"content-length", length), *headers], body)
