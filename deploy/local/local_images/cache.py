"""The user's cache folder: what was made once is kept there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def folder(name: str) -> Path:
    """Return a folder of the cache, made when it is not there; it may be deleted at any time.

    Args:
        name: what it holds, such as ``base``.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(base) / "schema-operator" / "images" / name
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Let one process at a time make what is missing in a folder; who waited finds it there."""
    with (path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def keep_newest(path: Path, number: int) -> None:
    """Delete all but the folders that were used last.

    Args:
        path: holds the folders.
        number: how many stay.
    """
    folders = [each for each in path.iterdir() if each.is_dir()]
    for old in sorted(folders, key=lambda each: each.stat().st_mtime, reverse=True)[number:]:
        shutil.rmtree(old, ignore_errors=True)
