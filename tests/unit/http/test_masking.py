"""What a caller chose is fit to be shown."""

from payments_sandbox.http.masking import NAME_LENGTH_MAX, safe_name, safe_pointer


def test_a_name_is_cut_after_it_is_masked() -> None:
    shown = safe_name("x" * (NAME_LENGTH_MAX - 4) + "4242424242424242")
    assert shown == "x" * (NAME_LENGTH_MAX - 4) + "[mas..."
    assert safe_name("9" * 100_000) == "[masked]"


def test_a_name_never_holds_what_does_not_print() -> None:
    assert safe_name("a\n\x00\ud800\u202eb") == "a\\u000a\\u0000\\ud800\\u202eb"
    assert safe_name("naïve 😀") == "naïve 😀"


def test_a_pointer_is_escaped_and_its_names_are_safe() -> None:
    assert safe_pointer(["a", 0, "4242424242424242", "\n/"]) == "/a/0/[masked]/\\u000a~1"
    assert safe_pointer(["a/b", "~", 0, ""]) == "/a~1b/~0/0/"
    assert safe_pointer([]) == ""
