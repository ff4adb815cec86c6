"""The order in which the tests run, and which of them share a worker under `--dist=loadgroup`.

Tests of one group run on one worker, so that what they share is started once. A file is a group; so are all tests of the
AWS deployment, which share an emulator.
"""

from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest
from _pytest.nodeid import NodeId

HERE: Final = Path(__file__).parent
DEPLOYED_GROUP: Final = "aws"

FIRST: Final = (
    "aws-fuzz",
    DEPLOYED_GROUP,
    "tests/e2e/test_fuzz.py",
    "tests/e2e/test_webhook_kill.py",
    "tests/e2e/test_process.py",
)
"""The groups that take longest, the longest first: one that started last would be waited for alone."""


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Give every test below this folder a group, and sort the groups."""
    for item in items:
        if HERE in item.path.parents and not group_of(item):
            is_deployed = item.get_closest_marker("deployed") is not None
            file = item.path.relative_to(config.rootpath).as_posix()
            item.add_marker(pytest.mark.xdist_group(DEPLOYED_GROUP if is_deployed else file))
    rank = {name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(group_of(item), len(FIRST)))
    yield
    if config.getoption("loadgroup", False):
        for item in items:
            append_group(item)


def group_of(item: pytest.Item) -> str:
    """The name of a test's group; empty outside this folder, if it has none."""
    marker = item.get_closest_marker("xdist_group")
    return "" if marker is None else str(marker.args[0])


def append_group(item: pytest.Item) -> None:
    """Append the group to the test's id, where xdist reads it.

    xdist 3.8 does so itself, but by an attribute that pytest 9.2 no longer reads: without this, no test has a group.
    """
    group = group_of(item)
    if group and not item.nodeid.endswith(f"@{group}"):
        item._id = NodeId.parse(f"{item.nodeid}@{group}")
        assert item.nodeid.endswith(f"@{group}"), (
            "this pytest keeps a test's id elsewhere: tests lose their groups"
        )
