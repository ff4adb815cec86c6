"""Snapshots: an account's world as it was, to go back to (restore) or to begin other accounts from (fork).

A snapshot is a record that names it and chunks that hold the world, each of a bounded size, as an item of DynamoDB is. It
can be seen only once it is complete. Going back copies it into a world of its own beside the present one, and then changes
the account's scope, which is one write: killed at any moment, an account has either the old world or the new one, whole. A fork is
the same into a new account; idempotency keys that were used before the snapshot are replayed in it, as its ids come from
the same names.

Nothing is deleted from a ledger: deleting a snapshot empties its chunks. Whatever a killed process left half done is cleaned up by
the next call that takes or deletes one.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from payments_sandbox.domain.errors import (
    AccountBusy,
    SnapshotLimitReached,
    SnapshotNotFound,
    SnapshotTooLarge,
)
from payments_sandbox.domain.timestamps import MINUTE_MS
from payments_sandbox.services.accounts.accounts import (
    Account,
    NewApiKey,
    create_controlled_account,
    new_account_id,
)
from payments_sandbox.services.accounts.controls import (
    Controls,
    change_controls,
    first_record,
    get_controls,
)
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ledger.scopes import ScopedStore
from payments_sandbox.services.ports import Committed, Index, Record, Update
from payments_sandbox.services.simulation.world_copies import from_data, new_scope, read_world, to_data
from payments_sandbox.services.world import World

KIND: Final = "snapshot"
CHUNK: Final = "snapshot_chunk"

SNAPSHOTS_MAX: Final = 20
"""How many snapshots an account can have."""

ABANDONED_MS: Final = 15 * MINUTE_MS
"""After so long a snapshot that is still being taken is not: whoever took it has died."""

_TAKING: Final = "taking"
_COMPLETE: Final = "complete"
_DELETING: Final = "deleting"
_DELETED: Final = "deleted"

_PREFIX: Final = "snap_"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot that is complete. created_at: real time; clock_at: what the account's clock showed. Milliseconds since the
    epoch. records: how many it holds."""

    snapshot_id: str
    name: str | None
    created_at: int
    clock_at: int
    records: int


async def take_snapshot(world: World, *, name: str | None) -> Snapshot:
    """Keep the account's world as it is now.

    Errors, by precedence: snapshot_limit_reached. snapshot_too_large.
    """
    finish_work(world)
    if len(_list(world)) >= SNAPSHOTS_MAX:
        raise SnapshotLimitReached(f"An account can have {SNAPSHOTS_MAX} snapshots; delete one first.")
    controls = get_controls(world.infrastructure, world.account_id)
    kept = {**asdict(controls), "namespace": world.owner}
    header = Record(
        id=_PREFIX + world.infrastructure.randomness.token(20),
        kind=KIND,
        account_id=world.account_id,
        version=1,
        created_at=world.wall_clock.now_ms(),
        data={
            "name": name,
            "state": _TAKING,
            "clock_at": world.clock.now_ms(),
            "controls": kept,
            "records": 0,
            "chunks": 0,
        },
        feed_key=_work_key(world.account_id),
    )
    world.infrastructure.store.insert(header)
    count = chunks = 0
    for records in _chunked(read_world(world), world.infrastructure.limits.snapshot_chunk_bytes_max):
        count += len(records)
        if count > world.infrastructure.limits.snapshot_records_max:
            _empty(world.infrastructure, header)
            raise SnapshotTooLarge(
                f"A snapshot holds at most {world.infrastructure.limits.snapshot_records_max} records, of which an authorization is "
                "one and each of its entries another."
            )
        world.infrastructure.store.insert(_chunk(header, chunks, records))
        chunks += 1
        # Other requests have a turn.
        await asyncio.sleep(0)
    complete = _changed(header, _list_key(world.account_id), state=_COMPLETE, records=count, chunks=chunks)
    if not isinstance(world.infrastructure.store.commit([], [Update(complete)]), Committed):
        raise AccountBusy("The snapshot took so long that it was given up; take it again.")
    return _snapshot_of(complete)


def list_snapshots(world: World) -> list[Snapshot]:
    """The account's snapshots, newest first."""
    return [_snapshot_of(record) for record in _list(world)]


def get_snapshot(world: World, snapshot_id: str) -> Snapshot:
    """A snapshot of the account. Errors: snapshot_not_found."""
    return _snapshot_of(_read(world, snapshot_id))


def delete_snapshot(world: World, snapshot_id: str) -> None:
    """Delete a snapshot; the worlds that began from it stay. Errors: snapshot_not_found."""
    header = _read(world, snapshot_id)
    _empty(world.infrastructure, header)
    finish_work(world)


async def restore_snapshot(world: World, snapshot_id: str) -> tuple[Snapshot, bool]:
    """Make the world of a snapshot the account's again. Also answers whether these are the account's first controls.

    The clock shows what it showed then, unless that is past by now: it is never behind real time.
    Errors, by precedence: snapshot_not_found. account_busy: another restore got there first.
    """
    header = _read(world, snapshot_id)
    scope = new_scope(world.infrastructure)
    _, first = change_controls(
        world.infrastructure, world.account_id, lambda controls: replace(controls, entering=scope)
    )
    await _copy(world.infrastructure, header, world.account_id, scope)

    def enter(controls: Controls) -> Controls:
        if controls.entering != scope:
            raise AccountBusy("Another restore of the account got there first; repeat the request.")
        return _controls_of(world.infrastructure, header, scope, generation=controls.fault_generation + 1)

    change_controls(world.infrastructure, world.account_id, enter)
    return _snapshot_of(header), first


async def fork_snapshot(world: World, snapshot_id: str, *, name: str | None) -> tuple[Account, NewApiKey]:
    """Make a new account whose world is that of a snapshot. Errors: snapshot_not_found."""
    header = _read(world, snapshot_id)
    fork_id, scope = new_account_id(world.infrastructure), new_scope(world.infrastructure)
    # Written first, so that nobody takes for left behind what is only on its way.
    entering = first_record(world.infrastructure, fork_id, Controls(entering=scope))
    world.infrastructure.store.insert(entering)
    await _copy(world.infrastructure, header, fork_id, scope)
    controls = _controls_of(world.infrastructure, header, scope, generation=0)
    entered = replace(entering, version=2, data=asdict(controls))
    return create_controlled_account(
        world.infrastructure, fork_id, name=name, seed=controls.seed, updates=[Update(entered)]
    )


def finish_work(world: World) -> None:
    """Empty what is being deleted, and what was begun by a process that died."""
    now_ms = world.wall_clock.now_ms()
    page = world.infrastructure.store.page(Index.FEED, _work_key(world.account_id))
    for header in page.records:
        if header.data["state"] == _DELETING or header.created_at + ABANDONED_MS <= now_ms:
            _empty(world.infrastructure, header)


def _copy_records(chunk: Record | None, account_id: str) -> list[Record]:
    if chunk is None or chunk.data["records"] is None:
        raise SnapshotNotFound("The snapshot was deleted meanwhile.")
    return [from_data(kept, account_id) for kept in chunk.data["records"]]


async def _copy(infrastructure: Infrastructure, header: Record, account_id: str, scope: str) -> None:
    """Write the snapshot's records into a scope that nobody sees yet."""
    store = ScopedStore(infrastructure.store, scope)
    for number in range(header.data["chunks"]):
        (chunk,) = infrastructure.store.get([_chunk_id(header.id, number)])
        records = _copy_records(chunk, account_id)
        writes = infrastructure.limits.snapshot_writes
        for start in range(0, len(records), writes):
            written = store.commit(records[start : start + writes], [])
            assert isinstance(written, Committed), "nobody else writes in a scope that is new"
        await asyncio.sleep(0)


def _controls_of(infrastructure: Infrastructure, header: Record, scope: str, *, generation: int) -> Controls:
    """The controls of the snapshot's account then, for another world now."""
    ahead_ms = header.data["clock_at"] - infrastructure.clock.now_ms()
    return Controls(
        **{
            **header.data["controls"],
            "clock_offset_ms": max(0, ahead_ms),
            "fault_generation": generation,
            "scope": scope,
            "entering": "",
        }
    )


def _chunked(records: Iterator[Record], bytes_max: int) -> Iterator[list[dict[str, Any]]]:
    """The records as they are kept, in lists of bounded size; at least one, which may be empty."""
    chunk: list[dict[str, Any]] = []
    size = 0
    for record in records:
        kept = to_data(record)
        length = len(json.dumps(kept, ensure_ascii=False).encode())
        if chunk and size + length > bytes_max:
            yield chunk
            chunk, size = [], 0
        chunk.append(kept)
        size += length
    yield chunk


def _chunk(header: Record, number: int, records: Sequence[Mapping[str, Any]]) -> Record:
    return Record(
        id=_chunk_id(header.id, number),
        kind=CHUNK,
        account_id=header.account_id,
        version=1,
        created_at=header.created_at,
        data={"records": list(records)},
    )


def _empty(infrastructure: Infrastructure, header: Record) -> None:
    """Take a snapshot out of sight, then its chunks' contents; begun again where it was broken off."""
    if header.data["state"] != _DELETING:
        deleting = _changed(header, _work_key(header.account_id), state=_DELETING)
        if not isinstance(infrastructure.store.commit([], [Update(deleting)]), Committed):
            return
        header = deleting
    number = 0
    while True:
        (chunk,) = infrastructure.store.get([_chunk_id(header.id, number)])
        if chunk is None:
            break
        if chunk.data["records"] is not None:
            emptied = replace(chunk, version=chunk.version + 1, data={"records": None})
            infrastructure.store.commit([], [Update(emptied)])
        number += 1
    infrastructure.store.commit([], [Update(_changed(header, None, state=_DELETED))])


def _changed(header: Record, feed_key: str | None, **data: Any) -> Record:
    return replace(header, version=header.version + 1, feed_key=feed_key, data={**header.data, **data})


def _read(world: World, snapshot_id: str) -> Record:
    (record,) = world.infrastructure.store.get([snapshot_id])
    if (
        record is None
        or record.kind != KIND
        or record.account_id != world.account_id
        or record.data["state"] != _COMPLETE
    ):
        raise SnapshotNotFound("The account has no snapshot of this id.")
    return record


def _list(world: World) -> Sequence[Record]:
    # A few more than there may be: two requests can pass the limit's check at the same moment.
    return world.infrastructure.store.page(
        Index.FEED, _list_key(world.account_id), limit=SNAPSHOTS_MAX * 2, newest_first=True
    ).records


def _snapshot_of(record: Record) -> Snapshot:
    data = record.data
    return Snapshot(record.id, data["name"], record.created_at, data["clock_at"], data["records"])


def _chunk_id(snapshot_id: str, number: int) -> str:
    return f"{snapshot_id}_{number}"


def _list_key(account_id: str) -> str:
    return f"{account_id}#snapshot"


def _work_key(account_id: str) -> str:
    return f"{account_id}#snapshot_work"
