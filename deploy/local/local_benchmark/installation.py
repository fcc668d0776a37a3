"""The migrator as an image has it: its wheel and its pinned dependencies alone, compiled.

A checkout would measure something else: what developers have installed besides
is loaded with it, and the embedded tree has no manifest.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from local_benchmark.errors import BenchmarkError

ROOT: Final = Path(__file__).resolve().parents[3]
"""The checkout."""


@dataclasses.dataclass(frozen=True, slots=True)
class Installation:
    """Where the migrator is.

    Attributes:
        python: the environment's interpreter.
        script: ``migrate`` as pip writes it.
        launcher: ``migrate`` as the image starts it.
    """

    python: Path
    script: Path
    launcher: Path


def install() -> Installation:
    """Return an environment with the checkout's wheel; made once for each set of dependencies.

    Raises:
        BenchmarkError: it can't be made.
    """
    requirements = ROOT / "requirements" / "migrator.txt"
    base = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = Path(base) / "schema-operator" / "benchmark" / digest
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", "--without-pip", str(folder))
        _pip(python, "--require-hashes", "--requirement", str(requirements))
        (folder / "complete").touch()
    wheels = folder / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    _run(
        sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(wheels)
    )
    (wheel,) = wheels.glob("*.whl")
    _pip(python, "--no-deps", "--force-reinstall", str(wheel))
    _run(str(python), "-m", "compileall", "-q", "-j", "0", str(folder / "lib"))
    launcher = folder / "bin" / "migrate-launcher"
    _run(str(python), "-m", "schema_migrator.launcher", str(launcher))
    return Installation(python, folder / "bin" / "migrate", launcher)


def _pip(python: Path, *arguments: str) -> None:
    _run(
        *(sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"),
        *("--disable-pip-version-check", *arguments),
    )


def _run(*command: str) -> None:
    # Bytecode may be written: the environment asks otherwise on many a developer's machine.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True
    )
    if ended.returncode != 0:
        lines = (ended.stderr or ended.stdout).strip().splitlines()
        raise BenchmarkError(f"{' '.join(command[1:4])} failed: {lines[-1] if lines else ''}")
