"""What a revision's file is known by: its SHA-256, in hexadecimal digits, with line ends normalised."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def of(source: bytes) -> str:
    """Return the checksum of what a file holds."""
    return hashlib.sha256(source.replace(b"\r\n", b"\n")).hexdigest()


def of_file(path: Path) -> str:
    """Return the checksum of a file."""
    return of(path.read_bytes())
