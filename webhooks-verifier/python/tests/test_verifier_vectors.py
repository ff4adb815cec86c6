"""The shared vectors: this library, and where they define it the public package, agree with each."""

import base64
import json
import runpy
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks

from webhooks_verifier import ERROR_CODES, Webhook, WebhookVerificationError

VECTORS_DIR = Path(__file__).parents[2] / "vectors"
VECTORS = json.loads((VECTORS_DIR / "vectors.json").read_text("ascii"))
CASES: list[dict[str, Any]] = VECTORS["cases"]
PUBLIC_CASES = [case for case in CASES if case["public"]]


def by_name(case: dict[str, Any]) -> str:
    return str(case["name"])


def bodies_of(case: dict[str, Any]) -> list[Any]:
    if "body" in case:
        return [case["body"], case["body"].encode()]
    if "body_base64" in case:
        return [base64.b64decode(case["body_base64"])]
    return [case["body_value"]]


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_the_library_agrees_with_the_vector(case: dict[str, Any]) -> None:
    webhook = Webhook(
        case["secrets"], tolerance_seconds=case["tolerance_seconds"], clock=lambda: float(case["now"])
    )
    for body in bodies_of(case):
        if "event" in case["expect"]:
            event = webhook.verify(body, case["headers"])
            assert {
                "id": event.id,
                "type": event.type,
                "timestamp": event.timestamp,
                "data": event.data,
                "payload": event.payload,
            } == case["expect"]["event"]
        else:
            with pytest.raises(WebhookVerificationError) as refusal:
                webhook.verify(body, case["headers"])
            assert refusal.value.code == case["expect"]["error"]


@pytest.mark.parametrize("case", PUBLIC_CASES, ids=by_name)
def test_the_public_package_agrees_with_the_vector(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class FrozenDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "FrozenDatetime":
            return cls.fromtimestamp(case["now"], tz=UTC)

    monkeypatch.setattr("standardwebhooks.webhooks.datetime", FrozenDatetime)

    def verify_with_any_secret(body: bytes | str) -> Any:
        for secret in case["secrets"]:  # the public package takes one secret at a time
            try:
                return standardwebhooks.Webhook(secret).verify(body, case["headers"])
            except standardwebhooks.WebhookVerificationError:
                continue
        return "refused"

    for body in bodies_of(case):
        expected = case["expect"]["event"]["payload"] if "event" in case["expect"] else "refused"
        assert verify_with_any_secret(body) == expected


@pytest.mark.parametrize("vector", VECTORS["secrets"], ids=by_name)
def test_only_a_secret_of_the_standard_form_is_taken(vector: dict[str, Any]) -> None:
    if vector["valid"]:
        Webhook(vector["secret"])
    else:
        with pytest.raises(ValueError, match="secret"):
            Webhook(vector["secret"])


@pytest.mark.parametrize("vector", VECTORS["signatures"])
def test_signing_gives_the_known_answer(vector: dict[str, Any]) -> None:
    headers = Webhook(vector["secret"]).sign(vector["id"], vector["timestamp"], vector["body"])
    assert headers == {
        "webhook-id": vector["id"],
        "webhook-timestamp": str(vector["timestamp"]),
        "webhook-signature": vector["signature"],
    }


def test_the_committed_vectors_are_what_the_generator_writes() -> None:
    render = runpy.run_path(str(VECTORS_DIR / "generate.py"))["render"]
    assert (VECTORS_DIR / "vectors.json").read_text("ascii") == render(), "run vectors/generate.py"


def test_every_code_has_a_vector_and_every_vector_a_name_of_its_own() -> None:
    assert {case["expect"]["error"] for case in CASES if "error" in case["expect"]} == set(ERROR_CODES)
    assert len({case["name"] for case in CASES}) == len(CASES)
