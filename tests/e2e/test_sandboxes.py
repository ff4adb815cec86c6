"""The markers that say on which sandbox a test runs."""

import pytest

from tests.e2e.infra.sandbox import sandboxes_of

pytestmark = pytest.mark.local_only("it is about the tests' own markers")


def test_a_test_runs_on_both_sandboxes_unless_a_marker_names_one() -> None:
    assert sandboxes_of([pytest.mark.slow.mark]) == ["local", "deployed"]
    assert sandboxes_of([pytest.mark.local_only("it kills the process").mark]) == ["local"]
    assert sandboxes_of([pytest.mark.deployed_only("it is about the gateway").mark]) == ["deployed"]


@pytest.mark.parametrize("arguments", [(), ("",), (" ",), ("two", "reasons")])
def test_a_marker_without_one_reason_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="local_only needs a reason"):
        sandboxes_of([pytest.mark.local_only(*arguments).mark])


def test_a_test_cannot_have_both_markers() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        sandboxes_of([pytest.mark.local_only("one").mark, pytest.mark.deployed_only("other").mark])
