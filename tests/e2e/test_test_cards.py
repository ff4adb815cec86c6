"""The published triggers do what they say: every row of `GET /v1/test-cards`, sent as it is published.

The rows are made by the same code that answers them, so a row that got lost would not be missed. Therefore the card
numbers that integrators know, and what they do, stand here a second time, written by hand.
"""

from collections import Counter
from typing import Final, NamedTuple

import pytest

from tests.e2e.infra.client import Client, Json, accepted, authorize_body, card, new_key
from tests.e2e.infra.sandbox import Sandbox

pytestmark = pytest.mark.e2e


class Known(NamedTuple):
    """What a card number is known for; everything that is not said is as it is on an ordinary card."""

    decline: tuple[str, str] | None = None
    brand: str = "visa"
    funding: str = "credit"
    cvc: str = "M"
    avs: str = "Y"
    risk: str = "normal"
    capture: str = "succeeded"
    follows: str | None = None
    refund: tuple[str, str] = ("succeeded", "succeeded")


KNOWN: Final = {
    "4242424242424242": Known(),
    "4000056655665556": Known(funding="debit"),
    "5555555555554444": Known(brand="mastercard"),
    "5200828282828210": Known(brand="mastercard", funding="debit"),
    "5105105105105100": Known(brand="mastercard", funding="prepaid"),
    "378282246310005": Known(brand="amex"),
    "371449635398431": Known(brand="amex"),
    "6011111111111117": Known(brand="discover"),
    "30569309025904": Known(brand="diners"),
    "3530111333300000": Known(brand="jcb"),
    "4000000000000002": Known(("generic_decline", "05")),
    "4000000000009995": Known(("insufficient_funds", "51")),
    "4000000000009987": Known(("lost_card", "41")),
    "4000000000009979": Known(("stolen_card", "43")),
    "4000000000006975": Known(("card_velocity_exceeded", "65")),
    "4000000000000069": Known(("expired_card", "54")),
    "4000000000000127": Known(("incorrect_cvc", "05"), cvc="N"),
    "4000000000000119": Known(("processing_error", "96")),
    "4242424242424241": Known(("incorrect_number", "14")),
    "4000000000000341": Known(capture="declined"),
    "4100000000000019": Known(("fraudulent", "59"), risk="highest"),
    "4000000000004954": Known(risk="highest"),
    "4000000000009235": Known(risk="elevated"),
    "4000000000000101": Known(cvc="N"),
    "4000000000000036": Known(avs="A"),
    "4000000000000028": Known(avs="Z"),
    "4000000000000010": Known(avs="N"),
    "4000000000000044": Known(avs="U"),
    "4000000000000259": Known(follows="dispute"),
    "4000000000002685": Known(follows="dispute"),
    "4000000000001976": Known(follows="inquiry"),
    "4000000000005423": Known(follows="early_fraud_warning"),
    "4000000000007726": Known(refund=("pending", "succeeded")),
    "4000000000005126": Known(refund=("succeeded", "failed")),
}

DISPUTED_AS: Final = {
    "4000000000000259": "fraudulent",
    "4000000000002685": "product_not_received",
    "4000000000001976": "fraudulent",
}

OUTCOME_DELAY_S: Final = 300
"""After how long the outcome of a refund is known, by the account's clock."""

RETRY_FORBIDDEN: Final = {"04", "07", "12", "14", "15", "41", "43", "46", "57", "R1", "R3"}
"""Visa's category 1: the issuer will never approve."""

RESPONSE_CODES: Final = """01 03 04 05 06 07 12 13 14 15 19 30 34 41 43 46 51 54 57 58 59 61 62 63 65 75 78 91 93 94 96
    R1 R3""".split()

DECLINE_CODES: Final = """authentication_required approve_with_id call_issuer card_not_supported card_velocity_exceeded
    currency_not_supported do_not_honor duplicate_transaction expired_card fraudulent generic_decline incorrect_cvc
    incorrect_number incorrect_zip insufficient_funds invalid_account invalid_amount issuer_not_available lost_card
    new_account_information_available not_permitted pickup_card processing_error reenter_transaction restricted_card
    revocation_of_authorization security_violation stolen_card try_again_later withdrawal_count_limit_exceeded""".split()


@pytest.fixture(scope="session")
def published(demo: Client) -> list[Json]:
    rows: list[Json] = accepted(demo.get("/v1/test-cards"), 200)["data"]
    return rows


def found(answer: Json) -> Json:
    """An authorization's answer in the words of a row's `expect`, all but what a capture does."""
    decline = answer["decline"] or {}
    return {
        "status": answer["status"],
        "response_code": answer["network"]["response_code"],
        "decline_code": decline.get("decline_code"),
        "retry_forbidden": decline.get("retry_forbidden", False),
        "cvc_result": answer["checks"]["cvc_result"],
        "avs_result": answer["checks"]["avs_result"],
        "risk_level": answer["risk"]["level"],
    }


def captured(client: Client, authorization: Json) -> str | None:
    """What a capture of the whole amount answers; None when there is nothing to capture."""
    if authorization["status"] == "declined":
        return None
    status: str = accepted(client.capture(authorization["transaction_id"]), 201)["status"]
    return status


def followed(client: Client, authorization: Json) -> str | None:
    """What came of a capture besides itself."""
    about = {"authorization_id": authorization["transaction_id"]}
    disputes = accepted(client.get("/v1/disputes", **about), 200)["data"]
    warnings = accepted(client.get("/v1/early-fraud-warnings", **about), 200)["data"]
    assert len(disputes) + len(warnings) <= 1
    if disputes:
        return "inquiry" if disputes[0]["inquiry"] else "dispute"
    return "early_fraud_warning" if warnings else None


def refunded(client: Client, authorization: Json) -> Json | None:
    """A refund of all that is left; None when there is nothing to refund."""
    response = client.refund(authorization["transaction_id"])
    if response.status_code == 409:
        return None
    refund = accepted(response, 201)
    return {"transaction_id": refund["transaction_id"], "refund_status": refund["status"]}


def test_every_published_row_answers_what_it_promises(
    demo: Client, published: list[Json], sandbox: Sandbox
) -> None:
    """On the AWS deployment, where a request takes much longer and the handlers are the same, one row of each trigger."""
    rows = list({row["trigger"]: row for row in published}.values()) if sandbox.is_deployed else published
    assert {row["trigger"] for row in rows} == {"request_header", "cardholder_name", "card_number", "amount"}
    wrong = []
    refunds: list[tuple[Json, Json]] = []
    for row in rows:
        request = row["request"]
        headers = {"X-Idempotency-Key": new_key(), **request["headers"]}
        answer = accepted(demo.send("POST", "/v1/authorize", json=request["body"], headers=headers), 201)
        outcome = {
            **found(answer),
            "capture_status": captured(demo, answer),
            "after_capture": followed(demo, answer),
            "refund_status": None,
            # What becomes of the refunds is looked at when the clock has moved, once for all of them.
            "refund_outcome": row["expect"]["refund_outcome"],
        }
        if (refund := refunded(demo, answer)) is not None:
            outcome["refund_status"] = refund["refund_status"]
            refunds.append((row, refund))
        decided_by = (answer["simulation"]["trigger"], answer["simulation"]["rule"])
        # Cards that are simply approved are triggers of nothing.
        promised_by = ("none", "approved") if row["rule"] == "approved" else (row["trigger"], row["rule"])
        if outcome != row["expect"] or decided_by != promised_by:
            wrong.append((row["value"], row["expect"], outcome, decided_by))
        # What is published says nothing of the card.
        if row["trigger"] == "card_number":
            known, shown = KNOWN[row["value"]], answer["card"]
            assert (shown["brand"], shown["funding"]) == (known.brand, known.funding)
            assert shown["last4"] == row["value"][-4:]
    assert wrong == []
    advance(demo, OUTCOME_DELAY_S)
    for row, refund in refunds:
        assert demo.transaction(refund["transaction_id"])["status"] == row["expect"]["refund_outcome"]
    assert len(refunds) == sum(row["expect"]["refund_outcome"] is not None for row in rows)


def advance(client: Client, seconds: int) -> None:
    accepted(client.send("POST", "/v1/clock/advance", json={"by_seconds": seconds}), 200)


@pytest.mark.parametrize("number", [number for number, known in KNOWN.items() if known.follows])
def test_what_follows_a_capture_is_about_that_payment(demo: Client, number: str) -> None:
    authorization = accepted(demo.authorize(1051, card=card(number)), 201)
    assert captured(demo, authorization) == "succeeded"
    assert followed(demo, authorization) == KNOWN[number].follows
    about = {"authorization_id": authorization["transaction_id"]}
    path = "/v1/disputes" if number in DISPUTED_AS else "/v1/early-fraud-warnings"
    (made,) = accepted(demo.get(path, **about), 200)["data"]
    assert (made["amount"], made["currency"]) == (1051, "EUR")
    assert made.get("reason") == DISPUTED_AS.get(number)
    disputed = 1051 if KNOWN[number].follows == "dispute" else 0
    assert demo.transaction(authorization["transaction_id"])["balance"]["disputed_amount"] == disputed


@pytest.mark.parametrize(
    ("number", "statuses"), [(n, k.refund) for n, k in KNOWN.items() if len(set(k.refund)) > 1]
)
def test_a_refund_on_a_card_that_is_known_for_it_takes_its_time(
    demo: Client, number: str, statuses: tuple[str, str]
) -> None:
    authorization = accepted(demo.authorize(1051, card=card(number)), 201)
    assert captured(demo, authorization) == "succeeded"
    refund = accepted(demo.refund(authorization["transaction_id"]), 201)
    assert refund["status"] == statuses[0]
    advance(demo, OUTCOME_DELAY_S - 60)
    assert demo.transaction(refund["transaction_id"])["status"] == statuses[0]
    advance(demo, 60)
    assert demo.transaction(refund["transaction_id"])["status"] == statuses[1]


def test_every_row_pulls_the_trigger_that_it_names(published: list[Json]) -> None:
    for row in published:
        request = row["request"]
        pulled = {
            "request_header": request["headers"].get("X-Sandbox-Simulate"),
            "cardholder_name": request["body"]["card"].get("holder_name"),
            "card_number": request["body"]["card"]["number"],
            "amount": str(request["body"]["amount"]),
        }
        assert pulled[row["trigger"]] == row["value"]


def test_no_row_is_published_twice(published: list[Json]) -> None:
    rows = Counter((row["trigger"], row["value"]) for row in published)
    assert [row for row, count in rows.items() if count > 1] == []


def test_exactly_the_known_card_numbers_are_published(published: list[Json]) -> None:
    assert {row["value"] for row in published if row["trigger"] == "card_number"} == set(KNOWN)


def test_every_decline_and_response_code_is_published_for_header_and_name(published: list[Json]) -> None:
    instructions = {"approve", *DECLINE_CODES, *(f"response_code={code}" for code in RESPONSE_CODES)}
    headers = {row["value"] for row in published if row["trigger"] == "request_header"}
    names = {row["value"] for row in published if row["trigger"] == "cardholder_name"}
    assert instructions <= headers
    assert {f"SIMULATE {instruction}" for instruction in instructions} <= names
    amounts = {row["value"] for row in published if row["trigger"] == "amount"}
    assert amounts == {f"9000{code}" for code in RESPONSE_CODES if code.isdecimal()}


def test_a_card_number_is_published_with_what_it_is_known_for(published: list[Json]) -> None:
    expected = {row["value"]: row["expect"] for row in published if row["trigger"] == "card_number"}
    for number, known in KNOWN.items():
        decline_code, response_code = known.decline or (None, "00")
        is_captured = known.decline is None and known.capture == "succeeded"
        # What is disputed cannot be refunded.
        is_refunded = is_captured and known.follows != "dispute"
        assert expected[number] == {
            "status": "authorized" if known.decline is None else "declined",
            "response_code": response_code,
            "decline_code": decline_code,
            "retry_forbidden": response_code in RETRY_FORBIDDEN,
            "cvc_result": known.cvc,
            "avs_result": known.avs,
            "risk_level": known.risk,
            "capture_status": known.capture if known.decline is None else None,
            "after_capture": known.follows,
            "refund_status": known.refund[0] if is_refunded else None,
            "refund_outcome": known.refund[1] if is_refunded else None,
        }, number


def test_the_cvc_cards_are_approved_when_no_cvc_is_sent(demo: Client) -> None:
    for number in ("4000000000000127", "4000000000000101"):
        answer = accepted(demo.authorize(card=card(number)), 201)
        assert (answer["status"], answer["checks"]["cvc_result"]) == ("authorized", "P")


def test_every_response_code_is_published_with_whether_to_try_again(published: list[Json]) -> None:
    expected = {row["value"]: row["expect"] for row in published if row["trigger"] == "request_header"}
    for code in RESPONSE_CODES:
        promised = expected[f"response_code={code}"]
        assert (promised["response_code"], promised["retry_forbidden"]) == (code, code in RETRY_FORBIDDEN)


def test_the_strongest_trigger_decides_and_the_others_are_named(demo: Client) -> None:
    """Header over name over number over amount, each with another outcome."""
    by_amount = authorize_body(900_091)
    by_number = {**by_amount, "card": card("4000000000009995")}
    by_name = {**by_amount, "card": card("4000000000009995", holder_name="SIMULATE lost_card")}
    asked = [
        (
            by_name,
            "stolen_card",
            "stolen_card",
            "request_header",
            ["cardholder_name", "card_number", "amount"],
        ),
        (by_name, None, "lost_card", "cardholder_name", ["card_number", "amount"]),
        (by_number, None, "insufficient_funds", "card_number", ["amount"]),
        (by_amount, None, "issuer_not_available", "amount", []),
    ]
    for body, simulate, decline_code, trigger, overridden in asked:
        answer = accepted(demo.post("/v1/authorize", body, simulate=simulate), 201)
        assert answer["decline"]["decline_code"] == decline_code
        assert answer["simulation"]["trigger"] == trigger
        assert answer["simulation"]["overridden"] == overridden


def test_a_card_that_is_no_test_card_is_judged_by_itself(demo: Client) -> None:
    judged = {
        ("4111111111111111", 2099): None,
        ("4111111111111112", 2099): ("incorrect_number", "14"),
        ("4111111111111111", 2001): ("expired_card", "54"),
        ("9999999999999995", 2099): ("invalid_account", "15"),
    }
    for (number, year), decline in judged.items():
        answer = accepted(demo.authorize(card=card(number, exp_year=year)), 201)
        if decline is None:
            assert answer["status"] == "authorized"
        else:
            assert (answer["decline"]["decline_code"], answer["decline"]["response_code"]) == decline
