"""Rules of an account for what goes wrong with its requests, and which of them strikes next.

Rules stand in the account's controls, so that an account without any pays nothing for them. Those that count (every n-th
request, so many in a hundred, so many times) keep their counters in a record of their own, which is written once for each
request that meets one. Chance follows from the counters: the same requests in the same order meet the same faults.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from payments_sandbox.domain.errors import StoreUnavailable
from payments_sandbox.domain.faults import Fault, Rule, parse_fault
from payments_sandbox.services.accounts.controls import Controls, change_controls, get_controls
from payments_sandbox.services.ledger.retry import LOST, LostRace, retry_on_conflict
from payments_sandbox.services.ports import Committed, Record, Update
from payments_sandbox.services.world import World

KIND: Final = "fault_counters"
_PREFIX: Final = "flt_"


@dataclass(frozen=True, slots=True)
class ActiveRule:
    """A rule, how many requests have met it, and how many it has struck; counted only if the rule depends on it."""

    rule: Rule
    seen: int
    fired: int


def get_rules(world: World) -> list[ActiveRule]:
    """The account's rules, the first that strikes first."""
    controls = get_controls(world.infrastructure, world.account_id)
    seen, fired = _counters_of(_read_counters(world), controls)
    return [ActiveRule(*each) for each in zip(rules_of(controls), seen, fired, strict=True)]


def set_rules(world: World, rules: Sequence[Rule]) -> tuple[list[ActiveRule], bool]:
    """Replace the account's rules, and count from nothing. Also answers whether these are the account's first controls.

    Errors: invalid_request: a rule's fault is not in the grammar. account_busy.
    """
    for index, rule in enumerate(rules):
        parse_fault(rule.fault, f"/rules/{index}/fault")

    def change(controls: Controls) -> Controls:
        generation = controls.fault_generation + 1
        return replace(controls, faults=[_rule_data(rule) for rule in rules], fault_generation=generation)

    _, first = change_controls(world.infrastructure, world.account_id, change)
    return [ActiveRule(rule, 0, 0) for rule in rules], first


def clear_rules(world: World) -> None:
    """Let nothing go wrong any more. Errors: account_busy."""
    if get_controls(world.infrastructure, world.account_id).faults:
        set_rules(world, [])


def next_fault(world: World, controls: Controls, operation_id: str) -> Fault | None:
    """The fault that strikes this request, which is counted; None when it is spared.

    Errors: store_unavailable: too many requests are counted at once.
    """
    rules = rules_of(controls)
    if not any(rule.covers(operation_id) for rule in rules):
        return None
    if not any(rule.counts for rule in rules if rule.covers(operation_id)):
        return _parsed(next(rule for rule in rules if rule.covers(operation_id)))

    def attempt() -> Fault | LostRace | None:
        record = _read_counters(world)
        seen, fired = _counters_of(record, controls)
        struck = _strike(rules, operation_id, seen, fired, _chance(world))
        if not _write_counters(world, record, controls, seen, fired):
            return LOST
        return None if struck is None else _parsed(struck)

    busy = StoreUnavailable("Too many requests met the account's fault rules at once; repeat the request.")
    return retry_on_conflict(attempt, busy)


def rules_of(controls: Controls) -> list[Rule]:
    """The rules in an account's controls."""
    return [Rule(**data) for data in controls.faults]


def _strike(
    rules: Sequence[Rule], operation_id: str, seen: list[int], fired: list[int], seed: str
) -> Rule | None:
    """The first rule that strikes; counts the request with each that it meets until then."""
    for index, rule in enumerate(rules):
        if not rule.covers(operation_id):
            continue
        seen[index] += 1
        if rule.strikes(seen[index], fired[index], f"{seed}\0{index}"):
            fired[index] += 1
            return rule
    return None


def _chance(world: World) -> str:
    """What chance follows from: an account of one seed meets the same faults wherever it is."""
    return hmac.digest(world.secret, f"fault\0{world.owner}".encode(), "sha256").hex()


def _parsed(rule: Rule) -> Fault:
    return parse_fault(rule.fault, "")


def _rule_data(rule: Rule) -> dict[str, Any]:
    return {
        "fault": rule.fault,
        "operations": list(rule.operations),
        "when": rule.when,
        "count": rule.count,
    }


def _read_counters(world: World) -> Record | None:
    (record,) = world.store.get([_PREFIX + world.account_id])
    return record


def _counters_of(record: Record | None, controls: Controls) -> tuple[list[int], list[int]]:
    """Seen and fired of each rule; nothing of rules that were replaced."""
    data: Mapping[str, Any] = {} if record is None else record.data
    if data.get("generation") != controls.fault_generation:
        nothing = [0] * len(controls.faults)
        return nothing, list(nothing)
    return list(data["seen"]), list(data["fired"])


def _write_counters(
    world: World,
    record: Record | None,
    controls: Controls,
    seen: list[int],
    fired: list[int],
) -> bool:
    data = {"generation": controls.fault_generation, "seen": seen, "fired": fired}
    if record is None:
        now_ms = world.wall_clock.now_ms()
        first = Record(_PREFIX + world.account_id, KIND, world.account_id, 1, now_ms, data)
        return world.store.insert(first) is None
    update = Update(replace(record, version=record.version + 1, data=data))
    return isinstance(world.store.commit([], [update]), Committed)
