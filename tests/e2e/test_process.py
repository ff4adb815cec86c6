"""How the sandbox starts, refuses to start, and ends; and that what is installed from its wheel is all that it needs."""

import importlib.util
import json
import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.e2e.infra.client import Client, accepted, authorize_body, new_key
from tests.e2e.infra.server import (
    DEADLINE_S,
    LOOPBACK,
    ROOT,
    Server,
    run_command,
    spawn,
    taken_port,
    until_deadline,
)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.local_only("it is about the server process: its start, its files and its end"),
]


def complaint(*arguments: str, **environment: str) -> str:
    """The one line with which the command refuses to start."""
    done = run_command(*arguments, environment=environment)
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert done.stderr.endswith("\n")
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("payments-sandbox: error: ")
    return lines[0]


def make_database(path: Path, *pragmas: str) -> bytes:
    """An SQLite file that is no ledger; answers its content."""
    with closing(sqlite3.connect(path)) as connection:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TABLE dear (thing TEXT)")
        connection.commit()
    return path.read_bytes()


@pytest.fixture(scope="module")
def used_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger that a sandbox made and left."""
    with Server(tmp_path_factory.mktemp("used") / "ledger.db") as server:
        assert server.stop() == 0
    return server.db


@pytest.fixture
def ledger(used_ledger: Path, tmp_path: Path) -> Path:
    """A ledger of this test's own, with its key beside it."""
    for path in (used_ledger, key_file_of(used_ledger)):
        shutil.copy(path, tmp_path / path.name)
    return tmp_path / used_ledger.name


def key_file_of(ledger: Path) -> Path:
    return ledger.with_name(ledger.name + ".key")


# Refusals


def test_a_taken_port_is_refused_and_nothing_is_created(tmp_path: Path) -> None:
    with taken_port() as port:
        line = complaint("serve", "--port", str(port), "--db", str(tmp_path / "ledger.db"))
    assert f"Port {port}" in line
    assert "--port" in line
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_this_machine_does_not_have_is_refused(tmp_path: Path) -> None:
    line = complaint("serve", "--port", "0", "--host", "192.0.2.1", "--db", str(tmp_path / "ledger.db"))
    assert "192.0.2.1" in line


@pytest.mark.parametrize("reset", [(), ("--reset",)], ids=["", "with --reset"])
def test_another_applications_database_is_refused_and_left_alone(
    tmp_path: Path, reset: tuple[str, ...]
) -> None:
    path = tmp_path / "dear.db"
    before = make_database(path, "application_id = 42")
    line = complaint("serve", "--port", "0", "--db", str(path), *reset)
    assert str(path) in line
    assert "another application's database" in line
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["dear.db"]


@pytest.mark.parametrize("reset", [(), ("--reset",)], ids=["", "with --reset"])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, reset: tuple[str, ...]) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, " * 500)
    assert str(path) in complaint("serve", "--port", "0", "--db", str(path), *reset)
    assert path.read_text() == "Dear diary, " * 500
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_a_ledger_of_a_newer_sandbox_is_refused_and_left_alone(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("PRAGMA user_version = 999")
    before = ledger.read_bytes()
    line = complaint("serve", "--port", "0", "--db", str(ledger))
    assert "999" in line
    assert "upgrade the sandbox" in line
    assert ledger.read_bytes() == before


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "ledger.db"
    assert str(path) in complaint("serve", "--port", "0", "--db", str(path))


def test_a_folder_is_no_ledger(tmp_path: Path) -> None:
    assert str(tmp_path) in complaint("serve", "--port", "0", "--db", str(tmp_path))


@pytest.mark.parametrize("content", ["", "not a key\n", "00" * 16 + "\n"])
def test_a_key_file_that_holds_no_key_is_refused_and_left_alone(ledger: Path, content: str) -> None:
    key_file_of(ledger).write_text(content)
    assert str(key_file_of(ledger)) in complaint("serve", "--port", "0", "--db", str(ledger))
    assert key_file_of(ledger).read_text() == content


def test_a_ledger_whose_key_file_is_gone_is_refused_and_no_other_key_is_made(ledger: Path) -> None:
    key_file_of(ledger).unlink()
    before = ledger.read_bytes()
    line = complaint("serve", "--port", "0", "--db", str(ledger))
    assert f"{key_file_of(ledger)} is not there" in line
    assert "--reset" in line
    assert [file.name for file in ledger.parent.iterdir()] == [ledger.name]
    assert ledger.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SANDBOX_PORT", "http"),
        ("SANDBOX_PORT", "-1"),
        ("SANDBOX_PORT", "65536"),
        ("SANDBOX_PORT", ""),
        ("SANDBOX_PORT", "٨٠"),
        ("SANDBOX_LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_environment_variable_is_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    arguments = ("serve", "--db", str(tmp_path / "ledger.db"))
    assert name in complaint(*arguments, **{name: value})


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("dance",),
        ("serve", "--port", "http"),
        ("serve", "--port", "65536"),
        ("serve", "--log-level", "loud"),
        ("serve", "--dance"),
    ],
)
def test_words_that_the_command_does_not_know_are_a_usage_error(arguments: tuple[str, ...]) -> None:
    done = run_command(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("usage: payments-sandbox")
    assert "Traceback" not in done.stderr


# Help


@pytest.mark.parametrize("arguments", [("--help",), ("serve", "--help")])
def test_help_explains_itself_on_standard_output(arguments: tuple[str, ...]) -> None:
    done = run_command(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: payments-sandbox")


def test_help_names_every_option_with_its_default() -> None:
    text = run_command("serve", "--help", environment={"SANDBOX_PORT": "9001"}).stdout
    for option in ("--host", "--port", "--db", "--reset", "--log-level"):
        assert option in text
    assert "default: 9001" in " ".join(text.split())


def test_the_command_says_its_version() -> None:
    done = run_command("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("payments-sandbox ")


# Running


def test_the_files_are_their_owners_alone(server: Server, demo: Client) -> None:
    accepted(demo.authorize(), 201)
    for path in (server.db, server.key_file, server.wal):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_it_answers_what_is_under_way_and_leaves_one_file_and_its_key(
    own_server: Server, signum: signal.Signals
) -> None:
    """The request is known to be under way when the server has asked for its body."""
    body = json.dumps(authorize_body()).encode()
    key = new_key()
    own_server.start()
    with socket.create_connection((LOOPBACK, own_server.port), DEADLINE_S) as connection:
        connection.sendall(
            b"POST /v1/authorize HTTP/1.1\r\nHost: sandbox\r\nx-api-key: sk_test_demo\r\n"
            b"Content-Type: application/json\r\nExpect: 100-continue\r\n"
            + f"X-Idempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        own_server.process.send_signal(signum)
        for _ in until_deadline("nobody listens any more"):
            with socket.socket() as probe:
                if probe.connect_ex((LOOPBACK, own_server.port)) != 0:
                    break
        connection.sendall(body)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 201 "), answer[:200]
    assert own_server.wait() == 0
    assert "Traceback" not in own_server.stderr.read_text()
    logs = {own_server.stdout.name, own_server.stderr.name}
    left = {path.name for path in own_server.db.parent.iterdir()} - logs
    assert left == {own_server.db.name, own_server.key_file.name}
    made = json.loads(answer.partition(b"\r\n\r\n")[2])["transaction_id"]
    with closing(sqlite3.connect(own_server.db)) as ledger:
        assert ledger.execute("SELECT id FROM records WHERE kind = 'authorization'").fetchall() == [(made,)]


def test_everything_is_there_again_after_a_restart(own_server: Server) -> None:
    with own_server, Client(own_server.url) as client:
        key = new_key()
        first = client.authorize(1000, key=key)
        authorization_id = first.json()["transaction_id"]
        accepted(client.capture(authorization_id, amount=400), 201)
        api_key = accepted(client.send("POST", "/v1/api-keys", json={"label": "kept"}), 201)["secret"]
        reads = ("/v1/account", "/v1/api-keys", f"/v1/transactions/{authorization_id}", "/v1/transactions")
        before = [client.get(path).content for path in reads]
        own_server.stop()
        own_server.start()
        with Client(own_server.url, api_key=api_key) as again:
            assert [again.get(path).content for path in reads] == before
            replay = again.authorize(1000, key=key)
            assert (replay.content, replay.headers["idempotent-replayed"]) == (first.content, "true")
            accepted(again.capture(authorization_id), 201)


def test_reset_starts_anew_with_another_key(own_server: Server) -> None:
    with own_server, Client(own_server.url) as client:
        first = client.authorize(key="order-1")
        key = own_server.key_file.read_bytes()
        own_server.stop()
    with Server(own_server.db, arguments=["--reset"]) as anew, Client(anew.url) as client:
        assert own_server.key_file.read_bytes() != key
        assert accepted(client.get("/v1/transactions"), 200)["data"] == []
        again = client.authorize(key="order-1")
        assert "idempotent-replayed" not in again.headers
        assert again.json()["transaction_id"] != first.json()["transaction_id"]


def test_the_environment_gives_what_the_command_line_does_not(tmp_path: Path) -> None:
    """And --reset without a ledger just starts."""
    environment = {"SANDBOX_LOG_LEVEL": "error", "SANDBOX_CORS_ORIGINS": "https://shop.example"}
    server = Server(tmp_path / "ledger.db", arguments=["--reset"], environment=environment)
    with server, Client(server.url) as client:
        response = client.send("GET", "/v1/account", headers={"Origin": "https://shop.example"})
        assert response.headers["access-control-allow-origin"] == "https://shop.example"
        assert server.stop() == 0
        assert server.stderr.read_text() == ""


def test_the_banner_says_where_everything_is(server: Server) -> None:
    banner = server.stdout.read_text()
    for said in (f"{server.url}/docs", f"{server.url}/openapi.yaml", "sk_test_demo", str(server.db)):
        assert said in banner


# Installed


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but what the wheel installs; its dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    # A copy, as builds leave files behind; and only of what the wheel is made of.
    for name in ("handlers", "openapi"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / name, source / name)
    isolation = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    built = pip("wheel", *isolation, "--no-deps", "--wheel-dir", str(folder), str(source))
    if built.returncode != 0 and not isolation and not os.environ.get("CI"):
        pytest.skip("the build backend is not installed, and cannot be fetched without a network")
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("payments_sandbox-*.whl")
    target = folder / "installed"
    done = pip("install", "--no-deps", "--no-index", "--no-compile", "--target", str(target), str(wheel))
    assert done.returncode == 0, done.stderr
    return target


def pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments],
        capture_output=True,
        text=True,
        timeout=5 * DEADLINE_S,
        check=False,
    )


@pytest.mark.slow
def test_the_wheel_holds_the_contract_and_serves_a_payment(
    installed: Path, tmp_path: Path, stack: ExitStack
) -> None:
    contract = installed / "payments_sandbox" / "openapi" / "payments.yaml"
    assert contract.read_bytes() == (ROOT / "openapi" / "payments.yaml").read_bytes()
    command = installed / "bin" / "payments-sandbox"
    server = Server(
        tmp_path / "ledger.db",
        command=[sys.executable, str(command)],
        environment={"PYTHONPATH": str(installed)},
        cwd=tmp_path,
    )
    stack.enter_context(server)
    client = stack.enter_context(Client(server.url))
    assert accepted(client.get("/v1/health"), 200)["status"] == "ok"
    assert client.get("/openapi.yaml").status_code == 200
    authorized = accepted(client.authorize(1051), 201)
    captured = accepted(client.capture(authorized["transaction_id"], amount=1000), 201)
    assert (captured["status"], captured["balance"]["captured_amount"]) == ("succeeded", 1000)


@pytest.mark.slow
def test_the_installed_command_runs_what_is_installed(installed: Path, tmp_path: Path) -> None:
    """And not this checkout, which the environment of the tests has on its path too."""
    process = spawn(
        [
            sys.executable,
            "-c",
            "import payments_sandbox.settings as s; print(s.__file__); print(s.contract_path())",
        ],
        {"PYTHONPATH": str(installed)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=tmp_path,
    )
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert output.decode().splitlines() == [
        str(installed / "payments_sandbox" / "settings.py"),
        str(installed / "payments_sandbox" / "openapi" / "payments.yaml"),
    ]


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(installed: Path) -> None:
    top = {path.name for path in installed.iterdir()}
    (metadata,) = (name for name in top if name.endswith(".dist-info"))
    assert top == {"payments_sandbox", "bin", metadata}
    assert not [path for path in installed.rglob("*") if "test" in path.parts]
    assert {path.relative_to(installed) for path in (installed / "payments_sandbox").rglob("*.py")} == {
        path.relative_to(ROOT / "handlers") for path in (ROOT / "handlers").rglob("*.py")
    }
