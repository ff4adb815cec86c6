"""Request limits, counted in this process.

A token bucket per API key: as many tokens as the plan's quota, refilled evenly over its window. Time is the machine's
monotonic clock: an account's clock can be moved, its limits cannot. Counted in integers: one token is `window_ns` units,
and `requests` units flow in per nanosecond.
"""

import time
from collections.abc import Callable, Mapping

from payments_sandbox.domain.errors import Quota
from payments_sandbox.domain.usage_plans import DEFAULT_PLAN, UsagePlan

SECOND_NS = 1_000_000_000


class TokenBucketLimiter:
    """`RateLimiter` for one process; two processes on one ledger count apart.

    keys_max bounds the memory: past it, buckets that are full again are dropped, which nobody can notice.
    """

    def __init__(
        self,
        plans: Mapping[str, UsagePlan],
        *,
        now_ns: Callable[[], int] = time.monotonic_ns,
        keys_max: int = 10_000,
    ) -> None:
        self._plans = plans
        self._now_ns = now_ns
        self._keys_max = keys_max
        self._buckets: dict[str, tuple[int, int, UsagePlan]] = {}

    def take(self, key_id: str, plan: str) -> Quota:
        """Count one request against the key's bucket."""
        chosen = self._plans.get(plan) or self._plans[DEFAULT_PLAN]
        window_ns = chosen.window_s * SECOND_NS
        full = chosen.requests * window_ns
        now = self._now_ns()
        units, since, _ = self._buckets.get(key_id, (full, now, chosen))
        units = min(full, units + (now - since) * chosen.requests)
        allowed = units >= window_ns
        if allowed:
            units -= window_ns
        if key_id not in self._buckets and len(self._buckets) >= self._keys_max:
            self._drop_full(now)
        self._buckets[key_id] = (units, now, chosen)
        missing = full - units if allowed else window_ns - units
        return Quota(
            policy=chosen.name,
            limit=chosen.requests,
            window_s=chosen.window_s,
            remaining=units // window_ns,
            reset_s=-(-missing // (chosen.requests * SECOND_NS)),
            allowed=allowed,
        )

    def _drop_full(self, now: int) -> None:
        def is_full(units: int, since: int, plan: UsagePlan) -> bool:
            return units + (now - since) * plan.requests >= plan.requests * plan.window_s * SECOND_NS

        self._buckets = {key: bucket for key, bucket in self._buckets.items() if not is_full(*bucket)}
