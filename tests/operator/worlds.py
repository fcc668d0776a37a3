"""Worlds for the tests of deciding: written short, so that a row reads as a sentence."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

from schema_migrator import result as report
from schema_migrator.result import Outcome, Refusal, Result
from schema_operator import digest, names, projection, resource
from schema_operator import run as runs
from schema_operator.kind import Kind
from schema_operator.reason import STALLED
from schema_operator.world import Wanted, World

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
UID = "7d0a3c1e-0000-4000-8000-000000000001"
KEY = names.Key("shops", "shop")
OTHER_DIGEST = "v1:" + "0" * 64
PLAN_ID = "sha256:" + "7" * 64
PLAN = report.Plan(id=PLAN_ID, revisions=("0002", "0003"), destructive=("0003: column x of one",))
APPROVING = {"approval": "Required"}
APPROVED = {"approval": "Required", "approvedPlan": PLAN_ID}


def spec(**changes: Any) -> resource.Spec:
    document = {
        "image": "registry.example/shop:1",
        "database": {"urlSecretRef": {"name": "shop-db"}},
        **changes,
    }
    return resource.Spec.model_validate(document)


def digest_of(chosen: resource.Spec | None = None, requested_at: str = "") -> str:
    return digest.of_run(UID, chosen or spec(), requested_at)


def status(reason: str = "", **changes: Any) -> resource.Status:
    """A status of generation 1 that answers the plain spec with a reason."""
    conditions = []
    if reason:
        ready = "True" if reason in {"UpToDate", "DatabaseAheadAccepted"} else "False"
        kinds = [("Ready", ready)]
        if reason in STALLED:
            kinds.append(("Stalled", "True"))
        conditions = [
            {
                "type": kind,
                "status": state,
                "observedGeneration": 1,
                "lastTransitionTime": "2026-03-01T11:00:00Z",
                "reason": reason,
                "message": "as before",
            }
            for kind, state in kinds
        ]
    document = {
        "observedGeneration": 1,
        "observedDigest": digest_of(),
        "conditions": conditions,
        **changes,
    }
    return resource.Status.model_validate(document)


def wanted(
    chosen: resource.Spec | str | None = None,
    said: resource.Status | None = None,
    generation: int = 1,
    requested_at: str = "",
    *,
    deleting: bool = False,
) -> Wanted:
    return Wanted(
        key=KEY,
        uid=UID,
        generation=generation,
        deleting=deleting,
        requested_at=requested_at,
        spec=spec() if chosen is None else chosen,
        status=said or resource.Status(),
    )


def job(attempt: int = 1, **changes: Any) -> projection.JobView:
    run_digest = changes.get("digest", digest_of())
    view = projection.JobView(
        namespace=KEY.namespace,
        name=digest.job_name(KEY.name, run_digest, attempt),
        uid=f"job-{attempt}",
        resource_version=10,
        owner=KEY.name,
        owner_uid=UID,
        database=digest.of_database(KEY.namespace, "shop-db", "DATABASE_URL"),
        digest=run_digest,
        attempt=attempt,
        generation=1,
        failures=0,
        series=NOW - timedelta(minutes=10),
        timeout=timedelta(minutes=15),
        created=NOW - timedelta(minutes=1),
    )
    return dataclasses.replace(view, **changes)


def waiting(
    hold: runs.Hold = runs.Hold.STARTING, words: str = "", pod: str = "shop-pod", **changes: Any
) -> runs.Run:
    return runs.Run(job=job(**changes), state=runs.Waiting(hold=hold, words=words), pod=pod)


def running(since: timedelta = timedelta(seconds=5), **changes: Any) -> runs.Run:
    state = runs.Running(started=NOW - since)
    return runs.Run(job=job(**changes), state=state, pod="shop-pod", node="node-1")


def ended(
    outcome: Outcome = Outcome.APPLIED,
    ago: timedelta = timedelta(seconds=1),
    refusal: Refusal | None = None,
    **changes: Any,
) -> runs.Run:
    """A run that ended and whose Job has finished."""
    good = report.EXIT_CODES[outcome] == 0
    said: dict[str, Any] = {"to": "0001", "dirty": False} if good else {}
    if outcome is Outcome.PLANNED:
        said |= {"pending": 2, "plan": PLAN}
    for name in ("message", "sqlstate", "to", "dirty", "incident", "applied", "from_", "plan"):
        if name in changes:
            said[name] = changes.pop(name)
    result = Result(outcome=outcome, refusal=refusal, **said)
    at = NOW - ago
    state = runs.Ended(at=at, started=at - timedelta(seconds=2), result=result)
    return runs.Run(job=job(**{"finished": at, "created": at, **changes}), state=state)


def planned(chosen: resource.Spec, **changes: Any) -> runs.Run:
    """A plan that was made for a spec."""
    return ended(Outcome.PLANNED, digest=digest_of(chosen), kind=Kind.PLAN, **changes)


def verified(
    outcome: Outcome = Outcome.UP_TO_DATE,
    chosen: resource.Spec | None = None,
    due: datetime = NOW - timedelta(seconds=30),
    **changes: Any,
) -> runs.Run:
    """A verification of a spec that was due at that moment and ended."""
    stamp = due.isoformat()
    run_digest = digest.of_run(UID, chosen or watched(), "", Kind.VERIFY, stamp)
    return ended(outcome, digest=run_digest, kind=Kind.VERIFY, series=due, **changes)


def watched(**changes: Any) -> resource.Spec:
    """A spec whose database is looked at once a minute."""
    return spec(verifyInterval="60s", **changes)


def lost(ago: timedelta = timedelta(seconds=1), **changes: Any) -> runs.Run:
    at = NOW - ago
    return runs.Run(
        job=job(**{"finished": at, "created": at, **changes}),
        state=runs.Lost(at=at, why="its pod is gone"),
    )


def not_begun(
    hold: runs.Hold = runs.Hold.STARTING, ago: timedelta = timedelta(seconds=1), **changes: Any
) -> runs.Run:
    at = NOW - ago
    return runs.Run(
        job=job(**{"finished": at, "created": at, **changes}),
        state=runs.NotBegun(at=at, hold=hold, why="evicted"),
    )


def world(*observed: runs.Run, wants: Wanted | None = None, **changes: Any) -> World:
    return World(now=NOW, wanted=wants or wanted(), runs=observed, **changes)
