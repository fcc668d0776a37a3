"""What is known of a run: the states that a Job and its pod can be in, told apart.

Neither the pod's phase nor the Job's condition is waited for: a run has ended
as soon as the container's own status says so. What can't be known is a state of
its own and never a success.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from schema_migrator import result as report
from schema_operator import projection, resource

if TYPE_CHECKING:
    from collections.abc import Sequence

UNKNOWN: Final = "unknown"
"""The outcome, in the status, of a run whose report was lost."""

NOT_BEGUN: Final = "not_begun"
"""The outcome, in the status, of a run whose container never started."""

POD_EXPECTED_WITHIN: Final = timedelta(seconds=30)
"""A Job without a pod after this long is worth a word: something refuses the pod."""

NEWS_WITHIN: Final = timedelta(seconds=10)
"""Two watches tell of a Job's end and of its pod's, and the one may be later than the other. A pod
that was not heard of by then, when others were, is gone."""

NOTABLE_AFTER: Final = timedelta(seconds=2)
"""What keeps a pod from starting is often gone a moment later: the node has not heard of the
Secret yet, a node has to be found. After this long it is said."""

GRACE: Final = timedelta(seconds=30)
"""What a pod gets between SIGTERM and SIGKILL: the migrator needs two seconds of it."""

OVERTIME: Final = timedelta(seconds=30)
"""How long after its timeout and its grace a run is stopped by the operator. The migrator keeps
its timeout itself; this is for one that can't."""


class Hold(enum.StrEnum):
    """What keeps a migrator from starting."""

    STARTING = "starting"
    SECRET = "secret"  # noqa: S105 - a word, no password
    IMAGE = "image"
    SCHEDULING = "scheduling"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The migrator has not started.

    Attributes:
        hold: what keeps it.
        words: the kubelet's or the scheduler's own words.
        repeated: whether the words only say that something is tried again later.
        notable: from when on it is worth a word; before, it may well pass by itself.
    """

    hold: Hold
    words: str = ""
    repeated: bool = False
    notable: datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The migrator is at work.

    Attributes:
        started: since when.
    """

    started: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The migrator ended and reported.

    Attributes:
        at: when.
        started: when it had started.
        result: its report.
        image: the image that ran.
        recorded: whether only the status knows it any more, which keeps less of a report.
    """

    at: datetime
    started: datetime | None
    result: report.Result
    image: str = ""
    recorded: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The migrator may have done anything: its report is lost.

    Attributes:
        at: when that was known.
        started: when it had started, where that is known.
        why: what is known, in a sentence.
        exit_code: its exit code, where there was one.
        image: the image that ran.
    """

    at: datetime
    why: str
    started: datetime | None = None
    exit_code: int | None = None
    image: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NotBegun:
    """The run is over and the migrator surely never started.

    Attributes:
        at: when that was known.
        hold: what had kept it.
        why: what is known, in a sentence.
    """

    at: datetime
    hold: Hold
    why: str


State = Waiting | Running | Ended | Lost | NotBegun


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One attempt: its Job, and what became of it.

    Attributes:
        job: the Job.
        state: what is known of it.
        pod: the name of its pod, or the empty string.
        node: the node of its pod, or the empty string.
    """

    job: projection.JobView
    state: State
    pod: str = ""
    node: str = ""

    @property
    def under_way(self) -> bool:
        """Whether it has not ended, as far as is known."""
        return isinstance(self.state, Waiting | Running)

    @property
    def order(self) -> tuple[datetime, int, str]:
        """Sorts the runs of one resource by their beginning."""
        return (self.job.series, self.job.attempt, self.job.name)


def recorded(run: resource.Run) -> State | None:
    """Return what a status says of a run that had ended; None where it says nothing of use."""
    try:
        outcome = report.Outcome(run.outcome)
    except ValueError:
        return None
    if run.completion_time is None:
        return None
    return Ended(
        at=run.completion_time,
        started=run.start_time,
        recorded=True,
        result=report.Result(
            outcome=outcome,
            from_=run.from_,
            to=run.to,
            sqlstate=run.sqlstate,
            message=run.message or "",
            lock_wait_seconds=run.lock_wait_seconds or 0.0,
            blocked_by=run.blocked_by,
        ),
    )


def observe(
    job: projection.JobView,
    pods: Sequence[projection.PodView],
    now: datetime,
    heard: datetime | None = None,
) -> Run:
    """Return what a Job and its pods say of a run.

    Args:
        job: the Job.
        pods: all of its pods that are known.
        now: the present moment.
        heard: when pods were last heard of, its own or others; None: not yet.
    """
    if not pods:
        return Run(job=job, state=_without_pod(job, now, heard))
    pod = max(pods, key=lambda one: (one.created, one.name))
    return Run(job=job, state=_with_pod(job, pod, now), pod=pod.name, node=pod.node)


def _without_pod(job: projection.JobView, now: datetime, heard: datetime | None) -> State:
    if job.finished is not None:
        if heard is None or heard - job.finished < NEWS_WITHIN:
            # The watch of the pods may be dead: silence proves nothing.
            return Waiting(hold=Hold.STARTING)
        return Lost(
            at=job.finished, why=_sentence("its pod is gone, and its report with it", job.words)
        )
    if job.gone:
        return Lost(at=now, why="its Job was deleted, and its report with it")
    if now - job.created >= POD_EXPECTED_WITHIN:
        return Waiting(
            hold=Hold.SCHEDULING,
            words=f"no pod was created for Job {job.name}; see the Job's events",
        )
    return Waiting(hold=Hold.STARTING)


def _with_pod(job: projection.JobView, pod: projection.PodView, now: datetime) -> State:
    match pod.migrate:
        case projection.Terminated() as ended:
            return _terminated(ended, pod, job.finished or now)
        case projection.Running(started=started):
            if pod.gone or pod.phase in projection.ENDED_PHASES:
                return Lost(
                    at=job.finished or now,
                    started=started,
                    image=pod.image,
                    why=_sentence(f"pod {pod.name} was lost while the migrator ran", pod.words),
                )
            return Running(started=started)
        case projection.Waiting() as waiting:
            return _not_started(job, pod, waiting, now)
        case None:
            return _not_started(job, pod, projection.Waiting(), now)


def _not_started(
    job: projection.JobView, pod: projection.PodView, waiting: projection.Waiting, now: datetime
) -> State:
    hold = _hold(pod, waiting.reason)
    at = job.finished or now
    if pod.phase in projection.ENDED_PHASES or (pod.gone and not pod.node):
        why = _sentence(f"pod {pod.name} ended before the migrator started", pod.words)
        return NotBegun(at=at, hold=hold, why=_sentence(why, waiting.message))
    if pod.gone:
        return Lost(
            at=at, why=f"pod {pod.name} was deleted before anything was heard of the migrator"
        )
    if pod.unscheduled and not pod.node:
        return Waiting(hold=hold, words=pod.unscheduled, notable=pod.created + NOTABLE_AFTER)
    return Waiting(
        hold=hold,
        notable=pod.created + NOTABLE_AFTER if hold is not Hold.STARTING else None,
        words=_sentence(waiting.reason, waiting.message) if hold is not Hold.STARTING else "",
        repeated=waiting.reason in _REPEATING,
    )


_SECRET_REASONS: Final = frozenset({"CreateContainerConfigError"})
_IMAGE_REASONS: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
        "CreateContainerError",
        "RunContainerError",
        "StartError",
        "ContainerCannotRun",
    }
)
_REPEATING: Final = frozenset({"ImagePullBackOff", "CrashLoopBackOff"})
_NEVER_STARTED: Final = frozenset({"StartError", "ContainerCannotRun"})


def _hold(pod: projection.PodView, reason: str) -> Hold:
    if reason in _SECRET_REASONS:
        return Hold.SECRET
    if reason in _IMAGE_REASONS:
        return Hold.IMAGE
    return Hold.SCHEDULING if pod.unscheduled and not pod.node else Hold.STARTING


def _terminated(  # noqa: PLR0911 - one row a way to lose a report
    ended: projection.Terminated, pod: projection.PodView, otherwise: datetime
) -> State:
    at = ended.finished or otherwise
    if ended.reason in _NEVER_STARTED:
        return NotBegun(
            at=at,
            hold=Hold.IMAGE,
            why=_sentence("the migrator could not be started", ended.message),
        )

    def lost(why: str) -> Lost:
        return Lost(
            at=at, started=ended.started, why=why, exit_code=ended.exit_code, image=pod.image
        )

    if ended.reason == projection.UNKNOWN_TO_KUBELET:
        return Lost(at=otherwise, why="the node lost sight of the container", image=pod.image)
    if not ended.message:
        return lost(f"it ended with exit code {ended.exit_code} and without a report{_died(ended)}")
    try:
        result = _decode(ended.message)
    except report.NotAResultError as error:
        return lost(f"it ended with exit code {ended.exit_code} and an unreadable report ({error})")
    if result.outcome is report.Outcome.STARTED:
        return lost(
            f"it was ended before it could report, with exit code {ended.exit_code}{_died(ended)}"
        )
    if result.exit_code != ended.exit_code:
        return lost(
            f"its report says {result.outcome} and its exit code {ended.exit_code} says something else"
        )
    if result.exit_code == 0 and result.to is None:
        return lost(f"it reports {result.outcome} but not where the database is")
    return Ended(at=at, started=ended.started, result=result, image=pod.image)


@functools.lru_cache(maxsize=256)
def _decode(message: str) -> report.Result:
    """Return the report that a message is; one is looked at several times in a row."""
    return report.decode(message)


def _died(ended: projection.Terminated) -> str:
    return f" ({ended.reason})" if ended.reason not in {"", "Error", "Completed"} else ""


def _sentence(first: str, second: str) -> str:
    return f"{first}: {second}" if first and second else first or second
