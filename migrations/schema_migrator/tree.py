"""A tree of revisions: what it holds, and the steps along it.

Two kinds are behind the one interface: trees of Alembic's Python revisions,
which may hold SQL files too (`alembic_tree`), and trees of SQL files alone
(`sql_tree`), for which neither Alembic nor SQLAlchemy is loaded.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import TYPE_CHECKING, Any

from schema_migrator import checksum
from schema_migrator.errors import RefusedError
from schema_migrator.location import locate, with_versions
from schema_migrator.result import Refusal
from schema_migrator.setup import Setup, run_prelude

if TYPE_CHECKING:
    from pathlib import Path

    from schema_migrator.history import Position
    from schema_migrator.location import Location


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
        return checksum.of_file(self.path)


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
        return checksum.of_file(self.path)


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
        name: as for `location.locate`.
        setup: what it needs; None: nothing.

    Raises:
        ConfigurationError: there is none, it does not load, or its graph is broken.
    """
    setup = setup or Setup()
    location = with_versions(locate(name), setup)
    if setup.with_env:
        from schema_migrator import dialect

        # Before any code of the application, which may make an engine when it is imported.
        dialect.register()
    if setup.prelude is not None:
        run_prelude(setup.prelude)
    if location.kinds == {"sql"}:
        from schema_migrator.sql_tree import SqlTree

        return SqlTree(location, setup)
    from schema_migrator.alembic_tree import AlembicTree

    return AlembicTree(location, setup)
