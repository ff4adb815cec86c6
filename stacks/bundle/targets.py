"""The locked requirements, for the machine that runs the bundle.

LAMBDA is fetched from the package index, by hash, and kept in the environment, so that it is fetched once. HOST is this
machine and this interpreter: copied from what is installed here, so that tests can import from a bundle without a network.
Neither resolves anything: what runs is what `requirements/lambda.txt` says.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parents[2]
LOCK: Final = ROOT / "requirements" / "lambda.txt"
FETCH_TIMEOUT_S: Final = 600

LAMBDA_PYTHON: Final = "3.12"
# All three, the newest first: given the oldest alone, pip takes the last release that was built for that one, without a
# word. Lambda's Python 3.12 runs on Amazon Linux 2023, whose glibc is 2.34.
LAMBDA_PLATFORMS: Final = ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
LAMBDA_ENVIRONMENT: Final[dict[str, str]] = {
    "implementation_name": "cpython",
    "implementation_version": "3.12.0",
    "os_name": "posix",
    "platform_machine": "aarch64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.12.0",
    "python_version": LAMBDA_PYTHON,
    "sys_platform": "linux",
}
"""What markers are judged by. A marker that asks for more than this (a kernel's version) is refused."""


class LockError(Exception):
    """The locked requirements cannot be laid out for the target; the message says which."""


@dataclass(frozen=True, slots=True)
class Locked:
    """One requirement of the lock. text: its lines, hashes included."""

    requirement: Requirement
    text: str

    @property
    def name(self) -> str:
        """Its name as package indexes compare names."""
        return canonicalize_name(self.requirement.name)


def read_lock(text: str) -> list[Locked]:
    """The requirements of a locked file, in its order."""
    blocks: list[list[str]] = []
    for line in text.splitlines():
        if line and line[0] not in " #":
            blocks.append([line])
        elif blocks and line.startswith("    --hash="):
            blocks[-1].append(line)
    return [Locked(Requirement(block[0].rstrip(" \\")), _join(block)) for block in blocks]


def fetch_for_lambda(directory: Path, *, without: Collection[str], lock: Path = LOCK) -> Path:
    """The directory with the locked wheels for Lambda on arm64, fetched unless it holds them already.

    without: names of distributions to leave out. Raises LockError, or CalledProcessError when pip fails.
    """
    wanted = "".join(each.text for each in _selected(lock, without, LAMBDA_ENVIRONMENT))
    stamp = directory / ".requirements.txt"
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent) as scratch:
        fresh, requirements = Path(scratch, "packages"), Path(scratch, "requirements.txt")
        requirements.write_text(wanted, "utf-8")
        subprocess.run(
            _pip(requirements, fresh), check=True, timeout=FETCH_TIMEOUT_S, stdin=subprocess.DEVNULL
        )
        (fresh / stamp.name).write_text(wanted, "utf-8")
        shutil.rmtree(directory, ignore_errors=True)
        fresh.rename(directory)
    return directory


def copy_for_host(directory: Path, *, without: Collection[str], lock: Path = LOCK) -> Path:
    """The directory, newly filled with the locked packages as they are installed here.

    Raises LockError when another version is installed than the lock says.
    """
    for locked in _selected(lock, without, None):
        installed = distribution(locked.name)
        if not locked.requirement.specifier.contains(installed.version, prereleases=True):
            raise LockError(
                f"{locked.requirement} is locked, {installed.version} is installed: make environment-dev"
            )
        for file in installed.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                target = directory.joinpath(*file.parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(file.locate()), target)
    return directory


def _selected(lock: Path, without: Collection[str], environment: dict[str, str] | None) -> Iterator[Locked]:
    """The requirements that the environment (None: this one) needs."""
    for locked in read_lock(lock.read_text("utf-8")):
        if locked.name not in without and _applies(locked.requirement, environment):
            yield locked


def _applies(requirement: Requirement, environment: dict[str, str] | None) -> bool:
    if requirement.marker is None:
        return True
    here = {name: str(value) for name, value in default_environment().items()}
    if environment is None:
        return _evaluate(requirement.marker, here)
    unknown = [name for name in here if name not in environment and name in str(requirement.marker)]
    if unknown:
        raise LockError(f"{requirement} asks for {', '.join(unknown)}, which is not known of Lambda")
    applies = _evaluate(requirement.marker, environment)
    # pip judges markers by the interpreter that it runs in, whatever platform it is told.
    if applies != _evaluate(requirement.marker, here):
        raise LockError(f"{requirement} differs between Lambda and this machine, where pip would judge it")
    return applies


def _evaluate(marker: Marker, environment: dict[str, str]) -> bool:
    return marker.evaluate(dict(environment))


def _pip(requirements: Path, directory: Path) -> list[str]:
    platforms = [word for platform in LAMBDA_PLATFORMS for word in ("--platform", platform)]
    return [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"),
        *("--target", str(directory), *platforms, "--only-binary=:all:"),
        *("--python-version", LAMBDA_PYTHON, "--implementation", "cp"),
        *("--no-deps", "--require-hashes", "--requirement", str(requirements)),
    ]


def _join(block: list[str]) -> str:
    return " \\\n".join(line.rstrip(" \\") for line in block) + "\n"
