"""Waiting until somebody else has moved a database: ``wait``. Only reads, also on a replica."""

from __future__ import annotations

import dataclasses
import random
import time
from typing import TYPE_CHECKING, Final

import psycopg

from schema_migrator import database, precaution, route, sqlstate
from schema_migrator.errors import (
    ConfigurationError,
    DirtyError,
    RefusedError,
    Stopped,
    UnreachableError,
)
from schema_migrator.history import show_position
from schema_migrator.place import observe
from schema_migrator.result import Outcome, Refusal, Result
from schema_migrator.run import in_progress
from schema_migrator.step import dirty_message

if TYPE_CHECKING:
    from schema_migrator.history import State
    from schema_migrator.place import Place
    from schema_migrator.reporter import Reporter
    from schema_migrator.tree import Tree

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
"""Seconds between two looks; each pause is half as long again as the one before, with jitter."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is waited for.

    Attributes:
        target: as for ``goto``.
        timeout: seconds.
        through_dirty: whether to wait for somebody to resolve a dirty database.
        accept_ahead: whether a database ahead of the tree is a success.
    """

    target: str
    timeout: float
    through_dirty: bool = False
    accept_ahead: bool = True


@dataclasses.dataclass(slots=True)
class _Seen:
    """One look: a result so far, and what is missing, as a sentence."""

    result: Result
    missing: str | None = None


def wait(place: Place, tree: Tree, reporter: Reporter, wish: Wish) -> Result:
    """Return once the database is at the target or past it, or can't be waited for.

    Each look has a session of its own: those who wait hold no connection, and
    follow a failover.

    Args:
        place: the database.
        tree: the tree that the target is in.
        reporter: who is told what is waited for, each time that it changes.
        wish: what is waited for.

    Raises:
        MigratorError: it is dirty, ahead and that was not accepted, or out of reach.
    """
    started = time.monotonic()
    last = _Last()
    try:
        found = _until(place, tree, reporter, wish, last, deadline=started + wish.timeout)
    except Stopped as stopped:
        if stopped.outcome is not Outcome.TIMEOUT:
            raise
        # The run's alarm came while it looked, which can take long.
        found = None
    seconds = time.monotonic() - started
    if found is not None:
        return dataclasses.replace(found, duration_seconds=seconds)
    if last.result is None and last.failure is not None:
        raise last.failure
    return dataclasses.replace(
        last.result or Result(outcome=Outcome.TIMEOUT),
        outcome=Outcome.TIMEOUT,
        message=f"the time is over: {last.missing or 'the database did not answer yet'}",
        duration_seconds=seconds,
    )


@dataclasses.dataclass(slots=True)
class _Last:
    """What the last look said.

    Attributes:
        result: of the last one that reached the database.
        failure: of the last one, if it did not.
        missing: what is waited for, as a sentence.
    """

    result: Result | None = None
    failure: UnreachableError | None = None
    missing: str = ""


def _until(
    place: Place, tree: Tree, reporter: Reporter, wish: Wish, last: _Last, *, deadline: float
) -> Result | None:
    """Look until there is an answer; None when the time is over first."""
    pause = _FIRST_PAUSE
    while True:
        told = last.missing
        try:
            seen = _look(place, tree, reporter, wish)
        except UnreachableError as error:
            last.failure, last.missing = error, error.message
        else:
            if seen.missing is None:
                return seen.result
            last.result, last.failure, last.missing = seen.result, None, seen.missing
        if last.missing != told:
            reporter.waiting(last.missing)
        now = random.uniform(pause / 2, pause)  # noqa: S311 - spreads the looks, guards nothing
        if time.monotonic() + now > deadline:
            return None
        time.sleep(now)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _look(place: Place, tree: Tree, reporter: Reporter, wish: Wish) -> _Seen:
    """Look once.

    Raises:
        MigratorError: waiting on would not help.
    """
    try:
        with place.connect() as connection:
            state = observe(connection, place.names(connection))
            server = database.show_version(connection)
    except psycopg.Error as error:
        raise _failure(error) from None
    condition = route.assess(state, tree)
    found = Result(
        outcome=Outcome.UP_TO_DATE,
        to=show_position(state.position),
        dirty=isinstance(condition, route.Dirty),
        server=server,
        migrator=place.author.migrator,
    )
    if isinstance(condition, route.Dirty):
        if not wish.through_dirty:
            raise DirtyError(dirty_message(condition.row), incident=condition.row.incident)
        return _Seen(found, f"waiting for a dirty database: {dirty_message(condition.row)}")
    precaution.refuse_lost_position(state)
    if ahead := tree.unknown(state.position):
        return _Seen(_ahead(found, tree, wish, ahead, reporter))
    target = tree.resolve(wish.target, state.position)
    found = dataclasses.replace(found, target=show_position(target))
    where = f"the database is at {show_position(state.position)}"
    if state.position == target:
        return _Seen(dataclasses.replace(found, message=where))
    if set(target) <= tree.applied(state.position):
        message = f"{where}, past {show_position(target)}"
        return _Seen(dataclasses.replace(found, message=message))
    return _Seen(
        dataclasses.replace(found, pending=len(tree.steps_up(target, state.position))),
        f"waiting for {show_position(target)}: {where}{_meanwhile(state, condition)}",
    )


def _ahead(
    found: Result, tree: Tree, wish: Wish, ahead: tuple[str, ...], reporter: Reporter
) -> Result:
    text = (
        f"the database is ahead: it is at {found.to}, and the tree ends at {', '.join(tree.heads)}"
    )
    if not wish.accept_ahead:
        raise RefusedError(Refusal.DATABASE_AHEAD, f"{text}; use a newer image")
    reporter.warn(f"{text}, which does not have {', '.join(ahead)}")
    return dataclasses.replace(found, outcome=Outcome.AHEAD_ACCEPTED, message=text)


def _meanwhile(state: State, condition: route.Condition) -> str:
    if isinstance(condition, route.InProgress):
        return f"; {in_progress(condition)}"
    return "; a migrator is at work" if state.holder_pid is not None else ""


def _failure(error: psycopg.Error) -> UnreachableError | ConfigurationError:
    """Return our words for an error while looking."""
    if database.is_lost(error):
        return UnreachableError("the connection was lost", sqlstate=error.sqlstate)
    if error.sqlstate == sqlstate.INSUFFICIENT_PRIVILEGE:
        return ConfigurationError(
            "the role may not read the version table or its history: grant it SELECT on both",
            sqlstate=error.sqlstate,
        )
    text = error.diag.message_primary or type(error).__name__
    return ConfigurationError(f"the position can't be read: {text}", sqlstate=error.sqlstate)
