"""Who is calling, and whether the plan lets them: the API key in `x-api-key`, then the rate limiter.

Refuses to look anywhere else for a key.
"""

import re
from collections.abc import Callable
from typing import Final

from payments_sandbox.domain.errors import ApiKeyInvalid, ApiKeyMissing, Quota, RateLimitExceeded
from payments_sandbox.domain.ids import API_KEY_PATTERN
from payments_sandbox.http.request_state import RequestState
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ports import Principal

Authenticate = Callable[[Infrastructure, str], Principal]
"""Finds out whose key it is, or raises ApiKeyInvalid: `services.accounts.authenticate`."""

_HEADER: Final = b"x-api-key"
_KEY: Final = re.compile(API_KEY_PATTERN.encode())


class Authenticator:
    """Finds out who is calling, and counts the request against the plan."""

    def __init__(self, authenticate: Authenticate, infrastructure: Infrastructure) -> None:
        self._authenticate = authenticate
        self._infrastructure = infrastructure

    def admit(self, state: RequestState) -> None:
        """Find the principal and count the request.

        Errors, by precedence: api_key_missing, api_key_invalid, rate_limit_exceeded.
        """
        principal = self._authenticate(self._infrastructure, _read_key(state))
        state.principal = principal
        quota = self._infrastructure.limiter.take(principal.key_id, principal.plan)
        if quota is not None:
            state.quota = quota
            if not quota.allowed:
                raise RateLimitExceeded(quota)


def render_quota(quota: Quota) -> list[tuple[bytes, bytes]]:
    """The headers of draft-ietf-httpapi-ratelimit-headers-11."""
    policy = f'"{quota.policy}";q={quota.limit};w={quota.window_s}'
    left = f'"{quota.policy}";r={quota.remaining};t={quota.reset_s}'
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", left.encode())]


def _read_key(state: RequestState) -> str:
    key = state.headers.get(_HEADER)
    if not key:
        raise ApiKeyMissing(_missing_words(state))
    if _HEADER in state.repeated:
        raise ApiKeyInvalid("x-api-key is given more than once.")
    if _KEY.fullmatch(key) is None:
        raise ApiKeyInvalid("The key in x-api-key is not one that the sandbox makes.")
    return key.decode()


def _missing_words(state: RequestState) -> str:
    if b"authorization" in state.headers:
        return "Send the account's API key in the header x-api-key; Authorization is not read."
    return "Send the account's API key in the header x-api-key."
