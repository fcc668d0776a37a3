"""Verifying: what is looked at again, when, and what a find leads to."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from schema_migrator.result import Outcome, Refusal
from schema_operator.decision import decide
from schema_operator.kind import Kind
from schema_operator.reason import Reason
from schema_operator.run import Hold
from schema_operator.step import Keep, Stop, Verdict
from schema_operator.world import Blocker, Rejection, Start, World
from tests.operator.worlds import (
    APPROVED,
    APPROVING,
    NOW,
    digest_of,
    ended,
    lost,
    not_begun,
    running,
    status,
    verified,
    waiting,
    wanted,
    watched,
    world,
)

BEFORE = "2026-03-01T11:58:00Z"


def ready(
    reason: str = "UpToDate", at: str = BEFORE, job: str = "shop-before", **changes: Any
) -> Any:
    last = {"job": job, "outcome": "applied", "startTime": at, "completionTime": at}
    return status(
        reason,
        observedDigest=digest_of(watched(**changes)),
        lastRun=last,
        history=[last],
    )


def settled(*runs: Any, said: Any = None, **changes: Any) -> World:
    return world(*runs, wants=wanted(watched(), said or ready()), **changes)


def test_it_begins_when_it_is_due_and_leaves_the_answer_alone() -> None:
    step = decide(settled())
    assert isinstance(step.action, Start)
    assert step.action.kind is Kind.VERIFY
    assert isinstance(step.verdict, Keep)


def test_it_is_waited_for_until_it_is_due() -> None:
    step = decide(settled(said=ready(at="2026-03-01T11:59:30Z")))
    assert step.action is None
    assert step.again == NOW + timedelta(seconds=30)


def test_it_follows_the_run_that_was_just_answered() -> None:
    move = ended(digest=digest_of(watched()), ago=timedelta(seconds=5))
    assert decide(settled(move, said=status(""))).again == NOW + timedelta(seconds=55)
    said = ready(job=move.job.name, at="2026-03-01T11:59:55Z")
    assert decide(settled(move, said=said)).again == NOW + timedelta(seconds=55)
    late = dataclasses.replace(settled(move, said=said), now=NOW + timedelta(minutes=2))
    assert isinstance(decide(late).action, Start)


def test_each_has_its_own_name_and_a_restart_gives_the_same() -> None:
    first, second = (decide(settled()).action for _ in range(2))
    later = decide(settled(said=ready(at="2026-03-01T11:58:20Z"))).action
    assert isinstance(first, Start)
    assert isinstance(later, Start)
    assert first == second
    assert first.job != later.job


NOTHING = {
    "without-an-interval": world(wants=wanted(said=status("UpToDate"))),
    "while-suspended": world(wants=wanted(watched(suspend=True), ready())),
    "for-an-image-that-is-not-allowed": settled(disallowed="no"),
    "while-a-plan-awaits-its-approval": world(
        wants=wanted(watched(**APPROVING), ready("AwaitingApproval", **APPROVING))
    ),
    "while-stalled": world(wants=wanted(watched(), ready("MigrationFailed"))),
    "while-the-database-is-busy": settled(blocker=Blocker(words="busy")),
    "while-too-many-are-at-work": settled(queued=True),
}


@pytest.mark.parametrize("given", NOTHING.values(), ids=NOTHING)
def test_none_begins(given: World) -> None:
    step = decide(given)
    if "MigrationFailed" in str(given.wanted.status):
        assert not isinstance(step.action, Start) or step.action.kind is not Kind.VERIFY
    else:
        assert step.action is None
        assert isinstance(step.verdict, Keep)


UNDER_WAY = {
    "running": running(),
    "waiting-for-its-secret": waiting(Hold.SECRET, "not found"),
    "waiting-for-its-image": waiting(Hold.IMAGE, "ErrImagePull"),
}


@pytest.mark.parametrize("run", UNDER_WAY.values(), ids=UNDER_WAY)
def test_the_answer_stands_while_it_is_under_way(run: Any) -> None:
    own = verified()
    run = dataclasses.replace(run, job=dataclasses.replace(own.job, finished=None))
    assert isinstance(decide(settled(run)).verdict, Keep)


def test_one_that_outlives_its_timeout_is_stopped() -> None:
    own = verified()
    late = running(since=timedelta(hours=1))
    late = dataclasses.replace(late, job=dataclasses.replace(own.job, finished=None))
    step = decide(settled(late))
    assert isinstance(step.action, Stop)
    assert isinstance(step.verdict, Keep)


def test_a_changed_spec_is_decided_on_after_it() -> None:
    own = verified()
    run = dataclasses.replace(running(), job=dataclasses.replace(own.job, finished=None))
    step = decide(world(run, wants=wanted(watched(target="0007"), ready(), generation=2)))
    assert isinstance(step.verdict, Verdict)
    assert step.verdict.reason is Reason.MIGRATING


def test_a_database_that_was_moved_is_brought_back() -> None:
    step = decide(settled(verified(Outcome.PLANNED), ended(digest=digest_of(watched()))))
    assert isinstance(step.action, Start)
    assert (step.action.kind, step.action.attempt) == (Kind.APPLY, 2)
    assert isinstance(step.verdict, Verdict)
    assert step.verdict.reason is Reason.MIGRATING


def test_the_old_success_does_not_answer_for_a_database_that_was_moved() -> None:
    found = verified(Outcome.PLANNED)
    said = ready("Pending", job=found.job.name)
    step = decide(settled(found, ended(digest=digest_of(watched())), said=said, queued=True))
    assert isinstance(step.verdict, Verdict)
    assert step.verdict.reason is Reason.PENDING


def test_bringing_it_back_carries_out_the_approved_plan_and_no_other() -> None:
    wish = watched(**APPROVED)
    step = decide(world(verified(Outcome.PLANNED, wish), wants=wanted(wish, ready(**APPROVED))))
    assert isinstance(step.action, Start)
    assert step.action.kind is Kind.APPLY


def test_without_an_approval_a_plan_is_made_for_a_database_that_was_moved() -> None:
    wish = watched(**APPROVING)
    step = decide(world(verified(Outcome.PLANNED, wish), wants=wanted(wish, ready(**APPROVING))))
    assert isinstance(step.action, Start)
    assert step.action.kind is Kind.PLAN


FOUND = {
    "dirty": (verified(Outcome.DIRTY, dirty=True, incident="i"), Reason.DIRTY),
    "behind-its-target": (
        verified(Outcome.REFUSED, refusal=Refusal.DOWNGRADE_NOT_ALLOWED),
        Reason.DOWNGRADE_NOT_ALLOWED,
    ),
    "ahead": (verified(Outcome.REFUSED, refusal=Refusal.DATABASE_AHEAD), Reason.DATABASE_AHEAD),
    "a-lost-position": (
        verified(Outcome.REFUSED, refusal=Refusal.POSITION_LOST),
        Reason.HISTORY_EDITED,
    ),
}


@pytest.mark.parametrize(("run", "reason"), FOUND.values(), ids=FOUND)
def test_what_nobody_may_mend_is_reported(run: Any, reason: Reason) -> None:
    step = decide(settled(run, ended(digest=digest_of(watched()))))
    assert step.action is None
    assert isinstance(step.verdict, Verdict)
    assert step.verdict.reason is reason


PASSING = {
    "unreachable": verified(Outcome.UNREACHABLE),
    "locked": verified(Outcome.LOCKED),
    "interrupted": verified(Outcome.INTERRUPTED),
    "misconfigured": verified(Outcome.INVALID),
    "failed": verified(Outcome.FAILED),
    "lost": dataclasses.replace(lost(), job=verified().job),
    "not-begun": dataclasses.replace(not_begun(), job=verified().job),
}


@pytest.mark.parametrize("run", PASSING.values(), ids=PASSING)
def test_one_that_could_not_look_takes_nothing_back_and_another_follows(run: Any) -> None:
    step = decide(settled(run, ended(digest=digest_of(watched()))))
    assert step.action is None
    assert isinstance(step.verdict, Keep)
    assert step.again is not None
    assert step.again > NOW


def test_one_that_finds_all_in_order_is_followed_by_the_next() -> None:
    found = verified(ago=timedelta(seconds=61))
    said = ready(at="2026-03-01T11:58:59Z", job=found.job.name)
    step = decide(settled(found, said=said))
    assert isinstance(step.action, Start)
    assert step.action.job != found.job.name


def test_a_rejected_one_is_tried_again_later() -> None:
    start = decide(settled()).action
    assert isinstance(start, Start)
    for until in (None, NOW + timedelta(seconds=5)):
        rejection = Rejection(generation=1, start=start, words="no", until=until)
        step = decide(settled(rejection=rejection))
        assert step.action is None
        assert isinstance(step.verdict, Keep)
        assert step.again is not None
        assert step.again > NOW
