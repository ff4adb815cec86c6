"""JSON pointers say where something is, whatever its name."""

from hypothesis import given
from hypothesis import strategies as st

from payments_sandbox.domain.json_pointers import escape_name, json_pointer, unescape_name
from tests.each_case import each_case


@each_case(
    ("name", "escaped"),
    # Source: RFC 6901, section 5.
    [("foo", "foo"), ("", ""), ("a/b", "a~1b"), ("m~n", "m~0n"), ("~1", "~01"), (" ", " "), ('k"l', 'k"l')],
)
def test_names_are_escaped_as_the_standard_says(name: str, escaped: str) -> None:
    assert escape_name(name) == escaped
    assert unescape_name(escaped) == name


def test_a_path_becomes_one_step_for_each_name_and_index() -> None:
    assert json_pointer(["a/b", "~", 0, ""]) == "/a~1b/~0/0/"
    assert json_pointer([]) == ""


@given(st.text(st.sampled_from("~/01a"), max_size=8))
def test_a_pointer_leads_back_to_the_name(name: str) -> None:
    escaped = escape_name(name)
    assert "/" not in escaped
    assert unescape_name(escaped) == name
