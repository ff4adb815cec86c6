"""The Lambda bundle: that it is the same each time, that it is for Lambda's machine, and that it lacks nothing.

What is for arm64 cannot be run here, so the imports are made from a second bundle, of the same parts for this interpreter.
"""

import ast
import json
import shutil
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import ZipFile

import pytest
from botocore.regions import EndpointResolver

from stacks.bundle import contents
from stacks.bundle.build import CONTRACT, UNZIPPED_BYTES_MAX, Bundle, BundleTooLarge, build_bundle
from stacks.bundle.bytecode import WrongInterpreter, cache_tag, with_bytecode
from stacks.bundle.native import without_symbols
from stacks.bundle.targets import LOCK, ROOT, LockError, copy_for_host, fetch_for_lambda, read_lock
from tests.load.lambda_homes import lambda_environment
from tests.load.lambda_path import environment_of, table
from tests.load.samples import ACCEPTED, gateway_event

ENTRY_POINTS = sorted(
    path.stem for path in (ROOT / "handlers/payments_sandbox/entrypoints").glob("lambda_*.py")
)
AARCH64 = 183
IMPORT = """
import importlib, json, sys
bundle, module = sys.argv[1:]
sys.path.insert(0, bundle)
handler = importlib.import_module(module).handler
loaded = [file for each in list(sys.modules.values()) if (file := getattr(each, "__file__", None))]
print(json.dumps({"handler": callable(handler), "loaded": loaded}))
"""


@pytest.fixture(scope="module")
def wheels() -> Path:
    return fetch_for_lambda(ROOT / ".venv" / "lambda", without=contents.UNUSED_DISTRIBUTIONS)


@pytest.fixture(scope="module")
def lambda_bundle(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build_bundle(wheels, tmp_path_factory.mktemp("lambda") / "lambda.zip", python=None)


@pytest.fixture(scope="module")
def host_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_for_host(tmp_path_factory.mktemp("host"), without=contents.UNUSED_DISTRIBUTIONS)


@pytest.fixture(scope="module")
def host_bundle(host_packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return _build_for_host(host_packages, tmp_path_factory.mktemp("host-bundle") / "host.zip")


@pytest.fixture(scope="module")
def unpacked(host_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("unpacked")
    with ZipFile(host_bundle.path) as archive:
        archive.extractall(directory)
    return directory


def _build_for_host(packages: Path, path: Path) -> Bundle:
    # What is compiled for other machines is larger than for Lambda's.
    tag = cache_tag(sys.executable)
    return build_bundle(
        packages, path, python=sys.executable, tag=tag, unzipped_bytes_max=2 * UNZIPPED_BYTES_MAX
    )


def _entries(bundle: Bundle) -> dict[str, bytes]:
    with ZipFile(bundle.path) as archive:
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def test_two_builds_are_the_same_to_the_byte(
    host_packages: Path, host_bundle: Bundle, tmp_path: Path
) -> None:
    """With bytecode, which is the longer way: a build without it takes the same steps but one."""
    copied = shutil.copytree(host_packages, tmp_path / "copied", copy_function=shutil.copyfile)
    again = _build_for_host(copied, tmp_path / "again.zip")
    assert again.path.read_bytes() == host_bundle.path.read_bytes()
    assert again.compiled


def test_the_zip_tells_nothing_of_when_and_where_it_was_made(lambda_bundle: Bundle) -> None:
    with ZipFile(lambda_bundle.path) as archive:
        entries = archive.infolist()
    names = [entry.filename for entry in entries]
    assert names == sorted(names)
    assert {(entry.date_time, entry.external_attr >> 16, entry.create_system) for entry in entries} == {
        ((1980, 1, 1, 0, 0, 0), 0o100644, 3)
    }


def test_the_bundle_is_under_thirty_megabytes_and_says_so(lambda_bundle: Bundle) -> None:
    content = _entries(lambda_bundle)
    assert sum(map(len, content.values())) == lambda_bundle.unzipped_bytes < 30 * 1024 * 1024
    assert f"{lambda_bundle.unzipped_bytes / 1024**2:.1f} MB unzipped" in str(lambda_bundle)


def test_a_bundle_that_is_too_large_is_refused_and_not_written(tmp_path: Path) -> None:
    packages, written = tmp_path / "packages", tmp_path / "written"
    (packages / "large").mkdir(parents=True)
    (packages / "large" / "__init__.py").write_bytes(b"#" * 10_000_000)
    written.mkdir()
    with pytest.raises(BundleTooLarge, match="more than 10,000,000"):
        build_bundle(packages, written / "lambda.zip", python=None, unzipped_bytes_max=10_000_000)
    assert list(written.iterdir()) == []


def test_compiled_modules_are_for_arm64_and_python_3_12(lambda_bundle: Bundle) -> None:
    modules = {name: content for name, content in _entries(lambda_bundle).items() if name.endswith(".so")}
    assert len(modules) >= 4
    for name, content in modules.items():
        (machine,) = struct.unpack_from("<H", content, 18)
        assert machine == AARCH64, name
        assert name.endswith((".abi3.so", ".cpython-312-aarch64-linux-gnu.so")), name


def test_the_bundle_holds_what_runs_and_not_what_describes_it(lambda_bundle: Bundle) -> None:
    names = [PurePosixPath(name) for name in _entries(lambda_bundle)]
    for name in names:
        assert name.suffix not in {".pyi", ".pyc", ".c", ".h"}, name
        assert "tests" not in name.parts, name
        assert not any(part.endswith(".dist-info") for part in name.parts), name
    assert {PurePosixPath(f"payments_sandbox/entrypoints/{name}.py") for name in ENTRY_POINTS} <= set(names)


def test_the_bundled_contract_is_the_contract(lambda_bundle: Bundle) -> None:
    from payments_sandbox.http.reading.contract import load_contract
    from payments_sandbox.settings import contract_path

    assert json.loads(_entries(lambda_bundle)[str(CONTRACT)]) == load_contract(contract_path())


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_each_function_imports_with_nothing_but_the_bundle(name: str, unpacked: Path) -> None:
    done = _run(
        ["-c", IMPORT, str(unpacked), f"payments_sandbox.entrypoints.{name}"], _environment(), unpacked
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout)
    assert answer["handler"]
    standard_library = sysconfig.get_path("stdlib")
    strangers = [file for file in answer["loaded"] if not file.startswith((str(unpacked), standard_library))]
    assert not strangers
    assert not [file for file in answer["loaded"] if "site-packages" in file]
    assert str(unpacked / "payments_sandbox" / "bootstrap.py") in answer["loaded"]


def test_what_functions_import_later_is_in_the_bundle_too(unpacked: Path) -> None:
    modules = [
        ".".join(path.relative_to(unpacked).with_suffix("").parts)
        for path in sorted((unpacked / "payments_sandbox").rglob("*.py"))
        if not path.stem.startswith("lambda_") and path.name not in {"api_docs.py", "__init__.py"}
    ]
    source = f"""
import importlib, sys
sys.path.insert(0, sys.argv[1])
from payments_sandbox.entrypoints.lean_imports import lean_imports
with lean_imports():
    for name in {modules!r}:
        importlib.import_module(name)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from payments_sandbox.adapters.system.secret_box import FileSecretBox
box = FileSecretBox(b"0" * 32)
assert box.open(box.seal(b"secret")) == b"secret"
"""
    done = _run(["-c", source, str(unpacked)], _environment(), unpacked)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(modules) > 50


def test_the_bundle_takes_a_payment(unpacked: Path, tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text(json.dumps(gateway_event(ACCEPTED, "bundled-1")), "utf-8")
    child = str(ROOT / "tests" / "load" / "cold_child.py")
    with table() as port:
        environment = environment_of(port, "dynamodb") | lambda_environment(contract=Path(CONTRACT))
        done = _run(
            [child, str(unpacked), "payments_sandbox.entrypoints.lambda_api", str(event)],
            environment,
            unpacked,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1])["modules"] > 100


def test_tracebacks_of_the_handlers_show_their_lines_and_name_the_place_in_lambda(unpacked: Path) -> None:
    compiled = sorted((unpacked / "payments_sandbox").rglob("money.*.pyc"))
    assert [path.parent.name for path in compiled] == ["__pycache__"]
    assert b"/var/task/payments_sandbox/domain/money.py" in compiled[0].read_bytes()
    assert (unpacked / "payments_sandbox/domain/money.py").exists()
    assert (unpacked / "mangum/__init__.pyc").exists()
    assert not (unpacked / "mangum/__init__.py").exists()


def test_bytecode_of_another_version_is_refused() -> None:
    with pytest.raises(WrongInterpreter, match="cpython-27"):
        with_bytecode({PurePosixPath("a.py"): b""}, python=sys.executable, expected_tag="cpython-27")


def test_bytecode_is_never_compared_with_its_source() -> None:
    tag = cache_tag(sys.executable)
    files = with_bytecode({PurePosixPath("a.py"): b"A = 1"}, python=sys.executable, expected_tag=tag)
    (flags,) = struct.unpack_from("<I", files[PurePosixPath("a.pyc")], 4)
    assert flags == 0b01, "hash-based, unchecked"


def test_a_source_for_another_python_stays_as_it_is() -> None:
    files = {PurePosixPath("a.py"): b"print 'two'", PurePosixPath("b.py"): b"B = 2"}
    bundled = with_bytecode(files, python=sys.executable, expected_tag=cache_tag(sys.executable))
    assert set(map(str, bundled)) == {"a.py", "b.pyc"}


def test_only_symbols_are_cut_off_a_compiled_module(wheels: Path) -> None:
    content = (wheels / "cryptography/hazmat/bindings/_rust.abi3.so").read_bytes()
    cut = without_symbols(content)
    assert len(cut) < 0.8 * len(content)
    assert cut[64:] == content[64 : len(cut)], "all but the ELF header is what it was"
    assert without_symbols(cut) == cut
    assert without_symbols(b"#!/bin/sh\n") == b"#!/bin/sh\n"


def test_the_bundled_services_are_those_that_the_adapters_call() -> None:
    called = set()
    makers = {"create_aws_client", "boto3.client", "boto3.resource"}
    for path in (ROOT / "handlers").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))) if path.name != "aws_clients.py" else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func) in makers:
                called.add(ast.literal_eval(node.args[0]))
    assert called == set(contents.AWS_SERVICES)


def test_the_bundled_endpoints_are_those_of_botocore(wheels: Path, lambda_bundle: Bundle) -> None:
    whole = json.loads((wheels / "botocore/data/endpoints.json").read_bytes())
    bundled = json.loads(_entries(lambda_bundle)["botocore/data/endpoints.json"])
    resolvers = EndpointResolver(whole), EndpointResolver(bundled)
    pairs = list(_regions(whole))
    assert len(pairs) > 100
    for service, region in pairs:
        ours, theirs = (each.construct_endpoint(service, region) for each in resolvers)
        assert ours == theirs, (service, region)


def _regions(table: Any) -> Iterator[tuple[str, str]]:
    for partition in table["partitions"]:
        for region in partition["regions"]:
            for service in contents.AWS_SERVICES:
                yield service, region


def test_nothing_is_left_out_that_is_not_there(wheels: Path, host_packages: Path) -> None:
    locked = {each.name for each in read_lock(LOCK.read_text("utf-8"))}
    assert set(contents.UNUSED_DISTRIBUTIONS) <= locked
    for path in contents.UNREAD_PATHS:
        assert (wheels / path).exists(), path
    for path in contents.EMBEDDED_ONLY:
        assert (ROOT / "handlers" / path).exists(), path


def test_every_locked_requirement_is_read_with_its_hashes() -> None:
    text = LOCK.read_text("utf-8")
    locked = read_lock(text)
    assert len(locked) == text.count("==")
    assert sum(each.text.count("--hash=sha256:") for each in locked) == text.count("--hash=")
    assert all("--hash" in each.text for each in locked)


@pytest.mark.parametrize(
    ("marker", "reason"),
    [
        (
            "python_full_version < '3.12' and python_version >= '3.8'",
            "differs between Lambda and this machine",
        ),
        ("platform_release == '1'", "asks for platform_release"),
    ],
)
def test_a_marker_that_pip_would_judge_by_this_machine_is_refused(
    marker: str, reason: str, tmp_path: Path
) -> None:
    if sys.version_info >= (3, 12):
        marker = marker.replace("< '3.12'", "> '3.12.0'")
    lock = tmp_path / "lock.txt"
    lock.write_text(f"six==1.17.0 ; {marker} \\\n    --hash=sha256:{'0' * 64}\n", "utf-8")
    with pytest.raises(LockError, match=reason):
        fetch_for_lambda(tmp_path / "packages", without=(), lock=lock)


def test_another_version_than_the_locked_one_is_not_bundled(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("mangum==0.1.0\n", "utf-8")
    with pytest.raises(LockError, match=r"mangum==0\.1\.0 is locked"):
        copy_for_host(tmp_path / "packages", without=(), lock=lock)


def _environment() -> dict[str, str]:
    """What any of the functions is given."""
    return {
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SANDBOX_TABLE": "PaymentsLedger",
        "SANDBOX_LEDGER_SECRET": "62656e6368" * 8,
        "SANDBOX_CONTRACT": str(CONTRACT),
        "SANDBOX_TOPIC_ARN": "arn:aws:sns:us-east-1:000000000000:WebhookTopic",
        "SANDBOX_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/deliveries",
        "SANDBOX_KMS_KEY_ID": "alias/payments-sandbox",
    }


def _run(
    arguments: list[str], environment: dict[str, str], directory: Path
) -> "subprocess.CompletedProcess[str]":
    """Without the environment's packages, the user's, and what PYTHONPATH names."""
    return subprocess.run(
        [sys.executable, "-I", "-S", *arguments],
        env=environment,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
