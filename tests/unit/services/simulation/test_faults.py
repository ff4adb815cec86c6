"""Faults on demand: the grammar, when a rule strikes, and the rules that an account keeps."""

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_sandbox.domain.errors import InvalidRequest, StoreUnavailable
from payments_sandbox.domain.faults import KINDS, LATENCY_MS_MAX, RETRY_AFTER_S_MAX, Fault, Rule, parse_fault
from payments_sandbox.services.accounts import accounts
from payments_sandbox.services.accounts.accounts import (
    DEMO_ACCOUNT,
    DEMO_API_KEY,
    authenticate,
    ensure_demo_account,
)
from payments_sandbox.services.accounts.controls import get_controls
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ports import CommitResult, Record, Stale, Update
from payments_sandbox.services.simulation import faults
from payments_sandbox.services.world import World, plain_world
from tests.contract import CONTRACT
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import make_infrastructure
from tests.each_case import each_case
from tests.unit.test_contract import SCHEMAS

OPERATION = "capture_payment"
LOSSES = st.one_of(
    st.sampled_from(
        ["drop_connection", "lose_response", "lose_response=504", "rate_limit", "store_unavailable"]
    ),
    st.sampled_from([500, 502, 503, 504]).map("error={}".format),
    st.integers(1, RETRY_AFTER_S_MAX).map("rate_limit={}".format),
)
LATENCIES = st.integers(1, LATENCY_MS_MAX).map("latency={}".format)
PATTERN = re.compile(SCHEMAS["Fault"]["pattern"])


@pytest.fixture
def infrastructure() -> Infrastructure:
    made = make_infrastructure()
    ensure_demo_account(made)
    return made


def strikes(world: World, count: int, operation_id: str = OPERATION) -> list[str | None]:
    """The faults that so many requests meet."""
    found = []
    for _ in range(count):
        fault = faults.next_fault(world, get_controls(world.infrastructure, world.account_id), operation_id)
        found.append(None if fault is None else fault.text)
    return found


@each_case(
    ("text", "fault"),
    [
        ("none", Fault("none")),
        ("latency=500", Fault("latency=500", 500)),
        ("error=502", Fault("error=502", 0, "error", 502)),
        ("lose_response", Fault("lose_response", 0, "lose_response")),
        ("lose_response=504", Fault("lose_response=504", 0, "lose_response", 504)),
        ("drop_connection", Fault("drop_connection", 0, "drop_connection")),
        ("rate_limit", Fault("rate_limit", 0, "rate_limit", None, 1)),
        ("rate_limit=30", Fault("rate_limit=30", 0, "rate_limit", None, 30)),
        ("store_unavailable", Fault("store_unavailable", 0, "store_unavailable")),
        (
            "latency=20; lose_response",
            Fault("latency=20; lose_response", 20, "lose_response"),
        ),
    ],
)
def test_the_grammar_says_what_is_to_go_wrong(text: str, fault: Fault) -> None:
    assert parse_fault(text, "header:X-Sandbox-Fault") == fault


@each_case(
    "text",
    [
        "",
        "; ",
        "latency",
        "latency=0",
        "latency=20001",
        "latency=500;error=503",
        "latency=500; ",
        "; error=503",
        "latency=500error=503",
        "error=503; latency=500",
        "error=200",
        "error=505",
        "lose_response=503",
        "rate_limit=0",
        "rate_limit=3601",
        "meteorite",
        "error=503\n",
        "drop_connection; drop_connection",
    ],
)
def test_what_is_not_in_the_grammar_is_refused_and_not_in_the_contract_either(text: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse_fault(text, "header:X-Sandbox-Fault")
    assert [(error.pointer, error.code) for error in refusal.value.errors] == [
        ("header:X-Sandbox-Fault", "unknown_fault")
    ]
    assert not PATTERN.fullmatch(text)


@given(st.one_of(LATENCIES, LOSSES, st.tuples(LATENCIES, LOSSES).map("; ".join)))
def test_the_contract_s_pattern_is_the_grammar(text: str) -> None:
    assert PATTERN.fullmatch(text)
    assert parse_fault(text, "").text == text


def test_every_kind_that_is_listed_has_an_example_in_the_grammar() -> None:
    for kind in KINDS:
        fault = parse_fault(kind.example, "")
        assert kind.fault == (fault.loss or kind.example.partition("=")[0])
    assert len({kind.fault for kind in KINDS}) == len(KINDS)


def test_the_operations_that_can_fail_are_those_that_take_the_header() -> None:
    from payments_sandbox.http.operations.faults import OPERATIONS

    taking = {}
    for item in CONTRACT["paths"].values():
        for operation in item.values():
            references = [parameter.get("$ref") for parameter in operation.get("parameters", [])]
            if "#/components/parameters/SimulateFault" in references:
                taking[operation["operationId"]] = operation
    assert SCHEMAS["OperationThatCanFail"]["enum"] == list(OPERATIONS)
    assert set(taking) == set(OPERATIONS)
    moves_money = {
        operation["operationId"]
        for item in CONTRACT["paths"].values()
        for operation in item.values()
        if operation["tags"] == ["payments"]
    }
    assert moves_money <= set(taking)
    for operation in taking.values():
        assert {"429", "500", "502", "503", "504"} <= set(operation["responses"])


def test_a_rule_strikes_every_request_for_its_operations(infrastructure: Infrastructure) -> None:
    faults.set_rules(plain_world(infrastructure, DEMO_ACCOUNT), [Rule("error=503", ["capture_payment"])])
    assert strikes(plain_world(infrastructure, DEMO_ACCOUNT), 3) == ["error=503"] * 3
    assert strikes(plain_world(infrastructure, DEMO_ACCOUNT), 3, "refund_payment") == [None] * 3


def test_a_rule_without_operations_strikes_all_of_them(infrastructure: Infrastructure) -> None:
    faults.set_rules(plain_world(infrastructure, DEMO_ACCOUNT), [Rule("error=503")])
    assert strikes(plain_world(infrastructure, DEMO_ACCOUNT), 1, "get_card") == ["error=503"]


def test_a_rule_that_counts_nothing_writes_nothing(infrastructure: Infrastructure) -> None:
    faults.set_rules(plain_world(infrastructure, DEMO_ACCOUNT), [Rule("error=503")])
    before = dict(infrastructure.store.records)  # type: ignore[attr-defined]
    strikes(plain_world(infrastructure, DEMO_ACCOUNT), 3)
    assert infrastructure.store.records == before  # type: ignore[attr-defined]


def test_every_third_request_is_struck_and_no_more_than_the_count(infrastructure: Infrastructure) -> None:
    faults.set_rules(
        plain_world(infrastructure, DEMO_ACCOUNT), [Rule("lose_response", [OPERATION], "every=3", 2)]
    )
    lost = "lose_response"
    assert strikes(plain_world(infrastructure, DEMO_ACCOUNT), 10) == [
        None,
        None,
        lost,
        None,
        None,
        lost,
        None,
        None,
        None,
        None,
    ]
    (active,) = faults.get_rules(plain_world(infrastructure, DEMO_ACCOUNT))
    assert (active.seen, active.fired) == (10, 2)


def test_the_first_rule_that_strikes_counts_and_those_behind_do_not_meet_the_request(
    infrastructure: Infrastructure,
) -> None:
    rules = [Rule("error=500", when="every=2"), Rule("rate_limit", count=1)]
    faults.set_rules(plain_world(infrastructure, DEMO_ACCOUNT), rules)
    assert strikes(plain_world(infrastructure, DEMO_ACCOUNT), 4) == [
        "rate_limit",
        "error=500",
        None,
        "error=500",
    ]
    counted = [
        (active.seen, active.fired) for active in faults.get_rules(plain_world(infrastructure, DEMO_ACCOUNT))
    ]
    assert counted == [(4, 2), (2, 1)]


def test_chance_is_the_same_for_the_same_requests_and_about_as_asked(infrastructure: Infrastructure) -> None:
    rules = [Rule("error=503", when="percent=20")]
    faults.set_rules(plain_world(infrastructure, DEMO_ACCOUNT), rules)
    first = strikes(plain_world(infrastructure, DEMO_ACCOUNT), 500)
    faults.set_rules(plain_world(infrastructure, DEMO_ACCOUNT), rules)
    assert strikes(plain_world(infrastructure, DEMO_ACCOUNT), 500) == first
    assert 70 <= sum(fault is not None for fault in first) <= 130
    faults.set_rules(plain_world(infrastructure, DEMO_ACCOUNT), rules)
    other = replace(plain_world(infrastructure, DEMO_ACCOUNT), owner="another")
    assert strikes(other, 500) != first


@given(st.integers(1, 10**6), st.text(max_size=5))
def test_a_hundred_percent_is_always(seen: int, seed: str) -> None:
    assert Rule("error=503", when="percent=100").strikes(seen, 0, seed)


def test_new_rules_count_from_nothing(infrastructure: Infrastructure) -> None:
    rules = [Rule("error=503", count=1)]
    faults.set_rules(plain_world(infrastructure, DEMO_ACCOUNT), rules)
    assert strikes(plain_world(infrastructure, DEMO_ACCOUNT), 2) == ["error=503", None]
    faults.set_rules(plain_world(infrastructure, DEMO_ACCOUNT), rules)
    (active,) = faults.get_rules(plain_world(infrastructure, DEMO_ACCOUNT))
    assert (active.seen, active.fired) == (0, 0)
    assert strikes(plain_world(infrastructure, DEMO_ACCOUNT), 2) == ["error=503", None]


def test_rules_are_refused_as_a_whole_when_one_is_not_in_the_grammar(infrastructure: Infrastructure) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        faults.set_rules(
            plain_world(infrastructure, DEMO_ACCOUNT), [Rule("error=503"), Rule("latency=99999")]
        )
    assert refusal.value.errors[0].pointer == "/rules/1/fault"
    assert faults.get_rules(plain_world(infrastructure, DEMO_ACCOUNT)) == []


def test_an_account_that_never_had_rules_is_not_made_a_controlled_one_by_deleting_them(
    infrastructure: Infrastructure,
) -> None:
    faults.clear_rules(plain_world(infrastructure, DEMO_ACCOUNT))
    assert not authenticate(infrastructure, DEMO_API_KEY).controlled


def test_deleted_rules_strike_no_more(infrastructure: Infrastructure) -> None:
    faults.set_rules(plain_world(infrastructure, DEMO_ACCOUNT), [Rule("error=503", count=5)])
    assert authenticate(infrastructure, DEMO_API_KEY).controlled
    faults.clear_rules(plain_world(infrastructure, DEMO_ACCOUNT))
    assert strikes(plain_world(infrastructure, DEMO_ACCOUNT), 2) == [None, None]
    assert faults.get_rules(plain_world(infrastructure, DEMO_ACCOUNT)) == []


def test_another_account_is_spared(infrastructure: Infrastructure) -> None:
    account, _ = accounts.create_account(infrastructure, name=None)
    faults.set_rules(plain_world(infrastructure, DEMO_ACCOUNT), [Rule("error=503")])
    controls = get_controls(infrastructure, account.account_id)
    assert faults.next_fault(plain_world(infrastructure, account.account_id), controls, OPERATION) is None


class _Contested(MemoryStore):
    """Loses every race for the counters."""

    def insert(self, record: Record) -> Record | None:
        return record if record.kind == faults.KIND else super().insert(record)

    def commit(self, inserts: Sequence[Record], updates: Sequence[Update]) -> CommitResult:
        if any(update.record.kind == faults.KIND for update in updates):
            return Stale()
        return super().commit(inserts, updates)


def test_a_request_whose_count_cannot_be_taken_is_refused() -> None:
    infrastructure = make_infrastructure(_Contested())
    ensure_demo_account(infrastructure)
    faults.set_rules(plain_world(infrastructure, DEMO_ACCOUNT), [Rule("error=503", count=5)])
    with pytest.raises(StoreUnavailable):
        strikes(plain_world(infrastructure, DEMO_ACCOUNT), 1)
