"""What a decision is made from: one frozen value, the clock included."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from schema_operator.kind import Kind

if TYPE_CHECKING:
    from datetime import datetime

    from schema_operator import names, resource
    from schema_operator.run import Run


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person asks for, and what the status says so far.

    Attributes:
        key: the resource.
        uid: its uid.
        generation: its generation.
        deleting: whether it is on its way out.
        requested_at: the annotation that asks for another run, or the empty string.
        spec: its spec, or what is wrong with it.
        status: its status.
    """

    key: names.Key
    uid: str
    generation: int
    deleting: bool
    requested_at: str
    spec: resource.Spec | str
    status: resource.Status


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """Something that may still be at work on the database.

    Attributes:
        words: what it is, for a person.
        own: whether it is only the end of this resource's own last run that is not seen yet.
    """

    words: str
    own: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A new attempt begins.

    Attributes:
        job: the name of its Job.
        digest: the digest of the run.
        attempt: the number of the attempt.
        failures: how many attempts of the series failed before.
        series: when the series began.
        kind: what the run is for.
    """

    job: str
    digest: str
    attempt: int
    failures: int
    series: datetime
    kind: Kind = Kind.APPLY


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """The API server did not take the Job of an attempt, or did not say that it did.

    Attributes:
        generation: the resource's generation then.
        start: the attempt. It is the one to try again, under the same name: the
            Job may have been taken after all.
        words: why, for a person.
        until: when to try again; None: not before the spec changes.
    """

    generation: int
    start: Start
    words: str
    until: datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that a decision may depend on.

    Attributes:
        now: the present moment.
        wanted: the resource.
        runs: its runs whose Jobs exist, newest first.
        blocker: what else may be at work on its database, if anything.
        queued: whether as many runs as are allowed are at work already.
        rejection: the last Job that was not taken, if it was.
        unmet: what it depends on and is not there yet, in words; empty: nothing.
        circle: the names of those that depend on each other, if it is one of them.
        disallowed: why its image may not be run, in words; empty: it may.
    """

    now: datetime
    wanted: Wanted
    runs: tuple[Run, ...] = ()
    blocker: Blocker | None = None
    queued: bool = False
    rejection: Rejection | None = None
    unmet: str = ""
    circle: tuple[str, ...] = ()
    disallowed: str = ""
