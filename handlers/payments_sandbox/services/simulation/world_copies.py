"""An account's world as records: how it is read, and written again under another scope.

A world is what payments and time have made of an account: entries, disputes, settlements, endpoints and whatever waits for its
moment. Deliveries are left behind, as a webhook that was sent was sent once. A reading is consistent for each authorization
and its entries, however many payments are written meanwhile: the entries that belong to an authorization are those that it
lists. `snapshots.py` keeps worlds, `scopes.py` keeps them apart.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from payments_sandbox.domain.ids import PREFIXES
from payments_sandbox.services.accounts.accounts import (
    Account,
    NewApiKey,
    create_controlled_account,
    new_account_id,
)
from payments_sandbox.services.accounts.controls import Controls, first_record
from payments_sandbox.services.accounts.seeds import NAMESPACE
from payments_sandbox.services.disputes import dispute_records, early_fraud_warnings
from payments_sandbox.services.events.events import COPIED, is_event
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ledger import entries
from payments_sandbox.services.ledger.entries import AUTHORIZATION
from payments_sandbox.services.ledger.scopes import SCOPE_LENGTH
from payments_sandbox.services.ports import IDS_MAX, Index, Position, Record
from payments_sandbox.services.settlement import settlement_records
from payments_sandbox.services.webhooks import webhook_endpoints
from payments_sandbox.services.webhooks.webhook_delivery_records import KIND as DELIVERY
from payments_sandbox.services.world import World

FEEDS: Final[Sequence[Callable[[str], str]]] = (
    webhook_endpoints.feed_key,
    settlement_records.feed_key,
    dispute_records.feed_key,
    early_fraud_warnings.feed_key,
    entries.feed_key,
)
"""From an account to the keys under which the FEED index lists its world. Entries come last: what others refer to is there
by then."""

ATTACHED: Final[Mapping[str, Callable[[Record], Sequence[str]]]] = {
    AUTHORIZATION: lambda record: entries.data_of(record)["entries"],
    settlement_records.SETTLEMENT: settlement_records.line_record_ids,
}
"""Kind of a record to the ids of those that belong to it and are listed nowhere else, or come with it."""


Json = dict[str, Any]


def read_world(world: World) -> Iterator[Record]:
    """Every record of the account's world, each once."""
    # First, because whatever a timer is about is there before it.
    for record in _pages(world, Index.DUE, world.account_id):
        if record.feed_key is None and record.kind != DELIVERY and record.kind not in PREFIXES:
            yield record
    for feed_key in FEEDS:
        for record in _pages(world, Index.FEED, feed_key(world.account_id)):
            if record.kind == AUTHORIZATION or record.kind not in PREFIXES:
                yield record
                yield from _attached(world, record)


def to_data(record: Record) -> Json:
    """A record as a snapshot keeps it, without whose it is."""
    feed = record.feed_key
    assert feed is None or feed.startswith(record.account_id), (
        "what is in a world is listed under its account"
    )
    return {
        "id": record.id,
        "kind": record.kind,
        "created_at": record.created_at,
        "data": record.data,
        "feed": None if feed is None else feed.removeprefix(record.account_id),
        "card_id": record.card_id,
        "due_at": record.due_at,
    }


def from_data(kept: Mapping[str, Any], account_id: str) -> Record:
    """A kept record as the first of its id in another world; what it tells of is no news there."""
    record = Record(
        id=kept["id"],
        kind=kept["kind"],
        account_id=account_id,
        version=1,
        created_at=kept["created_at"],
        data=kept["data"],
        feed_key=None if kept["feed"] is None else account_id + kept["feed"],
        card_id=kept["card_id"],
        due_at=kept["due_at"],
    )
    return replace(record, data={**record.data, COPIED: True}) if is_event(record) else record


def new_scope(infrastructure: Infrastructure) -> str:
    """A scope that no world has."""
    return infrastructure.randomness.token(SCOPE_LENGTH)


def create_seeded_account(
    infrastructure: Infrastructure, *, name: str | None, seed: str
) -> tuple[Account, NewApiKey]:
    """Make an account whose ids follow from the seed; another of the same seed is a world of its own."""
    account_id = new_account_id(infrastructure)
    controls = first_record(
        infrastructure, account_id, Controls(scope=new_scope(infrastructure), namespace=NAMESPACE, seed=seed)
    )
    return create_controlled_account(infrastructure, account_id, name=name, seed=seed, inserts=[controls])


def _attached(world: World, record: Record) -> Iterator[Record]:
    attached = ATTACHED.get(record.kind)
    ids = [] if attached is None else attached(record)
    for start in range(0, len(ids), IDS_MAX):
        for found in world.store.get(ids[start : start + IDS_MAX]):
            assert found is not None, "it is written in one atomic write with what lists it"
            yield found


def _pages(world: World, index: Index, key: str) -> Iterator[Record]:
    after: Position | None = None
    while True:
        page = world.store.page(index, key, after=after, limit=world.infrastructure.limits.world_page)
        yield from page.records
        if page.next is None:
            return
        after = page.next
