"""Webhook endpoints: registering, changing and deleting them, their secrets, and their rotation."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_sandbox.adapters.system.secret_box import FileSecretBox
from payments_sandbox.domain.errors import (
    AccountBusy,
    InvalidRequest,
    SecretRotationInProgress,
    WebhookEndpointLimitReached,
    WebhookEndpointNotFound,
)
from payments_sandbox.domain.timestamps import DAY_MS, format_timestamp
from payments_sandbox.domain.webhooks import format_secret
from payments_sandbox.services.ports import Record, Update
from payments_sandbox.services.webhooks.webhook_endpoints import (
    ENDPOINTS_MAX,
    KIND,
    Chaos,
    Endpoint,
    EndpointChanges,
    create_endpoint,
    delete_endpoint,
    get_endpoint,
    list_endpoints,
    list_records,
    rotate_secret,
    signing_secrets,
    update_endpoint,
    wants,
)
from payments_sandbox.services.world import World
from tests.calls.payments import OTHER_ACCOUNT, authorize, id_of
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import (
    ACCOUNT,
    LEDGER_SECRET,
    NOW_MS,
    FrozenClock,
    make_world,
    of_account,
    with_store,
)
from tests.doubles.receivers import Webhook
from tests.doubles.stores import RacingStore
from tests.each_case import each_case

URL = "https://shop.example/hook"
CHAOS = Chaos(duplicate=True, reorder=True, delay_ms=3_000, drop_first=2, signature="wrong")


@pytest.fixture
def store() -> RacingStore:
    return RacingStore()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def world(store: RacingStore, clock: FrozenClock) -> World:
    return make_world(store, clock)


def make(world: World, **fields: Any) -> Endpoint:
    return create_endpoint(world, **{"url": URL, **fields})[0]


def secrets_of(world: World, endpoint_id: str) -> list[str]:
    """The secrets that sign at this moment, as receivers have them."""
    (record,) = world.store.get([endpoint_id])
    assert record is not None
    return [format_secret(secret) for secret in signing_secrets(world, record)]


# --- registering -----------------------------------------------------------------------------------------------------


def test_a_new_endpoint_is_sent_everything_and_nothing_is_done_to_it(world: World) -> None:
    endpoint = make(world)
    assert endpoint == Endpoint(
        endpoint_id=endpoint.endpoint_id,
        url=URL,
        description=None,
        events=("*",),
        enabled=True,
        disabled_reason=None,
        chaos=Chaos(),
        created_at=NOW_MS,
        failing_since=None,
        old_secret_expires_at=None,
    )
    assert get_endpoint(world, endpoint.endpoint_id) == endpoint


def test_an_endpoint_is_kept_as_it_was_given(world: World) -> None:
    endpoint = make(world, description="Shop", events=["payment.*"], enabled=False, chaos=CHAOS)
    assert (endpoint.description, endpoint.events, endpoint.chaos) == ("Shop", ("payment.*",), CHAOS)
    assert (endpoint.enabled, endpoint.disabled_reason) == (False, "by_request")
    assert list_endpoints(world) == [endpoint]


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/hook?shop=7&x=%2F%2f&empty=&&=",
        "https://SHOP.example:443//a/../b;c=d?q=[1]|2",
        "http://127.0.0.1:3000",
        "http://localhost:3000/?",
    ],
)
def test_the_url_is_kept_byte_for_byte(world: World, url: str) -> None:
    endpoint = make(world, url=url)
    assert get_endpoint(world, endpoint.endpoint_id).url == url
    changed = update_endpoint(world, endpoint.endpoint_id, EndpointChanges(url=URL))
    assert changed.url == URL
    assert update_endpoint(world, endpoint.endpoint_id, EndpointChanges(url=url)).url == url


@each_case(
    "url",
    ["http://shop.example/", "https://10.0.0.1/", "ftp://shop.example/", "shop.example", "https://a b/"],
)
def test_a_url_that_nothing_may_be_sent_to_is_refused_and_not_repeated(world: World, url: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        make(world, url=url)
    (error,) = refusal.value.errors
    assert (error.pointer, error.code) == ("/url", "url_refused")
    assert url not in str(refusal.value)
    endpoint = make(world)
    with pytest.raises(InvalidRequest):
        update_endpoint(world, endpoint.endpoint_id, EndpointChanges(url=url, enabled=False))
    assert get_endpoint(world, endpoint.endpoint_id) == endpoint


def test_receivers_on_this_machine_are_for_the_embedded_home_only(world: World) -> None:
    cloud = replace(world, infrastructure=replace(world.infrastructure, loopback_webhooks=False))
    for url in ("http://127.0.0.1:3000/", "https://localhost/", "https://[::1]/"):
        make(world, url=url)
        with pytest.raises(InvalidRequest):
            make(cloud, url=url)


def test_an_account_has_at_most_twenty_endpoints_and_deleted_ones_do_not_count(world: World) -> None:
    made = [make(world) for _ in range(ENDPOINTS_MAX)]
    assert ENDPOINTS_MAX == 20
    with pytest.raises(WebhookEndpointLimitReached):
        make(world)
    create_endpoint(of_account(world, OTHER_ACCOUNT), url=URL)
    delete_endpoint(world, made[7].endpoint_id)
    make(world)
    assert len(list_endpoints(world)) == ENDPOINTS_MAX


def test_all_endpoints_are_listed_oldest_first_even_those_that_passed_the_limit_together(
    world: World, clock: FrozenClock, store: RacingStore
) -> None:
    made = []
    for _ in range(ENDPOINTS_MAX):
        clock.advance(ms=1)
        made.append(make(world))
    # Two requests counted nineteen at the same moment.
    (record,) = store.get([made[-1].endpoint_id])
    assert record is not None
    store.insert(replace(record, id="we_late", created_at=record.created_at + 1))
    assert [each.endpoint_id for each in list_endpoints(world)] == [
        *(each.endpoint_id for each in made),
        "we_late",
    ]


# --- changing and deleting -------------------------------------------------------------------------------------------


def test_an_update_changes_what_it_names_and_nothing_else(world: World) -> None:
    before = make(world, description="Shop", events=["payment.*"])
    endpoint_id = before.endpoint_id
    for changes, expected in [
        (EndpointChanges(description="New"), replace(before, description="New")),
        (EndpointChanges(events=["*"]), replace(before, description="New", events=("*",))),
        (EndpointChanges(chaos=CHAOS), replace(before, description="New", events=("*",), chaos=CHAOS)),
        (EndpointChanges(chaos=Chaos()), replace(before, description="New", events=("*",))),
        (EndpointChanges(), replace(before, description="New", events=("*",))),
    ]:
        assert update_endpoint(world, endpoint_id, changes) == expected
        assert get_endpoint(world, endpoint_id) == expected


def test_enabling_forgets_failures_and_disabling_says_by_whom(world: World, store: RacingStore) -> None:
    endpoint_id = make(world).endpoint_id
    (record,) = store.get([endpoint_id])
    assert record is not None
    failing = {**record.data, "enabled": False, "disabled_reason": "failing", "failing_since": NOW_MS}
    store.commit([], [Update(replace(record, version=2, data=failing))])

    untouched = update_endpoint(world, endpoint_id, EndpointChanges(description="Shop"))
    assert (untouched.disabled_reason, untouched.failing_since) == ("failing", NOW_MS)
    enabled = update_endpoint(world, endpoint_id, EndpointChanges(enabled=True))
    assert (enabled.enabled, enabled.disabled_reason, enabled.failing_since) == (True, None, None)
    disabled = update_endpoint(world, endpoint_id, EndpointChanges(enabled=False))
    assert (disabled.enabled, disabled.disabled_reason) == (False, "by_request")


def test_a_deleted_endpoint_is_gone_for_every_call(world: World) -> None:
    endpoint_id = make(world).endpoint_id
    delete_endpoint(world, endpoint_id)
    assert list_endpoints(world) == []
    for call in (
        lambda: get_endpoint(world, endpoint_id),
        lambda: update_endpoint(world, endpoint_id, EndpointChanges(enabled=True)),
        lambda: rotate_secret(world, endpoint_id, force=True),
        lambda: delete_endpoint(world, endpoint_id),
    ):
        with pytest.raises(WebhookEndpointNotFound):
            call()


def test_another_accounts_endpoint_is_not_there_for_any_call(world: World) -> None:
    endpoint = make(world)
    endpoint_id = endpoint.endpoint_id
    for call in (
        lambda: get_endpoint(of_account(world, OTHER_ACCOUNT), endpoint_id),
        lambda: update_endpoint(
            of_account(world, OTHER_ACCOUNT), endpoint_id, EndpointChanges(url=URL + "/stolen")
        ),
        lambda: rotate_secret(of_account(world, OTHER_ACCOUNT), endpoint_id, force=True),
        lambda: delete_endpoint(of_account(world, OTHER_ACCOUNT), endpoint_id),
    ):
        with pytest.raises(WebhookEndpointNotFound):
            call()
    assert list_endpoints(of_account(world, OTHER_ACCOUNT)) == []
    assert get_endpoint(world, endpoint_id) == endpoint


def test_nothing_but_an_endpoint_is_found_by_an_endpoints_id(world: World) -> None:
    for endpoint_id in (id_of(authorize(world)), "we_unknown", ""):
        with pytest.raises(WebhookEndpointNotFound):
            get_endpoint(world, endpoint_id)


def test_a_change_that_was_overtaken_is_made_on_what_the_other_left(world: World, store: RacingStore) -> None:
    endpoint_id = make(world).endpoint_id
    inner = with_store(world, store.inner)
    store.first = lambda: update_endpoint(inner, endpoint_id, EndpointChanges(description="Theirs"))
    endpoint = update_endpoint(world, endpoint_id, EndpointChanges(events=["payment.*"]))
    assert (endpoint.description, endpoint.events) == ("Theirs", ("payment.*",))
    store.lose = 1_000
    with pytest.raises(AccountBusy):
        update_endpoint(world, endpoint_id, EndpointChanges(events=["*"]))


@given(
    patterns=st.lists(
        st.sampled_from(["*", "payment.*", "payment.captured", "webhook_endpoint.*"]), min_size=1, max_size=3
    ),
    enabled=st.booleans(),
)
def test_an_endpoint_wants_what_its_patterns_cover_while_it_is_enabled(
    patterns: list[str], enabled: bool
) -> None:
    world = make_world()
    make(world, events=patterns, enabled=enabled)
    (record,) = list_records(world)
    covers_payments = bool({"*", "payment.*", "payment.captured"} & set(patterns))
    assert wants(record, "payment.captured") is (enabled and covers_payments)
    assert wants(record, "webhook_endpoint.disabled") is (
        enabled and bool({"*", "webhook_endpoint.*"} & set(patterns))
    )


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_a_secret_is_shown_once_and_good_for_both_libraries(world: World) -> None:
    endpoint, secret = create_endpoint(world, url=URL)
    Webhook(secret)
    assert secret.startswith("whsec_")
    assert secrets_of(world, endpoint.endpoint_id) == [secret]
    assert secret not in repr(get_endpoint(world, endpoint.endpoint_id))
    _, other = create_endpoint(world, url=URL)
    assert other != secret


def test_no_record_holds_a_secret_in_the_open() -> None:
    store = MemoryStore()
    world = make_world(store, secret_box=FileSecretBox(LEDGER_SECRET))

    def check(endpoint_id: str, *shown: str) -> None:
        kept = json.dumps([[record.id, dict(record.data)] for record in store.records.values()])
        secrets = signing_secrets(world, store.records[endpoint_id])
        assert [format_secret(secret) for secret in secrets] == list(shown)
        for secret, text in zip(secrets, shown, strict=True):
            for form in (text, text.removeprefix("whsec_"), secret.decode(), secret.hex()):
                assert form not in kept
        assert kept.count('"sealed": "v1.') == len(shown)

    endpoint, first = create_endpoint(world, url=URL)
    check(endpoint.endpoint_id, first)
    _, second = rotate_secret(world, endpoint.endpoint_id, force=False)
    check(endpoint.endpoint_id, second, first)


def test_after_a_rotation_both_secrets_sign_for_a_day_the_new_one_first(
    world: World, clock: FrozenClock
) -> None:
    endpoint, old = create_endpoint(world, url=URL)
    rotated, new = rotate_secret(world, endpoint.endpoint_id, force=False)
    assert new != old
    assert rotated.old_secret_expires_at == NOW_MS + DAY_MS
    assert secrets_of(world, endpoint.endpoint_id) == [new, old]
    clock.advance(ms=DAY_MS - 1)
    assert secrets_of(world, endpoint.endpoint_id) == [new, old]
    clock.advance(ms=1)
    assert secrets_of(world, endpoint.endpoint_id) == [new]


def test_a_second_rotation_within_the_day_is_refused_and_says_until_when(
    world: World, clock: FrozenClock
) -> None:
    endpoint, old = create_endpoint(world, url=URL)
    _, new = rotate_secret(world, endpoint.endpoint_id, force=False)
    clock.advance(ms=DAY_MS - 1)
    with pytest.raises(SecretRotationInProgress) as refusal:
        rotate_secret(world, endpoint.endpoint_id, force=False)
    assert refusal.value.facts == {"old_secret_expires_at": format_timestamp(NOW_MS + DAY_MS)}
    assert secrets_of(world, endpoint.endpoint_id) == [new, old]
    clock.advance(ms=1)
    _, third = rotate_secret(world, endpoint.endpoint_id, force=False)
    assert secrets_of(world, endpoint.endpoint_id) == [third, new]


def test_a_forced_rotation_drops_the_oldest_secret_at_once(world: World) -> None:
    endpoint, _ = create_endpoint(world, url=URL)
    _, second = rotate_secret(world, endpoint.endpoint_id, force=True)
    rotated, third = rotate_secret(world, endpoint.endpoint_id, force=True)
    assert secrets_of(world, endpoint.endpoint_id) == [third, second]
    assert rotated.old_secret_expires_at == NOW_MS + DAY_MS


def test_two_rotations_at_once_leave_the_later_ones_answer_in_force(world: World, store: RacingStore) -> None:
    endpoint, _ = create_endpoint(world, url=URL)
    inner = with_store(world, store.inner)
    theirs: list[str] = []
    store.first = lambda: theirs.append(rotate_secret(inner, endpoint.endpoint_id, force=False)[1])
    with pytest.raises(SecretRotationInProgress):
        rotate_secret(world, endpoint.endpoint_id, force=False)
    assert secrets_of(world, endpoint.endpoint_id)[0] == theirs[0]


def test_an_endpoints_record_is_in_no_index_but_its_accounts() -> None:
    store = MemoryStore()
    world = make_world(store)
    endpoint_id = make(world).endpoint_id
    record: Record = store.records[endpoint_id]
    assert (record.kind, record.feed_key, record.card_id, record.due_at) == (
        KIND,
        f"{ACCOUNT}#webhook_endpoint",
        None,
        None,
    )
    delete_endpoint(world, endpoint_id)
    assert store.records[endpoint_id].feed_key is None
