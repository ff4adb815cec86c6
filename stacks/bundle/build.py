"""The bundle put together: packages, handlers and the prepared contract, in one zip of limited size."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final

from stacks.bundle.archive import write_zip
from stacks.bundle.bytecode import with_bytecode
from stacks.bundle.contents import handler_files, packaged_files
from stacks.bundle.native import without_symbols
from stacks.bundle.targets import ROOT

MIB: Final = 1 << 20
"""As AWS counts: the 250 MB that it allows are these."""
CONTRACT: Final = PurePosixPath("openapi/payments.json")
"""Where the bundle has the contract. SANDBOX_CONTRACT names it, below where Lambda unpacks."""
UNZIPPED_BYTES_MAX: Final = 30 * MIB
PREPARE_TIMEOUT_S: Final = 120
LAMBDA_TAG: Final = "cpython-312"


class BundleTooLarge(Exception):
    """More was to be bundled than cold starts should have to read."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What was built. compiled: whether it has bytecode."""

    path: Path
    files: int
    zipped_bytes: int
    unzipped_bytes: int
    compiled: bool

    def __str__(self) -> str:
        bytecode = (
            "with bytecode" if self.compiled else "without bytecode: no Python 3.12 was there to compile with"
        )
        return (
            f"{self.path}: {self.files} files, {self.zipped_bytes / MIB:.1f} MB zipped, "
            f"{self.unzipped_bytes / MIB:.1f} MB unzipped (at most {UNZIPPED_BYTES_MAX // MIB}), {bytecode}"
        )


def build_bundle(
    packages: Path,
    path: Path,
    *,
    python: str | None,
    tag: str = LAMBDA_TAG,
    unzipped_bytes_max: int = UNZIPPED_BYTES_MAX,
) -> Bundle:
    """Build the zip at path from a directory of installed packages.

    python: the interpreter that compiles, of the version that tag names; None leaves the sources as they are.
    Raises BundleTooLarge, WrongInterpreter, or CalledProcessError when the contract cannot be served or nothing compiles.
    """
    files = {name: without_symbols(content) for name, content in packaged_files(packages)}
    files |= dict(handler_files(ROOT))
    files[CONTRACT] = _prepared_contract()
    if python is not None:
        files = with_bytecode(files, python=python, expected_tag=tag)
    unzipped = sum(map(len, files.values()))
    if unzipped > unzipped_bytes_max:
        raise BundleTooLarge(f"{unzipped:,} bytes unzipped, more than {unzipped_bytes_max:,}")
    write_zip(path, files)
    return Bundle(path, len(files), path.stat().st_size, unzipped, python is not None)


def _prepared_contract() -> bytes:
    """The contract as the handlers read it fastest, validated; made by the package that knows how."""
    with TemporaryDirectory() as scratch:
        prepared = Path(scratch, "contract.json")
        command = [sys.executable, "-m", "payments_sandbox.entrypoints.prepare_contract", str(prepared)]
        subprocess.run(
            command, cwd=ROOT / "handlers", check=True, timeout=PREPARE_TIMEOUT_S, stdin=subprocess.DEVNULL
        )
        return prepared.read_bytes()
