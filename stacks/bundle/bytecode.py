"""Python compiled beforehand: Lambda's file system is read-only, so that each cold start would compile everything anew.

Dependencies go in as bytecode alone, the package's own modules with their sources, so that its tracebacks show lines. The
files are unchecked: nothing compares times with sources. Bytecode is one version's own: an interpreter of another version
than the target's is refused.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final

COMPILE_TIMEOUT_S: Final = 300
WHERE_LAMBDA_UNPACKS: Final = "/var/task"
OWN_PACKAGE: Final = "payments_sandbox"

_TAG: Final = "import sys; print(sys.implementation.cache_tag)"


class WrongInterpreter(Exception):
    """The interpreter that is to compile is not of the version that the bundle is for."""


def cache_tag(python: str) -> str:
    """What the interpreter calls its bytecode: `cpython-312`."""
    done = subprocess.run(
        [python, "-I", "-S", "-c", _TAG], check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()


def with_bytecode(
    files: Mapping[PurePosixPath, bytes], *, python: str, expected_tag: str
) -> dict[PurePosixPath, bytes]:
    """The files, with bytecode for each Python source; for those of dependencies instead of the source.

    A source that does not compile stays as it is: a package may ship one for another version of Python.
    Raises WrongInterpreter.
    """
    tag = cache_tag(python)
    if tag != expected_tag:
        raise WrongInterpreter(f"{python} makes {tag}, the bundle is for {expected_tag}")
    sources = {name: content for name, content in files.items() if name.suffix == ".py"}
    compiled = _compile(sources, python, tag)
    bundled = dict(files)
    for name, code in compiled.items():
        if name.parts[0] == OWN_PACKAGE:
            bundled[_cached(name, tag)] = code
        else:
            del bundled[name]
            bundled[name.with_suffix(".pyc")] = code
    return bundled


def _compile(sources: Mapping[PurePosixPath, bytes], python: str, tag: str) -> dict[PurePosixPath, bytes]:
    with TemporaryDirectory() as scratch:
        for name, content in sources.items():
            path = Path(scratch, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        command = [
            python,
            "-s",
            "-S",
            "-P",
            "-m",
            "compileall",
            "-qq",
            "--invalidation-mode",
            "unchecked-hash",
        ]
        # One process, names in order, hashes that are the same each time. It answers 1 when some source does not compile.
        done = subprocess.run(
            [*command, "-s", scratch, "-p", WHERE_LAMBDA_UNPACKS, scratch],
            env={"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
            check=False,
            timeout=COMPILE_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode not in (0, 1):
            raise subprocess.CalledProcessError(done.returncode, command)
        cached = {name: Path(scratch, _cached(name, tag)) for name in sources}
        return {name: path.read_bytes() for name, path in cached.items() if path.exists()}


def _cached(source: PurePosixPath, tag: str) -> PurePosixPath:
    return source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc"
