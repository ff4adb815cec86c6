"""Every rule of a schema is reported by a stable code and in words that do not hold the value."""

from typing import Any

import pytest

from payments_sandbox.http.reading.schemas import Schemas
from tests.each_case import each_case

SECRET = "4242424242424242"


def explain(schema: dict[str, Any], value: Any, **components: Any) -> list[tuple[str, str, str]]:
    compiled = Schemas({"components": {"schemas": components}}).compile(schema)
    errors = compiled.explain(value, 20)
    assert compiled.is_valid(value) == (errors == [])
    return [(error.pointer, error.code, error.detail) for error in errors]


@each_case(
    ("schema", "value", "code", "detail"),
    [
        ({"type": "integer"}, SECRET, "wrong_type", "must be an integer"),
        ({"type": "integer"}, 1.0, "wrong_type", "must be an integer"),
        ({"type": "integer"}, True, "wrong_type", "must be an integer"),
        ({"type": "string", "nullable": True}, 4, "wrong_type", "must be a string or null"),
        ({"type": "object"}, [], "wrong_type", "must be an object"),
        ({"minimum": 3}, 2, "too_small", "must be at least 3"),
        ({"minimum": 3, "exclusiveMinimum": True}, 3, "too_small", "must be more than 3"),
        ({"maximum": 3}, 10**30, "too_large", "must be at most 3"),
        ({"maximum": 3, "exclusiveMaximum": True}, 3, "too_large", "must be less than 3"),
        ({"multipleOf": 5}, 7, "not_multiple", "must be a multiple of 5"),
        ({"minLength": 20}, SECRET, "too_short", "must have at least 20 characters"),
        ({"maxLength": 3}, SECRET, "too_long", "must have at most 3 characters"),
        ({"minItems": 1}, [], "too_few", "must have at least 1 items"),
        ({"maxItems": 1}, [1, 2], "too_many", "must have at most 1 items"),
        ({"uniqueItems": True}, [1, 1], "not_unique", "must not have the same item twice"),
        ({"minProperties": 1}, {}, "too_few", "must have at least 1 fields"),
        ({"maxProperties": 0}, {SECRET: 1}, "too_many", "must have at most 0 fields"),
        ({"pattern": "^a$"}, SECRET, "pattern", "must match ^a$"),
        ({"pattern": "^a$", "x-pattern-description": "an a"}, SECRET, "pattern", "must be an a"),
        (
            {"pattern": f"^{'a' * 90}$"},
            SECRET,
            "pattern",
            "does not have the form that the contract describes",
        ),
        ({"enum": ["a", "b", "c"]}, SECRET, "not_in_enum", "must be a, b or c"),
        ({"enum": ["a"], "type": "string", "nullable": True}, SECRET, "not_in_enum", "must be a or null"),
        ({"enum": list(range(40))}, SECRET, "not_in_enum", "must be one of the 40 values in the contract"),
        ({"format": "uuid"}, SECRET, "format", "must be a UUID"),
        ({"format": "date"}, "2026-13-01", "format", "must be a date, such as 2026-01-31"),
        ({"format": "uri"}, SECRET, "format", "must be an absolute URI"),
        ({"not": {"type": "string"}}, SECRET, "invalid", "is not allowed here"),
    ],
)
def test_each_rule_has_its_code_and_its_words(
    schema: dict[str, Any], value: Any, code: str, detail: str
) -> None:
    assert explain(schema, value) == [("", code, detail)]


def test_pointers_are_escaped_and_names_are_made_safe() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "integer"}}
    names = {"a/b~c": "x", SECRET: "x", "\x1b[31m": "x", "n" * 100: "x"}
    assert [pointer for pointer, _, _ in explain(schema, names)] == sorted(
        ["/a~1b~0c", "/[masked]", "/\\u001b[31m", f"/{'n' * 64}..."]
    )


def test_a_name_of_digits_is_shown_as_it_was_sent() -> None:
    schema = {"type": "object", "additionalProperties": {"oneOf": [{"type": "integer"}, {"type": "boolean"}]}}
    assert [pointer for pointer, _, _ in explain(schema, {"007": "x", "+5": "x", "7": 1})] == ["/+5", "/007"]


def test_an_object_that_may_have_no_fields_names_those_that_it_has() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "object", "additionalProperties": False}}}
    assert [error[:2] for error in explain(schema, {"a": {"b": 1, "c": 2}})] == [
        ("/a/b", "unknown_field"),
        ("/a/c", "unknown_field"),
    ]


def test_an_unknown_field_is_named_with_the_field_that_may_be_meant() -> None:
    schema = {"type": "object", "additionalProperties": False, "properties": {"currency": {}, "amount": {}}}
    assert explain(schema, {"curency": 1, "zzz": 2}) == [
        ("/curency", "unknown_field", "is not a field of this object; did you mean currency?"),
        ("/zzz", "unknown_field", "is not a field of this object"),
    ]


def test_read_only_fields_are_refused_and_never_required_also_behind_a_reference() -> None:
    schema = {
        "type": "object",
        "required": ["id", "at", "name"],
        "properties": {
            "id": {"$ref": "#/components/schemas/Id"},
            "at": {"type": "string", "readOnly": True},
            "name": {"type": "string"},
        },
    }
    components = {"Id": {"type": "string", "readOnly": True}}
    assert explain(schema, {"name": "x"}, **components) == []
    assert [
        (pointer, code) for pointer, code, _ in explain(schema, {"id": "x", "at": "x"}, **components)
    ] == [
        ("/at", "read_only"),
        ("/id", "read_only"),
        ("/name", "required"),
    ]


def test_references_are_followed_through_components_that_refer_to_each_other() -> None:
    components = {
        "Tree": {"type": "object", "properties": {"left": {"$ref": "#/components/schemas/Branch"}}},
        "Branch": {"allOf": [{"$ref": "#/components/schemas/Tree"}]},
        "Unused": {"$ref": "#/components/schemas/Nowhere"},
    }
    schema = {"$ref": "#/components/schemas/Tree"}
    assert explain(schema, {"left": {"left": 1}}, **components) == [
        ("/left/left", "wrong_type", "must be an object")
    ]


def test_a_choice_reports_the_branch_that_is_nearest() -> None:
    text = {"type": "string", "maxLength": 2}
    pair = {"type": "object", "required": ["a", "b"]}
    assert explain({"anyOf": [text, pair]}, {"a": 1}) == [("/b", "required", "is required")]
    assert explain({"anyOf": [text, pair]}, "long") == [("", "too_long", "must have at most 2 characters")]


def test_errors_are_cut_off_at_the_limit() -> None:
    schema = {"type": "object", "additionalProperties": False}
    compiled = Schemas({}).compile(schema)
    assert len(compiled.explain({str(number): 1 for number in range(50)}, 21)) == 21


def test_a_schema_that_is_compiled_late_finds_the_same() -> None:
    components = {"Amount": {"type": "integer", "minimum": 1}}
    contract = {"components": {"schemas": components}}
    schema = {"type": "object", "properties": {"amount": {"$ref": "#/components/schemas/Amount"}}}
    early, late = Schemas(contract).compile(schema), Schemas(contract, late=True).compile(schema)
    values: list[Any] = [{"amount": 1}, {"amount": 0}, {"amount": "1"}, {}, []]
    for value in values:
        assert late.explain(value, 5) == early.explain(value, 5)
        assert late.is_valid(value) == early.is_valid(value) == (not early.explain(value, 5))


def test_what_cannot_be_compiled_is_found_at_once_unless_it_was_looked_at_before() -> None:
    broken = {"type": "string", "pattern": "("}
    with pytest.raises(ValueError, match="regex"):
        Schemas({}).compile(broken)
    with pytest.raises(ValueError, match="regex"):
        Schemas({}, late=True).compile(broken).is_valid("")
