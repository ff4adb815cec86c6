"""Request limits are whole tokens that flow back evenly; principals are remembered for five seconds."""

import itertools
from weakref import WeakSet

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_sandbox.adapters.system.limiter import SECOND_NS, TokenBucketLimiter
from payments_sandbox.adapters.system.principals import TTL_MS, RecentPrincipals
from payments_sandbox.adapters.system.randomness import SystemRandomness
from payments_sandbox.domain.errors import Quota, RateLimitExceeded
from payments_sandbox.domain.usage_plans import PLANS, UsagePlan
from payments_sandbox.services.ports import Principal
from tests.doubles.ports import FrozenClock


class Ticker:
    """Nanoseconds that pass when they are told to."""

    def __init__(self) -> None:
        self.ns = 123_456_789

    def __call__(self) -> int:
        return self.ns

    def advance(self, *, s: int = 0, ns: int = 0) -> None:
        self.ns += s * SECOND_NS + ns


@pytest.fixture
def ticker() -> Ticker:
    return Ticker()


def limiter_of(ticker: Ticker, requests: int, window_s: int, *, keys_max: int = 10_000) -> TokenBucketLimiter:
    return TokenBucketLimiter(
        {"default": UsagePlan("default", requests, window_s)}, now_ns=ticker, keys_max=keys_max
    )


def test_the_default_plan_is_a_hundred_requests_a_minute() -> None:
    assert PLANS["default"] == UsagePlan("default", 100, 60)


def test_a_full_bucket_gives_as_many_requests_at_once_as_the_plan_has(ticker: Ticker) -> None:
    limiter = TokenBucketLimiter(PLANS, now_ns=ticker)
    quotas = [limiter.take("key_a", "default") for _ in range(101)]
    assert [quota.remaining for quota in quotas] == [*range(99, -1, -1), 0]
    assert [quota.allowed for quota in quotas] == [True] * 100 + [False]
    # One token takes 0.6 s to come back: so many seconds until the quota is whole again, rounded up.
    assert quotas[0] == Quota("default", 100, 60, remaining=99, reset_s=1, allowed=True)
    assert [quota.reset_s for quota in quotas[:6]] == [1, 2, 2, 3, 3, 4]
    assert quotas[99].reset_s == 60
    # Refused: so many until one request fits.
    assert quotas[100] == Quota("default", 100, 60, remaining=0, reset_s=1, allowed=False)


def test_a_request_fits_again_to_the_nanosecond(ticker: Ticker) -> None:
    limiter = limiter_of(ticker, requests=2, window_s=10)
    assert [limiter.take("key_a", "default").allowed for _ in range(3)] == [True, True, False]
    ticker.advance(s=5, ns=-1)
    refused = limiter.take("key_a", "default")
    assert (refused.allowed, refused.reset_s) == (False, 1)
    ticker.advance(ns=1)
    assert limiter.take("key_a", "default").allowed
    assert not limiter.take("key_a", "default").allowed


def test_waiting_as_long_as_a_refusal_says_is_enough_and_no_longer_than_needed(ticker: Ticker) -> None:
    limiter = limiter_of(ticker, requests=1, window_s=7)
    assert limiter.take("key_a", "default").reset_s == 7
    assert limiter.take("key_a", "default").reset_s == 7
    ticker.advance(s=6)
    assert limiter.take("key_a", "default").reset_s == 1
    ticker.advance(s=1)
    assert limiter.take("key_a", "default").allowed


def test_a_refusal_costs_nothing(ticker: Ticker) -> None:
    limiter = limiter_of(ticker, requests=1, window_s=10)
    limiter.take("key_a", "default")
    for _ in range(9):
        ticker.advance(s=1)
        assert not limiter.take("key_a", "default").allowed
    ticker.advance(s=1)
    assert limiter.take("key_a", "default").allowed


def test_a_bucket_never_holds_more_than_the_plan(ticker: Ticker) -> None:
    limiter = limiter_of(ticker, requests=3, window_s=1)
    limiter.take("key_a", "default")
    ticker.advance(s=1_000_000)
    assert [limiter.take("key_a", "default").remaining for _ in range(4)] == [2, 1, 0, 0]


def test_keys_are_counted_apart(ticker: Ticker) -> None:
    limiter = limiter_of(ticker, requests=1, window_s=60)
    assert limiter.take("key_a", "default").allowed
    assert limiter.take("key_b", "default").allowed
    assert not limiter.take("key_a", "default").allowed


def test_a_plan_that_is_no_longer_sold_counts_as_the_default(ticker: Ticker) -> None:
    quota = TokenBucketLimiter(PLANS, now_ns=ticker).take("key_a", "gold")
    assert (quota.policy, quota.limit) == ("default", 100)


def test_a_key_on_another_plan_is_counted_by_its_plan(ticker: Ticker) -> None:
    limiter = TokenBucketLimiter(
        {"default": UsagePlan("default", 1), "demo": UsagePlan("demo", 5, 10)}, now_ns=ticker
    )
    quota = limiter.take("key_a", "demo")
    assert (quota.policy, quota.limit, quota.window_s, quota.remaining) == ("demo", 5, 10, 4)


@given(
    requests=st.integers(1, 200),
    window_s=st.integers(1, 120),
    pauses=st.lists(st.integers(0, 5 * SECOND_NS), min_size=1, max_size=60),
)
def test_no_part_of_a_token_is_ever_lost_or_gained(requests: int, window_s: int, pauses: list[int]) -> None:
    ticker = Ticker()
    limiter = limiter_of(ticker, requests, window_s)
    # The same bucket, refilled at every pause; one token is window_s * SECOND_NS of these units.
    tokens = full = requests * window_s * SECOND_NS
    for pause in pauses:
        ticker.advance(ns=pause)
        tokens = min(full, tokens + pause * requests)
        quota = limiter.take("key_a", "default")
        assert quota.allowed == (tokens >= window_s * SECOND_NS)
        if quota.allowed:
            tokens -= window_s * SECOND_NS
        assert quota.remaining == tokens // (window_s * SECOND_NS)
        assert 0 <= quota.remaining < requests
        assert 1 <= quota.reset_s <= window_s


def test_past_the_bound_buckets_that_are_full_again_are_forgotten(ticker: Ticker) -> None:
    class Key(str):
        """A key that tells when the limiter has let go of it, as plain strings cannot."""

    remembered: WeakSet[Key] = WeakSet()

    def take(number: int) -> bool:
        key = Key(f"key_{number}")
        remembered.add(key)
        return limiter.take(key, "default").allowed

    limiter = limiter_of(ticker, requests=1, window_s=10, keys_max=100)
    for number in range(100):
        take(number)
    assert len(remembered) == 100
    ticker.advance(s=5)
    assert not take(99)
    ticker.advance(s=5)
    for number in range(100, 400):
        take(number)
        ticker.advance(s=10)
        assert len(remembered) <= 101


def test_a_bucket_that_is_not_full_is_never_forgotten(ticker: Ticker) -> None:
    limiter = limiter_of(ticker, requests=1, window_s=10, keys_max=3)
    for number in range(3):
        limiter.take(f"key_{number}", "default")
    ticker.advance(s=10, ns=-1)
    limiter.take("key_new", "default")
    assert [limiter.take(f"key_{number}", "default").allowed for number in range(3)] == [False] * 3


def test_a_refusal_tells_the_plan_and_when_to_come_back() -> None:
    error = RateLimitExceeded(Quota("default", 100, 60, remaining=0, reset_s=3, allowed=False))
    assert error.detail == "The plan allows 100 requests in 60 seconds; try again in 3 s."
    assert error.facts == {"violated-policies": ["default"]}
    assert error.retryable
    assert error.quota.reset_s == 3


# --- principals ----------------------------------------------------------------------------------------------------

ADA = Principal("acct_a", "key_a", "default")


def test_a_principal_is_remembered_for_five_seconds() -> None:
    clock = FrozenClock()
    principals = RecentPrincipals(clock)
    assert principals.get("key_a") is None
    principals.put(ADA)
    clock.advance(ms=TTL_MS - 1)
    assert principals.get("key_a") == ADA
    clock.advance(ms=1)
    assert principals.get("key_a") is None
    assert TTL_MS == 5_000


def test_using_a_key_does_not_extend_how_long_it_is_trusted() -> None:
    clock = FrozenClock()
    principals = RecentPrincipals(clock)
    principals.put(ADA)
    for _ in range(4):
        clock.advance(ms=1000)
        assert principals.get("key_a") == ADA
    clock.advance(ms=1000)
    assert principals.get("key_a") is None


def test_a_principal_is_not_trusted_when_the_clock_has_gone_back() -> None:
    clock = FrozenClock()
    principals = RecentPrincipals(clock)
    principals.put(ADA)
    clock.advance(ms=-1)
    assert principals.get("key_a") is None


def test_a_forgotten_principal_is_asked_for_again() -> None:
    principals = RecentPrincipals(FrozenClock())
    principals.put(ADA)
    principals.forget("key_a")
    principals.forget("key_unknown")
    assert principals.get("key_a") is None


def test_the_memory_of_principals_is_bounded() -> None:
    principals = RecentPrincipals(FrozenClock(), entries_max=3)
    for number in range(50):
        principals.put(Principal("acct_a", f"key_{number}", "default"))
        assert principals.get(f"key_{number}") is not None
        assert sum(principals.get(f"key_{each}") is not None for each in range(50)) <= 3


def test_tokens_are_as_long_as_asked_for_and_never_the_same() -> None:
    randomness = SystemRandomness()
    tokens = [randomness.token(32) for _ in range(50)]
    assert all(len(token) == 32 and token.isascii() and token.isalnum() for token in tokens)
    assert all(one != other for one, other in itertools.combinations(tokens, 2))
    assert len(set("".join(tokens))) > 50
