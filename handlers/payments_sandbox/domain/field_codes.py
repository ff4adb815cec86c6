"""The codes of field errors: what is wrong with one field, one header or one parameter of a request.

Clients branch on them, so they are the contract's enum `FieldCode`; a test compares the two both ways. The codes of whole
errors are in `errors.py`.
"""

from enum import StrEnum


class FieldCode(StrEnum):
    """One member for each kind of fault that a request's field can have."""

    # The field itself.
    REQUIRED = "required"
    UNKNOWN_FIELD = "unknown_field"
    UNKNOWN_PARAMETER = "unknown_parameter"
    DUPLICATE_FIELD = "duplicate_field"
    REPEATED = "repeated"
    READ_ONLY = "read_only"
    CONFLICT = "conflict"

    # The form of its value.
    WRONG_TYPE = "wrong_type"
    FORMAT = "format"
    PATTERN = "pattern"
    NOT_IN_ENUM = "not_in_enum"
    TOO_SMALL = "too_small"
    TOO_LARGE = "too_large"
    NOT_MULTIPLE = "not_multiple"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    TOO_FEW = "too_few"
    TOO_MANY = "too_many"
    NOT_UNIQUE = "not_unique"
    AMBIGUOUS = "ambiguous"
    INVALID = "invalid"

    # How the request is encoded.
    MALFORMED_JSON = "malformed_json"
    NOT_UNICODE = "not_unicode"
    UNSUPPORTED_CHARSET = "unsupported_charset"

    # What the value means to the sandbox.
    CARD_NUMBER = "card_number"
    NOT_A_TEST_CARD = "not_a_test_card"
    NOT_FOUND = "not_found"
    DIFFERS = "differs"
    INVALID_CURSOR = "invalid_cursor"
    URL_REFUSED = "url_refused"
    TOO_LATE = "too_late"
    UNKNOWN_SIMULATION = "unknown_simulation"
    NOT_APPLICABLE = "not_applicable"
    UNKNOWN_FAULT = "unknown_fault"
