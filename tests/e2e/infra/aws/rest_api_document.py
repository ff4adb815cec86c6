"""A REST API from the OpenAPI document that API Gateway would import, by the calls that make up an import.

The emulator ignores the body of `ImportRestApi`, so each of its parts is created one by one: validators, models,
resources, methods, integrations, gateway responses. An `x-amazon-apigateway-` extension that is not known here fails,
so that nothing in the document is taken for deployed which is not.

Source: API Gateway developer guide, "OpenAPI extensions for API Gateway".
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

Json = dict[str, Any]

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
ANY: Final = "x-amazon-apigateway-any-method"
PREFIX: Final = "x-amazon-apigateway-"
SCHEMAS: Final = "#/components/schemas/"

OF_DOCUMENT: Final = frozenset({"api-key-source", "binary-media-types", "gateway-responses", "request-validators",
                                "request-validator"})  # fmt: skip
OF_OPERATION: Final = frozenset({"integration", "request-validator"})

INTEGRATION: Final = {
    "httpMethod": "integrationHttpMethod",
    "uri": "uri",
    "credentials": "credentials",
    "requestParameters": "requestParameters",
    "requestTemplates": "requestTemplates",
    "passthroughBehavior": "passthroughBehavior",
    "contentHandling": "contentHandling",
    "timeoutInMillis": "timeoutInMillis",
    "cacheNamespace": "cacheNamespace",
    "cacheKeyParameters": "cacheKeyParameters",
}


class DocumentFailed(Exception):
    """The document holds what this translation does not know, or what does not fit together."""


def settings_of(document: Json) -> Json:
    """The arguments of `CreateRestApi` that stand in the document."""
    settings: Json = {"name": document["info"]["title"]}
    for extension, argument in (
        ("api-key-source", "apiKeySource"),
        ("binary-media-types", "binaryMediaTypes"),
    ):
        if PREFIX + extension in document:
            settings[argument] = document[PREFIX + extension]
    return settings


def import_document(client: Any, api_id: str, document: Json) -> None:
    """Create everything that the document describes, in an API that is there and empty. Raises DocumentFailed."""
    require_known(document, OF_DOCUMENT, "the document")
    Import(client, api_id, document).run()


def require_known(node: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    unknown = sorted(
        name
        for name in node
        if name.startswith(PREFIX) and name != ANY and name.removeprefix(PREFIX) not in known
    )
    if unknown:
        raise DocumentFailed(f"{where} has {', '.join(unknown)}, which is not translated")


class Import:
    """One document on its way into one API."""

    def __init__(self, client: Any, api_id: str, document: Json) -> None:
        self._client = client
        self._api_id = api_id
        self._document = document
        (root,) = client.get_resources(restApiId=api_id)["items"]
        self._resources: dict[str, str] = {"/": root["id"]}
        self._validators: dict[str, str] = {}
        self._models: dict[str, str] = {}

    def run(self) -> None:
        for name, validator in self._document.get(PREFIX + "request-validators", {}).items():
            self._validators[name] = self._client.create_request_validator(
                restApiId=self._api_id, name=name, **validator
            )["id"]
        for name, schema in self._document.get("components", {}).get("schemas", {}).items():
            self._create_model(name, schema)
        for path, item in self._document["paths"].items():
            require_known(item, frozenset(), path)
            for method, operation in item.items():
                if method in METHODS or method == ANY:
                    http_method = "ANY" if method == ANY else method.upper()
                    require_known(operation, OF_OPERATION, f"{http_method} {path}")
                    shared = item.get("parameters", [])
                    self._create_method(self._resource(path), http_method, operation, shared)
        for kind, response in self._document.get(PREFIX + "gateway-responses", {}).items():
            self._put_gateway_response(kind, response)

    def _create_model(self, name: str, schema: Json) -> None:
        """A model is a schema whose references are to other models, by their address."""
        text = json.dumps(schema).replace(SCHEMAS, self._model_address(""))
        self._client.create_model(
            restApiId=self._api_id, name=name, contentType="application/json", schema=text
        )

    def _model_address(self, name: str) -> str:
        return f"https://apigateway.amazonaws.com/restapis/{self._api_id}/models/{name}"

    def _resource(self, path: str) -> str:
        """The id of the resource at a path, made with those above it when it is not there."""
        if path not in self._resources:
            parent, _, part = path.rpartition("/")
            self._resources[path] = self._client.create_resource(
                restApiId=self._api_id, parentId=self._resource(parent or "/"), pathPart=part
            )["id"]
        return self._resources[path]

    def _create_method(self, resource_id: str, http_method: str, operation: Json, shared: list[Json]) -> None:
        at: Json = {"restApiId": self._api_id, "resourceId": resource_id, "httpMethod": http_method}
        method: Json = {
            **at,
            "authorizationType": "NONE",
            "apiKeyRequired": self._needs_key(operation),
            "requestParameters": self._parameters([*shared, *operation.get("parameters", [])]),
            "requestModels": self._request_models(operation),
        }
        if "operationId" in operation:
            method["operationName"] = operation["operationId"]
        validator = operation.get(PREFIX + "request-validator") or self._document.get(
            PREFIX + "request-validator"
        )
        if validator is not None:
            method["requestValidatorId"] = self._validators[validator]
        self._client.put_method(**method)
        if PREFIX + "integration" not in operation:
            raise DocumentFailed(f"{http_method} {operation.get('operationId')} has no integration")
        self._put_integration(at, operation[PREFIX + "integration"], operation)

    def _needs_key(self, operation: Json) -> bool:
        """Whether an operation's security asks for an API key. Security of the whole document is ignored, as AWS does."""
        schemes = self._document.get("components", {}).get("securitySchemes", {})
        asked = {name for alternative in operation.get("security", []) for name in alternative}
        for name in asked:
            scheme = schemes[name]
            if (scheme["type"], scheme["in"], scheme["name"].lower()) != ("apiKey", "header", "x-api-key"):
                raise DocumentFailed(f"the security scheme {name} is not an API key in x-api-key")
        return bool(asked)

    def _parameters(self, parameters: list[Json]) -> dict[str, bool]:
        """Parameters by the names that API Gateway has for them, and whether they are required."""
        places = {"query": "querystring", "header": "header", "path": "path"}
        found = {}
        for reference in parameters:
            parameter = self._resolve(reference)
            name = f"method.request.{places[parameter['in']]}.{parameter['name']}"
            found[name] = bool(parameter.get("required", False))
        return found

    def _request_models(self, operation: Json) -> dict[str, str]:
        content = self._resolve(operation.get("requestBody", {})).get("content", {})
        models = {}
        for media_type, described in content.items():
            schema = described.get("schema", {})
            if schema.get("$ref", "").startswith(SCHEMAS):
                models[media_type] = schema["$ref"].removeprefix(SCHEMAS)
            elif schema:
                name = f"{operation['operationId'].title().replace('_', '')}Body"
                self._create_model(name, schema)
                models[media_type] = name
        return models

    def _put_integration(self, at: Json, integration: Json, operation: Json) -> None:
        known = {"type", "responses", "connectionType", *INTEGRATION}
        unknown = sorted(set(integration) - known)
        if unknown:
            raise DocumentFailed(f"an integration has {', '.join(unknown)}, which is not translated")
        settings = {theirs: integration[ours] for ours, theirs in INTEGRATION.items() if ours in integration}
        self._client.put_integration(**at, type=integration["type"].upper(), **settings)
        for pattern, response in integration.get("responses", {}).items():
            status = str(response["statusCode"])
            parameters = response.get("responseParameters", {})
            self._client.put_method_response(
                **at, statusCode=status, responseParameters=dict.fromkeys(parameters, False)
            )
            self._client.put_integration_response(
                **at,
                statusCode=status,
                selectionPattern="" if pattern == "default" else pattern,
                responseParameters=parameters,
                responseTemplates=response.get("responseTemplates", {}),
            )
            if status not in operation.get("responses", {}):
                raise DocumentFailed(
                    f"an integration answers {status}, which its operation does not describe"
                )

    def _put_gateway_response(self, kind: str, response: Json) -> None:
        arguments: Json = {
            "responseParameters": response.get("responseParameters", {}),
            "responseTemplates": response.get("responseTemplates", {}),
        }
        if "statusCode" in response:
            arguments["statusCode"] = str(response["statusCode"])
        unknown = sorted(set(response) - {"statusCode", "responseParameters", "responseTemplates"})
        if unknown or not re.fullmatch("[A-Z0-9_]+", kind):
            raise DocumentFailed(f"the gateway response {kind} has {unknown}, which is not translated")
        self._client.put_gateway_response(restApiId=self._api_id, responseType=kind, **arguments)

    def _resolve(self, node: Json) -> Json:
        while "$ref" in node:
            target: Any = self._document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node
