"""What the kernel says of processes."""

from __future__ import annotations

from pathlib import Path


def processes_of(folder: Path) -> list[str]:
    """The command lines that name a folder, of all processes that there are now."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            found.append(command)
    return found
