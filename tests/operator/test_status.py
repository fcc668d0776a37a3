"""The status that follows from a step: its shape, and what a tool reads from it."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from typing import Any

import pytest

from schema_migrator.result import Outcome, Refusal
from schema_operator import decision, resource
from schema_operator import run as runs
from schema_operator import status as statuses
from schema_operator.kind import Kind
from schema_operator.reason import READY, RECONCILING, STALLED, Reason
from schema_operator.run import Hold
from schema_operator.world import Start, World
from tests.operator.worlds import (
    APPROVED,
    APPROVING,
    NOW,
    OTHER_DIGEST,
    PLAN,
    PLAN_ID,
    digest_of,
    ended,
    lost,
    not_begun,
    planned,
    running,
    spec,
    status,
    verified,
    waiting,
    wanted,
    watched,
    world,
)

SECRET = "hunter2"


def composed(given: World, now: Any = NOW) -> dict[str, Any]:
    verdict = decision.decide(given).verdict
    assert verdict is not None
    return statuses.compose(given.wanted, given.runs, verdict, now)


def again(given: World, said: dict[str, Any], **changes: Any) -> World:
    """The same world with the status that was written for it."""
    read = resource.Status.model_validate(json.loads(json.dumps(said)))
    return dataclasses.replace(
        given, wanted=dataclasses.replace(given.wanted, status=read), **changes
    )


WORLDS = {
    "starting": world(),
    "suspended": world(wants=wanted(spec(suspend=True))),
    "pending": world(queued=True),
    "waiting-for-secret": world(waiting(Hold.SECRET, words="secret not found")),
    "waiting-for-image": world(waiting(Hold.IMAGE, words="ErrImagePull")),
    "waiting-for-node": world(waiting(Hold.SCHEDULING, words="0/3 nodes")),
    "running": world(running()),
    "running-for-an-older-wish": world(running(digest=OTHER_DIGEST), wants=wanted(generation=2)),
    "up-to-date": world(ended()),
    "ahead-accepted": world(ended(Outcome.AHEAD_ACCEPTED)),
    "failed": world(ended(Outcome.FAILED, message="column exists", sqlstate="42701")),
    "given-up": world(ended(Outcome.FAILED, attempt=6, failures=5, message="no")),
    "locked": world(ended(Outcome.LOCKED)),
    "unreachable": world(ended(Outcome.UNREACHABLE)),
    "lost": world(lost()),
    "not-begun": world(not_begun()),
    "image-not-startable": world(not_begun(Hold.IMAGE)),
    "dirty": world(ended(Outcome.DIRTY, dirty=True, incident="i-1", to="0001")),
    "invalid": world(ended(Outcome.INVALID)),
    "downgrade": world(ended(Outcome.REFUSED, refusal=Refusal.DOWNGRADE_NOT_ALLOWED)),
    "unknown-target": world(ended(Outcome.REFUSED, refusal=Refusal.TARGET_UNKNOWN)),
    "ahead": world(ended(Outcome.REFUSED, refusal=Refusal.DATABASE_AHEAD)),
    "edited": world(ended(Outcome.REFUSED, refusal=Refusal.HISTORY_EDITED)),
    "planning": world(
        running(digest=digest_of(spec(**APPROVING)), kind=Kind.PLAN),
        wants=wanted(spec(**APPROVING)),
    ),
    "planned": world(planned(spec(**APPROVING)), wants=wanted(spec(**APPROVING))),
    "outdated": world(
        ended(
            Outcome.REFUSED,
            refusal=Refusal.PLAN_OUTDATED,
            digest=digest_of(spec(**APPROVED)),
            plan=PLAN,
        ),
        wants=wanted(spec(**APPROVED)),
    ),
    "waiting-for-another": world(unmet="SchemaMigration other is not Ready"),
    "in-a-circle": world(circle=("shop", "other", "shop")),
    "image-not-allowed": world(disallowed="registry.example/shop:1 matches no pattern"),
    "drifted": world(verified(Outcome.PLANNED), ended(), wants=wanted(watched())),
    "verified": world(verified(), ended(), wants=wanted(watched())),
    "verified-and-refused": world(
        verified(Outcome.REFUSED, refusal=Refusal.DOWNGRADE_NOT_ALLOWED),
        ended(),
        wants=wanted(watched()),
    ),
    "spec-invalid": world(wants=wanted("spec.image: missing.")),
}


@pytest.mark.parametrize("given", WORLDS.values(), ids=WORLDS)
def test_conditions_are_as_kstatus_reads_them(given: World) -> None:
    said = composed(given)
    kinds = [one["type"] for one in said["conditions"]]
    assert kinds[0] == "Ready"
    assert kinds[1:] in ([], ["Reconciling"], ["Stalled"])
    assert said["observedGeneration"] == given.wanted.generation
    for one in said["conditions"]:
        assert one["observedGeneration"] == given.wanted.generation
        assert one["status"] == (
            "True"
            if one["type"] != "Ready" or (kinds == ["Ready"] and one["reason"] in READY)
            else "False"
        )
        assert one["reason"] == said["conditions"][0]["reason"]
        assert one["message"] == said["conditions"][0]["message"]
    reason = Reason(said["conditions"][0]["reason"])
    assert ("Reconciling" in kinds) is (reason in RECONCILING)
    assert ("Stalled" in kinds) is (reason in STALLED)


@pytest.mark.parametrize("given", WORLDS.values(), ids=WORLDS)
def test_what_is_written_is_a_status_that_reads_back_the_same(given: World) -> None:
    said = composed(given)
    read = resource.Status.model_validate(said)
    assert read.model_dump(mode="json", by_alias=True, exclude_none=True) | {
        "history": []
    } == said | {"history": []} | {"conditions": said["conditions"]}
    assert None not in said.values()
    assert [] not in said.values()


AT_REST = {name: given for name, given in WORLDS.items() if name not in {"starting", "drifted"}}


@pytest.mark.parametrize("given", AT_REST.values(), ids=AT_REST)
def test_a_restart_in_the_same_world_writes_nothing(given: World) -> None:
    said = composed(given)
    assert composed(again(given, said), NOW + timedelta(hours=3)) == said


@pytest.mark.parametrize("given", WORLDS.values(), ids=WORLDS)
def test_messages_are_one_line_that_ends_as_a_sentence(given: World) -> None:
    message = composed(given)["conditions"][0]["message"]
    assert message
    assert "\n" not in message
    assert message.endswith((".", "…"))
    assert len(message) <= statuses.MESSAGE_LENGTH
    assert ".." not in message


def test_the_worlds_cover_every_reason() -> None:
    seen = {composed(given)["conditions"][0]["reason"] for given in WORLDS.values()}
    assert seen == {str(reason) for reason in Reason}


def test_the_first_status_and_the_running_one_are_the_same() -> None:
    """So nothing is written between the start and the end of a run."""
    first = composed(world())
    action = decision.decide(world()).action
    assert isinstance(action, Start)
    for seen in (waiting(), waiting(pod=""), running()):
        assert composed(again(world(seen), first), NOW + timedelta(seconds=9)) == first


def test_a_transition_time_moves_only_with_the_state() -> None:
    first = composed(world())
    then = composed(again(world(ended(Outcome.FAILED)), first), NOW + timedelta(seconds=9))
    assert [one["lastTransitionTime"] for one in then["conditions"]] == ["2026-03-01T12:00:00Z"] * 2
    done = composed(again(world(ended()), then), NOW + timedelta(seconds=20))
    assert done["conditions"][0]["lastTransitionTime"] == "2026-03-01T12:00:20Z"


def test_foreign_fields_do_not_survive() -> None:
    said = composed(
        world(ended(), wants=wanted(said=status("Dirty", incident="forged", observedDigest="x")))
    )
    assert [one["type"] for one in said["conditions"]] == ["Ready"]
    assert "incident" not in said


def test_a_kept_answer_moves_only_its_generation() -> None:
    before = composed(world(ended()))
    given = again(world(), before)
    later = dataclasses.replace(
        given, wanted=dataclasses.replace(given.wanted, generation=2, spec=spec(timeout="1h"))
    )
    kept = composed(later, NOW + timedelta(hours=1))
    assert kept["observedGeneration"] == 2
    assert kept["conditions"][0] == before["conditions"][0] | {"observedGeneration": 2}
    assert {
        key: kept[key] for key in before if key not in {"observedGeneration", "conditions"}
    } == {key: before[key] for key in before if key not in {"observedGeneration", "conditions"}}


# Runs


def test_a_run_is_recorded_with_what_it_said() -> None:
    said = composed(
        world(
            ended(
                Outcome.FAILED,
                from_="0001",
                to="0001",
                dirty=False,
                sqlstate="42701",
                message="0002: column exists",
            )
        )
    )
    assert said["lastRun"] == said["history"][0]
    assert said["lastRun"] == {
        "job": decision.decide(world()).action.job,  # type: ignore[union-attr]
        "outcome": "failed",
        "from": "0001",
        "to": "0001",
        "startTime": "2026-03-01T11:59:57Z",
        "completionTime": "2026-03-01T11:59:59Z",
        "exitCode": 10,
        "sqlstate": "42701",
        "message": "0002: column exists",
    }
    assert (said["version"], said["dirty"]) == ("0001", False)


def test_a_run_that_read_nothing_leaves_the_position_as_it_was() -> None:
    before = composed(world(ended(to="0007")))
    said = composed(again(world(ended(Outcome.UNREACHABLE, attempt=2), ended(to="0007")), before))
    assert said["version"] == "0007"
    assert said["lastRun"]["outcome"] == "unreachable"


def test_the_history_is_newest_first_and_bounded() -> None:
    observed = [ended(attempt=number, created=NOW) for number in (4, 3, 2, 1)]
    said = composed(world(*observed, wants=wanted(spec(historyLimit=2))))
    assert [one["job"] for one in said["history"]] == [run.job.name for run in observed[:2]]
    assert said["lastRun"]["job"] == observed[0].job.name


def test_a_history_limit_of_zero_keeps_the_last_run() -> None:
    said = composed(world(ended(), wants=wanted(spec(historyLimit=0))))
    assert "history" not in said
    assert said["lastRun"]["outcome"] == "applied"


def test_a_report_that_comes_late_replaces_unknown() -> None:
    before = composed(world(lost()))
    said = composed(again(world(ended()), before))
    assert [one["outcome"] for one in said["history"]] == ["applied"]
    assert said["conditions"][0]["reason"] == "UpToDate"


def test_what_was_recorded_survives_the_pod() -> None:
    before = composed(world(ended(Outcome.FAILED, message="no")))
    said = composed(again(world(lost(ago=timedelta(seconds=1))), before))
    assert said["lastRun"] == before["lastRun"]


def test_a_run_of_an_older_wish_is_recorded_and_makes_nothing_ready() -> None:
    given = world(ended(digest=OTHER_DIGEST, to="0004"), wants=wanted(generation=2))
    said = composed(given)
    assert said["version"] == "0004"
    assert said["conditions"][0]["reason"] == "Migrating"
    assert said["observedDigest"] == digest_of()


def test_a_run_that_moved_the_database_sets_the_time_of_the_last_migration() -> None:
    assert composed(world(ended(applied=("0001",))))["lastMigrationTime"] == "2026-03-01T11:59:59Z"
    assert "lastMigrationTime" not in composed(world(ended(Outcome.UP_TO_DATE)))


def test_long_words_are_shortened_and_not_cut_off_the_schema() -> None:
    said = composed(world(ended(Outcome.FAILED, message="é" * 5000)))
    assert len(said["conditions"][0]["message"]) <= statuses.MESSAGE_LENGTH
    assert len(said["lastRun"]["message"]) <= 1024
    resource.Status.model_validate(said)


def test_words_that_only_repeat_are_not_written_again() -> None:
    pull = world(waiting(Hold.IMAGE, words="ErrImagePull: no such image."))
    said = composed(pull)
    back_off = dataclasses.replace(
        waiting(), state=runs.Waiting(hold=Hold.IMAGE, words="ImagePullBackOff", repeated=True)
    )
    assert composed(again(world(back_off), said)) == said


def test_the_next_attempt_is_said_and_taken_back() -> None:
    before = composed(world(ended(Outcome.FAILED)))
    assert before["nextAttemptTime"] in before["conditions"][0]["message"]
    assert "nextAttemptTime" not in composed(again(world(running(attempt=2)), before))


def test_a_plan_stands_in_the_status_until_it_is_carried_out() -> None:
    wish = spec(**APPROVING)
    proposed = world(planned(wish), wants=wanted(wish))
    said = composed(proposed)
    assert said["plan"] == {
        "id": PLAN_ID,
        "revisions": ["0002", "0003"],
        "destructive": ["0003: column x of one"],
        "job": proposed.runs[0].job.name,
    }
    message = said["conditions"][0]["message"]
    assert PLAN_ID in message
    assert "0002, 0003" in message
    assert "column x of one" in message

    approved = spec(**APPROVED)
    under_way = again(world(running(digest=digest_of(approved)), wants=wanted(approved)), said)
    assert composed(under_way)["plan"] == said["plan"]
    done = again(world(ended(digest=digest_of(approved)), wants=wanted(approved)), said)
    assert "plan" not in composed(done)


def test_a_plan_that_is_outdated_has_the_present_one_beside_it() -> None:
    said = composed(WORLDS["outdated"])
    assert said["plan"]["id"] == PLAN_ID
    assert PLAN_ID in said["conditions"][0]["message"]


def test_a_verification_that_finds_nothing_moves_the_last_run_and_no_condition() -> None:
    move = ended(ago=timedelta(minutes=2))
    settled = composed(world(move, wants=wanted(watched())))
    given = again(world(verified(), move, wants=wanted(watched())), settled)
    said = composed(given)
    assert said["lastRun"]["job"] == given.runs[0].job.name
    assert said["history"] == settled["history"]
    assert said["conditions"] == settled["conditions"]


def test_a_verification_that_finds_something_is_kept_in_the_history() -> None:
    said = composed(WORLDS["drifted"])
    assert said["history"][0]["outcome"] == "planned"
    assert "plan" not in said
    assert said["conditions"][0]["status"] == "False"


def test_a_dirty_database_says_how_it_is_resolved_from_here() -> None:
    message = composed(WORLDS["dirty"])["conditions"][0]["message"]
    assert "spec.force" in message
    assert "i-1" in message
