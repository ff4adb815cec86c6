"""How often the commands may ask, by what the API says of the key's plan.

Source: draft-ietf-httpapi-ratelimit-headers-11.
"""

import re
from collections.abc import Mapping
from typing import Final

from payments_sandbox.domain.usage_plans import DEFAULT_PLAN, PLANS

_PARAMETER: Final = re.compile(r";\s*([a-z]+)=(\d{1,9})(?![\d.])")


class Pace:
    """How often a listing may be asked for without eating up the key's plan.

    A fifth of the quota, so that three listeners on one key leave room for payments, and a third of that when less than a
    quarter is left. Where the API does not tell its limits, those of the default plan are taken for granted.
    """

    SHARE: Final = 5
    POLL_MIN_S: Final = 0.25

    def __init__(self) -> None:
        plan = PLANS[DEFAULT_PLAN]
        self._quota, self._spacing_s = plan.requests, self.SHARE * plan.window_s / plan.requests
        self._left: int | None = None

    def observe(self, headers: Mapping[str, str]) -> None:
        """Take note of `RateLimit-Policy` and `RateLimit`; of several policies the tightest counts."""
        policies = [
            (self.SHARE * policy["w"] / policy["q"], policy["q"])
            for policy in _items(headers.get("ratelimit-policy", ""))
            if policy.get("q") and policy.get("w")
        ]
        if policies:
            self._spacing_s, self._quota = max(policies)
        self._left = min(
            (limit["r"] for limit in _items(headers.get("ratelimit", "")) if "r" in limit), default=None
        )

    def between_pages_s(self) -> float:
        """How long to wait before another page of the same listing: not at all while half of the quota is there."""
        plenty = self._left is not None and self._left * 2 >= self._quota
        return 0.0 if plenty else self._spacing_s

    def before_poll_s(self, pages: int) -> float:
        """How long to wait after a listing that took so many pages."""
        scarce = self._left is not None and self._left * 4 < self._quota
        return max(self.POLL_MIN_S, pages * self._spacing_s) * (3 if scarce else 1)


def _items(header: str) -> list[dict[str, int]]:
    """The parameters of each item of a list, where they are whole numbers."""
    return [
        {name: int(value) for name, value in _PARAMETER.findall(item)} for item in header.lower().split(",")
    ]
