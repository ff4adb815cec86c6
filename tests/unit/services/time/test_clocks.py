"""An account's clock: what it shows, what is done while it is moved, and in which order."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from payments_sandbox.domain.authorization import VALIDITY_MS
from payments_sandbox.domain.errors import ClockNotAhead
from payments_sandbox.domain.timestamps import DAY_MS, HOUR_MS
from payments_sandbox.domain.webhooks import ATTEMPTS_MAX, FAILING_MAX_MS, RETRY_DELAYS_MS
from payments_sandbox.services.accounts.accounts import (
    DEMO_ACCOUNT,
    DEMO_API_KEY,
    authenticate,
    create_api_key,
    ensure_demo_account,
)
from payments_sandbox.services.accounts.controls import change_controls, world_of
from payments_sandbox.services.events.events import list_events
from payments_sandbox.services.ledger.transactions import get_transaction
from payments_sandbox.services.ports import (
    CommitResult,
    Committed,
    Post,
    ReceiverResponse,
    Record,
    Update,
)
from payments_sandbox.services.time.clocks import (
    Advance,
    ClockReading,
    advance_clock,
    read_clock,
    reset_clock,
)
from payments_sandbox.services.webhooks.webhook_deliveries import list_deliveries
from payments_sandbox.services.webhooks.webhook_endpoints import create_endpoint, get_endpoint
from payments_sandbox.services.world import World, plain_world
from tests.calls.payments import authorize, capture, id_of
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import NOW_MS, FrozenClock, make_infrastructure
from tests.doubles.receivers import headers_of, reply

URL = "https://shop.example/hook"


class Receiver:
    """`Sender` whose receiver answers with a status, and keeps what it was sent."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.posts: list[Post] = []

    async def send(self, post: Post) -> ReceiverResponse:
        self.posts.append(post)
        return reply(self.status)


class Account:
    """The demo account, its clock and its receiver."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.wall = FrozenClock()
        self.base = make_infrastructure(store, self.wall)
        self.receiver = Receiver()
        ensure_demo_account(self.base)

    @property
    def world(self) -> World:
        """As a request gets it."""
        return world_of(self.base, DEMO_ACCOUNT)

    def advance(self, ms: int, *, budget_s: int = 60) -> Advance:
        return self.advance_to(read_clock(self.world).now_ms + ms, budget_s=budget_s)

    def advance_to(self, at_ms: int, *, budget_s: int = 60) -> Advance:
        return asyncio.run(advance_clock(self.world, self.receiver, at_ms, budget_s=budget_s))

    def pay(self, key: str = "auth-1", **fields: Any) -> str:
        return id_of(authorize(self.world, key, account=DEMO_ACCOUNT, **fields))


@pytest.fixture
def account() -> Account:
    return Account()


def worked(advance: Advance) -> list[tuple[str, int]]:
    return [(ran.work, ran.due_at) for ran in advance.ran]


def test_an_account_lives_in_real_time_until_it_says_otherwise(account: Account) -> None:
    account.wall.advance(ms=5)
    assert read_clock(account.world) == ClockReading(NOW_MS + 5, NOW_MS + 5)
    assert account.world == plain_world(account.base, DEMO_ACCOUNT)
    assert not authenticate(account.base, DEMO_API_KEY).controlled


def test_a_clock_that_was_advanced_goes_on_with_real_time(account: Account) -> None:
    advance = account.advance(DAY_MS)
    assert (advance.clock, advance.ran, advance.complete, advance.first) == (
        ClockReading(NOW_MS + DAY_MS, NOW_MS),
        [],
        True,
        True,
    )
    account.wall.advance(ms=250)
    assert read_clock(account.world) == ClockReading(NOW_MS + DAY_MS + 250, NOW_MS + 250)
    assert account.world.clock.now_ms() == NOW_MS + DAY_MS + 250
    assert account.base.clock.now_ms() == NOW_MS + 250
    assert not account.advance(1).first


def test_every_key_of_the_account_knows_that_it_has_a_clock_of_its_own(account: Account) -> None:
    before = create_api_key(account.base, DEMO_ACCOUNT, label=None)
    authenticate(account.base, DEMO_API_KEY)
    account.advance(1)
    after = create_api_key(account.base, DEMO_ACCOUNT, label=None)
    for secret in (DEMO_API_KEY, before.secret, after.secret):
        assert authenticate(account.base, secret).controlled


def test_a_clock_never_goes_back_but_by_a_reset(account: Account) -> None:
    account.advance(DAY_MS)
    with pytest.raises(ClockNotAhead) as caught:
        account.advance_to(NOW_MS + DAY_MS - 1)
    assert caught.value.facts == {"now": "2026-11-24T10:00:00.000Z"}
    assert account.advance_to(NOW_MS + DAY_MS).complete
    assert reset_clock(account.world) == (ClockReading(NOW_MS, NOW_MS), False)
    assert account.world.clock.now_ms() == NOW_MS


def test_an_advance_that_takes_longer_than_it_leads_does_not_set_the_clock_back(account: Account) -> None:
    account.advance(DAY_MS)
    create_endpoint(account.world, url=URL)
    account.pay()
    send = account.receiver.send

    async def send_slowly(post: Post) -> ReceiverResponse:
        account.wall.advance(ms=5_000)
        return await send(post)

    account.receiver.send = send_slowly  # type: ignore[method-assign]
    assert account.advance(1).clock == ClockReading(NOW_MS + DAY_MS + 5_000, NOW_MS + 5_000)


def test_an_authorization_expires_at_its_own_moment(account: Account) -> None:
    authorization_id = account.pay()
    account.advance(DAY_MS)
    later = account.pay("auth-2")
    advance = account.advance(VALIDITY_MS - DAY_MS)
    assert worked(advance) == [("authorization_expiry", NOW_MS + VALIDITY_MS)]
    root, expiry = get_transaction(account.world, authorization_id).members
    assert (root.status, root.totals.released, root.capturable) == ("expired", 1000, 0)
    assert (expiry.record.kind, expiry.status, expiry.record.created_at) == (
        "expiry",
        "succeeded",
        NOW_MS + VALIDITY_MS,
    )
    assert expiry.data["postings"] == [["cardholder_held", -1000], ["cardholder_available", 1000]]
    assert len(get_transaction(account.world, later).members) == 1


def test_only_the_rest_of_a_captured_authorization_is_released(account: Account) -> None:
    authorization_id = account.pay()
    capture(account.world, authorization_id, account=DEMO_ACCOUNT, amount=400)
    account.advance(VALIDITY_MS)
    root, _, expiry = get_transaction(account.world, authorization_id).members
    assert (root.status, root.totals.captured, root.totals.released) == ("captured", 400, 600)
    assert expiry.data["amount"] == 600


def test_what_holds_nothing_does_not_expire(account: Account) -> None:
    account.pay("declined", simulate="lost_card")
    capture(account.world, account.pay(), account=DEMO_ACCOUNT)
    assert [ran.work for ran in account.advance(2 * VALIDITY_MS).ran] == ["settlement"]


def test_work_is_done_in_the_order_of_its_due_times(account: Account) -> None:
    ids = []
    for number in range(250):
        account.wall.advance(ms=(number * 7919) % 13)
        ids.append(account.pay(f"key-{number}"))
    advance = account.advance(8 * DAY_MS)
    assert advance.ran_count == 250
    assert sorted(ran.record_id for ran in advance.ran) == sorted(ids)
    assert [ran.due_at for ran in advance.ran] == sorted(ran.due_at for ran in advance.ran)


def test_the_whole_retry_schedule_runs_in_one_advance_and_signs_in_real_time(account: Account) -> None:
    create_endpoint(account.world, url=URL, events=["payment.authorized"])
    account.receiver.status = 500
    account.pay()
    advance = account.advance(sum(RETRY_DELAYS_MS) * 11 // 10 + 1)
    assert [ran.work for ran in advance.ran] == ["webhook_attempt"] * ATTEMPTS_MAX
    times = [ran.due_at for ran in advance.ran]
    for planned, waited in zip(RETRY_DELAYS_MS, [b - a for a, b in pairwise(times)], strict=True):
        assert planned <= waited <= planned * 11 // 10
    (delivery,) = list_deliveries(account.world, limit=10, cursor=None).items
    assert (delivery.state, delivery.attempt_count) == ("failed", ATTEMPTS_MAX)
    assert [attempt.at_ms for attempt in delivery.attempts] == times
    assert {headers_of(post)["webhook-timestamp"] for post in account.receiver.posts} == {str(NOW_MS // 1000)}


def test_what_comes_about_on_the_way_is_told_on_the_way(account: Account) -> None:
    """An expiry on the seventh day is delivered on the seventh day, and retried from there."""
    create_endpoint(account.world, url=URL, events=["payment.expired"])
    account.receiver.status = 500
    account.pay()
    advance = account.advance(VALIDITY_MS + HOUR_MS)
    assert worked(advance)[:2] == [
        ("authorization_expiry", NOW_MS + VALIDITY_MS),
        ("webhook_attempt", NOW_MS + VALIDITY_MS),
    ]
    # After 5 s, 5 min and 30 min.
    assert advance.ran_count == 1 + 1 + 3


def test_an_endpoint_that_fails_for_five_days_of_the_account_is_disabled(account: Account) -> None:
    endpoint, _ = create_endpoint(account.world, url=URL)
    account.receiver.status = 500
    for day in range(6):
        account.pay(f"day-{day}")
        account.advance(DAY_MS)
    assert FAILING_MAX_MS < 6 * DAY_MS
    shown = get_endpoint(account.world, endpoint.endpoint_id)
    assert (shown.enabled, shown.disabled_reason) == (False, "failing")
    types = [event.type for event in list_events(account.world, types=[], limit=20, cursor=None).items]
    assert types.count("webhook_endpoint.disabled") == 1


def test_a_clock_that_ran_out_of_time_stands_where_the_work_does_and_goes_on_from_there(
    account: Account,
) -> None:
    for number in range(3):
        account.wall.advance(ms=1)
        account.pay(f"key-{number}")
    target = NOW_MS + 8 * DAY_MS
    stopped = account.advance_to(target, budget_s=0)
    assert (stopped.complete, stopped.ran_count) == (False, 0)
    assert stopped.clock.now_ms == NOW_MS + 1 + VALIDITY_MS
    finished = account.advance_to(target)
    assert (finished.complete, finished.ran_count, finished.clock.now_ms) == (True, 3, target)


def test_other_accounts_keep_their_time_and_what_is_due_in_them(account: Account) -> None:
    authorize(plain_world(account.base, "acct_other"))
    assert account.advance(30 * DAY_MS).ran_count == 0
    assert read_clock(world_of(account.base, "acct_other")).now_ms == NOW_MS


class Dying(MemoryStore):
    """`Store` whose process dies before a commit."""

    commits_left = 1_000

    def commit(self, inserts: Sequence[Record], updates: Sequence[Update]) -> CommitResult:
        if not self.commits_left:
            raise KeyboardInterrupt
        result = super().commit(inserts, updates)
        self.commits_left -= isinstance(result, Committed)
        return result


@pytest.mark.parametrize("commits", range(6))
def test_an_advance_that_dies_is_finished_by_the_next(commits: int) -> None:
    store = Dying()
    account = Account(store)
    ids = [account.pay(f"key-{number}") for number in range(4)]
    store.commits_left = commits
    if commits < 5:
        with pytest.raises(KeyboardInterrupt):
            account.advance_to(NOW_MS + 8 * DAY_MS)
        # The clock comes last.
        assert read_clock(account.world).now_ms == NOW_MS
    store.commits_left = 1_000
    assert account.advance_to(NOW_MS + 8 * DAY_MS).complete
    for authorization_id in ids:
        kinds = [each.record.kind for each in get_transaction(account.world, authorization_id).members]
        assert kinds == ["authorization", "expiry"]


def test_two_advances_at_once_leave_the_later_time(account: Account) -> None:
    account.pay()

    async def both() -> list[Advance]:
        world = account.world
        return await asyncio.gather(
            *(advance_clock(world, account.receiver, NOW_MS + days * DAY_MS, budget_s=60) for days in (8, 9))
        )

    first, second = asyncio.run(both())
    assert first.ran_count + second.ran_count >= 1
    assert read_clock(account.world).now_ms == NOW_MS + 9 * DAY_MS
    (authorization,) = [each for each in account.base.store.get([account.pay()]) if each]
    assert len(authorization.data["entries"]) == 1


def test_controls_that_an_earlier_version_wrote_are_read(account: Account) -> None:
    change_controls(account.base, DEMO_ACCOUNT, lambda controls: replace(controls, clock_offset_ms=5))
    (record,) = account.base.store.get(["ctl_" + DEMO_ACCOUNT])
    assert record is not None
    bare = replace(record, version=record.version + 1, data={})
    assert isinstance(account.base.store.commit([], [Update(bare)]), Committed)
    assert account.world.clock.now_ms() == NOW_MS
