"""Usage plans: how many requests an API key may make."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class UsagePlan:
    """requests per window; window_s: its length in seconds."""

    name: str
    requests: int
    window_s: int = 60


DEFAULT_PLAN: Final = "default"
DEMO_PLAN: Final = "demo"

PLANS: Final[dict[str, UsagePlan]] = {
    plan.name: plan
    for plan in (
        UsagePlan(DEFAULT_PLAN, 100),
        # Load tests and contract fuzzing run on the demo account, so its plan is above what one machine can serve.
        UsagePlan(DEMO_PLAN, 6_000_000),
    )
}
