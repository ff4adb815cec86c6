"""The command `payments-sandbox`."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING

from handlers.domain.version import VERSION
from handlers.domain.webhooks import EVENT_TYPES, matches
from handlers.settings import LOG_LEVELS, ClientSettings, LocalSettings, SettingsError

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

_LISTEN_EPILOG = f"""\
Examples:
  payments-sandbox listen
  payments-sandbox listen --forward-to http://localhost:3000/hooks
  payments-sandbox listen --forward-to localhost:3000/hooks --events 'payment.*' --replay 5
  SANDBOX_API_KEY=sk_test_... payments-sandbox listen --url https://sandbox.example.com/prod
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

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; answers the exit status: 0, 1 for what went wrong, 2 for words that it does not know."""
    try:
        parser = _parser(LocalSettings.from_environment(), ClientSettings.from_environment())
        options = parser.parse_args(arguments)
        return int(options.run(options))
    except SettingsError as error:
        return _fail(str(error))
    except BrokenPipeError:
        # Whoever read the output has seen enough; what is still buffered must not fail when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


# What the commands need is imported late: `--help` should not wait for a web server to load.


def _serve(settings: LocalSettings, options: argparse.Namespace) -> int:
    from handlers.entrypoints.local import ServeError, serve

    chosen = replace(
        settings, db=options.db, host=options.host, port=options.port, log_level=options.log_level
    )
    try:
        serve(chosen, reset=options.reset)
    except ServeError as error:
        return _fail(str(error))
    return 0


def _listen(settings: ClientSettings, options: argparse.Namespace) -> int:
    from handlers.entrypoints.api_client import choose_api_key
    from handlers.entrypoints.listen import ListenOptions, derive_secret, listen
    from handlers.entrypoints.terminal import Terminal

    key = choose_api_key(settings, options.url)
    secret = options.secret or derive_secret(key)
    chosen = ListenOptions(options.url, key, options.forward_to, options.events, options.replay, secret)
    return listen(chosen, Terminal(sys.stdout, sys.stderr, as_json=options.json))


def _trigger(settings: ClientSettings, parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    from handlers.entrypoints.api_client import ApiClient, choose_api_key
    from handlers.entrypoints.terminal import Terminal
    from handlers.entrypoints.trigger import RECIPES, UsageError, list_recipes, trigger

    terminal = Terminal(sys.stdout, sys.stderr, as_json=options.json)
    if options.list:
        return list_recipes(terminal)
    if options.event not in RECIPES:
        parser.error(_no_such_event(options.event, list(RECIPES)))
    with ApiClient(options.url, choose_api_key(settings, options.url)) as api:
        try:
            return trigger(
                options.event,
                api,
                terminal,
                on=options.on,
                assignments=options.set,
                simulate=options.simulate,
            )
        except UsageError as error:
            parser.error(str(error))


def _parser(settings: LocalSettings, client: ClientSettings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "payments-sandbox", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=_RAW
    )
    parser.add_argument("--version", action="version", version=f"payments-sandbox {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_serve(commands, settings)
    _add_listen(commands, client)
    _add_trigger(commands, client)
    return parser


def _add_serve(commands: _Commands, settings: LocalSettings) -> None:
    serve = commands.add_parser(
        "serve",
        help="run the sandbox until it is interrupted",
        description="Serve the API, its documentation and the ledger until interrupted (Ctrl-C).",
    )
    serve.set_defaults(run=partial(_serve, settings))
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


def _add_listen(commands: _Commands, client: ClientSettings) -> None:
    listen = commands.add_parser(
        "listen",
        help="show events as they happen, and forward them to a local port",
        description="Show the events of a sandbox, this machine's or a deployed one, until interrupted (Ctrl-C);\n"
        "forward them, signed like webhooks, to a port that the sandbox itself cannot reach.",
        epilog=_LISTEN_EPILOG,
        formatter_class=_RAW,
    )
    listen.set_defaults(run=partial(_listen, client))
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


def _add_trigger(commands: _Commands, client: ClientSettings) -> None:
    trigger = commands.add_parser(
        "trigger",
        help="make an event happen by real operations",
        description="Make an event happen by the operations that lead to it, on a new authorization or on yours.",
        epilog=_TRIGGER_EPILOG,
        formatter_class=_RAW,
    )
    trigger.set_defaults(run=partial(_trigger, client, trigger))
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
    from handlers.entrypoints.api_client import parse_url

    return parse_url(text)


def _url(text: str) -> str:
    from handlers.entrypoints.api_client import with_scheme

    return with_scheme(text)


def _secret(text: str) -> bytes:
    from handlers.entrypoints.listen import parse_secret

    return parse_secret(text)


def _assignment(text: str) -> object:
    from handlers.entrypoints.trigger import parse_assignment

    return parse_assignment(text)


def _patterns(text: str) -> tuple[str, ...]:
    patterns = tuple(part.strip() for part in text.split(",") if part.strip())
    known = set(EVENT_TYPES.values())
    for pattern in patterns:
        if not any(matches([pattern], event_type) for event_type in known):
            raise argparse.ArgumentTypeError(_no_such_event(pattern, sorted(known)))
    if not patterns:
        raise argparse.ArgumentTypeError("no event is named; leave the option out for all of them")
    return patterns


def _no_such_event(text: str, known: Sequence[str]) -> str:
    close = get_close_matches(text, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return f"{text!r} is no event here; {hint}"


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= _REPLAY_MAX):
        raise argparse.ArgumentTypeError(f"a number from 0 to {_REPLAY_MAX}")
    return int(text)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)


def _fail(message: str) -> int:
    print(f"payments-sandbox: error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
