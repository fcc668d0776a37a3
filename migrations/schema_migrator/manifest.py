"""The manifest of a tree: its heads, its checksums, and a digest of the files that both follow from.

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
        content = _content(f"{versions}/{name}") or b""
        # With the lengths no two directories give the same bytes.
        head = os.fsencode(name)
        found.update(b"%d %d " % (len(head), len(content)) + head + content)
    return found.hexdigest()


class Manifest:
    """What a tree's manifest says.

    Attributes:
        heads: the newest revisions, sorted.
        checksums: revision to the SHA-256 of what applies it.
    """

    def __init__(self, heads: tuple[str, ...], checksums: dict[str, str]) -> None:
        self.heads = heads
        self.checksums = checksums


def read(versions: str) -> Manifest | None:
    """Return what the manifest in a directory of revisions says; None where it says nothing (any more).

    Args:
        versions: the directory of the revisions.
    """
    content = _content(f"{versions}/{NAME}")
    if content is None:
        return None
    first, *lines = content.decode("ascii", "replace").split("\n")
    if first != _FIRST_LINE or not lines or lines.pop():
        return None
    values: dict[str, dict[str, str]] = {"digest": {}, "head": {}, "revision": {}}
    for line in lines:
        word, _, rest = line.partition(" ")
        key, _, value = rest.partition(" ")
        if word not in values:
            return None
        values[word][key] = value
    if list(values["digest"]) != [digest(versions)] or not values["head"]:
        return None
    return Manifest(tuple(values["head"]), values["revision"])


def _content(path: str) -> bytes | None:
    """Return what a file holds, None where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        content = os.read(descriptor, 1 << 16)
        while more := os.read(descriptor, 1 << 20):
            content += more
    finally:
        os.close(descriptor)
    return content


def render(versions: str, content: Manifest) -> str:
    """Return the text of the manifest of a directory."""
    lines = [
        _FIRST_LINE,
        f"digest {digest(versions)}",
        *(f"head {one}" for one in content.heads),
        *(f"revision {one} {checksum}" for one, checksum in content.checksums.items()),
    ]
    return "\n".join([*lines, ""])


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
        found = source_graph.read(versions)
        if found.heads != loaded.heads or found.checksums != {
            one.id: one.checksum for one in loaded.all_revisions()
        }:
            raise ConfigurationError("the revisions as written and as loaded differ")
    except ConfigurationError as error:
        sys.stderr.write(f"no manifest: {error.message}\n")
        return 14
    path = Path(versions) / NAME
    path.write_text(render(str(versions), found), encoding="ascii")
    sys.stdout.write(f"{path}: {', '.join(found.heads)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
