"""Which operation a path and a method mean.

Connexion's router comes later and finds the same; this one goes first because it knows three things that Connexion's
does not: every method of a path (for `Allow`), that `/v1/authorize/` is not `/v1/authorize`, and that a line feed at
the end of a path is part of it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Target = TypeVar("Target")

_PARAMETER: Final = re.compile(r"\{[^}]+\}")


@dataclass(frozen=True, slots=True)
class Route(Generic[Target]):
    """One path of the contract.

    template: as the contract writes it; what logs show. methods: by upper-case name; HEAD is there when GET is, with
    GET's target. allow: the value of the `Allow` header.
    """

    template: str
    methods: Mapping[str, Target]
    allow: str


class Router(Generic[Target]):
    """Finds the route of a path: a dictionary for fixed paths, then the templates in the contract's order."""

    def __init__(self, targets: Iterable[tuple[str, str, Target]]) -> None:
        """targets: upper-case method, path template, target."""
        by_template: dict[str, dict[str, Target]] = {}
        for method, template, target in targets:
            by_template.setdefault(template, {})[method] = target
        routes = [_make_route(template, methods) for template, methods in by_template.items()]
        self._fixed = {route.template: route for route in routes if "{" not in route.template}
        self._templates = [(_compile(route.template), route) for route in routes if "{" in route.template]

    def find(self, path: str) -> Route[Target] | None:
        """The route of this decoded path; None when the contract has no such path."""
        route = self._fixed.get(path)
        if route is not None:
            return route
        for pattern, templated in self._templates:
            if pattern.fullmatch(path) is not None:
                return templated
        return None


def _make_route(template: str, methods: dict[str, Target]) -> Route[Target]:
    if "GET" in methods:
        methods["HEAD"] = methods["GET"]
    return Route(template, methods, ", ".join(sorted([*methods, "OPTIONS"])))


def _compile(template: str) -> re.Pattern[str]:
    # No line feeds: Connexion mounts its routes under a pattern that stops at one, and no id holds one.
    return re.compile(r"[^/\n]+".join(re.escape(literal) for literal in _PARAMETER.split(template)))
