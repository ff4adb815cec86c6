"""One cold start: import the handler from a bundle, answer one request, print what it took; run with `python -I -S`.

Arguments: the bundle's directory, the handler's module in it, and a file with the event. Nothing of this repository is
imported besides the bundle, and nothing of the environment's packages: what the bundle lacks is missing here too.
"""

import json
import sys
import time

STARTED = time.perf_counter_ns(), time.process_time_ns()


def main() -> None:
    """Import, answer, print."""
    bundle, module, event_file = sys.argv[1:]
    sys.path.insert(0, bundle)
    with open(event_file, encoding="utf-8") as source:  # noqa: PTH123  # pathlib would be charged to both sides
        event = json.load(source)
    handler = __import__(module, fromlist=["handler"]).handler

    class Context:
        aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
        function_name = "payments"
        memory_limit_in_mb = "1024"

    answer = handler(event, Context())
    wall_ns, cpu_ns = time.perf_counter_ns() - STARTED[0], time.process_time_ns() - STARTED[1]
    if answer["statusCode"] != 201:
        raise SystemExit(f"the first request was answered {answer}")
    print(json.dumps({"wall_ms": wall_ns / 1e6, "cpu_ms": cpu_ns / 1e6, "modules": len(sys.modules)}))


if __name__ == "__main__":
    main()
