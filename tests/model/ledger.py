"""The sandbox in plain dictionaries and integers: slow, forgetful of everything but money, and obviously right.

It knows what each operation answers (status, amounts, the account's feed) and when it refuses, but no ids, no card
brands, no networks and no limit of entries: `tests/integration/test_ledger_machine.py` drives it beside the sandbox and compares the two.
Written from the contract and the payment facts, not from the services; it imports constants only.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from payments_sandbox.domain.authorization import VALIDITY_MS
from payments_sandbox.domain.money import AMOUNT_MAX
from payments_sandbox.domain.timestamps import DAY_MS
from payments_sandbox.services.ledger.entries import KEY_RETENTION_MS

Request = dict[str, Any]
"""What a caller sends: `number`, `amount`, `currency` or `authorization_id`, `amount`, `final`; `simulate`; `metadata`.
Fields that are not sent are not there."""

DECLINING_CARDS: Final = {"4000000000009995": "51", "4000000000009987": "41", "4242424242424243": "14"}
CAPTURE_DECLINING_CARDS: Final = {"4000000000000341": "05"}
DECLINING_HEADERS: Final = {"lost_card": "41", "response_code=91": "91"}


class Refused(Exception):
    """The model says no. code: the contract's; facts: what the problem tells besides."""

    def __init__(self, code: str, **facts: Any) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts


@dataclass(eq=False)
class Entry:
    """One entry. shown: what its first response said. family: the authorization that it belongs to, or is. settled_at: once
    it is."""

    account: str
    kind: str
    key: str
    request: Request
    created_at: int
    shown: dict[str, Any]
    family: "Family"
    settled_at: int | None = None

    @property
    def day_ends(self) -> int:
        """The midnight (UTC) after it."""
        return (self.created_at // DAY_MS + 1) * DAY_MS


@dataclass(eq=False)
class Family:
    """An authorization with everything that followed it. number: the card's. card_decided: no header did."""

    account: str
    approved: bool
    expires_at: int
    number: str
    card_decided: bool
    authorized: int = 0
    captured: int = 0
    refunded: int = 0
    released: int = 0
    expired: bool = False
    entries: list[Entry] = field(default_factory=list)

    def held(self, now: int) -> int:
        return 0 if now >= self.expires_at else self.authorized - self.captured - self.released

    def status(self, now: int) -> str:
        if not self.approved:
            return "declined"
        if self.captured > 0:
            return "partially_captured" if self.held(now) > 0 else "captured"
        if self.released == self.authorized and not self.expired:
            return "voided"
        return "authorized" if now < self.expires_at else "expired"

    def balance(self, now: int) -> dict[str, int]:
        return {
            "authorized_amount": self.authorized,
            "captured_amount": self.captured,
            "refunded_amount": self.refunded,
            "released_amount": self.released,
            "disputed_amount": 0,
            "capturable_amount": self.held(now),
            "refundable_amount": self.captured - self.refunded,
        }


@dataclass(eq=False)
class ModelLedger:
    """All accounts. entries: everything that was ever made, oldest first."""

    entries: list[Entry] = field(default_factory=list)

    def authorize(self, account: str, key: str, request: Request, now: int) -> tuple[Entry, bool]:
        """The entry, and whether the key had made it before."""
        known = self.find(account, "authorization", key, now)
        if known is not None:
            return self._repeat(known, request), True
        declined = DECLINING_CARDS.get(request["number"])
        if "simulate" in request:
            declined = DECLINING_HEADERS.get(request["simulate"])
        family = Family(
            account=account,
            approved=declined is None,
            expires_at=now + VALIDITY_MS,
            number=request["number"],
            card_decided="simulate" not in request,
        )
        if declined is None:
            family.authorized = request["amount"]
        return self._note(
            account, "authorization", key, request, family, request["amount"], declined, now
        ), False

    def operate(
        self, account: str, kind: str, key: str, family: Family | None, request: Request, now: int
    ) -> tuple[Entry, bool]:
        """Capture, refund, void or increment. family: None when the request names no authorization of the account."""
        known = self.find(account, kind, key, now)
        if known is not None:
            return self._repeat(known, request), True
        if family is None:
            raise Refused("transaction_not_found")
        possible = family.captured - family.refunded if kind == "refund" else family.held(now)
        if possible == 0:
            able = {
                "capture": "capturable",
                "void": "voidable",
                "refund": "refundable",
                "increment": "incrementable",
            }
            raise Refused(f"authorization_not_{able[kind]}", authorization_status=family.status(now))
        amount = request.get("amount", possible)
        if kind == "capture" and amount > possible:
            raise Refused("amount_exceeds_authorized", capturable_amount=possible)
        if kind == "refund" and amount > possible:
            raise Refused("amount_exceeds_captured", refundable_amount=possible)
        if kind == "increment" and family.authorized + amount > AMOUNT_MAX:
            raise Refused("amount_too_large", incrementable_amount=AMOUNT_MAX - family.authorized)
        declined = None
        if "simulate" in request:
            declined = DECLINING_HEADERS.get(request["simulate"])
        elif kind == "capture" and family.card_decided:
            declined = CAPTURE_DECLINING_CARDS.get(family.number)
        if declined is None:
            if kind == "capture":
                family.captured += amount
                if request.get("final"):
                    family.released += possible - amount
            elif kind == "refund":
                family.refunded += amount
            elif kind == "void":
                family.released += amount
            else:
                family.authorized += amount
        return self._note(account, kind, key, request, family, amount, declined, now), False

    def expire(self, family: Family) -> Entry:
        """Release what is held although its time is over."""
        held = family.authorized - family.captured - family.released
        assert held > 0
        family.released += held
        family.expired = True
        return self._note(family.account, "expiry", "", {}, family, held, None, family.expires_at)

    def unsettled(self, account: str) -> list[Entry]:
        """What moved money to or from the merchant and is not settled."""
        return [
            entry
            for entry in self.entries
            if entry.account == account
            and entry.kind in ("capture", "refund")
            and entry.shown["status"] == "succeeded"
            and entry.settled_at is None
        ]

    def find(self, account: str, kind: str, key: str, now: int) -> Entry | None:
        """The entry that this key made, if it did and the key is not forgotten."""
        for entry in self.entries:
            same = (entry.account, entry.kind, entry.key) == (account, kind, key)
            if same and now - entry.created_at < KEY_RETENTION_MS:
                return entry
        return None

    def listed(self, account: str, now: int, **wanted: Any) -> list[Entry]:
        """The account's entries, in the order in which they were made, that match all filters."""
        return [
            entry
            for entry in self.entries
            if entry.account == account
            and ("kind" not in wanted or entry.kind == wanted["kind"])
            and ("status" not in wanted or self.status(entry, now) == wanted["status"])
            and ("number" not in wanted or entry.family.number == wanted["number"])
            and ("created_from" not in wanted or entry.created_at >= wanted["created_from"])
            and ("created_before" not in wanted or entry.created_at < wanted["created_before"])
        ]

    def status(self, entry: Entry, now: int) -> str:
        """The status of an entry at this time."""
        status = entry.family.status(now) if entry.kind == "authorization" else entry.shown["status"]
        return str(status)

    def shown_now(self, entry: Entry, now: int) -> dict[str, Any]:
        """What reading the entry shows: only an authorization ever changes."""
        if entry.kind != "authorization":
            return entry.shown
        return {**entry.shown, "status": entry.family.status(now), "balance": entry.family.balance(now)}

    def _repeat(self, known: Entry, request: Request) -> Entry:
        if known.request != request:
            raise Refused("idempotency_key_reused", pointers=differing(known.request, request), made=known)
        return known

    def _note(
        self,
        account: str,
        kind: str,
        key: str,
        request: Request,
        family: Family,
        amount: int,
        declined: str | None,
        now: int,
    ) -> Entry:
        if kind == "authorization":
            status = "authorized" if declined is None else "declined"
        else:
            status = "succeeded" if declined is None else "declined"
        shown = {
            "type": kind,
            "status": status,
            "amount": amount,
            "response_code": declined or "00",
            "balance": family.balance(now),
            "metadata": request.get("metadata", {}),
        }
        entry = Entry(account, kind, key, request, now, shown, family)
        family.entries.append(entry)
        self.entries.append(entry)
        return entry


def differing(one: Request, other: Request) -> list[str]:
    """Where two requests differ, as the contract points at it."""
    places = {
        "number": "/card/number",
        "simulate": "header:X-Sandbox-Simulate",
    }
    found = set()
    for name in one.keys() | other.keys():
        if one.get(name) == other.get(name):
            continue
        if name == "metadata" and name in one and name in other:
            for key in one[name].keys() | other[name].keys():
                if one[name].get(key) != other[name].get(key):
                    found.add(f"/metadata/{key}")
        else:
            found.add(places.get(name, f"/{name}"))
    return sorted(found)
