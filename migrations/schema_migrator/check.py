"""Trying a tree out on an empty database: ``check``, for the tree's own CI.

Every revision is applied, reverted and applied again, and the catalogue is
compared each time. One that says it can be resumed is stopped before each of
its statements outside a transaction and before its end, and run again.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from psycopg import sql

from schema_migrator import catalogue, database, sql_file
from schema_migrator.answer import Answer
from schema_migrator.errors import ConfigurationError, MigratorError, RefusedError
from schema_migrator.result import VERSION, Outcome, Result
from schema_migrator.route import Goal, Way
from schema_migrator.run import Run

if TYPE_CHECKING:
    from schema_migrator.catalogue import Catalogue
    from schema_migrator.history import Names
    from schema_migrator.place import Place
    from schema_migrator.reporter import Reporter
    from schema_migrator.session import Connection
    from schema_migrator.tree import Step, Tree

_LONGEST_ID = 32
"""What ``alembic_version`` holds."""

_SHOWN = 6
"""How many differences between two catalogues are listed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong with a revision, or with the tree.

    Attributes:
        revision: its id; empty for the tree.
        problem: one sentence.
        details: differences between catalogues, each as ``+ kind definition`` or ``- …``.
    """

    revision: str
    problem: str
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"revision {self.revision} {self.problem}" if self.revision else self.problem


class _StoppingRun(Run):
    """A run that is stopped before a statement outside a transaction, as by a signal."""

    stop_before: int | None = None

    def open(self) -> tuple[Connection, Names]:
        """Connect."""
        connection, names = super().open()
        connection.stop_before = self.stop_before
        return connection, names


def check(place: Place, tree: Tree, reporter: Reporter, *, timeout: float) -> Answer:
    """Try a tree out, and return what is wrong with it.

    Args:
        place: an empty database; it is empty again where nothing was found.
        tree: the tree.
        reporter: who is told what is tried.
        timeout: seconds for all of it.

    Raises:
        ConfigurationError: the database is not empty.
        MigratorError: it can't be reached or written.
    """
    started = time.monotonic()
    findings = _static(tree)
    if not findings:
        findings = _Trial(place, tree, reporter, deadline=started + timeout).run()
    count = len(tree.all_revisions())
    message = (
        f"{count} revision{'s' if count != 1 else ''} applied, reverted and applied again: nothing found"
        if not findings
        else f"{findings[0]}" + (f" (and {len(findings) - 1} more)" if findings[1:] else "")
    )
    report = Result(
        outcome=Outcome.FAILED if findings else Outcome.UP_TO_DATE,
        target=",".join(tree.heads),
        message=message,
        duration_seconds=time.monotonic() - started,
        migrator=place.author.migrator,
    )
    lines = [line for one in findings for line in (str(one), *(f"  {it}" for it in one.details))]
    return Answer(
        result=report,
        text="\n".join(lines) if findings else None,
        document={
            "v": VERSION,
            "outcome": str(report.outcome),
            "revisions": count,
            "findings": [
                {"revision": one.revision, "problem": one.problem, "details": list(one.details)}
                for one in findings
            ],
            "message": message,
            "migrator": report.migrator,
        },
    )


def _static(tree: Tree) -> list[Finding]:
    """Return what can be seen without a database."""
    findings = [
        Finding(
            revision=one.id,
            problem=f"has an id of more than {_LONGEST_ID} characters, which an alembic_version of Alembic's own does not hold",
        )
        for one in tree.all_revisions()
        if len(one.id) > _LONGEST_ID
    ]
    if len(tree.heads) > 1 and tree.setup.target != "heads":
        findings.append(
            Finding(
                revision="",
                problem=f"the tree has several heads ({', '.join(tree.heads)}): merge them, or give it the target heads",
            )
        )
        return findings
    try:
        tree.steps_down((), tree.heads)
    except RefusedError as error:
        findings.append(Finding(revision="", problem=error.message.partition(",")[0]))
    return findings


class _Trial:
    """One tree on one empty database."""

    def __init__(self, place: Place, tree: Tree, reporter: Reporter, *, deadline: float) -> None:
        self._place = place
        self._tree = tree
        self._reporter = reporter
        self._deadline = deadline
        self._findings: list[Finding] = []

    def run(self) -> list[Finding]:
        with self._place.connect() as connection:
            names = self._place.names(connection)
            database.check_server(connection)
            if not catalogue.is_empty(connection):
                raise ConfigurationError(
                    "check works on an empty database only, and this one is not: it applies and reverts every revision"
                )
            empty = before = catalogue.read(connection, names)
            for step in self._tree.steps_up(self._tree.heads, ()):
                after = self._try(connection, names, step, before)
                if after is None:
                    return self._findings
                before = after
            reverted = self._move(up=False, count=None)
            if reverted is None and not self._findings:
                self._compare("", "reverting all revisions", connection, names, empty)
            if not self._findings:
                self._clear(connection, names)
        return self._findings

    def _try(
        self, connection: Connection, names: Names, step: Step, before: Catalogue
    ) -> Catalogue | None:
        """Apply, revert and apply one revision; None where it can't go on."""
        revision = step.revision
        if not self._moved(revision, "does not apply", up=True):
            return None
        after = catalogue.read(connection, names)
        if _is_resumable(self._tree.steps_down(step.before, step.after)[0]):
            self._prove_resumable(connection, names, revision, before, up=False)
        if not self._moved(revision, "is not reverted", up=False):
            return None
        self._compare(revision, "reverted, it leaves something else", connection, names, before)
        if _is_resumable(step):
            self._prove_resumable(connection, names, revision, after, up=True)
        if not self._moved(revision, "does not apply again after it was reverted", up=True):
            return None
        self._compare(revision, "applied again, it makes something else", connection, names, after)
        return after

    def _prove_resumable(
        self, connection: Connection, names: Names, revision: str, expected: Catalogue, *, up: bool
    ) -> None:
        """Stop a revision before each statement outside a transaction and before its end, and let it go on.

        Args:
            connection: a session beside the runs.
            names: where the bookkeeping is.
            revision: which.
            expected: what it leads to.
            up: which way.
        """
        way = "" if up else " downwards"
        number = 0
        while True:
            number += 1
            stopped = self._move(up=up, stop_before=number)
            is_whole = stopped is None
            if not is_whole:
                failure = self._move(up=up)
                if failure is not None:
                    problem = f"says that it is resumable{way}, and is not when stopped before statement {number}: {failure}"
                    self._findings.append(Finding(revision=revision, problem=problem))
                    return
                self._compare(
                    revision,
                    f"stopped{way} before statement {number} and resumed, it makes something else",
                    connection,
                    names,
                    expected,
                )
            if self._move(up=not up) is not None or is_whole:
                return

    def _moved(self, revision: str, problem: str, *, up: bool) -> bool:
        failure = self._move(up=up)
        if failure is not None:
            self._findings.append(Finding(revision=revision, problem=f"{problem}: {failure}"))
        return failure is None

    def _move(
        self, *, up: bool, count: int | None = 1, stop_before: int | None = None
    ) -> str | None:
        """Move the database; return why it did not move, None where it did."""
        remaining = max(self._deadline - time.monotonic(), 0.1)
        run = _StoppingRun(self._place, self._tree, self._reporter, timeout=remaining)
        run.stop_before = stop_before
        way = Way.UP if up else Way.DOWN
        found = run.move(Goal(target="heads" if up else "base", way=way, count=count))
        if found.outcome in (Outcome.UNREACHABLE, Outcome.INVALID, Outcome.LOCKED):
            raise _NotTriedError(found)
        return None if found.outcome is Outcome.APPLIED else found.message

    def _compare(
        self,
        revision: str,
        problem: str,
        connection: Connection,
        names: Names,
        expected: Catalogue,
    ) -> None:
        found = catalogue.read(connection, names)
        if found == expected:
            return
        details = [
            f"+ {kind} {' '.join(text.split())}" for kind, text in sorted(found - expected)
        ] + [f"- {kind} {' '.join(text.split())}" for kind, text in sorted(expected - found)]
        if len(details) > _SHOWN:
            details = [*details[:_SHOWN], f"and {len(details) - _SHOWN} more"]
        self._findings.append(Finding(revision=revision, problem=problem, details=tuple(details)))

    def _clear(self, connection: Connection, names: Names) -> None:
        """Leave the database as it was."""
        connection.execute(sql.SQL("DROP TABLE {}, {}").format(names.versions, names.history))


class _NotTriedError(MigratorError):
    """The database did not let the trial go on; it says nothing about the tree."""

    def __init__(self, found: Result) -> None:
        super().__init__(found.message, sqlstate=found.sqlstate)
        self.outcome = found.outcome  # type: ignore[misc] # of the run that it was


def _is_resumable(step: Step) -> bool:
    return sql_file.read(step.path).resumable if step.is_sql else step.resumable
