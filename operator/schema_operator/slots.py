"""Who may start a run: one for each database, and no more than so many in all.

Only what has been decided and is not visible in the cache yet is kept here, and
the order in which resources came to wait; both may be lost at any time. What
keeps two runs apart across operators is the database's own lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schema_operator.names import Key


class Slots:
    """Starts under way, and who waits for one."""

    def __init__(self) -> None:
        self._starting: dict[str, Key] = {}
        self._databases: dict[Key, str] = {}
        self._lines: dict[str, dict[Key, None]] = {}
        self._queued: dict[Key, None] = {}

    @property
    def starting(self) -> int:
        """How many starts are under way."""
        return len(self._starting)

    def reserve(self, database: str, key: Key) -> None:
        """Note that a run is being started on a database."""
        self._starting[database] = key
        self.leave(key)

    def release(self, database: str, key: Key) -> None:
        """Note that the start is visible in the cache, or has failed."""
        if self._starting.get(database) == key:
            del self._starting[database]

    def wait(self, key: Key, database: str, *, queued: bool) -> None:
        """Note that a resource would start a run and can't yet; it keeps its place.

        Args:
            key: the resource.
            database: its database.
            queued: whether only the number of runs keeps it, and not its database.
        """
        if key not in self._databases:
            self._databases[key] = database
            self._lines.setdefault(database, {})[key] = None
        if queued:
            self._queued[key] = None
        else:
            self._queued.pop(key, None)

    def leave(self, key: Key) -> str | None:
        """Note that a resource waits no more; return the database that it waited for."""
        self._queued.pop(key, None)
        database = self._databases.pop(key, None)
        if database is not None:
            line = self._lines[database]
            del line[key]
            if not line:
                del self._lines[database]
        return database

    def ahead(self, key: Key, database: str) -> Key | None:
        """Return who has the database, or comes first; None: nobody but this resource itself."""
        holder = self._starting.get(database)
        if holder is not None and holder != key:
            return holder
        first = next(iter(self._lines.get(database, ())), None)
        return None if first == key else first

    def waiting_for(self, database: str) -> tuple[Key, ...]:
        """Return who waits for a database, in their order."""
        return tuple(self._lines.get(database, ()))

    def first_queued(self) -> Key | None:
        """Return who has waited longest for one of the runs in all."""
        return next(iter(self._queued), None)
