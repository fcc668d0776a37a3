"""The image that the others are built on: a small Debian with Python, made without a registry."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from local_images import cache, sources
from local_images.errors import BuildError

if TYPE_CHECKING:
    from local_kubernetes.progress import Progress

NAME: Final = "localhost/base:1"
"""What the engine calls it."""

PACKAGES: Final = ("ca-certificates", "python3", "python3-venv")
_SURPLUS: Final = (
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
    "usr/share/doc",
    "usr/share/man",
)
_RECIPE: Final = "1"
"""Another one where this module makes another image of the same packages."""


def key() -> str:
    """Return what decides the base image, as a short digest."""
    digest = hashlib.sha256()
    for part in (_RECIPE, sources.release(), platform.machine(), *PACKAGES):
        digest.update(f"{part}\n".encode())
    certificates = sources.certificates()
    if certificates is not None:
        digest.update(certificates.read_bytes())
    return digest.hexdigest()[:16]


def archive(progress: Progress) -> Path:
    """Return the root file system of the base image as a tar file; made once, then kept.

    Raises:
        BuildError: it can't be made here; the text says why.
    """
    folder = cache.folder("base")
    path = folder / f"{key()}.tar"
    with cache.only_one(folder):
        if not path.exists():
            with progress.step("making the base image from Debian's packages (once; cached)"):
                _make(path)
    return path


def _make(path: Path) -> None:
    debootstrap = shutil.which("debootstrap", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if debootstrap is None or os.geteuid() != 0:
        raise BuildError(
            "the base image is made by debootstrap, as root: install that package, or name an"
            " image with Python 3.11 or newer by --base"
        )
    with tempfile.TemporaryDirectory(prefix="local-images-base-") as temporary:
        root = Path(temporary) / "root"
        log = Path(temporary) / "log"
        # In a mount namespace of its own: what debootstrap mounts goes with it, however it ends.
        command = ["unshare", "--mount", debootstrap, "--variant=minbase"]
        command += [f"--include={','.join(PACKAGES)}", sources.release(), str(root)]
        with log.open("wb") as stream:
            ended = subprocess.run(
                [*command, sources.mirror()],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if ended.returncode:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            raise BuildError(f"debootstrap: {lines[-1] if lines else 'it said nothing'}")
        for surplus in _SURPLUS:
            _empty(root / surplus)
        certificates = sources.certificates()
        if certificates is not None:
            shutil.copyfile(certificates, root / sources.CERTIFICATES.lstrip("/"))
        part = path.with_suffix(".part")
        try:
            subprocess.run(["tar", "-C", root, "-cf", part, "."], check=True)  # noqa: S607
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _empty(folder: Path) -> None:
    """Delete all files below a folder, and keep the folders: some programs expect them."""
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            path.unlink()
