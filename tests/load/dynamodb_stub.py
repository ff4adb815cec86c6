"""A stand-in for DynamoDB that accepts every PutItem and keeps nothing; run as a process of its own.

It is there so that boto3 does all the work that it does for a real table, on both sides of the comparison, while the
table's own work is in nobody's CPU time. The one thing it knows is the sample's API key, which ours looks up every few
seconds. Prints its port and ends when its standard input does.
"""

import json
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from payments_sandbox.adapters.dynamodb.items import item_key, to_item
from tests.load.lambda_homes import key_record

KEY = key_record()
# The API key's record is in no index, so there are no shards to say.
ANSWERS = {"PutItem": b"{}", "GetItem": json.dumps({"Item": to_item(KEY, {})}).encode()}


class Table(BaseHTTPRequestHandler):
    """Answers PutItem with an empty result and GetItem with the API key, anything else with 400."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_POST(self) -> None:
        """Answer one operation."""
        request = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        answer = ANSWERS.get(self.headers.get("x-amz-target", "").partition(".")[2])
        known = answer is not None and request.get("Key", item_key(KEY.id)) == item_key(KEY.id)
        body = answer if answer and known else b"{}"
        self.send_response(200 if answer else 400)
        self.send_header("content-type", "application/x-amz-json-1.0")
        self.send_header("content-length", str(len(body)))
        self.send_header("x-amz-crc32", str(zlib.crc32(body)))
        self.send_header("x-amzn-requestid", "BENCH0000000000000000000000000000000000000000000000")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Say nothing."""


def main() -> None:
    """Serve until standard input ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Table)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
