"""Reading the ledger: one transaction with its family, the account's feed, a card."""

from collections.abc import Sequence
from dataclasses import dataclass

from payments_sandbox.domain.errors import CardNotFound, TransactionNotFound
from payments_sandbox.domain.ids import PREFIXES
from payments_sandbox.services.ledger import entries
from payments_sandbox.services.ledger.entries import AUTHORIZATION, Entry
from payments_sandbox.services.ledger.listings import ListingPage, walk
from payments_sandbox.services.ports import IDS_MAX, Index, Position, Record
from payments_sandbox.services.world import World


@dataclass(frozen=True, slots=True)
class Family:
    """An entry, and everything that belongs to the same authorization, oldest first, the authorization included."""

    entry: Entry
    members: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class Filter:
    """What a listing shows. created_from (inclusive) and created_before (exclusive): milliseconds since the epoch."""

    card_id: str | None = None
    type: str | None = None
    status: str | None = None
    created_from: int | None = None
    created_before: int | None = None


@dataclass(frozen=True, slots=True)
class CardSummary:
    """A card as this account knows it: its latest authorization, and when it was first and last used (ms)."""

    card_id: str
    latest: Entry
    first_used_at: int
    last_used_at: int


def get_transaction(world: World, transaction_id: str) -> Family:
    """An entry with its family, as they stand now.

    Errors: transaction_not_found: the account has no entry of this id.
    """
    now_ms = world.clock.now_ms()
    (record,) = world.store.get([transaction_id])
    if record is None or record.account_id != world.account_id or record.kind not in PREFIXES:
        raise TransactionNotFound("The account has no transaction of this id.")
    root = record
    if record.kind != AUTHORIZATION:
        (found,) = world.store.get([entries.data_of(record)["authorization_id"]])
        assert found is not None, "an entry is written in one atomic write with its authorization"
        root = found
    ids = entries.data_of(root)["entries"]
    members = [root]
    # What clients add to an authorization fits into one read; what time and the network add is not bounded by that.
    for start in range(0, len(ids), IDS_MAX):
        found_members = world.store.get(ids[start : start + IDS_MAX])
        members += [member for member in found_members if member is not None]
    return Family(entries.as_of(record, now_ms), [entries.as_of(member, now_ms) for member in members])


def list_transactions(world: World, wanted: Filter, *, limit: int, cursor: str | None) -> ListingPage[Entry]:
    """The account's entries, newest first, a page at a time.

    A page may hold fewer than `limit` entries although there are more, when few of many match: go on with the cursor.
    Errors: invalid_request: the cursor is not one that a listing gave.
    """
    now_ms = world.clock.now_ms()
    if wanted.card_id is not None:
        index, key = Index.CARD, wanted.card_id
    else:
        index, key = Index.FEED, entries.feed_key(world.account_id)

    def matches(record: Record) -> bool:
        return (
            record.kind in PREFIXES
            and (wanted.type is None or record.kind == wanted.type)
            and (wanted.status is None or entries.as_of(record, now_ms).status == wanted.status)
        )

    page = walk(
        world.store,
        index,
        key,
        matches,
        limit=limit,
        cursor=cursor,
        owner=world.account_id,
        created_from=wanted.created_from,
        created_before=wanted.created_before,
        selective=wanted.type is not None or wanted.status is not None,
    )
    return ListingPage([entries.as_of(record, now_ms) for record in page.items], page.next_cursor)


def get_card(world: World, card_id: str) -> CardSummary:
    """A card that this account has used.

    Errors: card_not_found: the account has used no card of this id.
    """
    newest = world.store.page(Index.CARD, card_id, limit=1, newest_first=True).records
    oldest = world.store.page(Index.CARD, card_id, limit=1).records
    if not newest or not oldest or newest[0].account_id != world.account_id:
        raise CardNotFound("The account has used no card of this id.")
    latest = newest[0]
    if latest.kind != AUTHORIZATION:
        latest = _latest_authorization(world, card_id) or latest
    return CardSummary(
        card_id=card_id,
        latest=entries.as_of(latest, world.clock.now_ms()),
        first_used_at=oldest[0].created_at,
        last_used_at=newest[0].created_at,
    )


def _latest_authorization(world: World, card_id: str) -> Record | None:
    """Other entries repeat the card as their own authorization saw it, which may be long ago."""
    after: Position | None = None
    while True:
        page = world.store.page(Index.CARD, card_id, after=after, newest_first=True)
        for record in page.records:
            if record.kind == AUTHORIZATION:
                return record
        if page.next is None:
            return None
        after = page.next
