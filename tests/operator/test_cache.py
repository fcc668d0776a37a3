"""The cache: the newest wins, and what is gone stays gone."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

from schema_operator import names, projection
from schema_operator.cache import Cache
from tests.operator.worlds import KEY, NOW, UID, job


def view(version: int, uid: str = UID, generation: int = 1) -> projection.ResourceView:
    return projection.ResourceView(
        key=KEY,
        uid=uid,
        resource_version=version,
        generation=generation,
        deleting=False,
        requested_at="",
        spec=b"{}",
        packed_status=projection.pack({}),
    )


def pod(
    version: int = 1, migrate: projection.Container | None = None, **changes: Any
) -> projection.PodView:
    found = projection.PodView(
        namespace=KEY.namespace,
        name="shop-pod",
        uid="pod",
        resource_version=version,
        job=job().name,
        owner=KEY.name,
        database=job().database,
        created=NOW,
        migrate=migrate,
    )
    return dataclasses.replace(found, **changes)


RUNNING = projection.Running(started=NOW)
ENDED = projection.Terminated(started=NOW, finished=NOW, exit_code=0, reason="", message="")


def test_what_is_not_newer_is_no_news() -> None:
    cache = Cache()
    assert cache.put_resource(view(5))
    assert not cache.put_resource(view(5))
    assert not cache.put_resource(view(4))
    assert cache.put_resource(view(6))


def test_an_answer_that_comes_after_the_deletion_revives_nothing() -> None:
    cache = Cache()
    cache.put_resource(view(5))
    assert cache.drop_resource(KEY, UID)
    assert not cache.put_resource(view(7))
    assert cache.resource(KEY) is None


def test_a_resource_made_again_takes_the_name_over() -> None:
    cache = Cache()
    cache.put_resource(view(5))
    cache.put_resource(view(9, uid="second"))
    assert not cache.drop_resource(KEY, UID)
    found = cache.resource(KEY)
    assert found is not None
    assert found.uid == "second"


def test_jobs_and_pods_are_found_by_resource_and_by_database() -> None:
    cache = Cache()
    cache.put_job(job(), NOW)
    cache.put_pod(pod(), NOW)
    assert cache.jobs_of(KEY) == (job(),)
    assert cache.jobs_of(names.Key("shops", "other")) == ()
    assert cache.jobs_on(job().database) == (job(),)
    assert cache.pods_of(job()) == cache.pods_on(job().database) == (pod(),)


def test_a_pod_that_goes_is_remembered_with_its_last_words_while_its_job_is_there() -> None:
    cache = Cache()
    cache.put_job(job(), NOW)
    cache.put_pod(pod(1, RUNNING), NOW)
    assert cache.drop_pod(("shops", "shop-pod"), "pod", pod(2, ENDED), NOW)
    (left,) = cache.pods_of(job())
    assert (left.gone, left.migrate) == (True, ENDED)
    assert cache.drop_job(("shops", job().name), job().uid)
    assert cache.pods_of(job()) == ()
    assert cache.pods_on(job().database) == ()
    assert len(cache.pods) == 0


def test_a_pod_whose_job_went_first_blocks_until_it_is_gone() -> None:
    cache = Cache()
    cache.put_job(job(), NOW)
    cache.put_pod(pod(1, RUNNING), NOW)
    cache.drop_job(("shops", job().name), job().uid)
    (left,) = cache.pods_on(job().database)
    assert left.may_run
    cache.drop_pod(("shops", "shop-pod"), "pod", None, NOW)
    assert cache.pods_on(job().database) == ()


def test_only_runs_at_work_are_counted() -> None:
    cache = Cache()
    assert cache.working == 0
    cache.put_job(job(created=NOW), NOW)
    assert cache.working == 1
    held = projection.Waiting(reason="CreateContainerConfigError")
    cache.put_pod(pod(1, held), NOW)
    assert cache.working == 0
    cache.put_pod(pod(2, RUNNING), NOW)
    assert cache.working == 1
    cache.put_pod(pod(3, ENDED), NOW)
    assert cache.working == 0
    cache.put_job(job(attempt=2, created=NOW + timedelta(seconds=1)), NOW)
    assert cache.working == 1
    cache.drop_job(("shops", job(attempt=2).name), "job-2")
    assert cache.working == 0
