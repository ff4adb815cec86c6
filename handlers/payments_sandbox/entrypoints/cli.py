"""The command `payments-sandbox`: its words are in `arguments.py`, what they do in a module for each command."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace

from payments_sandbox.entrypoints.arguments import build_parser, no_such_event
from payments_sandbox.entrypoints.lean_imports import LEFT_OUT_LOCALLY, lean_imports
from payments_sandbox.settings import ClientSettings, LocalSettings, SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; answers the exit status: 0, 1 for what went wrong, 2 for words that it does not know."""
    try:
        settings, client = LocalSettings.from_environment(), ClientSettings.from_environment()
        parser = build_parser(settings, client)
        options = parser.parse_args(arguments)
        match options.command:
            case "serve":
                return _serve(settings, options)
            case "listen":
                return _listen(client, options)
            case None:
                # Whoever does not know what to ask for is told all there is.
                parser.print_help(sys.stderr)
                return 2
            case _:
                return _trigger(client, parser, options)
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
    with lean_imports(LEFT_OUT_LOCALLY):
        from payments_sandbox.entrypoints.local import ServeError, serve

    chosen = replace(
        settings, db=options.db, host=options.host, port=options.port, log_level=options.log_level
    )
    try:
        serve(chosen, reset=options.reset)
    except ServeError as error:
        return _fail(str(error))
    return 0


def _listen(settings: ClientSettings, options: argparse.Namespace) -> int:
    from payments_sandbox.entrypoints.api_client import choose_api_key
    from payments_sandbox.entrypoints.listen import ListenOptions, derive_secret, listen
    from payments_sandbox.entrypoints.terminal import Terminal

    key = choose_api_key(settings, options.url)
    secret = options.secret or derive_secret(key)
    chosen = ListenOptions(options.url, key, options.forward_to, options.events, options.replay, secret)
    return listen(chosen, Terminal(sys.stdout, sys.stderr, as_json=options.json))


def _trigger(settings: ClientSettings, parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    from payments_sandbox.entrypoints.api_client import ApiClient, choose_api_key
    from payments_sandbox.entrypoints.terminal import Terminal
    from payments_sandbox.entrypoints.trigger import EVENTS, list_recipes, trigger
    from payments_sandbox.entrypoints.trigger_run import UsageError

    terminal = Terminal(sys.stdout, sys.stderr, as_json=options.json)
    if options.list:
        return list_recipes(terminal)
    if options.event not in EVENTS:
        parser.error(no_such_event(options.event, list(EVENTS)))
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


def _fail(message: str) -> int:
    print(f"payments-sandbox: error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
