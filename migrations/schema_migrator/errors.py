"""What can go wrong, told apart by what the caller should do.

::

    MigratorError
     ├── ConfigurationError      the environment, the URL, rights or the server are wrong
     ├── RefusedError            the run would do what nobody allowed
     ├── LockedError             another migrator, or locks not got in time
     ├── UnreachableError        no connection, or the server refused it
     ├── RevisionFailedError     a revision failed; the database is clean
     └── DirtyError              a person must look

    SystemExit
     └── Stopped                 the process was told to stop, or its time is over

Every message is one line for a person and holds no part of ``DATABASE_URL``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from schema_migrator.result import Outcome

if TYPE_CHECKING:
    from schema_migrator.result import Plan, Refusal


class MigratorError(Exception):
    """The root of all errors that end a run in a known way.

    Attributes:
        outcome: how a run that ended with this error is reported.
        message: one line for a person.
        sqlstate: the server's code, where the cause had one.
    """

    outcome: ClassVar[Outcome]

    def __init__(self, message: str, *, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate


class ConfigurationError(MigratorError):
    """The configuration, the URL, the rights or the server are wrong."""

    outcome = Outcome.INVALID


class RefusedError(MigratorError):
    """The run would do what nobody allowed, or can't be done as asked.

    Attributes:
        refusal: which rule it was.
        plan: what the run would have done, where another plan was approved.
    """

    outcome = Outcome.REFUSED

    def __init__(self, refusal: Refusal, message: str, *, plan: Plan | None = None) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.plan = plan


class LockedError(MigratorError):
    """The migrator's lock, or a lock inside the database, was not got in time.

    Attributes:
        blocked_by: who held it, as far as the server tells.
    """

    outcome = Outcome.LOCKED

    def __init__(
        self, message: str, *, blocked_by: str | None = None, sqlstate: str | None = None
    ) -> None:
        super().__init__(message, sqlstate=sqlstate)
        self.blocked_by = blocked_by


class UnreachableError(MigratorError):
    """There is no connection to the server, or it refused one."""

    outcome = Outcome.UNREACHABLE


class RevisionFailedError(MigratorError):
    """A revision failed and was rolled back: the database is clean.

    Attributes:
        retryable: whether running the whole revision again may succeed by itself.
    """

    outcome = Outcome.FAILED

    def __init__(
        self, message: str, *, sqlstate: str | None = None, retryable: bool = False
    ) -> None:
        super().__init__(message, sqlstate=sqlstate)
        self.retryable = retryable


class DirtyError(MigratorError):
    """The database may hold half of a revision.

    Attributes:
        incident: the id that a resolution has to name.
    """

    outcome = Outcome.DIRTY

    def __init__(self, message: str, *, incident: str, sqlstate: str | None = None) -> None:
        super().__init__(message, sqlstate=sqlstate)
        self.incident = incident


class Stopped(SystemExit):
    """The process was told to stop (SIGTERM, SIGINT), or its time is over.

    A SystemExit, because psycopg cancels the running statement on the server
    for that and for KeyboardInterrupt only, and because a revision's own
    ``except Exception`` must not hold it up.

    Attributes:
        outcome: ``interrupted`` or ``timeout``.
        recorded: whether the history says so already.
        applied: whether the step that it came in was applied all the same.
    """

    recorded = False
    applied = False

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.message = message
