"""Which trigger decides an authorization, and what the issuer then answers.

The tables are written out by hand from the facts that integrators know; nothing here reads the sandbox's own tables to
find out what to expect.
"""

import string
from itertools import combinations, permutations
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_sandbox.domain.errors import FieldError, InvalidSimulation
from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.domain.network import Decline, decline_for
from payments_sandbox.domain.triggers import (
    NO_TRIGGER,
    TEST_CARDS,
    Decision,
    Instruction,
    Simulation,
    decide_authorization,
    decide_operation,
    decide_refund,
    decline_for_amount,
    parse_instruction,
)
from payments_sandbox.services.simulation.trigger_table import list_triggers
from tests.calls.payments import card_with
from tests.each_case import each_case

ADDRESS = {"line1": "1 Main Street", "postal_code": "10115"}
HEADER = "header:X-Sandbox-Simulate"

# The numeric response codes of ISO 8583 that decline, each with what it means. 00 and 10 approve.
RESPONSES = {
    "01": "call_issuer",
    "03": "not_permitted",
    "04": "pickup_card",
    "05": "do_not_honor",
    "06": "processing_error",
    "07": "pickup_card",
    "12": "not_permitted",
    "13": "invalid_amount",
    "14": "incorrect_number",
    "15": "invalid_account",
    "19": "reenter_transaction",
    "30": "processing_error",
    "34": "fraudulent",
    "41": "lost_card",
    "43": "stolen_card",
    "46": "invalid_account",
    "51": "insufficient_funds",
    "54": "expired_card",
    "57": "not_permitted",
    "58": "not_permitted",
    "59": "fraudulent",
    "61": "withdrawal_count_limit_exceeded",
    "62": "restricted_card",
    "63": "security_violation",
    "65": "card_velocity_exceeded",
    "75": "restricted_card",
    "78": "restricted_card",
    "91": "issuer_not_available",
    "93": "not_permitted",
    "94": "duplicate_transaction",
    "96": "processing_error",
}
REVOCATIONS = {"R1": "revocation_of_authorization", "R3": "revocation_of_authorization"}
NEVER_RETRY = {"04", "07", "12", "14", "15", "41", "43", "46", "57", "R1", "R3"}

DECLINE_CODES = {
    "approve_with_id": "01",
    "authentication_required": "65",
    "call_issuer": "01",
    "card_not_supported": "57",
    "card_velocity_exceeded": "65",
    "currency_not_supported": "12",
    "do_not_honor": "05",
    "duplicate_transaction": "94",
    "expired_card": "54",
    "fraudulent": "59",
    "generic_decline": "05",
    "incorrect_cvc": "05",
    "incorrect_number": "14",
    "incorrect_zip": "05",
    "insufficient_funds": "51",
    "invalid_account": "15",
    "invalid_amount": "13",
    "issuer_not_available": "91",
    "lost_card": "41",
    "new_account_information_available": "05",
    "not_permitted": "57",
    "pickup_card": "04",
    "processing_error": "96",
    "reenter_transaction": "19",
    "restricted_card": "62",
    "revocation_of_authorization": "R1",
    "security_violation": "63",
    "stolen_card": "43",
    "try_again_later": "91",
    "withdrawal_count_limit_exceeded": "61",
}


def decide(
    number: str = "4242424242424242",
    *,
    amount: int = 1000,
    simulate: str | None = None,
    year: int = 2026,
    month: int = 11,
    **fields: Any,
) -> Decision:
    """The answer to a card that is good to the end of 2030, with CVC and address, on a day in November 2026."""
    card = card_with(number=number, **{"billing_address": ADDRESS, **fields})
    return decide_authorization(card, amount, simulate, year=year, month=month)


class Expected(NamedTuple):
    """What the issuer answers when CVC and address are sent."""

    trigger: str
    response_code: str = "00"
    decline_code: str | None = None
    cvc_result: str = "M"
    avs_result: str = "Y"
    risk_level: str = "normal"
    capture_decline: str | None = None
    after_capture: str | None = None
    refund_course: str | None = None


def seen(decision: Decision) -> Expected:
    decline = decision.decline
    return Expected(
        decision.simulation.trigger,
        "00" if decline is None else decline.response_code,
        None if decline is None else decline.decline_code,
        decision.cvc_result,
        decision.avs_result,
        decision.risk_level,
        decision.capture_decline,
        decision.after_capture,
        decision.refund_course,
    )


PLAIN = Expected("none")

CARDS = {
    # Approved, like any other card.
    "4242424242424242": PLAIN,
    "4000056655665556": PLAIN,
    "5555555555554444": PLAIN,
    "5200828282828210": PLAIN,
    "5105105105105100": PLAIN,
    "378282246310005": PLAIN,
    "371449635398431": PLAIN,
    "6011111111111117": PLAIN,
    "30569309025904": PLAIN,
    "3530111333300000": PLAIN,
    # Declined.
    "4000000000000002": Expected("card_number", "05", "generic_decline"),
    "4000000000009995": Expected("card_number", "51", "insufficient_funds"),
    "4000000000009987": Expected("card_number", "41", "lost_card"),
    "4000000000009979": Expected("card_number", "43", "stolen_card"),
    "4000000000006975": Expected("card_number", "65", "card_velocity_exceeded"),
    "4000000000000069": Expected("card_number", "54", "expired_card"),
    "4000000000000127": Expected("card_number", "05", "incorrect_cvc", cvc_result="N"),
    "4000000000000119": Expected("card_number", "96", "processing_error"),
    "4242424242424241": Expected("card_number", "14", "incorrect_number"),
    "4100000000000019": Expected("card_number", "59", "fraudulent", risk_level="highest"),
    # Approved, with something to it.
    "4000000000000341": Expected("card_number", capture_decline="generic_decline"),
    "4000000000004954": Expected("card_number", risk_level="highest"),
    "4000000000009235": Expected("card_number", risk_level="elevated"),
    "4000000000000101": Expected("card_number", cvc_result="N"),
    "4000000000000036": Expected("card_number", avs_result="A"),
    "4000000000000028": Expected("card_number", avs_result="Z"),
    "4000000000000010": Expected("card_number", avs_result="N"),
    "4000000000000044": Expected("card_number", avs_result="U"),
    # Approved, with consequences.
    "4000000000000259": Expected("card_number", after_capture="disputed_fraudulent"),
    "4000000000002685": Expected("card_number", after_capture="disputed_product_not_received"),
    "4000000000001976": Expected("card_number", after_capture="inquired"),
    "4000000000005423": Expected("card_number", after_capture="early_fraud_warning"),
    "4000000000007726": Expected("card_number", refund_course="refund_pending_then_succeeded"),
    "4000000000005126": Expected("card_number", refund_course="refund_succeeded_then_failed"),
}


@each_case(("number", "expected"), CARDS.items())
def test_a_card_that_integrators_know_does_what_they_know_of_it(number: str, expected: Expected) -> None:
    cvc = "1234" if number.startswith("37") else "123"
    assert seen(decide(number, cvc=cvc)) == expected


def test_no_card_is_published_beside_those_that_integrators_know() -> None:
    assert set(TEST_CARDS) == set(CARDS)


@each_case(("number", "expected"), CARDS.items())
def test_without_cvc_and_address_nothing_is_checked(number: str, expected: Expected) -> None:
    unchecked = expected._replace(cvc_result="P", avs_result="U")
    if number == "4000000000000127":
        # Wrong only when it is sent.
        unchecked = unchecked._replace(response_code="00", decline_code=None)
    assert seen(decide(number, cvc=None, billing_address=None)) == unchecked


def test_a_published_card_is_found_by_all_its_digits_only() -> None:
    assert decide("40000000000000028").simulation.trigger != "card_number"
    assert decide("4000000000000002000").simulation.trigger != "card_number"


def test_a_published_card_does_not_expire_as_it_is_the_trigger() -> None:
    assert seen(decide("4000000000000341", exp_year=2020)).response_code == "00"
    assert seen(decide("4242424242424242", exp_year=2020)).response_code == "54"


# --- the card itself ---------------------------------------------------------------------------------------------


@each_case(
    ("number", "exp_year", "rule", "response_code", "decline_code"),
    [
        ("4242424242424243", 2030, "luhn", "14", "incorrect_number"),
        ("9999999999999995", 2030, "issuer_range", "15", "invalid_account"),
        ("4242424242424242", 2025, "expiry", "54", "expired_card"),
        # Several at once: the first of these three decides.
        ("9999999999999999", 2025, "luhn", "14", "incorrect_number"),
        ("9999999999999995", 2025, "issuer_range", "15", "invalid_account"),
    ],
)
def test_without_a_trigger_the_card_itself_decides(
    number: str, exp_year: int, rule: str, response_code: str, decline_code: str
) -> None:
    decision = decide(number, exp_year=exp_year)
    assert decision.simulation == Simulation("card_check", rule)
    assert decision.decline == Decline(decline_code, response_code)


@each_case(
    ("year", "month", "expired"),
    [(2030, 11, False), (2030, 12, False), (2031, 1, True), (2031, 12, True), (2029, 12, False)],
)
def test_a_card_is_declined_from_the_month_after_its_last(year: int, month: int, expired: bool) -> None:
    decision = decide(year=year, month=month)
    assert (decision.decline is not None) == expired
    assert decision.simulation == (Simulation("card_check", "expiry") if expired else NO_TRIGGER)


# --- amounts -----------------------------------------------------------------------------------------------------


@each_case(("code", "decline_code"), RESPONSES.items())
def test_900000_and_a_response_code_is_declined_with_it(code: str, decline_code: str) -> None:
    decision = decide(amount=900_000 + int(code))
    assert decision.decline == Decline(decline_code, code)
    assert decision.simulation == Simulation("amount", f"response_code={code}")


def test_no_other_amount_is_a_trigger() -> None:
    asked = {900_000 + int(code) for code in RESPONSES}
    found = {amount for amount in range(899_900, 900_201) if decline_for_amount(amount) is not None}
    assert found == asked
    for amount in (1, 51, 1051, 90_051, 899_999, 900_000, 900_010, 900_100, 1_800_051, 999_999_999_951):
        assert decide(amount=amount).simulation == NO_TRIGGER


# --- precedence --------------------------------------------------------------------------------------------------

TRIGGERS = ("request_header", "cardholder_name", "card_number", "amount")

# Four outcomes that each of the four triggers can ask for.
OUTCOMES = {
    "insufficient_funds": ("4000000000009995", 900_051),
    "lost_card": ("4000000000009987", 900_041),
    "stolen_card": ("4000000000009979", 900_043),
    "expired_card": ("4000000000000069", 900_054),
}


@each_case("present", [each for n in range(1, 5) for each in combinations(TRIGGERS, n)])
def test_the_first_trigger_in_the_documented_order_decides_whatever_the_others_ask_for(
    present: tuple[str, ...],
) -> None:
    for outcomes in permutations(OUTCOMES, len(present)):
        asked = dict(zip(present, outcomes, strict=True))
        number, _ = OUTCOMES[asked["card_number"]] if "card_number" in asked else ("5555555555554444", 0)
        _, amount = OUTCOMES[asked["amount"]] if "amount" in asked else ("", 1000)
        name = f"SIMULATE {asked['cardholder_name']}" if "cardholder_name" in asked else "Ada Lovelace"
        decision = decide(number, amount=amount, simulate=asked.get("request_header"), holder_name=name)
        assert decision.decline is not None
        assert decision.decline.decline_code == outcomes[0]
        assert decision.simulation.trigger == present[0]
        assert decision.simulation.overridden == present[1:]


def test_approval_can_be_asked_for_against_every_trigger_below() -> None:
    decision = decide(
        "4000000000009995", amount=900_051, simulate="approve", holder_name="SIMULATE lost_card"
    )
    assert decision.decline is None
    assert decision.simulation == Simulation(
        "request_header", "approve", ("cardholder_name", "card_number", "amount")
    )
    decision = decide("4000000000009995", holder_name="Simulate Approve")
    assert decision.decline is None
    assert decision.simulation == Simulation("cardholder_name", "approve", ("card_number",))


def test_a_trigger_decides_before_the_card_itself_is_looked_at() -> None:
    for number, exp_year in (
        ("4242424242424243", 2030),
        ("9999999999999995", 2030),
        ("4242424242424242", 2020),
    ):
        decision = decide(number, exp_year=exp_year, simulate="approve")
        assert decision.decline is None
        assert decision.simulation == Simulation("request_header", "approve")
        assert decide(number, exp_year=exp_year, amount=900_051).simulation.trigger == "amount"


def test_an_overridden_card_lends_nothing_to_the_answer() -> None:
    assert seen(decide("4000000000000010", simulate="approve")).avs_result == "Y"
    assert seen(decide("4000000000000101", simulate="approve")).cvc_result == "M"
    assert seen(decide("4000000000000341", simulate="approve")).capture_decline is None
    assert seen(decide("4000000000004954", simulate="approve")).risk_level == "normal"


def test_cards_that_are_simply_approved_are_no_triggers() -> None:
    assert decide("5555555555554444", amount=900_051).simulation == Simulation("amount", "response_code=51")
    assert decide("5555555555554444", simulate="approve").simulation.overridden == ()


@pytest.mark.parametrize("simulate", [None, "approve"])
def test_a_name_that_is_not_in_the_grammar_is_refused_even_under_a_header(simulate: str | None) -> None:
    with pytest.raises(InvalidSimulation) as caught:
        decide(simulate=simulate, holder_name="Simulate Smith")
    assert [error.pointer for error in caught.value.errors] == ["/card/holder_name"]


@each_case("name", ["Simulated Annealing", "SIMULATE", "simulatelost_card", "Ada SIMULATE lost_card"])
def test_names_that_only_resemble_a_trigger_are_names(name: str) -> None:
    assert decide(holder_name=name).simulation == NO_TRIGGER


@each_case("name", ["SIMULATE lost_card", "simulate lost_card", "Simulate  LOST_CARD "])
def test_a_name_is_a_trigger_in_upper_and_in_lower_case(name: str) -> None:
    decision = decide(holder_name=name)
    assert decision.decline == Decline("lost_card", "41")
    assert decision.simulation == Simulation("cardholder_name", "lost_card")


# --- grammar -----------------------------------------------------------------------------------------------------


@each_case(("decline_code", "response_code"), DECLINE_CODES.items())
def test_every_decline_code_can_be_asked_for(decline_code: str, response_code: str) -> None:
    decline = Decline(decline_code, response_code)
    assert parse_instruction(decline_code, HEADER) == Instruction(decline=decline)
    assert parse_instruction(decline_code.upper(), HEADER) == Instruction(decline=decline)
    assert decide(simulate=decline_code).simulation.rule == decline_code
    assert decline.retry_forbidden == (response_code in NEVER_RETRY)
    assert len(decline.message) > 10


@each_case(("response_code", "decline_code"), (RESPONSES | REVOCATIONS).items())
def test_every_response_code_can_be_asked_for(response_code: str, decline_code: str) -> None:
    decline = Decline(decline_code, response_code)
    assert parse_instruction(f"response_code={response_code}", HEADER) == Instruction(decline=decline)
    assert parse_instruction(f"Response_Code = {response_code.lower()}", HEADER) == Instruction(
        decline=decline
    )
    usual = DECLINE_CODES[decline_code] == response_code
    rule = decline_code if usual else f"response_code={response_code}"
    assert decide(simulate=f"response_code={response_code}").simulation.rule == rule
    assert decline.retry_forbidden == (response_code in NEVER_RETRY)


@each_case(
    ("text", "instruction"),
    [
        ("approve", Instruction()),
        ("  APPROVE ", Instruction()),
        ("cvc=N", Instruction(cvc_result="N")),
        ("cvc=n", Instruction(cvc_result="N")),
        ("CVC = p", Instruction(cvc_result="P")),
        ("avs=Z;approve", Instruction(avs_result="Z")),
        ("risk=highest", Instruction(risk_level="highest")),
        ("Risk=Normal", Instruction(risk_level="normal")),
        ("capture=Lost_Card", Instruction(capture_decline="lost_card")),
        (
            "capture=stolen_card ;risk=elevated; avs=r ;  cvc=s ; lost_card",
            Instruction(decline_for("lost_card"), "S", "R", "elevated", "stolen_card"),
        ),
    ],
)
def test_case_spaces_and_order_of_items_do_not_matter(text: str, instruction: Instruction) -> None:
    assert parse_instruction(text, HEADER) == instruction


@each_case(
    ("text", "position"),
    [
        ("", 1),
        (" ", 1),
        (";", 1),
        ("approve;", 2),
        (";approve", 1),
        ("approve;;cvc=N", 2),
        ("bankruptcy", 1),
        ("cvc=N; bankruptcy", 2),
        ("approve; approve", 2),
        ("approve; lost_card", 2),
        ("lost_card; avs=Y; response_code=41", 3),
        ("response_code=41; response_code=41", 2),
        ("cvc=N; cvc=N", 2),
        ("cvc=N; avs=Y; CVC=M", 3),
        ("risk=normal; risk=highest", 2),
        ("capture=lost_card; capture=lost_card", 2),
        ("response_code=00", 1),
        ("response_code=10", 1),
        ("response_code=2", 1),
        ("response_code=051", 1),
        ("response_code=", 1),
        ("response_code", 1),
        ("response_code=51=51", 1),
        ("51", 1),
        ("cvc", 1),
        ("cvc=", 1),
        ("cvc=X", 1),
        ("cvc=MM", 1),
        ("avs=B", 1),
        ("risk=low", 1),
        ("capture=approve", 1),
        ("capture=51", 1),
        ("approve=yes", 1),
        ("lost_card=1", 1),
        ("approve,cvc=N", 1),
        ("approve cvc=N", 1),
        ("lost card", 1),
        ("авс=Y", 1),
    ],
)
def test_an_item_that_is_unknown_or_repeats_another_is_refused_by_its_place(text: str, position: int) -> None:
    with pytest.raises(InvalidSimulation) as caught:
        parse_instruction(text, HEADER)
    assert caught.value.code == "invalid_simulation"
    assert caught.value.errors == (
        FieldError(HEADER, FieldCode.UNKNOWN_SIMULATION, f"item {position} is not known, or repeats another"),
    )


@given(st.text(st.sampled_from(string.digits + "QXZ"), min_size=4, max_size=40), st.integers(0, 3))
def test_a_refusal_never_repeats_what_was_sent(secret: str, items_before: int) -> None:
    text = "; ".join([*["cvc=N", "avs=Y", "risk=normal"][:items_before], secret])
    with pytest.raises(InvalidSimulation) as caught:
        parse_instruction(text, "/card/holder_name")
    assert secret not in caught.value.detail + repr(caught.value.errors) + str(caught.value)
    assert f"item {items_before + 1} " in caught.value.errors[0].detail


spaces = st.text(" \t", max_size=3)
outcomes = st.sampled_from(
    ["approve", *DECLINE_CODES, *(f"response_code={code}" for code in RESPONSES | REVOCATIONS)]
)
checks = st.fixed_dictionaries(
    {},
    optional={
        "cvc": st.sampled_from("MNPSU"),
        "avs": st.sampled_from("YAZNURSG"),
        "risk": st.sampled_from(["normal", "elevated", "highest"]),
        "capture": st.sampled_from(sorted(DECLINE_CODES)),
    },
)


@given(outcomes | st.none(), checks, st.randoms(use_true_random=False), st.data())
def test_every_sentence_of_the_grammar_is_understood_and_its_rule_says_the_same(
    outcome: str | None, wanted: dict[str, str], shuffle: Any, data: st.DataObject
) -> None:
    items = [f"{name}={value}" for name, value in wanted.items()] + ([outcome] if outcome else [])
    if not items:
        items = ["approve"]
    shuffle.shuffle(items)
    written = [
        "".join(char.upper() if shuffle.random() < 0.5 else char for char in item).replace(
            "=", f"{data.draw(spaces)}={data.draw(spaces)}"
        )
        for item in items
    ]
    text = ";".join(f"{data.draw(spaces)}{item}{data.draw(spaces)}" for item in written)
    instruction = parse_instruction(text, HEADER)
    assert instruction.cvc_result == wanted.get("cvc")
    assert instruction.avs_result == wanted.get("avs")
    assert instruction.risk_level == wanted.get("risk")
    assert instruction.capture_decline == wanted.get("capture")
    assert (instruction.decline is None) == (outcome in (None, "approve"))
    rule = decide(simulate=text).simulation.rule
    assert parse_instruction(rule, HEADER) == instruction


def test_a_rule_is_written_in_one_way_only() -> None:
    simulate = "capture=lost_card;RISK=highest; avs=n;cvc=u;response_code=07"
    rule = "response_code=07; cvc=U; avs=N; risk=highest; capture=lost_card"
    assert decide(simulate=simulate).simulation.rule == rule
    assert decide(simulate="risk=elevated").simulation.rule == "approve; risk=elevated"


def test_checks_can_be_set_besides_the_outcome() -> None:
    decision = decide(simulate="lost_card; cvc=U; avs=G; risk=elevated; capture=fraudulent")
    assert seen(decision) == Expected("request_header", "41", "lost_card", "U", "G", "elevated", "fraudulent")
    assert seen(decide(simulate="cvc=N", cvc=None)).cvc_result == "N"
    assert seen(decide(simulate="avs=Y", billing_address=None)).avs_result == "Y"


# --- later operations --------------------------------------------------------------------------------------------


def test_an_operation_succeeds_unless_it_is_told_otherwise() -> None:
    assert decide_operation(None, None) == (None, Simulation("none", "approved"))


def test_an_operation_is_declined_as_its_authorization_laid_down() -> None:
    decline, simulation = decide_operation(None, "generic_decline")
    assert decline == Decline("generic_decline", "05")
    assert simulation == Simulation("authorization", "capture=generic_decline")


def test_an_operations_own_header_overrides_what_the_authorization_laid_down() -> None:
    decline, simulation = decide_operation("approve", "generic_decline")
    assert decline is None
    assert simulation == Simulation("request_header", "approve", ("authorization",))
    decline, simulation = decide_operation("response_code=91", None)
    assert decline == Decline("issuer_not_available", "91")
    assert simulation == Simulation("request_header", "issuer_not_available")


@each_case("simulate", ["cvc=N", "approve; avs=Y", "lost_card; risk=highest", "capture=lost_card"])
@each_case("standing", [None, "generic_decline"])
def test_an_operation_refuses_what_only_an_authorization_understands(
    simulate: str, standing: str | None
) -> None:
    with pytest.raises(InvalidSimulation) as caught:
        decide_operation(simulate, standing)
    assert caught.value.errors == (
        FieldError(HEADER, FieldCode.NOT_APPLICABLE, "belongs to authorizations only"),
    )


def test_an_operation_refuses_what_is_not_in_the_grammar() -> None:
    with pytest.raises(InvalidSimulation) as caught:
        decide_operation("bankruptcy", None)
    assert [error.pointer for error in caught.value.errors] == [HEADER]


@each_case(
    ("simulate", "standing", "expected"),
    [
        (None, None, (None, "none", (), None)),
        (None, "refund_succeeded_then_failed", (None, "authorization", (), "refund_succeeded_then_failed")),
        ("approve", "refund_succeeded_then_failed", (None, "request_header", ("authorization",), None)),
        (
            "lost_card",
            "refund_succeeded_then_failed",
            ("lost_card", "request_header", ("authorization",), None),
        ),
        ("lost_card", None, ("lost_card", "request_header", (), None)),
    ],
)
def test_a_refund_takes_the_course_of_its_test_card_unless_a_header_says_otherwise(
    simulate: str | None, standing: str | None, expected: tuple[Any, ...]
) -> None:
    decline, simulation, course = decide_refund(simulate, standing)
    code = None if decline is None else decline.decline_code
    assert (code, simulation.trigger, simulation.overridden, course) == expected


# --- the published table -----------------------------------------------------------------------------------------


def test_the_published_table_holds_every_trigger_once() -> None:
    rows = list_triggers()
    values = {trigger: [row.value for row in rows if row.trigger == trigger] for trigger in TRIGGERS}
    outcomes = {
        "approve",
        *DECLINE_CODES,
        *(f"response_code={code}" for code in RESPONSES | REVOCATIONS),
    }
    examples = {
        "approve; cvc=N",
        "approve; avs=N",
        "approve; risk=highest",
        "approve; capture=generic_decline",
    }
    assert set(values["request_header"]) == outcomes | examples
    assert set(values["cardholder_name"]) == {f"SIMULATE {value}" for value in outcomes | examples}
    assert set(values["card_number"]) == set(CARDS)
    assert set(values["amount"]) == {str(900_000 + int(code)) for code in RESPONSES}
    for listed in values.values():
        assert len(set(listed)) == len(listed)
    assert [row.trigger for row in rows] == sorted((row.trigger for row in rows), key=TRIGGERS.index)


@each_case(("number", "expected"), CARDS.items())
def test_the_published_row_of_a_card_is_what_integrators_know(number: str, expected: Expected) -> None:
    (row,) = [row for row in list_triggers() if row.value == number]
    assert seen(row.decision) == expected
    assert row.rule == row.decision.simulation.rule
    assert row.body["card"]["number"] == number
    assert row.headers == {}
