"""The words of the command line: its options, their forms, and the help that teaches them.

Does nothing: `cli.py` does. Whatever needs more than the standard library is imported when an option needs it, so that
`--help` is quick.
"""

import argparse
from collections.abc import Sequence
from difflib import get_close_matches

from payments_sandbox.domain.version import VERSION
from payments_sandbox.domain.webhooks import EVENT_TYPES, matches
from payments_sandbox.settings import LOG_LEVELS, ClientSettings, LocalSettings

_DESCRIPTION = """\
A card-payments sandbox on your own machine: authorize, capture, refund and void
against a durable ledger, with every issuer's answer on demand. No money moves.
"""

_EPILOG = """\
Try it:
  payments-sandbox serve
  curl -s http://127.0.0.1:8080/v1/authorize \\
    -H 'x-api-key: sk_test_demo' -H 'X-Idempotency-Key: order-1' \\
    -H 'Content-Type: application/json' \\
    -d '{"amount": 1051, "currency": "EUR",
         "card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2030}}'

  payments-sandbox listen --forward-to http://localhost:3000/hooks
  payments-sandbox trigger payment.captured

Every option of serve can be given by environment too: SANDBOX_DB, SANDBOX_HOST,
SANDBOX_PORT, SANDBOX_CORS_ORIGINS, SANDBOX_LOG_LEVEL. listen and trigger call the
sandbox at SANDBOX_URL with the key in SANDBOX_API_KEY.
"""

_KEY_HELP = """\
The API key is read from SANDBOX_API_KEY and is no option, so that it lands in no
shell history; for a sandbox on this machine the demo account's is the default.
"""

_LISTEN_DESCRIPTION = """\
Show the events of a sandbox, this machine's or a deployed one, until interrupted
(Ctrl-C); forward them, signed like webhooks, to a port that the sandbox cannot reach.
"""

_LISTEN_EPILOG = f"""\
Examples:
  payments-sandbox listen
  payments-sandbox listen --forward-to http://localhost:3000/hooks
  payments-sandbox listen --forward-to localhost:3000/hooks --events 'payment.*' --replay 5
  payments-sandbox listen --url https://sandbox.example.com/prod
  payments-sandbox listen --json | jq -r 'select(.kind == "event") | .event_id'

Give the signing secret that it prints to your receiver: the requests have the same
headers, signatures and bodies as webhooks (https://www.standardwebhooks.com).

{_KEY_HELP}"""

_TRIGGER_EPILOG = f"""\
Examples:
  payments-sandbox trigger --list
  payments-sandbox trigger payment.captured
  payments-sandbox trigger payment.captured --on auth_a4gbyy22n7u252hjyacniu4l2 --set amount=1200
  payments-sandbox trigger payment.refunded --set amount=500 --set metadata.order=7
  payments-sandbox trigger payment.authorized --set currency=JPY --set card.number=5555555555554444
  payments-sandbox trigger payment.capture_declined --simulate insufficient_funds

Amounts count the currency's minor unit: 1200 is 12.00 EUR, 1200 JPY.

{_KEY_HELP}"""

_REPLAY_MAX = 10_000
_RAW = argparse.RawDescriptionHelpFormatter


def build_parser(settings: LocalSettings, client: ClientSettings) -> argparse.ArgumentParser:
    """The parser of every command; its result says in `command` which one. The settings are the options' defaults."""
    parser = argparse.ArgumentParser(
        "payments-sandbox", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=_RAW
    )
    parser.add_argument("--version", action="version", version=f"payments-sandbox {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    _add_serve(
        commands.add_parser(
            "serve",
            help="run the sandbox until it is interrupted",
            description="Serve the API, its documentation and the ledger until interrupted (Ctrl-C).",
        ),
        settings,
    )
    _add_listen(
        commands.add_parser(
            "listen",
            help="show events as they happen, and forward them to a local port",
            description=_LISTEN_DESCRIPTION,
            epilog=_LISTEN_EPILOG,
            formatter_class=_RAW,
        ),
        client,
    )
    _add_trigger(
        commands.add_parser(
            "trigger",
            help="make an event happen by real operations",
            description="Make an event happen by the operations that lead to it, on a new authorization or on yours.",
            epilog=_TRIGGER_EPILOG,
            formatter_class=_RAW,
        ),
        client,
    )
    return parser


def _add_serve(serve: argparse.ArgumentParser, settings: LocalSettings) -> None:
    serve.add_argument("--host", default=settings.host, help="address to listen on (default: %(default)s)")
    serve.add_argument(
        "--port",
        type=_port,
        default=settings.port,
        help="port to listen on; 0 takes a free one (default: %(default)s)",
    )
    serve.add_argument(
        "--db",
        metavar="FILE",
        default=settings.db,
        help="the ledger's file, made when it is not there; its key lies beside it in FILE.key (default: %(default)s)",
    )
    serve.add_argument(
        "--reset", action="store_true", help="delete the ledger and its key first, and start anew"
    )
    serve.add_argument(
        "--log-level",
        choices=LOG_LEVELS,
        default=settings.log_level,
        help="what to log on standard error, as JSON lines; info logs every request (default: %(default)s)",
    )


def _add_listen(listen: argparse.ArgumentParser, client: ClientSettings) -> None:
    _add_url(listen, client)
    listen.add_argument(
        "--forward-to",
        metavar="URL",
        type=_url,
        help="where to POST each event; without it they are only shown",
    )
    listen.add_argument(
        "--events",
        metavar="TYPES",
        type=_patterns,
        default=("*",),
        help="comma-separated types, such as 'payment.captured,payment.refunded' or 'payment.*' (default: all)",
    )
    listen.add_argument(
        "--replay", metavar="N", type=_count, default=0, help="start with the last N events, the oldest first"
    )
    listen.add_argument(
        "--secret",
        metavar="WHSEC",
        type=_secret,
        help="sign with this secret, not with the one made from the key",
    )
    _add_json(listen)


def _add_trigger(trigger: argparse.ArgumentParser, client: ClientSettings) -> None:
    what = trigger.add_mutually_exclusive_group(required=True)
    what.add_argument("event", metavar="EVENT", nargs="?", help="the event's type, such as payment.captured")
    what.add_argument("--list", action="store_true", help="list the events that can be triggered")
    _add_url(trigger, client)
    trigger.add_argument("--on", metavar="AUTH", help="use this authorization instead of a new one")
    trigger.add_argument(
        "--set",
        metavar="KEY=VALUE",
        type=_assignment,
        action="append",
        default=[],
        help="set a field of the last operation's request; currency and card.* go to the new authorization",
    )
    trigger.add_argument(
        "--simulate",
        metavar="OUTCOME",
        help="the last operation's X-Sandbox-Simulate, such as insufficient_funds or response_code=51",
    )
    _add_json(trigger)


def _add_url(parser: argparse.ArgumentParser, client: ClientSettings) -> None:
    parser.add_argument(
        "--url", type=_sandbox_url, default=client.url, help="the sandbox (SANDBOX_URL; default: %(default)s)"
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def _sandbox_url(text: str) -> str:
    from payments_sandbox.entrypoints.api_client import parse_url

    return parse_url(text)


def _url(text: str) -> str:
    from payments_sandbox.entrypoints.api_client import with_scheme

    return with_scheme(text)


def _secret(text: str) -> bytes:
    from payments_sandbox.entrypoints.listen import parse_secret

    return parse_secret(text)


def _assignment(text: str) -> object:
    from payments_sandbox.entrypoints.trigger import parse_assignment

    return parse_assignment(text)


def _patterns(text: str) -> tuple[str, ...]:
    patterns = tuple(part.strip() for part in text.split(",") if part.strip())
    known = set(EVENT_TYPES.values())
    for pattern in patterns:
        if not any(matches([pattern], event_type) for event_type in known):
            raise argparse.ArgumentTypeError(no_such_event(pattern, sorted(known)))
    if not patterns:
        raise argparse.ArgumentTypeError("no event is named; leave the option out for all of them")
    return patterns


def no_such_event(text: str, known: Sequence[str]) -> str:
    """What to say of a type that nothing is known of, in one line."""
    close = get_close_matches(text, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return f"{text!r} is no event that can be asked for; {hint}"


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= _REPLAY_MAX):
        raise argparse.ArgumentTypeError(f"a number from 0 to {_REPLAY_MAX}")
    return int(text)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)
