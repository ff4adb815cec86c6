"""What of the installed packages goes into the bundle.

Two things are left out: distributions that no Lambda function loads, and files that nothing reads at run time. Each
omission has its reason here, and the tests import every function from a bundle without them.
"""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

UNUSED_DISTRIBUTIONS: Final = {
    "attrs": "of jsonschema",
    "certifi": "botocore brings its own certificates, webhooks are sent by those of the system",
    "charset-normalizer": "of requests",
    "httpcore": "of httpx",
    "httpx": "Connexion's test client",
    "idna": "for host names that are not ASCII, in clients that are called with AWS's only",
    "jinja2": "templates, and contracts with templates in them",
    "jsonschema": "validates the contract, which the build has done",
    "jsonschema-specifications": "of jsonschema",
    "markupsafe": "of Jinja",
    "pycparser": "compiles what cffi has compiled",
    "python-multipart": "forms: the contract has none",
    "pyyaml": "the contract is prepared as JSON",
    "referencing": "of jsonschema",
    "requests": "contracts at a URL, and OAuth",
    "rpds-py": "of jsonschema",
    "werkzeug": "WSGI",
}
"""Locked because Connexion requires them, and imported as stand-ins in Lambda: see `handlers/payments_sandbox/entrypoints/lean_imports.py`."""

AWS_SERVICES: Final = ("apigateway", "dynamodb", "kms", "sns", "sqs")
"""What the adapters call. botocore describes 400 services, in 22 MB."""

BOTOCORE_DATA: Final = (
    "_retry.json",
    "endpoints.json",
    "partitions.json",
    "sdk-default-configuration.json",
    *AWS_SERVICES,
)

EMBEDDED_ONLY: Final = (
    "payments_sandbox/adapters/sqlite",
    *(
        f"payments_sandbox/entrypoints/{name}.py"
        for name in (
            "api_client",
            "arguments",
            "cli",
            "connection_cutting",
            "event_feed",
            "forwarding",
            "listen",
            "local",
            "pace",
            "prepare_contract",
            "terminal",
            "trigger",
            "trigger_disputes",
            "trigger_run",
        )
    ),
)
"""What runs on a developer's machine: the command line, its server and its ledger."""

_ENDPOINTS: Final = PurePosixPath("botocore/data/endpoints.json")
_UNREAD_SUFFIXES: Final = (".c", ".h", ".pyi", ".rst")
_UNREAD_NAMES: Final = frozenset({"examples-1.json", "py.typed"})
_UNREAD_DIRECTORIES: Final = frozenset({"__pycache__", "test", "tests"})
UNREAD_PATHS: Final = (
    "anyio/_backends/_trio.py",  # another event loop
    "anyio/pytest_plugin.py",
    "bin",  # commands
    "boto3/data",  # descriptions of boto3's resources: the adapters call clients
    "boto3/examples",
    "botocore/stub.py",  # for tests
    "cffi",  # its compiler; cryptography loads `_cffi_backend`
    "cryptography/hazmat/primitives/asymmetric",
    "cryptography/hazmat/primitives/serialization",
    "cryptography/x509",
    "dateutil/rrule.py",  # recurrences, of calendars
    "dateutil/zoneinfo",  # a copy of the time zone database: nothing here asks for a zone
    "s3transfer/crt.py",  # other ways to reach S3, which nothing here does
    "s3transfer/processpool.py",
    "starlette/testclient.py",  # imported as a stand-in
    "urllib3/contrib/emscripten",  # for browsers
    "urllib3/contrib/pyopenssl.py",
)
"""Parts of the packages that are not among what functions load: cryptography seals webhook secrets, and no more."""


def packaged_files(directory: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Path in the bundle and content of each file of the installed packages that is needed; in no particular order."""
    for path in directory.rglob("*"):
        name = PurePosixPath(path.relative_to(directory).as_posix())
        if path.is_file() and _is_needed(name):
            content = path.read_bytes()
            yield name, _endpoints_of_called_services(content) if name == _ENDPOINTS else content


def handler_files(root: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Path in the bundle and content of each source that Lambda runs, from the repository at root."""
    source_root = root / "handlers"
    for path in source_root.rglob("*.py"):
        name = PurePosixPath(path.relative_to(source_root).as_posix())
        if not any(name.is_relative_to(local) for local in EMBEDDED_ONLY):
            yield name, path.read_bytes()


def _is_needed(name: PurePosixPath) -> bool:
    # Nothing that is bundled asks for metadata of a package when it runs. Files at the top that begin with a dot are
    # this build's own notes.
    if name.parts[0].endswith(".dist-info") or name.parts[0].startswith("."):
        return False
    if name.name in _UNREAD_NAMES or name.suffix in _UNREAD_SUFFIXES:
        return False
    if not _UNREAD_DIRECTORIES.isdisjoint(name.parts[:-1]):
        return False
    if name.parts[:2] == ("botocore", "data"):
        return name.parts[2] in BOTOCORE_DATA
    return not any(name.is_relative_to(path) for path in UNREAD_PATHS)


def _endpoints_of_called_services(content: bytes) -> bytes:
    """botocore's table of endpoints, with every partition and region and the called services only.

    It is read at the start of each client's session: whole, it takes 30 ms of a cold start.
    """
    table = json.loads(content)
    for partition in table["partitions"]:
        partition["services"] = {
            name: service for name, service in partition["services"].items() if name in AWS_SERVICES
        }
    return json.dumps(table, separators=(",", ":")).encode()
