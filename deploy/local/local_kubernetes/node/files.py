"""A container's own files: they take the place of what would be mounted into it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_MESSAGE_PATH: Final = "/dev/termination-log"

LOG_BYTES: Final = 2048
LOG_LINES: Final = 80
"""What a kubelet takes from the log in place of a message."""


@dataclasses.dataclass(frozen=True, slots=True)
class Files:
    """Where they are.

    Attributes:
        folder: the container's; it stands in its environment and marks its descendants.
    """

    folder: Path

    def create(self) -> None:
        """Makes the folders, and an empty termination message."""
        for folder in (self.home, self.temporary):
            folder.mkdir(parents=True, exist_ok=True)
        self.message.write_bytes(b"")

    @property
    def home(self) -> Path:
        """HOME."""
        return self.folder / "home"

    @property
    def temporary(self) -> Path:
        """TMPDIR."""
        return self.folder / "tmp"

    @property
    def message(self) -> Path:
        """The termination message."""
        return self.folder / "termination-log"

    @property
    def log(self) -> Path:
        """Output and errors."""
        return self.folder / "log"

    @property
    def mark(self) -> Path:
        """Says that it was started, to a later life of this node: its id."""
        return self.folder / "started"

    def instead_of(self, value: str, specification: dict[str, Any]) -> str:
        """The own file, where a value is the path that it would be mounted at.

        Args:
            value: of a variable, or a word of the command.
            specification: the container's.
        """
        path = specification.get("terminationMessagePath", DEFAULT_MESSAGE_PATH)
        return str(self.message) if value == path else value

    def last_words(self, specification: dict[str, Any], exit_code: int, size: int) -> str:
        """The termination message, as a kubelet reads it.

        Args:
            specification: the container's.
            exit_code: how it ended.
            size: the most that is kept, in bytes.
        """
        message = _tail(self.message, size)
        policy = specification.get("terminationMessagePolicy", "File")
        if not message and exit_code and policy == "FallbackToLogsOnError":
            lines = _tail(self.log, LOG_BYTES).splitlines(keepends=True)
            return "".join(lines[-LOG_LINES:])
        return message


def _tail(path: Path, size: int) -> str:
    """The end of a file."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - size))
            return file.read(size).decode("utf-8", "replace")
    except OSError:
        return ""
