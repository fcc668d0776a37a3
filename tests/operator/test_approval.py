"""Approval, resolution and baseline: which run a spec means, and what its end leads to."""

from __future__ import annotations

from typing import Any

import pytest

from schema_migrator.result import Outcome, Refusal
from schema_operator import job
from schema_operator.decision import decide
from schema_operator.kind import Kind
from schema_operator.options import PodDefaults
from schema_operator.reason import Reason
from schema_operator.step import Keep, Verdict
from schema_operator.world import Start, World
from tests.operator.worlds import (
    APPROVED,
    APPROVING,
    PLAN,
    PLAN_ID,
    digest_of,
    ended,
    planned,
    running,
    spec,
    status,
    wanted,
    world,
)

FORCE = {"force": {"incident": "1f0c2d3e4b5a", "revision": "0007"}}

RUNS: dict[str, tuple[dict[str, Any], Kind, list[str], dict[str, str]]] = {
    "nothing to approve": ({}, Kind.APPLY, ["goto", "head"], {}),
    "an approval nobody asked for": (
        {"approvedPlan": PLAN_ID},
        Kind.APPLY,
        ["goto", "head"],
        {},
    ),
    "a plan to be approved": (
        APPROVING,
        Kind.PLAN,
        ["plan", "head"],
        {"MIGRATE_ALLOW_DOWNGRADE": "false"},
    ),
    "a plan downwards to be approved": (
        {**APPROVING, "target": "0001", "allowDowngrade": True},
        Kind.PLAN,
        ["plan", "0001"],
        {"MIGRATE_ALLOW_DOWNGRADE": "true"},
    ),
    "an approved plan": (APPROVED, Kind.APPLY, ["goto", "--plan-id", PLAN_ID, "head"], {}),
    "a resolution": (FORCE, Kind.APPLY, ["goto", "head"], {"MIGRATE_RESOLVE": "1f0c2d3e4b5a=0007"}),
    "a resolution before anything is approved": (
        {**APPROVING, **FORCE},
        Kind.APPLY,
        ["goto", "--plan-id", "none", "head"],
        {"MIGRATE_RESOLVE": "1f0c2d3e4b5a=0007"},
    ),
    "a baseline": (
        {"baseline": "0001"},
        Kind.APPLY,
        ["goto", "head"],
        {"MIGRATE_BASELINE": "0001"},
    ),
    "a plan after a baseline": (
        {**APPROVING, "baseline": "0001"},
        Kind.PLAN,
        ["plan", "head"],
        {"MIGRATE_BASELINE": "0001", "MIGRATE_ALLOW_DOWNGRADE": "false"},
    ),
}
OF_SOME = {"MIGRATE_BASELINE", "MIGRATE_RESOLVE", "MIGRATE_ALLOW_DOWNGRADE"}


@pytest.mark.parametrize(("changes", "kind", "words", "variables"), RUNS.values(), ids=RUNS)
def test_a_spec_means_one_run(
    changes: dict[str, Any], kind: Kind, words: list[str], variables: dict[str, str]
) -> None:
    wish = wanted(spec(**changes))
    start = decide(world(wants=wish)).action
    assert isinstance(start, Start)
    document = job.manifest(wish, spec(**changes), start, PodDefaults())
    container = document["spec"]["template"]["spec"]["containers"][0]
    said = {one["name"]: one.get("value") for one in container["env"] if one["name"] in OF_SOME}
    annotations = document["metadata"]["annotations"]
    assert start.kind is kind
    assert annotations["migrations.tenant-registry.dev/run"] == kind
    assert (container["args"], said) == (words, variables)


def approving(*runs: Any, said: Any = None, **changes: Any) -> World:
    return world(*runs, wants=wanted(spec(**APPROVING, **changes), said))


ENDS = {
    "a plan with something to do": (planned(spec(**APPROVING)), Reason.AWAITING_APPROVAL),
    "a plan with nothing to do": (
        ended(Outcome.UP_TO_DATE, digest=digest_of(spec(**APPROVING)), kind=Kind.PLAN),
        Reason.UP_TO_DATE,
    ),
    "a plan that may not be": (
        ended(
            Outcome.REFUSED,
            refusal=Refusal.DOWNGRADE_NOT_ALLOWED,
            digest=digest_of(spec(**APPROVING)),
            kind=Kind.PLAN,
        ),
        Reason.DOWNGRADE_NOT_ALLOWED,
    ),
    "a plan of a dirty database": (
        ended(Outcome.DIRTY, digest=digest_of(spec(**APPROVING)), kind=Kind.PLAN),
        Reason.DIRTY,
    ),
    "a plan that could not be made yet": (
        ended(Outcome.UNREACHABLE, digest=digest_of(spec(**APPROVING)), kind=Kind.PLAN),
        Reason.DATABASE_UNREACHABLE,
    ),
    "a plan under way": (
        running(digest=digest_of(spec(**APPROVING)), kind=Kind.PLAN),
        Reason.PLANNING,
    ),
}


@pytest.mark.parametrize(("run", "reason"), ENDS.values(), ids=ENDS)
def test_a_plan_leads_to(run: Any, reason: Reason) -> None:
    step = decide(approving(run))
    assert isinstance(step.verdict, Verdict)
    assert (step.verdict.reason, step.action) == (reason, None)


def test_a_run_that_was_refused_for_want_of_an_approval_has_brought_the_plan() -> None:
    wish = spec(**APPROVING, **FORCE)
    refused = ended(
        Outcome.REFUSED, refusal=Refusal.PLAN_OUTDATED, digest=digest_of(wish), plan=PLAN
    )
    step = decide(world(refused, wants=wanted(wish)))
    assert isinstance(step.verdict, Verdict)
    assert step.verdict.reason is Reason.AWAITING_APPROVAL


def test_an_approved_plan_that_changed_needs_another_approval() -> None:
    wish = spec(**APPROVED)
    refused = ended(Outcome.REFUSED, refusal=Refusal.PLAN_OUTDATED, digest=digest_of(wish))
    step = decide(world(refused, wants=wanted(wish)))
    assert isinstance(step.verdict, Verdict)
    assert (step.verdict.reason, step.again) == (Reason.PLAN_OUTDATED, None)


def test_what_awaits_an_approval_stays_so_after_its_job_is_gone() -> None:
    said = status("AwaitingApproval", observedDigest=digest_of(spec(**APPROVING)))
    assert decide(approving(said=said)).verdict == Keep()


def test_an_approval_starts_the_run_at_once() -> None:
    said = status("AwaitingApproval", observedDigest=digest_of(spec(**APPROVING)))
    plan = planned(spec(**APPROVING))
    step = decide(world(plan, wants=wanted(spec(**APPROVED), said, generation=2)))
    assert isinstance(step.action, Start)
    assert (step.action.kind, step.action.attempt) == (Kind.APPLY, 1)


BARRED: dict[str, tuple[dict[str, Any], dict[str, Any], Reason]] = {
    "a dependency": (
        {"unmet": "SchemaMigration base is not Ready"},
        {},
        Reason.DEPENDENCY_NOT_READY,
    ),
    "a circle": ({"circle": ("shop", "base", "shop")}, {}, Reason.SPEC_INVALID),
    "an image": ({"disallowed": "no"}, {}, Reason.IMAGE_NOT_ALLOWED),
    "an image, though suspended": (
        {"disallowed": "no"},
        {"suspend": True},
        Reason.IMAGE_NOT_ALLOWED,
    ),
    "a dependency, though suspended": ({"unmet": "no"}, {"suspend": True}, Reason.SUSPENDED),
}


@pytest.mark.parametrize(("given", "changes", "reason"), BARRED.values(), ids=BARRED)
def test_nothing_starts_for_want_of(
    given: dict[str, Any], changes: dict[str, Any], reason: Reason
) -> None:
    step = decide(world(wants=wanted(spec(**changes)), **given))
    assert isinstance(step.verdict, Verdict)
    assert (step.verdict.reason, step.action) == (reason, None)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"disallowed": "no"}, "ImageNotAllowed"),
        ({"circle": ("shop", "base", "shop")}, "SpecInvalid"),
    ],
)
def test_what_the_operator_itself_refuses_goes_on_once_it_is_put_right_elsewhere(
    given: dict[str, Any], reason: str
) -> None:
    step = decide(world(wants=wanted(said=status("UpToDate")), **given))
    if reason == "SpecInvalid":
        assert isinstance(step.verdict, Verdict)
        assert step.verdict.digest == ""
    said = status(reason, observedDigest=None)
    assert isinstance(decide(world(wants=wanted(said=said))).action, Start)


def test_a_dependency_that_fails_later_takes_nothing_back() -> None:
    given = world(wants=wanted(said=status("UpToDate")), unmet="SchemaMigration base is not Ready")
    assert decide(given).verdict == Keep()


def test_a_run_under_way_is_not_stopped_for_a_dependency() -> None:
    step = decide(world(running(), unmet="SchemaMigration base is not Ready"))
    assert isinstance(step.verdict, Verdict)
    assert (step.verdict.reason, step.action) == (Reason.MIGRATING, None)
