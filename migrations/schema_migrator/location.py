"""Where a tree is: the directories of a package, found without importing it, or given by path."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from schema_migrator.errors import ConfigurationError

if TYPE_CHECKING:
    from schema_migrator.setup import Setup


@dataclasses.dataclass(frozen=True, slots=True)
class Location:
    """Where a tree is.

    Attributes:
        name: as the user gave it.
        directory: the tree's directory.
        versions: the directory of its revisions; of several the first.
        others: the other ones.
        recursive: whether the directories below them count too.
    """

    name: str
    directory: Path
    versions: Path
    others: tuple[Path, ...] = ()
    recursive: bool = False

    @property
    def folders(self) -> tuple[Path, ...]:
        """Every directory of revisions, with those below where they count."""
        given = (self.versions, *self.others)
        if not self.recursive:
            return given
        below = (
            sorted(one for one in folder.rglob("*") if one.is_dir() and one.name != "__pycache__")
            for folder in given
        )
        return tuple(
            one for folder, rest in zip(given, below, strict=True) for one in (folder, *rest)
        )

    def files(self) -> list[Path]:
        """Return the files in all of them."""
        return [path for folder in self.folders for path in folder.iterdir() if path.is_file()]

    @property
    def kinds(self) -> frozenset[str]:
        """``python`` and ``sql``: which kinds of revisions are there; empty: none at all."""
        files = self.files()
        python = any(one.suffix == ".py" and not one.name.startswith(("_", ".")) for one in files)
        sql = any(one.name.endswith((".up.sql", ".down.sql")) for one in files)
        return frozenset(kind for kind, has in (("python", python), ("sql", sql)) if has)


def locate(name: str) -> Location:
    """Return where a tree is: ``package``, ``package:path``, or a directory (with a slash).

    Raises:
        ConfigurationError: there is no such package or directory.
    """
    if "/" in name:
        directory = Path(name)
    else:
        package, _, path = name.partition(":")
        directory = _package(package, name) / path
    if not directory.is_dir():
        raise ConfigurationError(f'tree "{name}": there is no directory {directory}')
    versions = directory / "versions"
    return Location(name, directory, versions if versions.is_dir() else directory)


def _package(package: str, tree: str) -> Path:
    """Return a package's directory, without importing it.

    An application's package may set up engines and read settings when it is
    imported, which is for later: for the prelude, or for the revisions.

    Args:
        package: its name, with dots.
        tree: what the user gave, for the message.
    """
    top, *below = package.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.submodule_search_locations is None:
        raise _no_package(package, tree)
    folders = [Path(one) for one in spec.submodule_search_locations]
    if not any(folder.is_dir() for folder in folders):
        raise ConfigurationError(f'tree "{tree}": the package is not unpacked; install it as files')
    for folder in folders:
        if all(below) and (found := folder.joinpath(*below)).is_dir():
            return found
    raise _no_package(package, tree)


def _no_package(package: str, tree: str) -> ConfigurationError:
    return ConfigurationError(
        f'tree "{tree}": there is no Python package "{package}"; give --tree as package,'
        " package:path, or a directory with a slash"
    )


def with_versions(location: Location, setup: Setup) -> Location:
    """Return a location with the directories of revisions that its setup names.

    Raises:
        ConfigurationError: one of them is not there.
    """
    versions: list[Path] = []
    for one in setup.version_locations:
        directory = location.directory / one if ":" not in one else locate(one).directory
        if not directory.is_dir():
            raise ConfigurationError(
                f'tree "{location.name}": there is no directory {directory}, which --version-locations names'
            )
        versions.append(directory)
    first, *others = versions or [location.versions]
    return dataclasses.replace(
        location,
        versions=first,
        others=tuple(others),
        recursive=setup.recursive_version_locations,
    )
