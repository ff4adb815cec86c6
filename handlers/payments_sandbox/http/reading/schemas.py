"""The contract's schemas as compiled validators, and what they find in words that a caller can use.

OpenAPI 3.0 schemas are JSON Schema draft 4 with a few differences, which `_Converter` takes out: `nullable` becomes a
type, a `readOnly` property is one that may not be sent (and so is never required of a request). Validation is done by
jsonschema-rs, whose regular expressions end where the text does: `^[A-Z]{3}$` does not accept a line feed after USD.

An error names the field, the rule and its bound, never the value.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from functools import cached_property, partial
from typing import Any, Final

import jsonschema_rs
from jsonschema_rs import ValidationError

from payments_sandbox.domain.errors import FieldError
from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.domain.timestamps import parse_timestamp
from payments_sandbox.http.masking import safe_pointer

Path = tuple[str | int, ...]

_LISTED_OPTIONS_MAX: Final = 16
_SHOWN_PATTERN_MAX: Final = 80
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

# What a caller may not send. Any value breaks it, and the report says `read_only`.
_READ_ONLY: Final[Mapping[str, Any]] = {"not": {}}

_SAME: Final = frozenset(
    """type enum format pattern minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength
    minItems maxItems uniqueItems minProperties maxProperties required default x-pattern-description""".split()
)


class Schema:
    """One schema, compiled once: by `compile`, or when it is first asked."""

    def __init__(self, make_document: Callable[[], dict[str, Any]]) -> None:
        """make_document: gives the schema in draft 4, with everything that its references name."""
        self._make_document = make_document
        self.is_valid: Callable[[Any], bool] = self._compile_and_ask

    def compile(self) -> None:
        """Raises ValueError when the schema is none, or has a pattern that is none."""
        # From now on it is the validator that is asked, and nobody in between.
        self.is_valid = self._validator.is_valid

    def _compile_and_ask(self, value: Any) -> bool:
        self.compile()
        return self.is_valid(value)

    @cached_property
    def _document(self) -> dict[str, Any]:
        return self._make_document()

    @cached_property
    def _validator(self) -> jsonschema_rs.Draft4Validator:
        return jsonschema_rs.Draft4Validator(self._document, formats=_FORMATS, validate_formats=True)

    def explain(self, value: Any, limit: int) -> list[FieldError]:
        """What is wrong with the value: at most `limit` errors, by their pointers into it."""
        found: list[FieldError] = []
        for error in self._validator.iter_errors(value):
            found.extend(self._describe(error, value))
            if len(found) >= limit:
                break
        return sorted(found[:limit], key=lambda error: error.pointer)

    def _describe(self, error: ValidationError, value: Any) -> Iterator[FieldError]:
        kind: Any = error.kind
        path, place = _follow(error.instance_path, value)
        match kind.name:
            case "required":
                pointer = safe_pointer((*path, kind.property))
                yield FieldError(pointer, FieldCode.REQUIRED, "is required")
            case "additionalProperties" | "falseSchema":
                known = self._at(error.schema_path[:-1]).get("properties", {})
                # An object that may have no fields at all does not say which ones it has.
                for name in getattr(kind, "unexpected", place):
                    yield FieldError(
                        safe_pointer((*path, name)), FieldCode.UNKNOWN_FIELD, _unknown(name, known)
                    )
            case "anyOf" | "oneOf":
                yield from self._describe_choice(error, value)
            case "pattern":
                yield FieldError(
                    safe_pointer(path), FieldCode.PATTERN, self._pattern_words(error, kind.pattern)
                )
            case _:
                yield FieldError(safe_pointer(path), *_words(kind))

    def _describe_choice(self, error: ValidationError, value: Any) -> Iterator[FieldError]:
        branches: list[list[ValidationError]] = error.kind.context  # type: ignore[attr-defined]
        path, _ = _follow(error.instance_path, value)
        if any(not branch for branch in branches):
            yield FieldError(safe_pointer(path), FieldCode.AMBIGUOUS, "fits more than one of its forms")
            return
        depth = len(path)
        meant = min(branches, key=lambda branch: _distance(branch, depth))
        wrong_tag = next((each for each in meant if _tag(each, depth)), None)
        if wrong_tag is None:
            for each in meant:
                yield from self._describe(each, value)
            return
        # No branch has this tag: say which tags there are.
        tags = dict.fromkeys(tag for branch in branches for each in branch for tag in _tag(each, depth))
        yield FieldError(
            safe_pointer((*path, wrong_tag.instance_path[-1])), FieldCode.NOT_IN_ENUM, _one_of(list(tags))
        )

    def _pattern_words(self, error: ValidationError, pattern: str) -> str:
        described = self._at(error.schema_path[:-1]).get("x-pattern-description")
        if isinstance(described, str):
            return f"must be {described}"
        if len(pattern) <= _SHOWN_PATTERN_MAX:
            return f"must match {pattern}"
        return "does not have the form that the contract describes"

    def _at(self, schema_path: Sequence[str | int]) -> Mapping[str, Any]:
        node: Any = self._document
        for step in schema_path:
            node = node[step]
        return node if isinstance(node, dict) else {}


class Schemas:
    """Compiles the schemas of one contract.

    late: each when it is first needed, as most of them are not in the life of a Lambda function; for a contract of which it
    is known that all can be compiled.
    """

    def __init__(self, contract: Mapping[str, Any], *, late: bool = False) -> None:
        components = contract.get("components", {}).get("schemas", {})
        self._late = late
        self._convert = _Converter(components)
        self._components = {name: self._convert(schema) for name, schema in components.items()}

    def compile(self, schema: Mapping[str, Any]) -> Schema:
        """A validator for requests."""
        compiled = Schema(partial(self._document_of, schema))
        if not self._late:
            compiled.compile()
        return compiled

    def _document_of(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        converted = self._convert(schema)
        used: dict[str, Any] = {}
        self._collect(converted, used)
        # In draft 4 nothing counts beside a `$ref`, so it is wrapped.
        return {"allOf": [converted], "components": {"schemas": used}}

    def _collect(self, node: Any, used: dict[str, Any]) -> None:
        """Add every component that the converted schema refers to, and those that they refer to."""
        if isinstance(node, list):
            for each in node:
                self._collect(each, used)
        elif isinstance(node, dict):
            name = _component(node)
            if name in self._components and name not in used:
                used[name] = self._components[name]
                self._collect(used[name], used)
            for each in node.values():
                self._collect(each, used)


class _Converter:
    """OpenAPI 3.0 to draft 4, for requests."""

    def __init__(self, components: Mapping[str, Any]) -> None:
        self._components = components

    def __call__(self, schema: Any) -> Any:
        if not isinstance(schema, Mapping):
            return schema
        if "$ref" in schema:
            return {"$ref": schema["$ref"]}
        converted = {name: value for name, value in schema.items() if name in _SAME}
        for name in ("items", "additionalProperties", "not"):
            if name in schema:
                converted[name] = self(schema[name])
        for name in ("allOf", "anyOf", "oneOf"):
            if name in schema:
                converted[name] = [self(branch) for branch in schema[name]]
        if "properties" in schema:
            self._convert_properties(schema["properties"], converted)
        if schema.get("nullable") and "type" in schema:
            converted["type"] = [schema["type"], "null"]
            if "enum" in schema and None not in schema["enum"]:
                converted["enum"] = [*schema["enum"], None]
        return converted

    def _convert_properties(self, properties: Mapping[str, Any], converted: dict[str, Any]) -> None:
        read_only = {name for name, schema in properties.items() if self._is_read_only(schema)}
        converted["properties"] = {
            name: _READ_ONLY if name in read_only else self(schema) for name, schema in properties.items()
        }
        required = [name for name in converted.pop("required", []) if name not in read_only]
        if required:
            converted["required"] = required

    def _is_read_only(self, schema: Mapping[str, Any]) -> bool:
        return bool(self._components.get(_component(schema), schema).get("readOnly"))


def _component(schema: Mapping[str, Any]) -> str:
    """The name of the component that the schema refers to; empty when it is not a reference."""
    reference = schema.get("$ref")
    return reference.removeprefix("#/components/schemas/") if isinstance(reference, str) else ""


def _follow(steps: Sequence[str | int], value: Any) -> tuple[Path, Any]:
    """The path in the value's own names, and what is there.

    The validator makes a number of a name of digits (`007` is 7), which would name another field, and a card number in
    the place of a name would not look like text to whoever masks it.
    """
    path: list[str | int] = []
    for given in steps:
        step: str | int = given
        if isinstance(value, dict) and given not in value:
            step = next((name for name in value if _number(name) == given), str(given))
        path.append(step)
        value = value[step]
    return tuple(path), value


def _number(name: str) -> int | None:
    try:
        return int(name)
    except ValueError:
        return None


def _distance(branch: Iterable[ValidationError], depth: int) -> tuple[bool, bool, int]:
    """How far a value is from a branch: wrong tag, wrong type of the whole, number of errors."""
    errors = list(branch)
    wrong_tag = any(_tag(error, depth) for error in errors)
    wrong_type = any(error.kind.name == "type" and len(error.instance_path) == depth for error in errors)
    return wrong_tag, wrong_type, len(errors)


def _tag(error: ValidationError, depth: int) -> list[Any]:
    """The value that a branch would want, when the error is about the field that tells branches apart.

    Draft 4 knows no discriminator; what stands in for it is a one-value enum in each branch.
    """
    kind: Any = error.kind
    if kind.name != "enum" or len(kind.options) != 1 or len(error.instance_path) != depth + 1:
        return []
    return list(kind.options)


def _unknown(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name[:64], list(known), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"is not a field of this object{hint}"


def _words(kind: Any) -> tuple[FieldCode, str]:
    """The code and the sentence for an error of this kind."""
    match kind.name:
        case "type":
            return (
                FieldCode.WRONG_TYPE,
                f"must be {_or([*(words for name, words in _TYPES.items() if name in kind.types)])}",
            )
        case "enum":
            return FieldCode.NOT_IN_ENUM, _one_of(kind.options)
        case "format":
            return FieldCode.FORMAT, f"must be {_FORMAT_WORDS.get(kind.format, kind.format)}"
        case "not":
            if kind.schema == {}:
                return FieldCode.READ_ONLY, "is set by the sandbox and cannot be sent"
            return FieldCode.INVALID, "is not allowed here"
        case "uniqueItems":
            return FieldCode.NOT_UNIQUE, "must not have the same item twice"
        case "multipleOf":
            return FieldCode.NOT_MULTIPLE, f"must be a multiple of {kind.multiple_of}"
        case name if name in _BOUNDS:
            code, words = _BOUNDS[name]
            return code, words.format(kind.limit)
    return FieldCode.INVALID, "is not what the contract describes"


def _one_of(options: Sequence[Any]) -> str:
    if len(options) > _LISTED_OPTIONS_MAX:
        return f"must be one of the {len(options)} values in the contract"
    return f"must be {_or(['null' if option is None else str(option) for option in options])}"


def _or(words: Sequence[str]) -> str:
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} or {words[-1]}"


_TYPES: Final = {
    "object": "an object",
    "array": "an array",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}

_BOUNDS: Final = {
    "minimum": (FieldCode.TOO_SMALL, "must be at least {}"),
    "exclusiveMinimum": (FieldCode.TOO_SMALL, "must be more than {}"),
    "maximum": (FieldCode.TOO_LARGE, "must be at most {}"),
    "exclusiveMaximum": (FieldCode.TOO_LARGE, "must be less than {}"),
    "minLength": (FieldCode.TOO_SHORT, "must have at least {} characters"),
    "maxLength": (FieldCode.TOO_LONG, "must have at most {} characters"),
    "minItems": (FieldCode.TOO_FEW, "must have at least {} items"),
    "maxItems": (FieldCode.TOO_MANY, "must have at most {} items"),
    "minProperties": (FieldCode.TOO_FEW, "must have at least {} fields"),
    "maxProperties": (FieldCode.TOO_MANY, "must have at most {} fields"),
}

_FORMAT_WORDS: Final = {
    "date-time": "a date-time with an offset, such as 2026-01-31T09:30:00Z",
    "date": "a date, such as 2026-01-31",
    "uuid": "a UUID",
    "uri": "an absolute URI",
    "email": "an e-mail address",
}


def _is_moment(text: str) -> bool:
    try:
        parse_timestamp(text)
    except ValueError:
        return False
    return True


def _is_date(text: str) -> bool:
    if _DATE.fullmatch(text) is None:
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_uuid(text: str) -> bool:
    return _UUID.fullmatch(text) is not None


# Draft 4 knows neither `uuid` nor `date`; a moment is one when the domain can read it.
_FORMATS: Final = {"date-time": _is_moment, "date": _is_date, "uuid": _is_uuid}
