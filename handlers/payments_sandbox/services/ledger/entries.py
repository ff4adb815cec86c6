"""Ledger entries: how an operation becomes a record, and how a record is read back.

An entry keeps the request that made it (`request`, shaped like the request's body, the card number replaced by its
id and the CVC by whether there was one), so that a repeated idempotency key is compared with what was really asked,
field by field, and no fingerprint is needed. Everything is written once, but for an authorization's `totals`, `entries` and
what it lists besides, a refund's `outcome`, and in which settlement an entry is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypedDict

from payments_sandbox.domain.authorization import Authorization, Movement, Totals
from payments_sandbox.domain.errors import FieldError, IdempotencyKeyReused
from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.domain.ids import EntryIdentity, acquirer_reference, retrieval_reference
from payments_sandbox.domain.json_pointers import escape_name
from payments_sandbox.domain.network import Decline
from payments_sandbox.domain.postings import Posting
from payments_sandbox.domain.refund_courses import REFUND_COURSES
from payments_sandbox.domain.timestamps import DAY_MS, format_timestamp
from payments_sandbox.domain.triggers import Simulation
from payments_sandbox.domain.value import value_type
from payments_sandbox.services.ports import Record

AUTHORIZATION = "authorization"
EXPIRY = "expiry"
SUCCEEDED = "succeeded"
DECLINED = "declined"


KEY_RETENTION_MS: Final = 30 * DAY_MS
"""How long an idempotency key stands for the entry that it made, longer than any authorization lasts; afterwards it is as
good as new. Processors keep them between a day (Stripe) and 45 days (PayPal)."""


class _Totals(TypedDict):
    authorized: int
    captured: int
    refunded: int
    released: int


class StoredTotals(_Totals, total=False):
    """`Totals` as the ledger keeps them, in minor units. disputed: kept when there is any, as there seldom is."""

    disputed: int


class _EntryData(TypedDict):
    request: dict[str, Any]
    amount: int
    currency: str
    card: dict[str, Any]
    decline: list[str] | None
    network: dict[str, str]
    simulation: dict[str, Any]
    postings: list[list[Any]]
    totals: StoredTotals


class EntryData(_EntryData, total=False):
    """`Record.data` of every entry.

    amount: minor units of `currency`; what was moved, or would have been. card: brand, last4, funding, exp_month,
    exp_year, holder_name. decline: decline code and response code. totals: of the authorization; running in the
    authorization itself, as this entry left them in every other. cvc, avs, risk, expires_at (milliseconds),
    capture_decline, after_capture, refund_course, expired (what it held was released because its time was over), entries
    (ids, oldest first), disputes (ids), warnings (ids of its inquiries and early fraud warnings that are open): in
    authorizations only. authorization_id, authorization_status: in all others. settlement_id, settled_at (milliseconds):
    once the entry is settled.
    course: of a refund that takes one; outcome: what has become of it. refund_id: of the refund that failed. dispute_id,
    fee (minor units, taken or given back when it is settled): of chargebacks and their reversals.
    """

    cvc: str
    avs: str
    risk: str
    expires_at: int
    capture_decline: str
    after_capture: str
    refund_course: str
    expired: bool
    entries: list[str]
    disputes: list[str]
    warnings: list[str]
    authorization_id: str
    authorization_status: str
    settlement_id: str
    settled_at: int
    course: str
    outcome: str
    refund_id: str
    dispute_id: str
    fee: int


@value_type
class Entry:
    """An entry as it is shown. totals and status: at the moment that is asked for; capturable: minor units. settlement: id
    and time (milliseconds), when it is settled by that moment."""

    record: Record
    data: EntryData
    status: str
    totals: Totals
    capturable: int
    settlement: tuple[str, int] | None = None


def feed_key(account_id: str) -> str:
    """Where the FEED index lists an account's ledger entries."""
    return account_id + "#transaction"


def network_data(
    identity: EntryIdentity, at_ms: int, *, code: str | None = None, cleared: bool = False
) -> dict[str, str]:
    """The network's references for an entry. code: its authorization code; cleared: it moves settled money."""
    network = {"stan": identity.stan, "rrn": retrieval_reference(at_ms, identity.stan)}
    if code is not None:
        network["authorization_code"] = code
    if cleared:
        network["acquirer_reference"] = acquirer_reference(at_ms, identity.film_locator)
    return network


def simulation_data(simulation: Simulation) -> dict[str, Any]:
    """The simulation block as the ledger keeps it."""
    data: dict[str, Any] = {"trigger": simulation.trigger, "rule": simulation.rule}
    if simulation.overridden:
        data["overridden"] = list(simulation.overridden)
    return data


def decline_data(decline: Decline | None) -> list[str] | None:
    """A decline as the ledger keeps it."""
    return None if decline is None else [decline.decline_code, decline.response_code]


def postings_data(postings: Sequence[Posting]) -> list[list[Any]]:
    """Postings as the ledger keeps them."""
    return [list(posting) for posting in postings]


def totals_data(totals: Totals) -> StoredTotals:
    """Totals as the ledger keeps them."""
    data: StoredTotals = {
        "authorized": totals.authorized,
        "captured": totals.captured,
        "refunded": totals.refunded,
        "released": totals.released,
    }
    if totals.disputed:
        data["disputed"] = totals.disputed
    return data


def data_of(record: Record) -> EntryData:
    """The record's data, seen as an entry's."""
    return record.data  # type: ignore[return-value]  # the ledger holds nothing else under an entry's kind


def authorization_of(record: Record) -> Authorization:
    """What decisions need of an authorization's record."""
    data = data_of(record)
    return Authorization(
        currency=data["currency"],
        approved=data["decline"] is None,
        expires_at=data["expires_at"],
        totals=Totals(**data["totals"]),
        entry_count=len(data["entries"]),
        expired=data.get("expired", False),
        dispute_count=len(data.get("disputes", ())),
    )


def as_of(record: Record, now_ms: int) -> Entry:
    """The entry as it stands at this time."""
    data = data_of(record)
    if record.kind != AUTHORIZATION:
        entry = as_created(record)
        settled = "settlement_id" in data
        return replace(
            entry,
            status=data.get("outcome", entry.status),
            settlement=(data["settlement_id"], data["settled_at"]) if settled else None,
        )
    authorization = authorization_of(record)
    return Entry(
        record,
        data,
        authorization.status(now_ms).value,
        authorization.totals,
        authorization.capturable(now_ms),
    )


def as_created(record: Record) -> Entry:
    """The entry as it stood when it was made: what the first response said, and every replay repeats."""
    data = data_of(record)
    if record.kind == AUTHORIZATION:
        if data["decline"] is not None:
            return Entry(record, data, DECLINED, Totals(), 0)
        return Entry(record, data, "authorized", Totals(authorized=data["amount"]), data["amount"])
    totals = Totals(**data["totals"])
    # Only what still stood open could be captured: elsewhere nothing is held, or it has lapsed.
    open_still = data["authorization_status"] in ("authorized", "partially_captured")
    status = SUCCEEDED if data["decline"] is None else DECLINED
    if "course" in data:
        status = REFUND_COURSES[data["course"]].first
    return Entry(record, data, status, totals, totals.held if open_still else 0)


def with_movement(record: Record, movement: Movement, entry_id: str) -> Record:
    """The authorization's record after an operation: new totals, one more entry, the next version."""
    data = data_of(record)
    after: EntryData = {
        **data,
        "totals": totals_data(movement.totals),
        "entries": [*data["entries"], entry_id],
    }
    return replace(
        record,
        version=record.version + 1,
        data=after,
        due_at=data["expires_at"] if movement.totals.held else None,
    )


def with_settlement(record: Record, settlement_id: str, settled_at: int) -> Record:
    """An entry's record once it is settled: nothing about it is due any more."""
    data = {**record.data, "settlement_id": settlement_id, "settled_at": settled_at}
    return replace(record, version=record.version + 1, data=data, due_at=None)


def key_is_forgotten(existing: Record, now_ms: int) -> bool:
    """Whether the idempotency key that made this entry may be used for another one by now."""
    return now_ms - existing.created_at >= KEY_RETENTION_MS


def require_same_request(
    existing: Record, request: Mapping[str, Any], made: tuple[str, str] | None = None
) -> None:
    """Refuse a repeated idempotency key whose request differs from the first.

    made: what the key made, by the name under which the problem tells its id; the transaction itself unless given.
    Raises IdempotencyKeyReused, naming each field that differs and when the key was first used.
    """
    stored = data_of(existing)["request"]
    if stored == request:
        return
    name, made_id = made or ("transaction_id", existing.id)
    pointers = sorted(_differing(stored, request, ""))
    raise IdempotencyKeyReused(
        f"This key made {made_id} at {format_timestamp(existing.created_at)} from a request that differs in: "
        f"{', '.join(pointers)}. Repeat that request unchanged, or use a new key.",
        errors=[
            FieldError(pointer, FieldCode.DIFFERS, "differs from the first request") for pointer in pointers
        ],
        facts={"first_used_at": format_timestamp(existing.created_at), name: made_id},
    )


def _differing(stored: Any, given: Any, pointer: str) -> list[str]:
    """JSON pointers of the leaves in which two requests differ."""
    if not isinstance(stored, Mapping) or not isinstance(given, Mapping):
        return [] if stored == given else [pointer]
    found: list[str] = []
    for name in stored.keys() | given.keys():
        if not pointer and name.startswith("header:"):
            found += [name] if stored.get(name) != given.get(name) else []
        else:
            found += _differing(stored.get(name), given.get(name), f"{pointer}/{escape_name(name)}")
    return found
