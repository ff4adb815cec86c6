"""JSON pointers (RFC 6901): the path to a place in a JSON document, as one text.

Names go in as they are. A name that a caller chose may not be fit to be shown: see `safe_pointer` in `http/masking.py`.
"""

from collections.abc import Iterable


def json_pointer(path: Iterable[str | int]) -> str:
    """Return the pointer of a path of names and indexes; the empty path is the whole document, ``."""
    return "".join(f"/{escape_name(step)}" if isinstance(step, str) else f"/{step}" for step in path)


def escape_name(name: str) -> str:
    """Return a field's name as a step of a pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def unescape_name(step: str) -> str:
    """Return the field's name that a step of a pointer stands for."""
    # In this order, so that `~01` becomes `~1`.
    return step.replace("~1", "/").replace("~0", "~")
