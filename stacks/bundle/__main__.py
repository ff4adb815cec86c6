"""`python -m stacks.bundle`: builds build/lambda.zip and prints its size."""

import argparse
import subprocess
import sys
from pathlib import Path

from stacks.bundle.build import BundleTooLarge, build_bundle
from stacks.bundle.bytecode import WrongInterpreter
from stacks.bundle.contents import UNUSED_DISTRIBUTIONS
from stacks.bundle.targets import ROOT, LockError, fetch_for_lambda


def main() -> None:
    """Fetch, build, print."""
    arguments = _parse()
    try:
        packages = fetch_for_lambda(arguments.packages, without=UNUSED_DISTRIBUTIONS)
        if not arguments.fetch_only:
            print(build_bundle(packages, arguments.out, python=arguments.python or None))
    except (BundleTooLarge, LockError, WrongInterpreter) as error:
        sys.exit(f"error: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {error}; what it said stands above")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stacks.bundle", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "lambda.zip")
    parser.add_argument(
        "--packages", type=Path, default=ROOT / ".venv" / "lambda", help="where wheels are kept"
    )
    parser.add_argument("--fetch-only", action="store_true", help="fetch the wheels and build nothing")
    parser.add_argument(
        "--python", help="CPython 3.12, to compile with; none, or an empty one, leaves sources"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
