"""One grammar for every outcome on demand: what an issuer answers, and which trigger decided it.

Four triggers can ask for an outcome. The first that is present decides everything; the others are reported as
overridden:

1. `request_header`: the header `X-Sandbox-Simulate: INSTRUCTION`;
2. `cardholder_name`: a holder name of the form `SIMULATE INSTRUCTION`, upper or lower case;
3. `card_number`: a number of `TEST_CARDS`;
4. `amount`: 900000 plus a numeric response code: 900051 minor units are declined with 51, in any currency.

Without a trigger the card itself decides: the Luhn check, the issuer's range, the expiry date; and else approval.

    INSTRUCTION = ITEM *( ";" ITEM )
    ITEM        = "approve" | DECLINE-CODE | "response_code=" CODE
                | "cvc=" RESULT | "avs=" RESULT | "risk=" LEVEL | "capture=" DECLINE-CODE

At most one item names the outcome; without one the outcome is approval. Letter case and spaces around items do not
matter. The amounts lie far above ordinary test amounts on purpose: nobody's 10.51 should fail by surprise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from payments_sandbox.domain import cards
from payments_sandbox.domain.cards import CardDetails
from payments_sandbox.domain.errors import FieldError, InvalidSimulation
from payments_sandbox.domain.field_codes import FieldCode
from payments_sandbox.domain.network import (
    AVS_RESULTS,
    CVC_RESULTS,
    DECLINE_CODES,
    RESPONSE_CODES,
    Decline,
    decline_for,
    decline_for_response,
)

HEADER: Final = "X-Sandbox-Simulate"
NAME_PREFIX: Final = "simulate "
AMOUNT_BASE: Final = 900_000
PLAIN: Final = "approved"
"""The rule of test cards that are no triggers: they are judged like any other card, and approved."""
RISK_LEVELS: Final = ("normal", "elevated", "highest")


@dataclass(frozen=True, slots=True)
class Instruction:
    """What a trigger asks for. None leaves the matter to the card.

    capture_decline: what later captures answer. after_capture: what follows the first capture (`disputes.OPENINGS`).
    refund_course: which course refunds take (`refund_courses.REFUND_COURSES`). The last two belong to test cards only.
    """

    decline: Decline | None = None
    cvc_result: str | None = None
    avs_result: str | None = None
    risk_level: str | None = None
    capture_decline: str | None = None
    after_capture: str | None = None
    refund_course: str | None = None

    @property
    def only_outcome(self) -> bool:
        """Whether the instruction says nothing beyond approved or declined."""
        return self.cvc_result is self.avs_result is self.risk_level is self.capture_decline is None


@dataclass(frozen=True, slots=True)
class TestCard:
    """One published card number.

    line1_matches, postal_code_matches: what AVS finds when an address is sent. needs_cvc: the instruction's decline
    and CVC result apply only when a CVC is sent.
    """

    __test__ = False

    number: str
    rule: str
    description: str
    instruction: Instruction = Instruction()
    line1_matches: bool = True
    postal_code_matches: bool = True
    needs_cvc: bool = False


def _after_capture(number: str, rule: str, description: str) -> TestCard:
    return TestCard(number, rule, description, Instruction(after_capture=rule))


def _refunding(number: str, rule: str, description: str) -> TestCard:
    return TestCard(number, rule, description, Instruction(refund_course=rule))


def _declining(number: str, decline_code: str) -> TestCard:
    decline = decline_for(decline_code)
    return TestCard(
        number,
        decline_code,
        f"Declined: {decline_code} ({decline.response_code}).",
        Instruction(decline=decline),
    )


TEST_CARDS: Final[dict[str, TestCard]] = {
    card.number: card
    for card in (
        TestCard("4242424242424242", PLAIN, "Visa credit, approved."),
        TestCard("4000056655665556", PLAIN, "Visa debit, approved."),
        TestCard("5555555555554444", PLAIN, "Mastercard credit, approved."),
        TestCard("5200828282828210", PLAIN, "Mastercard debit, approved."),
        TestCard("5105105105105100", PLAIN, "Mastercard prepaid, approved."),
        TestCard("378282246310005", PLAIN, "American Express, approved; its CVC has four digits."),
        TestCard("371449635398431", PLAIN, "American Express, approved; its CVC has four digits."),
        TestCard("6011111111111117", PLAIN, "Discover, approved."),
        TestCard("30569309025904", PLAIN, "Diners Club, approved; the number has 14 digits."),
        TestCard("3530111333300000", PLAIN, "JCB, approved."),
        _declining("4000000000000002", "generic_decline"),
        _declining("4000000000009995", "insufficient_funds"),
        _declining("4000000000009987", "lost_card"),
        _declining("4000000000009979", "stolen_card"),
        _declining("4000000000006975", "card_velocity_exceeded"),
        _declining("4000000000000069", "expired_card"),
        _declining("4000000000000119", "processing_error"),
        _declining("4242424242424241", "incorrect_number"),
        TestCard(
            "4000000000000127",
            "incorrect_cvc",
            "Declined: incorrect_cvc, if a CVC is sent; approved without one.",
            Instruction(decline=decline_for("incorrect_cvc"), cvc_result="N"),
            needs_cvc=True,
        ),
        TestCard(
            "4000000000000101",
            "cvc_check_fails",
            "Approved; a CVC that is sent does not match (N).",
            Instruction(cvc_result="N"),
            needs_cvc=True,
        ),
        TestCard(
            "4000000000000036",
            "postal_code_check_fails",
            "Approved; the postal code does not match.",
            postal_code_matches=False,
        ),
        TestCard(
            "4000000000000028",
            "line1_check_fails",
            "Approved; the first address line does not match.",
            line1_matches=False,
        ),
        TestCard(
            "4000000000000010",
            "address_checks_fail",
            "Approved; neither address line nor postal code match.",
            line1_matches=False,
            postal_code_matches=False,
        ),
        TestCard(
            "4000000000000044",
            "address_check_unavailable",
            "Approved; address verification is unavailable (U).",
            Instruction(avs_result="U"),
        ),
        TestCard(
            "4000000000000341",
            "capture_declined",
            "Authorizes; every capture is then declined.",
            Instruction(capture_decline="generic_decline"),
        ),
        TestCard(
            "4100000000000019",
            "blocked",
            "Blocked for the highest risk: fraudulent (59).",
            Instruction(decline=decline_for("fraudulent"), risk_level="highest"),
        ),
        TestCard(
            "4000000000004954",
            "highest_risk",
            "Approved with the highest risk.",
            Instruction(risk_level="highest"),
        ),
        TestCard(
            "4000000000009235",
            "elevated_risk",
            "Approved with elevated risk.",
            Instruction(risk_level="elevated"),
        ),
        _after_capture(
            "4000000000000259",
            "disputed_fraudulent",
            "Approved; its first capture is disputed as fraudulent.",
        ),
        _after_capture(
            "4000000000002685",
            "disputed_product_not_received",
            "Approved; its first capture is disputed as not received.",
        ),
        _after_capture(
            "4000000000001976", "inquired", "Approved; its first capture brings about an inquiry."
        ),
        _after_capture(
            "4000000000005423",
            "early_fraud_warning",
            "Approved; its first capture brings about an early fraud warning.",
        ),
        _refunding(
            "4000000000007726",
            "refund_pending_then_succeeded",
            "Approved; refunds are pending for five minutes, then succeed.",
        ),
        _refunding(
            "4000000000005126",
            "refund_succeeded_then_failed",
            "Approved; refunds succeed, and fail five minutes later.",
        ),
    )
}


class Simulation(NamedTuple):
    """Which trigger decided. trigger: one of the four, `card_check` or `none`; rule: what it stands for;
    overridden: triggers of lower precedence that were present too."""

    trigger: str
    rule: str
    overridden: tuple[str, ...] = ()


class Decision(NamedTuple):
    """The issuer's answer to an authorization. decline None is approval."""

    decline: Decline | None
    cvc_result: str
    avs_result: str
    risk_level: str
    capture_decline: str | None
    simulation: Simulation
    after_capture: str | None = None
    refund_course: str | None = None


NO_TRIGGER: Final = Simulation("none", PLAIN)
_NOTHING_ASKED: Final = Instruction()


@lru_cache(maxsize=256)
def parse_instruction(text: str, pointer: str) -> Instruction:
    """The instruction that a header or a holder name spells out.

    pointer: where the text came from, for the error. Raises InvalidSimulation, which names the item's place but not
    its text.
    """
    fields: dict[str, str] = {}
    decline: Decline | None = None
    outcome_seen = False
    for position, raw in enumerate(text.split(";"), start=1):
        item = raw.strip().lower()
        name, separator, value = (part.strip() for part in item.partition("="))
        if name == "response_code" and value.upper() in RESPONSE_CODES:
            found: Decline | None = decline_for_response(value.upper())
        elif item in DECLINE_CODES:
            found = decline_for(item)
        elif item == "approve":
            found = None
        elif separator and _is_known_check(name, value) and name not in fields:
            fields[name] = value
            continue
        else:
            raise _invalid(pointer, position)
        if outcome_seen:
            raise _invalid(pointer, position)
        decline, outcome_seen = found, True
    return Instruction(
        decline=decline,
        cvc_result=fields["cvc"].upper() if "cvc" in fields else None,
        avs_result=fields["avs"].upper() if "avs" in fields else None,
        risk_level=fields.get("risk"),
        capture_decline=fields.get("capture"),
    )


def decide_authorization(
    card: CardDetails, amount: int, simulate: str | None, *, year: int, month: int
) -> Decision:
    """The issuer's answer. simulate: the header's value; year, month: today, for the expiry check.

    Raises InvalidSimulation when the header or a `SIMULATE` holder name is not in the grammar.
    """
    found = list(_triggers(card, amount, simulate))
    if not found:
        simulation, instruction = _judge_card(card, year=year, month=month)
    else:
        simulation, instruction = found[0]
        if len(found) > 1:
            overridden = tuple([other.trigger for other, _ in found[1:]])
            simulation = Simulation(simulation.trigger, simulation.rule, overridden)
    return Decision(
        decline=instruction.decline,
        cvc_result=instruction.cvc_result or cards.cvc_result(card, cards.brand_of(card.number)),
        avs_result=instruction.avs_result or _avs(card, simulation),
        risk_level=instruction.risk_level or "normal",
        capture_decline=instruction.capture_decline,
        simulation=simulation,
        after_capture=instruction.after_capture,
        refund_course=instruction.refund_course,
    )


def _triggers(
    card: CardDetails, amount: int, simulate: str | None
) -> Iterator[tuple[Simulation, Instruction]]:
    """Every trigger that is present, highest precedence first."""
    if simulate is not None:
        instruction = parse_instruction(simulate, f"header:{HEADER}")
        yield Simulation("request_header", _rule_of(instruction)), instruction
    name = card.holder_name
    if name is not None and name[: len(NAME_PREFIX)].lower() == NAME_PREFIX:
        instruction = parse_instruction(name[len(NAME_PREFIX) :], "/card/holder_name")
        yield Simulation("cardholder_name", _rule_of(instruction)), instruction
    test_card = TEST_CARDS.get(card.number)
    if test_card is not None and test_card.rule != PLAIN:
        applies = card.cvc is not None or not test_card.needs_cvc
        yield Simulation("card_number", test_card.rule), test_card.instruction if applies else _NOTHING_ASKED
    decline = decline_for_amount(amount)
    if decline is not None:
        yield Simulation("amount", f"response_code={decline.response_code}"), Instruction(decline=decline)


def decide_operation(simulate: str | None, standing_decline: str | None) -> tuple[Decline | None, Simulation]:
    """The answer to a capture, increment or refund.

    simulate: the header's value. standing_decline: the decline code that the authorization's trigger laid down for
    this operation. Raises InvalidSimulation, also for items that only an authorization understands.
    """
    if simulate is not None:
        instruction = parse_instruction(simulate, f"header:{HEADER}")
        if not instruction.only_outcome:
            raise InvalidSimulation(
                "Only approve, a decline code or response_code=CODE can be simulated for this operation.",
                errors=[
                    FieldError(f"header:{HEADER}", FieldCode.NOT_APPLICABLE, "belongs to authorizations only")
                ],
            )
        overridden = ("authorization",) if standing_decline else ()
        return instruction.decline, Simulation("request_header", _rule_of(instruction), overridden)
    if standing_decline is not None:
        return decline_for(standing_decline), Simulation("authorization", f"capture={standing_decline}")
    return None, NO_TRIGGER


def decide_refund(
    simulate: str | None, standing_course: str | None
) -> tuple[Decline | None, Simulation, str | None]:
    """The answer to a refund, and the course that it takes.

    simulate: the header's value, which overrides the course as any other trigger. standing_course: what the authorization's
    trigger laid down. Raises InvalidSimulation.
    """
    decline, simulation = decide_operation(simulate, None)
    if standing_course is None:
        return decline, simulation, None
    if simulate is not None:
        return decline, Simulation(simulation.trigger, simulation.rule, ("authorization",)), None
    return decline, Simulation("authorization", standing_course), standing_course


def decline_for_amount(amount: int) -> Decline | None:
    """The decline that this amount asks for: 900000 plus a numeric response code."""
    if not AMOUNT_BASE < amount < AMOUNT_BASE + 100:
        return None
    code = f"{amount - AMOUNT_BASE:02d}"
    return decline_for_response(code) if code in RESPONSE_CODES else None


def _judge_card(card: CardDetails, *, year: int, month: int) -> tuple[Simulation, Instruction]:
    """What an issuer would find on its own."""
    if not cards.passes_luhn(card.number):
        return Simulation("card_check", "luhn"), Instruction(decline=decline_for("incorrect_number"))
    if cards.brand_of(card.number) == "unknown":
        return Simulation("card_check", "issuer_range"), Instruction(decline=decline_for("invalid_account"))
    if cards.has_expired(card.exp_month, card.exp_year, year=year, month=month):
        return Simulation("card_check", "expiry"), Instruction(decline=decline_for("expired_card"))
    return NO_TRIGGER, _NOTHING_ASKED


def _avs(card: CardDetails, simulation: Simulation) -> str:
    if simulation.trigger != "card_number":
        return cards.avs_result(card.billing_address)
    test_card = TEST_CARDS[card.number]
    return cards.avs_result(
        card.billing_address,
        line1_matches=test_card.line1_matches,
        postal_code_matches=test_card.postal_code_matches,
    )


def _is_known_check(name: str, value: str) -> bool:
    match name:
        case "cvc":
            return value.upper() in CVC_RESULTS
        case "avs":
            return value.upper() in AVS_RESULTS
        case "risk":
            return value in RISK_LEVELS
        case "capture":
            return value in DECLINE_CODES
        case _:
            return False


def _rule_of(instruction: Instruction) -> str:
    """The instruction in canonical words, for the response's `simulation.rule`."""
    words = [instruction.decline.decline_code if instruction.decline else "approve"]
    if instruction.decline and instruction.decline != decline_for(instruction.decline.decline_code):
        words = [f"response_code={instruction.decline.response_code}"]
    if instruction.cvc_result:
        words.append(f"cvc={instruction.cvc_result}")
    if instruction.avs_result:
        words.append(f"avs={instruction.avs_result}")
    if instruction.risk_level:
        words.append(f"risk={instruction.risk_level}")
    if instruction.capture_decline:
        words.append(f"capture={instruction.capture_decline}")
    return "; ".join(words)


def _invalid(pointer: str, position: int) -> InvalidSimulation:
    return InvalidSimulation(
        "The simulation instruction is not in the grammar; GET /v1/test-cards lists what it understands.",
        errors=[
            FieldError(
                pointer, FieldCode.UNKNOWN_SIMULATION, f"item {position} is not known, or repeats another"
            )
        ],
    )
