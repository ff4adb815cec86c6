"""The command `payments-sandbox`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from handlers.settings import LOG_LEVELS, VERSION, LocalSettings, SettingsError

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

Every option can be given by environment too: SANDBOX_DB, SANDBOX_HOST,
SANDBOX_PORT, SANDBOX_CORS_ORIGINS, SANDBOX_LOG_LEVEL.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; answers the exit status: 0, 1 for what went wrong, 2 for words that it does not know."""
    try:
        settings = LocalSettings.from_environment()
    except SettingsError as error:
        return _fail(str(error))
    options = _parser(settings).parse_args(arguments)
    chosen = replace(
        settings, db=options.db, host=options.host, port=options.port, log_level=options.log_level
    )
    # Imported late: `--help` should not wait for a web server to load.
    from handlers.entrypoints.local import ServeError, serve

    try:
        serve(chosen, reset=options.reset)
    except ServeError as error:
        return _fail(str(error))
    return 0


def _parser(settings: LocalSettings) -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "payments-sandbox", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=raw
    )
    parser.add_argument("--version", action="version", version=f"payments-sandbox {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    serve = commands.add_parser(
        "serve",
        help="run the sandbox until it is interrupted",
        description="Serve the API, its documentation and the ledger until interrupted (Ctrl-C).",
    )
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
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)


def _fail(message: str) -> int:
    print(f"payments-sandbox: error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
