"""Orca's program: built once by Cargo from its published crate, and cached.

The crate carries a lock file that pins whatever it is built from by checksum.
The cache is keyed by the release and the flags.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from local_kubernetes.compiler import only_one
from local_orca.errors import BuildError, NotBuiltError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_kubernetes.progress import Progress

CRATE: Final = "mallorca"
"""The name under which Orca is published; its program is ``orca``."""

VERSION: Final = "0.3.0"
"""The release that is built."""

VARIABLE: Final = "SCHEMA_OPERATOR_ORCA"
"""Names a program that is there already; then none is built."""

SETTINGS: Final = {
    # Sooner built, for a program that mostly waits.
    "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0",
    "CARGO_PROFILE_RELEASE_STRIP": "true",
}
"""How it is compiled."""

_NICENESS = 15  # it takes long, and nobody waits for it


def locate(environment: Mapping[str, str] | None = None) -> Path:
    """Return the program that is there: the named one, or the cached one.

    Args:
        environment: in place of the process's own.

    Raises:
        NotBuiltError: there is none.
    """
    environment = os.environ if environment is None else environment
    named = environment.get(VARIABLE)
    program = Path(named) if named else cache_folder(environment) / "orca"
    if not os.access(program, os.X_OK):
        why = f"{VARIABLE} names {program}, which can't be run" if named else "it is not built"
        raise NotBuiltError(f"no Orca: {why}: 'python -m local_orca build' builds it, once")
    return program


def cache_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Return where the built program is kept.

    Args:
        environment: in place of the process's own.
    """
    environment = os.environ if environment is None else environment
    base = environment.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    key = f"{CRATE} {VERSION} {sorted(SETTINGS.items())} {platform.system()} {platform.machine()}"
    return Path(base) / "schema-operator" / "orca" / hashlib.sha256(key.encode()).hexdigest()[:16]


def build(progress: Progress, jobs: int, environment: Mapping[str, str] | None = None) -> Path:
    """Return the program, built now if it is not there.

    Args:
        progress: told what is built, or was cached.
        jobs: how many compilers run at once.
        environment: in place of the process's own.

    Raises:
        BuildError: the compiler refused, or there is none.
    """
    environment = os.environ if environment is None else environment
    with contextlib.suppress(NotBuiltError):
        program = locate(environment)
        progress.note(f"Orca {VERSION}: cached")
        return program
    folder = cache_folder(environment)
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "orca"
    with only_one(folder):
        # Who waited for the lock finds what the other one built.
        if not os.access(program, os.X_OK):
            with progress.step(f"building Orca {VERSION} (once, 25 minutes; cached afterwards)"):
                _build(program, jobs, environment)
    return program


def _build(program: Path, jobs: int, environment: Mapping[str, str]) -> None:
    cargo = shutil.which("cargo", path=environment.get("PATH"))
    if cargo is None:
        raise BuildError(
            "Orca must be compiled and there is no 'cargo' on PATH: install Rust 1.95 or newer "
            f"(https://rustup.rs), or name a program by {VARIABLE}"
        )
    scratch = program.parent / ".build"
    command = [cargo, "install", CRATE, "--version", VERSION, "--locked", "--bin", "orca"]
    log = program.parent / "build.log"
    try:
        with log.open("w") as output:
            ended = subprocess.run(
                [*command, "--root", str(scratch), "--target-dir", str(scratch / "target")],
                env={**environment, **SETTINGS, "CARGO_BUILD_JOBS": str(jobs)},
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=_be_nice,
            )
        if ended.returncode != 0:
            lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
            said = next((line for line in lines if line.startswith("error")), "it said nothing")
            raise BuildError(f"cargo could not build Orca: {said} (all of it: {log})")
        (scratch / "bin" / "orca").replace(program)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _be_nice() -> None:
    os.nice(_NICENESS)
