"""What the access log says about a request; who writes it is the home's affair.

Refuses to know anything of the caller's own words: a route is its template, a method one of HTTP's.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

ACCESS_LOGGER: Final = "sandbox.access"

AccessLog = Callable[[Mapping[str, Any]], None]
"""Takes what there is to say: method, route, status, duration_ms, request_id, account_id."""


def access_message(fields: Mapping[str, Any]) -> str:
    """The same in short, for people."""
    return f"{fields['method']} {fields['route']} {fields['status']}"
