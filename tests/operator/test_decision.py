"""Deciding: each row is a world and what shall be said and done in it."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from schema_migrator.result import Outcome, Refusal
from schema_operator import digest
from schema_operator import run as runs
from schema_operator.decision import decide
from schema_operator.reason import (
    READY,
    RECONCILING,
    STALLED,
    WAITING_FOR_A_PERSON,
    Reason,
)
from schema_operator.run import Hold
from schema_operator.step import Keep, Step, Stop, Verdict
from schema_operator.world import Blocker, Rejection, Start, World
from tests.operator.worlds import (
    KEY,
    NOW,
    OTHER_DIGEST,
    UID,
    digest_of,
    ended,
    job,
    lost,
    not_begun,
    running,
    spec,
    status,
    waiting,
    wanted,
    world,
)

LONG = timedelta(hours=2)
START = Start(job=job().name, digest=digest_of(), attempt=1, failures=0, series=NOW)
REPORTED = {"job": job().name, "outcome": "applied", "startTime": "2026-03-01T11:59:00Z"}


def row(name: str, *values: Any) -> Any:
    return pytest.param(*values, id=name.replace(" ", "-"))


@pytest.mark.parametrize(
    ("given", "reason", "attempt"),
    [
        row("a new resource is started", world(), Reason.MIGRATING, 1),
        row(
            "a new wish is started after the old one was fulfilled",
            world(ended(digest=OTHER_DIGEST)),
            Reason.MIGRATING,
            1,
        ),
        row(
            "a wish that returns is started again as a further attempt",
            world(
                ended(digest=OTHER_DIGEST, series=NOW),
                ended(attempt=1, series=NOW - LONG),
            ),
            Reason.MIGRATING,
            2,
        ),
        row(
            "a requested run is started though all is done",
            world(ended(), wants=wanted(said=status("UpToDate"), requested_at="now")),
            Reason.MIGRATING,
            1,
        ),
        row(
            "a failed run is tried again when its time has come",
            world(ended(Outcome.FAILED, ago=timedelta(seconds=10))),
            Reason.MIGRATING,
            2,
        ),
        row(
            "a lost run is tried again when its time has come",
            world(lost(ago=timedelta(seconds=10))),
            Reason.MIGRATING,
            2,
        ),
        row(
            "a run that had not begun is replaced when its time has come",
            world(not_begun(ago=timedelta(seconds=10))),
            Reason.MIGRATING,
            2,
        ),
        row(
            "an invalid configuration is tried again after the longest backoff",
            world(ended(Outcome.INVALID, ago=timedelta(minutes=5))),
            Reason.MIGRATING,
            2,
        ),
        row(
            "a raised limit continues what was given up",
            world(
                ended(Outcome.FAILED, ago=LONG, attempt=7, failures=6),
                wants=wanted(spec(retry={"limit": 9}), generation=2),
            ),
            Reason.MIGRATING,
            8,
        ),
        row(
            "a raised limit continues even after the Jobs are gone",
            world(
                wants=wanted(
                    spec(retry={"limit": 9}),
                    status("MigrationFailed", attempt=6, failedAttempts=6),
                    generation=2,
                )
            ),
            Reason.MIGRATING,
            7,
        ),
        row(
            "a Job deleted in mid-run counts as an attempt",
            world(wants=wanted(said=status("Migrating", attempt=3, failedAttempts=2))),
            Reason.MIGRATING,
            4,
        ),
        row(
            "a forged Ready for another wish starts a run",
            world(wants=wanted(said=status("UpToDate", observedDigest=OTHER_DIGEST))),
            Reason.MIGRATING,
            1,
        ),
        row(
            "an unknown recipe of the digest starts a run",
            world(wants=wanted(said=status("UpToDate", observedDigest="v0:1"))),
            Reason.MIGRATING,
            1,
        ),
        row(
            "a spec that the API server refused is tried again once it has changed",
            world(wants=wanted(said=status("SpecInvalid"), generation=2)),
            Reason.MIGRATING,
            1,
        ),
    ],
)
def test_an_attempt_starts(given: World, reason: Reason, attempt: int) -> None:
    step = decide(given)
    assert isinstance(step.action, Start)
    assert isinstance(step.verdict, Verdict)
    assert step.verdict.reason is reason
    assert step.action.attempt == step.verdict.attempt == attempt
    assert step.action.job == step.verdict.job
    assert step.verdict.digest == step.action.digest


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        row(
            "suspended before the first run",
            world(wants=wanted(spec(suspend=True))),
            Reason.SUSPENDED,
        ),
        row(
            "suspended while a retry is due",
            world(ended(Outcome.FAILED, ago=LONG), wants=wanted(spec(suspend=True))),
            Reason.SUSPENDED,
        ),
        row(
            "suspended while a retry is not due yet",
            world(ended(Outcome.LOCKED), wants=wanted(spec(suspend=True))),
            Reason.SUSPENDED,
        ),
        row(
            "suspended after success stays up to date",
            world(ended(), wants=wanted(spec(suspend=True))),
            Reason.UP_TO_DATE,
        ),
        row(
            "suspended in mid-run goes on",
            world(running(), wants=wanted(spec(suspend=True), generation=2)),
            Reason.MIGRATING,
        ),
        row(
            "suspended after a run of an older wish",
            world(ended(digest=OTHER_DIGEST), wants=wanted(spec(suspend=True))),
            Reason.SUSPENDED,
        ),
        row(
            "suspended and dirty stays dirty",
            world(ended(Outcome.DIRTY), wants=wanted(spec(suspend=True))),
            Reason.DIRTY,
        ),
        row(
            "another run is at work on the database",
            world(blocker=Blocker(words="pod other may still be at work")),
            Reason.PENDING,
        ),
        row("as many runs as are allowed are at work", world(queued=True), Reason.PENDING),
        row(
            "a due retry waits for the end of its own last Job without another word",
            world(
                ended(Outcome.FAILED, ago=LONG, finished=None),
                blocker=Blocker(words="Job has not finished", own=True),
            ),
            Reason.RETRYING,
        ),
        row(
            "a due retry waits for a pod that may still run",
            world(lost(ago=LONG), blocker=Blocker(words="pod shop-pod may still be at work")),
            Reason.PENDING,
        ),
        row("the pod is being made", world(waiting()), Reason.MIGRATING),
        row("the Secret is missing", world(waiting(Hold.SECRET)), Reason.SECRET_NOT_READY),
        row("the image is missing", world(waiting(Hold.IMAGE)), Reason.IMAGE_NOT_READY),
        row("no node has room", world(waiting(Hold.SCHEDULING)), Reason.POD_NOT_SCHEDULED),
        row("the migrator runs", world(running()), Reason.MIGRATING),
        row(
            "the migrator runs for an older wish",
            world(running(digest=OTHER_DIGEST), wants=wanted(generation=2)),
            Reason.MIGRATING,
        ),
        row(
            "an older run is under way beside a newer one that ended",
            world(ended(), running(attempt=2, digest=OTHER_DIGEST)),
            Reason.MIGRATING,
        ),
        row("revisions were applied", world(ended()), Reason.UP_TO_DATE),
        row("nothing was to do", world(ended(Outcome.UP_TO_DATE)), Reason.UP_TO_DATE),
        row(
            "the database is ahead and that is accepted",
            world(ended(Outcome.AHEAD_ACCEPTED)),
            Reason.DATABASE_AHEAD_ACCEPTED,
        ),
        row("the run failed", world(ended(Outcome.FAILED)), Reason.RETRYING),
        row("the run took too long", world(ended(Outcome.TIMEOUT)), Reason.RETRYING),
        row("the run was interrupted", world(ended(Outcome.INTERRUPTED)), Reason.RETRYING),
        row("the run did not begin", world(not_begun()), Reason.RETRYING),
        row("the image could not be started", world(not_begun(Hold.IMAGE)), Reason.IMAGE_NOT_READY),
        row(
            "another migrator has the lock", world(ended(Outcome.LOCKED)), Reason.LOCK_NOT_AVAILABLE
        ),
        row("no connection", world(ended(Outcome.UNREACHABLE)), Reason.DATABASE_UNREACHABLE),
        row("the report is lost", world(lost()), Reason.VERIFYING),
        row("a plan is no answer", world(ended(Outcome.PLANNED)), Reason.VERIFYING),
        row("the database is dirty", world(ended(Outcome.DIRTY)), Reason.DIRTY),
        row(
            "the configuration is wrong",
            world(ended(Outcome.INVALID)),
            Reason.CONFIGURATION_INVALID,
        ),
        row(
            "the limit of retries is passed",
            world(ended(Outcome.FAILED, attempt=6, failures=5)),
            Reason.MIGRATION_FAILED,
        ),
        row(
            "the limit is passed by a lost run",
            world(lost(attempt=6, failures=5)),
            Reason.MIGRATION_FAILED,
        ),
        row(
            "no retry at all",
            world(ended(Outcome.TIMEOUT), wants=wanted(spec(retry={"limit": 0}))),
            Reason.MIGRATION_FAILED,
        ),
        row(
            "a limit lowered below the count stalls",
            world(
                ended(Outcome.FAILED, attempt=3, failures=2),
                wants=wanted(spec(retry={"limit": 2}), generation=2),
            ),
            Reason.MIGRATION_FAILED,
        ),
        row(
            "a limit equal to the count does not stall",
            world(
                ended(Outcome.FAILED, attempt=3, failures=2),
                wants=wanted(spec(retry={"limit": 3}), generation=2),
            ),
            Reason.RETRYING,
        ),
        row(
            "a lock is waited for beyond the limit",
            world(ended(Outcome.LOCKED, attempt=60, failures=5)),
            Reason.LOCK_NOT_AVAILABLE,
        ),
        row(
            "an unreachable database is waited for beyond the limit",
            world(ended(Outcome.UNREACHABLE, attempt=60, failures=5)),
            Reason.DATABASE_UNREACHABLE,
        ),
        row(
            "the API server refused the Job",
            world(
                rejection=Rejection(generation=1, start=START, words="no", until=None),
            ),
            Reason.SPEC_INVALID,
        ),
        row(
            "the API server has no time for the Job",
            world(
                rejection=Rejection(generation=1, start=START, words="no", until=NOW + LONG),
            ),
            Reason.PENDING,
        ),
        row(
            "the spec can't be read",
            world(wants=wanted("spec.image: missing.")),
            Reason.SPEC_INVALID,
        ),
    ],
)
def test_nothing_starts_and_the_status_says_why(given: World, reason: Reason) -> None:
    step = decide(given)
    assert isinstance(step.verdict, Verdict)
    assert (step.verdict.reason, step.action) == (reason, None)


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (Refusal.DOWNGRADE_NOT_ALLOWED, Reason.DOWNGRADE_NOT_ALLOWED),
        (Refusal.DOWNGRADE_MISSING, Reason.DOWNGRADE_NOT_ALLOWED),
        (Refusal.TARGET_UNKNOWN, Reason.TARGET_UNKNOWN),
        (Refusal.DATABASE_AHEAD, Reason.DATABASE_AHEAD),
        (Refusal.HISTORY_EDITED, Reason.HISTORY_EDITED),
        (Refusal.POSITION_LOST, Reason.HISTORY_EDITED),
        (None, Reason.MIGRATION_FAILED),
    ],
)
def test_a_refusal_is_told_apart_by_its_word(refusal: Refusal | None, reason: Reason) -> None:
    step = decide(world(ended(Outcome.REFUSED, refusal=refusal, ago=LONG)))
    assert isinstance(step.verdict, Verdict)
    assert (step.verdict.reason, step.action, step.again) == (reason, None, None)


@pytest.mark.parametrize(
    "given",
    [
        row("ready and its Job is gone", world(wants=wanted(said=status("UpToDate")))),
        row(
            "accepted as ahead and its Job is gone",
            world(wants=wanted(said=status("DatabaseAheadAccepted"))),
        ),
        row(
            "ready and its pod is gone",
            world(lost(), wants=wanted(said=status("UpToDate", lastRun=REPORTED))),
        ),
        row(
            "ready while an older run's Job is left over",
            world(
                ended(digest=OTHER_DIGEST, created=NOW - LONG),
                wants=wanted(said=status("UpToDate", lastRun={**REPORTED, "job": "gone"})),
            ),
        ),
        row(
            "ready and a timeout is changed",
            world(wants=wanted(spec(timeout="1h"), status("UpToDate"), generation=2)),
        ),
        row(
            "ready and suspended",
            world(wants=wanted(spec(suspend=True), status("UpToDate"), generation=2)),
        ),
        row("dirty and its Job is gone", world(wants=wanted(said=status("Dirty")))),
        row(
            "dirty and a timeout is changed",
            world(wants=wanted(spec(timeout="1h"), status("Dirty"), generation=2)),
        ),
        row(
            "given up and its Job is gone",
            world(wants=wanted(said=status("MigrationFailed", attempt=6, failedAttempts=6))),
        ),
        row("refused and its Job is gone", world(wants=wanted(said=status("TargetUnknown")))),
        row("refused by the API server", world(wants=wanted(said=status("SpecInvalid")))),
    ],
)
def test_what_is_answered_stays_answered(given: World) -> None:
    step = decide(given)
    assert (step.verdict, step.action, step.again) == (Keep(), None, None)


@pytest.mark.parametrize(
    "given",
    [
        row(
            "a newer run of the same wish that failed",
            world(
                ended(Outcome.FAILED, attempt=2),
                wants=wanted(said=status("UpToDate", lastRun=REPORTED)),
            ),
        ),
        row(
            "a run of a wish that was taken back while no operator was there",
            world(
                ended(digest=OTHER_DIGEST),
                wants=wanted(said=status("UpToDate", lastRun=REPORTED)),
            ),
        ),
        row(
            "a configuration that was wrong",
            world(wants=wanted(said=status("ConfigurationInvalid", attempt=1))),
        ),
    ],
)
def test_what_has_happened_since_wins_over_the_status(given: World) -> None:
    assert not isinstance(decide(given).verdict, Keep)


@pytest.mark.parametrize(
    "rejection",
    [
        row(
            "no answer, and its time has come",
            Rejection(generation=1, start=START, words="no answer", until=NOW),
        ),
        row(
            "invalid, and the spec has changed",
            Rejection(generation=0, start=START, words="invalid", until=None),
        ),
    ],
)
def test_a_job_that_may_have_been_taken_is_asked_for_again_by_the_same_name(
    rejection: Rejection,
) -> None:
    said = status("Migrating", attempt=1)
    assert decide(world(wants=wanted(said=said), rejection=rejection)).action == START


def test_a_resource_under_deletion_is_left_alone() -> None:
    assert decide(world(wants=wanted(deleting=True))) == Step(verdict=None)


# Deadlines


@pytest.mark.parametrize(
    ("since", "stopped"),
    [
        (timedelta(minutes=15), False),
        (timedelta(minutes=15, seconds=59), False),
        (timedelta(minutes=16), True),
    ],
    ids=["at-its-timeout", "within-grace-and-overtime", "beyond"],
)
def test_a_run_is_stopped_after_timeout_grace_and_overtime(
    since: timedelta, *, stopped: bool
) -> None:
    step = decide(world(running(since)))
    assert isinstance(step.action, Stop) is stopped
    assert step.again == (None if stopped else NOW - since + timedelta(minutes=16))


def test_the_deadline_is_that_of_the_run_and_not_of_the_present_spec() -> None:
    late = running(timedelta(minutes=20), timeout=timedelta(hours=1))
    assert decide(world(late)).action is None


def test_a_run_that_is_being_stopped_is_not_stopped_again() -> None:
    step = decide(world(running(LONG, deleting=True)))
    assert step.action is None
    assert isinstance(step.verdict, Verdict)
    assert "delete the pod by force" in step.verdict.words


def test_a_run_that_is_held_has_no_deadline_of_ours() -> None:
    step = decide(world(waiting(Hold.SECRET, created=NOW - LONG)))
    assert (step.action, step.again) == (None, None)


def test_what_may_pass_by_itself_is_not_said_at_once() -> None:
    soon = NOW + timedelta(seconds=1)
    held = waiting(Hold.SECRET)
    fresh = dataclasses.replace(held, state=runs.Waiting(hold=Hold.SECRET, notable=soon))
    step = decide(world(fresh))
    assert isinstance(step.verdict, Verdict)
    assert (step.verdict.reason, step.again) == (Reason.MIGRATING, soon)


@pytest.mark.parametrize("hold", [Hold.SECRET, Hold.IMAGE, Hold.SCHEDULING])
def test_a_run_that_is_held_is_replaced_when_the_spec_changes(hold: Hold) -> None:
    step = decide(world(waiting(hold), wants=wanted(spec(image="other"), generation=2)))
    assert isinstance(step.action, Stop)


def test_a_run_that_is_about_to_start_is_not_replaced() -> None:
    step = decide(world(waiting(), wants=wanted(spec(image="other"), generation=2)))
    assert step.action is None
    assert isinstance(step.verdict, Verdict)
    assert "of generation 1 is still under way" in step.verdict.words


def test_a_job_without_a_pod_is_looked_at_again() -> None:
    step = decide(world(waiting(pod="", created=NOW)))
    assert step.again == NOW + timedelta(seconds=30)


# Attempts and backoff


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 10), (2, 20), (3, 40), (5, 160), (6, 300), (2000, 300)]
)
def test_the_backoff_doubles_up_to_its_maximum_less_at_most_a_fifth(
    attempt: int, seconds: int
) -> None:
    run = ended(Outcome.UNREACHABLE, attempt=attempt)
    step = decide(world(run))
    assert step.again is not None
    waited = (step.again - (NOW - timedelta(seconds=1))).total_seconds()
    assert 0.8 * seconds <= waited <= seconds + 1
    assert step.again.microsecond == 0


def test_the_longest_backoff_has_a_moment_after_any_number_of_attempts() -> None:
    run = ended(Outcome.UNREACHABLE, attempt=2000)
    day = {"limit": 1000, "backoff": "24h", "maxBackoff": "24h"}
    step = decide(world(run, wants=wanted(spec(retry=day))))
    assert step.again is not None
    assert timedelta(hours=19) < step.again - NOW <= timedelta(hours=24)


def test_the_next_attempt_is_the_same_moment_for_everybody() -> None:
    run = ended(Outcome.FAILED)
    later = dataclasses.replace(world(run), now=NOW + timedelta(seconds=3))
    assert decide(world(run)).again == decide(later).again


def test_two_resources_that_failed_together_do_not_retry_together() -> None:
    dues = {
        decide(
            world(
                ended(Outcome.LOCKED, digest=digest_of(requested_at=str(number)), attempt=9),
                wants=wanted(requested_at=str(number)),
            )
        ).again
        for number in range(20)
    }
    assert len(dues) > 10


@pytest.mark.parametrize(
    ("run", "failures"),
    [
        row("failed counts", ended(Outcome.FAILED, ago=LONG), 1),
        row("timeout counts", ended(Outcome.TIMEOUT, ago=LONG), 1),
        row("unknown counts", lost(ago=LONG), 1),
        row("locked does not count", ended(Outcome.LOCKED, ago=LONG), 0),
        row("unreachable does not count", ended(Outcome.UNREACHABLE, ago=LONG), 0),
        row("interrupted does not count", ended(Outcome.INTERRUPTED, ago=LONG), 0),
        row("invalid does not count", ended(Outcome.INVALID, ago=LONG), 0),
        row("not begun does not count", not_begun(ago=LONG), 0),
    ],
)
def test_only_failures_count_against_the_limit(run: Any, failures: int) -> None:
    action = decide(world(run)).action
    assert isinstance(action, Start)
    assert (action.attempt, action.failures, action.series) == (2, failures, run.job.series)


def test_a_new_series_begins_after_every_run_there_was() -> None:
    ahead = NOW + timedelta(hours=1)
    action = decide(world(ended(digest=OTHER_DIGEST, series=ahead))).action
    assert isinstance(action, Start)
    assert action.series > ahead
    assert action.failures == 0


# History


@pytest.mark.parametrize(
    ("limit", "kept"), [(0, 1), (1, 1), (2, 2), (5, 3)], ids=["none", "one", "two", "many"]
)
def test_finished_jobs_beyond_the_limit_are_surplus_but_never_the_newest(
    limit: int, kept: int
) -> None:
    three = [ended(attempt=number) for number in (3, 2, 1)]
    step = decide(world(*three, wants=wanted(spec(historyLimit=limit))))
    assert step.surplus == tuple(run.job for run in three[kept:])


def test_a_job_that_has_not_finished_is_never_surplus() -> None:
    open_end = ended(attempt=1, finished=None)
    step = decide(world(ended(attempt=2), open_end, wants=wanted(spec(historyLimit=0))))
    assert step.surplus == ()


# Completeness


def test_every_outcome_and_every_refusal_means_something() -> None:
    for outcome in Outcome:
        for refusal in (None, *Refusal) if outcome is Outcome.REFUSED else (None,):
            step = decide(world(ended(outcome, refusal=refusal)))
            assert isinstance(step.verdict, Verdict)


def test_every_reason_has_exactly_one_meaning() -> None:
    groups = [READY, RECONCILING, STALLED, WAITING_FOR_A_PERSON]
    assert sorted(reason for group in groups for reason in group) == sorted(Reason)


def test_job_names_fit_and_tell_attempts_apart() -> None:
    names = {digest.job_name("x" * 47, digest_of(), attempt) for attempt in range(1, 200)}
    assert len(names) == 199
    assert {len(name) for name in names} == {58}


def test_the_job_of_a_started_run_is_named_after_resource_digest_and_attempt() -> None:
    action = decide(world()).action
    assert isinstance(action, Start)
    assert action.digest == digest.of_run(UID, spec(), "")
    assert action.job == digest.job_name(KEY.name, action.digest, 1)
