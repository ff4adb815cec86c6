"""Every error has a status, and becomes a problem that RFC 9457 readers understand."""

from collections.abc import Iterator

import orjson

from payments_sandbox.domain.errors import (
    ApiKeyMissing,
    FieldError,
    Quota,
    RateLimitExceeded,
    SandboxError,
    StoreUnavailable,
    TransactionNotFound,
)
from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.http.problems import (
    ERRORS_MAX,
    STATUS,
    InternalError,
    MethodNotAllowed,
    invalid_request,
    render_problem,
)
from tests.each_case import each_case


def _with_code(error: type[SandboxError]) -> Iterator[type[SandboxError]]:
    if "code" in vars(error):
        yield error
    for child in error.__subclasses__():
        yield from _with_code(child)


def test_every_code_has_a_status_and_every_status_a_code() -> None:
    assert {error.code for error in _with_code(SandboxError)} == set(STATUS)


def test_every_error_has_a_title_of_its_own() -> None:
    titles = [error.title for error in _with_code(SandboxError)]
    assert len(set(titles)) == len(titles)


def test_a_problem_has_all_members_and_the_type_of_its_code() -> None:
    reply = render_problem(TransactionNotFound("The account has no transaction of this id."), "req_1")
    assert orjson.loads(reply.body) == {
        "type": "urn:payments-sandbox:problem:transaction_not_found",
        "title": "No such transaction",
        "status": 404,
        "detail": "The account has no transaction of this id.",
        "code": "transaction_not_found",
        "retryable": False,
        "errors": [],
        "request_id": "req_1",
    }
    assert dict(reply.headers)[b"content-type"] == b"application/problem+json"
    assert dict(reply.headers)[b"content-length"] == str(len(reply.body)).encode()


@each_case(
    ("error", "name", "value"),
    [
        (ApiKeyMissing("x"), b"www-authenticate", b'ApiKey realm="payments-sandbox"'),
        (MethodNotAllowed("GET, HEAD"), b"allow", b"GET, HEAD"),
        (RateLimitExceeded(Quota("default", 100, 60, 0, 7, allowed=False)), b"retry-after", b"7"),
        (StoreUnavailable("x"), b"retry-after", b"1"),
    ],
)
def test_some_problems_say_in_a_header_how_to_go_on(error: SandboxError, name: bytes, value: bytes) -> None:
    assert dict(render_problem(error, "req_1").headers)[name] == value


def test_a_failure_may_be_tried_again_and_tells_nothing() -> None:
    problem = orjson.loads(render_problem(InternalError(), "req_1").body)
    assert problem["retryable"]
    assert "request id" in problem["detail"]


def test_the_detail_counts_places_and_names_the_first() -> None:
    def detail(count: int) -> str:
        return invalid_request(
            [FieldError(f"/f{number}", FieldCode.REQUIRED, "") for number in range(count)]
        ).detail

    assert detail(1) == "The request breaks the contract in 1 place: /f0."
    assert detail(2) == "The request breaks the contract in 2 places: /f0, /f1."
    assert detail(9).endswith("in 9 places: /f0, /f1, /f2, /f3, /f4, ....")
    assert f"more than {ERRORS_MAX} places" in detail(ERRORS_MAX + 1)
    assert len(invalid_request([FieldError("", FieldCode.REQUIRED, "")] * 99).errors) == ERRORS_MAX
