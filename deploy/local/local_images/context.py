"""What an image is made of: the files that Docker is sent, and where they come from."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[3]
"""The working tree."""


def version() -> str:
    """Return the version of the product, such as ``0.1.0``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def revision() -> str:
    """Return the commit of the working tree, with ``-dirty`` where it was changed; or nothing."""
    git = shutil.which("git")
    if git is None:
        return ""
    ended = subprocess.run(
        [git, "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stdout.strip()


def digest(base: str) -> str:
    """Return what decides the images, as a short digest.

    The revision is not part of it: images of the same files are the same, and
    name the revision that they were built from first.

    Args:
        base: what decides the image that they are built on.
    """
    found = hashlib.sha256(f"{base}\n".encode())
    for path in sorted(_files()):
        found.update(f"{path.relative_to(ROOT)} {path.stat().st_mode & 0o777:o}\n".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:16]


def digest_of_dependencies(base: str) -> str:
    """Return what decides the layers that hold what others wrote, as a short digest.

    Args:
        base: what decides the image that they are built on.
    """
    found = hashlib.sha256(f"{base}\n".encode())
    found.update((ROOT / "Dockerfile").read_bytes())
    for name in ("build", "migrator", "operator"):
        found.update((ROOT / "requirements" / f"{name}.txt").read_bytes())
    return found.hexdigest()[:16]


def _files() -> Iterator[Path]:
    """Yield the Dockerfile and what .dockerignore, which lists what is let in, leaves of the tree."""
    yield ROOT / "Dockerfile"
    yield ROOT / ".dockerignore"
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name in (line.removeprefix("!") for line in lines if line.startswith("!")):
        path = ROOT / name
        if path.is_dir():
            yield from (
                each
                for each in path.rglob("*")
                if each.is_file() and "__pycache__" not in each.parts
            )
        else:
            yield path
