"""Somebody who watches the API server itself, and holds what must be true at every moment against it."""

from __future__ import annotations

import contextlib
import json
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import HTTPError

from schema_operator import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubernetes import client

    from tests.fix_cluster import Objects

_KINDS = {
    "schemamigrations": "/apis/migrations.tenant-registry.dev/v1alpha1/namespaces/{}/schemamigrations",
    "jobs": "/apis/batch/v1/namespaces/{}/jobs",
    "pods": "/api/v1/namespaces/{}/pods",
}


class Onlooker:
    """All that happened to the objects of a namespace, as the server told it.

    Attributes:
        wrong: what must never be and was.
        writes: how many versions of a status there were, by resource.
    """

    def __init__(self, objects: Objects) -> None:
        self.wrong: list[str] = []
        self.writes: dict[str, int] = {}
        self._api: client.ApiClient = objects.api
        self._namespace = objects.namespace
        self._attempts: dict[tuple[str, str, str], set[str]] = {}
        self._statuses: dict[str, str] = {}
        self._running: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()

    @contextlib.contextmanager
    def looking(self) -> Iterator[Onlooker]:
        """Look on while the block runs."""
        threads = [
            threading.Thread(target=self._look, args=(kind, path), daemon=True)
            for kind, path in _KINDS.items()
        ]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in threads:
                thread.join(10)

    def _look(self, kind: str, path: str) -> None:
        path = path.format(self._namespace)
        while not self._over.is_set():
            # While the server is away there is nothing to see.
            with contextlib.suppress(HTTPError):
                self._follow(kind, path)
            self._over.wait(0.1)

    def _follow(self, kind: str, path: str) -> None:
        api: Any = self._api
        answer = api.call_api(
            *api.param_serialize(
                "GET",
                path,
                query_params=[("watch", "true"), ("timeoutSeconds", "2")],
                auth_settings=["BearerToken"],
            ),
            _request_timeout=10,
        )
        with contextlib.closing(answer.response) as stream:
            if answer.status != HTTPStatus.OK:
                return
            for line in stream:
                event = json.loads(line)
                with self._lock:
                    self._take(kind, event["type"], event["object"])

    def _take(self, kind: str, event: str, body: dict[str, Any]) -> None:
        if event not in {"ADDED", "MODIFIED", "DELETED"}:
            return
        match kind:
            case "schemamigrations":
                self._resource(body)
            case "jobs":
                self._job(body)
            case _:
                self._pod(event, body)

    def _resource(self, body: dict[str, Any]) -> None:
        name, status = body["metadata"]["name"], body.get("status", {})
        text = json.dumps(status, sort_keys=True)
        if self._statuses.get(name) != text:
            self._statuses[name] = text
            self.writes[name] = self.writes.get(name, 0) + 1
        conditions = {one["type"]: one for one in status.get("conditions", ())}
        ready = conditions.get("Ready", {})
        if ready.get("status") == "True":
            if status.get("dirty"):
                self.wrong.append(f"{name} is Ready and dirty")
            if ready["observedGeneration"] != status["observedGeneration"]:
                self.wrong.append(f"{name} is Ready for another generation")
        if {"Reconciling", "Stalled"} <= conditions.keys():
            self.wrong.append(f"{name} goes on and is stalled")

    def _job(self, body: dict[str, Any]) -> None:
        metadata = body["metadata"]
        annotations, labels = metadata["annotations"], metadata["labels"]
        attempt = (
            labels[names.LABEL_UID],
            annotations[names.ANNOTATION_DIGEST],
            annotations[names.ANNOTATION_ATTEMPT],
        )
        uids = self._attempts.setdefault(attempt, set())
        uids.add(metadata["uid"])
        if len(uids) > 1:
            self.wrong.append(f"{metadata['name']}: an attempt was started twice")

    def _pod(self, event: str, body: dict[str, Any]) -> None:
        metadata = body["metadata"]
        database = metadata.get("labels", {}).get(names.LABEL_DATABASE, "")
        running = self._running.setdefault(database, {})
        states = [one.get("state", {}) for one in body["status"].get("containerStatuses", ())]
        if event != "DELETED" and any("running" in state for state in states):
            running[metadata["uid"]] = metadata["name"]
        else:
            running.pop(metadata["uid"], None)
        if len(running) > 1:
            self.wrong.append(f"two migrators in one database: {', '.join(running.values())}")
