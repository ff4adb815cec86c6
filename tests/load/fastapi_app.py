"""The comparison: the same authorization written the way FastAPI and Pydantic are meant to be used, behind Mangum.

It has the same fields with the same limits, the same keyed hashes, Luhn check, network references and answer, and one
conditional PutItem. To be fair it is written for speed as its own manual teaches: asynchronous dependencies (a plain
function would cost a thread), strict models, a response model, one boto3 client with default settings made at import,
no middleware but the one that adds the request id. It has no simulation triggers, no replay and no error documents of
its own, so it does somewhat less than the sandbox. It stands alone: the bundle of the cold-start measurement holds it
without the package.

Storage by `BENCH_STORE`: `none` keeps nothing, `dynamodb` puts one item.
"""

import hashlib
import hmac
import json
import os
import time
from base64 import b32encode
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Protocol

from fastapi import Depends, FastAPI, Header, HTTPException
from mangum import Mangum
from pydantic import BaseModel, ConfigDict, Field

SECRET = b"bench-secret-of-thirty-two-bytes"
ACCOUNTS = {"sk_test_demo": "acct_demo"}
VALIDITY_MS = 7 * 24 * 3600 * 1000
CURRENCIES = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF "
    "CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP "
    "GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT "
    "LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR "
    "NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN "
    "SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF "
    "XCD XCG XOF XPF YER ZAR ZMW ZWG"
).split()
DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

Amount = Annotated[int, Field(ge=1, le=999_999_999_999)]
Text100 = Annotated[str, Field(min_length=1, max_length=100)]


class RequestModel(BaseModel):
    """What every request model has in common: nothing is coerced, nothing unknown is let through."""

    model_config = ConfigDict(extra="forbid", strict=True)


class BillingAddress(RequestModel):
    """An address that the issuer compares."""

    line1: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    line2: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    city: Text100 | None = None
    state: Text100 | None = None
    postal_code: Annotated[str, Field(min_length=1, max_length=16)] | None = None
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None


class CardDetails(RequestModel):
    """A card as it arrives."""

    number: Annotated[str, Field(pattern=r"^[0-9]{12,19}$")]
    exp_month: Annotated[int, Field(ge=1, le=12)]
    exp_year: Annotated[int, Field(ge=2000, le=2099)]
    cvc: Annotated[str, Field(pattern=r"^[0-9]{3,4}$")] | None = None
    holder_name: Text100 | None = None
    billing_address: BillingAddress | None = None


class AuthorizeRequest(RequestModel):
    """The body of `POST /v1/authorize`."""

    amount: Amount
    currency: Literal[tuple(CURRENCIES)]  # type: ignore[valid-type]
    card: CardDetails
    merchant_reference: Text100 | None = None
    metadata: Annotated[dict[str, Annotated[str, Field(max_length=200)]], Field(max_length=20)] | None = None


class Card(BaseModel):
    """A card as it is shown."""

    card_id: str
    brand: str
    last4: str
    funding: str
    exp_month: int
    exp_year: int
    holder_name: str | None


class Balance(BaseModel):
    """The authorization's totals."""

    authorized_amount: int
    captured_amount: int
    refunded_amount: int
    released_amount: int
    disputed_amount: int
    capturable_amount: int
    refundable_amount: int


class Decline(BaseModel):
    """Why the issuer said no."""

    decline_code: str
    response_code: str
    retry_forbidden: bool
    message: str


class Network(BaseModel):
    """The network's references."""

    message_type: str
    response_code: str
    stan: str
    rrn: str
    authorization_code: str | None
    acquirer_reference: str | None


class Simulation(BaseModel):
    """Which trigger decided."""

    trigger: str
    rule: str
    explanation: str
    overridden: list[str]


class Posting(BaseModel):
    """One side of the double entry."""

    ledger_account: str
    amount: int


class Checks(BaseModel):
    """What the issuer compared."""

    cvc_result: str
    avs_result: str


class Risk(BaseModel):
    """The risk assessment."""

    level: str


class Authorization(BaseModel):
    """The answer."""

    transaction_id: str
    type: Literal["authorization"] = "authorization"
    status: Literal["authorized", "declined"]
    amount: int
    currency: str
    card: Card
    balance: Balance
    decline: Decline | None
    network: Network
    simulation: Simulation
    postings: list[Posting]
    merchant_reference: str | None
    metadata: dict[str, str]
    created_at: str
    checks: Checks
    risk: Risk
    expires_at: str


class Ledger(Protocol):
    """Where authorizations are kept."""

    def insert(self, item: dict[str, Any]) -> None:
        """Keep one, unless its id is taken."""


class NoLedger:
    """Keeps nothing."""

    def insert(self, item: dict[str, Any]) -> None:
        """Forget it."""


class DynamoDbLedger:
    """One conditional PutItem with boto3's client as it comes."""

    def __init__(self) -> None:
        import boto3

        self._client = boto3.client("dynamodb")

    def insert(self, item: dict[str, Any]) -> None:
        """Put the item; what is no key or index attribute is kept as one JSON text."""
        self._client.put_item(
            TableName="PaymentsLedger",
            Item={
                "transaction_id": {"S": item["transaction_id"]},
                "kind": {"S": "authorization"},
                "account_id": {"S": item["account_id"]},
                "version": {"N": "1"},
                "created_at": {"N": str(item["created_at"])},
                "feed_key": {"S": item["account_id"] + "#transaction"},
                "card_id": {"S": item["card_id"]},
                "due_at": {"N": str(item["expires_at"])},
                "data": {"S": json.dumps(item["data"])},
            },
            ConditionExpression="attribute_not_exists(transaction_id)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )


LEDGER: Ledger = DynamoDbLedger() if os.environ.get("BENCH_STORE") == "dynamodb" else NoLedger()
app = FastAPI(title="Payments sandbox, the FastAPI way")


async def ledger() -> Ledger:
    """The ledger, as a dependency."""
    return LEDGER


async def account_id(x_api_key: Annotated[str | None, Header()] = None) -> str:
    """The account that the key names."""
    found = ACCOUNTS.get(x_api_key or "")
    if found is None:
        raise HTTPException(401, "An API key is required")
    return found


@app.post("/v1/authorize", status_code=201, response_model_exclude_none=False)
async def authorize_payment(
    body: AuthorizeRequest,
    account: Annotated[str, Depends(account_id)],
    store: Annotated[Ledger, Depends(ledger)],
    x_idempotency_key: Annotated[str, Header(min_length=1, max_length=255, pattern=r"^[!-~]+$")],
) -> Authorization:
    """Authorize a card payment."""
    card = body.card
    now_ms = time.time_ns() // 1_000_000
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    card_id = "card_" + digest_text(keyed("card", account, card.number))
    digest = keyed("entry", account, "authorization", x_idempotency_key)
    number = int.from_bytes(digest[20:28], "big")
    stan = f"{number % 999_999 + 1:06d}"
    code = b32encode(digest[28:32])[:6].decode()
    decline = decide(card, now)
    approved = decline is None
    held = body.amount if approved else 0
    brand = brand_of(card.number)
    shown = Card(
        card_id=card_id,
        brand=brand,
        last4=card.number[-4:],
        funding="credit",
        exp_month=card.exp_month,
        exp_year=card.exp_year,
        holder_name=card.holder_name,
    )
    answer = Authorization(
        transaction_id="auth_" + digest_text(digest),
        status="authorized" if approved else "declined",
        amount=body.amount,
        currency=body.currency,
        card=shown,
        balance=Balance(
            authorized_amount=held,
            captured_amount=0,
            refunded_amount=0,
            released_amount=0,
            disputed_amount=0,
            capturable_amount=held,
            refundable_amount=0,
        ),
        decline=decline,
        network=Network(
            message_type="0100",
            response_code="00" if decline is None else decline.response_code,
            stan=stan,
            rrn=f"{now.year % 10}{now.timetuple().tm_yday:03d}{now.hour:02d}{stan}",
            authorization_code=code if approved else None,
            acquirer_reference=None,
        ),
        simulation=Simulation(
            trigger="none", rule="approved", explanation="Nothing asked for another outcome.", overridden=[]
        ),
        postings=[
            Posting(ledger_account="cardholder_available", amount=-held),
            Posting(ledger_account="cardholder_held", amount=held),
        ]
        if approved
        else [],
        merchant_reference=body.merchant_reference,
        metadata=body.metadata or {},
        created_at=moment(now_ms),
        checks=Checks(cvc_result=cvc_result(card, brand), avs_result=avs_result(card.billing_address)),
        risk=Risk(level="normal"),
        expires_at=moment(now_ms + VALIDITY_MS),
    )
    store.insert(
        {
            "transaction_id": answer.transaction_id,
            "account_id": account,
            "card_id": card_id,
            "created_at": now_ms,
            "expires_at": now_ms + VALIDITY_MS,
            "data": {
                "request": {
                    **body.model_dump(exclude={"card"}, exclude_none=True),
                    "card": {
                        **card.model_dump(exclude={"number", "cvc"}, exclude_none=True),
                        "number": card_id,
                        "cvc": card.cvc is not None,
                    },
                },
                "network": answer.network.model_dump(),
                "simulation": answer.simulation.model_dump(),
                "postings": [posting.model_dump() for posting in answer.postings],
                "totals": answer.balance.model_dump(),
                "checks": answer.checks.model_dump(),
                "risk": "normal",
            },
        }
    )
    return answer


def keyed(*parts: str) -> bytes:
    """The keyed digest of these parts."""
    return hmac.digest(SECRET, "\0".join(parts).encode(), hashlib.sha256)


def digest_text(digest: bytes) -> str:
    """A digest as 25 characters."""
    return b32encode(digest[:16])[:25].decode().lower()


def moment(at_ms: int) -> str:
    """RFC 3339, UTC, to the millisecond."""
    seconds, milliseconds = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def decide(card: CardDetails, now: datetime) -> Decline | None:
    """What the issuer says."""
    if not passes_luhn(card.number):
        return Decline(
            decline_code="incorrect_number",
            response_code="14",
            retry_forbidden=True,
            message="The card number is wrong.",
        )
    if (card.exp_year, card.exp_month) < (now.year, now.month):
        return Decline(
            decline_code="expired_card",
            response_code="54",
            retry_forbidden=False,
            message="The card has expired.",
        )
    return None


def passes_luhn(number: str) -> bool:
    """Whether the last digit is the check digit of the others."""
    digits = [ord(character) - 48 for character in reversed(number)]
    return (sum(digits[::2]) + sum([DOUBLED[digit] for digit in digits[1::2]])) % 10 == 0


def brand_of(number: str) -> str:
    """The brand, by the leading digits."""
    if number.startswith("4"):
        return "visa"
    if number.startswith(("34", "37")):
        return "amex"
    if "51" <= number[:2] <= "55" or "2221" <= number[:4] <= "2720":
        return "mastercard"
    if number.startswith(("6011", "65")):
        return "discover"
    return "unknown"


def cvc_result(card: CardDetails, brand: str) -> str:
    """Whether the CVC can be the brand's."""
    if card.cvc is None:
        return "P"
    return "M" if len(card.cvc) == (4 if brand == "amex" else 3) else "N"


def avs_result(address: BillingAddress | None) -> str:
    """What the issuer finds of the address."""
    if address is None or (address.line1 is None and address.postal_code is None):
        return "U"
    if address.line1 is not None:
        return "Y" if address.postal_code is not None else "A"
    return "Z"


class RequestId:
    """Adds the request's id to every answer, as a plain ASGI middleware: the cheap kind."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass everything on, with one more header."""
        identifier = scope.get("aws.event", {}).get("requestContext", {}).get("requestId", "").encode()

        async def send_with_id(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-request-id", identifier))
            await send(message)

        await self._inner(scope, receive, send_with_id)


handler = Mangum(RequestId(app), lifespan="off")
