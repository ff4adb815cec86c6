"""`make explore`: run everything that draws examples, again and again, each round from another seed.

That is every Hypothesis test (which pytest marks `hypothesis`) and what is marked `explored`: the state machines and the
fuzzing of the contract; with `--typescript` also the properties of the TypeScript verifier. The number of examples is that of `make test`; only the seed differs. The first failure ends the
run, and the last line says how to repeat it.
"""

import argparse
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
SEED_MAX: Final = 2**32 - 1


def explore(
    first_seed: int,
    *,
    minutes: float,
    rounds: int | None,
    run: Callable[[int], int],
    now_s: Callable[[], float] = time.monotonic,
) -> int:
    """Run rounds until the time is over, or as many as given; answers the exit code of the last one.

    No round begins when the time is over; one that has begun is finished. run: runs the round of a seed.
    """
    ends_at = now_s() + minutes * 60
    seeds: list[int] = []
    while (rounds is None and (not seeds or now_s() < ends_at)) or len(seeds) < (rounds or 0):
        seed = (first_seed + len(seeds)) % (SEED_MAX + 1)
        seeds.append(seed)
        print(f"round {len(seeds)}: seed {seed}", flush=True)
        code = run(seed)
        if code != 0:
            print(f"failed with seed {seed}; to repeat: make explore SEED={seed} ROUNDS=1", flush=True)
            return code
    print(f"passed with seeds {', '.join(map(str, seeds))}", flush=True)
    return 0


def run_round(seed: int, arguments: Sequence[str], *, typescript: bool) -> int:
    """Run each test once; Hypothesis, Schemathesis and fast-check draw from this seed. Answers an exit code.

    arguments: pytest's, to narrow the run.
    """
    pytest = [sys.executable, "-m", "pytest", "-q", "-m", "hypothesis or explored"]
    commands = [[*pytest, "--hypothesis-profile=explore", f"--hypothesis-seed={seed}", *arguments]]
    if typescript:
        commands.append(["make", "--no-print-directory", "test-typescript"])
    environment = {**os.environ, "FUZZ_SEED": str(seed), "EXPLORE_SEED": str(seed)}
    for command in commands:
        done = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            return done.returncode
    return 0


def main() -> int:
    """Read the command line. Arguments that are not its own are pytest's."""
    parser = argparse.ArgumentParser(prog="make explore", description=__doc__, allow_abbrev=False)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long rounds begin (default: 10)")
    parser.add_argument("--rounds", type=int, help="how many rounds, whatever the time")
    parser.add_argument("--seed", type=int, help="the first round's seed (default: a random one)")
    parser.add_argument("--typescript", action="store_true", help="also the TypeScript verifier")
    options, arguments = parser.parse_known_args()
    seed = secrets.randbelow(SEED_MAX + 1) if options.seed is None else options.seed
    return explore(
        seed,
        minutes=options.minutes,
        rounds=options.rounds,
        run=lambda seed: run_round(seed, arguments, typescript=options.typescript),
    )


if __name__ == "__main__":
    sys.exit(main())
