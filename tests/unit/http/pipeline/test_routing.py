"""The table of paths."""

import pytest
from starlette.types import Receive, Scope, Send

from payments_sandbox.http.pipeline.routing import RouteTable
from payments_sandbox.http.problems import RouteNotFound


async def nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """An operation that the table does not call."""


@pytest.fixture
def table() -> RouteTable:
    table = RouteTable()
    for method, template in (
        ("GET", "/a/{x}"),
        ("GET", "/a/b"),
        ("POST", "/a/{x}/c.d"),
        ("DELETE", "/a/{x}"),
    ):
        table.add(method, template, nothing)
    return table


@pytest.mark.parametrize(
    ("path", "template", "parameters"),
    [("/a/b", "/a/b", {}), ("/a/z", "/a/{x}", {"x": "z"}), ("/a/z/c.d", "/a/{x}/c.d", {"x": "z"})],
)
def test_fixed_paths_are_found_before_templates(
    table: RouteTable, path: str, template: str, parameters: dict[str, str]
) -> None:
    route, found = table.find(path)
    assert (route.template, found) == (template, parameters)


@pytest.mark.parametrize("path", ["/a/", "/a/z/", "/a/z/cxd", "/a/z/c.d\n", "/a/z\n", "/b", ""])
def test_a_path_that_is_nearly_right_is_not_found(table: RouteTable, path: str) -> None:
    with pytest.raises(RouteNotFound):
        table.find(path)


def test_allow_has_every_method_of_the_path(table: RouteTable) -> None:
    assert table.find("/a/z")[0].allow == "DELETE, GET, HEAD, OPTIONS"
    assert table.find("/a/b")[0].allow == "GET, HEAD, OPTIONS"
