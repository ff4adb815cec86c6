"""Inboxes: what arrives is kept as it came, with what a receiver that verifies would have said."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from payments_sandbox.domain.errors import InboxLimitReached, InboxNotFound, InvalidRequest
from payments_sandbox.domain.timestamps import DAY_MS, MINUTE_MS
from payments_sandbox.services.ports import Update
from payments_sandbox.services.webhooks.inboxes import (
    INBOXES_MAX,
    LIFETIME_MS,
    MESSAGES_MAX,
    Inbox,
    InboxMessage,
    create_inbox,
    get_inbox,
    list_messages,
    receive,
)
from payments_sandbox.services.webhooks.webhook_endpoints import (
    EndpointChanges,
    create_endpoint,
    delete_endpoint,
    rotate_secret,
    update_endpoint,
)
from payments_sandbox.services.world import World
from tests.calls.payments import OTHER_ACCOUNT, authorize, id_of
from tests.doubles.ports import NOW_MS, FrozenClock, make_world, of_account, with_store
from tests.doubles.receivers import Webhook
from tests.doubles.stores import RacingStore
from tests.each_case import each_case

BODY = '{"type":"payment.captured","timestamp":"2026-11-23T10:00:00.000Z","data":{"ö":1}}'.encode()
HOST = "http://127.0.0.1:8080"


class Account:
    """An account with an inbox, and an endpoint that sends there."""

    def __init__(self) -> None:
        self.store = RacingStore()
        self.clock = FrozenClock()
        self.world: World = make_world(self.store, self.clock)
        self.inbox = create_inbox(self.world)
        endpoint, self.secret = create_endpoint(self.world, url=HOST + self.suffix)
        self.endpoint_id = endpoint.endpoint_id

    @property
    def suffix(self) -> str:
        return f"/v1/inbox/{self.inbox.inbox_id}/hook"

    def signed(self, secret: str | None = None, *, at_ms: int | None = None) -> dict[str, str]:
        at_s = (self.clock.at_ms if at_ms is None else at_ms) // 1000
        headers: dict[str, str] = Webhook(secret or self.secret).sign("evt_1", at_s, BODY)
        return headers

    def post(self, headers: Mapping[str, str] | None = None, body: bytes = BODY) -> str:
        """What the inbox says to it."""
        given = self.signed() if headers is None else headers
        return receive(self.world.infrastructure, self.inbox.inbox_id, given, body, self.suffix).verdict


@pytest.fixture
def account() -> Account:
    return Account()


# --- opening and reading ---------------------------------------------------------------------------------------------


def test_an_inbox_lives_for_seven_days(account: Account) -> None:
    inbox = account.inbox
    assert inbox == Inbox(inbox.inbox_id, NOW_MS, NOW_MS + 7 * DAY_MS, 0)
    account.clock.advance(ms=LIFETIME_MS - 1)
    assert get_inbox(account.world, inbox.inbox_id) == inbox
    account.clock.advance(ms=1)
    for call in (
        lambda: get_inbox(account.world, inbox.inbox_id),
        lambda: list_messages(account.world, inbox.inbox_id, limit=1, cursor=None),
        lambda: account.post(),
    ):
        with pytest.raises(InboxNotFound):
            call()


def test_an_account_has_at_most_twenty_inboxes_that_live(account: Account) -> None:
    for _ in range(INBOXES_MAX - 1):
        account.clock.advance(ms=MINUTE_MS)
        create_inbox(account.world)
    assert INBOXES_MAX == 20
    with pytest.raises(InboxLimitReached):
        create_inbox(account.world)
    create_inbox(of_account(account.world, OTHER_ACCOUNT))
    account.clock.at_ms = account.inbox.expires_at - 1
    with pytest.raises(InboxLimitReached):
        create_inbox(account.world)
    account.clock.advance(ms=1)
    create_inbox(account.world)
    with pytest.raises(InboxLimitReached):
        create_inbox(account.world)


def test_another_account_can_post_like_anybody_and_read_nothing(account: Account) -> None:
    account.post()
    for call in (
        lambda: get_inbox(of_account(account.world, OTHER_ACCOUNT), account.inbox.inbox_id),
        lambda: list_messages(
            of_account(account.world, OTHER_ACCOUNT), account.inbox.inbox_id, limit=1, cursor=None
        ),
    ):
        with pytest.raises(InboxNotFound):
            call()


def test_only_inboxes_are_found_by_an_inboxs_id(account: Account) -> None:
    for inbox_id in ("inbox_unknown", "", id_of(authorize(account.world)), account.endpoint_id):
        with pytest.raises(InboxNotFound):
            get_inbox(account.world, inbox_id)
        with pytest.raises(InboxNotFound):
            receive(account.world.infrastructure, inbox_id, {}, BODY, account.suffix)


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_messages_are_kept_as_they_came_and_listed_newest_first(account: Account, limit: int) -> None:
    # All in one millisecond, and more than nine of them.
    for number in range(12):
        account.post(account.signed(), b'{"number":%d}' % number)
    found: list[InboxMessage] = []
    cursor: str | None = None
    while True:
        page = list_messages(account.world, account.inbox.inbox_id, limit=limit, cursor=cursor)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert [message.body for message in found] == [f'{{"number":{number}}}' for number in reversed(range(12))]
    assert {tuple(message.headers) for message in found} == {
        ("webhook-id", "webhook-timestamp", "webhook-signature")
    }
    assert {message.received_at for message in found} == {NOW_MS}
    assert get_inbox(account.world, account.inbox.inbox_id).messages == 12
    with pytest.raises(InvalidRequest):
        list_messages(account.world, account.inbox.inbox_id, limit=1, cursor="bm9wZQ")


def test_a_body_is_kept_byte_for_byte(account: Account) -> None:
    body = ' {"a": 1.50,\t"\u00f6": "\\ud800"}\r\n'.encode()
    receive(account.world.infrastructure, account.inbox.inbox_id, {}, body, account.suffix)
    page = list_messages(account.world, account.inbox.inbox_id, limit=1, cursor=None)
    assert page.items[0].body.encode() == body


def test_a_full_inbox_takes_no_more(account: Account) -> None:
    (record,) = account.store.get([account.inbox.inbox_id])
    assert record is not None
    almost = replace(record, version=2, data={"messages": MESSAGES_MAX - 1})
    account.store.commit([], [Update(almost)])
    assert account.post() == "verified"
    with pytest.raises(InboxLimitReached):
        account.post()
    assert get_inbox(account.world, account.inbox.inbox_id).messages == MESSAGES_MAX == 1_000


def test_two_messages_at_once_are_both_kept(account: Account) -> None:
    inner = with_store(account.world, account.store.inner)
    account.store.first = lambda: receive(
        inner.infrastructure, account.inbox.inbox_id, {}, b"theirs", account.suffix
    )
    account.store.lose = 2
    account.post()
    page = list_messages(account.world, account.inbox.inbox_id, limit=10, cursor=None)
    assert [message.body for message in page.items] == [BODY.decode(), "theirs"]
    assert get_inbox(account.world, account.inbox.inbox_id).messages == 2


# --- verdicts --------------------------------------------------------------------------------------------------------


def test_what_is_signed_as_it_should_be_is_verified(account: Account) -> None:
    assert account.post() == "verified"


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_header_that_is_missing_or_empty_is_named(account: Account, missing: str) -> None:
    headers = account.signed()
    assert account.post({**headers, missing: ""}) == "missing_header"
    del headers[missing]
    assert account.post(headers) == "missing_header"


@each_case("timestamp", ["soon", "-1", "1.5", "1e9", " 1795428000", "٣", "1" * 13])
def test_a_timestamp_that_is_no_number_of_seconds_is_malformed(account: Account, timestamp: str) -> None:
    assert account.post({**account.signed(), "webhook-timestamp": timestamp}) == "malformed_timestamp"


@pytest.mark.parametrize("sign", [-1, 1])
def test_five_minutes_in_either_direction_are_tolerated(account: Account, sign: int) -> None:
    edge_ms = NOW_MS + sign * 5 * MINUTE_MS
    assert account.post(account.signed(at_ms=edge_ms)) == "verified"
    assert account.post(account.signed(at_ms=edge_ms + sign * 1_000)) == "timestamp_out_of_range"


def test_without_an_endpoint_that_sends_here_nothing_can_be_verified(account: Account) -> None:
    headers = account.signed()
    update_endpoint(account.world, account.endpoint_id, EndpointChanges(url="https://shop.example/"))
    assert account.post(headers) == "no_endpoint"
    delete_endpoint(account.world, account.endpoint_id)
    assert account.post(headers) == "no_endpoint"
    # Another account's endpoint that sends here has another secret, and no say.
    create_endpoint(of_account(account.world, OTHER_ACCOUNT), url=HOST + account.suffix)
    assert account.post(headers) == "no_endpoint"


@pytest.mark.parametrize("query", ["?shop=7", "?", "?next=/v1/inbox/other/hook"])
def test_an_endpoint_sends_here_whatever_its_query_string(account: Account, query: str) -> None:
    update_endpoint(account.world, account.endpoint_id, EndpointChanges(url=HOST + account.suffix + query))
    assert account.post() == "verified"


def test_a_url_that_only_mentions_the_inbox_does_not_send_here(account: Account) -> None:
    url = f"https://shop.example/?copy={account.suffix}"
    update_endpoint(account.world, account.endpoint_id, EndpointChanges(url=url))
    assert account.post() == "no_endpoint"


@each_case(
    "signature",
    ["v1,", "v1,AAAA", "v2,{}", "{}", "v1{}", "V1,{}", "v1, {}", "\u00e9", "v1a,xyz v1,"],
)
def test_a_signature_that_fits_no_secret_is_refused(account: Account, signature: str) -> None:
    headers = account.signed()
    mac = headers["webhook-signature"].removeprefix("v1,")
    assert account.post({**headers, "webhook-signature": signature.format(mac)}) == "no_matching_signature"


def test_the_signature_covers_id_time_and_every_byte(account: Account) -> None:
    headers = account.signed()
    assert account.post(headers, BODY + b"\n") == "no_matching_signature"
    assert account.post({**headers, "webhook-id": "evt_2"}) == "no_matching_signature"
    later = {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}
    assert account.post(later) == "no_matching_signature"


def test_any_of_several_signatures_by_any_live_secret_of_any_endpoint_is_enough(account: Account) -> None:
    _, second = create_endpoint(account.world, url=HOST + account.suffix)
    _, rotated = rotate_secret(account.world, account.endpoint_id, force=False)
    foreign = account.signed("whsec_" + "A" * 32)["webhook-signature"]
    for secret in (account.secret, rotated, second):
        headers = account.signed(secret)
        assert account.post(headers) == "verified"
        several = f"{foreign} {headers['webhook-signature']} v2,x"
        assert account.post({**headers, "webhook-signature": several}) == "verified"
    account.clock.advance(days=1)
    assert account.post(account.signed(account.secret)) == "no_matching_signature"
    assert account.post(account.signed(rotated)) == "verified"


def test_refusals_come_in_the_order_in_which_a_receiver_finds_them(account: Account) -> None:
    delete_endpoint(account.world, account.endpoint_id)
    headers = {"webhook-id": "evt_1", "webhook-timestamp": "soon", "webhook-signature": "v1,x"}
    assert account.post({**headers, "webhook-id": ""}) == "missing_header"
    assert account.post(headers) == "malformed_timestamp"
    assert account.post({**headers, "webhook-timestamp": "1"}) == "timestamp_out_of_range"
    assert account.post({**headers, "webhook-timestamp": str(NOW_MS // 1000)}) == "no_endpoint"
