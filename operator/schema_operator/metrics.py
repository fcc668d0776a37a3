"""What the operator counts, for Prometheus."""

from __future__ import annotations

import contextlib
import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import prometheus_client
from prometheus_client import core

from schema_operator.reason import ConditionType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schema_operator import resource
    from schema_operator.cache import Cache
    from schema_operator.queue import Queue

_RESOURCE: Final = ("namespace", "name")
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
_RUN_SECONDS: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)


class Metrics:
    """All metrics, in a registry of their own.

    Those of single resources are read from the cache when somebody asks for
    them, so a resource that is gone leaves nothing behind.

    Attributes:
        registry: where they are registered.
    """

    def __init__(self, cache: Cache, queue: Queue) -> None:
        self.registry = core.CollectorRegistry()
        self._turns = prometheus_client.Histogram(
            "schema_operator_reconcile_seconds",
            "How long one turn of a resource took.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._requests = prometheus_client.Histogram(
            "schema_operator_api_request_seconds",
            "How long a request to the API server took; status 0: no answer.",
            ("verb", "resource", "status"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._runs = prometheus_client.Counter(
            "schema_migration_runs",
            "Runs that ended.",
            ("outcome",),
            registry=self.registry,
        )
        self._durations = prometheus_client.Histogram(
            "schema_migration_run_duration_seconds",
            "How long a run took.",
            buckets=_RUN_SECONDS,
            registry=self.registry,
        )
        depth = prometheus_client.Gauge(
            "schema_operator_queue_depth",
            "Resources that wait for a worker.",
            registry=self.registry,
        )
        depth.set_function(lambda: len(queue))
        working = prometheus_client.Gauge(
            "schema_operator_runs_at_work",
            "Migrators that are at work.",
            registry=self.registry,
        )
        working.set_function(lambda: cache.working)
        self.registry.register(_Resources(cache))

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Measure one turn."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._turns.observe(time.monotonic() - began)

    def request(self, verb: str, resource: str, status: int, seconds: float) -> None:
        """Count one request to the API server."""
        self._requests.labels(verb, resource, str(status)).observe(seconds)

    def transition(self, before: resource.Status, after: dict[str, Any]) -> None:
        """Count the run that a new status reports for the first time."""
        run = after.get("lastRun")
        if run is None or (before.last_run is not None and before.last_run.job == run["job"]):
            return
        self._runs.labels(run["outcome"]).inc()
        times = [run.get("startTime"), run.get("completionTime")]
        if None not in times:
            start, end = (datetime.fromisoformat(time) for time in times)
            self._durations.observe((end - start).total_seconds())

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return prometheus_client.generate_latest(self.registry)


class _Resources:
    """The metrics of each resource, from the cache."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def describe(self) -> list[core.Metric]:
        """Return nothing: what is collected is known only then."""
        return []

    def collect(self) -> Iterator[core.Metric]:
        """Return what the statuses say."""
        ready = core.GaugeMetricFamily(
            "schema_migration_ready", "Whether the database is at the target.", labels=_RESOURCE
        )
        dirty = core.GaugeMetricFamily(
            "schema_migration_dirty",
            "Whether the database may hold half of a revision.",
            labels=_RESOURCE,
        )
        pending = core.GaugeMetricFamily(
            "schema_migration_pending_revisions",
            "How many revisions were missing at the target after the last run.",
            labels=_RESOURCE,
        )
        success = core.GaugeMetricFamily(
            "schema_migration_last_success_timestamp_seconds",
            "When the last run that reached its target ended.",
            labels=_RESOURCE,
        )
        info = core.InfoMetricFamily(
            "schema_migration", "Where the database is and why.", labels=_RESOURCE
        )
        for (namespace, name), view in self._cache.resources.names():
            status = json.loads(view.status)
            condition = _ready(status)
            labels = (namespace, name)
            ready.add_metric(labels, float(condition.get("status") == "True"))
            dirty.add_metric(labels, float(bool(status.get("dirty"))))
            pending.add_metric(labels, float(status.get("pending") or 0))
            info.add_metric(
                labels,
                {
                    "version": str(status.get("version", "")),
                    "target": str(status.get("targetVersion", "")),
                    "reason": str(condition.get("reason", "")),
                },
            )
            ended = _last_success(status)
            if ended is not None:
                success.add_metric(labels, ended)
        yield from (ready, dirty, pending, success, info)


def _ready(status: dict[str, Any]) -> dict[str, Any]:
    conditions = status.get("conditions") or ()
    return next((one for one in conditions if one.get("type") == ConditionType.READY), {})


def _last_success(status: dict[str, Any]) -> float | None:
    for run in (status.get("lastRun") or {}, *(status.get("history") or ())):
        if run.get("exitCode") == 0 and run.get("completionTime"):
            return datetime.fromisoformat(run["completionTime"]).timestamp()
    return None
