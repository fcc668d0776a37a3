"""The steps of one run, taken one after another, and again where a step only lost a lock."""

from __future__ import annotations

import itertools
import random
import time
from typing import TYPE_CHECKING

from schema_migrator.errors import LockedError, RevisionFailedError, Stopped
from schema_migrator.observer import Observer
from schema_migrator.step import Runner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schema_migrator.history import Names
    from schema_migrator.observer import Activity
    from schema_migrator.run import Run
    from schema_migrator.session import Connection
    from schema_migrator.tree import Step

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
"""Seconds between tries of a revision that lost a lock; doubled each time, with jitter."""


def pause_after(tries: int) -> float:
    """Return how many seconds to pause after so many tries of a revision, from 1, before the jitter."""
    # Doubling has reached the longest by then, and goes beyond all numbers where locks are waited for for hours.
    return min(_FIRST_PAUSE * 2.0 ** min(tries - 1, 10), _LONGEST_PAUSE)


class Walk:
    """Takes steps on the session of a run that holds the migrator's lock.

    Args:
        run: whose progress is noted, and who is told.
        connection: its session.
        names: where the bookkeeping is.

    Attributes:
        begun: the step that has begun and has not ended, None between steps.
    """

    def __init__(self, run: Run, connection: Connection, names: Names) -> None:
        place = run.place
        self.begun: Step | None = None
        self._progress = run.progress
        self._reporter = run.reporter
        self._deadline = run.deadline
        self._observer = Observer(place, names, self._observed)
        self._runner = Runner(connection, run.tree, names, place.author, redact=place.url.redact)

    def take(self, steps: Sequence[Step], *, skip: str | None, supersedes: int | None) -> None:
        """Take the steps.

        Args:
            steps: the steps, in order.
            skip: the text of the first step's first statement, where that is known to be done.
            supersedes: the row of an interrupted attempt at the first step that is replaced.

        Raises:
            MigratorError: a step failed; those before it are applied.
            Stopped: the process was told to stop.
        """

        def all_of_them() -> None:
            known = skip, supersedes
            for step, following in itertools.zip_longest(steps, steps[1:]):
                self._take(step, following, *known)
                known = None, None

        self._runner.around(all_of_them)

    def close(self) -> None:
        """End what watches over the session."""
        self._observer.close()

    def _take(
        self, step: Step, following: Step | None, skip: str | None, supersedes: int | None
    ) -> None:
        """Take a step, and again while it only lost a lock and there is time."""
        tries = 0
        while True:
            started = time.monotonic()
            self.begun = step
            self._reporter.started(step)
            try:
                with self._observer.watching():
                    self._runner.run(
                        step,
                        following=following,
                        fresh=tries > 0,
                        skip=skip,
                        supersedes=supersedes,
                        lock_wait=self._progress.lock_wait,
                    )
            except Stopped as stopped:
                if stopped.applied:
                    self._progress.applied.append(step.revision)
                raise
            except RevisionFailedError as error:
                if not error.retryable:
                    raise
                tries += 1
                self._wait(step, error, tries)
                self._progress.lock_wait += time.monotonic() - started
            else:
                break
        self._progress.waiting_for_locks = False
        self.begun = None
        self._progress.applied.append(step.revision)
        self._reporter.ended(step, time.monotonic() - started)

    def _wait(self, step: Step, error: RevisionFailedError, tries: int) -> None:
        """Wait before the next try.

        Raises:
            LockedError: there is no time left for one.
        """
        progress = self._progress
        progress.waiting_for_locks = True
        pause = pause_after(tries)
        wait = random.uniform(pause / 2, pause)  # noqa: S311 - spreads the tries, guards nothing
        blocker = progress.blocked_by
        if time.monotonic() + wait > self._deadline:
            raise LockedError(
                f"revision {step.revision} did not get its locks in {tries} tries ({error.sqlstate});"
                f"{f' {blocker} held them;' if blocker else ''} the database is clean",
                sqlstate=error.sqlstate,
                blocked_by=blocker,
            ) from error
        self._reporter.waiting(
            f"revision {step.revision} did not get a lock ({error.sqlstate});"
            f"{f' {blocker} held it;' if blocker else ''} try {tries + 1} in {wait:.1f}s"
        )
        time.sleep(wait)

    def _observed(self, activity: Activity) -> None:
        """Take note of what the observer saw; called from its thread."""
        if activity.waits_for:
            self._progress.blocked_by = ", ".join(activity.waits_for)
        self._reporter.activity(activity)
