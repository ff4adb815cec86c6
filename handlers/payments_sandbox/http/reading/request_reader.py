"""What is checked about a request once its caller is known: media type, parameters, body, in this order.

One `RequestReader` per operation holds everything compiled, so that a request builds nothing.

Next: `strict_json.py` for what is JSON, `schemas.py` for what is valid, `stray_cards.py` for what may not be kept,
`parameters.py` for the rest of the request.
"""

import re
from collections.abc import Mapping
from typing import Final

from payments_sandbox.domain.errors import FieldError
from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.http.problems import ERRORS_MAX, MalformedJson, UnsupportedMediaType, invalid_request
from payments_sandbox.http.reading.contract import JSON_TYPE, OperationSpec
from payments_sandbox.http.reading.parameters import ParameterReader
from payments_sandbox.http.reading.schemas import Schemas
from payments_sandbox.http.reading.stray_cards import refuse_in_body, refuse_in_kept_body
from payments_sandbox.http.reading.strict_json import find_inexact_numbers, parse_any_json, parse_json
from payments_sandbox.http.request_state import RequestState

_JSON_BYTES: Final = JSON_TYPE.encode()
_UTF8: Final = frozenset({"utf-8", "utf8"})
_CHARSET: Final = re.compile(r';\s*charset\s*=\s*"?([^";]*)"?', re.IGNORECASE)


class RequestReader:
    """The compiled checks of one operation."""

    def __init__(self, operation: OperationSpec, schemas: Schemas) -> None:
        self._parameters = ParameterReader(operation, schemas)
        self._body_schema = None if operation.body_schema is None else schemas.compile(operation.body_schema)
        self._body_required = operation.body_required
        self._kept_as_sent = operation.kept_as_sent

    def read(self, state: RequestState, path: Mapping[str, str], query_string: bytes) -> None:
        """All checks, in their order."""
        self._check_media_type(state)
        self._read_parameters(state, path, query_string)
        self._read_body(state)

    def _check_media_type(self, state: RequestState) -> None:
        """Refuse a body that does not say that it is JSON in UTF-8.

        Errors: unsupported_media_type; malformed_json: another charset.
        """
        if self._body_schema is None:
            return
        headers = state.headers
        if b"content-encoding" in headers and headers[b"content-encoding"].lower() not in (b"", b"identity"):
            raise UnsupportedMediaType("Send the body without Content-Encoding.")
        media_type = headers.get(b"content-type")
        if media_type == _JSON_BYTES and b"content-type" not in state.repeated:
            return
        if media_type is None and not state.body and not self._body_required:
            return
        _require_json(media_type, b"content-type" in state.repeated)

    def _read_parameters(self, state: RequestState, path: Mapping[str, str], query_string: bytes) -> None:
        """Convert and check the parameters. Errors: see `ParameterReader.read`."""
        self._parameters.read(state, path, query_string)

    def _read_body(self, state: RequestState) -> None:
        """Parse and check the body. Errors: malformed_json; invalid_request, naming each field at fault."""
        schema = self._body_schema
        if schema is None:
            return
        if not state.body:
            if self._body_required:
                raise invalid_request(
                    [FieldError("", FieldCode.REQUIRED, "is empty and must be a JSON object")]
                )
            return
        if self._kept_as_sent:
            refuse_in_kept_body(state.body, parse_any_json(state.body))
            return
        parsed = parse_json(state.body)
        if not parsed.inexact and isinstance(parsed.value, dict) and schema.is_valid(parsed.value):
            state.json = parsed.value
            refuse_in_body(state.body, parsed.value)
            return
        if not isinstance(parsed.value, dict):
            raise invalid_request([FieldError("", FieldCode.WRONG_TYPE, "must be a JSON object")])
        errors = schema.explain(parsed.value, ERRORS_MAX + 1)
        known = {error.pointer for error in errors}
        errors += [error for error in find_inexact_numbers(parsed.value) if error.pointer not in known]
        if errors:
            raise invalid_request(errors)
        # A long run of digits turned out to be text, or a number that fits.
        state.json = parsed.value
        refuse_in_body(state.body, parsed.value)


def _require_json(media_type: bytes | None, repeated: bool) -> None:
    if media_type is None:
        raise UnsupportedMediaType(f"Send the body as {JSON_TYPE}, and say so in Content-Type.")
    text = media_type.decode("latin-1")
    if repeated or text.partition(";")[0].strip().lower() != JSON_TYPE:
        raise UnsupportedMediaType(f"Send the body as {JSON_TYPE}.")
    charsets = {charset.strip().lower() for charset in _CHARSET.findall(text)}
    if not charsets <= _UTF8:
        raise MalformedJson(
            "The body has to be UTF-8.",
            "must have the charset utf-8, or none",
            field_code=FieldCode.UNSUPPORTED_CHARSET,
            pointer="header:Content-Type",
        )
