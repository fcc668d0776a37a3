"""Programs that are compiled once from a pinned Go module beside this package, and cached."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from local_kubernetes.errors import BuildError, ToolMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from local_kubernetes.progress import Progress

MODULES: Final = Path(__file__).resolve().parents[1] / "build"
"""Where the Go modules lie."""


@dataclasses.dataclass(frozen=True, slots=True)
class Program:
    """One program that Go builds.

    Attributes:
        name: of the program, and of the file.
        module: the Go module that pins what it is built from.
        package: what is built.
        flags: of ``go build``.
        otherwise: what there is besides compiling it, for who has no Go.
    """

    name: str
    module: Path
    package: str
    flags: tuple[str, ...]
    otherwise: str = ""


def cache_folder(
    name: str, files: Sequence[Path], flags: Sequence[str], environment: Mapping[str, str]
) -> Path:
    """Where the built programs of some modules are kept: a folder for each state of these.

    Args:
        name: of the folder in the user's cache.
        files: what decides what is built: the modules' files.
        flags: of the compiler, likewise.
        environment: may name another cache.
    """
    base = environment.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes())
    for flag in flags:
        digest.update(flag.encode())
    digest.update(f"{platform.system()} {platform.machine()}".encode())
    return Path(base) / "schema-operator" / name / digest.hexdigest()[:16]


def locate(
    program: Program, folder: Path, progress: Progress, environment: Mapping[str, str]
) -> Path:
    """Finds a program in its cache folder, and builds it where it is not there.

    Args:
        program: which.
        folder: from :func:`cache_folder`.
        progress: told what is built and what was cached.
        environment: the compiler's.

    Raises:
        ToolMissingError: it must be built and there is no Go.
        BuildError: the compiler refused.
    """
    cached = folder / program.name
    if os.access(cached, os.X_OK):
        progress.note(f"{program.name}: cached")
        return cached
    folder.mkdir(parents=True, exist_ok=True)
    with only_one(folder):
        # Who waited for the lock finds what the other one built.
        if not os.access(cached, os.X_OK):
            with progress.step(f"building {program.name} (once; cached afterwards)"):
                _build(program, cached, environment)
    return cached


def required_version(module: str, requirement: str) -> str:
    """The release of a requirement of a module.

    Args:
        module: its folder's name.
        requirement: the required module.

    Returns:
        For example ``1.36.3``.

    Raises:
        BuildError: the module file does not name one.
    """
    text = (MODULES / module / "go.mod").read_text(encoding="utf-8")
    match = re.search(rf"^(?:require )?\s*{re.escape(requirement)} v(\S+)", text, re.MULTILINE)
    if match is None:
        raise BuildError(f"{MODULES / module / 'go.mod'} does not require {requirement}")
    return match[1]


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Lets one process at a time build in a folder while the block runs."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(program: Program, target: Path, environment: Mapping[str, str]) -> None:
    part = target.with_name(f".{program.name}.{os.getpid()}")
    command = ["build", "-mod=readonly", "-trimpath", *program.flags]
    try:
        run(program, [*command, "-o", str(part), program.package], environment)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def run(program: Program, arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Runs Go in a program's module.

    Args:
        program: which.
        arguments: Go's.
        environment: Go's.

    Returns:
        What it wrote to standard output.

    Raises:
        ToolMissingError: there is no Go.
        BuildError: it refused; the text ends with the last line that it said.
    """
    go = shutil.which("go", path=environment.get("PATH"))
    if go is None:
        raise ToolMissingError(
            f"{program.name} must be compiled and there is no 'go' on PATH: install Go 1.26 or"
            f" newer (https://go.dev/dl){program.otherwise}"
        )
    ended = subprocess.run(
        [go, *arguments],
        cwd=program.module,
        env={**environment, "CGO_ENABLED": "0"},
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if ended.returncode != 0:
        lines = [line for line in ended.stderr.splitlines() if line.strip()]
        said = lines[-1] if lines else "it said nothing"
        raise BuildError(f"go could not build {program.name}: {said}")
    return ended.stdout
