"""The package that the emulator runs functions from.

The bundle that is deployed holds wheels for Lambda's Python and processor, which this machine may not be able to run. So
the emulator gets the checkout's own `handlers`, on this machine's Python, and of what is installed here exactly what
`requirements/lambda.txt` locks and AWS's runtime client needs: a handler that imports anything else fails here too.
"""

import json
import shlex
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from handlers.http.contract import load_contract
from handlers.settings import contract_path
from tests.e2e.infra.server import ROOT

LOCKED: Final = ROOT / "requirements" / "lambda.txt"
RUNTIME_CLIENT: Final = ("awslambdaric", "simplejson", "snapshot-restore-py")
MADE: Final = (1980, 1, 1, 0, 0, 0)

BOOTSTRAP: Final = """#!/bin/sh
exec {python} -I -S "$LAMBDA_TASK_ROOT/function_runtime.py" {requirements}
"""
"""What a custom runtime of Lambda begins with."""


def build_function_package(folder: Path) -> Path:
    """The package's zip file. folder: a new folder for it, and for links to its requirements; it has to stay."""
    folder.mkdir()
    requirements = folder / "requirements"
    link_requirements(requirements)
    start = BOOTSTRAP.format(python=shlex.quote(sys.executable), requirements=shlex.quote(str(requirements)))
    archive = folder / "functions.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as package:
        bootstrap = zipfile.ZipInfo("bootstrap", MADE)
        bootstrap.external_attr = 0o755 << 16
        package.writestr(bootstrap, start)
        for name, content in sorted(package_files()):
            package.writestr(zipfile.ZipInfo(name, MADE), content)
    return archive


def package_files() -> Iterator[tuple[str, bytes]]:
    """What is zipped: the name in the package, and the content."""
    yield "function_runtime.py", Path(__file__).with_name("function_runtime.py").read_bytes()
    yield "contract.json", json.dumps(load_contract(contract_path())).encode()
    for file in (ROOT / "handlers").rglob("*.py"):
        yield str(file.relative_to(ROOT)), file.read_bytes()


def link_requirements(folder: Path) -> None:
    """Link what is installed of the locked requirements into a folder: nothing is copied, and compiled modules are used."""
    folder.mkdir()
    for name in (*locked_names(), *RUNTIME_CLIENT):
        installed = distribution(name)
        for entry in {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}:
            (folder / entry).symlink_to(Path(str(installed.locate_file(entry))).resolve())


def locked_names() -> Iterator[str]:
    """The distributions that the lock wants on this machine."""
    for line in LOCKED.read_text().splitlines():
        if line[:1].isalnum():
            requirement = Requirement(line.rstrip("\\ "))
            if requirement.marker is None or requirement.marker.evaluate():
                yield requirement.name
