"""Lambda starts without what it never uses, and answers all the same."""

import importlib
import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from payments_sandbox.entrypoints.lean_imports import LEFT_OUT, NotLoadedError, lean_imports
from payments_sandbox.entrypoints.prepare_contract import prepare_contract
from tests.load.lambda_homes import lambda_environment
from tests.load.lambda_path import environment_of

ROOT = Path(__file__).parents[3]
NO_LOOP_YET = "ignore:There is no current event loop:DeprecationWarning:mangum.adapter"
"""Mangum asks for the current event loop, and makes one where there is none; from Python 3.12 on, asking is deprecated."""

START = """
import json, sys
from payments_sandbox.entrypoints.lean_imports import LEFT_OUT, lean_imports
with lean_imports():
    import payments_sandbox.http.pipeline.app
    import mangum
loaded = [name for name in LEFT_OUT if name in sys.modules]
from tests.integration.http_contract import AUTHORIZE, make_app, post_json
app = make_app(contract_is_valid=True)
good, bad = post_json(app, "/v1/authorize", AUTHORIZE), post_json(app, "/v1/authorize", {})
print(json.dumps([loaded, good.status, bad.status, [name for name in LEFT_OUT if name in sys.modules]]))
try:
    make_app(contract_is_valid=False)
except Exception as error:
    print(type(error).__name__)
"""


def test_the_app_starts_and_answers_without_what_is_left_out() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", START],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    answers, failure = done.stdout.splitlines()
    assert json.loads(answers) == [[], 201, 400, []]
    # A contract that the build has not validated cannot be validated without jsonschema: that is said, not skipped.
    assert failure == "NotLoadedError"


LAMBDA = """
import gc, json, sys
from payments_sandbox.entrypoints.lambda_api import handler
from payments_sandbox.entrypoints.lean_imports import LEFT_OUT
from tests.load.samples import ACCEPTED, LambdaContext, gateway_event

def ask(method, path):
    event = gateway_event(ACCEPTED, "key") | {"httpMethod": method, "path": path}
    del event["headers"]["x-api-key"], event["multiValueHeaders"]["x-api-key"]
    return handler(event, LambdaContext())["statusCode"]

def late():
    return [name for name in ("payments_sandbox.http.operations.system", "payments_sandbox.http.operations.events") if name in sys.modules]

answers = [ask("POST", "/v1/authorize"), ask("GET", "/v1/events/evt_1"), late(), ask("GET", "/v1/health"), late()]
print(json.dumps([answers, [name for name in LEFT_OUT if name in sys.modules]]))
print(gc.isenabled(), gc.get_freeze_count() > 10_000)
"""


def test_the_lambda_function_starts_without_it_too_and_its_client_works(tmp_path: Path) -> None:
    """Nothing listens at the table's address, which the health operation finds out by asking."""
    prepare_contract(tmp_path / "contract.json")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", NO_LOOP_YET, "-c", LAMBDA],
        cwd=ROOT,
        env=environment_of(1, "dynamodb") | lambda_environment(contract=tmp_path / "contract.json"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answers, collector = done.stdout.splitlines()
    assert json.loads(answers) == [[401, 401, [], 503, ["payments_sandbox.http.operations.system"]], []]
    assert collector == "True True", "the garbage collector works again, but not on what the start has built"


LOCAL = """
import sys
from payments_sandbox.entrypoints.cli import main
from payments_sandbox.entrypoints.lean_imports import LEFT_OUT_LOCALLY
status = main(["serve", "--db", sys.argv[1], "--port", "0"])
print(status, "connexion" in sys.modules, [name for name in LEFT_OUT_LOCALLY if name in sys.modules])
"""


def test_the_local_sandbox_loads_neither_clients_nor_flask(tmp_path: Path) -> None:
    """A folder is no ledger, so the command ends once everything is loaded."""
    done = subprocess.run(
        [sys.executable, "-c", LOCAL, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "1 True []\n", done.stderr


def test_a_stand_in_loads_like_a_module_and_refuses_to_work(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LEFT_OUT:
        monkeypatch.delitem(sys.modules, name, raising=False)
    with lean_imports():
        requests, jsonschema, local = (
            importlib.import_module(name) for name in ("requests", "jsonschema", "werkzeug.local")
        )
        extended = types.new_class("Extended", (jsonschema.Draft4Validator,))
        assert jsonschema.Draft4Validator.VALIDATORS["type"]
    assert "requests" not in sys.modules
    uses: list[tuple[Any, str]] = [
        (requests.get("x"), "text"),
        (local.LocalProxy(1), "name"),
        (extended(), "call"),
    ]
    for stand_in, use in uses:
        with pytest.raises(NotLoadedError, match="is left out: see"):
            stand_in() if use == "call" else getattr(stand_in, use)


def test_what_is_loaded_already_is_left_alone() -> None:
    import jsonschema

    with lean_imports():
        assert sys.modules["jsonschema"] is jsonschema
    assert sys.modules["jsonschema"] is jsonschema
