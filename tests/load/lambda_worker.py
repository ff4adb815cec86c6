"""One side of the Lambda comparison, in a process of its own: loads a handler, then runs as many invocations as it is
told to by each line of its standard input, and answers the CPU time that one of them took, in microseconds.

Events are made before the clock starts. CPU time is that of the whole process, all threads of it.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

from tests.load.lambda_homes import load_handler
from tests.load.samples import ACCEPTED, LambdaContext, gateway_event

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def run(handler: Handler, count: int, label: str) -> float:
    """Invoke the handler this often; microseconds of CPU time per invocation."""
    context = LambdaContext()
    events = [gateway_event(ACCEPTED, f"{label}-{number}") for number in range(count)]
    answers = []
    start = time.process_time_ns()
    for event in events:
        answers.append(handler(event, context))
    spent_ns = time.process_time_ns() - start
    refused = [answer for answer in answers if answer["statusCode"] != 201]
    if refused:
        raise SystemExit(f"{len(refused)} of {count} invocations did not answer 201; the first: {refused[0]}")
    return spent_ns / 1000 / count


def main() -> None:
    """Serve standard input: the side, the storage, then one number of invocations after another."""
    handler = load_handler(sys.argv[1], sys.argv[2])
    for number, line in enumerate(sys.stdin):
        print(run(handler, int(line), f"{time.time_ns():x}-{number}"), flush=True)


if __name__ == "__main__":
    main()
