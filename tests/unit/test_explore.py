"""Seeds: tests draw the same examples in every run, and `make explore` others."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.explore import SEED_MAX, explore

FIXED, EXPLORE = settings.get_profile("fixed"), settings.get_profile("explore")


def drawn(profile: settings, with_seed: Callable[[Any], Any] = lambda test: test) -> list[int]:
    """The examples of a property test."""
    examples: list[int] = []

    @with_seed
    @profile
    @given(st.integers())
    def draw(number: int) -> None:
        examples.append(number)

    draw()
    return examples


def test_tests_draw_the_same_examples_in_every_run() -> None:
    assert settings.get_current_profile_name() == "fixed"
    assert len(drawn(FIXED)) == FIXED.max_examples
    assert drawn(FIXED) == drawn(FIXED)


def test_exploring_draws_as_many_examples_from_the_seed() -> None:
    assert drawn(EXPLORE, seed(1)) == drawn(EXPLORE, seed(1)) != drawn(EXPLORE, seed(2))
    assert EXPLORE.max_examples == FIXED.max_examples


@pytest.mark.parametrize("profile", [FIXED, EXPLORE])
def test_no_example_is_measured_against_the_clock(profile: settings) -> None:
    assert profile.deadline is None
    assert HealthCheck.too_slow in profile.suppress_health_check


def test_rounds_go_on_with_the_next_seed_until_the_time_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    minutes = count()
    assert (
        explore(SEED_MAX, minutes=3, rounds=None, run=lambda seed: 0, now_s=lambda: 60.0 * next(minutes)) == 0
    )
    assert capsys.readouterr().out.splitlines()[-1] == f"passed with seeds {SEED_MAX}, 0, 1"


def test_a_given_number_of_rounds_takes_as_long_as_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert explore(5, minutes=0, rounds=2, run=lambda seed: 0) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "passed with seeds 5, 6"


def test_the_first_failure_ends_the_run_and_says_how_to_repeat_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert explore(5, minutes=60, rounds=None, run=lambda seed: int(seed == 7)) == 1
    assert capsys.readouterr().out.splitlines() == [
        "round 1: seed 5",
        "round 2: seed 6",
        "round 3: seed 7",
        "failed with seed 7; to repeat: make explore SEED=7 ROUNDS=1",
    ]
