"""Writes vectors.json: the cases that both libraries, and where they define them the public ones, agree on.

It signs with hmac directly and imports neither library: vectors that came from the code under test would
prove nothing. Run it after an edit; a test compares the committed file with `render()`.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).with_name("vectors.json")

NOW = 1_674_087_231
ID = "evt_2KWPBgLlAfxdpx2AI54pPJ85f4W"
BODY = (
    '{"type":"payment.captured","timestamp":"2023-01-19T00:13:51Z",'
    '"data":{"id":"cap_1","amount":{"minor":1050,"currency":"EUR"}}}'
)
OMIT = object()


def secret_of(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


SECRET = secret_of(bytes(range(32)))
OLD_SECRET = secret_of(bytes(range(100, 124)))
OTHER_SECRET = secret_of(bytes(range(200, 232)))


def sign(
    secret: str = SECRET,
    event_id: str = ID,
    timestamp: int | str = NOW,
    body: str | bytes = BODY,
    *,
    digest: Callable[..., Any] = hashlib.sha256,
) -> str:
    content = f"{event_id}.{timestamp}.".encode() + (body if isinstance(body, bytes) else body.encode())
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.new(key, content, digest).digest()).decode()


def case(
    name: str,
    expect: str | None = None,
    *,
    secrets: tuple[str, ...] = (SECRET,),
    body: str | bytes = BODY,
    event_id: str = ID,
    timestamp: int | str = NOW,
    signature: object = None,
    headers: dict[str, object] | None = None,
    tolerance_seconds: int = 300,
    public: bool = False,
    **parsed_body: object,
) -> dict[str, Any]:
    """One case: authentic and now, but for what the arguments change.

    expect: the error's code; None expects the event.
    public: the public packages define this outcome too.
    parsed_body: `body_value`, in place of the body, as what a framework made of it.
    """
    sent = {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(event_id=event_id, timestamp=timestamp, body=body)
        if signature is None
        else signature,
    } | (headers or {})
    given = {"body": body} if isinstance(body, str) else {"body_base64": base64.b64encode(body).decode()}
    expected: dict[str, Any] = {"error": expect}
    if expect is None:
        payload = json.loads(body)
        fields = {name: payload[name] for name in ("type", "timestamp", "data")}
        expected = {"event": {"id": event_id, **fields, "payload": payload}}
    return {
        "name": name,
        "secrets": list(secrets),
        "tolerance_seconds": tolerance_seconds,
        "now": NOW,
        "headers": {key: value for key, value in sent.items() if value is not OMIT},
        **(parsed_body or given),
        "expect": expected,
        "public": public,
    }


def event_with(data: str) -> str:
    return '{"type":"payment.captured","timestamp":"2023-01-19T00:13:51Z","data":' + data + "}"


def nested(levels: int) -> str:
    """An event of exactly so many levels: the payload is the first, its data the second."""
    arrays = levels - 2
    return event_with('{"a":' + "[" * arrays + "]" * arrays + "}")


def accepted() -> list[dict[str, Any]]:
    other = sign(OTHER_SECRET)
    return [
        case("a signed event is accepted", public=True),
        case("other headers are ignored", headers={"content-type": "text/plain", "x-n": 1}),
        case(
            "header names are read in any case",
            public=True,
            headers={
                "webhook-id": OMIT,
                "webhook-timestamp": OMIT,
                "webhook-signature": OMIT,
                "Webhook-Id": ID,
                "WEBHOOK-TIMESTAMP": str(NOW),
                "wEBHOOK-sIGNATURE": sign(),
            },
        ),
        case("an event sent exactly 300 seconds ago is accepted", timestamp=NOW - 300, public=True),
        case("an event sent exactly 300 seconds ahead is accepted", timestamp=NOW + 300, public=True),
        case("a tolerance of 0 accepts the present second", tolerance_seconds=0),
        case(
            "the matching signature may be anywhere in the list",
            signature=f"{other} v2,{other[3:]} {sign()} {other}",
            public=True,
        ),
        case(
            "an asymmetric signature beside ours is ignored",
            signature=f"v1a,{'A' * 86}== {sign()}",
            public=True,
        ),
        case(
            "an entry that is not a signature is ignored beside ours",
            signature=f"v1 , v1, garbage {sign()} v1,a,b",
        ),
        case("spaces around and between signatures are ignored", signature=f"  {other}   {sign()} "),
        case(
            "while rotating, the new secret verifies",
            secrets=(OTHER_SECRET, SECRET),
            signature=other,
            public=True,
        ),
        case("while rotating, the old secret verifies", secrets=(OTHER_SECRET, SECRET), public=True),
        case(
            "a receiver that still has only the old secret accepts an event signed with both",
            secrets=(OLD_SECRET,),
            signature=f"{sign()} {sign(OLD_SECRET)}",
            public=True,
        ),
        case(
            "a secret of 64 bytes verifies",
            secrets=(secret_of(bytes(range(64))),),
            signature=sign(secret_of(bytes(range(64)))),
            public=True,
        ),
        case(
            "an id of any visible characters but the full stop is accepted",
            event_id="msg:1/a_B-c~!,;=",
            public=True,
        ),
        case(
            "text beyond ASCII is signed as UTF-8",
            body=event_with('{"name":"Zoë 漢字 😀","escaped":"\\ud83d\\ude00\\u0000"}'),
            public=True,
        ),
        case(
            "white space in the body is signed with it",
            body=json.dumps(json.loads(BODY), indent=2) + "\n",
            public=True,
        ),
        case(
            "further fields of the payload are kept",
            body=BODY[:-1] + ',"api_version":"2026-01-01"}',
            public=True,
        ),
        case("empty data is data", body=event_with("{}"), public=True),
        case(
            "the largest interoperable integers are kept",
            body=event_with(f'{{"n":{2**53 - 1},"m":-{2**53 - 1}}}'),
        ),
        case(
            "numbers that are not integers are kept",
            body=event_with('{"n":[1.5,-0.25,1e3,5e-324,true,null]}'),
        ),
        case("a payload of 64 levels is accepted", body=nested(64)),
        case(
            "names that JavaScript objects inherit are plain data", body=event_with('{"__proto__":{"a":1}}')
        ),
    ]


def refused_headers() -> list[dict[str, Any]]:
    cases = []
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        value = {"webhook-id": ID, "webhook-timestamp": str(NOW), "webhook-signature": sign()}[name]
        cases += [
            case(f"a missing {name} is refused", "missing_header", headers={name: OMIT}, public=True),
            case(f"an empty {name} is refused", "missing_header", headers={name: ""}, public=True),
            case(f"a null {name} is refused", "missing_header", headers={name: None}),
            case(f"a {name} in two cases is refused", "malformed_header", headers={name.title(): value}),
            case(f"a {name} that is a list is refused", "malformed_header", headers={name: [value]}),
            case(f"a {name} that is a number is refused", "malformed_header", headers={name: NOW}),
            case(f"a {name} beyond ASCII is refused", "malformed_header", headers={name: value + "é"}),
            case(f"a {name} with a line break is refused", "malformed_header", headers={name: value + "\n"}),
            case(
                f"a {name} with a lone surrogate is refused",
                "malformed_header",
                headers={name: value + "\ud800"},
            ),
        ]
    for event_id, what in [
        (f"{ID}, {ID}", "an id that a server joined from two"),
        ("evt.1", "an id with a full stop"),
        ("evt 1", "an id with a space"),
        (" ", "an id of one space"),
    ]:
        cases.append(case(f"{what} is refused", "malformed_header", event_id=event_id))
    for timestamp, what in [
        ("yesterday", "a word"),
        (f"{NOW}.0", "a fraction"),
        (f"-{NOW}", "negative"),
        (f"+{NOW}", "with a plus"),
        (f"0{NOW}", "with a leading zero"),
        (f" {NOW}", "with a space before it"),
        (f"{NOW} ", "with a space after it"),
        ("1_674_087_231", "with underscores"),
        (hex(NOW), "hexadecimal"),
        ("1.674087231e9", "in scientific notation"),
        ("\u0661\u0666\u0667\u0664\u0660\u0668\u0667\u0662\u0663\u0661", "in Arabic digits"),
        ("NaN", "not a number"),
        ("Infinity", "infinite"),
        ("9" * 16, "of 16 digits"),
        ("9" * 400, "of 400 digits"),
    ]:
        cases.append(
            case(
                f"a timestamp that is {what} is refused",
                "malformed_header",
                timestamp=timestamp,
                public=timestamp == "yesterday",
            )
        )
    return cases


def refused_times() -> list[dict[str, Any]]:
    return [
        case(
            "an event sent 301 seconds ago is refused", "timestamp_too_old", timestamp=NOW - 301, public=True
        ),
        case(
            "an event sent 301 seconds ahead is refused",
            "timestamp_too_new",
            timestamp=NOW + 301,
            public=True,
        ),
        case("an event of 1970 is refused", "timestamp_too_old", timestamp=0, public=True),
        case("a timestamp in milliseconds is refused", "timestamp_too_new", timestamp=NOW * 1000),
        case("a timestamp of 15 digits is refused", "timestamp_too_new", timestamp="9" * 15),
        case(
            "a tolerance of 0 refuses the second before",
            "timestamp_too_old",
            timestamp=NOW - 1,
            tolerance_seconds=0,
        ),
        case(
            "an old event is refused though its signature is wrong too",
            "timestamp_too_old",
            timestamp=NOW - 301,
            signature=sign(),
            public=True,
        ),
    ]


def refused_signatures() -> list[dict[str, Any]]:
    text = sign()[3:]
    raw_digest = base64.b64decode(text)
    url_safe = sign(timestamp=NOW + 1)
    assert "+" in url_safe or "/" in url_safe, "choose a timestamp whose signature has a + or a /"
    wrong = "no_matching_signature"

    def changed(index: int) -> str:
        return f"v1,{text[:index]}{'B' if text[index] == 'A' else 'A'}{text[index + 1 :]}"

    return [
        case("a signature of another body is refused", wrong, signature=sign(body=BODY + " "), public=True),
        case(
            "a signature of another id is refused", wrong, signature=sign(event_id="evt_other"), public=True
        ),
        case(
            "a signature of another second is refused", wrong, signature=sign(timestamp=NOW - 1), public=True
        ),
        case("a signature of another secret is refused", wrong, signature=sign(OTHER_SECRET), public=True),
        case(
            "a signature of a retired secret is refused",
            wrong,
            secrets=(OTHER_SECRET, OLD_SECRET),
            public=True,
        ),
        case(
            "a signature keyed with the text of the secret is refused",
            wrong,
            signature=sign(base64.b64encode(SECRET.encode()).decode()),
            public=True,
        ),
        case("a signature by SHA-1 is refused", wrong, signature=sign(digest=hashlib.sha1), public=True),
        case("a signature by SHA-512 is refused", wrong, signature=sign(digest=hashlib.sha512), public=True),
        case("a signature of version 2 alone is refused", wrong, signature=f"v2,{text}", public=True),
        case("an asymmetric signature alone is refused", wrong, signature=f"v1a,{text}", public=True),
        case("a version in capitals is refused", wrong, signature=f"V1,{text}", public=True),
        case("a signature without a version is refused", wrong, signature=text),
        case("a version without a signature is refused", wrong, signature="v1,", public=True),
        case("a signature cut short is refused", wrong, signature=sign()[:-4], public=True),
        case("a signature with more after it is refused", wrong, signature=sign() + "AAAA"),
        case(
            "a signature with its first character changed is refused",
            wrong,
            signature=changed(0),
            public=True,
        ),
        case("a signature with its middle changed is refused", wrong, signature=changed(21), public=True),
        case("a signature with its last character changed is refused", wrong, signature=changed(43)),
        case("a signature without its padding is refused", wrong, signature=sign().rstrip("=")),
        case(
            "a signature in the URL-safe alphabet is refused",
            wrong,
            timestamp=NOW + 1,
            signature=url_safe.replace("+", "-").replace("/", "_"),
        ),
        case("a signature in hexadecimal is refused", wrong, signature=f"v1,{raw_digest.hex()}", public=True),
        case("signatures separated by commas are refused", wrong, signature=f"{sign(OTHER_SECRET)},{sign()}"),
        case("a signature header of spaces is refused", wrong, signature="   "),
        case("a hundred wrong signatures are refused", wrong, signature=" ".join([sign(OTHER_SECRET)] * 100)),
        case(
            "a body that was parsed and written again is refused",
            wrong,
            body=json.dumps(json.loads(BODY)),
            signature=sign(),
            public=True,
        ),
        case(
            "an unsigned body that is not JSON is refused for its signature",
            wrong,
            body="{",
            signature=sign(),
        ),
    ]


def refused_bodies() -> list[dict[str, Any]]:
    cases = [
        case("a body that a framework parsed is refused", "body_not_raw", body_value=json.loads(BODY)),
        case("an absent body is refused", "body_not_raw", body_value=None),
        case("a body of text that has no UTF-8 form is refused", "body_not_raw", body_value='"\ud800"'),
    ]
    bodies: list[tuple[str, str | bytes]] = [
        ("that is empty", ""),
        ("that is not JSON", "type=payment.captured"),
        ("that is JSON and more", BODY + "}"),
        ("that is an array", f"[{BODY}]"),
        ("that is text", '"payment.captured"'),
        ("that is null", "null"),
        ("with a byte order mark", "\ufeff" + BODY),
        ("in UTF-16", BODY.encode("utf-16")),
        ("with an invalid UTF-8 byte", event_with('{"a":"?"}').encode().replace(b"?", b"\xff")),
        ("with an overlong UTF-8 form", event_with('{"a":"?"}').encode().replace(b"?", b"\xc0\xaf")),
        ("with a surrogate in UTF-8", event_with('{"a":"?"}').encode().replace(b"?", b"\xed\xa0\x80")),
        ("with NaN", event_with('{"n":NaN}')),
        ("with Infinity", event_with('{"n":-Infinity}')),
        ("with a number too large for a float", event_with('{"n":1e999}')),
        ("with an integer beyond 2^53 - 1", event_with(f'{{"n":{2**53}}}')),
        ("with an integer below -(2^53 - 1)", event_with(f'{{"n":-{2**53}}}')),
        ("with an integer of 5000 digits", event_with(f'{{"n":{"9" * 5000}}}')),
        ("with a lone surrogate in a string", event_with('{"a":["\\ud800"]}')),
        ("with a lone surrogate in a name", event_with('{"\\udc00":1}')),
        ("with a line break in a string", event_with('{"a":"\n"}')),
        ("of 65 levels", nested(65)),
        ("of 2000 levels", nested(2000)),
        ("without a type", '{"timestamp":"2023-01-19T00:13:51Z","data":{}}'),
        ("with an empty type", '{"type":"","timestamp":"2023-01-19T00:13:51Z","data":{}}'),
        ("with a type that is a list", '{"type":["a"],"timestamp":"2023-01-19T00:13:51Z","data":{}}'),
        ("without a timestamp", '{"type":"payment.captured","data":{}}'),
        ("with a timestamp that is a number", '{"type":"payment.captured","timestamp":1674087231,"data":{}}'),
        ("without data", '{"type":"payment.captured","timestamp":"2023-01-19T00:13:51Z"}'),
        ("with data that is null", event_with("null")),
        ("with data that is a list", event_with("[]")),
        ("with its fields one level down", f'{{"event":{BODY}}}'),
    ]
    for what, body in bodies:
        cases.append(case(f"an authentic body {what} is refused", "malformed_payload", body=body))
    return cases


def secrets() -> list[dict[str, Any]]:
    key = bytes(range(32))
    encoded = base64.b64encode(key).decode()
    return [
        {"name": name, "secret": secret, "valid": valid}
        for name, secret, valid in [
            ("24 bytes", secret_of(key[:24]), True),
            ("32 bytes", secret_of(key), True),
            ("64 bytes", secret_of(key + key), True),
            ("23 bytes", secret_of(key[:23]), False),
            ("65 bytes", secret_of(key + key + b"a"), False),
            ("no bytes", "whsec_", False),
            ("empty text", "", False),
            ("no prefix", encoded, False),
            ("the prefix in capitals", "WHSEC_" + encoded, False),
            ("the prefix of an asymmetric key", "whsk_" + encoded, False),
            ("a space before it", " " + secret_of(key), False),
            ("a line break after it", secret_of(key) + "\n", False),
            ("a line break inside", secret_of(key)[:20] + "\n" + secret_of(key)[20:], False),
            ("no padding", secret_of(key).rstrip("="), False),
            ("too much padding", secret_of(key) + "=", False),
            ("the URL-safe alphabet", "whsec_" + base64.urlsafe_b64encode(b"\xff" * 32).decode(), False),
            ("stray bits before the padding", secret_of(key)[:-2] + "9=", False),
            ("letters beyond ASCII", secret_of(key)[:-2] + "é=", False),
            ("a full stop", secret_of(key)[:-2] + ".=", False),
            ("null", None, False),
            ("a number", 5, False),
            ("a list without secrets", [], False),
            ("a list with one bad secret", [secret_of(key), "whsec_"], False),
        ]
    ]


def signatures() -> list[dict[str, Any]]:
    """Known answers. The first is the one in the test suites of the public packages, taken from there."""
    return [
        {
            "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "timestamp": 1614265330,
            "body": '{"test": 2432232314}',
            "signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
        {"secret": SECRET, "id": ID, "timestamp": NOW, "body": BODY, "signature": sign()},
        {"secret": SECRET, "id": ID, "timestamp": 0, "body": "", "signature": sign(timestamp=0, body="")},
        {"secret": SECRET, "id": ID, "timestamp": NOW, "body": "漢字 😀", "signature": sign(body="漢字 😀")},
    ]


def render() -> str:
    vectors = {
        "specification": "Standard Webhooks 1.0.0",
        "about": (
            "Give `body` both as text and as its UTF-8 bytes, `body_base64` as bytes, `body_value` as it is. "
            "`public`: the standardwebhooks packages of PyPI and npm define this outcome as well."
        ),
        "cases": [
            *accepted(),
            *refused_headers(),
            *refused_times(),
            *refused_signatures(),
            *refused_bodies(),
        ],
        "secrets": secrets(),
        "signatures": signatures(),
    }
    return json.dumps(vectors, indent=2) + "\n"


if __name__ == "__main__":
    VECTORS.write_text(render(), encoding="ascii")
