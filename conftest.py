"""How random the tests are, and which of them share a worker.

Hypothesis draws the same examples in every run, so a red test is red on every machine. Neither profile measures time: a
slow machine fails no test. `make explore` runs the same tests, with the same number of examples, from a random seed.
"""

import re
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # it has no types

DEPLOYED: Final = "deployed"
ON_DEPLOYED: Final = re.compile(r"[\[-]deployed[\]-]")
"""In the id of a test, the parameter of the `sandbox` fixture in `tests/e2e/conftest.py`."""

STACKS: Final = "tests/stacks/"

LONGEST_FIRST: Final = (
    DEPLOYED,
    "tests/e2e/test_fuzz.py",
    STACKS,
    "tests/e2e/test_webhook_kill.py",
)

settings.register_profile(
    "fixed",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile("explore", settings.get_profile("fixed"), derandomize=False)
settings.load_profile("fixed")


class ByFileAndDeployment(LoadScopeScheduling):  # type: ignore[misc]
    """Distributes whole scopes, so that a worker starts once what their tests share."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """For `pytest -n`."""
    return ByFileAndDeployment(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest scopes first: one that started last would be waited for alone."""
    rank = {scope: number for number, scope in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(scope_of(item.nodeid), len(rank)))


def scope_of(nodeid: str) -> str:
    """What shares a worker: the tests of a file; or all tests on the deployed sandbox, which takes 20 s to start; or all tests
    of the Pulumi program, which share what it has deployed."""
    file, _, test = nodeid.partition("::")
    if ON_DEPLOYED.search(test):
        return DEPLOYED
    return STACKS if file.startswith(STACKS) else file
