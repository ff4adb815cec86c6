"""What the contract says about a response, checked by a validator that is not the sandbox's own.

`jsonschema` reads the contract's schemas as draft 4, plus the one thing of OpenAPI 3.0 that matters for responses:
`nullable`. Every response that `client.py` gets passes through here.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

import httpx
import yaml
from jsonschema import Draft4Validator, FormatChecker
from jsonschema.validators import extend

from tests.e2e.infra.server import ROOT

Json = dict[str, Any]

CONTRACT_FILE: Final = ROOT / "openapi" / "payments.yaml"
METHODS: Final = ("get", "put", "post", "patch", "delete")


class ContractBroken(AssertionError):
    """A response that the contract does not describe."""


def _nullable_type(validator: Any, types: Any, instance: Any, schema: Json) -> Iterator[Any]:
    if instance is not None or not schema.get("nullable"):
        yield from Draft4Validator.VALIDATORS["type"](validator, types, instance, schema)


_Validator: Final = extend(Draft4Validator, {"type": _nullable_type})  # type: ignore[no-untyped-call]


class Contract:
    """The contract, as far as it is about responses."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self.operations: dict[tuple[str, str], Json] = {
            (method.upper(), path): item[method]
            for path, item in document["paths"].items()
            for method in METHODS
            if method in item
        }
        self._patterns = [
            (re.compile(re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(path))), path)
            for path in document["paths"]
        ]

    def resolve(self, node: Any) -> Any:
        """What a `$ref` leads to; other nodes are returned as they are."""
        while isinstance(node, dict) and "$ref" in node:
            target: Any = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    def find(self, method: str, path: str) -> Json | None:
        """The operation that a request without its query meant; None when there is none.

        path: as it stands in the URL, which for a stage of API Gateway has more before the contract's own.
        """
        before, version, rest = path.partition("/v1/")
        path = version + rest or before
        # A path without parameters comes before one with them.
        for template in [
            path,
            *(template for pattern, template in self._patterns if pattern.fullmatch(path)),
        ]:
            if (method, template) in self.operations:
                return self.operations[method, template]
        return None

    def faults(self, instance: Any, schema: Mapping[str, Any]) -> list[str]:
        """What is wrong with a value of this schema."""
        whole = {**schema, "components": self.document["components"]}
        validator = _Validator(whole, format_checker=FormatChecker())
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(instance)]

    def check(self, response: httpx.Response) -> None:
        """Status, media type, headers and body are those of the contract. Raises ContractBroken."""
        request = response.request
        method = "GET" if request.method == "HEAD" else request.method
        operation = self.find(method, request.url.path)
        if operation is None:
            return
        status = str(response.status_code)
        if status not in operation["responses"]:
            raise ContractBroken(f"{operation['operationId']} does not document {status}: {response.text}")
        described = self.resolve(operation["responses"][status])
        complaints = [*self._header_faults(response, described), *self._body_faults(response, described)]
        if complaints:
            raise ContractBroken(f"{operation['operationId']} {status}: {'; '.join(complaints)}")

    def _header_faults(self, response: httpx.Response, described: Json) -> Iterator[str]:
        for name, reference in described.get("headers", {}).items():
            header = self.resolve(reference)
            if name in response.headers:
                yield from self.faults(response.headers[name], header["schema"])
            elif header.get("required"):
                yield f"the header {name} is missing"

    def _body_faults(self, response: httpx.Response, described: Json) -> Iterator[str]:
        content = described.get("content", {})
        if not content:
            if response.content:
                yield "there is a body, and the contract has none"
            return
        media_type = response.headers.get("content-type", "none").partition(";")[0]
        if media_type not in content:
            yield f"the media type is {media_type}, not {' or '.join(content)}"
        elif response.request.method != "HEAD":
            body = response.json() if media_type.endswith("json") else response.text
            yield from self.faults(body, content[media_type]["schema"])


@cache
def load_contract() -> Contract:
    """The contract of this checkout."""
    return Contract(yaml.load(CONTRACT_FILE.read_bytes(), yaml.CSafeLoader))
