"""A tree of Alembic's Python revisions, which may hold SQL files too: the border to its scripts.

Alembic's objects come in, our values go out. Alembic is imported here and in
`python_body`, and nowhere else.
"""

from __future__ import annotations

import types
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from alembic.runtime.migration import HeadMaintainer, MigrationStep, RevisionStep
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError

from schema_migrator import checksum, naming, sql_file
from schema_migrator.errors import ConfigurationError
from schema_migrator.tree import Revision, Step, Tree, missing_downgrade

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schema_migrator.history import Position
    from schema_migrator.location import Location
    from schema_migrator.setup import Setup
    from schema_migrator.sql_file import SqlPair


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


class _SqlScript(Script):
    """A pair of SQL files in Alembic's graph."""

    def __init__(self, pair: SqlPair, parent: str | None) -> None:
        module = types.ModuleType(f"revision_{pair.id}", pair.title)
        module.__dict__.update(revision=pair.id, down_revision=parent, upgrade=_not_called)
        if pair.down is not None:
            module.__dict__.update(downgrade=_not_called)
        super().__init__(module, pair.id, pair.up)
        self.pair = pair


def _not_called() -> None:
    raise AssertionError("an SQL file is run by its text")


class _Directory(ScriptDirectory):
    """Alembic's directory of scripts, with the SQL files among them.

    An SQL file stands on the revision of the next lower number, be it a file of
    SQL or of Python; Python revisions name their parents themselves.
    """

    def __init__(self, location: Location) -> None:
        self.location = location
        super().__init__(
            str(location.directory),
            version_locations=[str(one) for one in (location.versions, *location.others)],
            recursive_version_locations=location.recursive,
        )

    def _load_revisions(self) -> Iterator[Script]:
        scripts = list(super()._load_revisions())
        yield from scripts
        numbers = {int(one.revision): one.revision for one in scripts if one.revision.isdigit()}
        pairs = sql_file.pairs(self.location.files())
        for pair in pairs:
            if pair.number in numbers:
                raise ConfigurationError(
                    f"{pair.up.name}: a Python revision has the number {pair.number} too"
                )
        numbers |= {pair.number: pair.id for pair in pairs}
        ordered = sorted(numbers)
        for pair in pairs:
            place = ordered.index(pair.number)
            yield _SqlScript(pair, numbers[ordered[place - 1]] if place else None)


class AlembicTree(Tree):
    """A tree with Python revisions, every one of their modules loaded.

    Args:
        location: where it is.
        setup: what it needs.

    Raises:
        ConfigurationError: it does not import, or its graph is broken.
    """

    def __init__(self, location: Location, setup: Setup) -> None:
        self.location = location
        self.setup = setup
        self._directory = _Directory(location)
        name = location.name
        try:
            with warnings.catch_warnings():
                # Alembic only warns of an id that two files claim, and picks one of them.
                warnings.filterwarnings("error", message="Revision .* is present more than once")
                # One that others depend on is no head of the version table's.
                heads = self._directory.revision_map._real_heads  # noqa: SLF001 - get_heads() counts it
                self.heads: Position = tuple(sorted(heads))
        except (RevisionError, CommandError, UserWarning) as error:
            raise ConfigurationError(
                f'tree "{name}" has a broken graph: {_one_line(error)}'
            ) from error
        except ConfigurationError:
            raise
        except Exception as error:
            raise ConfigurationError(
                f'tree "{name}" does not load: {type(error).__name__}: {_one_line(error)}{_where(error, location)}'
            ) from error
        if not self.heads:
            raise ConfigurationError(f'tree "{name}" has no revisions in {location.versions}')
        self.metadata = naming.load_metadata(setup.target_metadata)

    @property
    def context(self) -> str:
        """What of the tree's settings changes what its revisions send, as a text; empty for nothing."""
        setup = self.setup
        named = {
            "target-metadata": setup.target_metadata,
            "prelude": setup.prelude,
            "with-env": _digest_of_env(self.location) if setup.with_env else None,
        }
        return "; ".join(f"{name} {value}" for name, value in named.items() if value)

    @property
    def longest_id(self) -> int:
        """The length of its longest revision id, in characters."""
        known = self._directory.revision_map._revision_map  # noqa: SLF001 - quicker than a walk
        return max(len(one.revision) for one in known.values() if one is not None)

    @property
    def warning(self) -> str | None:
        """What a person should know before this tree's revisions run; None for nothing."""
        setup = self.setup
        if setup.with_env or setup.target_metadata is not None:
            return None
        if not naming.is_mentioned(self.location.directory / "env.py"):
            return None
        return (
            "the tree's env.py gives Alembic a target_metadata, and none was given here: if that has a naming convention,"
            " constraints and indexes will get other names; give --target-metadata module:attribute,"
            " or none where there is no such convention"
        )

    @property
    def alembic(self) -> ScriptDirectory:
        """Alembic's own script directory."""
        return self._directory

    def all_revisions(self) -> tuple[Revision, ...]:
        """Return every revision, each after those that it stands on."""
        made = []
        for one in reversed(list(self._directory.walk_revisions())):
            parents = one._all_down_revisions  # noqa: SLF001 - parents and dependencies
            made.append(
                Revision(id=one.revision, title=_title(one), path=Path(one.path), parents=parents)
            )
        return tuple(made)

    def find(self, text: str) -> str | None:
        """Return the id that a text names: an id, a label, or an unambiguous beginning of an id."""
        try:
            script = self._directory.revision_map.get_revision(text)
        except (RevisionError, CommandError):
            return None
        return script.revision if script is not None else None

    def has(self, revision: str) -> bool:
        """Tell whether the tree has a revision of exactly this id."""
        return self.find(revision) == revision

    def applied(self, position: Position) -> frozenset[str]:
        """Return the ids that a position stands for: its own and all that they rest on."""
        if not position:
            return frozenset()
        found = self._directory.iterate_revisions(cast("Any", position), "base")
        return frozenset(one.revision for one in found)

    def steps_up(self, target: Position, position: Position) -> tuple[Step, ...]:
        """Return the steps that lead up from a position to a target, in order."""
        upgrades = self._directory._upgrade_revs  # noqa: SLF001 - Alembic has no public way
        return self._steps(upgrades(cast("Any", target), cast("Any", position)), position)

    def steps_down(self, target: Position, position: Position) -> tuple[Step, ...]:
        """Return the steps that lead down from a position to a target, in order."""
        if not position:
            return ()
        destination: Any = target or "base"
        if isinstance(destination, tuple) and len(destination) == 1:
            destination = destination[0]
        current: Any = position if len(position) > 1 else position[0]
        found = self._directory.iterate_revisions(current, destination, select_for_downgrade=True)
        scripts = cast("list[Script]", list(found))
        missing = [
            one.revision for one in scripts if not callable(getattr(one.module, "downgrade", None))
        ]
        if missing:
            raise missing_downgrade(missing)
        return self._steps(
            [
                MigrationStep.downgrade_from_script(self._directory.revision_map, one)
                for one in scripts
            ],
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
            script, up = one.revision, one.is_upgrade
            made.append(
                Step(
                    revision=script.revision,
                    title=_title(script),
                    up=up,
                    before=position,
                    after=after,
                    deleted=tuple(changes.deleted),
                    updated=tuple(changes.updated),
                    inserted=tuple(changes.inserted),
                    path=_path(script, up=up),
                    resumable=_is_resumable(script, up=up),
                    is_sql=isinstance(script, _SqlScript),
                )
            )
            position = after
        return tuple(made)


def _title(script: Script) -> str:
    lines = (script.doc or "").splitlines()
    return lines[0].rstrip(".") if lines else ""


def _path(script: Script, *, up: bool) -> Path:
    if isinstance(script, _SqlScript) and not up and script.pair.down is not None:
        return script.pair.down
    return Path(script.path)


def _is_resumable(script: Script, *, up: bool) -> bool:
    """Return what a module declares; an SQL file says it in a comment.

    ``resumable = True`` speaks for the upgrade alone, ``"down"`` and ``"both"``
    for more: a downgrade needs its own declaration.
    """
    declared = getattr(script.module, "resumable", False)
    return declared in ("both", "up" if up else "down") or (up and declared is True)


def _digest_of_env(location: Location) -> str:
    path = location.directory / "env.py"
    return checksum.of_file(path) if path.is_file() else ""


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def _where(error: Exception, location: Location) -> str:
    """Return the revision file in which an error was raised, for the end of a sentence."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({Path(error.filename).name}, line {error.lineno})"
    trace, found = error.__traceback__, ""
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.parent in location.folders:
            found = f" ({path.name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return found
