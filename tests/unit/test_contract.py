"""The contract holds together, and the code's tables say what the contract says."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator, FormatChecker
from jsonschema.validators import extend

from payments_sandbox.adapters.webhooks.exchange import BODY_START_BYTES
from payments_sandbox.domain.attempt_errors import AttemptError
from payments_sandbox.domain.authorization import ENTRIES_MAX
from payments_sandbox.domain.cards import brand_of
from payments_sandbox.domain.disputes import REASONS, DisputeStatus
from payments_sandbox.domain.errors import SandboxError
from payments_sandbox.domain.faults import LATENCY_MS_MAX, RETRY_AFTER_S_MAX
from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.domain.money import AMOUNT_MAX, EXPONENTS
from payments_sandbox.domain.network import AVS_RESULTS, CVC_RESULTS, DECLINE_CODES, RESPONSE_CODES
from payments_sandbox.domain.pan_guard import CARD_DIGITS_MAX, CARD_DIGITS_MIN
from payments_sandbox.domain.postings import LEDGER_ACCOUNTS
from payments_sandbox.domain.triggers import RISK_LEVELS, parse_instruction
from payments_sandbox.domain.version import VERSION
from payments_sandbox.domain.webhook_urls import URL_CHARACTERS_MAX
from payments_sandbox.entrypoints.event_feed import PAGE
from payments_sandbox.http import problems
from payments_sandbox.http.pipeline.app import BODY_BYTES_MAX
from payments_sandbox.http.reading.parameters import IDEMPOTENCY_KEY_MAX
from payments_sandbox.http.reading.strict_json import ANY_DEPTH_MAX
from payments_sandbox.services.infrastructure import Limits
from payments_sandbox.services.simulation.trigger_table import PRECEDENCE, list_triggers
from payments_sandbox.services.time.clocks import RAN_LISTED_MAX, WEBHOOK_ATTEMPT
from payments_sandbox.services.time.scheduled_work import SCHEDULED_WORK
from tests.contract import CONTRACT

Json = dict[str, Any]
SCHEMAS: Json = CONTRACT["components"]["schemas"]
PACKAGE = Path(problems.__file__).parents[1]
METHODS = ("get", "put", "post", "patch", "delete")


def operations() -> Iterator[tuple[str, str, Json]]:
    for path, item in CONTRACT["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


OPERATIONS = list(operations())


def resolve(node: Any) -> Any:
    while isinstance(node, dict) and "$ref" in node:
        target: Any = CONTRACT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def _nullable_type(validator: Any, types: Any, instance: Any, schema: Json) -> Iterator[Any]:
    if instance is not None or not schema.get("nullable"):
        yield from Draft4Validator.VALIDATORS["type"](validator, types, instance, schema)


Validator = extend(Draft4Validator, {"type": _nullable_type})  # type: ignore[no-untyped-call]


def faults(instance: Any, schema: Json) -> list[str]:
    """What a plain JSON Schema validator, not the sandbox's own, finds wrong."""
    whole = {**schema, "components": CONTRACT["components"]}
    return [error.message for error in Validator(whole, format_checker=FormatChecker()).iter_errors(instance)]


def media_types() -> Iterator[tuple[str, Json]]:
    """Every body that the contract describes, with where it stands."""
    for _, _, operation in OPERATIONS:
        name = operation["operationId"]
        for media in resolve(operation.get("requestBody", {})).get("content", {}).values():
            yield f"{name} request", media
        for status, response in operation["responses"].items():
            for media in resolve(response).get("content", {}).values():
                yield f"{name} {status}", media


def test_every_body_has_examples_that_match_its_schema() -> None:
    bodies = list(media_types())
    assert len(bodies) > 500
    for where, media in bodies:
        assert media.get("examples"), f"{where} has no example"
        for name, reference in media["examples"].items():
            assert faults(resolve(reference)["value"], media["schema"]) == [], f"{where}, example {name}"


def test_the_validator_of_the_examples_finds_faults() -> None:
    schema = {"$ref": "#/components/schemas/AuthorizeRequest"}
    example = resolve({"$ref": "#/components/examples/AuthorizeRequest"})["value"]
    assert faults({**example, "amount": "10.51"}, schema)
    assert faults({**example, "surprise": 1}, schema)


def test_problem_examples_carry_the_status_under_which_they_stand() -> None:
    for _, _, operation in OPERATIONS:
        for status, response in operation["responses"].items():
            media = resolve(response).get("content", {}).get("application/problem+json", {})
            for reference in media.get("examples", {}).values():
                assert resolve(reference)["value"]["status"] == int(status)


def test_problem_examples_agree_with_the_table_of_statuses() -> None:
    for example in CONTRACT["components"]["examples"].values():
        value = example["value"]
        if isinstance(value, dict) and "retryable" in value:
            assert problems.STATUS[value["code"]] == value["status"], value["code"]


def _codes(error: type[SandboxError]) -> Iterator[str]:
    if "code" in vars(error):
        yield error.code
    for child in error.__subclasses__():
        yield from _codes(child)


def test_error_codes_are_those_of_the_contract_and_each_has_one_class_and_a_status() -> None:
    raised = list(_codes(SandboxError))
    assert sorted(raised) == sorted(SCHEMAS["ProblemCode"]["enum"])
    assert set(problems.STATUS) == set(raised)


def test_field_codes_are_those_of_the_contract_and_the_package_produces_each() -> None:
    assert SCHEMAS["FieldCode"]["enum"] == list(FieldCode)
    assert _members_used("FieldCode") == {code.name for code in FieldCode}


def test_errors_of_attempts_are_those_of_the_contract_and_the_package_produces_each() -> None:
    graded = SCHEMAS["ReceiverReport"]["properties"]["probes"]["items"]["properties"]["error"]
    for error in (SCHEMAS["WebhookAttempt"]["properties"]["error"], graded):
        assert error["enum"] == [*AttemptError, None]
    assert _members_used("AttemptError") == {error.name for error in AttemptError}


def _members_used(enum: str) -> set[str]:
    """The members of an enum that modules of the package name."""
    sources = [path.read_text("utf-8") for path in PACKAGE.rglob("*.py")]
    return {name for source in sources for name in re.findall(rf"\b{enum}\.([A-Z_]+)\b", source)}


def test_every_error_code_has_an_example() -> None:
    shown = {
        example["value"]["code"]
        for example in CONTRACT["components"]["examples"].values()
        if isinstance(example["value"], dict) and "retryable" in example["value"]
    }
    # Nobody reaches an operation through these two, so no operation can show them.
    assert shown == set(SCHEMAS["ProblemCode"]["enum"]) - {"route_not_found", "method_not_allowed"}


def test_currencies_are_those_of_the_exponent_table() -> None:
    assert SCHEMAS["Currency"]["enum"] == list(EXPONENTS)
    assert SCHEMAS["Amount"]["maximum"] == AMOUNT_MAX


def test_card_numbers_are_as_long_as_the_guard_searches_for() -> None:
    number = SCHEMAS["CardDetails"]["properties"]["number"]
    assert number["pattern"] == f"^[0-9]{{{CARD_DIGITS_MIN},{CARD_DIGITS_MAX}}}$"
    words = f"{CARD_DIGITS_MIN} to {CARD_DIGITS_MAX} digits, without spaces"
    assert number["x-pattern-description"] == words
    assert number["description"].startswith(f"{words}.")


def example(name: str) -> Json:
    value: Json = CONTRACT["components"]["examples"][name]["value"]
    return value


def test_the_largest_body_is_the_one_that_the_contract_names() -> None:
    response = CONTRACT["components"]["responses"]["RequestTooLarge"]
    assert response["description"] == f"The body is larger than {BODY_BYTES_MAX // 1024} KiB."
    assert example("RequestTooLarge")["detail"] == problems.RequestTooLarge(BODY_BYTES_MAX).detail


def test_limits_of_requests_are_those_of_the_code() -> None:
    assert SCHEMAS["WebhookUrl"]["maxLength"] == URL_CHARACTERS_MAX
    key = CONTRACT["components"]["parameters"]["IdempotencyKey"]
    assert f"1 to {IDEMPOTENCY_KEY_MAX} visible ASCII characters" in key["description"]
    assert key["schema"]["x-pattern-description"].startswith(f"1 to {IDEMPOTENCY_KEY_MAX} visible")
    pattern = re.compile(key["schema"]["pattern"])
    for text in ("k" * IDEMPOTENCY_KEY_MAX, f'"{"k" * IDEMPOTENCY_KEY_MAX}"'):
        assert pattern.search(text)
        assert not pattern.search(text.replace("k", "kk", 1))
    # As long as a key can be when every character of it is escaped, in quotation marks.
    assert key["schema"]["maxLength"] == 2 * IDEMPOTENCY_KEY_MAX + 2
    assert f"at most {ANY_DEPTH_MAX} levels" in SCHEMAS["AnyJson"]["description"]
    assert CONTRACT["components"]["parameters"]["Limit"]["schema"]["maximum"] == PAGE


def test_limits_of_answers_are_those_of_the_code() -> None:
    limits = Limits()
    assert SCHEMAS["ClockAdvance"]["properties"]["ran"]["maxItems"] == RAN_LISTED_MAX
    assert SCHEMAS["Snapshot"]["properties"]["records"]["maximum"] == limits.snapshot_records_max
    assert f"at most {limits.snapshot_records_max} records" in example("SnapshotTooLarge")["detail"]
    assert (
        SCHEMAS["Settlement"]["properties"]["entry_count"]["maximum"]
        == limits.settlement_lines_per_record * limits.settlement_line_records_max
    )
    assert f"at most {ENTRIES_MAX} captures" in example("EntryLimitReached")["detail"]
    body_start = SCHEMAS["WebhookAttempt"]["properties"]["response_body_start"]
    assert body_start["description"].startswith(f"The first {BODY_START_BYTES} bytes;")


def test_limits_of_faults_are_those_of_the_code() -> None:
    pattern = re.compile(SCHEMAS["Fault"]["pattern"])
    for name, limit in (("latency", LATENCY_MS_MAX), ("rate_limit", RETRY_AFTER_S_MAX)):
        assert pattern.search(f"{name}={limit}")
        assert not pattern.search(f"{name}={limit + 1}")


def test_response_and_decline_codes_are_those_of_the_tables() -> None:
    assert SCHEMAS["ResponseCode"]["enum"] == ["00", *RESPONSE_CODES]
    assert SCHEMAS["DeclineCode"]["enum"] == list(DECLINE_CODES)
    for decline_code, _ in RESPONSE_CODES.values():
        assert decline_code in DECLINE_CODES
    for response_code, _ in DECLINE_CODES.values():
        assert response_code in RESPONSE_CODES


def test_check_results_brands_and_ledger_accounts_are_those_of_the_tables() -> None:
    checks = SCHEMAS["Checks"]["properties"]
    assert set(checks["cvc_result"]["enum"]) == set(CVC_RESULTS)
    assert set(checks["avs_result"]["enum"]) == set(AVS_RESULTS)
    assert SCHEMAS["Risk"]["properties"]["level"]["enum"] == list(RISK_LEVELS)
    assert {brand_of(row.value) for row in list_triggers() if row.trigger == "card_number"} < set(
        SCHEMAS["CardBrand"]["enum"]
    )
    assert SCHEMAS["Posting"]["properties"]["ledger_account"]["enum"] == list(LEDGER_ACCOUNTS)


def test_statuses_and_reasons_of_disputes_are_those_of_the_tables() -> None:
    assert SCHEMAS["DisputeStatus"]["enum"] == [status.value for status in DisputeStatus]
    assert SCHEMAS["DisputeReason"]["enum"] == list(REASONS)


def test_what_an_advance_lists_is_the_work_that_there_is() -> None:
    ran = SCHEMAS["ClockAdvance"]["properties"]["ran"]["items"]["properties"]
    assert set(ran["work"]["enum"]) == {WEBHOOK_ATTEMPT, *(work.name for work in SCHEDULED_WORK.values())}


@pytest.mark.parametrize("parameter", ["SimulateAuthorization", "SimulateOperation"])
def test_what_the_simulation_pattern_accepts_is_in_the_grammar(parameter: str) -> None:
    pattern = re.compile(CONTRACT["components"]["parameters"][parameter]["schema"]["pattern"])
    outcomes = ["approve", *DECLINE_CODES, *(f"response_code={code}" for code in RESPONSE_CODES)]
    for outcome in outcomes:
        assert pattern.search(outcome)
        parse_instruction(outcome, "header:X-Sandbox-Simulate")
    assert not pattern.search("response_code=10")
    assert not pattern.search("bankruptcy")


def test_every_item_of_the_grammar_is_in_the_pattern_of_authorizations() -> None:
    pattern = re.compile(CONTRACT["components"]["parameters"]["SimulateAuthorization"]["schema"]["pattern"])
    items = [
        *(f"cvc={result}" for result in CVC_RESULTS),
        *(f"avs={result}" for result in AVS_RESULTS),
        *(f"risk={level}" for level in RISK_LEVELS),
        *(f"capture={code}" for code in DECLINE_CODES),
    ]
    for item in items:
        assert pattern.search(f"approve; {item}"), item
        parse_instruction(f"approve; {item}", "header:X-Sandbox-Simulate")


def test_precedence_of_triggers_is_the_enum_of_the_table() -> None:
    assert SCHEMAS["TestCard"]["properties"]["trigger"]["enum"] == list(PRECEDENCE)


def test_operations_are_complete_enough_to_generate_a_client() -> None:
    ids = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(ids)) == len(ids)
    declared = {tag["name"] for tag in CONTRACT["tags"]}
    for _, _, operation in OPERATIONS:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", operation["operationId"])
        assert operation["summary"]
        assert len(operation["tags"]) == 1
        assert set(operation["tags"]) <= declared
        # API Gateway ignores a security requirement at the root, so each operation states its own.
        assert operation["security"] in ([], [{"ApiKey": []}])


MONEY_TAGS = ("payments", "disputes")
"""The tags whose POST operations move money, or decide about money that moves later."""


def test_money_moves_only_under_an_idempotency_key() -> None:
    for path, method, operation in OPERATIONS:
        names = [resolve(parameter)["name"] for parameter in operation.get("parameters", [])]
        moves_money = operation["tags"][0] in MONEY_TAGS and method == "post"
        assert ("X-Idempotency-Key" in names) == moves_money, path
        assert ("422" in operation["responses"]) == moves_money, path


def test_operations_document_the_refusals_that_they_can_meet() -> None:
    for _, _, operation in OPERATIONS:
        expected = {"400", "500"}
        if operation["security"]:
            expected |= {"401", "429", "503"}
        if "requestBody" in operation:
            expected |= {"413", "415"}
        assert expected <= set(operation["responses"]), operation["operationId"]


def test_every_response_carries_the_request_id() -> None:
    for _, _, operation in OPERATIONS:
        for response in operation["responses"].values():
            assert "X-Request-Id" in resolve(response)["headers"]


def test_links_point_at_operations_and_at_parameters_that_exist() -> None:
    by_id = {operation["operationId"]: operation for _, _, operation in OPERATIONS}
    for name, link in CONTRACT["components"]["links"].items():
        target = by_id[link["operationId"]]
        known = {resolve(parameter)["name"] for parameter in target.get("parameters", [])}
        assert set(link.get("parameters", {})) <= known, name
        if "requestBody" in link:
            schema = resolve(target["requestBody"]["content"]["application/json"]["schema"])
            assert set(link["requestBody"]) <= set(schema["properties"]), name


def test_request_schemas_refuse_unknown_fields() -> None:
    for _, _, operation in OPERATIONS:
        # An inbox takes whatever a sender posts, as any receiver does.
        if "requestBody" in operation and operation["operationId"] != "post_to_inbox":
            schema = resolve(operation["requestBody"]["content"]["application/json"]["schema"])
            assert schema["additionalProperties"] is False, operation["operationId"]


def test_one_version_is_stated_everywhere() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert CONTRACT["info"]["version"] == project["project"]["version"] == VERSION
