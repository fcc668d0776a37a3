"""A tree of revisions: the border to Alembic's scripts.

Alembic's objects come in, our values go out. Alembic is imported here, in
`step` and nowhere else, and only once there is something to look up in a tree.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.resources
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from alembic.runtime.migration import HeadMaintainer, MigrationStep, RevisionStep
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError

from schema_migrator.errors import ConfigurationError, RefusedError
from schema_migrator.result import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schema_migrator.history import Position


@dataclasses.dataclass(frozen=True, slots=True)
class Location:
    """Where a tree is.

    Attributes:
        name: as the user gave it.
        directory: the tree's directory.
        versions: the directory of its revisions.
    """

    name: str
    directory: Path
    versions: Path


def locate(name: str) -> Location:
    """Return where a tree is: ``package``, ``package:path``, or a directory (with a slash).

    Raises:
        ConfigurationError: there is no such package or directory.
    """
    if "/" in name:
        directory = Path(name)
    else:
        package, _, path = name.partition(":")
        try:
            found = importlib.resources.files(package)
        except (ImportError, ValueError, TypeError) as error:
            raise ConfigurationError(
                f'tree "{name}": there is no Python package "{package}"; give --tree as package,'
                " package:path, or a directory with a slash"
            ) from error
        if not isinstance(found, Path):
            raise ConfigurationError(
                f'tree "{name}": the package is not unpacked; install it as files'
            )
        directory = found / path
    if not directory.is_dir():
        raise ConfigurationError(f'tree "{name}": there is no directory {directory}')
    versions = directory / "versions"
    return Location(name, directory, versions if versions.is_dir() else directory)


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One revision, one way.

    Attributes:
        revision: its id.
        up: whether it is applied; otherwise it is reverted.
        before: the position that it starts from.
        after: the position that it leads to.
        deleted, updated, inserted: how the version rows change.
        script: Alembic's own object.
    """

    revision: str
    up: bool
    before: Position
    after: Position
    deleted: tuple[str, ...]
    updated: tuple[tuple[str, str], ...]
    inserted: tuple[str, ...]
    script: Script = dataclasses.field(repr=False, compare=False)

    @property
    def direction(self) -> str:
        """``up`` or ``down``."""
        return "up" if self.up else "down"

    @property
    def path(self) -> Path:
        """The revision's file."""
        return Path(self.script.path)

    @property
    def checksum(self) -> str:
        """The SHA-256 of the revision's source with line ends normalised."""
        return checksum(self.path)

    @property
    def is_resumable(self) -> bool:
        """Whether the revision says that running it again from its start is harmless.

        Its ``resumable`` is True for the upgrade alone, or ``"down"`` or
        ``"both"``: a downgrade needs its own declaration.
        """
        declared = getattr(self.script.module, "resumable", False)
        return declared in ("both", self.direction) or (self.up and declared is True)


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file with line ends normalised, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


class _Changes(HeadMaintainer):
    """Alembic's own arithmetic of version rows, writing into lists instead of a table."""

    def __init__(self, heads: Position) -> None:
        super().__init__(cast("Any", None), heads)
        self.deleted: list[str] = []
        self.updated: list[tuple[str, str]] = []
        self.inserted: list[str] = []

    def _insert_version(self, version: str) -> None:
        self.heads.add(version)
        self.inserted.append(version)

    def _delete_version(self, version: str) -> None:
        self.heads.remove(version)
        self.deleted.append(version)

    def _update_version(self, from_: str, to_: str) -> None:
        self.heads.remove(from_)
        self.heads.add(to_)
        self.updated.append((from_, to_))


class Tree:
    """A loaded tree.

    Attributes:
        location: where it is.
        heads: its newest revisions, sorted.
    """

    def __init__(self, location: Location, script: ScriptDirectory) -> None:
        self.location = location
        self.script = script
        self.heads: Position = tuple(sorted(script.get_heads()))

    @classmethod
    def load(cls, name: str) -> Tree:
        """Return the tree of that name, with every revision's module loaded.

        Raises:
            ConfigurationError: it does not import, or its graph is broken.
        """
        location = locate(name)
        script = ScriptDirectory(
            str(location.directory), version_locations=[str(location.versions)]
        )
        try:
            with warnings.catch_warnings():
                # Alembic only warns of an id that two files claim, and picks one of them.
                warnings.filterwarnings("error", message="Revision .* is present more than once")
                tree = cls(location, script)
        except (RevisionError, CommandError, UserWarning) as error:
            raise ConfigurationError(
                f'tree "{name}" has a broken graph: {_one_line(error)}'
            ) from error
        except Exception as error:
            raise ConfigurationError(
                f'tree "{name}" does not load: {type(error).__name__}: {_one_line(error)}{_where(error, location)}'
            ) from error
        if not tree.heads:
            raise ConfigurationError(f'tree "{name}" has no revisions in {location.versions}')
        return tree

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

    def find(self, revision: str) -> Script | None:
        """Return the script of a full revision id, None where the tree has none."""
        try:
            script = self.script.revision_map.get_revision(revision)
        except (RevisionError, CommandError):
            return None
        return (
            cast("Script", script) if script is not None and script.revision == revision else None
        )

    def unknown(self, position: Position) -> Position:
        """Return those ids of a position that the tree does not have."""
        return tuple(one for one in position if self.find(one) is None)

    def all_revisions(self) -> tuple[Script, ...]:
        """Return every revision, the oldest first."""
        return tuple(reversed(list(self.script.walk_revisions())))

    def applied(self, position: Position) -> frozenset[str]:
        """Return the ids that a position stands for: its own and all that they rest on."""
        if not position:
            return frozenset()
        return frozenset(
            one.revision for one in self.script.iterate_revisions(cast("Any", position), "base")
        )

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
            try:
                script = self.script.revision_map.get_revision(one)
            except (RevisionError, CommandError):
                script = None
            if script is None:
                raise RefusedError(
                    Refusal.TARGET_UNKNOWN,
                    f'the tree "{self.location.name}" has no revision "{one}"; its head is {", ".join(self.heads)}',
                )
            found.add(script.revision)
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

    def steps_up(self, target: Position, position: Position) -> tuple[Step, ...]:
        """Return the steps that lead up from a position to a target, in order."""
        upgrades = self.script._upgrade_revs  # noqa: SLF001 - Alembic has no public way
        return self._steps(upgrades(cast("Any", target), cast("Any", position)), position)

    def steps_down(self, target: Position, position: Position) -> tuple[Step, ...]:
        """Return the steps that lead down from a position to a target, in order.

        Raises:
            RefusedError: a revision on the way has no downgrade.
        """
        if not position:
            return ()
        destination: Any = target or "base"
        if isinstance(destination, tuple) and len(destination) == 1:
            destination = destination[0]
        current: Any = position if len(position) > 1 else position[0]
        with_scripts = self.script.iterate_revisions(
            current, destination, select_for_downgrade=True
        )
        scripts = cast("list[Script]", list(with_scripts))
        missing = [
            one.revision for one in scripts if not callable(getattr(one.module, "downgrade", None))
        ]
        if missing:
            raise RefusedError(
                Refusal.DOWNGRADE_MISSING,
                f"revision {', '.join(missing)} has no downgrade, so nothing was reverted",
            )
        return self._steps(
            [MigrationStep.downgrade_from_script(self.script.revision_map, one) for one in scripts],
            position,
        )

    def _steps(self, steps: Sequence[MigrationStep], position: Position) -> tuple[Step, ...]:
        made: list[Step] = []
        for one in steps:
            if not isinstance(one, RevisionStep):  # pragma: no cover - stamps are not asked for
                raise TypeError("a step is a revision, up or down")
            changes = _Changes(position)
            changes.update_to_step(one)
            after = tuple(sorted(changes.heads))
            made.append(
                Step(
                    revision=one.revision.revision,
                    up=one.is_upgrade,
                    before=position,
                    after=after,
                    deleted=tuple(changes.deleted),
                    updated=tuple(changes.updated),
                    inserted=tuple(changes.inserted),
                    script=one.revision,
                )
            )
            position = after
        return tuple(made)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def _where(error: Exception, location: Location) -> str:
    """Return the revision file in which an error was raised, for the end of a sentence."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({Path(error.filename).name}, line {error.lineno})"
    trace, found = error.__traceback__, ""
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.parent == location.versions:
            found = f" ({path.name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return found
