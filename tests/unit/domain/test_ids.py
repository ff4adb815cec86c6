"""Ids follow from what they identify: the same twice, and never the same for two things."""

import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_sandbox.domain.ids import (
    OBJECT_PREFIXES,
    PREFIXES,
    acquirer_reference,
    identify_api_key,
    identify_card,
    identify_entry,
    identify_object,
    retrieval_reference,
)
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ledger.ledger_secret import WrongLedgerSecret, bind_ledger_secret, is_bound
from tests.doubles.memory_store import MemoryStore
from tests.doubles.ports import LEDGER_SECRET, NOW_MS, make_infrastructure
from tests.each_case import each_case

OTHER_SECRET = bytes(32)

keys = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=255)
accounts = st.from_regex(r"acct_[0-9A-Za-z]{1,20}", fullmatch=True)
kinds = st.sampled_from(sorted(PREFIXES))
identities = st.tuples(accounts, kinds, keys)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


@given(identities)
def test_one_key_always_makes_the_same_entry(identity: tuple[str, str, str]) -> None:
    assert identify_entry(LEDGER_SECRET, *identity) == identify_entry(LEDGER_SECRET, *identity)


@given(identities, identities)
def test_entries_differ_when_account_operation_or_key_does(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    same_id = identify_entry(LEDGER_SECRET, *one).id == identify_entry(LEDGER_SECRET, *other).id
    assert same_id == (one == other)


def test_one_key_makes_another_entry_in_every_account_operation_and_ledger() -> None:
    made = [identify_entry(LEDGER_SECRET, "acct_a", kind, "key-1") for kind in PREFIXES]
    made += [identify_entry(LEDGER_SECRET, "acct_b", kind, "key-1") for kind in PREFIXES]
    made += [identify_entry(OTHER_SECRET, "acct_a", kind, "key-1") for kind in PREFIXES]
    bare = [entry.id.partition("_")[2] for entry in made]
    assert len(set(bare)) == len(made) == 3 * len(PREFIXES)


def test_parts_of_an_identity_cannot_run_into_each_other() -> None:
    assert (
        identify_entry(LEDGER_SECRET, "acct_a", "void", "key").id
        != identify_entry(LEDGER_SECRET, "acct_", "void", "akey").id
    )


@given(identities)
def test_an_identity_has_the_shapes_of_its_network_fields(identity: tuple[str, str, str]) -> None:
    made = identify_entry(LEDGER_SECRET, *identity)
    assert re.fullmatch(PREFIXES[identity[1]] + "[0-9a-f]{26}", made.id)
    assert re.fullmatch(r"[0-9]{6}", made.stan)
    assert made.stan != "000000"
    # Without the characters that people take for one another: 0 and O, 1 and I.
    assert re.fullmatch(r"[0-9A-F]{6}", made.authorization_code)
    assert re.fullmatch(r"[0-9]{11}", made.film_locator)


def test_the_prefixes_of_released_kinds_never_change() -> None:
    # Another prefix would be another id, and a retry across an upgrade a second entry.
    released = {
        "authorization": "auth_",
        "capture": "cap_",
        "refund": "ref_",
        "void": "void_",
        "increment": "inc_",
        "expiry": "exp_",
        "chargeback": "chb_",
        "chargeback_reversal": "chr_",
        "refund_failure": "rff_",
    }
    assert PREFIXES.items() >= released.items()
    assert OBJECT_PREFIXES == {
        "dispute": "dsp_",
        "dispute_change": "dch_",
        "early_fraud_warning": "efw_",
        "early_fraud_warning_change": "efc_",
        "refund_timer": "rft_",
        "refund_success": "rfs_",
    }


def test_an_object_has_the_id_of_its_name_and_another_one_when_the_name_was_forgotten() -> None:
    def named(account: str = "acct_1", kind: str = "dispute", name: str = "n", generation: int = 0) -> str:
        return identify_object(LEDGER_SECRET, account, kind, name, generation=generation)

    assert re.fullmatch("dsp_[0-9a-f]{26}", named())
    assert named() == named()
    others = {named("acct_2"), named(name="m"), named(generation=1), named(kind="refund_timer")}
    assert len(others | {named()}) == 5


def test_ids_stay_what_they_are_from_release_to_release() -> None:
    # A changed derivation would make every retry across an upgrade a second payment.
    identity = identify_entry(LEDGER_SECRET, "acct_demo", "authorization", "key-1")
    assert identity.id == "auth_bad9570a85114ce8ff4a3ac932"
    assert identify_card(LEDGER_SECRET, "acct_demo", "4242424242424242") == "card_cd98d769cff359b146c5087f44"


def test_a_card_has_one_id_in_an_account_and_another_in_every_other() -> None:
    one = identify_card(LEDGER_SECRET, "acct_a", "4242424242424242")
    assert one == identify_card(LEDGER_SECRET, "acct_a", "4242424242424242")
    assert re.fullmatch(r"card_[0-9a-f]{26}", one)
    others = {
        identify_card(LEDGER_SECRET, "acct_b", "4242424242424242"),
        identify_card(LEDGER_SECRET, "acct_a", "4242424242424241"),
        identify_card(OTHER_SECRET, "acct_a", "4242424242424242"),
    }
    assert len(others | {one}) == 4


def test_an_entrys_key_cannot_be_chosen_to_give_the_id_of_a_card() -> None:
    entry = identify_entry(LEDGER_SECRET, "acct_a", "capture", "4242424242424242")
    card = identify_card(LEDGER_SECRET, "acct_a", "4242424242424242")
    assert entry.id.partition("_")[2] != card.partition("_")[2]


def test_an_api_key_is_known_by_the_beginning_of_its_hash() -> None:
    hashed = hashlib.sha256(b"sk_test_demo").hexdigest()
    assert identify_api_key("sk_test_demo") == "key_" + hashed[:32]
    assert identify_api_key("sk_test_demO") != identify_api_key("sk_test_demo")


@each_case(
    ("at", "reference"),
    [
        ("2026-11-23T10:00:00", "632710000042"),
        ("2026-11-23T23:59:59", "632723000042"),
        ("2026-01-01T00:00:00", "600100000042"),
        ("2028-12-31T05:30:00", "836605000042"),
        ("2030-03-01T09:00:00", "006009000042"),
    ],
)
def test_the_retrieval_reference_is_year_day_hour_and_trace_number(at: str, reference: str) -> None:
    assert retrieval_reference(ms(at) + 999, "000042") == reference
    assert len(reference) == 12


@pytest.mark.parametrize(
    ("at", "film_locator", "reference"),
    [
        # Format 7, acquirer 400000, YDDD, film locator, and a check digit computed by hand.
        ("2026-11-23T10:00:00", "00597931137", "74000006327005979311377"),
        ("2026-11-23T10:00:00", "02005466912", "74000006327020054669128"),
        ("2027-01-01T00:00:00", "00000000000", "74000007001000000000009"),
    ],
)
def test_the_acquirer_reference_ends_in_its_check_digit(at: str, film_locator: str, reference: str) -> None:
    assert acquirer_reference(ms(at), film_locator) == reference


@given(identities, st.integers(0, 4_000_000_000_000))
def test_every_acquirer_reference_has_23_digits_that_pass_the_luhn_check(
    identity: tuple[str, str, str], at_ms: int
) -> None:
    reference = acquirer_reference(at_ms, identify_entry(LEDGER_SECRET, *identity).film_locator)
    assert re.fullmatch(r"7400000[0-9]{16}", reference)
    total = 0
    for place, char in enumerate(reversed(reference)):
        doubled = int(char) * (1 + place % 2)
        total += doubled - 9 if doubled > 9 else doubled
    assert total % 10 == 0
    assert 1 <= int(reference[8:11]) <= 366


def test_a_ledger_keeps_to_the_secret_that_it_was_made_with() -> None:
    store = MemoryStore()
    assert not is_bound(store)
    bind_ledger_secret(make_infrastructure(store))
    assert is_bound(store)
    bind_ledger_secret(make_infrastructure(store))
    (record,) = store.records.values()
    assert record.version == 1
    assert LEDGER_SECRET.hex() not in repr(record)
    with pytest.raises(WrongLedgerSecret):
        bind_ledger_secret(_with_secret(OTHER_SECRET, store))


def _with_secret(secret: bytes, store: MemoryStore) -> Infrastructure:
    return replace(make_infrastructure(store), ledger_secret=secret)


def test_ports_do_not_print_the_secret() -> None:
    assert repr(LEDGER_SECRET)[2:-1] not in repr(make_infrastructure())
    assert "ledger_secret" not in repr(make_infrastructure())


def test_references_do_not_depend_on_the_millisecond() -> None:
    assert retrieval_reference(NOW_MS, "123456") == retrieval_reference(NOW_MS + 999, "123456")
