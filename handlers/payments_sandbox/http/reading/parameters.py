"""Path, query and header parameters: text in, values of the contract's types out.

Stricter than Connexion, whose integers accept `1_0` and Arabic digits and whose header parameters are never converted:
an integer is ASCII digits, a parameter that the contract does not know is refused by name, and so is one that is given
twice. Every error is found, not only the first.

The idempotency key is one header under two names, `X-Idempotency-Key` and the IETF draft's `Idempotency-Key`, and one
key whether it is quoted, as the draft asks, or bare, as nearly everybody sends it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from payments_sandbox.domain.errors import FieldError, IdempotencyKeyMissing
from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.http.masking import safe_name
from payments_sandbox.http.problems import ERRORS_MAX, invalid_request
from payments_sandbox.http.reading.contract import OperationSpec
from payments_sandbox.http.reading.schemas import Schema, Schemas
from payments_sandbox.http.reading.stray_cards import find_in_header
from payments_sandbox.http.request_state import RequestState

IDEMPOTENCY_KEY_HEADER: Final = "x-idempotency-key"
IDEMPOTENCY_KEY_MAX: Final = 255

_KEY_HEADERS: Final = (b"x-idempotency-key", b"idempotency-key")
_KEY: Final = re.compile(r"[\x21-\x7e]+")
# An RFC 9651 string: only a quote and a backslash are escaped. Parameters behind it mean nothing here.
_QUOTED: Final = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_INTEGER: Final = re.compile(r"-?[0-9]{1,19}")
_PRINTABLE: Final = re.compile(rb"[\x20-\x7e\t]*")
_BOOLEANS: Final = {"true": True, "false": False}


class _WrongType(Exception):
    """The text is not of the parameter's type; what it must be."""


@dataclass(frozen=True, slots=True)
class _Parameter:
    """pointer: how errors name it. separator: between the items of an array; None when each is given by itself."""

    name: str
    pointer: str
    required: bool
    convert: Callable[[str], Any]
    is_array: bool
    separator: str | None
    schema: Schema


class ParameterReader:
    """Reads the parameters of one operation."""

    def __init__(self, operation: OperationSpec, schemas: Schemas) -> None:
        made = [(parameter["in"], _make(parameter, schemas)) for parameter in operation.parameters]
        self._path = [parameter for location, parameter in made if location == "path"]
        self._query = {parameter.name: parameter for location, parameter in made if location == "query"}
        headers = [parameter for location, parameter in made if location == "header"]
        self._headers = [header for header in headers if header.name.lower() != IDEMPOTENCY_KEY_HEADER]
        self._takes_key = len(self._headers) != len(headers)
        self._query_defaults = _defaults(operation, "query")
        self._header_defaults = {
            name.lower(): value for name, value in _defaults(operation, "header").items()
        }

    def read(self, state: RequestState, path: Mapping[str, str], query_string: bytes) -> None:
        """Fill in the state's path, query and header parameters.

        Errors: invalid_request, naming each parameter at fault; idempotency_key_missing.
        """
        errors: list[FieldError] = []
        if self._path:
            state.path = {each.name: _read(each, [path[each.name]], errors) for each in self._path}
        if query_string or self._query:
            state.query = self._read_query(query_string, errors)
        key = self._read_headers(state, errors)
        if key is None and self._takes_key and not any(_is_about_key(error) for error in errors):
            missing = FieldError("header:X-Idempotency-Key", FieldCode.REQUIRED, "is required")
            errors.append(missing)
            raise IdempotencyKeyMissing(
                "Send X-Idempotency-Key with a value of your own that names this request.",
                errors=errors[:ERRORS_MAX],
            )
        if errors:
            raise invalid_request(errors)

    def _read_query(self, query_string: bytes, errors: list[FieldError]) -> dict[str, Any]:
        try:
            pairs = parse_qsl(query_string.decode(), keep_blank_values=True, errors="strict")
        except ValueError:
            # UnicodeDecodeError is one, and so is what parse_qsl raises for too many fields.
            errors.append(FieldError("query:", FieldCode.NOT_UNICODE, "is not percent-encoded UTF-8"))
            return {}
        given: dict[str, list[str]] = {}
        for name, text in pairs:
            given.setdefault(name, []).append(text)
        values = dict(self._query_defaults)
        for name, texts in given.items():
            parameter = self._query.get(name)
            if parameter is None:
                errors.append(_unknown_parameter(name, self._query))
            else:
                values[name] = _read(parameter, texts, errors)
        for parameter in self._query.values():
            if parameter.required and parameter.name not in given:
                errors.append(FieldError(parameter.pointer, FieldCode.REQUIRED, "is required"))
        return values

    def _read_headers(self, state: RequestState, errors: list[FieldError]) -> str | None:
        """Fill in the header parameters; answers the idempotency key."""
        if not self._headers and not self._takes_key:
            return None
        values = dict(self._header_defaults)
        for parameter in self._headers:
            raw = state.headers.get(parameter.name.lower().encode())
            if raw is None:
                if parameter.required:
                    errors.append(FieldError(parameter.pointer, FieldCode.REQUIRED, "is required"))
            elif parameter.name.lower().encode() in state.repeated:
                errors.append(FieldError(parameter.pointer, FieldCode.REPEATED, "must be given once"))
            elif _PRINTABLE.fullmatch(raw) is None:
                errors.append(FieldError(parameter.pointer, FieldCode.PATTERN, "must be printable ASCII"))
            else:
                text = raw.decode()
                values[parameter.name.lower()] = _read(parameter, [text], errors)
                errors += find_in_header(parameter.pointer, text)
        key = read_idempotency_key(state, errors) if self._takes_key else None
        if key is not None:
            values[IDEMPOTENCY_KEY_HEADER] = key
        state.header = values
        return key


def read_idempotency_key(state: RequestState, errors: list[FieldError]) -> str | None:
    """The request's idempotency key, unquoted; None when there is none, or when `errors` now says why not."""
    keys: list[str] = []
    for name in _KEY_HEADERS:
        raw = state.headers.get(name)
        if not raw:
            continue
        pointer = "header:X-Idempotency-Key" if name == _KEY_HEADERS[0] else "header:Idempotency-Key"
        if name in state.repeated:
            errors.append(FieldError(pointer, FieldCode.REPEATED, "must be given once"))
            continue
        key = raw.decode("latin-1")
        if key[0] == '"':
            quoted = _QUOTED.fullmatch(key)
            key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else " "
        if _KEY.fullmatch(key) is None:
            errors.append(
                FieldError(pointer, FieldCode.PATTERN, "must be visible ASCII characters, bare or quoted")
            )
        elif len(key) > IDEMPOTENCY_KEY_MAX:
            detail = f"must have at most {IDEMPOTENCY_KEY_MAX} characters"
            errors.append(FieldError(pointer, FieldCode.TOO_LONG, detail))
        else:
            keys.append(key)
    if len(set(keys)) > 1:
        detail = "must be the same as X-Idempotency-Key, or left out"
        errors.append(FieldError("header:Idempotency-Key", FieldCode.CONFLICT, detail))
        return None
    return keys[0] if keys else None


def _is_about_key(error: FieldError) -> bool:
    return error.pointer.endswith("Idempotency-Key")


def _make(parameter: Mapping[str, Any], schemas: Schemas) -> _Parameter:
    schema = parameter["schema"]
    is_array = schema["type"] == "array"
    single = schema.get("items", {}) if is_array else schema
    # OpenAPI's default for a query array is `form` with `explode`: one `name=value` for each item.
    exploded = parameter["in"] == "query" and parameter.get("explode", True)
    return _Parameter(
        name=parameter["name"],
        pointer=f"{parameter['in']}:{parameter['name']}",
        required=parameter.get("required", False),
        convert=_CONVERTERS.get(single.get("type", "string"), str),
        is_array=is_array,
        separator=None if exploded or not is_array else ",",
        schema=schemas.compile(schema),
    )


def _defaults(operation: OperationSpec, location: str) -> dict[str, Any]:
    return {
        parameter["name"]: parameter["schema"]["default"]
        for parameter in operation.parameters
        if parameter["in"] == location and "default" in parameter["schema"]
    }


def _read(parameter: _Parameter, texts: Sequence[str], errors: list[FieldError]) -> Any:
    """The value of one parameter; None when `errors` now says what is wrong with it."""
    if len(texts) > 1 and (not parameter.is_array or parameter.separator):
        errors.append(FieldError(parameter.pointer, FieldCode.REPEATED, "must be given once"))
        return None
    try:
        if not parameter.is_array:
            value = parameter.convert(texts[0])
        else:
            items = texts[0].split(parameter.separator) if parameter.separator else texts
            value = [parameter.convert(item) for item in items]
    except _WrongType as error:
        errors.append(FieldError(parameter.pointer, FieldCode.WRONG_TYPE, f"must be {error}"))
        return None
    if not parameter.schema.is_valid(value):
        for found in parameter.schema.explain(value, ERRORS_MAX):
            errors.append(FieldError(parameter.pointer + found.pointer, found.code, found.detail))
        return None
    return value


def _to_integer(text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise _WrongType("an integer")
    return int(text)


def _to_boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text]
    except KeyError:
        raise _WrongType("true or false") from None


_CONVERTERS: Final[dict[str, Callable[[str], Any]]] = {"integer": _to_integer, "boolean": _to_boolean}


def _unknown_parameter(name: str, known: Mapping[str, _Parameter]) -> FieldError:
    shown = safe_name(name)
    accepted = f"; it accepts {', '.join(known)}" if known else ""
    return FieldError(
        f"query:{shown}", FieldCode.UNKNOWN_PARAMETER, f"is not a parameter of this operation{accepted}"
    )
