"""When an account's day ends, and so when it is settled: read and changed by the account itself."""

from dataclasses import dataclass, replace

from payments_sandbox.domain.settlement import next_cutoff
from payments_sandbox.services.accounts.controls import change_controls
from payments_sandbox.services.world import World


@dataclass(frozen=True, slots=True)
class Schedule:
    """cutoff_minutes: when days end, after midnight UTC. next_at: when the day ends that it is now (milliseconds)."""

    cutoff_minutes: int
    next_at: int


def get_schedule(world: World) -> Schedule:
    """The account's schedule."""
    return Schedule(world.cutoff_minutes, next_cutoff(world.clock.now_ms(), world.cutoff_minutes))


def change_schedule(world: World, cutoff_minutes: int) -> tuple[Schedule, bool]:
    """End the account's days at another time from now on. What was made before is settled when it would have been.

    Also answers whether these are the account's first controls.
    Errors: account_busy.
    """
    controls, first = change_controls(
        world.infrastructure,
        world.account_id,
        lambda controls: replace(controls, cutoff_minutes=cutoff_minutes),
    )
    next_at = next_cutoff(world.clock.now_ms(), controls.cutoff_minutes)
    return Schedule(controls.cutoff_minutes, next_at), first
