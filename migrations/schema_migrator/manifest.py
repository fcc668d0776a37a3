"""The manifest of a tree: its heads, and a digest of the files that they follow from.

It is made once, when a package or an image is built, and lies beside the
revisions. With it a run can tell that there is nothing to do without loading a
single revision. It can't go stale unnoticed: names and contents of all files
are hashed again at each run, and where they differ, or the manifest is missing,
the tree is loaded as ever.

Make one by ``python -m schema_migrator.manifest TREE``.
"""

from __future__ import annotations

import os
import sys
from _blake2 import blake2b  # hashlib would load OpenSSL: a tenth of the quick path's time

NAME = "manifest.txt"
"""The file's name, in the directory of the revisions."""

_FIRST_LINE = "schema-migrator manifest 1"


def digest(versions: str) -> str:
    """Return the digest of the names and contents of all files in a directory of revisions.

    Directories do not count, and so neither does Python's cache.

    Args:
        versions: the directory.

    Raises:
        OSError: it can't be read.
    """
    found = blake2b(digest_size=32)
    with os.scandir(versions) as entries:
        names = sorted(one.name for one in entries if not one.is_dir())
    for name in names:
        if name == NAME:
            continue
        descriptor = os.open(f"{versions}/{name}", os.O_RDONLY)
        try:
            content = os.read(descriptor, 1 << 16)
            while more := os.read(descriptor, 1 << 20):
                content += more
        finally:
            os.close(descriptor)
        # With the lengths no two directories give the same bytes.
        head = os.fsencode(name)
        found.update(b"%d %d " % (len(head), len(content)) + head + content)
    return found.hexdigest()


def heads(versions: str) -> tuple[str, ...] | None:
    """Return the tree's heads, sorted, as its manifest says; None where it says nothing (any more).

    Args:
        versions: the directory of the revisions.
    """
    try:
        descriptor = os.open(f"{versions}/{NAME}", os.O_RDONLY)
    except OSError:
        return None
    try:
        lines = os.read(descriptor, 1 << 16).decode("ascii", "replace").split("\n")
    finally:
        os.close(descriptor)
    if len(lines) != 4 or lines[0] != _FIRST_LINE or lines[3]:  # noqa: PLR2004 - title, digest, heads, end
        return None
    words = lines[2].split(" ")
    if words[0] != "heads" or len(words) < 2 or lines[1] != f"digest {digest(versions)}":  # noqa: PLR2004 - one head
        return None
    return tuple(words[1:])


def render(versions: str, found: tuple[str, ...]) -> str:
    """Return the manifest of a directory whose files have these heads."""
    return f"{_FIRST_LINE}\ndigest {digest(versions)}\nheads {' '.join(found)}\n"


def main() -> int:
    """Write the manifest of the tree that the first argument names; return the exit code."""
    from pathlib import Path

    from schema_migrator import source_graph, tree
    from schema_migrator.errors import ConfigurationError

    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):  # noqa: PLR2004 - the program and the tree
        sys.stderr.write(
            "usage: python -m schema_migrator.manifest TREE (package, package:path, or a directory with a slash)\n"
        )
        return 2
    try:
        loaded = tree.load(sys.argv[1])
        versions = loaded.location.versions
        found = source_graph.heads(versions)
        if found != loaded.heads:
            raise ConfigurationError(
                f"the revisions' heads as written ({', '.join(found)}) and as loaded ({', '.join(loaded.heads)}) differ"
            )
    except ConfigurationError as error:
        sys.stderr.write(f"no manifest: {error.message}\n")
        return 14
    path = Path(versions) / NAME
    path.write_text(render(str(versions), found), encoding="ascii")
    sys.stdout.write(f"{path}: {', '.join(found)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
