"""The arrows of the package, and the rules that a reader may rely on without looking: drawn from the source itself.

A rule takes one module and yields what is wrong with it; it reads the syntax tree and imports nothing. Every rule is
also shown a module that breaks it, so that none of them can pass by having gone blind. To add a rule, write it, put it
in `RULES` and add its examples.
"""

import ast
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests.each_case import each_case

ROOT = Path(__file__).resolve().parents[2]

# What each layer may import of the package; of all the rest, the pure layers may import the standard library only.
ARROWS = {
    "payments_sandbox.domain": ("payments_sandbox.domain",),
    "payments_sandbox.services": ("payments_sandbox.domain", "payments_sandbox.services"),
    "payments_sandbox.http": (
        "payments_sandbox.domain",
        "payments_sandbox.services",
        "payments_sandbox.http",
    ),
    "payments_sandbox.workers": (
        "payments_sandbox.domain",
        "payments_sandbox.services",
        "payments_sandbox.workers",
    ),
    "payments_sandbox.adapters": (
        "payments_sandbox.domain",
        "payments_sandbox.services",
        "payments_sandbox.adapters",
    ),
    "payments_sandbox.settings": ("payments_sandbox.domain", "payments_sandbox.settings"),
    "payments_sandbox.bootstrap": (
        "payments_sandbox.domain",
        "payments_sandbox.services",
        "payments_sandbox.http",
        "payments_sandbox.workers",
        "payments_sandbox.adapters",
        "payments_sandbox.settings",
        "payments_sandbox.bootstrap",
    ),
    "payments_sandbox.entrypoints": ("payments_sandbox",),
}

# Inside a layer: the rooms, and which others each may import. Next to the rooms stands what all of them may import.
ROOMS: dict[str, dict[str, tuple[str, ...]]] = {
    "payments_sandbox.services": {
        "ledger": (),
        "accounts": ("ledger",),
        "disputes": ("ledger", "accounts"),
        "payments": ("ledger", "disputes"),
        "settlement": ("ledger", "accounts"),
        "events": ("ledger", "disputes", "payments", "settlement"),
        "webhooks": ("ledger", "accounts", "events"),
        "time": ("ledger", "accounts", "disputes", "payments", "settlement", "events", "webhooks"),
        "simulation": ("ledger", "accounts", "disputes", "settlement", "events", "webhooks"),
    },
    "payments_sandbox.http": {
        "reading": (),
        "operations": (),
        "pipeline": ("reading", "operations"),
    },
}
PURE_LAYERS = ("payments_sandbox.domain", "payments_sandbox.services")
STORAGE_LIBRARIES = ("boto3", "botocore", "mypy_boto3_dynamodb", "sqlite3")
ENVIRONMENT = ("os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv")
CONFIGURATION = ("pulumi.Config", "pulumi.get_stack", "pulumi.runtime")
CLOCKS = (
    "time.time",
    "time.time_ns",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
)
REQUEST_PATHS = ("path", "raw_path")
RANDOMNESS = ("random", "secrets", "uuid", "os.urandom", "ssl.RAND_bytes")
VAGUE_NAMES = frozenset({"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"})

# Where catching everything and going on is right, and why.
CATCHES_EVERYTHING = {
    "payments_sandbox.workers.due": "due work nobody waits for: logs the error with its record's id, and leaves the work due",
    "payments_sandbox.http.pipeline.boundary": "the outermost ASGI layer: logs the error with its request id and answers a bare 500",
}


@dataclass(frozen=True)
class Module:
    """name: dotted, as it is imported."""

    name: str
    tree: ast.Module
    is_package: bool = False

    def within(self, *packages: str) -> bool:
        return any(_is_or_in(self.name, package) for package in packages)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @cached_property
    def imports(self) -> list[tuple[int, str]]:
        """Line and dotted name of everything imported anywhere in the module; `from a import b` gives `a.b`."""
        found = []
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found += [(node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = self._base_of(node)
                found += [
                    (node.lineno, base if alias.name == "*" else f"{base}.{alias.name}")
                    for alias in node.names
                ]
        return found

    def uses(self) -> Iterator[tuple[int, str]]:
        """Line and dotted name of everything imported or reached through an import, whatever it is called here."""
        bound: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    bound[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    bound[alias.asname or alias.name] = f"{self._base_of(node)}.{alias.name}"
        yield from self.imports
        for node in self.nodes:
            if isinstance(node, ast.Attribute | ast.Name) and (dotted := _dotted(node)):
                first, _, rest = dotted.partition(".")
                if first in bound:
                    yield node.lineno, f"{bound[first]}.{rest}" if rest else bound[first]

    def _base_of(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        package = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*package, *([node.module] if node.module else [])])


Rule = Callable[[Module], Iterator[str]]


def imports_follow_the_arrows(module: Module) -> Iterator[str]:
    allowed = next((ARROWS[layer] for layer in ARROWS if _is_or_in(module.name, layer)), None)
    if allowed is None:
        return
    for line, name in module.imports:
        if _is_or_in(name, "payments_sandbox"):
            if not any(_is_or_in(name, layer) for layer in allowed):
                yield f"{line}: {module.name} must not import {name}"
        elif module.within(*PURE_LAYERS) and name.partition(".")[0] not in sys.stdlib_module_names:
            yield f"{line}: {module.name} imports the standard library only, not {name}"


def every_module_of_the_package_is_in_a_layer(module: Module) -> Iterator[str]:
    if module.within("payments_sandbox") and module.name != "payments_sandbox" and not module.within(*ARROWS):
        yield f"1: {module.name} is in no layer that the arrows know"


def rooms_follow_their_arrows(module: Module) -> Iterator[str]:
    for layer, rooms in ROOMS.items():
        if not module.within(layer):
            continue
        room = _room_of(module.name, layer)
        if module.is_package and room and room not in rooms:
            yield f"1: {module.name} is a room that no arrow knows"
        allowed = {room, *rooms.get(room, ())}
        for line, name in module.imports:
            other = _room_of(name, layer)
            if other in rooms and other not in allowed:
                yield f"{line}: {module.name} must not import {name}"


def stacks_and_the_package_never_meet(module: Module) -> Iterator[str]:
    for package, other in (("payments_sandbox", "stacks"), ("stacks", "payments_sandbox")):
        for line, name in module.imports if module.within(package) else ():
            if _is_or_in(name, other):
                yield f"{line}: {package} must not import {name}: they meet at environment variables"


def stacks_are_configured_in_one_place(module: Module) -> Iterator[str]:
    # The policy pack is a program of its own, which is told nothing but the stack's name.
    if module.within("stacks") and not module.within("stacks.settings", "stacks.policy.__main__"):
        for line, name in module.uses():
            if any(_is_or_in(name, source) for source in (*ENVIRONMENT, *CONFIGURATION)):
                yield f"{line}: {name} is read in stacks.settings only: dev and prod differ in settings"


def the_gateways_document_knows_no_pulumi(module: Module) -> Iterator[str]:
    for line, name in module.imports if module.within("stacks.gateway") else ():
        if name.partition(".")[0].startswith("pulumi"):
            yield f"{line}: {module.name} is plain data, and must not import {name}"


def storage_libraries_stay_in_adapters(module: Module) -> Iterator[str]:
    if module.within("payments_sandbox") and not module.within("payments_sandbox.adapters"):
        for line, name in module.imports:
            for library in STORAGE_LIBRARIES:
                if _is_or_in(name, library):
                    yield f"{line}: {name} belongs in payments_sandbox.adapters"


def only_settings_read_the_environment(module: Module) -> Iterator[str]:
    if module.within("payments_sandbox") and not module.within("payments_sandbox.settings"):
        for line, name in module.uses():
            if any(_is_or_in(name, source) for source in ENVIRONMENT):
                yield f"{line}: {name} is read in payments_sandbox.settings only"


def time_and_randomness_come_from_the_system_adapters(module: Module) -> Iterator[str]:
    if module.within("payments_sandbox") and not module.within("payments_sandbox.adapters.system"):
        for line, name in module.uses():
            if any(_is_or_in(name, source) for source in CLOCKS + RANDOMNESS):
                yield f"{line}: {name} is called in payments_sandbox.adapters.system only: take the port"


def one_module_reads_the_path_of_a_request(module: Module) -> Iterator[str]:
    if not module.within("payments_sandbox") or module.within("payments_sandbox.http.pipeline.routing"):
        return
    for node in module.nodes:
        if isinstance(node, ast.Subscript) and (_dotted(node.value) or "").endswith("scope"):
            key: ast.expr | None = node.slice
        elif isinstance(node, ast.Call) and (_dotted(node.func) or "").endswith("scope.get"):
            key = next(iter(node.args), None)
        else:
            continue
        if isinstance(key, ast.Constant) and key.value in REQUEST_PATHS:
            yield f"{node.lineno}: payments_sandbox.http.pipeline.routing alone reads the path of a request"


def money_knows_no_floats(module: Module) -> Iterator[str]:
    if not module.within(*PURE_LAYERS):
        return
    for node in module.nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield f"{node.lineno}: the float {node.value!r}"
        elif isinstance(node, ast.Name) and node.id in {"float", "complex"}:
            yield f"{node.lineno}: {node.id}"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield f"{node.lineno}: true division: use divmod or //"


def nothing_catches_everything_and_goes_on(module: Module) -> Iterator[str]:
    if module.within("payments_sandbox", "stacks") and module.name not in CATCHES_EVERYTHING:
        yield from _blind_excepts(module)


def no_module_has_a_vague_name(module: Module) -> Iterator[str]:
    for part in module.name.split("."):
        if part in VAGUE_NAMES:
            yield f"1: {module.name}: a module is named for what it holds, not {part!r}"


def every_module_says_what_it_is(module: Module) -> Iterator[str]:
    if not (ast.get_docstring(module.tree) or "").strip():
        yield f"1: {module.name} has no docstring"


def every_public_service_says_what_it_does(module: Module) -> Iterator[str]:
    if module.within("payments_sandbox.services"):
        for function in _public_functions(module.tree):
            if not ast.get_docstring(function):
                yield f"{function.lineno}: {module.name}.{function.name} has no docstring"


def circles(arrows: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Every set of modules that import each other, in a circle of any length. arrows: from a module to what it imports."""
    order = TopologicalSorter(arrows)
    found = []
    while True:
        try:
            order.prepare()
        except CycleError as error:
            circle: list[str] = error.args[1]
            found.append(circle)
            arrows = {name: [to for to in arrows[name] if {name, to} - set(circle)] for name in arrows}
            order = TopologicalSorter(arrows)
        else:
            return found


def arrows_between(modules: Sequence[Module]) -> dict[str, set[str]]:
    """From each module to the modules that it imports, at its top or within a function."""
    names = {module.name for module in modules}
    arrows: dict[str, set[str]] = {}
    for module in modules:
        imported = {name for _, name in module.imports}
        # `from a import b` names the module `a.b`, or a name in the module `a`.
        known = {name if name in names else name.rpartition(".")[0] for name in imported}
        arrows[module.name] = (known & names) - {module.name}
    return arrows


def _room_of(name: str, layer: str) -> str:
    """The first part of the name inside the layer; empty when there is none."""
    return name.removeprefix(layer + ".").partition(".")[0] if name.startswith(layer + ".") else ""


def _blind_excepts(module: Module) -> Iterator[str]:
    for node in module.nodes:
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = {_dotted(kind) if kind is not None else "" for kind in kinds}
            blind = names & {"", "Exception", "BaseException", "builtins.Exception", "builtins.BaseException"}
            if blind and not isinstance(node.body[-1], ast.Raise):
                yield f"{node.lineno}: catches everything and goes on"
        elif isinstance(node, ast.Call) and (_dotted(node.func) or "").endswith("suppress"):
            names = {_dotted(argument) for argument in node.args}
            yield from (
                f"{node.lineno}: suppresses {name}" for name in names & {"Exception", "BaseException"}
            )


def _public_functions(body: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in body.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _public_functions(node)


def _is_or_in(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def _dotted(node: ast.expr) -> str | None:
    """`a.b.c` of an expression that is just that; None of any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (base := _dotted(node.value)):
        return f"{base}.{node.attr}"
    return None


RULES: tuple[Rule, ...] = (
    imports_follow_the_arrows,
    every_module_of_the_package_is_in_a_layer,
    rooms_follow_their_arrows,
    stacks_and_the_package_never_meet,
    stacks_are_configured_in_one_place,
    the_gateways_document_knows_no_pulumi,
    storage_libraries_stay_in_adapters,
    only_settings_read_the_environment,
    time_and_randomness_come_from_the_system_adapters,
    one_module_reads_the_path_of_a_request,
    money_knows_no_floats,
    nothing_catches_everything_and_goes_on,
    no_module_has_a_vague_name,
    every_module_says_what_it_is,
    every_public_service_says_what_it_does,
)

# The rule, a module, and a source that breaks this rule there, and none of the others.
BROKEN: tuple[tuple[Rule, str, str], ...] = (
    (
        imports_follow_the_arrows,
        "payments_sandbox.domain.money",
        "from payments_sandbox.services import ports",
    ),
    (imports_follow_the_arrows, "payments_sandbox.domain.money", "from ..services.ports import Store"),
    (imports_follow_the_arrows, "payments_sandbox.domain.money", "import orjson"),
    (
        imports_follow_the_arrows,
        "payments_sandbox.services.payments.payments",
        "def _f():\n    import payments_sandbox.http.problems",
    ),
    (
        imports_follow_the_arrows,
        "payments_sandbox.services.payments.payments",
        "from payments_sandbox import settings",
    ),
    (imports_follow_the_arrows, "payments_sandbox.services.payments.payments", "import yaml"),
    (
        imports_follow_the_arrows,
        "payments_sandbox.http.operations.payments",
        "from payments_sandbox.adapters.sqlite import ledger",
    ),
    (
        imports_follow_the_arrows,
        "payments_sandbox.http.operations.payments",
        "import payments_sandbox.bootstrap",
    ),
    (
        imports_follow_the_arrows,
        "payments_sandbox.adapters.sqlite.ledger",
        "from payments_sandbox.http import call",
    ),
    (
        imports_follow_the_arrows,
        "payments_sandbox.workers.relay",
        "from payments_sandbox.adapters import sns",
    ),
    (imports_follow_the_arrows, "payments_sandbox.settings", "from payments_sandbox.adapters import sqlite"),
    (imports_follow_the_arrows, "payments_sandbox.bootstrap", "from payments_sandbox.entrypoints import cli"),
    (every_module_of_the_package_is_in_a_layer, "payments_sandbox.dashboard", ""),
    (
        rooms_follow_their_arrows,
        "payments_sandbox.services.ledger.entries",
        "from payments_sandbox.services.accounts import controls",
    ),
    (
        rooms_follow_their_arrows,
        "payments_sandbox.services.disputes.disputes",
        "from payments_sandbox.services.payments.payments import authorize_payment",
    ),
    (
        rooms_follow_their_arrows,
        "payments_sandbox.services.ledger.entries",
        "from payments_sandbox.services import webhooks",
    ),
    (
        rooms_follow_their_arrows,
        "payments_sandbox.http.reading.contract",
        "from payments_sandbox.http.pipeline.app import build_app",
    ),
    (
        rooms_follow_their_arrows,
        "payments_sandbox.http.operations.payments",
        "from payments_sandbox.http.reading.contract import OperationSpec",
    ),
    (
        one_module_reads_the_path_of_a_request,
        "payments_sandbox.http.pipeline.operation",
        "def f(scope):\n    return scope['path'] == '/v1/health'",
    ),
    (
        one_module_reads_the_path_of_a_request,
        "payments_sandbox.entrypoints.local",
        "def f(self):\n    return self.scope.get('raw_path')",
    ),
    (
        stacks_and_the_package_never_meet,
        "stacks.components.api",
        "from payments_sandbox.settings import Settings",
    ),
    (stacks_and_the_package_never_meet, "payments_sandbox.entrypoints.cli", "import stacks.settings"),
    (stacks_are_configured_in_one_place, "stacks.components.api", "import pulumi\nC = pulumi.Config()"),
    (stacks_are_configured_in_one_place, "stacks.__main__", "from pulumi import get_stack\nS = get_stack()"),
    (stacks_are_configured_in_one_place, "stacks.components.api", "import os\nREGION = os.environ['REGION']"),
    (the_gateways_document_knows_no_pulumi, "stacks.gateway.document", "from pulumi_aws import apigateway"),
    (storage_libraries_stay_in_adapters, "payments_sandbox.bootstrap", "import boto3"),
    (
        storage_libraries_stay_in_adapters,
        "payments_sandbox.http.problems",
        "from botocore.exceptions import ClientError",
    ),
    (
        storage_libraries_stay_in_adapters,
        "payments_sandbox.services.payments.payments",
        "def _f():\n    import sqlite3",
    ),
    (only_settings_read_the_environment, "payments_sandbox.bootstrap", "import os\nDB = os.environ['DB']"),
    (
        only_settings_read_the_environment,
        "payments_sandbox.adapters.kms.key",
        "from os import environ as e\nDB = e.get('A')",
    ),
    (
        only_settings_read_the_environment,
        "payments_sandbox.entrypoints.cli",
        "import os as o\nDB = o.getenv('DB')",
    ),
    (
        time_and_randomness_come_from_the_system_adapters,
        "payments_sandbox.http.pipeline.boundary",
        "import time\nnow = time.time_ns",
    ),
    (
        time_and_randomness_come_from_the_system_adapters,
        "payments_sandbox.services.payments.payments",
        "from time import time",
    ),
    (
        time_and_randomness_come_from_the_system_adapters,
        "payments_sandbox.adapters.sqlite.ledger",
        "import datetime as dt\nNOW = dt.datetime.now(dt.UTC)",
    ),
    (
        time_and_randomness_come_from_the_system_adapters,
        "payments_sandbox.domain.timestamps",
        "from datetime import datetime\nNOW = datetime.utcnow()",
    ),
    (time_and_randomness_come_from_the_system_adapters, "payments_sandbox.http.server", "import uuid"),
    (
        time_and_randomness_come_from_the_system_adapters,
        "payments_sandbox.domain.ids",
        "from secrets import token_hex",
    ),
    (
        time_and_randomness_come_from_the_system_adapters,
        "payments_sandbox.services.webhooks",
        "import random",
    ),
    (
        time_and_randomness_come_from_the_system_adapters,
        "payments_sandbox.bootstrap",
        "import os\nKEY = os.urandom(32)",
    ),
    (money_knows_no_floats, "payments_sandbox.domain.money", "RATE = 0.5"),
    (money_knows_no_floats, "payments_sandbox.domain.money", "HALF = 1 / 2"),
    (money_knows_no_floats, "payments_sandbox.services.payments.payments", "AMOUNT = 3\nAMOUNT /= 2"),
    (money_knows_no_floats, "payments_sandbox.services.payments.payments", "AMOUNT = float('3')"),
    (
        money_knows_no_floats,
        "payments_sandbox.services.payments.payments",
        "def _f(amount: float) -> None: ...",
    ),
    (
        nothing_catches_everything_and_goes_on,
        "payments_sandbox.http.router",
        "try:\n    f()\nexcept Exception:\n    pass",
    ),
    (
        nothing_catches_everything_and_goes_on,
        "payments_sandbox.workers.relay",
        "try:\n    f()\nexcept:\n    g()",
    ),
    (
        nothing_catches_everything_and_goes_on,
        "stacks.components.api",
        "try:\n    f()\nexcept (OSError, BaseException) as error:\n    log(error)",
    ),
    (
        nothing_catches_everything_and_goes_on,
        "payments_sandbox.adapters.sqlite.ledger",
        "import contextlib\nwith contextlib.suppress(Exception):\n    f()",
    ),
    (no_module_has_a_vague_name, "payments_sandbox.domain.utils", ""),
    (no_module_has_a_vague_name, "payments_sandbox.http.helpers.json", ""),
    (
        every_public_service_says_what_it_does,
        "payments_sandbox.services.payments.payments",
        "def capture_payment(): ...",
    ),
    (
        every_public_service_says_what_it_does,
        "payments_sandbox.services.payments.payments",
        "async def capture_payment(): ...",
    ),
    (
        every_public_service_says_what_it_does,
        "payments_sandbox.services.ports",
        "class Store:\n    def get(self): ...",
    ),
)

# Look like breaches, and are none.
SOUND: tuple[tuple[str, str], ...] = (
    (
        "payments_sandbox.domain.money",
        "from payments_sandbox.domain import errors\nimport hashlib\nHALF = 7 // 2",
    ),
    (
        "payments_sandbox.domain.timestamps",
        "from datetime import UTC, datetime\nEPOCH = datetime(1970, 1, 1, tzinfo=UTC)",
    ),
    ("payments_sandbox.services.payments.payments", "def _f(): ...\nclass _C:\n    def f(self): ..."),
    ("payments_sandbox.services.payments.payments", "time = clock\nNOW = time.time()"),
    (
        "payments_sandbox.adapters.dynamodb.ledger",
        "import boto3\nfrom payments_sandbox.services.ports import Store",
    ),
    ("payments_sandbox.adapters.system.clock", "import time\nimport secrets\nNOW = time.time_ns()"),
    ("payments_sandbox.settings", "import os\nDB = os.environ.get('DB')"),
    ("payments_sandbox.bootstrap", "from payments_sandbox import http, adapters, settings"),
    ("payments_sandbox.http.pipeline.boundary", "try:\n    f()\nexcept Exception:\n    g()"),
    ("payments_sandbox.http.server", "import time\nSTARTED = time.monotonic()\nRATIO = 1 / 2\nHALF = 0.5"),
    (
        "payments_sandbox.http.server",
        "try:\n    f()\nexcept Exception as error:\n    g()\n    raise Failed from error",
    ),
    ("payments_sandbox.http.server", "try:\n    f()\nexcept (ValueError, KeyError):\n    pass"),
    ("payments_sandbox.domain.commons", ""),
    (
        "tests.e2e.test_payments",
        "import boto3\nimport random\nfrom payments_sandbox.http import call\nfrom stacks import api",
    ),
)


def _sources() -> Iterator[tuple[str, Path]]:
    """Every Python module of the repository, with the name that it is imported by."""
    for top, base in (
        ("handlers", ROOT / "handlers"),
        ("stacks", ROOT),
        ("tests", ROOT),
        ("contracts", ROOT),
        ("webhooks-verifier/python/src", ROOT / "webhooks-verifier/python/src"),
        ("webhooks-verifier", ROOT / "webhooks-verifier"),
    ):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(base).with_suffix("").parts
            if "node_modules" in parts or (top == "webhooks-verifier" and "src" in parts):
                continue
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def _parse(name: str, source: str, *, is_package: bool = False) -> Module:
    return Module(name, ast.parse(source), is_package)


@cache
def _modules() -> dict[Path, Module]:
    return {
        path: _parse(name, path.read_text("utf-8"), is_package=path.name == "__init__.py")
        for name, path in _sources()
    }


def test_the_sources_keep_every_rule() -> None:
    breaches = [
        f"{path.relative_to(ROOT)}:{breach}"
        for path, module in _modules().items()
        for rule in RULES
        for breach in rule(module)
    ]
    assert not breaches, "\n" + "\n".join(breaches)
    assert {
        "payments_sandbox",
        "payments_sandbox.domain.errors",
        "payments_sandbox.services.ports",
        __name__,
    } <= {module.name for module in _modules().values()}


@each_case(("rule", "name", "source"), BROKEN)
def test_each_rule_sees_what_breaks_it(rule: Rule, name: str, source: str) -> None:
    module = _parse(name, f'"""A module."""\n{source}')
    assert {other for other in RULES if list(other(module))} == {rule}


def test_no_modules_import_each_other_in_a_circle() -> None:
    package = [module for module in _modules().values() if module.within("payments_sandbox")]
    assert circles(arrows_between(package)) == []
    for rooms in ROOMS.values():
        assert circles(rooms) == []


def test_a_circle_is_seen_however_long_it_is() -> None:
    sources = {
        "payments_sandbox.domain.a": "from payments_sandbox.domain import b",
        "payments_sandbox.domain.b": "def f():\n    from payments_sandbox.domain.c import g",
        "payments_sandbox.domain.c": "from payments_sandbox.domain.a import h",
        "payments_sandbox.domain.d": "from payments_sandbox.domain import a, e",
        "payments_sandbox.domain.e": "import payments_sandbox.domain.d",
        "payments_sandbox.domain.f": "from payments_sandbox.domain import a, d",
    }
    modules = [_parse(name, source) for name, source in sources.items()]
    found = [{name.rpartition(".")[2] for name in circle} for circle in circles(arrows_between(modules))]
    assert sorted(found, key=len) == [{"d", "e"}, {"a", "b", "c"}]
    assert circles({"payments": ("disputes",), "disputes": ("payments",)}) != []


def test_a_public_class_name_has_one_meaning() -> None:
    meanings: dict[str, set[str]] = {}
    for module in _modules().values():
        for node in module.nodes if module.within("payments_sandbox", "stacks") else ():
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                meanings.setdefault(node.name, set()).add(module.name)
    assert len(meanings) > 200
    assert {name: places for name, places in meanings.items() if len(places) > 1} == {}


def test_a_module_without_docstring_is_seen() -> None:
    assert list(every_module_says_what_it_is(_parse("payments_sandbox.domain.money", "import hashlib")))
    assert list(every_module_says_what_it_is(_parse("payments_sandbox.domain.money", '"""  """')))


def test_no_rule_goes_without_an_example() -> None:
    assert {rule for rule, _, _ in BROKEN} | {every_module_says_what_it_is} == set(RULES)


@each_case(("name", "source"), SOUND)
def test_what_only_looks_like_a_breach_passes(name: str, source: str) -> None:
    module = _parse(name, f'"""A module."""\n{source}')
    assert [breach for rule in RULES for breach in rule(module)] == []


def test_every_exemption_is_still_needed() -> None:
    modules = {module.name: module for module in _modules().values()}
    for name in CATCHES_EVERYTHING:
        assert list(_blind_excepts(modules[name])), (
            f"{name} catches everything no longer: take it off the list"
        )
