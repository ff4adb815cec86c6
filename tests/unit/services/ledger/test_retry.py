"""The optimistic retry makes as many attempts as it is told, and ends with a result or with one error."""

from collections.abc import Callable

import pytest

from payments_sandbox.domain.errors import AccountBusy
from payments_sandbox.services.ledger.retry import LOST, RACES_MAX, LostRace, retry_on_conflict
from tests.each_case import each_case

BUSY = AccountBusy("Repeat the request.")


def loses(count: int, result: str | None) -> tuple[list[int], Callable[[], str | LostRace | None]]:
    """Loses so many races, then gives the result; the list holds a number for each attempt."""
    attempts: list[int] = []

    def attempt() -> str | LostRace | None:
        attempts.append(len(attempts))
        return LOST if len(attempts) <= count else result

    return attempts, attempt


@each_case("losses", [0, 1, RACES_MAX - 1])
@each_case("result", ["done", "", None])
def test_the_first_attempt_that_wins_gives_the_result(losses: int, result: str | None) -> None:
    attempts, attempt = loses(losses, result)
    assert retry_on_conflict(attempt, BUSY) == result
    assert len(attempts) == losses + 1


@each_case("races_max", [1, 16, RACES_MAX])
def test_when_every_race_is_lost_the_callers_error_is_raised(races_max: int) -> None:
    attempts, attempt = loses(races_max, "too late")
    with pytest.raises(AccountBusy) as caught:
        retry_on_conflict(attempt, BUSY, races_max=races_max)
    assert caught.value is BUSY
    assert len(attempts) == races_max


def test_an_error_of_an_attempt_ends_the_retry() -> None:
    def attempt() -> str | LostRace:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        retry_on_conflict(attempt, BUSY)
