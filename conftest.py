"""How random the tests are: not at all, unless `make explore` asks.

Hypothesis draws the same examples in every run, so a red test is red on every machine. Neither profile measures time: a
slow machine fails no test. `make explore` runs the same tests, with the same number of examples, from a random seed.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadGroupScheduling  # type: ignore[import-untyped]  # it has no types

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


class FilesAndGroups(LoadGroupScheduling):  # type: ignore[misc]
    """Gives the tests of one `xdist_group`, or else of one file, to one worker, so that it starts once what they share."""

    def _split_scope(self, nodeid: str) -> str:
        group: str = super()._split_scope(nodeid)
        return nodeid.partition("::")[0] if group == nodeid else group


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadGroupScheduling:
    return FilesAndGroups(config, log)
