"""Turns against an API server that fails on purpose, with a clock of the test's own."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from schema_operator import errors, names, projection
from schema_operator.cache import Cache
from schema_operator.intake import Intake
from schema_operator.metrics import Metrics
from schema_operator.options import Options
from schema_operator.queue import Queue
from schema_operator.reconcile import Reconciler
from tests.operator.worlds import KEY, NOW, UID

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

REPORT = {"v": 1, "outcome": "applied", "to": "0001", "dirty": False}


class Server:
    """An API server with one namespace, whose next answers can be errors.

    Attributes:
        failing: errors for the next requests, by kind; ``lost`` means carried
            out without an answer.
        requests: what was asked for, in order.
    """

    def __init__(self) -> None:
        self.version = 1
        self.resources: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.events: list[Mapping[str, Any]] = []
        self.failing: dict[str, list[errors.ApiError | str]] = {}
        self.requests: list[str] = []

    def bump(self, document: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        document["metadata"]["resourceVersion"] = str(self.version)
        return document

    def resource(self, name: str = KEY.name, **spec: Any) -> dict[str, Any]:
        document = {
            "metadata": {
                "namespace": KEY.namespace,
                "name": name,
                "uid": UID if name == KEY.name else f"uid-{name}",
                "generation": 1,
            },
            "spec": {"image": "image", "database": {"urlSecretRef": {"name": "db"}}, **spec},
            "status": {"observedGeneration": -1},
        }
        self.resources[name] = self.bump(document)
        return document

    async def create_job(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        failure = self._next("POST")
        name = manifest["metadata"]["name"]
        if name in self.jobs:
            raise errors.AlreadyExistsError(409, "exists")
        job = copy.deepcopy(dict(manifest))
        job["metadata"] |= {"uid": f"uid-{name}", "creationTimestamp": NOW.isoformat()}
        self.jobs[name] = self.bump(job)
        self._lose(failure)
        return {"metadata": copy.deepcopy(job["metadata"])}

    async def patch_status(
        self, key: names.Key, resource_version: int, status: Mapping[str, Any]
    ) -> dict[str, Any]:
        failure = self._next("PATCH")
        document = self.resources.get(key.name)
        if document is None:
            raise errors.GoneError(404, "gone")
        if document["metadata"]["resourceVersion"] != str(resource_version):
            raise errors.ConflictError(409, "stale")
        document["status"] = json.loads(json.dumps(status))
        self.bump(document)
        self._lose(failure)
        return {"metadata": copy.deepcopy(document["metadata"])}

    async def delete_job(self, _: str, name: str, __: str, propagation: str) -> None:
        self._next(f"DELETE {propagation}")
        self.jobs.pop(name, None)

    async def create_event(self, event: Mapping[str, Any]) -> None:
        self._next("EVENT")
        self.events.append(event)

    async def list_versions(self, _: str, __: str | None) -> tuple[dict[str, int], int]:
        raise AssertionError("nothing is read")

    def _next(self, kind: str) -> str | None:
        self.requests.append(kind)
        failures = self.failing.get(kind)
        failure = failures.pop(0) if failures else None
        if isinstance(failure, errors.ApiError):
            raise failure
        return failure

    @staticmethod
    def _lose(failure: str | None) -> None:
        if failure == "lost":
            raise errors.UnavailableError(0, "no answer")


class Bench:
    """A reconciler with all its parts, and hands to bring it events."""

    def __init__(self, **options: Any) -> None:
        self.now = NOW
        self.server = Server()
        self.cache = Cache()
        self.queue = Queue()
        self.reconciler = Reconciler(
            api=self.server,
            cache=self.cache,
            queue=self.queue,
            options=Options(**options),
            metrics=Metrics(self.cache, self.queue),
            clock=lambda: self.now,
        )
        self.intake = Intake(self.cache, self.queue, self.reconciler.wake, lambda: self.now)

    def see(self, name: str = KEY.name) -> None:
        self.intake.resource("MODIFIED", copy.deepcopy(self.server.resources[name]))

    def see_job(self, name: str) -> None:
        self.intake.job("MODIFIED", copy.deepcopy(self.server.jobs[name]))

    async def ask_again(self, document: dict[str, Any]) -> None:
        """Somebody asks for a run of a resource that is done."""
        document["metadata"]["annotations"] = {names.ANNOTATION_REQUESTED_AT: "now"}
        self.server.bump(document)
        self.see()
        await self.turns()

    def end(self, job: str, report: dict[str, Any] | None = None, code: int = 0) -> None:
        """A run ends and its Job is Complete."""
        ended = {
            "exitCode": code,
            "message": json.dumps(REPORT if report is None else report),
            "startedAt": self.now.isoformat(),
            "finishedAt": self.now.isoformat(),
        }
        self.intake.pod("MODIFIED", self.pod(job, {"terminated": ended}, "Succeeded"))
        self.finish(job)

    def finish(self, job: str) -> None:
        """A Job is Complete."""
        manifest = self.server.jobs[job]
        manifest["status"] = {
            "conditions": [
                {
                    "type": "Complete",
                    "status": "True",
                    "lastTransitionTime": self.now.isoformat(),
                }
            ]
        }
        self.server.bump(manifest)
        self.see_job(job)

    def pod(self, job: str, state: dict[str, Any], phase: str = "Running") -> dict[str, Any]:
        """The next event of a Job's pod."""
        labels = {**self.server.jobs[job]["metadata"]["labels"], names.LABEL_JOB_NAME: job}
        return self.server.bump(
            {
                "metadata": {
                    "namespace": KEY.namespace,
                    "name": f"{job}-pod",
                    "uid": f"pod-{job}",
                    "creationTimestamp": self.now.isoformat(),
                    "labels": labels,
                },
                "spec": {"nodeName": "node"},
                "status": {
                    "phase": phase,
                    "containerStatuses": [{"name": "migrate", "state": state}],
                },
            }
        )

    async def turns(self) -> None:
        """Let all have their turns that wait for one, but for those of the timers."""
        while len(self.queue):
            key = await self.queue.get()
            await self.reconciler.turn(key)
            self.queue.done(key)

    async def later(self, **delta: float) -> None:
        """Let time pass, and let every resource have a turn, as its timer would."""
        self.now += timedelta(**delta)
        for name in self.server.resources:
            self.queue.add(names.Key(KEY.namespace, name))
        await self.turns()

    def reason(self, name: str = KEY.name) -> str:
        conditions = self.server.resources[name]["status"].get("conditions")
        return conditions[0]["reason"] if conditions else ""

    @property
    def job(self) -> str:
        (name,) = self.server.jobs
        return name


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 10))


def test_a_whole_run_is_three_writes() -> None:
    async def work() -> None:
        bench = Bench()
        bench.server.resource()
        bench.see()
        await bench.turns()
        assert bench.reason() == "Migrating"
        bench.end(bench.job)
        await bench.turns()
        assert bench.reason() == "UpToDate"
        await bench.later(hours=1)
        bench.see()
        await bench.turns()
        assert bench.server.requests == ["POST", "PATCH", "PATCH"]

    run(work())


def test_an_echo_of_an_own_write_costs_nothing() -> None:
    async def work() -> None:
        bench = Bench()
        bench.server.resource()
        bench.see()
        await bench.turns()
        bench.see()
        bench.see_job(bench.job)
        assert len(bench.queue) == 0

    run(work())


def test_a_stale_view_is_refused_and_decided_again_from_the_newer_one() -> None:
    async def work() -> None:
        bench = Bench()
        document = bench.server.resource()
        bench.see()
        document["spec"]["suspend"] = True
        document["metadata"]["generation"] = 2
        bench.server.bump(document)
        await bench.turns()
        assert document["status"] == {"observedGeneration": -1}
        bench.see()
        await bench.turns()
        assert document["status"]["observedGeneration"] == 2
        assert len(bench.server.jobs) == 1

    run(work())


def test_a_job_whose_answer_was_lost_is_asked_for_again_and_adopted() -> None:
    async def work() -> None:
        bench = Bench()
        bench.server.resource()
        bench.server.failing["POST"] = ["lost"]
        bench.see()
        await bench.turns()
        assert bench.reason() == "Pending"
        await bench.later(seconds=2)
        assert len(bench.server.jobs) == 1
        bench.see_job(bench.job)
        await bench.turns()
        assert bench.reason() == "Migrating"
        bench.end(bench.job)
        await bench.turns()
        assert bench.reason() == "UpToDate"
        assert bench.server.resources[KEY.name]["status"]["attempt"] == 1

    run(work())


def test_a_status_whose_answer_was_lost_is_written_again() -> None:
    async def work() -> None:
        bench = Bench()
        bench.server.resource()
        bench.server.failing["PATCH"] = ["lost"]
        bench.see()
        await bench.turns()
        bench.see()
        bench.end(bench.job)
        await bench.turns()
        assert bench.reason() == "UpToDate"
        assert len(bench.server.jobs) == 1

    run(work())


def test_another_job_of_that_name_is_never_taken_for_ours() -> None:
    async def work() -> None:
        bench = Bench()
        bench.server.resource()
        bench.see()
        await bench.turns()
        foreign = bench.job
        bench.server.jobs.clear()
        other = Bench()
        other.server.resource()
        other.server.jobs[foreign] = {"metadata": {}}
        other.see()
        await other.turns()
        assert other.reason() == "Pending"
        await other.later(seconds=5)
        await other.later(seconds=10)
        assert other.reason() == "SpecInvalid"
        message = other.server.resources[KEY.name]["status"]["conditions"][0]["message"]
        assert foreign in message

    run(work())


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (errors.RejectedError(422, "spec.template: bad"), "SpecInvalid", "spec.template: bad"),
        (errors.DeniedError(403, "exceeded quota"), "Pending", "exceeded quota"),
        (errors.UnavailableError(503, "busy"), "Pending", "busy"),
        (errors.NamespaceEndsError(403, "ends"), "Pending", "namespace is being deleted"),
    ],
)
def test_a_job_that_is_not_taken_is_said(error: errors.ApiError, reason: str, words: str) -> None:
    async def work() -> None:
        bench = Bench()
        document = bench.server.resource()
        bench.server.failing["POST"] = [error]
        bench.see()
        await bench.turns()
        assert bench.reason() == reason
        assert words in document["status"]["conditions"][0]["message"]
        assert bench.server.requests.count("POST") == 1
        await bench.later(minutes=6)
        assert bench.server.requests.count("POST") == (1 if reason == "SpecInvalid" else 2)

    run(work())


def test_a_resource_that_is_gone_is_dropped() -> None:
    async def work() -> None:
        bench = Bench()
        bench.server.resource(suspend=True)
        bench.see()
        bench.server.resources.clear()
        await bench.turns()
        assert bench.cache.resource(KEY) is None
        assert bench.server.requests == ["PATCH"]

    run(work())


@pytest.mark.parametrize(
    "error",
    [errors.RejectedError(422, "a bug"), errors.UnavailableError(0, "no answer")],
    ids=["invalid", "no-answer"],
)
def test_a_status_that_is_not_taken_is_decided_again(error: errors.ApiError) -> None:
    async def work() -> None:
        bench = Bench()
        bench.server.resource(suspend=True)
        bench.server.failing["PATCH"] = [error]
        bench.see()
        await bench.turns()
        assert bench.reason() == ""
        await bench.later(minutes=5)
        assert bench.reason() == "Suspended"

    run(work())


def test_an_event_that_is_not_taken_changes_nothing() -> None:
    async def work() -> None:
        bench = Bench()
        bench.server.resource()
        bench.server.failing["EVENT"] = [errors.DeniedError(403, "no")]
        bench.see()
        await bench.turns()
        bench.end(bench.job, {"v": 1, "outcome": "dirty", "dirty": True, "incident": "i"}, 11)
        await bench.turns()
        assert bench.reason() == "Dirty"
        await bench.later(hours=1)
        assert bench.server.requests == ["POST", "PATCH", "PATCH", "EVENT"]

    run(work())


def test_two_of_one_database_never_start_together() -> None:
    async def work() -> None:
        bench = Bench()
        for name in ("one", "two", "three"):
            bench.server.resource(name)
            bench.see(name)
        keys = [await bench.queue.get() for _ in range(3)]
        await asyncio.gather(*(bench.reconciler.turn(key) for key in keys))
        for key in keys:
            bench.queue.done(key)
        assert len(bench.server.jobs) == 1
        for started in (1, 2, 3):
            await bench.turns()
            assert len(bench.server.jobs) == started
            bench.end(list(bench.server.jobs)[-1])
        await bench.turns()
        assert [bench.reason(name) for name in ("one", "two", "three")] == ["UpToDate"] * 3

    run(work())


def test_the_first_in_line_that_leaves_lets_the_next_one_go() -> None:
    async def work() -> None:
        bench = Bench()
        for name in ("one", "two", "three"):
            bench.server.resource(name)
            bench.see(name)
        await bench.turns()
        second = bench.server.resources["two"]
        second["spec"]["suspend"] = True
        second["metadata"]["generation"] = 2
        bench.server.bump(second)
        bench.end(bench.job)
        bench.see("two")
        await bench.turns()
        assert [bench.reason(name) for name in ("two", "three")] == ["Suspended", "Migrating"]

    run(work())


def test_as_many_runs_as_allowed_are_at_work_and_the_next_follows() -> None:
    async def work() -> None:
        bench = Bench(maximum_runs=1)
        for name in ("one", "two"):
            bench.server.resource(name, database={"urlSecretRef": {"name": name}})
            bench.see(name)
        await bench.turns()
        assert [bench.reason(name) for name in ("one", "two")] == ["Migrating", "Pending"]
        bench.end(bench.job)
        await bench.turns()
        assert [bench.reason(name) for name in ("one", "two")] == ["UpToDate", "Migrating"]

    run(work())


def test_a_run_that_outlives_its_timeout_is_stopped_once() -> None:
    async def work() -> None:
        bench = Bench()
        bench.server.resource(timeout="1m")
        bench.see()
        await bench.turns()
        job = bench.job
        view = bench.cache.jobs.get((KEY.namespace, job))
        assert view is not None
        pod = projection.PodView(
            namespace=KEY.namespace,
            name="pod",
            uid="pod",
            resource_version=1,
            job=job,
            owner=KEY.name,
            database=view.database,
            created=NOW,
            node="node",
            migrate=projection.Running(started=NOW),
        )
        bench.cache.put_pod(pod, NOW)
        await bench.later(seconds=119)
        assert "DELETE Foreground" not in bench.server.requests
        await bench.later(seconds=1)
        assert bench.server.requests.count("DELETE Foreground") == 1
        bench.cache.put_job(dataclasses.replace(view, deleting=True, resource_version=999), NOW)
        await bench.later(minutes=5)
        assert bench.server.requests.count("DELETE Foreground") == 1

    run(work())


def test_jobs_go_only_after_the_status_that_reports_them_stands() -> None:
    async def work() -> None:
        bench = Bench()
        document = bench.server.resource(historyLimit=0)
        bench.see()
        await bench.turns()
        bench.end(bench.job)
        await bench.turns()
        await bench.ask_again(document)
        first, second = bench.server.jobs
        bench.server.failing["PATCH"] = [errors.UnavailableError(503, "busy")]
        bench.end(second)
        await bench.turns()
        assert "DELETE Background" not in bench.server.requests
        await bench.later(seconds=2)
        assert bench.server.requests[-2:] == ["PATCH", "DELETE Background"]
        assert list(bench.server.jobs) == [second]
        assert first != second

    run(work())


# What brings no turn


def counted(job: dict[str, Any], **status: Any) -> dict[str, Any]:
    """A Job as the Job controller writes it while its pod is on its way."""
    return {**copy.deepcopy(job), "status": status}


def test_a_job_that_counts_its_pods_brings_no_turn_and_its_end_brings_one() -> None:
    async def work() -> None:
        bench = Bench()
        bench.server.resource()
        bench.see()
        await bench.turns()
        (job,) = bench.server.jobs.values()
        for status in ({"active": 1}, {"active": 1, "ready": 1}, {"terminating": 0}):
            bench.intake.job("MODIFIED", bench.server.bump(counted(job, **status)))
            assert len(bench.queue) == 0
        end = {"type": "Failed", "status": "True", "lastTransitionTime": NOW.isoformat()}
        bench.intake.job("MODIFIED", bench.server.bump(counted(job, conditions=[end])))
        assert len(bench.queue) == 1

    asyncio.run(work())


@pytest.mark.parametrize("finished", [NOW.isoformat(), None])
def test_the_end_of_a_job_brings_a_turn_unless_its_pod_has_told_it(finished: str | None) -> None:
    async def work() -> None:
        bench = Bench()
        bench.server.resource()
        bench.see()
        await bench.turns()
        (job,) = bench.server.jobs
        ended = {"exitCode": 0, "message": json.dumps(REPORT), "finishedAt": finished}
        bench.intake.pod("MODIFIED", bench.pod(job, {"terminated": ended}, "Succeeded"))
        await bench.turns()
        assert bench.reason() == "UpToDate"
        bench.finish(job)
        # Without a time of its own, the run's end is the Job's.
        assert len(bench.queue) == (0 if finished else 1)

    asyncio.run(work())


def test_the_end_of_a_job_brings_a_turn_where_an_older_one_is_kept() -> None:
    async def work() -> None:
        bench = Bench()
        document = bench.server.resource(historyLimit=1)
        bench.see()
        await bench.turns()
        bench.end(bench.job)
        await bench.turns()
        await bench.ask_again(document)
        _, second = bench.server.jobs
        bench.end(second)
        assert len(bench.queue) == 1
        await bench.turns()
        assert list(bench.server.jobs) == [second]

    asyncio.run(work())


def test_the_end_of_a_job_lets_those_go_that_wait_for_its_database() -> None:
    async def work() -> None:
        bench = Bench()
        for name in ("first", "second"):
            bench.server.resource(name)
            bench.see(name)
        await bench.turns()
        (job,) = bench.server.jobs
        ended = {"exitCode": 0, "message": json.dumps(REPORT), "finishedAt": NOW.isoformat()}
        bench.intake.pod("MODIFIED", bench.pod(job, {"terminated": ended}, "Succeeded"))
        await bench.turns()
        assert list(bench.server.jobs) == [job]
        bench.finish(job)
        await bench.turns()
        assert len(bench.server.jobs) == 2

    asyncio.run(work())


def test_a_job_on_its_way_out_brings_a_turn() -> None:
    async def work() -> None:
        bench = Bench()
        bench.server.resource()
        bench.see()
        await bench.turns()
        (job,) = bench.server.jobs.values()
        leaving = counted(job, active=1)
        leaving["metadata"]["deletionTimestamp"] = NOW.isoformat()
        bench.intake.job("MODIFIED", bench.server.bump(leaving))
        assert len(bench.queue) == 1

    asyncio.run(work())


def test_a_start_that_nothing_kept_brings_no_turn_but_a_look_later() -> None:
    async def work() -> None:
        bench = Bench()
        bench.server.resource()
        bench.see()
        await bench.turns()
        (job,) = bench.server.jobs
        bench.queue.forget(KEY)
        bench.intake.pod("MODIFIED", bench.pod(job, {"waiting": {"reason": "ContainerCreating"}}))
        bench.intake.pod("MODIFIED", bench.pod(job, {"running": {"startedAt": NOW.isoformat()}}))
        assert len(bench.queue) == 0
        assert list(bench.queue._due) == [KEY]
        ended = {"exitCode": 0, "message": json.dumps(REPORT)}
        bench.intake.pod("MODIFIED", bench.pod(job, {"terminated": ended}))
        assert len(bench.queue) == 1

    asyncio.run(work())


def test_a_start_that_a_missing_secret_had_kept_brings_a_turn() -> None:
    async def work() -> None:
        bench = Bench()
        bench.server.resource()
        bench.see()
        await bench.turns()
        (job,) = bench.server.jobs
        held = {"waiting": {"reason": "CreateContainerConfigError", "message": "no secret"}}
        bench.intake.pod("MODIFIED", bench.pod(job, held))
        assert len(bench.queue) == 1
        await bench.turns()
        bench.intake.pod("MODIFIED", bench.pod(job, {"running": {"startedAt": NOW.isoformat()}}))
        assert len(bench.queue) == 1

    asyncio.run(work())
