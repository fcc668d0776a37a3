"""golang-migrate's program: built once by Go from a pinned module, and cached."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from local_benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MODULE: Final = Path(__file__).resolve().parents[1] / "build" / "golang-migrate"
"""The Go module that pins it."""

_PACKAGE = "github.com/golang-migrate/migrate/v4/cmd/migrate"
_FLAGS = ("-trimpath", "-tags", "postgres", "-ldflags", "-s -w")


def version() -> str:
    """Return the release that is built, for example ``4.20.1``."""
    text = (MODULE / "go.mod").read_text(encoding="utf-8")
    match = re.search(r"golang-migrate/migrate/v4 v(\S+)", text)
    if match is None:
        raise BenchmarkError(f"{MODULE / 'go.mod'} does not require golang-migrate")
    return match[1]


def cache_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Return where built programs are kept.

    Args:
        environment: in place of the process's own.
    """
    environment = os.environ if environment is None else environment
    base = environment.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((MODULE / name).read_bytes())
    digest.update(f"{_FLAGS} {platform.system()} {platform.machine()}".encode())
    return Path(base) / "schema-operator" / "golang-migrate" / digest.hexdigest()[:16]


def locate(environment: Mapping[str, str] | None = None) -> Path | None:
    """Return the program, built now if need be; None where there is no Go.

    Args:
        environment: in place of the process's own.

    Raises:
        BenchmarkError: the compiler refused.
    """
    environment = os.environ if environment is None else environment
    program = cache_folder(environment) / "migrate"
    if os.access(program, os.X_OK):
        return program
    go = shutil.which("go", path=environment.get("PATH"))
    if go is None:
        return None
    program.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(program.parent):
        # Who waited for the lock finds what the other one built.
        if not os.access(program, os.X_OK):
            _build(go, program, environment)
    return program


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(go: str, program: Path, environment: Mapping[str, str]) -> None:
    part = program.with_name(f".migrate.{os.getpid()}")
    try:
        ended = subprocess.run(
            [go, "build", "-mod=readonly", *_FLAGS, "-o", str(part), _PACKAGE],
            cwd=MODULE,
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
            raise BenchmarkError(f"go could not build golang-migrate: {said}")
        part.replace(program)
    finally:
        part.unlink(missing_ok=True)
