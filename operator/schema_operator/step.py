"""What a decision says and does: one step."""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from schema_operator import projection
    from schema_operator.reason import Reason
    from schema_operator.run import Run
    from schema_operator.world import Start


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the status shall say.

    Attributes:
        reason: the reason of its conditions.
        digest: the digest of the run that it speaks of; None: of none.
        words: what to say beyond what the reason says.
        job: the name of the Job that it speaks of, or the empty string.
        run: the run that it speaks of, once there is something to see of it.
        attempt: the number of the attempt; None: as it is.
        failures: how many attempts failed; None: as it is.
        next_attempt: when the next attempt is due.
    """

    reason: Reason
    digest: str | None = None
    words: str = ""
    job: str = ""
    run: Run | None = None
    attempt: int | None = None
    failures: int | None = None
    next_attempt: datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """The status has answered already; at most the generation that it speaks of moves."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A run is ended by deleting its Job.

    Attributes:
        job: the Job.
    """

    job: projection.JobView


class Line(enum.Enum):
    """What an attempt that is due waits for."""

    DATABASE = "database"
    TOTAL = "total"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What comes next.

    Attributes:
        verdict: what the status shall say; None: the resource is on its way out.
        action: what to do.
        again: when to decide again if nothing happens until then.
        line: where an attempt that is due waits for its turn.
        surplus: Jobs to delete once the status that reports them stands.
    """

    verdict: Verdict | Keep | None
    action: Start | Stop | None = None
    again: datetime | None = None
    line: Line | None = None
    surplus: tuple[projection.JobView, ...] = ()
