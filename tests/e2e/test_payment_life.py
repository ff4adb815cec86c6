"""A payment from its authorization to its refund over real HTTP.

`client.py` compares every answer with the contract; what stands here is what the answers mean.
"""

from collections.abc import Iterator

import pytest

from tests.e2e.infra.client import Client, Json, accepted, authorize_body, card, new_key, refused

pytestmark = pytest.mark.e2e


def balance(transaction: Json) -> tuple[int, ...]:
    """Authorized, captured, refunded, released, capturable, refundable."""
    names = ("authorized", "captured", "refunded", "released", "capturable", "refundable")
    return tuple(transaction["balance"][f"{name}_amount"] for name in names)


def summed_postings(family: list[Json]) -> dict[str, int]:
    """Each ledger account's total over all entries; every single entry sums to zero."""
    totals: dict[str, int] = {}
    for member in family:
        assert sum(posting["amount"] for posting in member["postings"]) == 0
        for posting in member["postings"]:
            totals[posting["ledger_account"]] = totals.get(posting["ledger_account"], 0) + posting["amount"]
    return totals


# A payment


def test_a_payment_is_authorized_captured_refunded_and_shown_with_its_family(shop: Client) -> None:
    authorization = accepted(
        shop.authorize(1051, merchant_reference="order-1001", metadata={"cart": "c-77"}), 201
    )
    assert authorization["status"] == "authorized"
    assert balance(authorization) == (1051, 0, 0, 0, 1051, 0)
    assert (authorization["merchant_reference"], authorization["metadata"]) == (
        "order-1001",
        {"cart": "c-77"},
    )

    capture = accepted(shop.capture(authorization["transaction_id"], amount=1000, final=True), 201)
    assert (capture["status"], capture["amount"], capture["final"]) == ("succeeded", 1000, True)
    assert balance(capture) == (1051, 1000, 0, 51, 0, 1000)

    refund = accepted(shop.refund(authorization["transaction_id"], amount=200), 201)
    assert balance(refund) == (1051, 1000, 200, 51, 0, 800)

    shown = shop.transaction(authorization["transaction_id"])
    assert shown["status"] == "captured"
    assert balance(shown) == balance(refund)
    assert [member["type"] for member in shown["family"]] == ["authorization", "capture", "refund"]
    assert summed_postings(shown["family"]) == {
        "cardholder_available": -800,
        "cardholder_held": 0,
        "merchant_receivable": 800,
    }


def test_a_hold_grows_by_increments_is_captured_in_parts_and_its_rest_voided(shop: Client) -> None:
    authorization_id = accepted(shop.authorize(1000), 201)["transaction_id"]
    assert balance(accepted(shop.increment(authorization_id, 500), 201)) == (1500, 0, 0, 0, 1500, 0)
    assert balance(accepted(shop.capture(authorization_id, amount=400), 201)) == (1500, 400, 0, 0, 1100, 400)
    assert shop.transaction(authorization_id)["status"] == "partially_captured"
    assert balance(accepted(shop.capture(authorization_id, amount=600), 201)) == (1500, 1000, 0, 0, 500, 1000)
    void = accepted(shop.void(authorization_id), 201)
    assert void["amount"] == 500
    shown = shop.transaction(authorization_id)
    assert balance(shown) == balance(void) == (1500, 1000, 0, 500, 0, 1000)
    assert shown["status"] == "captured"
    assert summed_postings(shown["family"])["merchant_receivable"] == 1000


def test_without_an_amount_all_that_is_left_is_captured_and_refunded(shop: Client) -> None:
    authorization_id = accepted(shop.authorize(1000), 201)["transaction_id"]
    accepted(shop.capture(authorization_id, amount=300), 201)
    assert accepted(shop.capture(authorization_id), 201)["amount"] == 700
    accepted(shop.refund(authorization_id, amount=1), 201)
    assert accepted(shop.refund(authorization_id), 201)["amount"] == 999


def test_a_voided_hold_can_neither_be_captured_nor_voided_nor_incremented_nor_refunded(shop: Client) -> None:
    authorization_id = accepted(shop.authorize(1000), 201)["transaction_id"]
    accepted(shop.void(authorization_id), 201)
    for response, code in (
        (shop.capture(authorization_id), "authorization_not_capturable"),
        (shop.void(authorization_id), "authorization_not_voidable"),
        (shop.increment(authorization_id, 1), "authorization_not_incrementable"),
        (shop.refund(authorization_id), "authorization_not_refundable"),
    ):
        assert refused(response, 409, code)["authorization_status"] == "voided"


def test_too_much_is_refused_with_what_would_be_possible(shop: Client) -> None:
    authorization_id = accepted(shop.authorize(1000), 201)["transaction_id"]
    problem = refused(shop.capture(authorization_id, amount=1001), 409, "amount_exceeds_authorized")
    assert problem["capturable_amount"] == 1000
    accepted(shop.capture(authorization_id, amount=400), 201)
    problem = refused(shop.refund(authorization_id, amount=401), 409, "amount_exceeds_captured")
    assert problem["refundable_amount"] == 400
    problem = refused(shop.increment(authorization_id, 999_999_999_999), 409, "amount_too_large")
    assert problem["incrementable_amount"] == 999_999_998_999


def test_a_decline_is_a_result_that_holds_nothing(shop: Client) -> None:
    declined = accepted(shop.authorize(simulate="insufficient_funds"), 201)
    assert declined["status"] == "declined"
    assert declined["decline"]["response_code"] == declined["network"]["response_code"] == "51"
    assert declined["postings"] == []
    assert balance(declined) == (0, 0, 0, 0, 0, 0)
    problem = refused(shop.capture(declined["transaction_id"]), 409, "authorization_not_capturable")
    assert problem["authorization_status"] == "declined"


def test_a_declined_operation_moves_nothing_and_is_kept(shop: Client) -> None:
    authorization_id = accepted(shop.authorize(1000), 201)["transaction_id"]
    body = {"authorization_id": authorization_id, "amount": 10}
    for path in ("/v1/capture", "/v1/increment"):
        declined = accepted(shop.post(path, body, simulate="do_not_honor"), 201)
        assert declined["status"] == "declined"
        assert balance(declined) == (1000, 0, 0, 0, 1000, 0)
    family = shop.transaction(authorization_id)["family"]
    assert [member["status"] for member in family] == ["authorized", "declined", "declined"]


@pytest.mark.parametrize("currency", ["JPY", "USD", "KWD", "CLF"])
def test_amounts_are_minor_units_whatever_their_currency(shop: Client, currency: str) -> None:
    authorization = accepted(shop.authorize(1051, currency=currency), 201)
    assert (authorization["amount"], authorization["currency"]) == (1051, currency)


# Idempotency


def operations(shop: Client) -> Iterator[tuple[str, Json, Json]]:
    """Path, body, and a body that differs, of every operation that moves money, in an order that works."""
    yield "/v1/authorize", authorize_body(1000), authorize_body(1001)
    authorization_id = accepted(shop.authorize(1000), 201)["transaction_id"]
    named = {"authorization_id": authorization_id}
    yield "/v1/increment", {**named, "amount": 10}, {**named, "amount": 11}
    yield "/v1/capture", {**named, "amount": 100}, {**named, "amount": 101}
    yield "/v1/refund", {**named, "amount": 10}, {**named, "amount": 11}
    yield "/v1/void", named, {**named, "merchant_reference": "another"}


def test_a_repeated_request_is_answered_with_the_first_answer(shop: Client) -> None:
    for path, body, different in operations(shop):
        key = new_key()
        first = shop.post(path, body, key=key)
        again = shop.post(path, body, key=key)
        quoted = shop.send("POST", path, json=body, headers={"Idempotency-Key": f'"{key}"'})
        assert first.status_code == again.status_code == quoted.status_code == 201
        assert first.content == again.content == quoted.content
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == quoted.headers["idempotent-replayed"] == "true"
        problem = refused(shop.post(path, different, key=key), 422, "idempotency_key_reused")
        assert problem["transaction_id"] == first.json()["transaction_id"]
        assert problem["first_used_at"] == first.json()["created_at"]


def test_a_changed_amount_under_the_same_key_is_named(shop: Client) -> None:
    key = new_key()
    accepted(shop.authorize(1051, key=key), 201)
    problem = refused(shop.authorize(1052, key=key), 422, "idempotency_key_reused")
    assert [error["pointer"] for error in problem["errors"]] == ["/amount"]


def test_a_refused_request_leaves_its_key_free(shop: Client) -> None:
    key = new_key()
    refused(shop.authorize(0, key=key), 400, "invalid_request")
    assert "idempotent-replayed" not in shop.authorize(1, key=key).headers


# Reading


def test_the_list_shows_every_entry_once_newest_first_page_by_page(shop: Client) -> None:
    made = []
    for _ in range(3):
        authorization_id = accepted(shop.authorize(1000), 201)["transaction_id"]
        made += [authorization_id, accepted(shop.capture(authorization_id), 201)["transaction_id"]]
    listed: list[str] = []
    page = accepted(shop.get("/v1/transactions", limit=4), 200)
    while True:
        listed += [entry["transaction_id"] for entry in page["data"]]
        assert page["has_more"] is (page["next_cursor"] is not None)
        if not page["has_more"]:
            break
        page = accepted(shop.get("/v1/transactions", limit=4, cursor=page["next_cursor"]), 200)
    assert sorted(listed) == sorted(made)
    times = [shop.transaction(entry)["created_at"] for entry in listed]
    assert times == sorted(times, reverse=True)


def test_the_list_can_be_narrowed(shop: Client) -> None:
    visa = accepted(shop.authorize(1000), 201)
    amex = accepted(shop.authorize(1000, card=card("378282246310005")), 201)
    capture = accepted(shop.capture(visa["transaction_id"]), 201)

    def found(**wanted: str | int) -> set[str]:
        page = accepted(shop.get("/v1/transactions", **wanted), 200)
        return {entry["transaction_id"] for entry in page["data"]}

    visa_id, amex_id, capture_id = (entry["transaction_id"] for entry in (visa, amex, capture))
    assert found(type="capture") == {capture_id}
    assert found(status="authorized") == {amex_id}
    assert found(status="captured") == {visa_id}
    assert found(card_id=visa["card"]["card_id"]) == {visa_id, capture_id}
    assert found(card_id=visa["card"]["card_id"], type="refund") == set()
    assert found(created_from=visa["created_at"]) == {visa_id, amex_id, capture_id}
    assert found(created_before=visa["created_at"]) == set()


def test_a_card_is_summed_up_without_its_number(shop: Client) -> None:
    first = accepted(shop.authorize(card=card(holder_name="Ada Lovelace", exp_year=2098)), 201)
    last = accepted(shop.authorize(card=card(exp_year=2099)), 201)
    card_id = first["card"]["card_id"]
    assert last["card"]["card_id"] == card_id
    assert accepted(shop.get(f"/v1/cards/{card_id}"), 200) == {
        "card_id": card_id,
        "brand": "visa",
        "last4": "4242",
        "funding": "credit",
        "exp_month": 12,
        "exp_year": 2099,
        "holder_name": None,
        "first_used_at": first["created_at"],
        "last_used_at": last["created_at"],
    }
