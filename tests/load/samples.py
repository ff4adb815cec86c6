"""What the benchmark sends: one authorization that everybody accepts, its event as API Gateway hands it to Lambda,
and requests that both sides of the comparison must refuse, or it would not be fair."""

import json
from typing import Any

API_KEY = "sk_test_demo"

ACCEPTED: dict[str, Any] = {
    "amount": 1051,
    "currency": "EUR",
    "card": {
        "number": "4242424242424242",
        "exp_month": 12,
        "exp_year": 2031,
        "cvc": "123",
        "holder_name": "Ada Lovelace",
        "billing_address": {"line1": "12 St James's Square", "postal_code": "SW1Y 4JH", "country": "GB"},
    },
    "merchant_reference": "order-1842",
    "metadata": {"basket": "42"},
}


def _with(**fields: Any) -> dict[str, Any]:
    return {**ACCEPTED, **fields}


def _with_card(**fields: Any) -> dict[str, Any]:
    return _with(card={**ACCEPTED["card"], **fields})


ALSO_ACCEPTED: dict[str, Any] = {
    "only the required fields": {
        "amount": 1,
        "currency": "JPY",
        "card": {"number": "4242424242424242", "exp_month": 1, "exp_year": 2030},
    },
    "another brand": _with_card(number="378282246310005", cvc="1234"),
}

REFUSED: dict[str, Any] = {
    "no amount": {name: value for name, value in ACCEPTED.items() if name != "amount"},
    "an amount of nothing": _with(amount=0),
    "a negative amount": _with(amount=-5),
    "an amount as text": _with(amount="1051"),
    "an amount with a fraction": _with(amount=10.5),
    "a true amount": _with(amount=True),
    "an amount beyond the limit": _with(amount=10**12),
    "a lower-case currency": _with(currency="eur"),
    "an unknown field": _with(colour="red"),
    "no card": _with(card=None),
    "a card number with letters": _with_card(number="4242x24242424242"),
    "a short card number": _with_card(number="42424242424"),
    "a month of 13": _with_card(exp_month=13),
    "a CVC with letters": _with_card(cvc="12a"),
    "an unknown card field": _with_card(pin="1234"),
    "metadata that is no text": _with(metadata={"basket": 42}),
    "a list": [ACCEPTED],
}


def gateway_event(body: Any, idempotency_key: str, *, api_key: str = API_KEY) -> dict[str, Any]:
    """A REST API proxy event for `POST /v1/authorize`, with the headers and context that API Gateway really adds."""
    headers = {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "Host": "abcdef1234.execute-api.eu-central-1.amazonaws.com",
        "User-Agent": "payments-client/1.0",
        "X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678",
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
        "X-Idempotency-Key": idempotency_key,
        "x-api-key": api_key,
    }
    return {
        "resource": "/v1/authorize",
        "path": "/v1/authorize",
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abcdef1234",
            "domainName": "abcdef1234.execute-api.eu-central-1.amazonaws.com",
            "extendedRequestId": "c6af9ac6-7b61",
            "httpMethod": "POST",
            "identity": {"apiKey": api_key, "apiKeyId": "bench", "sourceIp": "192.0.2.1"},
            "path": "/dev/v1/authorize",
            "protocol": "HTTP/1.1",
            "requestId": f"c6af9ac6-7b61-11e6-9a41-{idempotency_key:.12}",
            "requestTimeEpoch": 1_789_000_000_000,
            "resourceId": "123456",
            "resourcePath": "/v1/authorize",
            "stage": "dev",
        },
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


class LambdaContext:
    """The few things that a Lambda context is asked for."""

    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
    function_name = "payments"
    function_version = "$LATEST"
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:payments"
    memory_limit_in_mb = "1024"

    def get_remaining_time_in_millis(self) -> int:
        """Enough."""
        return 30_000
