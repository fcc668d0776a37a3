"""A tree of SQL files alone: a line, by number. Loads nothing but them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema_migrator import sql_file
from schema_migrator.errors import ConfigurationError
from schema_migrator.tree import Revision, Step, Tree, missing_downgrade

if TYPE_CHECKING:
    from pathlib import Path

    from schema_migrator.history import Position
    from schema_migrator.location import Location
    from schema_migrator.setup import Setup


class SqlTree(Tree):
    """A tree of SQL files.

    Args:
        location: where it is.
        setup: what it needs.

    Raises:
        ConfigurationError: the files' names don't make a tree.
    """

    def __init__(self, location: Location, setup: Setup) -> None:
        self.location = location
        self.setup = setup
        self._pairs = sql_file.pairs(location.files())
        if not self._pairs:
            raise ConfigurationError(
                f'tree "{location.name}" has no revisions in {location.versions}'
            )
        self._places = {pair.id: place for place, pair in enumerate(self._pairs)}
        self._numbers = {pair.number: pair.id for pair in self._pairs}
        self.heads: Position = (self._pairs[-1].id,)

    @property
    def longest_id(self) -> int:
        """The length of its longest revision id, in characters."""
        return max(map(len, self._places))

    def all_revisions(self) -> tuple[Revision, ...]:
        """Return every revision, the oldest first."""
        return tuple(
            Revision(
                id=pair.id,
                title=pair.title,
                path=pair.up,
                parents=(self._pairs[place - 1].id,) if place else (),
            )
            for place, pair in enumerate(self._pairs)
        )

    def find(self, text: str) -> str | None:
        """Return the id that a text names: the number, with or without leading zeros."""
        return (
            text
            if text in self._places
            else self._numbers.get(int(text))
            if text.isdigit()
            else None
        )

    def has(self, revision: str) -> bool:
        """Tell whether the tree has a revision of exactly this id."""
        return revision in self._places

    def applied(self, position: Position) -> frozenset[str]:
        """Return the ids that a position stands for."""
        return frozenset(pair.id for pair in self._pairs[: self._after(position)])

    def _after(self, position: Position) -> int:
        return max((self._places[one] + 1 for one in position), default=0)

    def steps_up(self, target: Position, position: Position) -> tuple[Step, ...]:
        """Return the steps that lead up from a position to a target, in order."""
        return tuple(
            self._step(place, up=True)
            for place in range(self._after(position), self._after(target))
        )

    def steps_down(self, target: Position, position: Position) -> tuple[Step, ...]:
        """Return the steps that lead down from a position to a target, in order."""
        places = range(self._after(position) - 1, self._after(target) - 1, -1)
        missing = [self._pairs[place].id for place in places if self._pairs[place].down is None]
        if missing:
            raise missing_downgrade(missing)
        return tuple(self._step(place, up=False) for place in places)

    def _step(self, place: int, *, up: bool) -> Step:
        pair = self._pairs[place]
        path = pair.up if up else pair.down
        if path is None:
            raise missing_downgrade([pair.id])
        before = (self._pairs[place - 1].id,) if place else ()
        return step_of(pair.id, pair.title, path, up=up, lower=before, upper=(pair.id,))


def step_of(
    revision: str, title: str, path: Path, *, up: bool, lower: Position, upper: Position
) -> Step:
    """Return the step of a revision in a line, between its lower and its upper end."""
    before, after = (lower, upper) if up else (upper, lower)
    return Step(
        revision=revision,
        title=title,
        up=up,
        before=before,
        after=after,
        updated=((before[0], after[0]),) if before and after else (),
        inserted=() if before else after,
        deleted=() if after else before,
        path=path,
        is_sql=True,
    )
