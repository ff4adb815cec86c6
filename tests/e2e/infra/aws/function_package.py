"""The package that the emulator runs functions from: the bundle as `make bundle` builds it, for this machine.

What is deployed holds wheels for Lambda's Python and processor, which this machine may not be able to run. The same builder
puts together the same files of the packages that are installed here, so that a handler which needs anything that was left
out fails here too. Beside them lie AWS's runtime client and what starts it, for Lambda's part is played by nobody else.
"""

import shlex
import shutil
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

from stacks.bundle.build import UNZIPPED_BYTES_MAX, build_bundle
from stacks.bundle.bytecode import cache_tag
from stacks.bundle.contents import UNUSED_DISTRIBUTIONS
from stacks.bundle.targets import copy_for_host

RUNTIME: Final = Path(__file__).with_name("function_runtime.py")
RUNTIME_CLIENT: Final = ("awslambdaric", "simplejson", "snapshot-restore-py")

BOOTSTRAP: Final = """#!/bin/sh
exec {python} -I -S "$LAMBDA_TASK_ROOT/{runtime}" {client}
"""
"""What a custom runtime of Lambda begins with."""


def build_function_package(folder: Path) -> Path:
    """The package's zip file. folder: a new folder for it, and for links to the runtime client; it has to stay."""
    packages = copy_for_host(folder / "packages", without=UNUSED_DISTRIBUTIONS)
    # What is compiled for other machines is larger than for Lambda's.
    limit, tag = 2 * UNZIPPED_BYTES_MAX, cache_tag(sys.executable)
    archive = folder / "functions.zip"
    build_bundle(packages, archive, python=sys.executable, tag=tag, unzipped_bytes_max=limit)
    shutil.rmtree(packages)
    client = folder / "client"
    link_runtime_client(client)
    start = BOOTSTRAP.format(
        python=shlex.quote(sys.executable), runtime=RUNTIME.name, client=shlex.quote(str(client))
    )
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as package:
        bootstrap = zipfile.ZipInfo("bootstrap")
        bootstrap.external_attr = 0o755 << 16
        package.writestr(bootstrap, start)
        package.write(RUNTIME, RUNTIME.name)
    return archive


def link_runtime_client(folder: Path) -> None:
    """Link AWS's runtime client, as it is installed here, into a new folder."""
    folder.mkdir()
    for name in RUNTIME_CLIENT:
        installed = distribution(name)
        for entry in {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}:
            (folder / entry).symlink_to(Path(str(installed.locate_file(entry))).resolve())
