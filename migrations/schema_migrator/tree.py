"""A tree of revisions: where it is, what it holds, and the steps along it.

Two kinds are behind the one interface: trees of Alembic's Python revisions,
which may hold SQL files too (`alembic_tree`), and trees of SQL files alone
(`sql_tree`), for which neither Alembic nor SQLAlchemy is loaded.
"""

from __future__ import annotations

import abc
import dataclasses
import hashlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schema_migrator.errors import ConfigurationError, RefusedError
from schema_migrator.result import Refusal
from schema_migrator.setup import Setup, run_prelude

if TYPE_CHECKING:
    from schema_migrator.history import Position


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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One revision of a tree.

    Attributes:
        id: its id.
        title: its first line, for people.
        path: its file; of a pair of SQL files the upgrade's.
        parents: the ids that it stands on.
    """

    id: str
    title: str
    path: Path
    parents: tuple[str, ...] = ()

    @property
    def checksum(self) -> str:
        """The SHA-256 of its source with line ends normalised."""
        return checksum(self.path)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One revision, one way.

    Attributes:
        revision: its id.
        title: its first line, for people.
        up: whether it is applied; otherwise it is reverted.
        before: the position that it starts from.
        after: the position that it leads to.
        deleted, updated, inserted: how the version rows change.
        path: the file with what is executed.
        resumable: whether a Python module says that running it again from its
            start, on whatever an interruption leaves, ends as if it had run once.
        is_sql: whether the file is SQL; otherwise it is a Python module.
    """

    revision: str
    title: str
    up: bool
    before: Position
    after: Position
    deleted: tuple[str, ...] = ()
    updated: tuple[tuple[str, str], ...] = ()
    inserted: tuple[str, ...] = ()
    path: Path
    resumable: bool = False
    is_sql: bool = False

    @property
    def direction(self) -> str:
        """``up`` or ``down``."""
        return "up" if self.up else "down"

    @property
    def checksum(self) -> str:
        """The SHA-256 of what is executed, with line ends normalised."""
        return checksum(self.path)


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file with line ends normalised, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


class Tree(abc.ABC):
    """A loaded tree.

    Attributes:
        location: where it is.
        heads: its newest revisions, sorted.
        setup: what it needs.
        metadata: SQLAlchemy's, for its naming convention; None for none.
    """

    location: Location
    heads: Position
    setup: Setup = Setup()
    metadata: Any = None

    @property
    def longest_id(self) -> int:
        """The length of its longest revision id, in characters."""
        return max(len(one.id) for one in self.all_revisions())

    @property
    def warning(self) -> str | None:
        """What a person should know before this tree's revisions run; None for nothing."""
        return None

    @property
    def head(self) -> str:
        """The only head.

        Raises:
            RefusedError: there are several.
        """
        if len(self.heads) > 1:
            raise RefusedError(
                Refusal.TARGET_UNKNOWN,
                f"the tree has several heads ({', '.join(self.heads)}): name one, or use the target heads",
            )
        return self.heads[0]

    @abc.abstractmethod
    def all_revisions(self) -> tuple[Revision, ...]:
        """Return every revision, each after those that it stands on."""

    @abc.abstractmethod
    def find(self, text: str) -> str | None:
        """Return the id that a text names: an id, a label, or an unambiguous beginning of an id."""

    @abc.abstractmethod
    def has(self, revision: str) -> bool:
        """Tell whether the tree has a revision of exactly this id."""

    @abc.abstractmethod
    def applied(self, position: Position) -> frozenset[str]:
        """Return the ids that a position stands for: its own and all that they rest on."""

    @abc.abstractmethod
    def steps_up(self, target: Position, position: Position) -> tuple[Step, ...]:
        """Return the steps that lead up from a position to a target, in order."""

    @abc.abstractmethod
    def steps_down(self, target: Position, position: Position) -> tuple[Step, ...]:
        """Return the steps that lead down from a position to a target, in order.

        Raises:
            RefusedError: a revision on the way has no downgrade.
        """

    @property
    def alembic(self) -> Any:
        """Alembic's own script directory, for its contexts; None where Alembic is not needed."""
        return None

    @property
    def context(self) -> str:
        """What of the tree's settings changes what its revisions send, as a text; empty for nothing."""
        return ""

    def unknown(self, position: Position) -> Position:
        """Return those ids of a position that the tree does not have."""
        return tuple(one for one in position if not self.has(one))

    def resolve(self, target: str, position: Position) -> Position:
        """Return the position that a target means, seen from a position.

        Args:
            target: ``head``, ``heads``, ``base``, a revision id or an unambiguous
                beginning of one, or a relative step such as ``+1`` or ``-2``.
            position: where the database is.

        Raises:
            RefusedError: the tree has no such revision, or not so many.
        """
        if target == "base":
            return ()
        if target == "heads":
            return self.heads
        if target == "head":
            return (self.head,)
        if target[:1] in "+-" and target[1:].isdigit():
            return self._relative(target, position)
        found: set[str] = set()
        for one in target.split(","):
            revision = self.find(one)
            if revision is None:
                raise RefusedError(
                    Refusal.TARGET_UNKNOWN,
                    f'the tree "{self.location.name}" has no revision "{one}"; its head is {", ".join(self.heads)}',
                )
            found.add(revision)
        return tuple(sorted(found))

    def _relative(self, target: str, position: Position) -> Position:
        count = int(target[1:])
        steps = (
            self.steps_up(self.heads, position)
            if target[0] == "+"
            else self.steps_down((), position)
        )
        if len(steps) < count:
            raise RefusedError(
                Refusal.TARGET_UNKNOWN,
                f"there are only {len(steps)} revisions in the direction of {target}",
            )
        return steps[count - 1].after if count else position


def missing_downgrade(revisions: list[str]) -> RefusedError:
    """Return the error for revisions that can't be reverted."""
    return RefusedError(
        Refusal.DOWNGRADE_MISSING,
        f"revision {', '.join(revisions)} has no downgrade, so nothing was reverted",
    )


def load(name: str, setup: Setup | None = None) -> Tree:
    """Return the tree of that name.

    Args:
        name: as for `locate`.
        setup: what it needs; None: nothing.

    Raises:
        ConfigurationError: there is none, it does not load, or its graph is broken.
    """
    setup = setup or Setup()
    location = _with_versions(locate(name), setup)
    if setup.with_env:
        from schema_migrator import dialect

        # Before any code of the application, which may make an engine when it is imported.
        dialect.register()
    if setup.prelude is not None:
        run_prelude(setup.prelude)
    entries = location.files()
    python = any(path.suffix == ".py" and not path.name.startswith(("_", ".")) for path in entries)
    sql = any(path.name.endswith((".up.sql", ".down.sql")) for path in entries)
    if sql and not python:
        from schema_migrator.sql_tree import SqlTree

        return SqlTree(location, setup)
    from schema_migrator.alembic_tree import AlembicTree

    return AlembicTree(location, setup)


def _with_versions(location: Location, setup: Setup) -> Location:
    """Return a location with the directories of revisions that its setup names."""
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
