"""What an image stands for on a node without a container runtime: a command.

The table is a file, read anew each time, so a running node learns of an image
as soon as somebody adds it.
"""

from __future__ import annotations

import fcntl
import fnmatch
import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Table:
    """Patterns of image names, each with the command that is its entry point.

    The first pattern that matches is taken; what was added last comes first.
    """

    def __init__(self, path: Path, fixed: Mapping[str, Sequence[str]] | None = None) -> None:
        self._path = path
        self._fixed = {pattern: tuple(command) for pattern, command in (fixed or {}).items()}

    def entry_point(self, image: str) -> tuple[str, ...] | None:
        """The command of an image.

        Args:
            image: as the pod names it.

        Returns:
            None if the image is not known; empty where only pods say what to run.
        """
        for pattern, command in (*self._fixed.items(), *self._read().items()):
            if fnmatch.fnmatchcase(image, pattern):
                return command
        return None

    def write(self, table: Mapping[str, Sequence[str]]) -> None:
        """Replaces the file.

        Args:
            table: pattern to command.
        """
        part = self._path.with_name(f".{self._path.name}.part")
        content = {pattern: list(command) for pattern, command in table.items()}
        part.write_text(json.dumps(content, indent=2), encoding="utf-8")
        part.replace(self._path)

    def add(self, pattern: str, command: Sequence[str]) -> None:
        """Puts one in front; safe when several do so at once.

        Args:
            pattern: of the image's name, as a shell's.
            command: its entry point.
        """
        with self._path.with_name(f".{self._path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            others = {each: value for each, value in self._read().items() if each != pattern}
            self.write({pattern: command, **others})

    def _read(self) -> dict[str, tuple[str, ...]]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return {pattern: tuple(command) for pattern, command in content.items()}


def image_id(image: str) -> str:
    """Something stable in place of a digest.

    Args:
        image: as the pod names it.

    Returns:
        The name and the hash of the name.
    """
    return f"{image}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"
